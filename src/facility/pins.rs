//! Files that go while they are read beside the writer stay until their readers are done.
//!
//! MANIFEST forgets them at once, so nobody waits for a reader, and a crash leaves to the next open what
//! nothing lists. A reader that comes later knows nothing of them and keeps none.
#![forbid(unsafe_code)]

use crate::disk::Disk;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::path::Path;
use std::path::PathBuf;

/// Who reads, and what waits for them.
#[derive(Debug, Default)]
pub(super) struct Pins {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the next reader.
    next: u64,
    /// Readers, and the generations of checkpoints that they know.
    readers: BTreeMap<u64, Vec<u64>>,
    /// Files that go, each with the number of the first reader that does not know it any more.
    going: VecDeque<(u64, PathBuf)>,
}

/// A reader. What it may read stays until it is dropped.
pub(super) struct Pin<'a> {
    pins: &'a Pins,
    disk: &'a dyn Disk,
    number: u64,
}

impl Pins {
    /// A reader of what `look` finds listed, and of the generations of checkpoints that it names.
    pub(super) fn pin<'a, T>(&'a self, disk: &'a dyn Disk, look: impl FnOnce() -> (T, Vec<u64>)) -> (Pin<'a>, T) {
        // Under the lock: what goes after it was listed finds the reader.
        let mut state = self.state.lock();
        let (listed, generations) = look();
        let number = state.next;
        state.next += 1;
        state.readers.insert(number, generations);
        (Pin { pins: self, disk, number }, listed)
    }

    /// Removes a file that MANIFEST lists no more: now, or when the last reader that knows it is done. One
    /// that cannot be removed is left to the next open.
    pub(super) fn remove(&self, disk: &dyn Disk, path: &Path) {
        let mut state = self.state.lock();
        if state.readers.is_empty() {
            drop(state);
            let _ = disk.remove_file(path);
        } else {
            let known_below = state.next;
            state.going.push_back((known_below, path.to_owned()));
        }
    }

    /// The generations of checkpoints that somebody may read.
    pub(super) fn generations(&self) -> Vec<u64> {
        self.state.lock().readers.values().flatten().copied().collect()
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let mut state = self.pins.state.lock();
        state.readers.remove(&self.number);
        let oldest = state.readers.keys().next().copied().unwrap_or(u64::MAX);
        let count = state.going.partition_point(|(known_below, _)| *known_below <= oldest);
        let gone: Vec<PathBuf> = state.going.drain(..count).map(|(_, path)| path).collect();
        drop(state);
        for path in gone {
            let _ = self.disk.remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    #[test]
    fn a_file_stays_for_who_began_before_it_went_and_for_nobody_else() {
        let disk = SimDisk::new();
        let names = ["/a", "/b", "/c"].map(Path::new);
        for name in names {
            disk.create(name).expect("made");
        }
        let is_there = || names.map(|name| disk.bytes(name).is_some());
        let (pins, look) = (Pins::default(), || ((), vec![3, 4]));
        pins.remove(&disk, names[0]);
        assert_eq!(is_there(), [false, true, true], "nobody reads");
        let (first, ()) = pins.pin(&disk, look);
        assert_eq!(pins.generations(), [3, 4]);
        pins.remove(&disk, names[1]);
        let (second, ()) = pins.pin(&disk, look);
        pins.remove(&disk, names[2]);
        assert_eq!(is_there(), [false, true, true]);
        drop(first);
        assert_eq!(is_there(), [false, false, true], "the second one never knew of b");
        drop(second);
        assert_eq!(is_there(), [false, false, false]);
        assert!(pins.generations().is_empty());
    }
}
