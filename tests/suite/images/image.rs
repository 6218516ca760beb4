//! A file system in a file: made, mounted through a loop device, cut off in the middle of its work.

use crate::requirements::say;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How often an image is read until two readings agree.
const READINGS_MAX: usize = 5;

/// A file with an ext4 in it.
pub(crate) struct Image(PathBuf);

impl Image {
    pub(crate) fn make(path: PathBuf, size: u64) -> Self {
        Self::make_with(path, size, &[])
    }

    /// As [`make`](Self::make), with further options of `mkfs.ext4`.
    pub(crate) fn make_with(path: PathBuf, size: u64, options: &[&str]) -> Self {
        File::create(&path).and_then(|file| file.set_len(size)).expect("a file for the image");
        let usual = ["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
        command("mkfs.ext4", &[&usual[..], options, &[text(&path)]].concat());
        Self(path)
    }

    /// The power goes: what is in the file now is what the disk has; nothing is synced. Read until
    /// two readings agree, so that it is the image of one moment.
    pub(crate) fn cut(&self, copy: PathBuf) -> Self {
        let mut bytes = fs::read(&self.0).expect("the image");
        for _ in 1..READINGS_MAX {
            let again = fs::read(&self.0).expect("the image");
            if again == bytes {
                break;
            }
            bytes = again;
        }
        fs::write(&copy, &bytes).expect("room for a copy");
        Self(copy)
    }

    pub(crate) fn mount(&self, dir: &Path) -> Mounted {
        fs::create_dir_all(dir).expect("a mount point");
        command("mount", &["-o", "loop,noatime", text(&self.0), text(dir)]);
        Mounted(dir.to_owned())
    }
}

/// An image while it is mounted; the loop device goes with the mount.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for arguments in [vec!["-n"], vec!["-n"], vec!["-n", "-l"]] {
            if Command::new("umount").args(arguments).arg(&self.0).output().is_ok_and(|output| output.status.success())
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        say(&format!("{} is still mounted", self.0.display()));
    }
}

pub(crate) fn command(name: &str, arguments: &[&str]) {
    let output = Command::new(name).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
