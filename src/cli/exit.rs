//! Exit codes: the one place that gives a number a meaning, and a failure its number.
//!
//! `--help` of every verb and the README print [`help`]; a test holds the README to it. From 64 on
//! the numbers follow sysexits(3), so that scripts and service managers read them as usual.
#![forbid(unsafe_code)]

use crate::api::OperationCause;
use crate::api::OperationFailure;
use crate::api::OperatorError;
use crate::api::RemoteError;
use crate::facility::BackupError;
use crate::facility::CallError;
use crate::facility::OpenError;
use crate::facility::WatchError;
use crate::structure::Refusal;
use crate::wal::StoreError;
use std::fmt::Write as _;
use std::io;

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Refused = 1,
    Usage = 2,
    Corrupt = 65,
    NotAStore = 66,
    TooNew = 68,
    MustDecide = 69,
    Bug = 70,
    StorageFull = 73,
    StorageFailed = 74,
    Locked = 75,
}

impl Exit {
    /// Every code, its name for programs, and what it means.
    pub(crate) const TABLE: [(Self, &str, &str); 11] = [
        (Self::Done, "done", "done; a closed pipe on standard output too"),
        (Self::Refused, "refused", "refused: nothing was changed; the message says why"),
        (Self::Usage, "usage", "the command line was not understood"),
        (Self::Corrupt, "corrupt", "corrupt: log, MANIFEST, missing segment or digest; nothing was touched"),
        (Self::NotAStore, "not-a-store", "the directory is not a store, or its init was interrupted"),
        (Self::TooNew, "format-too-new", "the store was written by a newer format: use a newer portplex"),
        (Self::MustDecide, "operator-must-decide", "the store was copied or restored: say which with `store adopt`"),
        (Self::Bug, "bug", "a bug in portplex, or `dev` found duplicates: please report it"),
        (Self::StorageFull, "storage-full", "no room on the file system"),
        (
            Self::StorageFailed,
            "io-failed",
            "reading or writing failed, or no service answers; the outcome may be unknown",
        ),
        (Self::Locked, "locked", "another process has the store open"),
    ];

    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// The name that `--json` gives a failure.
    pub(crate) fn name(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map_or("unknown", |row| row.1)
    }
}

/// The table as `--help` shows it.
pub(crate) fn help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (exit, _, meaning) in Exit::TABLE {
        let _ = writeln!(text, "  {:>2}  {meaning}", exit.code());
    }
    text
}

/// What a store's error means for the caller of the binary.
fn of_store(error: &StoreError) -> Exit {
    match error {
        StoreError::Locked { .. } => Exit::Locked,
        StoreError::NotAStore { .. } => Exit::NotAStore,
        StoreError::FormatTooNew { .. } => Exit::TooNew,
        StoreError::StoreCopied { .. } => Exit::MustDecide,
        StoreError::ManifestCorrupt { .. }
        | StoreError::SegmentMissing { .. }
        | StoreError::CorruptLog { .. }
        | StoreError::CorruptPack { .. }
        | StoreError::CheckpointFile { .. }
        | StoreError::TailUnexpected { .. }
        | StoreError::BaseTooOld { .. } => Exit::Corrupt,
        StoreError::Full { .. } => Exit::StorageFull,
        StoreError::AlreadyAStore { .. }
        | StoreError::NotEmpty { .. }
        | StoreError::SegmentSize { .. }
        | StoreError::OtherStructure { .. }
        | StoreError::TooLarge { .. } => Exit::Refused,
        // Poisoned, LockLost, Io, and whatever a later release adds: the machine, or what it did.
        _ => Exit::StorageFailed,
    }
}

fn of_open(error: &OpenError) -> Exit {
    match error {
        OpenError::Store(error) => of_store(error),
        OpenError::NoUsableCheckpoint { .. } => Exit::Corrupt,
        // Every checksum held: the rules were broken before the bytes were written.
        OpenError::AuditFailed { .. } => Exit::Bug,
        OpenError::NetworkFileSystem { .. } => Exit::Refused,
        OpenError::NoThread { .. } => Exit::StorageFailed,
    }
}

/// What a service's answer, or its silence, means for the caller of the binary.
fn of_operator(error: &OperatorError) -> Exit {
    match error {
        OperatorError::Remote(
            RemoteError::NotHosted { .. } | RemoteError::Denied { .. } | RemoteError::Certificates { .. },
        )
        | OperatorError::Denied { .. }
        | OperatorError::NotUnderstood { .. } => Exit::Refused,
        OperatorError::Call(error) => Failure::Call(error.clone()).exit(),
        OperatorError::Operation(OperationFailure { cause, .. }) => match cause {
            OperationCause::Refused => Exit::Refused,
            OperationCause::Corrupt => Exit::Corrupt,
            OperationCause::StorageFull => Exit::StorageFull,
            _ => Exit::StorageFailed,
        },
        // Nobody answers: if the request was sent, its outcome is unknown.
        _ => Exit::StorageFailed,
    }
}

/// Why a verb could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Standard output could not be written. A closed pipe is no failure: see [`Failure::exit`].
    #[error("standard output cannot be written: {0}")]
    Output(#[source] io::Error),
    /// The facility turned a request down, or lost its storage.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An operator's act was turned down: where, and the way out.
    #[error("{place}: {refusal}{way_out}")]
    Refused {
        /// The store, and what in it.
        place: String,
        /// Why.
        refusal: Refusal,
        /// What to do, after a line feed; empty if the refusal says it.
        way_out: String,
    },
    /// The store was not opened, or was given up.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no copy to be relied on.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A watch ended before its time.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// An operator's call to a service came to nothing.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// Everything else: the code and the whole message.
    #[error("{message}")]
    Told {
        /// The code.
        exit: Exit,
        /// What, where, what to do.
        message: String,
    },
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Open(error.into())
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        Self::Operator(error.into())
    }
}

impl Failure {
    pub(crate) fn told(exit: Exit, message: impl Into<String>) -> Self {
        Self::Told { exit, message: message.into() }
    }

    /// The code it ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(error) if error.kind() == io::ErrorKind::StorageFull => Exit::StorageFull,
            Self::Output(_) => Exit::StorageFailed,
            Self::Call(CallError::Refused(Refusal::StorageFull))
            | Self::Refused { refusal: Refusal::StorageFull, .. } => Exit::StorageFull,
            Self::Call(CallError::Refused(_)) | Self::Refused { .. } => Exit::Refused,
            Self::Call(_) => Exit::StorageFailed,
            Self::Open(error) => of_open(error),
            Self::Backup(BackupError::Copy(error)) => of_store(error),
            Self::Backup(BackupError::Read(error)) => of_open(error),
            // It was written and read back, and differs: the disk.
            Self::Backup(_) => Exit::StorageFailed,
            Self::Watch(WatchError::Unreadable { source, .. }) => of_open(source),
            Self::Watch(_) => Exit::StorageFailed,
            Self::Operator(error) => of_operator(error),
            Self::Told { exit, .. } => *exit,
        }
    }

    /// The refusal's name, where it is one.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Call(CallError::Refused(refusal)) | Self::Refused { refusal, .. } => Some(refusal.name()),
            Self::Operator(OperatorError::Call(CallError::Refused(refusal))) => Some(refusal.name()),
            _ => None,
        }
    }

    /// Whether the reader of standard output went away: nothing is said about it.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_has_exactly_one_row() {
        let mut codes: Vec<u8> = Exit::TABLE.iter().map(|row| row.0.code()).collect();
        assert!(codes.is_sorted(), "people look a number up");
        codes.dedup();
        assert_eq!(codes, [0, 1, 2, 65, 66, 68, 69, 70, 73, 74, 75]);
        for (exit, name, meaning) in Exit::TABLE {
            assert_eq!(exit.name(), name);
            assert!(help().contains(&format!("{:>2}  {meaning}", exit.code())));
        }
    }

    #[test]
    fn a_closed_pipe_ends_well_and_a_full_disk_does_not() {
        let of = |kind| Failure::Output(io::Error::from(kind)).exit();
        assert_eq!(of(io::ErrorKind::BrokenPipe), Exit::Done);
        assert_eq!(of(io::ErrorKind::StorageFull), Exit::StorageFull);
        assert_eq!(of(io::ErrorKind::PermissionDenied), Exit::StorageFailed);
        let refused = Failure::from(CallError::Refused(Refusal::StorageFull));
        assert_eq!(refused.exit(), Exit::StorageFull);
        assert_eq!(Failure::from(CallError::Refused(Refusal::Closed)).exit(), Exit::Refused);
        assert_eq!(Failure::from(CallError::Gone).exit(), Exit::StorageFailed);
    }
}
