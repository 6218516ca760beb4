//! Where a kill fell, judged by what is on the disk after it and what the child had printed.

use super::process::Ended;
use portplex::wal::Manifest;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a child was doing when it was killed. One kill may be inside rotation and checkpoint both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Making the store: the lock was taken, and not both copies of MANIFEST are there.
    pub(crate) init: bool,
    /// Opening it: the lock was taken and nothing was printed.
    pub(crate) recovery: bool,
    /// Going on to a new segment: one that is not listed everywhere, or MANIFEST in flux about it.
    pub(crate) rotation: bool,
    /// Writing, noting or removing a checkpoint: one that is not listed everywhere.
    pub(crate) checkpoint: bool,
}

/// Judges a kill of `store init`; `locked` = it was seen to hold the lock before.
pub(crate) fn of_init(dir: &Path, locked: bool) -> Place {
    let complete = dir.join("MANIFEST").exists() && dir.join("MANIFEST.bak").exists();
    Place { init: locked && !complete, ..Place::default() }
}

/// Judges a kill of `store exercise`; `locked` = it was seen to hold the lock before.
pub(crate) fn of_exercise(dir: &Path, ended: &Ended, locked: bool) -> Place {
    if ended.out.is_empty() {
        return Place { recovery: locked, ..Place::default() };
    }
    let copies = [read(&dir.join("MANIFEST")), read(&dir.join("MANIFEST.bak"))];
    let [Some(first), Some(second)] = copies else { return Place::default() };
    // Written and not yet renamed: what is about to be in force.
    let next = read(&dir.join("MANIFEST.tmp"));
    let is_half_written = next.is_none() && dir.join("MANIFEST.tmp").exists();
    let all: Vec<&Manifest> = [Some(&first), Some(&second), next.as_ref()].into_iter().flatten().collect();
    let segments = |manifest: &Manifest| manifest.segments.iter().map(|segment| segment.number).collect();
    let generations = |manifest: &Manifest| manifest.checkpoints.iter().map(|entry| entry.generation).collect();
    let files = numbers(&dir.join("wal"), ".seg");
    let directories = numbers(&dir.join("ckpt"), "");
    let has_temporary = !numbers(&dir.join("ckpt"), ".tmp").is_empty();
    let checkpoint = has_temporary || differs(&all, &directories, &generations);
    let rotation = differs(&all, &files, &segments) || is_half_written && !checkpoint;
    Place { rotation, checkpoint, ..Place::default() }
}

/// Whether some MANIFEST lists other numbers than another one, or than are there.
fn differs(all: &[&Manifest], found: &BTreeSet<u64>, listed: &dyn Fn(&Manifest) -> BTreeSet<u64>) -> bool {
    all.iter().any(|manifest| listed(manifest) != *found)
}

fn read(path: &Path) -> Option<Manifest> {
    fs::read(path).ok().and_then(|bytes| Manifest::decode(&bytes).ok())
}

/// The numbers that files in a directory are named by.
fn numbers(dir: &Path, ending: &str) -> BTreeSet<u64> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(ending).and_then(|stem| stem.parse().ok())).collect()
}
