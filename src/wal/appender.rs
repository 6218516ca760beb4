//! The writer's end of the log: one frame, one write, one sync.
#![forbid(unsafe_code)]

use super::error::StoreError;
use super::keeper::ManifestKeeper;
use super::replay::Replayed;
use super::spare::SpareFiller;
use super::survey::Survey;
use super::watermark::WatermarkFile;
use crate::disk::Disk;
use crate::disk::LockGuard;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::WallMs;
use std::path::Path;
use std::sync::Arc;

/// What an open notes about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenStamp {
    /// The new history's id, drawn by the caller.
    pub history: HistoryId,
    /// This kernel boot.
    pub boot: BootId,
    /// The boot clock, in ms.
    pub boot_ms: BootMs,
    /// The wall time, in ms.
    pub wall: WallMs,
}

/// Where the log is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The tail's number.
    pub segment: u64,
    /// Where the next frame starts, in bytes.
    pub offset: u64,
}

/// The log while the store is open for writing; holds the lock.
#[derive(Debug)]
pub struct Appender {
    _private: (),
}

impl Appender {
    /// Makes an allowed open count: the frame above what is proven is encoded anew, MANIFEST gets
    /// the next epoch and the new history, then the watermark moves. `disk` is used as it is for
    /// the spare and behind a latch for everything else.
    ///
    /// # Errors
    /// [`StoreError::StoreCopied`] if `lock` is not the file that MANIFEST notes; I/O.
    pub fn begin(
        _disk: Arc<dyn Disk>,
        _dir: &Path,
        _survey: Survey,
        _replayed: Replayed,
        _stamp: OpenStamp,
        _lock: Box<dyn LockGuard>,
    ) -> Result<Self, StoreError> {
        todo!()
    }

    /// Appends one frame of `count` records and syncs it; returns its first lsn. The frame's wall
    /// time is `wall` or that of the frame before, whichever is later.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] changes nothing. Any other error is final: the outcome is unknown
    /// and every later call is refused with [`StoreError::Poisoned`].
    pub fn append(&mut self, _payload: &[u8], _count: u32, _wall: WallMs, _boot: BootMs) -> Result<Lsn, StoreError> {
        todo!()
    }

    /// Most bytes of payload in one frame.
    #[must_use]
    pub fn payload_max(&self) -> usize {
        todo!()
    }

    /// The lsn that the next record will get.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        todo!()
    }

    /// The last lsn that is durable.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        todo!()
    }

    /// The first lsn of this open's history.
    #[must_use]
    pub fn open_first(&self) -> Lsn {
        todo!()
    }

    /// This open's history.
    #[must_use]
    pub fn history(&self) -> HistoryId {
        todo!()
    }

    /// This open's epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        todo!()
    }

    /// Where the next frame goes.
    #[must_use]
    pub fn position(&self) -> Position {
        todo!()
    }

    /// Bytes of log written since this open, padding included.
    #[must_use]
    pub fn appended_bytes(&self) -> u64 {
        todo!()
    }

    /// Frames written since this open: one sync each.
    #[must_use]
    pub fn frames(&self) -> u64 {
        todo!()
    }

    /// MANIFEST, for the checkpointer.
    #[must_use]
    pub fn keeper(&self) -> Arc<ManifestKeeper> {
        todo!()
    }

    /// WATERMARK, for the thread that syncs it.
    #[must_use]
    pub fn watermark(&self) -> Arc<WatermarkFile> {
        todo!()
    }

    /// The spare, for the thread that fills it.
    #[must_use]
    pub fn spare(&self) -> Arc<SpareFiller> {
        todo!()
    }

    /// Seals the tail and starts the next segment, unless the tail has no frame: so that a
    /// checkpoint can work from sealed segments only.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn rotate(&mut self) -> Result<(), StoreError> {
        todo!()
    }

    /// Writes the clean mark, durably, and gives the lock back.
    ///
    /// # Errors
    /// I/O; the store is then as after a crash.
    pub fn close(self, _boot: BootMs) -> Result<(), StoreError> {
        todo!()
    }
}
