//! Reading a pack: part by part, each compared with its digest before it is unpacked, each unpacked
//! into exactly the bytes that the index says.
#![forbid(unsafe_code)]

use super::block::Frames;
use super::block::Packed;
use super::fault::PackFault;
use super::index::PackHeader;
use super::index::PackIndex;
use super::index::Part;
use super::index::Side;
use super::index::Trailer;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::DiskFile;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::wal::FrameInfo;
use crate::wal::constants::BLOCK_SIZE;
use crate::wal::constants::PACK_HEADER_SIZE;
use crate::wal::constants::PACK_INDEX_SIZE_MAX;
use crate::wal::constants::PACK_TRAILER_SIZE;
use crate::wal::constants::frame_size;
use crate::wal::entries::PackEntry;
use crate::wal::error::Operation;
use crate::wal::error::StoreError;
use crate::wal::frame;
use crate::wal::frame::Frame;
use crate::wal::frame::FrameFault;
use crate::wal::frame::FrameHeader;
use crate::wal::manifest::ChainEnd;
use crate::wal::manifest::Manifest;
use crate::wal::replay::FrameSink;
use crate::wal::walk::fit;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;

/// A pack whose index was read and compared with its digest.
#[derive(Debug)]
pub struct PackFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    entry: PackEntry,
    index: PackIndex,
}

/// Where a pack of a store is.
#[must_use]
pub fn path(dir: &Path, entry: &PackEntry) -> PathBuf {
    super::file_path(dir, entry.first_segment, entry.last_segment)
}

impl PackFile {
    /// Opens a listed pack and reads its index; no part of it yet.
    ///
    /// # Errors
    /// [`StoreError::CorruptPack`]: it is not the file that MANIFEST lists; I/O.
    pub fn open(disk: &dyn Disk, dir: &Path, uuid: StoreUuid, entry: &PackEntry) -> Result<Self, StoreError> {
        let path = path(dir, entry);
        let file = open_file(disk, &path, entry)?;
        let corrupt = |offset: u64, fault: PackFault| corrupt(&path, offset, entry.first, fault);
        let found = file.len().map_err(|error| StoreError::io(&path, Operation::Read, error))?;
        if found != entry.size {
            return Err(corrupt(0, PackFault::FileSize { expected: entry.size, found }));
        }
        let end = entry.size.saturating_sub(PACK_TRAILER_SIZE as u64);
        let mut trailer = [0; PACK_TRAILER_SIZE];
        read(&*file, &path, &mut trailer, end)?;
        let trailer = Trailer::decode(&trailer, entry.size).map_err(|fault| corrupt(end, fault))?;
        let size = end - trailer.index;
        if size > PACK_INDEX_SIZE_MAX {
            return Err(corrupt(end, PackFault::Field { field: "index size" }));
        }
        let mut header = [0; PACK_HEADER_SIZE];
        read(&*file, &path, &mut header, 0)?;
        let mut bytes = vec![0; size as usize];
        read(&*file, &path, &mut bytes, trailer.index)?;
        let digest = *blake3::Hasher::new().update(&header).update(&bytes).finalize().as_bytes();
        if digest != trailer.digest {
            return Err(corrupt(trailer.index, PackFault::Digest));
        }
        if digest != entry.digest {
            return Err(corrupt(end, PackFault::Other));
        }
        let header = PackHeader::decode(&header).map_err(|fault| corrupt(0, fault))?;
        let index = PackIndex::decode(header, &bytes, trailer.index).map_err(|fault| corrupt(trailer.index, fault))?;
        let named = (header.uuid, header.first_segment, header.last_segment, index.end());
        if named != (uuid, entry.first_segment, entry.last_segment, entry.end) {
            return Err(corrupt(0, PackFault::Other));
        }
        Ok(Self { path, file, entry: *entry, index })
    }

    /// Header and index.
    #[must_use]
    pub const fn index(&self) -> &PackIndex {
        &self.index
    }

    /// What MANIFEST says of it.
    #[must_use]
    pub const fn entry(&self) -> &PackEntry {
        &self.entry
    }

    /// Hands over the frames of one block. Its bytes are compared with their digest; the chain is not
    /// computed again.
    ///
    /// # Errors
    /// [`StoreError::CorruptPack`], the sink's own, I/O.
    pub fn read_block(&self, manifest: &Manifest, block: usize, sink: &mut FrameSink<'_>) -> Result<(), StoreError> {
        let frames = self.frames(block)?;
        let mut place = self.place(block, &frames)?;
        let mut known: Option<(FrameInfo, Lsn)> = None;
        for packed in &frames.frames {
            self.go_on(block, &mut place, packed)?;
            let header = &packed.header;
            let info = match &mut known {
                Some((info, end)) if header.first < *end => {
                    let segment = self.index.segments[place.begun - 1].number;
                    (info.first, info.count, info.durable) = (header.first, header.count, header.durable);
                    (info.epoch, info.wall, info.boot) = (header.epoch, header.wall, header.boot);
                    (info.segment, info.offset) = (segment, place.offset);
                    info
                }
                other => {
                    let end = manifest.history_end(header.first).unwrap_or(Lsn(u64::MAX));
                    &other.insert((self.info(manifest, block, &place, header)?, end)).0
                }
            };
            sink(info, frames.payload(packed))?;
            place.offset += frame_size(packed.payload.len());
        }
        Ok(())
    }

    /// Hands over the bytes of one kind of part, as they come.
    ///
    /// # Errors
    /// [`StoreError::CorruptPack`], the sink's own, I/O.
    pub fn read_side(
        &self,
        side: Side,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for (place, (of, part)) in self.index.sides.iter().enumerate() {
            if *of == side {
                sink(&self.unpack(part, &|| format!("part {place} beside the blocks"), self.entry.first)?)?;
            }
        }
        Ok(())
    }

    /// The error of somebody who reads a part and makes no sense of it.
    #[must_use]
    pub fn misfit(&self, field: &'static str) -> StoreError {
        self.corrupt(0, self.entry.first, PackFault::Field { field })
    }

    /// Asks the page cache to forget it.
    pub(crate) fn drop_cache(&self) {
        let _ = self.file.drop_cache();
    }

    pub(super) fn corrupt(&self, offset: u64, lsn: Lsn, fault: PackFault) -> StoreError {
        corrupt(&self.path, offset, lsn, fault)
    }

    fn corrupt_block(&self, block: usize, lsn: Lsn, fault: PackFault) -> StoreError {
        self.corrupt(self.index.blocks[block].part.offset, lsn, fault)
    }

    fn frames(&self, block: usize) -> Result<Frames, StoreError> {
        let found = &self.index.blocks[block];
        let bytes = self.unpack(&found.part, &|| format!("block {block}"), found.first)?;
        let before = self.index.before(block).lsn;
        let misfit = |what| self.corrupt_block(block, found.first, PackFault::Block { block, what });
        let frames = Frames::decode(&bytes, found.frames as usize, before).map_err(misfit)?;
        let (Some(first), Some(last)) = (frames.frames.first(), frames.frames.last()) else {
            return Err(misfit("its number of frames"));
        };
        let records: u64 = frames.frames.iter().map(|frame| u64::from(frame.header.count)).sum();
        if (first.header.first, last.header.last(), records) != (found.first, found.end.lsn, found.records) {
            return Err(misfit("its lsns"));
        }
        Ok(frames)
    }

    /// Reads a part, compares it with its digest and unpacks it.
    fn unpack(&self, part: &Part, name: &dyn Fn() -> String, lsn: Lsn) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; part.size as usize];
        read(&*self.file, &self.path, &mut bytes, part.offset)?;
        if blake3::hash(&bytes).as_bytes() != &part.digest {
            return Err(self.corrupt(part.offset, lsn, PackFault::PartDigest { part: name() }));
        }
        unpack(&bytes, part.unpacked as usize).ok_or_else(|| {
            self.corrupt(part.offset, lsn, PackFault::Unpack { part: name(), size: part.unpacked as usize })
        })
    }

    /// Where the first frame of a block was.
    fn place(&self, block: usize, frames: &Frames) -> Result<Place, StoreError> {
        let found = &self.index.blocks[block];
        let steps = frames.frames.first().map_or(0, |frame| frame.steps);
        let begun = (found.segment + 1).checked_sub(steps);
        let misfit = || self.corrupt_block(block, found.first, PackFault::Block { block, what: "its segments" });
        Ok(Place { begun: begun.ok_or_else(misfit)? as usize, offset: found.segment_offset })
    }

    /// Moves to the segment that a frame was in.
    fn go_on(&self, block: usize, place: &mut Place, packed: &Packed) -> Result<(), StoreError> {
        let begun = place.begun + packed.steps as usize;
        if begun == 0 || begun > self.index.segments.len() {
            let fault = PackFault::Block { block, what: "its segments" };
            return Err(self.corrupt_block(block, packed.header.first, fault));
        }
        if packed.steps > 0 {
            place.offset = BLOCK_SIZE;
        }
        place.begun = begun;
        Ok(())
    }

    fn info(
        &self,
        manifest: &Manifest,
        block: usize,
        place: &Place,
        header: &FrameHeader,
    ) -> Result<FrameInfo, StoreError> {
        let Some(history) = manifest.history_of(header.first) else {
            let fault = FrameFault::Lsn { expected: header.durable.next(), found: header.first };
            return Err(self.corrupt_block(block, header.first, PackFault::Frame { block, fault }));
        };
        Ok(FrameInfo {
            first: header.first,
            count: header.count,
            durable: header.durable,
            epoch: header.epoch,
            history: history.id,
            wall: header.wall,
            boot: header.boot,
            path: self.path.clone(),
            segment: self.index.segments[place.begun - 1].number,
            offset: place.offset,
        })
    }
}

/// Where a frame was before it was packed.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// How many of the pack's segments have begun.
    begun: usize,
    offset: u64,
}

/// A walk over all frames of a pack that computes every frame's crc anew: what the segments proved,
/// it proves.
#[derive(Debug)]
pub(crate) struct PackWalk<'a> {
    manifest: &'a Manifest,
    pack: &'a PackFile,
    /// The block being read, and which of its frames comes next.
    block: usize,
    next: usize,
    frames: Frames,
    place: Place,
    /// What the next frame continues.
    end: ChainEnd,
    buffer: Vec<u8>,
}

/// A frame that continues the log.
#[derive(Debug)]
pub(crate) struct PackedFrame {
    pub(crate) info: FrameInfo,
    pub(crate) header: FrameHeader,
    pub(crate) crc: u32,
    payload: Range<usize>,
}

impl<'a> PackWalk<'a> {
    /// From its first frame.
    pub(crate) fn new(manifest: &'a Manifest, pack: &'a PackFile) -> Self {
        let place = Place { begun: 0, offset: BLOCK_SIZE };
        let (frames, end) = (Frames::default(), pack.index.header.before);
        Self { manifest, pack, block: 0, next: 0, frames, place, end, buffer: Vec::new() }
    }

    /// How many of the pack's segments have begun.
    pub(crate) const fn begun(&self) -> usize {
        self.place.begun
    }

    /// The next frame; `None` at its end.
    pub(crate) fn step(&mut self) -> Result<Option<PackedFrame>, StoreError> {
        let pack = self.pack;
        if self.next == self.frames.frames.len() && !self.next_block()? {
            return Ok(None);
        }
        // The block that the frame is in was counted already.
        let block = self.block - 1;
        let packed = &self.frames.frames[self.next];
        pack.go_on(block, &mut self.place, packed)?;
        let found = &pack.index.blocks[block];
        if self.next == 0 && (found.segment as usize + 1, found.segment_offset) != (self.place.begun, self.place.offset)
        {
            let fault = PackFault::Block { block, what: "its segments" };
            return Err(pack.corrupt_block(block, found.first, fault));
        }
        let header = FrameHeader { previous: self.end.crc, ..packed.header };
        let payload = self.frames.payload(packed);
        let misfit = |fault| pack.corrupt_block(block, header.first, PackFault::Frame { block, fault });
        fit(self.manifest, self.end, &Frame { header, crc: 0, payload }).map_err(misfit)?;
        let info = pack.info(self.manifest, block, &self.place, &header)?;
        self.buffer.clear();
        let salt = pack.index.segments[self.place.begun - 1].salt;
        let crc = frame::encode(&header, payload, salt, &mut self.buffer);
        self.place.offset += self.buffer.len() as u64;
        self.end = ChainEnd { lsn: header.last(), crc };
        let payload = packed.payload.clone();
        self.next += 1;
        if self.next == self.frames.frames.len() && self.end != found.end {
            let fault = PackFault::End {
                block,
                expected: found.end.lsn,
                expected_crc: found.end.crc,
                found: self.end.lsn,
                found_crc: self.end.crc,
            };
            return Err(pack.corrupt_block(block, header.first, fault));
        }
        Ok(Some(PackedFrame { info, header, crc, payload }))
    }

    /// The payload of the frame that the last step found.
    pub(crate) fn payload(&self, found: &PackedFrame) -> &[u8] {
        &self.frames.payloads[found.payload.clone()]
    }

    fn next_block(&mut self) -> Result<bool, StoreError> {
        if self.block == self.pack.index.blocks.len() {
            return Ok(false);
        }
        self.frames = self.pack.frames(self.block)?;
        self.block += 1;
        self.next = 0;
        Ok(true)
    }
}

/// Checks what an open looks at in a pack that it does not need: that it is there, as large as MANIFEST
/// says, and starts as it should.
pub(crate) fn check_presence(
    disk: &dyn Disk,
    dir: &Path,
    uuid: StoreUuid,
    entry: &PackEntry,
) -> Result<(), StoreError> {
    let path = path(dir, entry);
    let file = open_file(disk, &path, entry)?;
    let found = file.len().map_err(|error| StoreError::io(&path, Operation::Read, error))?;
    let corrupt = |fault| corrupt(&path, 0, entry.first, fault);
    if found != entry.size {
        return Err(corrupt(PackFault::FileSize { expected: entry.size, found }));
    }
    let mut header = [0; PACK_HEADER_SIZE];
    read(&*file, &path, &mut header, 0)?;
    let header = PackHeader::decode(&header).map_err(corrupt)?;
    let named = (header.uuid, header.first_segment, header.last_segment);
    if named == (uuid, entry.first_segment, entry.last_segment) { Ok(()) } else { Err(corrupt(PackFault::Other)) }
}

/// Unpacks bytes into exactly `size` others; never reserves more than that, whatever they say.
pub(super) fn unpack(bytes: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut unpacked = Vec::with_capacity(size);
    let mut context = zstd::bulk::Decompressor::new().ok()?;
    let count = context.decompress_to_buffer(bytes, &mut unpacked).ok()?;
    (count == size).then_some(unpacked)
}

fn open_file(disk: &dyn Disk, path: &Path, entry: &PackEntry) -> Result<Box<dyn DiskFile>, StoreError> {
    disk.open(path, Access::Read).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            corrupt(path, 0, entry.first, PackFault::Missing)
        } else {
            StoreError::io(path, Operation::Open, error)
        }
    })
}

fn corrupt(path: &Path, offset: u64, lsn: Lsn, fault: PackFault) -> StoreError {
    StoreError::CorruptPack { path: path.to_owned(), offset, lsn, fault }
}

/// Exactly these bytes of a file whose size was compared.
fn read(file: &dyn DiskFile, path: &Path, bytes: &mut [u8], offset: u64) -> Result<(), StoreError> {
    let failed = |error| StoreError::io(path, Operation::Read, error);
    let count = file.read_at(bytes, offset).map_err(failed)?;
    if count == bytes.len() { Ok(()) } else { Err(failed(io::ErrorKind::UnexpectedEof.into())) }
}
