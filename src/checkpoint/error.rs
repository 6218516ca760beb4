//! Why a checkpoint cannot be made or believed.
#![forbid(unsafe_code)]

use crate::record::RecordError;
use std::error::Error;
use std::io;
use std::path::PathBuf;

/// Why a checkpoint could not be written, or is not believed. Nothing is lost by either: the log
/// still has everything that the checkpoint would have had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file or directory could not be read or written.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that belongs to the checkpoint is not there.
    #[error("checkpoint file {} is missing", path.display())]
    FileMissing {
        /// The file.
        path: PathBuf,
    },
    /// A file is there that does not belong to the checkpoint.
    #[error("{} does not belong to the checkpoint", path.display())]
    FileUnexpected {
        /// The file.
        path: PathBuf,
    },
    /// A file has another size than when it was proven.
    #[error("checkpoint file {} has {found} bytes, {expected} were proven", path.display())]
    FileSize {
        /// The file.
        path: PathBuf,
        /// Bytes proven.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A file has other bytes than when it was proven.
    #[error("checkpoint file {} differs from what was proven (BLAKE3)", path.display())]
    FileDigest {
        /// The file.
        path: PathBuf,
    },
    /// A directory is nested deeper or has more files than any checkpoint.
    #[error("{} has more in it than any checkpoint", path.display())]
    TooMuch {
        /// The directory.
        path: PathBuf,
    },
    /// The backend failed.
    #[error("cannot {operation} the checkpoint database in {}: {source}", path.display())]
    Backend {
        /// What was tried.
        operation: &'static str,
        /// The directory of the database, or of its copy.
        path: PathBuf,
        /// What the backend said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The backend panicked.
    #[error("the checkpoint database in {} failed: panic while it was to {operation}", path.display())]
    Panicked {
        /// What was tried.
        operation: &'static str,
        /// The directory of the database, or of its copy.
        path: PathBuf,
    },
    /// A row whose key cannot stand at its place: one is missing, doubled, or not ours.
    #[error("row {number} of the checkpoint has an unexpected key")]
    Key {
        /// Which row, from 0.
        number: u64,
    },
    /// A row that does not say what it should.
    #[error("row {number} of the checkpoint: {source}")]
    Row {
        /// Which row, from 0.
        number: u64,
        /// What is wrong.
        source: RecordError,
    },
    /// The rows end without the seal.
    #[error("the checkpoint has no seal: it is not complete")]
    Unsealed,
    /// The seal is of another version of the format.
    #[error("the checkpoint is of format {found}, this release reads {known}")]
    Version {
        /// Its version.
        found: u16,
        /// The version this release reads.
        known: u16,
    },
    /// Something that was proven is not what was found.
    #[error("the checkpoint's {what} is not what was proven")]
    Content {
        /// Generation, lsn, item count, content digest, row count, history count or digest.
        what: &'static str,
    },
}
