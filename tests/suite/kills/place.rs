//! Where a kill fell, judged by what is on the disk after it and what the child had printed.

use super::process::Ended;
use portplex::wal::Manifest;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

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

/// What was in the checkpoints' directory, and when it was changed.
pub(crate) type Checkpoints = BTreeSet<(String, SystemTime)>;

/// Looks before a run: what an earlier kill left there says nothing about the next one.
pub(crate) fn checkpoints(dir: &Path) -> Checkpoints {
    let entries = fs::read_dir(dir.join("ckpt")).into_iter().flatten().flatten();
    let changed = |entry: &fs::DirEntry| entry.metadata().and_then(|metadata| metadata.modified());
    let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, changed(&entry).ok()?)));
    named.collect()
}

/// Judges a kill of `store exercise`; `locked` = it was seen to hold the lock before.
pub(crate) fn of_exercise(dir: &Path, ended: &Ended, locked: bool, before: &Checkpoints) -> Place {
    if ended.out.is_empty() {
        return Place { recovery: locked, ..Place::default() };
    }
    let copies = [read(&dir.join("MANIFEST")), read(&dir.join("MANIFEST.bak"))];
    let [Some(first), Some(second)] = copies else { return Place::default() };
    // Written and not yet exchanged: what is about to be in force. Afterwards it is what was.
    let kept = read(&dir.join("MANIFEST.tmp"));
    let is_half_written = kept.is_none() && dir.join("MANIFEST.tmp").exists();
    let next = kept.filter(|next| next.sequence > first.sequence.max(second.sequence));
    let all: Vec<&Manifest> = [Some(&first), Some(&second), next.as_ref()].into_iter().flatten().collect();
    let segments = |manifest: &Manifest| manifest.segments.iter().map(|segment| segment.number).collect();
    let generations =
        |manifest: &Manifest| -> BTreeSet<u64> { manifest.checkpoints.iter().map(|entry| entry.generation).collect() };
    let files = numbers(&dir.join("wal"), ".seg");
    let is_unlisted = |name: &str| {
        name.parse().map_or(true, |number: u64| all.iter().any(|manifest| !generations(manifest).contains(&number)))
    };
    let checkpoint = checkpoints(dir).difference(before).any(|(name, _)| is_unlisted(name))
        || all.windows(2).any(|pair| generations(pair[0]) != generations(pair[1]));
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
