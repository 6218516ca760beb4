//! Walking one segment, frame by frame: what is valid by itself, and whether it continues the log.
//!
//! Memory is bounded by one window of the largest frame's size. What a misfit means is judged by
//! the caller.
#![forbid(unsafe_code)]

use super::bytes::all_zero;
use super::bytes::last_nonzero;
use super::constants::BLOCK_SIZE;
use super::constants::FRAME_HEADER_SIZE;
use super::constants::SEGMENT_SIZE_MAX;
use super::constants::frame_size_max;
use super::constants::payload_size_max;
use super::entries::SegmentEntry;
use super::error::LogFault;
use super::error::Operation;
use super::error::StoreError;
use super::frame;
use super::frame::Frame;
use super::frame::FrameFault;
use super::manifest::ChainEnd;
use super::manifest::Manifest;
use super::segment;
use super::segment::HeaderFault;
use super::segment::SegmentHeader;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::DiskFile;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::WallMs;
use std::error::Error;
use std::io;
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

/// What is at the next place.
#[derive(Debug)]
pub(crate) enum Step {
    /// A frame that continues the log.
    Frame(Found),
    /// Something else, or nothing.
    Misfit(FrameFault),
}

/// A frame that continues the log, payload apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) header: frame::FrameHeader,
    pub(crate) history: HistoryId,
    pub(crate) offset: u64,
    pub(crate) payload_size: usize,
}

/// A walk over one segment.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    manifest: &'a Manifest,
    pub(crate) entry: SegmentEntry,
    pub(crate) path: PathBuf,
    file: Box<dyn DiskFile>,
    pub(crate) salt: u32,
    window: Vec<u8>,
    window_start: u64,
    /// Where the next frame starts.
    pub(crate) offset: u64,
    /// Frames end here at the latest: the sealed end, or the end of the file.
    limit: u64,
    /// What the next frame continues.
    pub(crate) end: ChainEnd,
    reading: Reading,
}

/// Why a segment is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// At an open.
    Recovery,
    /// For a full check: each frame is encoded again and compared.
    Verify,
    /// While a writer goes on: it may have sealed the tail and cut it to its end since.
    BesideWriter,
}

impl<'a> Walk<'a> {
    /// Opens a listed segment after checking its presence, its size and its header block.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        manifest: &'a Manifest,
        index: usize,
        reading: Reading,
    ) -> Result<Self, StoreError> {
        let entry = manifest.segments[index];
        let (file, header) = open_segment(disk, dir, manifest, &entry, reading)?;
        Ok(Self {
            manifest,
            entry,
            path: segment::path(dir, entry.number),
            file,
            salt: header.salt,
            window: Vec::new(),
            window_start: 0,
            offset: BLOCK_SIZE,
            limit: entry.sealed.map_or(entry.size, |seal| seal.offset),
            end: manifest.chain_before(index),
            reading,
        })
    }

    /// What is at the next place; a frame that continues the log moves the place behind it.
    pub(crate) fn step(&mut self) -> Result<Step, StoreError> {
        let left = self.limit - self.offset;
        if left == 0 {
            return Ok(Step::Misfit(FrameFault::SegmentEnd));
        }
        let payload_max = payload_size_max(self.entry.size);
        let block = self.read(self.offset, BLOCK_SIZE)?;
        let block_is_zero = all_zero(block);
        let size = match frame::size_of(block, left, payload_max) {
            Ok(size) => size,
            Err(_) if block_is_zero => return Ok(Step::Misfit(FrameFault::Zeros)),
            Err(fault) => return Ok(Step::Misfit(fault)),
        };
        let (manifest, end, offset, salt) = (self.manifest, self.end, self.offset, self.salt);
        let is_strict = self.reading == Reading::Verify;
        let bytes = self.read(offset, size)?;
        let found = frame::decode(bytes, salt)
            .and_then(|frame| fit(manifest, end, &frame).map(|history| (frame, history)))
            .and_then(|found| if is_strict { is_canonical(&found.0, salt, bytes).map(|()| found) } else { Ok(found) });
        let (frame, history) = match found {
            Ok(found) => found,
            Err(fault) => return Ok(Step::Misfit(fault)),
        };
        let found = Found { header: frame.header, history, offset, payload_size: frame.payload.len() };
        self.end = ChainEnd { lsn: frame.header.last(), crc: frame.crc };
        self.offset = offset + size;
        Ok(Step::Frame(found))
    }

    /// The payload of the frame that the last step found.
    pub(crate) fn payload(&self, found: &Found) -> &[u8] {
        let start = (found.offset - self.window_start) as usize + FRAME_HEADER_SIZE;
        &self.window[start..start + found.payload_size]
    }

    /// What lies from the next place to the end of the file, and the best proof in it.
    pub(crate) fn survey_rest(&mut self) -> Result<RestFound, StoreError> {
        let mut rest = RestFound::default();
        let mut offset = self.offset;
        while offset < self.limit {
            let size = (self.limit - offset).min(WINDOW_SIZE);
            let bytes = self.read(offset, size)?;
            let nonzero = last_nonzero(bytes).map(|last| offset + last as u64);
            let starts = bytes.chunks(BLOCK_SIZE as usize).enumerate();
            let starts: Vec<u64> = starts
                .filter(|(_, block)| frame::starts_like_one(block))
                .map(|(index, _)| offset + index as u64 * BLOCK_SIZE)
                .collect();
            rest.last_nonzero = nonzero.or(rest.last_nonzero);
            for start in starts {
                if let Some(header) = self.good_frame_at(start)? {
                    rest.good_frame.get_or_insert(header);
                    rest.durable = rest.durable.max(header.durable);
                    rest.epoch = rest.epoch.max(header.epoch);
                }
            }
            offset += size;
        }
        Ok(rest)
    }

    fn good_frame_at(&mut self, offset: u64) -> Result<Option<frame::FrameHeader>, StoreError> {
        let left = self.limit - offset;
        let payload_max = payload_size_max(self.entry.size);
        let Ok(size) = frame::size_of(self.read(offset, BLOCK_SIZE)?, left, payload_max) else { return Ok(None) };
        let salt = self.salt;
        Ok(frame::decode(self.read(offset, size)?, salt).ok().map(|frame| frame.header))
    }

    pub(crate) fn info(&self, found: &Found) -> FrameInfo {
        FrameInfo {
            first: found.header.first,
            count: found.header.count,
            durable: found.header.durable,
            epoch: found.header.epoch,
            history: found.history,
            wall: found.header.wall,
            boot: found.header.boot,
            path: self.path.clone(),
            segment: self.entry.number,
            offset: found.offset,
        }
    }

    /// The error of a misfit at the next place.
    pub(crate) fn corrupt(&self, fault: impl Into<LogFault>) -> StoreError {
        StoreError::CorruptLog {
            path: self.path.clone(),
            segment: self.entry.number,
            offset: self.offset,
            lsn: self.end.lsn.next(),
            fault: fault.into(),
        }
    }

    /// Asks the page cache to forget the segment.
    pub(crate) fn drop_cache(&self) {
        let _ = self.file.drop_cache();
    }

    /// Exactly these bytes of the file, through the window.
    fn read(&mut self, offset: u64, size: u64) -> Result<&[u8], StoreError> {
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || offset + size > window_end {
            let wanted = WINDOW_SIZE.max(size).min(self.limit - offset);
            self.window.resize(wanted as usize, 0);
            let failed = |error| StoreError::io(&self.path, Operation::Read, error);
            let count = self.file.read_at(&mut self.window, offset).map_err(failed)?;
            if (count as u64) < size {
                self.window.clear();
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            self.window.truncate(count);
            self.window_start = offset;
        }
        let start = (offset - self.window_start) as usize;
        Ok(&self.window[start..start + size as usize])
    }
}

/// What lies behind the end of the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RestFound {
    /// Offset of the last byte that is not zero.
    pub(crate) last_nonzero: Option<u64>,
    /// The first whole good frame.
    pub(crate) good_frame: Option<frame::FrameHeader>,
    /// The highest lsn that a good frame says was durable.
    pub(crate) durable: Lsn,
    /// The highest epoch of a good frame.
    pub(crate) epoch: u64,
}

/// Opens a listed segment and checks its size and header block.
pub(crate) fn open_segment(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &Manifest,
    entry: &SegmentEntry,
    reading: Reading,
) -> Result<(Box<dyn DiskFile>, SegmentHeader), StoreError> {
    let path = segment::path(dir, entry.number);
    let failed = |operation| {
        let path = &path;
        move |error| StoreError::io(path, operation, error)
    };
    let file = match disk.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::SegmentMissing { path, segment: entry.number, first: entry.first });
        }
        Err(error) => return Err(failed(Operation::Open)(error)),
    };
    let corrupt = |fault: LogFault| StoreError::CorruptLog {
        path: path.clone(),
        segment: entry.number,
        offset: 0,
        lsn: entry.first,
        fault,
    };
    let size = file.len().map_err(failed(Operation::Read))?;
    let may_be_cut = reading == Reading::BesideWriter && entry.sealed.is_none() && size < entry.size;
    if size != entry.size && Some(size) != entry.sealed.map(|seal| seal.offset) && !may_be_cut {
        return Err(corrupt(LogFault::FileSize { expected: entry.size, found: size }));
    }
    let mut block = vec![0; BLOCK_SIZE as usize];
    let count = file.read_at(&mut block, 0).map_err(failed(Operation::Read))?;
    let header = SegmentHeader::decode(&block[..count]).map_err(|fault| corrupt(fault.into()))?;
    if (header.uuid, header.number, header.size) == (manifest.uuid, entry.number, entry.size) {
        Ok((file, header))
    } else {
        Err(corrupt(HeaderFault::Other.into()))
    }
}

/// Whether a good frame continues the log, and in which history.
pub(crate) fn fit(manifest: &Manifest, end: ChainEnd, frame: &Frame<'_>) -> Result<HistoryId, FrameFault> {
    let header = &frame.header;
    if header.previous != end.crc {
        return Err(FrameFault::Chain { expected: end.crc, found: header.previous });
    }
    let lsn = FrameFault::Lsn { expected: end.lsn.next(), found: header.first };
    let history = manifest.history_of(header.first).ok_or_else(|| lsn.clone())?;
    let continues = header.first == end.lsn.next() && history.first <= end.lsn;
    let starts = header.first == history.first && header.first > end.lsn;
    let stays_inside = manifest.history_end(header.first).is_none_or(|next| header.last() < next);
    if !(continues || starts) || !stays_inside {
        return Err(lsn);
    }
    if header.epoch != history.epoch {
        return Err(FrameFault::Epoch { expected: history.epoch, found: header.epoch });
    }
    if header.durable != end.lsn {
        return Err(FrameFault::Durable { expected: end.lsn, found: header.durable });
    }
    Ok(history.id)
}

/// Whether encoding a frame again gives the same bytes.
fn is_canonical(frame: &Frame<'_>, salt: u32, bytes: &[u8]) -> Result<(), FrameFault> {
    let mut again = Vec::with_capacity(bytes.len());
    let _ = frame::encode(&frame.header, frame.payload, salt, &mut again);
    if again == bytes { Ok(()) } else { Err(FrameFault::Header) }
}

/// How much is read at once: at least the largest frame, so that memory does not depend on what a
/// length field says.
const WINDOW_SIZE: u64 = frame_size_max(SEGMENT_SIZE_MAX);
