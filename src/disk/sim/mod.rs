//! A disk in memory that loses power, runs full and fails on demand.
//!
//! It keeps what is *visible* (what a read shows) apart from what is *durable* (what a power cut
//! leaves), for the bytes of files in sectors of 512 bytes, for their sizes, and for the entries of
//! directories. A sync of a file makes its bytes and size durable, a sync of a directory its
//! entries. After a power cut every change that was not synced is there or not, each by itself.
//!
//! Nothing here depends on time, threads or addresses: equal calls give an equal disk.
#![forbid(unsafe_code)]

mod content;
mod handle;
mod loss;
mod moment;
mod node;
mod state;

pub use loss::Loss;
pub use moment::{Cuts, Moment};

use super::Access;
use super::Disk;
use crate::threads::Mutex;
use state::State;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The size of a sector in bytes: what a power cut keeps or loses as one.
pub const SECTOR_SIZE: usize = 512;

/// What a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A read of bytes.
    Read,
    /// A write of bytes.
    Write,
    /// A sync of a file or of a directory.
    Sync,
    /// Any other change.
    Change,
    /// Any other look.
    Look,
}

impl Call {
    const fn is_change(self) -> bool {
        matches!(self, Self::Write | Self::Sync | Self::Change)
    }
}

/// What goes wrong with a call. Those that say nothing of an error let the call succeed, and change
/// nothing where they make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call does nothing and fails with this errno.
    Errno(i32),
    /// A write keeps this many of its bytes, then fails with this errno; other calls do nothing.
    ShortWrite {
        /// Bytes written.
        kept: usize,
        /// The errno.
        errno: i32,
    },
    /// A sync fails and what was unsynced stays visible without ever becoming durable; other calls
    /// do nothing.
    SyncMarkedClean {
        /// The errno.
        errno: i32,
    },
    /// A read ends early.
    ShortRead {
        /// Bytes read, at most.
        kept: usize,
    },
    /// A write is visible as long as it is in the page cache, and never reaches the disk.
    LostWrite,
    /// As `LostWrite`, and the bytes reach another place of the same file.
    MisdirectedWrite {
        /// How far away, in bytes.
        by: usize,
    },
    /// A read shows what was durable before the last sync of the file that changed something.
    StaleRead,
    /// The first sector that a write means reaches the disk as zeros; the one that a read means has
    /// become zeros.
    ZeroedSector,
}

/// A disk in memory. A clone is another handle on the same disk; [`fork`](Self::fork) is a copy.
#[derive(Clone, Debug)]
pub struct SimDisk {
    shared: Arc<Mutex<State>>,
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk: a root directory.
    #[must_use]
    pub fn new() -> Self {
        Self::from_state(State::new())
    }

    fn from_state(state: State) -> Self {
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// How many changes were made so far: creates, writes, syncs, renames, removes, cuts.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.shared.lock().changes
    }

    /// How many calls were made so far, reads and lookups included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.shared.lock().calls
    }

    /// Cuts the power before the change with this number (the first one is 0): it and every call
    /// after it fail.
    pub fn cut_at(&self, change: u64) {
        self.shared.lock().cut_at = Some(change);
    }

    /// Cuts the power now.
    pub fn cut(&self) {
        self.shared.lock().is_dead = true;
    }

    /// Whether the power is cut.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.shared.lock().is_dead
    }

    /// Notes what every call from now on is; see [`log`](Self::log).
    pub fn keep_log(&self) {
        self.shared.lock().log = Some(Vec::new());
    }

    /// What each call was since [`keep_log`](Self::keep_log), in order.
    #[must_use]
    pub fn log(&self) -> Vec<Call> {
        self.shared.lock().log.clone().unwrap_or_default()
    }

    /// Makes the call with this number (the first one is 0) fail.
    pub fn fail_at(&self, call: u64, fault: Fault) {
        self.shared.lock().faults.insert(call, fault);
    }

    /// Makes every call from this number on fail.
    pub fn fail_from(&self, call: u64, fault: Fault) {
        self.shared.lock().fails_from = Some((call, fault));
    }

    /// Keeps what is there before each change from now on; see [`take_moments`](Self::take_moments).
    pub fn keep_moments(&self) {
        self.shared.lock().moments = Some(Vec::new());
    }

    /// What was there before each change since [`keep_moments`](Self::keep_moments), and what is
    /// there now; none are kept from now on.
    #[must_use]
    pub fn take_moments(&self) -> Vec<Moment> {
        let mut state = self.shared.lock();
        let now = state.moment();
        let mut moments = state.moments.take().unwrap_or_default();
        moments.push(now);
        moments
    }

    /// Lets all files together have at most this many bytes; more is "no space left".
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared.lock().capacity = bytes;
    }

    /// Whether two names can be exchanged (they can at first).
    pub fn set_exchanging(&self, can_exchange: bool) {
        self.shared.lock().character.can_exchange = can_exchange;
    }

    /// Makes it pass for the file system with this magic number (ext4 at first).
    pub fn set_file_system(&self, magic: u64) {
        self.shared.lock().character.file_system = magic;
    }

    /// Makes syncs succeed without making anything durable.
    pub fn set_lying(&self, lies: bool) {
        self.shared.lock().lies = lies;
    }

    /// How many changes a power cut could keep or lose, each by itself: sectors that differ, sizes,
    /// directory entries.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.shared.lock().unsynced()
    }

    /// The disk after a power cut: what is durable, plus what `loss` keeps of the rest. This disk
    /// stays as it is; nothing is locked on the new one.
    #[must_use]
    pub fn after_power_cut(&self, loss: &Loss) -> Self {
        Self::from_state(self.shared.lock().after_power_cut(loss))
    }

    /// The disk as a process killed now leaves it: what was written stays visible, locks are gone.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        Self::from_state(self.shared.lock().after_kill())
    }

    /// A copy of this disk with the same inodes, without locks, faults and counts.
    #[must_use]
    pub fn fork(&self) -> Self {
        self.after_kill()
    }

    /// Makes everything visible durable.
    pub fn settle(&self) {
        self.shared.lock().settle();
    }

    /// All files with what a read shows.
    #[must_use]
    pub fn image(&self) -> BTreeMap<PathBuf, Arc<Vec<u8>>> {
        self.shared.lock().image()
    }

    /// The visible bytes of a file; `None` if there is no such file.
    #[must_use]
    pub fn bytes(&self, path: &Path) -> Option<Arc<Vec<u8>>> {
        self.shared.lock().bytes(path)
    }

    /// Replaces the bytes of a file, durably, making it if it is missing (not its directory).
    ///
    /// # Errors
    /// If there is no such directory.
    pub fn set_bytes(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        self.shared.lock().set_bytes(path, bytes)
    }

    /// Flips one bit of a file, durably; `false` if there is no such bit.
    pub fn flip(&self, path: &Path, bit: u64) -> bool {
        self.shared.lock().flip(path, bit)
    }

    /// Gives a file another inode, as a copy would have.
    pub fn change_inode(&self, path: &Path) -> bool {
        self.shared.lock().change_inode(path)
    }

    /// A reader on the file, for tests that want one without naming the trait.
    ///
    /// # Errors
    /// As [`Disk::open`].
    pub fn reader(&self, path: &Path) -> io::Result<Box<dyn super::DiskFile>> {
        self.open(path, Access::Read)
    }
}

#[cfg(test)]
mod tests;
