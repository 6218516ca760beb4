//! Why a store cannot be opened, read or written: each error says what, where and what to do.
#![forbid(unsafe_code)]

use crate::disk::Shortage;
use crate::ident::Lsn;
use crate::ident::StructureName;
use std::error::Error;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// What went wrong with a store. After any of these from an open, the directory is byte for byte
/// as it was (LOCK apart).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the store open.
    #[error("{} is locked by another process: stop it, or wait until it has closed the store", path.display())]
    Locked {
        /// The LOCK file.
        path: PathBuf,
    },
    /// Not a store, or one whose `init` never finished.
    #[error("{} is not a store ({}): check the path, or make one with `portplex store init`", dir.display(), why.text())]
    NotAStore {
        /// The directory.
        dir: PathBuf,
        /// What is missing.
        why: NotAStore,
    },
    /// `init` found a complete store.
    #[error("{} is a store already: nothing was changed", dir.display())]
    AlreadyAStore {
        /// The directory.
        dir: PathBuf,
    },
    /// `init` found something else in the directory.
    #[error("{} holds {name:?}, which is none of init's own files: choose an empty directory", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
        /// The first thing found.
        name: String,
    },
    /// A creation option outside its limits.
    #[error("a segment of {size} bytes is not possible: use a multiple of 4096 from 16384 to 1073741824")]
    SegmentSize {
        /// What was asked for, in bytes.
        size: u64,
    },
    /// Written by a newer release.
    #[error("{} has format {found}, this release knows up to {known}: use the newer release", path.display())]
    FormatTooNew {
        /// The file that says so.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// Neither copy of MANIFEST can be believed.
    #[error("{} cannot be believed: {why}; restore the directory from a backup", path.display())]
    ManifestCorrupt {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: ManifestFault,
    },
    /// LOCK is not the file that MANIFEST notes.
    #[error(
        "{} was copied, moved or restored (LOCK has inode {found}, MANIFEST notes {noted}): if it was moved and the \
         original is gone, run `portplex store adopt {} --moved`; if it comes from a backup, --restored; if the original \
         goes on, --copy", dir.display(), dir.display()
    )]
    StoreCopied {
        /// The directory.
        dir: PathBuf,
        /// The inode that MANIFEST notes.
        noted: u64,
        /// The inode that LOCK has.
        found: u64,
    },
    /// The directory holds another structure.
    #[error("{} holds structure {found}, not {expected}: give each structure a directory of its own", dir.display())]
    OtherStructure {
        /// The directory.
        dir: PathBuf,
        /// What MANIFEST says.
        found: StructureName,
        /// What was asked for.
        expected: StructureName,
    },
    /// A segment that MANIFEST lists is not there.
    #[error("{} is missing (lsn {first} and up): put the file back, or restore the directory from a backup", path.display())]
    SegmentMissing {
        /// The file.
        path: PathBuf,
        /// Its number.
        segment: u64,
        /// The lowest lsn it may hold.
        first: Lsn,
    },
    /// Durable data is damaged.
    #[error(
        "{} is damaged at offset {offset} (lsn {lsn}): {fault}; nothing was changed, restore the directory from a backup",
        path.display()
    )]
    CorruptLog {
        /// The file.
        path: PathBuf,
        /// The segment's number.
        segment: u64,
        /// Where the misfit starts, in bytes.
        offset: u64,
        /// The lsn that should be there.
        lsn: Lsn,
        /// What does not fit.
        fault: LogFault,
    },
    /// A pack is damaged: history.
    #[error(
        "{} is damaged at offset {offset} (lsn {lsn} and up): {fault}; it is packed history: put the file back from a \
         backup, or leave it, the state does not need it as long as a checkpoint is good", path.display()
    )]
    CorruptPack {
        /// The file.
        path: PathBuf,
        /// Where the misfit starts, in bytes.
        offset: u64,
        /// The lowest lsn concerned.
        lsn: Lsn,
        /// What does not fit.
        fault: super::pack::PackFault,
    },
    /// Packing was told to stop; nothing was changed.
    #[error("{} was not finished: it is tried again", path.display())]
    Stopped {
        /// The pack.
        path: PathBuf,
    },
    /// Bytes where no crash can have left any.
    #[error(
        "{} has bytes at offset {found}, too far behind the end of the log (offset {offset}, lsn {lsn}) for a torn \
         frame; nothing was changed, restore the directory from a backup", path.display()
    )]
    TailUnexpected {
        /// The file.
        path: PathBuf,
        /// The segment's number.
        segment: u64,
        /// Where the log ends, in bytes.
        offset: u64,
        /// The lsn that would come next.
        lsn: Lsn,
        /// Offset of the last byte that is not zero.
        found: u64,
    },
    /// The log does not reach back to where a reader wants to start.
    #[error("{} has no records from lsn {wanted} on (the oldest is {oldest}): no usable checkpoint covers them", dir.display())]
    BaseTooOld {
        /// The directory.
        dir: PathBuf,
        /// The first lsn that is needed.
        wanted: Lsn,
        /// The first lsn that the oldest segment may hold.
        oldest: Lsn,
    },
    /// A payload that no frame can hold.
    #[error("{size} bytes and {count} records do not fit a frame of at most {size_max} bytes and at least one record")]
    TooLarge {
        /// Bytes of payload.
        size: usize,
        /// Records in it.
        count: u32,
        /// Most bytes a frame takes.
        size_max: usize,
    },
    /// Room is wanting, and nothing was changed: the same call may be tried again. Never final; where
    /// the outcome of a write is unknown it is [`Io`](Self::Io), whatever the system said.
    #[error("cannot {operation} {}: {shortage}", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// What was tried.
        operation: Operation,
        /// What is wanting.
        shortage: Shortage,
        /// What the system said.
        source: io::Error,
    },
    /// The file system is mounted read-only: the store can be read, not opened for writing.
    #[error("{} is on a read-only file system (EROFS): mount it for writing; nothing was changed", path.display())]
    ReadOnly {
        /// The file that cannot be written.
        path: PathBuf,
    },
    /// A file of a checkpoint that is not what MANIFEST says.
    #[error("{} is not what MANIFEST says: its size or digest differs; make a new checkpoint first", path.display())]
    CheckpointFile {
        /// The file.
        path: PathBuf,
    },
    /// A write failed before; the outcome of what was in flight is unknown.
    #[error("{} was given up after a failed write: open the store again", dir.display())]
    Poisoned {
        /// The directory.
        dir: PathBuf,
    },
    /// The file that is locked is no longer the one named LOCK.
    #[error("{} was replaced or removed while it was held: another process may write; stopped", path.display())]
    LockLost {
        /// The LOCK file.
        path: PathBuf,
    },
    /// The machine failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        operation: Operation,
        /// What the system said.
        source: io::Error,
    },
}

/// What was tried when the system failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Make.
    Create,
    /// Open.
    Open,
    /// Read.
    Read,
    /// Write.
    Write,
    /// Sync.
    Sync,
    /// Rename.
    Rename,
    /// Exchange.
    Exchange,
    /// Remove.
    Remove,
    /// Cut.
    Truncate,
    /// List.
    List,
    /// Lock.
    Lock,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Exchange => "exchange",
            Self::Remove => "remove",
            Self::Truncate => "truncate",
            Self::List => "list",
            Self::Lock => "lock",
        })
    }
}

/// Why a directory is no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAStore {
    /// No such directory, or no LOCK in it.
    NoLock,
    /// LOCK is there, MANIFEST never was: `init` was interrupted.
    InitUnfinished,
    /// There is a file named LOCK, and nothing else of a store.
    NoManifest,
}

impl NotAStore {
    const fn text(self) -> &'static str {
        match self {
            Self::NoLock => "there is no LOCK file",
            Self::InitUnfinished => "its init was interrupted",
            Self::NoManifest => "there is no MANIFEST file",
        }
    }
}

/// Why a MANIFEST is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestFault {
    /// There is no such file.
    #[error("it is missing")]
    Missing,
    /// Not a MANIFEST at all.
    #[error("it does not start as a MANIFEST does")]
    Magic,
    /// Shorter or longer than it says.
    #[error("it has {found} bytes and says {expected}")]
    Size {
        /// What the length field says.
        expected: u64,
        /// How long the file is.
        found: u64,
    },
    /// A bad digest.
    #[error("its digest does not match")]
    Digest,
    /// Bytes behind its end that are not zero.
    #[error("it has bytes behind its end that are not zero")]
    Padding,
    /// A field that cannot be, under a good digest.
    #[error("its field {field} at offset {offset} is impossible")]
    Field {
        /// Which.
        field: &'static str,
        /// Where it ends, in bytes.
        offset: usize,
    },
    /// The two copies contradict each other.
    #[error("it and its copy contradict each other")]
    Contradiction,
    /// Only one copy is good, and the store went on after it was written.
    #[error("it is the only good copy, and {name} is younger than it")]
    Stale {
        /// The file that proves it.
        name: String,
    },
    /// Something was written by a later open than it knows.
    #[error("it knows epoch {known}, and {name} was written in epoch {found}")]
    Epoch {
        /// The file that proves it.
        name: String,
        /// MANIFEST's epoch.
        known: u64,
        /// The younger one.
        found: u64,
    },
}

/// What does not fit in a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogFault {
    /// A segment of neither its full nor its sealed size.
    #[error("the file has {found} bytes, expected {expected}")]
    FileSize {
        /// What MANIFEST says.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// A bad header block.
    #[error("the header block is bad: {0}")]
    Header(#[from] super::segment::HeaderFault),
    /// A bad frame.
    #[error("{0}")]
    Frame(#[from] super::frame::FrameFault),
    /// A sealed segment that does not end as MANIFEST says.
    #[error("the log ends with lsn {found}, MANIFEST says {expected}")]
    SealedEnd {
        /// The sealed end.
        expected: Lsn,
        /// The last lsn found.
        found: Lsn,
    },
    /// The last crc of a sealed segment is another one.
    #[error("the last crc is {found:#010x}, MANIFEST says {expected:#010x}")]
    SealedCrc {
        /// The sealed crc.
        expected: u32,
        /// The one found.
        found: u32,
    },
    /// Records up to this lsn are known to have been durable.
    #[error("the log ends here, but lsn {proven} was durable ({found})")]
    DurableMissing {
        /// The highest lsn proven durable.
        proven: Lsn,
        /// What is there instead.
        found: super::frame::FrameFault,
    },
    /// A good frame whose payload makes no sense.
    #[error("the payload makes no sense: {0}")]
    Payload(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// What the system said about a path where nothing relies on the outcome: want of room is told
    /// apart.
    pub(crate) fn io(path: &Path, operation: Operation, source: io::Error) -> Self {
        let path = path.to_owned();
        match Shortage::of(&source) {
            Some(shortage) => Self::Full { path, operation, shortage, source },
            None => Self::Io { path, operation, source },
        }
    }

    /// What the system said about a path where the outcome is unknown from now on: final.
    pub(crate) fn failed(path: &Path, operation: Operation, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), operation, source }
    }

    /// Whether it is want of room: nothing was changed, and the call may be tried again.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}
