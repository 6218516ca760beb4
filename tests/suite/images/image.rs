//! A file system in a file: made, mounted through a loop device, cut off in the middle of its work.

use crate::requirements::{Requirement, say};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How often an image is read until two readings agree.
const READINGS_MAX: usize = 5;

/// What is in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Ext4,
    Xfs,
}

impl FileSystem {
    /// What a test needs of the machine to have one.
    pub(crate) const fn requirement(self) -> Requirement {
        match self {
            Self::Ext4 => Requirement::Loop,
            Self::Xfs => Requirement::Xfs,
        }
    }

    /// The smallest size for tests, in bytes.
    pub(crate) const fn size(self) -> u64 {
        match self {
            Self::Ext4 => 24 << 20,
            Self::Xfs => 32 << 20,
        }
    }
}

/// A file with a file system in it.
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

    /// A file system of its smallest size.
    pub(crate) fn of(file_system: FileSystem, path: PathBuf) -> Self {
        if file_system == FileSystem::Ext4 {
            return Self::make(path, file_system.size());
        }
        File::create(&path).and_then(|file| file.set_len(file_system.size())).expect("a file for the image");
        // Younger versions make none below 300 MB unless they are told that it is for tests.
        let words = ["-q", "-f", "--unsupported", text(&path)];
        if !Command::new("mkfs.xfs").args(words).output().is_ok_and(|output| output.status.success()) {
            command("mkfs.xfs", &["-q", "-f", text(&path)]);
        }
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
        self.mount_with(dir, "loop,noatime")
    }

    /// Mounts the copy of an image whose original is mounted too: xfs takes no identifier twice.
    pub(crate) fn mount_copy(&self, file_system: FileSystem, dir: &Path) -> Mounted {
        self.mount_with(dir, if file_system == FileSystem::Xfs { "loop,noatime,nouuid" } else { "loop,noatime" })
    }

    fn mount_with(&self, dir: &Path, options: &str) -> Mounted {
        fs::create_dir_all(dir).expect("a mount point");
        command("mount", &["-o", options, text(&self.0), text(dir)]);
        Mounted(dir.to_owned())
    }
}

/// A file system while it is mounted; the loop device goes with the mount.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// A file system in memory that has so much room, in bytes.
    pub(crate) fn in_memory(dir: &Path, size: u64) -> Self {
        fs::create_dir_all(dir).expect("a mount point");
        command("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", text(dir)]);
        Self(dir.to_owned())
    }

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
