//! Writing a pack: frames come in order, blocks go out, each synced, so that the disk is never kept
//! busy for long.
#![forbid(unsafe_code)]

use super::Pace;
use super::Summary;
use super::block::Frames;
use super::index::Block;
use super::index::PackHeader;
use super::index::PackIndex;
use super::index::Part;
use super::index::Side;
use super::index::Stood;
use super::index::Trailer;
use super::source::Piece;
use super::varint;
use crate::disk::Disk;
use crate::disk::DiskFile;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::wal::FrameInfo;
use crate::wal::constants::BLOCK_SIZE;
use crate::wal::constants::PACK_BLOCK_SIZE;
use crate::wal::constants::PACK_INDEX_SIZE_MAX;
use crate::wal::constants::frame_size;
use crate::wal::entries::PackEntry;
use crate::wal::error::Operation;
use crate::wal::error::StoreError;
use crate::wal::frame::FrameHeader;
use crate::wal::manifest::ChainEnd;
use std::io;
use std::path::PathBuf;

/// A pack in the making; nothing lists it.
pub(super) struct PackWriter<'a> {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// Where the next part goes.
    offset: u64,
    /// A block takes frames until it has so many bytes, at most [`PACK_BLOCK_SIZE`].
    block_size: usize,
    index: PackIndex,
    compressor: zstd::bulk::Compressor<'static>,
    summary: &'a mut dyn Summary,
    pace: &'a mut Pace<'a>,
    /// The block being filled, and where its first frame was.
    frames: Frames,
    records: u64,
    first_place: (u32, u64),
    /// Segments that began since the last frame, and where the next frame is in the last one.
    steps: u32,
    segment_offset: u64,
    end: ChainEnd,
    stood: Stood,
    keys: Vec<u64>,
    keys_size: usize,
    sides: [Vec<u8>; 2],
}

impl<'a> PackWriter<'a> {
    /// Makes the file; one that was left there is removed.
    pub(super) fn create(
        disk: &dyn Disk,
        path: PathBuf,
        header: PackHeader,
        block_size: usize,
        summary: &'a mut dyn Summary,
        pace: &'a mut Pace<'a>,
    ) -> Result<Self, StoreError> {
        match disk.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(&path, Operation::Remove, error));
            }
            _ => {}
        }
        let file = disk.create(&path).map_err(|error| StoreError::io(&path, Operation::Create, error))?;
        let compressor =
            zstd::bulk::Compressor::new(LEVEL).map_err(|error| StoreError::io(&path, Operation::Write, error))?;
        let index = PackIndex { header, segments: Vec::new(), blocks: Vec::new(), sides: Vec::new() };
        let mut writer = Self {
            file,
            path,
            offset: 0,
            block_size,
            index,
            compressor,
            summary,
            pace,
            frames: Frames::default(),
            records: 0,
            first_place: (0, 0),
            steps: 0,
            segment_offset: BLOCK_SIZE,
            end: header.before,
            stood: header.stood,
            keys: Vec::new(),
            keys_size: 0,
            sides: [Vec::new(), Vec::new()],
        };
        writer.write(&header.encode())?;
        let start = writer.summary.start();
        for bytes in start.chunks(PACK_BLOCK_SIZE) {
            writer.put_side(Side::Start, bytes)?;
        }
        Ok(writer)
    }

    /// Takes the next piece.
    pub(super) fn take(&mut self, piece: Piece<'_>) -> Result<(), StoreError> {
        match piece {
            Piece::Segment(segment) => {
                self.index.segments.push(segment);
                self.steps += 1;
                self.segment_offset = BLOCK_SIZE;
                Ok(())
            }
            Piece::Frame { info, header, crc, payload } => self.take_frame(info, header, crc, payload),
        }
    }

    fn take_frame(
        &mut self,
        info: &FrameInfo,
        header: &FrameHeader,
        crc: u32,
        payload: &[u8],
    ) -> Result<(), StoreError> {
        if self.frames.frames.is_empty() {
            let segment = u32::try_from(self.index.segments.len() - 1).expect("a pack is bounded");
            self.first_place = (segment, self.segment_offset);
        }
        self.stood = self.stood.after(header.epoch, header.wall, header.boot);
        let [aside, _] = &mut self.sides;
        self.summary.frame(info, self.stood, payload, &mut self.keys, aside)?;
        if self.keys.len() > self.keys_size {
            self.keys.sort_unstable();
            self.keys.dedup();
            self.keys_size = (2 * self.keys.len()).max(KEYS_SORTED_MIN);
        }
        self.frames.push(header, self.steps, payload);
        self.steps = 0;
        self.records += u64::from(header.count);
        self.segment_offset += frame_size(payload.len());
        self.end = ChainEnd { lsn: header.last(), crc };
        if self.frames.size() >= self.block_size { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), StoreError> {
        let Some(first) = self.frames.frames.first().map(|frame| frame.header) else { return Ok(()) };
        let boot_last = self.frames.frames.last().map_or(first.boot, |frame| frame.header.boot);
        let before = self.index.end().lsn;
        let bytes = self.frames.encode(before);
        let part = self.put_part(&bytes)?;
        let frames = u32::try_from(self.frames.frames.len()).expect("a block is bounded");
        self.index.blocks.push(Block {
            part,
            first: first.first,
            end: self.end,
            segment: self.first_place.0,
            segment_offset: self.first_place.1,
            frames,
            records: self.records,
            wall_first: first.wall,
            boot_last,
            stood: self.stood,
        });
        self.frames.clear();
        self.records = 0;
        self.keys.sort_unstable();
        self.keys.dedup();
        let [_, keys] = &mut self.sides;
        varint::put(self.keys.len() as u64, keys);
        let mut last = 0;
        for key in &self.keys {
            varint::put(key - last, keys);
            last = *key;
        }
        self.keys.clear();
        self.end_sides(PACK_BLOCK_SIZE)
    }

    /// Puts out what is beside the blocks, once it has so many bytes.
    fn end_sides(&mut self, size_min: usize) -> Result<(), StoreError> {
        for (place, side) in [Side::Aside, Side::Keys].into_iter().enumerate() {
            if self.sides[place].len() >= size_min {
                let bytes = std::mem::take(&mut self.sides[place]);
                for bytes in bytes.chunks(PACK_BLOCK_SIZE) {
                    self.put_side(side, bytes)?;
                }
            }
        }
        Ok(())
    }

    fn put_side(&mut self, side: Side, bytes: &[u8]) -> Result<(), StoreError> {
        let part = self.put_part(bytes)?;
        self.index.sides.push((side, part));
        Ok(())
    }

    fn put_part(&mut self, bytes: &[u8]) -> Result<Part, StoreError> {
        let failed = |error| StoreError::io(&self.path, Operation::Write, error);
        let packed = self.compressor.compress(bytes).map_err(failed)?;
        let part = Part {
            offset: self.offset,
            size: u32::try_from(packed.len()).expect("a part is bounded"),
            unpacked: u32::try_from(bytes.len()).expect("a part is bounded"),
            digest: *blake3::hash(&packed).as_bytes(),
        };
        self.write(&packed)?;
        Ok(part)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let failed = |operation| {
            let path = &self.path;
            move |error| StoreError::io(path, operation, error)
        };
        self.file.write_at(bytes, self.offset).map_err(failed(Operation::Write))?;
        self.file.sync_data().map_err(failed(Operation::Sync))?;
        self.offset += bytes.len() as u64;
        if (self.pace)(bytes.len()) { Ok(()) } else { Err(StoreError::Stopped { path: self.path.clone() }) }
    }

    /// Sets the number of the last segment, where it was not known at the beginning.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn rename_segments(&mut self, last: u64) {
        self.index.header.last_segment = last;
        let _ = self.file.write_at(&self.index.header.encode(), 0);
    }

    /// Writes what is left, the index and the trailer, durably but for its name. `first` = the lowest
    /// lsn that it may hold, `wall` = the time of what was before it.
    pub(super) fn finish(mut self, first: Lsn, wall: WallMs) -> Result<PackEntry, StoreError> {
        self.end_block()?;
        self.end_sides(1)?;
        let index = self.index.encode();
        if index.len() as u64 > PACK_INDEX_SIZE_MAX {
            let size_max = PACK_INDEX_SIZE_MAX as usize;
            return Err(StoreError::TooLarge { size: index.len(), count: 0, size_max });
        }
        let header = self.index.header.encode();
        let digest = *blake3::Hasher::new().update(&header).update(&index).finalize().as_bytes();
        let trailer = Trailer { index: self.offset, digest };
        self.write(&[index, trailer.encode()].concat())?;
        self.file.sync_all().map_err(|error| StoreError::io(&self.path, Operation::Sync, error))?;
        // It is read back from the disk, not from memory.
        let _ = self.file.drop_cache();
        let has_frames = !self.index.blocks.is_empty();
        Ok(PackEntry {
            first_segment: self.index.header.first_segment,
            last_segment: self.index.header.last_segment,
            size: self.offset,
            first,
            end: self.end,
            wall: if has_frames { self.stood.wall } else { wall },
            digest,
        })
    }
}

/// How hard zstd tries: more makes it no smaller on this content, only slower.
const LEVEL: i32 = 9;
/// Keys are not sorted out before there are so many.
const KEYS_SORTED_MIN: usize = 1 << 16;
