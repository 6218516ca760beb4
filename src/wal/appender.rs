//! The writer's end of the log: one frame, one write, one sync.
//!
//! A failed write or sync is final: nothing is retried, read or cut, and every later call is
//! refused. The next open finds out what is on the disk.
#![forbid(unsafe_code)]

use super::begin;
use super::constants::BLOCK_SIZE;
use super::constants::frame_size;
use super::constants::payload_size_max;
use super::error::Operation;
use super::error::StoreError;
use super::frame;
use super::frame::FrameHeader;
use super::keeper::ManifestKeeper;
use super::manifest::ChainEnd;
use super::manifest::Seal;
use super::manifest::SegmentEntry;
use super::replay::Replayed;
use super::segment;
use super::segment::SegmentHeader;
use super::spare::SpareFiller;
use super::survey::Survey;
use super::watermark::WatermarkFile;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::DiskFile;
use crate::disk::LockGuard;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::WallMs;
use std::path::Path;
use std::path::PathBuf;
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
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) keeper: Arc<ManifestKeeper>,
    pub(super) watermark: Arc<WatermarkFile>,
    pub(super) spare: Arc<SpareFiller>,
    pub(super) stamp: OpenStamp,
    pub(super) epoch: u64,
    pub(super) open_first: Lsn,
    pub(super) tail: Tail,
    pub(super) next: Lsn,
    pub(super) wall: WallMs,
    pub(super) frames: u64,
    pub(super) appended_bytes: u64,
    pub(super) is_poisoned: bool,
    pub(super) buffer: Vec<u8>,
    pub(super) _lock: Box<dyn LockGuard>,
}

/// The segment being written.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) path: PathBuf,
    pub(super) number: u64,
    pub(super) size: u64,
    pub(super) salt: u32,
    pub(super) offset: u64,
    /// What the next frame continues.
    pub(super) end: ChainEnd,
}

impl Appender {
    /// Makes an allowed open count: the frame above what is proven is encoded anew, MANIFEST gets
    /// the next epoch and the new history, then the watermark moves. `disk` is used as it is for
    /// the spare and for removing what nothing lists, behind a latch for everything else.
    ///
    /// # Errors
    /// [`StoreError::StoreCopied`] if `lock` is not the file that MANIFEST notes; I/O.
    pub fn begin(
        disk: Arc<dyn Disk>,
        dir: &Path,
        survey: Survey,
        replayed: Replayed,
        stamp: OpenStamp,
        lock: Box<dyn LockGuard>,
    ) -> Result<Self, StoreError> {
        begin::begin(disk, dir, survey, replayed, stamp, lock)
    }

    /// Appends one frame of `count` records and syncs it; returns its first lsn. The frame's wall
    /// time is `wall` or that of the frame before, whichever is later.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] changes nothing. Any other error is final: the outcome is unknown
    /// and every later call is refused with [`StoreError::Poisoned`].
    pub fn append(&mut self, payload: &[u8], count: u32, wall: WallMs, boot: BootMs) -> Result<Lsn, StoreError> {
        self.check_usable()?;
        let size_max = self.payload_max();
        if payload.is_empty() || count == 0 || payload.len() > size_max {
            return Err(StoreError::TooLarge { size: payload.len(), count, size_max });
        }
        self.is_poisoned = true;
        let first = self.append_checked(payload, count, wall, boot)?;
        self.is_poisoned = false;
        Ok(first)
    }

    fn append_checked(&mut self, payload: &[u8], count: u32, wall: WallMs, boot: BootMs) -> Result<Lsn, StoreError> {
        if self.tail.offset + frame_size(payload.len()) > self.tail.size {
            self.rotate_checked()?;
        }
        self.wall = self.wall.max(wall);
        let header = FrameHeader {
            first: self.next,
            count,
            durable: self.tail.end.lsn,
            epoch: self.epoch,
            wall: self.wall,
            boot,
            previous: self.tail.end.crc,
        };
        self.buffer.clear();
        let crc = frame::encode(&header, payload, self.tail.salt, &mut self.buffer);
        self.tail.write(&self.buffer)?;
        self.tail.end = ChainEnd { lsn: header.last(), crc };
        self.next = header.last().next();
        self.frames += 1;
        self.appended_bytes += self.buffer.len() as u64;
        self.watermark.note(header.last(), boot, false)?;
        Ok(header.first)
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        if self.is_poisoned { Err(StoreError::Poisoned { dir: self.dir.clone() }) } else { Ok(()) }
    }

    /// Seals the tail and starts the next segment, unless the tail has no frame: so that a
    /// checkpoint can work from sealed segments only.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn rotate(&mut self) -> Result<(), StoreError> {
        self.check_usable()?;
        if self.tail.offset == BLOCK_SIZE {
            return Ok(());
        }
        self.is_poisoned = true;
        self.rotate_checked()?;
        self.is_poisoned = false;
        Ok(())
    }

    fn rotate_checked(&mut self) -> Result<(), StoreError> {
        let manifest = self.keeper.manifest();
        let number = manifest.next_segment;
        let salt = segment::salt(&manifest.receipt_key, manifest.uuid, number, self.stamp.history);
        let header = SegmentHeader { uuid: manifest.uuid, number, size: manifest.segment_size, salt };
        let next = Tail::take(&self.spare, &self.disk, &self.dir, &header, self.tail.end)?;
        let seal = Seal { end: self.tail.end, offset: self.tail.offset, wall: self.wall };
        let entry = SegmentEntry { number, size: header.size, first: self.next, sealed: None };
        self.keeper.change(|manifest| {
            if let Some(tail) = manifest.segments.last_mut() {
                tail.sealed = Some(seal);
            }
            manifest.segments.push(entry);
            manifest.next_segment = number + 1;
            manifest.proven = manifest.proven.max(seal.end.lsn);
        })?;
        let sealed = std::mem::replace(&mut self.tail, next);
        sealed.cut();
        self.watermark.sync()
    }

    /// Most bytes of payload in one frame.
    #[must_use]
    pub fn payload_max(&self) -> usize {
        payload_size_max(self.tail.size)
    }

    /// The lsn that the next record will get.
    #[must_use]
    pub const fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// The last lsn that is durable.
    #[must_use]
    pub const fn durable(&self) -> Lsn {
        self.tail.end.lsn
    }

    /// The first lsn of this open's history.
    #[must_use]
    pub const fn open_first(&self) -> Lsn {
        self.open_first
    }

    /// This open's history.
    #[must_use]
    pub const fn history(&self) -> HistoryId {
        self.stamp.history
    }

    /// This open's epoch.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where the next frame goes.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position { segment: self.tail.number, offset: self.tail.offset }
    }

    /// Bytes of log written since this open, padding included.
    #[must_use]
    pub const fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// Frames written since this open: one sync each.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// MANIFEST, for the checkpointer.
    #[must_use]
    pub fn keeper(&self) -> Arc<ManifestKeeper> {
        Arc::clone(&self.keeper)
    }

    /// WATERMARK, for the thread that syncs it.
    #[must_use]
    pub fn watermark(&self) -> Arc<WatermarkFile> {
        Arc::clone(&self.watermark)
    }

    /// The spare, for the thread that fills it.
    #[must_use]
    pub fn spare(&self) -> Arc<SpareFiller> {
        Arc::clone(&self.spare)
    }

    /// Writes the clean mark, durably, and gives the lock back.
    ///
    /// # Errors
    /// I/O; the store is then as after a crash.
    pub fn close(self, boot: BootMs) -> Result<(), StoreError> {
        self.check_usable()?;
        self.watermark.note(self.durable(), boot, true)?;
        self.watermark.sync()
    }
}

impl Tail {
    /// Takes the spare into use; nothing lists it yet.
    pub(super) fn take(
        spare: &SpareFiller,
        disk: &Arc<dyn Disk>,
        dir: &Path,
        header: &SegmentHeader,
        end: ChainEnd,
    ) -> Result<Self, StoreError> {
        drop(spare.take(header)?);
        Self::open(disk, dir, header, BLOCK_SIZE, end)
    }

    /// Opens a segment to go on at `offset`, through the disk given.
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        header: &SegmentHeader,
        offset: u64,
        end: ChainEnd,
    ) -> Result<Self, StoreError> {
        let path = segment::path(dir, header.number);
        let file =
            disk.open(&path, Access::ReadWrite).map_err(|error| StoreError::io(&path, Operation::Open, error))?;
        Ok(Self { file, path, number: header.number, size: header.size, salt: header.salt, offset, end })
    }

    /// Writes a frame at the end, durably.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_at(bytes, self.offset).map_err(|error| StoreError::io(&self.path, Operation::Write, error))?;
        self.file.sync_data().map_err(|error| StoreError::io(&self.path, Operation::Sync, error))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Gives back what lies behind the sealed end. Both sizes are valid, so that it does not matter
    /// whether this works.
    fn cut(&self) {
        if self.offset < self.size {
            let _ = self.file.set_len(self.offset);
        }
    }
}
