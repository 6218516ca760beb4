//! What MANIFEST lists: histories, segments, checkpoints and their files, as values and as bytes.
#![forbid(unsafe_code)]

use super::bytes::Reader;
use super::bytes::Writer;
use super::constants::FILE_PATH_LENGTH_MAX;
use super::manifest::ChainEnd;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::WallMs;

/// One open of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Drawn at that open.
    pub id: HistoryId,
    /// The first lsn it may use.
    pub first: Lsn,
    /// The epoch of that open.
    pub epoch: u64,
    /// The kernel boot.
    pub boot: BootId,
    /// The boot clock at that open, in ms.
    pub boot_ms: BootMs,
    /// The wall time at that open, in ms.
    pub wall: WallMs,
    /// The last lsn kept when the next history began; 0 while it is the youngest.
    pub end: Lsn,
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Its number.
    pub number: u64,
    /// Its size when it was made, in bytes; a sealed one may be cut to its end.
    pub size: u64,
    /// The lowest lsn it may hold.
    pub first: Lsn,
    /// Where it ends, once it is sealed.
    pub sealed: Option<Seal>,
}

/// Where a sealed segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Its last lsn and crc; those of the segment before if it has no frame.
    pub end: ChainEnd,
    /// The offset behind its last frame, in bytes.
    pub offset: u64,
    /// The wall time of its last frame in ms; of the segment before if it has none.
    pub wall: WallMs,
}

/// One pack: the frames of a run of segments that are history, packed into one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackEntry {
    /// The number of the first segment that went into it.
    pub first_segment: u64,
    /// The number of the last one.
    pub last_segment: u64,
    /// The size of the file in bytes.
    pub size: u64,
    /// The lowest lsn it may hold.
    pub first: Lsn,
    /// Its last lsn and crc; those of what was before if it has no frame.
    pub end: ChainEnd,
    /// The wall time of its last frame in ms; of what was before if it has none.
    pub wall: WallMs,
    /// BLAKE3 of its header and index, which has the digests of everything else in it.
    pub digest: [u8; 32],
}

/// One checkpoint that was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointEntry {
    /// Its generation: the name of its directory.
    pub generation: u64,
    /// The structure as of this lsn.
    pub lsn: Lsn,
    /// How many items it has.
    pub count: u64,
    /// The digest of its content.
    pub digest: [u8; 32],
    /// When it was made: wall time in ms.
    pub wall: WallMs,
    /// Its files.
    pub files: Vec<FileEntry>,
}

/// One file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its path below the checkpoint's directory.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its BLAKE3.
    pub digest: [u8; 32],
}

impl HistoryEntry {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u64(self.id.0);
        writer.u64(self.first.0);
        writer.u64(self.epoch);
        writer.u128(self.boot.0);
        writer.u64(self.boot_ms.0);
        writer.u64(self.wall.0);
        writer.u64(self.end.0);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            id: HistoryId(reader.u64()?),
            first: Lsn(reader.u64()?),
            epoch: reader.u64()?,
            boot: BootId(reader.u128()?),
            boot_ms: BootMs(reader.u64()?),
            wall: WallMs(reader.u64()?),
            end: Lsn(reader.u64()?),
        })
    }
}

impl SegmentEntry {
    pub(super) fn encode(&self, writer: &mut Writer) {
        let unsealed = Seal { end: ChainEnd::default(), offset: 0, wall: WallMs(0) };
        let seal = self.sealed.unwrap_or(unsealed);
        writer.u64(self.number);
        writer.u64(self.size);
        writer.u64(self.first.0);
        writer.u32(u32::from(self.sealed.is_some()));
        writer.u32(seal.end.crc);
        writer.u64(seal.end.lsn.0);
        writer.u64(seal.offset);
        writer.u64(seal.wall.0);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let number = reader.u64()?;
        let size = reader.u64()?;
        let first = Lsn(reader.u64()?);
        let is_sealed = reader.u32()?;
        let crc = reader.u32()?;
        let lsn = Lsn(reader.u64()?);
        let offset = reader.u64()?;
        let wall = WallMs(reader.u64()?);
        let sealed = match is_sealed {
            0 if (crc, lsn, offset, wall) == (0, Lsn::ZERO, 0, WallMs(0)) => None,
            1 => Some(Seal { end: ChainEnd { lsn, crc }, offset, wall }),
            _ => return None,
        };
        Some(Self { number, size, first, sealed })
    }
}

impl PackEntry {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u64(self.first_segment);
        writer.u64(self.last_segment);
        writer.u64(self.size);
        writer.u64(self.first.0);
        writer.u64(self.end.lsn.0);
        writer.u32(self.end.crc);
        writer.u32(0);
        writer.u64(self.wall.0);
        writer.bytes(&self.digest);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let first_segment = reader.u64()?;
        let last_segment = reader.u64()?;
        let size = reader.u64()?;
        let first = Lsn(reader.u64()?);
        let end = ChainEnd { lsn: Lsn(reader.u64()?), crc: reader.u32()? };
        if reader.u32()? != 0 {
            return None;
        }
        let wall = WallMs(reader.u64()?);
        Some(Self { first_segment, last_segment, size, first, end, wall, digest: reader.array()? })
    }
}

impl CheckpointEntry {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u64(self.generation);
        writer.u64(self.lsn.0);
        writer.u64(self.count);
        writer.u64(self.wall.0);
        writer.bytes(&self.digest);
        writer.u32(u32::try_from(self.files.len()).expect("a checkpoint has few files"));
        for file in &self.files {
            writer.text(&file.path);
            writer.u64(file.size);
            writer.bytes(&file.digest);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let generation = reader.u64()?;
        let lsn = Lsn(reader.u64()?);
        let count = reader.u64()?;
        let wall = WallMs(reader.u64()?);
        let digest = reader.array()?;
        let file_count = reader.u32()? as usize;
        if file_count.checked_mul(FILE_SIZE_MIN)? > reader.left() {
            return None;
        }
        let files = (0..file_count).map(|_| FileEntry::decode(reader)).collect::<Option<_>>()?;
        Some(Self { generation, lsn, count, digest, wall, files })
    }
}

impl FileEntry {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let path = reader.text(FILE_PATH_LENGTH_MAX)?.to_owned();
        Some(Self { path, size: reader.u64()?, digest: reader.array()? })
    }
}

/// A history entry's bytes.
pub(super) const HISTORY_SIZE: usize = 64;
/// A pack entry's bytes.
pub(super) const PACK_SIZE: usize = 88;
/// A segment entry's bytes.
pub(super) const SEGMENT_SIZE: usize = 56;
/// A file entry's bytes with an empty path.
const FILE_SIZE_MIN: usize = 2 + 8 + 32;
