//! What an operator may ask of a store as a whole, beside its structure's requests.
//!
//! Whoever hosts a structure says how ([`Operations`]); the server only carries it.
#![forbid(unsafe_code)]

use crate::ident::Lsn;
use crate::ident::Target;
use crate::ident::WallMs;
use std::fmt;
use std::path::Path;

/// The operations of one structure's store. They may take long, and are called from threads that may wait.
pub trait Operations: Send + Sync {
    /// Copies the store as it is durable now into a directory that is missing or empty, and proves the copy.
    ///
    /// # Errors
    /// [`OperationFailure`]; the directory is then no store, or not one to be relied on.
    fn backup(&self, to: &Path) -> Result<BackedUp, OperationFailure>;

    /// Makes a checkpoint of everything durable.
    ///
    /// # Errors
    /// [`OperationFailure`].
    fn checkpoint(&self) -> Result<Lsn, OperationFailure>;

    /// Reads the log for who had a port.
    ///
    /// # Errors
    /// [`OperationFailure`]; `Refused` if the log names no such list.
    fn who(&self, asked: &WhoAsked) -> Result<WhoFound, OperationFailure>;
}

/// A backup that was made and proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// The last lsn in it.
    pub lsn: Lsn,
    /// Count and digest of its content.
    pub digest: String,
    /// How long it took, ms.
    pub took_ms: u64,
}

/// A port, and the time asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhoAsked {
    /// The list.
    pub target: Target,
    /// The port.
    pub port: u16,
    /// The time; `None`: all times.
    pub at: Option<WallMs>,
    /// Most holders that are told, the newest ones: 1 to [`LIMIT_MAX`](Self::LIMIT_MAX).
    pub limit: u32,
}

impl WhoAsked {
    /// Most holders that may be asked for.
    pub const LIMIT_MAX: u32 = 1_000_000;
}

/// Who had a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhoFound {
    /// `held`, `quarantined`, `free` or `unknown`.
    pub state: String,
    /// In one sentence.
    pub answer: String,
    /// All of it, for people.
    pub text: String,
    /// All of it, for programs: one JSON object.
    pub json: String,
    /// What is to be known of the log that was read.
    pub warnings: Vec<String>,
}

/// Why an operation came to nothing. The structure goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct OperationFailure {
    /// Who must act.
    pub cause: OperationCause,
    /// What, where, what to do.
    pub text: String,
}

/// Why, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperationCause {
    /// It cannot be as it was asked for.
    Refused,
    /// Durable bytes are not what was written.
    Corrupt,
    /// There is no room.
    StorageFull,
    /// Reading or writing failed.
    IoFailed,
}

impl fmt::Display for OperationCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Corrupt => "corrupt",
            Self::StorageFull => "storage-full",
            Self::IoFailed => "io-failed",
        })
    }
}
