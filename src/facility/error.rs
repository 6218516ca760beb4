//! Why a store did not open.
#![forbid(unsafe_code)]

use crate::ident::Lsn;
use crate::wal::StoreError;
use std::path::PathBuf;

/// Why a store did not open. After any of these the directory is as it was, LOCK apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store itself: missing, locked, newer, damaged, or the machine failed to read it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No checkpoint can be believed and the log does not reach back to the first record.
    #[error(
        "{}: no checkpoint can be believed ({}) and the log starts at lsn {log_first}; restore a backup",
        dir.display(),
        reasons.join("; ")
    )]
    NoUsableCheckpoint {
        /// The store.
        dir: PathBuf,
        /// The first lsn that the log still has.
        log_first: Lsn,
        /// What is wrong with each checkpoint.
        reasons: Vec<String>,
    },
    /// Everything was read, and the state it makes breaks the structure's own rules.
    #[error(
        "{}: the state at lsn {lsn} breaks the structure's rules ({}); keep the directory and report a bug",
        dir.display(),
        faults.join("; ")
    )]
    AuditFailed {
        /// The store.
        dir: PathBuf,
        /// The last lsn read.
        lsn: Lsn,
        /// What is broken.
        faults: Vec<String>,
    },
    /// The directory is on another machine: neither its locks nor its syncs are to be relied on.
    #[error("{} is on a network file system ({name}): use a local disk, or force it with --allow-network-fs (`Options::allow_network`): a lock or a sync may not hold there", dir.display())]
    NetworkFileSystem {
        /// The directory.
        dir: PathBuf,
        /// The kind of file system.
        name: &'static str,
    },
    /// The operating system did not give a thread.
    #[error("no thread could be started: {source}")]
    NoThread {
        /// Why.
        source: std::io::Error,
    },
}
