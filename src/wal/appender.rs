//! The writer's end of the log: one frame, one write, one sync.
//!
//! A failed write or sync is final: nothing is retried, read or cut, and every later call is
//! refused. The next open finds out what is on the disk.
#![forbid(unsafe_code)]

use super::begin;
use super::constants::BLOCK_SIZE;
use super::constants::FRAME_HEADER_SIZE;
use super::constants::frame_size;
use super::constants::payload_size_max;
use super::entries::Seal;
use super::entries::SegmentEntry;
use super::error::Operation;
use super::error::StoreError;
use super::frame;
use super::frame::FrameHeader;
use super::keeper::ManifestKeeper;
use super::manifest::ChainEnd;
use super::manifest::StopMark;
use super::replay::Replayed;
use super::segment;
use super::segment::SegmentHeader;
use super::spare::Source;
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
    /// Whether MANIFEST notes it when the machine went down and the last frame may have been
    /// acknowledged.
    pub wait_after_power_loss: bool,
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
    /// time is `wall` or that of the frame before, whichever is later. Never
    /// [`Full`](StoreError::Full) for a payload within [`room`](Self::room), where the file system
    /// writes in place.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] and [`StoreError::Full`] change nothing. Any other error is final:
    /// the outcome is unknown and every later call is refused with [`StoreError::Poisoned`].
    pub fn append(&mut self, payload: &[u8], count: u32, wall: WallMs, boot: BootMs) -> Result<Lsn, StoreError> {
        self.check_usable()?;
        let size_max = self.payload_max();
        if payload.is_empty() || count == 0 || payload.len() > size_max {
            return Err(StoreError::TooLarge { size: payload.len(), count, size_max });
        }
        self.guarded(|appender| {
            if appender.tail.offset + frame_size(payload.len()) > appender.tail.size {
                appender.rotate_checked()?;
            }
            appender.make_safe()?;
            appender.write_frame(payload, count, wall, boot)
        })
    }

    fn write_frame(&mut self, payload: &[u8], count: u32, wall: WallMs, boot: BootMs) -> Result<Lsn, StoreError> {
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

    /// Bytes of payload that the next frame may have without needing anything from the file system:
    /// the whole limit with a ready spare behind the tail, else what the tail has left; 0 as long as
    /// the next open could not do without room either.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.is_poisoned || !self.is_safe() {
            return 0;
        }
        if self.spare.is_ready() && self.spare.has_reserve() {
            return self.payload_max();
        }
        let left = (self.tail.size - self.tail.offset) as usize;
        left.saturating_sub(FRAME_HEADER_SIZE).min(self.payload_max())
    }

    /// Tries to get now what later frames, a rotation and the next open need: the reserve, the
    /// spare, and room in MANIFEST.
    ///
    /// # Errors
    /// [`StoreError::Full`] and [`StoreError::Io`] of spare and reserve change nothing, it may be
    /// tried again; a failed write of MANIFEST is final.
    pub fn prepare(&mut self) -> Result<(), StoreError> {
        self.check_usable()?;
        self.guarded(|appender| appender.keeper.prepare())?;
        self.spare.finish_reserve()?;
        self.spare.finish_spare()
    }

    /// Whether the next open finds all that it may need on a full disk.
    fn is_safe(&self) -> bool {
        self.keeper.is_ready() && (self.spare.has_reserve() || self.spare.is_ready())
    }

    fn make_safe(&self) -> Result<(), StoreError> {
        if self.is_safe() {
            return Ok(());
        }
        self.keeper.prepare()?;
        if self.spare.is_ready() { Ok(()) } else { self.spare.finish_reserve() }
    }

    /// Whether every later call is refused.
    #[must_use]
    pub const fn is_given_up(&self) -> bool {
        self.is_poisoned
    }

    /// Gives the log up: whoever writes it holds a state that is ahead of it. Every later call is
    /// refused.
    pub const fn give_up(&mut self) {
        self.is_poisoned = true;
    }

    /// Makes changes of which every failure but want of room is final.
    pub(super) fn guarded<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.is_poisoned = true;
        let done = change(self);
        self.is_poisoned = done.as_ref().is_err_and(|error| !error.is_full());
        done
    }

    pub(super) fn check_usable(&self) -> Result<(), StoreError> {
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
        self.guarded(Self::rotate_checked)
    }

    /// Everything that may need room comes before anything is changed.
    fn rotate_checked(&mut self) -> Result<(), StoreError> {
        self.keeper.prepare()?;
        self.spare.finish_reserve()?;
        self.spare.finish_spare()?;
        let manifest = self.keeper.manifest();
        let number = manifest.next_segment;
        let salt = segment::salt(&manifest.receipt_key, manifest.uuid, number, self.stamp.history);
        let mut header = SegmentHeader { uuid: manifest.uuid, number, size: manifest.segment_size, salt };
        let next = Tail::take(&self.spare, Source::Spare, &self.disk, &self.dir, &mut header, self.tail.end)?;
        let seal = Seal { end: self.tail.end, offset: self.tail.offset, wall: self.wall };
        let entry = SegmentEntry { number, size: header.size, first: self.next, sealed: None };
        let changed = self.keeper.change(|manifest| {
            if let Some(tail) = manifest.segments.last_mut() {
                tail.sealed = Some(seal);
            }
            manifest.segments.push(entry);
            manifest.next_segment = number + 1;
            manifest.proven = manifest.proven.max(seal.end.lsn);
        });
        if changed.as_ref().is_err_and(StoreError::is_full) {
            // Nothing lists it: its room is not lost. If this fails the next open removes it.
            let _ = self.spare.give_back(Source::Spare, number);
        }
        changed?;
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

    /// The first lsn of the youngest history.
    #[must_use]
    pub const fn open_first(&self) -> Lsn {
        self.open_first
    }

    /// The youngest history: this open's, or one begun since.
    #[must_use]
    pub const fn history(&self) -> HistoryId {
        self.stamp.history
    }

    /// Why granting must stop, as MANIFEST notes it.
    #[must_use]
    pub fn stop(&self) -> StopMark {
        self.keeper.look(|manifest| manifest.stop)
    }

    /// The epoch: one more with every open and every history begun since.
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
    /// Takes the spare or the reserve into use; nothing lists it yet.
    pub(super) fn take(
        spare: &SpareFiller,
        source: Source,
        disk: &Arc<dyn Disk>,
        dir: &Path,
        header: &mut SegmentHeader,
        end: ChainEnd,
    ) -> Result<Self, StoreError> {
        spare.take(source, header)?;
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
        let path = &self.path;
        let failed = |operation| move |error| StoreError::failed(path, operation, error);
        self.file.write_at(bytes, self.offset).map_err(failed(Operation::Write))?;
        self.file.sync_data().map_err(failed(Operation::Sync))?;
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
