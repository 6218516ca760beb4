//! A file system that runs full and gets room again, as an operator sees it.

use super::super::cli::told::Told;
use super::{dump, expect, new_store, states};
use crate::requirements::{Requirement, has};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A small file system of its own.
struct Mounted(TempDir);

impl Mounted {
    fn new(size: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        let size = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).status();
        assert!(mounted.expect("mount runs").success());
        Self(dir)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Everything that is left.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).expect("made");
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

fn exercised(store: &str, seed: &str, told: &mut Told) -> String {
    let arguments = ["store", "exercise", store, "--seed", seed, "--ops", "900", "--quarantine", "20"];
    let (stdout, stderr) = expect(0, &arguments);
    stdout.lines().for_each(|line| told.read(line));
    told.compare(&dump(store));
    stderr
}

#[test]
fn a_full_file_system_is_told_refuses_what_is_new_and_ends_by_itself() {
    if !has(Requirement::Loop, "a_full_file_system_is_told_refuses_what_is_new_and_ends_by_itself") {
        return;
    }
    let place = Mounted::new("24m");
    let store = new_store(&place.0, "store");
    let filler = place.0.path().join("filler");
    let mut told = Told::default();
    exercised(&store, "1", &mut told);
    assert_eq!(states(&store), Vec::<String>::new());

    // One segment is ready yet: it is used up, then nothing new is granted.
    fill(&filler);
    exercised(&store, "2", &mut told);
    assert!(told.refusals.contains_key("storage-full"), "{:?}", told.refusals);
    assert_eq!(states(&store), ["full"]);
    let stderr = exercised(&store, "4", &mut told);
    assert!(stderr.contains("STORAGE IS FULL, nothing new is granted"), "{stderr}");
    expect(0, &["store", "verify", &store]);
    let (_, stderr) = expect(0, &["connector", "list", &store]);
    assert_eq!(stderr, "");
    let backup = place.0.path().join("backup").to_str().expect("text").to_owned();
    let (_, stderr) = expect(73, &["store", "backup", &store, &backup]);
    assert!(stderr.contains("no space is left on the file system: make room"), "{stderr}");

    fs::remove_file(&filler).expect("removed");
    assert_eq!(states(&store), Vec::<String>::new());
    let mut told_after = Told::default();
    told_after.compare(&dump(&store));
    exercised(&store, "3", &mut told_after);
    assert!(!told_after.refusals.contains_key("storage-full"), "{:?}", told_after.refusals);
    expect(0, &["store", "verify", &store]);
}
