//! The structure as of one lsn, so that recovery need not replay the whole log.
//!
//! A checkpoint is a cache of the log, never the truth: whatever is wrong with one is an error that
//! the caller answers by taking an older one and replaying more. It counts only after it was
//! [proven](write()): synced, read back from the disk, opened as a copy and compared; and only with
//! the [`Proof`] that this gave, which the caller puts in MANIFEST.
//!
//! The rows are kept by a [`CheckpointStore`]: [`SledStore`] in real files, and, with the feature
//! `sim`, `FlatStore` through [`Disk`], so that the simulated disk can lose it.
//! Neither is trusted: all proof is in the code that both share.
#![forbid(unsafe_code)]

mod error;
mod files;
#[cfg(any(test, feature = "sim"))]
mod flat_store;
mod load;
mod row;
mod scratch;
mod sled_store;
mod write;

pub use error::CheckpointError;
pub use files::{remove, sweep};
#[cfg(any(test, feature = "sim"))]
pub use flat_store::FlatStore;
pub use load::{Loaded, load};
pub use sled_store::SledStore;
pub use write::write;

use crate::disk::Disk;
use crate::ident::Lsn;
use std::fmt;
use std::path::Path;

/// What proves a checkpoint: MANIFEST keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Names the directory; never used twice.
    pub generation: u64,
    /// The last lsn that is in it.
    pub lsn: Lsn,
    /// Number of items.
    pub count: u64,
    /// [`ContentDigest::hash`](crate::record::ContentDigest) of the items.
    pub digest: [u8; 32],
    /// Every file, sorted by path.
    pub files: Vec<FileProof>,
}

/// What proves one file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileProof {
    /// Path below the generation's directory, parts separated by `/`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 of its bytes.
    pub digest: [u8; 32],
}

/// Gets rows, in ascending order of their keys.
pub type RowSink<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), CheckpointError> + 'a;
/// Gives rows, in ascending order of their keys.
pub type RowSource<'a> = dyn Iterator<Item = Result<(Vec<u8>, Vec<u8>), CheckpointError>> + 'a;

/// What keeps rows in files. It need not make anything durable and is not believed.
pub trait CheckpointStore: Send + Sync + fmt::Debug {
    /// Writes all rows into files in `dir`, an empty directory, and closes them.
    ///
    /// # Errors
    /// [`CheckpointError`] of the backend, or the first error of the source.
    fn write(&self, disk: &dyn Disk, dir: &Path, rows: &mut RowSource<'_>) -> Result<(), CheckpointError>;

    /// Begins a private copy, so that reading cannot change the original.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if there is no room for one.
    fn copy(&self) -> Result<Box<dyn PrivateCopy>, CheckpointError>;
}

/// A private copy of a checkpoint's files, gone when it is dropped.
pub trait PrivateCopy: fmt::Debug {
    /// Appends bytes to the file at `path` (parts separated by `/`); no bytes make an empty file.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if there is no room.
    fn append(&mut self, path: &str, bytes: &[u8]) -> Result<(), CheckpointError>;

    /// Gives every row to `sink`, in ascending order of their keys.
    ///
    /// # Errors
    /// [`CheckpointError`] of the backend, or the first error of the sink.
    fn read(self: Box<Self>, sink: &mut RowSink<'_>) -> Result<(), CheckpointError>;
}
