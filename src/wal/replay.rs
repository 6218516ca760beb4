//! Reading the log back: recovery, offline checks, and reading beside the writer.
#![forbid(unsafe_code)]

use super::error::LogFault;
use super::error::StoreError;
use super::manifest::ChainEnd;
use super::manifest::Manifest;
use super::survey::Survey;
use crate::disk::Disk;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::WallMs;
use std::error::Error;
use std::path::Path;
use std::path::PathBuf;

/// Where a frame is and what its header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// The lsn of its first record.
    pub first: Lsn,
    /// How many records it has, at least 1.
    pub count: u32,
    /// The highest lsn that was durable before it was written.
    pub durable: Lsn,
    /// The epoch of the open that wrote it.
    pub epoch: u64,
    /// The history it belongs to.
    pub history: HistoryId,
    /// Wall time in ms.
    pub wall: WallMs,
    /// Boot-clock time in ms, of its history's boot.
    pub boot: BootMs,
    /// The segment's file.
    pub path: PathBuf,
    /// The segment's number.
    pub segment: u64,
    /// Where it starts, in bytes.
    pub offset: u64,
}

impl FrameInfo {
    /// The lsn of its last record.
    #[must_use]
    pub const fn last(&self) -> Lsn {
        Lsn(self.first.0 + self.count as u64 - 1)
    }

    /// The error of a sink whose payload makes no sense at `lsn`.
    #[must_use]
    pub fn corrupt(&self, lsn: Lsn, source: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::CorruptLog {
            path: self.path.clone(),
            segment: self.segment,
            offset: self.offset,
            lsn,
            fault: LogFault::Payload(source.into()),
        }
    }
}

/// Takes frames in order; an error ends the walk and is handed on (see [`FrameInfo::corrupt`]).
pub type FrameSink<'a> = dyn FnMut(&FrameInfo, &[u8]) -> Result<(), StoreError> + 'a;

/// What a walk over the log found, after the sink got every frame that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The last lsn kept, and its crc.
    pub end: ChainEnd,
    /// The highest lsn proven durable, at most `end.lsn`.
    pub proven: Lsn,
    /// The one good frame above what is proven, if there is one: kept, to be encoded anew.
    pub above: Option<FrameInfo>,
    /// Bytes of a torn frame that are left out.
    pub torn_bytes: u64,
    /// Wall time of the last frame kept, in ms.
    pub wall: WallMs,
    /// Where the tail ends, in bytes: behind the last proven frame.
    pub offset: u64,
    /// What an operator should read.
    pub warnings: Vec<String>,
}

/// Walks the log above `base`, judging every misfit by the decision table of `storage-format.md`.
///
/// # Errors
/// [`StoreError::SegmentMissing`], [`StoreError::CorruptLog`], [`StoreError::TailUnexpected`],
/// [`StoreError::BaseTooOld`], the sink's own, I/O.
pub fn replay(
    _disk: &dyn Disk,
    _dir: &Path,
    _survey: &Survey,
    _base: Lsn,
    _sink: &mut FrameSink<'_>,
) -> Result<Replayed, StoreError> {
    todo!()
}

/// Reads the frames above `after` up to `upto`, which must be durable, beside a writer.
///
/// # Errors
/// As [`replay`]; anything that does not fit up to `upto` is corruption.
pub fn read_durable(
    _disk: &dyn Disk,
    _dir: &Path,
    _manifest: &Manifest,
    _after: Lsn,
    _upto: Lsn,
    _sink: &mut FrameSink<'_>,
) -> Result<(), StoreError> {
    todo!()
}

/// What a full check read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What an open would find.
    pub replayed: Replayed,
    /// Segments read.
    pub segments: u64,
    /// Frames read.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Reads every listed segment from its first byte to its end, below the checkpoints too, and checks
/// that every frame encodes to the same bytes again. Changes nothing. Also what `log dump` walks.
///
/// # Errors
/// As [`replay`], with every misfit below a sealed end as corruption.
pub fn verify(
    _disk: &dyn Disk,
    _dir: &Path,
    _survey: &Survey,
    _sink: &mut FrameSink<'_>,
) -> Result<Verified, StoreError> {
    todo!()
}
