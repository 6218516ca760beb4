//! Header, index and trailer of a pack: where everything in it is, and the digests of it.
//!
//! The digest in the trailer is over header and index, and the index has the digest of every part: one
//! number vouches for every byte of the file.
#![forbid(unsafe_code)]

use super::fault::PackFault;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::ident::WallMs;
use crate::wal::bytes::Reader;
use crate::wal::bytes::Writer;
use crate::wal::constants::BLOCK_SIZE;
use crate::wal::constants::FORMAT;
use crate::wal::constants::PACK_HEADER_SIZE;
use crate::wal::constants::PACK_MAGIC;
use crate::wal::constants::PACK_PART_SIZE_MAX;
use crate::wal::constants::PACK_TRAILER_SIZE;
use crate::wal::constants::SEGMENT_SIZE_MAX;
use crate::wal::manifest::ChainEnd;

/// For how long the times of the log have stood still: who sets a clock back makes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stood {
    /// The epoch of the last frame.
    pub epoch: u64,
    /// Its wall time, in ms.
    pub wall: WallMs,
    /// The boot clock at the first frame of that epoch with that wall time, in ms.
    pub since: BootMs,
}

impl Stood {
    /// After one more frame.
    #[must_use]
    pub fn after(self, epoch: u64, wall: WallMs, boot: BootMs) -> Self {
        let goes_on = self.epoch == epoch && self.wall == wall;
        Self { epoch, wall, since: if goes_on { self.since } else { boot } }
    }
}

/// What a pack's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackHeader {
    /// The store.
    pub uuid: StoreUuid,
    /// The number of the first segment that went into it.
    pub first_segment: u64,
    /// The number of the last one.
    pub last_segment: u64,
    /// What its first frame continues.
    pub before: ChainEnd,
    /// How the times of the log stood before it.
    pub stood: Stood,
}

/// A segment that went into a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedSegment {
    /// Its number.
    pub number: u64,
    /// The salt of its frames' crcs.
    pub salt: u32,
}

/// Bytes of the file that were packed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where they are, in bytes.
    pub offset: u64,
    /// How many there are.
    pub size: u32,
    /// How many they are unpacked.
    pub unpacked: u32,
    /// BLAKE3 of them as they are in the file.
    pub digest: [u8; 32],
}

/// A block: some thousand frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its bytes.
    pub part: Part,
    /// Its first lsn.
    pub first: Lsn,
    /// Its last lsn and crc.
    pub end: ChainEnd,
    /// Which of the pack's segments its first frame was in, counted from 0.
    pub segment: u32,
    /// Where that frame was in it, in bytes.
    pub segment_offset: u64,
    /// Frames.
    pub frames: u32,
    /// Records.
    pub records: u64,
    /// The wall time of its first frame, in ms.
    pub wall_first: WallMs,
    /// The boot clock of its last frame, in ms.
    pub boot_last: BootMs,
    /// How the times of the log stood after it.
    pub stood: Stood,
}

/// What a part that is no block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Side {
    /// What a reader must know who begins here.
    Start = 1,
    /// Records that are worth reading without the rest.
    Aside = 2,
    /// What each block names.
    Keys = 3,
}

impl Side {
    pub(super) const ALL: [Self; 3] = [Self::Start, Self::Aside, Self::Keys];
}

/// Header and index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackIndex {
    /// The header.
    pub header: PackHeader,
    /// The segments that went into it, in order.
    pub segments: Vec<PackedSegment>,
    /// The blocks, in order.
    pub blocks: Vec<Block>,
    /// The other parts, in order: those of one kind belong together.
    pub sides: Vec<(Side, Part)>,
}

/// What a pack ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    /// Where the index is, in bytes.
    pub(super) index: u64,
    /// BLAKE3 of header and index.
    pub(super) digest: [u8; 32],
}

impl Trailer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u64(self.index);
        writer.bytes(&self.digest);
        writer.bytes(&PACK_MAGIC);
        writer.0
    }

    /// Reads what a file of `size` bytes ends with.
    pub(super) fn decode(bytes: &[u8; PACK_TRAILER_SIZE], size: u64) -> Result<Self, PackFault> {
        let mut reader = Reader::new(bytes);
        let fields = (|| Some((reader.u64()?, reader.array()?, reader.array::<8>()?)))();
        let (index, digest, magic) = fields.ok_or(PackFault::Magic)?;
        if magic != PACK_MAGIC {
            return Err(PackFault::Magic);
        }
        let range = PACK_HEADER_SIZE as u64..=size.saturating_sub(PACK_TRAILER_SIZE as u64);
        if range.contains(&index) {
            Ok(Self { index, digest })
        } else {
            Err(PackFault::Field { field: "index offset" })
        }
    }
}

impl PackHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(&PACK_MAGIC);
        writer.u32(FORMAT);
        writer.u32(self.before.crc);
        writer.u128(self.uuid.0);
        writer.u64(self.first_segment);
        writer.u64(self.last_segment);
        writer.u64(self.before.lsn.0);
        put_stood(&self.stood, &mut writer);
        writer.u64(0);
        writer.0
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, PackFault> {
        let mut reader = Reader::new(bytes);
        if reader.array() != Some(PACK_MAGIC) {
            return Err(PackFault::Magic);
        }
        let format = reader.u32().ok_or(PackFault::Magic)?;
        if format != FORMAT {
            return Err(PackFault::Format { found: format });
        }
        let fields = (|| {
            let crc = reader.u32()?;
            let uuid = StoreUuid(reader.u128()?);
            let (first_segment, last_segment) = (reader.u64()?, reader.u64()?);
            let before = ChainEnd { lsn: Lsn(reader.u64()?), crc };
            let stood = take_stood(&mut reader)?;
            let is_possible = reader.u64()? == 0 && first_segment <= last_segment;
            is_possible.then_some(Self { uuid, first_segment, last_segment, before, stood })
        })();
        fields.ok_or(PackFault::Field { field: "header" })
    }
}

impl PackIndex {
    /// The lsn and crc of its last frame.
    #[must_use]
    pub fn end(&self) -> ChainEnd {
        self.blocks.last().map_or(self.header.before, |block| block.end)
    }

    /// How the times of the log stood after it.
    #[must_use]
    pub fn stood(&self) -> Stood {
        self.blocks.last().map_or(self.header.stood, |block| block.stood)
    }

    /// What the first frame of a block continues.
    #[must_use]
    pub fn before(&self, block: usize) -> ChainEnd {
        block.checked_sub(1).map_or(self.header.before, |before| self.blocks[before].end)
    }

    /// The index without the header.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        for count in [self.segments.len(), self.blocks.len(), self.sides.len(), 0] {
            writer.u32(u32::try_from(count).expect("a pack is bounded"));
        }
        for segment in &self.segments {
            writer.u64(segment.number);
            writer.u32(segment.salt);
        }
        for block in &self.blocks {
            put_part(&block.part, &mut writer);
            writer.u64(block.first.0);
            writer.u64(block.end.lsn.0);
            writer.u32(block.end.crc);
            writer.u32(block.segment);
            writer.u64(block.segment_offset);
            writer.u32(block.frames);
            writer.u64(block.records);
            writer.u64(block.wall_first.0);
            writer.u64(block.boot_last.0);
            put_stood(&block.stood, &mut writer);
        }
        for (side, part) in &self.sides {
            writer.u32(*side as u32);
            put_part(part, &mut writer);
        }
        writer.0
    }

    /// Reads an index whose digest was compared. `data_end` = where the parts must end, in bytes.
    pub(super) fn decode(header: PackHeader, bytes: &[u8], data_end: u64) -> Result<Self, PackFault> {
        let mut field = "index";
        let index = Self::decode_fields(header, &mut Reader::new(bytes), &mut field);
        let index = index.ok_or(PackFault::Field { field })?;
        match index.first_fault(data_end) {
            Some(field) => Err(PackFault::Field { field }),
            None => Ok(index),
        }
    }

    fn decode_fields(header: PackHeader, reader: &mut Reader<'_>, field: &mut &'static str) -> Option<Self> {
        let counts = [reader.u32()?, reader.u32()?, reader.u32()?].map(|count| count as usize);
        let [segment_count, block_count, side_count] = counts;
        let sizes = [(segment_count, SEGMENT_SIZE), (block_count, BLOCK_ENTRY_SIZE), (side_count, SIDE_SIZE)];
        let needed = sizes.iter().try_fold(0_usize, |sum, (count, size)| sum.checked_add(count.checked_mul(*size)?))?;
        if reader.u32()? != 0 || needed != reader.left() {
            return None;
        }
        *field = "segments";
        let segment = |_| Some(PackedSegment { number: reader.u64()?, salt: reader.u32()? });
        let segments = (0..segment_count).map(segment).collect::<Option<_>>()?;
        *field = "blocks";
        let blocks = (0..block_count).map(|_| take_block(reader)).collect::<Option<_>>()?;
        *field = "parts";
        let side = |_| {
            let kind = reader.u32()?;
            let side = Side::ALL.into_iter().find(|side| *side as u32 == kind)?;
            Some((side, take_part(reader)?))
        };
        let sides = (0..side_count).map(side).collect::<Option<_>>()?;
        Some(Self { header, segments, blocks, sides })
    }

    /// What cannot be, whatever wrote it.
    fn first_fault(&self, data_end: u64) -> Option<&'static str> {
        let numbers_grow = self.segments.windows(2).all(|pair| pair[0].number < pair[1].number);
        let named = (self.header.first_segment, self.header.last_segment);
        if !numbers_grow
            || self.segments.first().map(|first| first.number) != Some(named.0)
            || self.segments.last().map(|last| last.number) != Some(named.1)
        {
            return Some("segments");
        }
        let mut parts: Vec<Part> = self.blocks.iter().map(|block| block.part).collect();
        parts.extend(self.sides.iter().map(|(_, part)| *part));
        parts.sort_by_key(|part| part.offset);
        let mut end = PACK_HEADER_SIZE as u64;
        for part in &parts {
            let is_possible = part.size > 0 && part.unpacked as usize <= PACK_PART_SIZE_MAX;
            if part.offset != end || !is_possible {
                return Some("parts");
            }
            end += u64::from(part.size);
        }
        let is_sorted = |offsets: &mut dyn Iterator<Item = u64>| offsets.is_sorted();
        let sides_in_order = is_sorted(&mut self.sides.iter().map(|(_, part)| part.offset));
        if end != data_end || !sides_in_order || !is_sorted(&mut self.blocks.iter().map(|block| block.part.offset)) {
            return Some("parts");
        }
        let (mut before, mut segment) = (self.header.before.lsn, 0);
        for block in &self.blocks {
            let records = u64::from(block.frames)..=block.end.lsn.0.wrapping_sub(block.first.0).wrapping_add(1);
            let lsns = block.first > before && block.end.lsn >= block.first && block.end.lsn.0 < u64::MAX;
            let place = (BLOCK_SIZE..SEGMENT_SIZE_MAX).contains(&block.segment_offset);
            let is_there = (block.segment as usize) < self.segments.len() && block.segment >= segment;
            if !lsns || !records.contains(&block.records) || block.frames == 0 || !place || !is_there {
                return Some("blocks");
            }
            (before, segment) = (block.end.lsn, block.segment);
        }
        None
    }
}

fn put_part(part: &Part, writer: &mut Writer) {
    writer.u64(part.offset);
    writer.u32(part.size);
    writer.u32(part.unpacked);
    writer.bytes(&part.digest);
}

fn take_part(reader: &mut Reader<'_>) -> Option<Part> {
    Some(Part { offset: reader.u64()?, size: reader.u32()?, unpacked: reader.u32()?, digest: reader.array()? })
}

fn put_stood(stood: &Stood, writer: &mut Writer) {
    writer.u64(stood.epoch);
    writer.u64(stood.wall.0);
    writer.u64(stood.since.0);
}

fn take_stood(reader: &mut Reader<'_>) -> Option<Stood> {
    Some(Stood { epoch: reader.u64()?, wall: WallMs(reader.u64()?), since: BootMs(reader.u64()?) })
}

fn take_block(reader: &mut Reader<'_>) -> Option<Block> {
    Some(Block {
        part: take_part(reader)?,
        first: Lsn(reader.u64()?),
        end: ChainEnd { lsn: Lsn(reader.u64()?), crc: reader.u32()? },
        segment: reader.u32()?,
        segment_offset: reader.u64()?,
        frames: reader.u32()?,
        records: reader.u64()?,
        wall_first: WallMs(reader.u64()?),
        boot_last: BootMs(reader.u64()?),
        stood: take_stood(reader)?,
    })
}

/// A segment's bytes in the index.
const SEGMENT_SIZE: usize = 12;
/// A part's bytes.
const PART_SIZE: usize = 48;
/// A block's bytes in the index.
const BLOCK_ENTRY_SIZE: usize = PART_SIZE + 84;
/// Those of another part.
const SIDE_SIZE: usize = 4 + PART_SIZE;
