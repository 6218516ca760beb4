//! The only door to files.
//!
//! Everything that the store reads or writes goes through [`Disk`], except sled's own files (the
//! checkpoint's copy proves those). The trait has three implementations: [`RealDisk`], a latch that
//! makes the first failure final, and, with the feature `sim`, a simulated disk that keeps what is
//! visible apart from what is durable, for bytes and for directory entries.
//!
//! What is assumed of the disk is written down in `storage-format.md`.
#![forbid(unsafe_code)]

pub mod advice;

mod latch;
mod real;
mod shortage;
#[cfg(any(test, feature = "sim"))]
pub mod sim;

pub use advice::Advice;
pub use latch::LatchDisk;
pub use real::RealDisk;
pub use shortage::NoInodes;
pub use shortage::Shortage;

use std::fmt;
use std::io;
use std::path::Path;

/// A file system as the store uses it. Paths are absolute or relative to the process; no call
/// follows up on another: durability of a name needs [`sync_dir`](Self::sync_dir).
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes one directory; fails with `AlreadyExists`.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a new empty file open for reading and writing; fails with `AlreadyExists`.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that exists.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;
    /// Renames within one file system, replacing what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Exchanges two names of one file system that both exist: each has the other's file afterwards.
    /// Fails with `Unsupported` where the file system cannot.
    fn exchange(&self, first: &Path, second: &Path) -> io::Result<()>;
    /// Removes one file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes one empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// What a directory has, sorted by name.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Tries to lock a file that exists (flock; the descriptor is close-on-exec). `None`: somebody
    /// else holds it. Never creates the file, never waits.
    fn try_lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn LockGuard>>>;
    /// The inode number, following symlinks.
    fn inode(&self, path: &Path) -> io::Result<u64>;
    /// The magic number of the file system that a path is on (see [`Advice`]).
    fn file_system(&self, path: &Path) -> io::Result<u64>;
}

/// One open file. Positioned calls only; short reads and writes and EINTR are handled inside, with a
/// bound on progress: a write that makes none is an error.
#[allow(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Fills `bytes` from `offset`, as far as the file goes; returns how many were read.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// fdatasync: bytes and the size needed to read them.
    fn sync_data(&self) -> io::Result<()>;
    /// fsync: bytes and all metadata.
    fn sync_all(&self) -> io::Result<()>;
    /// Cuts or extends with zeros.
    fn set_len(&self, size: u64) -> io::Result<()>;
    /// The size in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Asks the page cache to forget this file, so that the next read comes from the disk.
    fn drop_cache(&self) -> io::Result<()>;
}

/// What an open file may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// How a file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Readers together.
    Shared,
    /// One writer alone.
    Exclusive,
}

/// A lock held; it goes with the value, or with the process.
pub trait LockGuard: Send + Sync + fmt::Debug {
    /// The inode of the file that is locked.
    fn inode(&self) -> u64;
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name; names that are not UTF-8 are shown with replacement characters.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Its size in bytes.
    pub size: u64,
}
