//! MANIFEST as a value and as bytes: what a store consists of.
//!
//! It is the root of trust, so it ends with a BLAKE3 digest of everything before. How the two
//! copies are chosen between is in `survey`, how they are replaced in `keeper`.
#![forbid(unsafe_code)]

use super::bytes::Reader;
use super::bytes::Writer;
use super::bytes::all_zero;
use super::constants::BLOCK_SIZE;
use super::constants::CHECKPOINT_COUNT_MAX;
use super::constants::FORMAT;
use super::constants::MANIFEST_MAGIC;
use super::constants::PACK_HEADER_SIZE;
use super::constants::PACK_TRAILER_SIZE;
use super::constants::segment_size_is_valid;
use super::entries::CheckpointEntry;
use super::entries::HISTORY_SIZE;
use super::entries::HistoryEntry;
use super::entries::PACK_SIZE;
use super::entries::PackEntry;
use super::entries::SEGMENT_SIZE;
use super::entries::SegmentEntry;
use super::error::ManifestFault;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::ident::StructureName;

/// What a store consists of.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Grows with every change.
    pub sequence: u64,
    /// The store's identity.
    pub uuid: StoreUuid,
    /// How many times the store was opened for writing.
    pub epoch: u64,
    /// The structure it holds.
    pub structure: StructureName,
    /// The key of receipts; secret.
    pub receipt_key: [u8; 32],
    /// What the next open notes in the log: why granting must stop.
    pub stop: StopMark,
    /// The store that this one was adopted from as a copy; 0 if it is none.
    pub copied_from: StoreUuid,
    /// The size of new segments in bytes, chosen at `init`.
    pub segment_size: u64,
    /// The inode of LOCK.
    pub lock_inode: u64,
    /// An lsn proven durable; others may be higher.
    pub proven: Lsn,
    /// The lowest number that a new segment may have.
    pub next_segment: u64,
    /// Where the log went on when the oldest listed pack or segment began: the end of what was before.
    pub retired: ChainEnd,
    /// The histories that listed segments belong to, the oldest first.
    pub histories: Vec<HistoryEntry>,
    /// History that was packed, the oldest first; all of it is older than the segments.
    pub packs: Vec<PackEntry>,
    /// The segments, the oldest first; the last one is the tail, all others are sealed.
    pub segments: Vec<SegmentEntry>,
    /// At most two checkpoints, the older first.
    pub checkpoints: Vec<CheckpointEntry>,
}

/// Why granting must stop, noted outside the log because the log could not be written then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopMark {
    /// It need not.
    #[default]
    None,
    /// The machine went down and the last frame may have been acknowledged.
    PowerLoss,
    /// The store was restored from a backup.
    Restored,
}

impl StopMark {
    const ALL: [Self; 3] = [Self::None, Self::PowerLoss, Self::Restored];

    const fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::PowerLoss => 1,
            Self::Restored => 2,
        }
    }
}

/// The end of a piece of log: what the next frame continues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainEnd {
    /// The last lsn; 0 = none yet.
    pub lsn: Lsn,
    /// The last frame's crc; 0 = none yet.
    pub crc: u32,
}

impl Manifest {
    /// The history that an lsn belongs to: the youngest one that starts at or below it.
    #[must_use]
    pub fn history_of(&self, lsn: Lsn) -> Option<&HistoryEntry> {
        let above = self.histories.partition_point(|history| history.first <= lsn);
        self.histories[..above].last()
    }

    /// The first lsn that the history after the one of `lsn` may use, if there is one.
    #[must_use]
    pub fn history_end(&self, lsn: Lsn) -> Option<Lsn> {
        let above = self.histories.partition_point(|history| history.first <= lsn);
        self.histories.get(above).map(|history| history.first)
    }

    /// The highest lsn that this MANIFEST proves durable.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        let seals = self.segments.iter().filter_map(|segment| segment.sealed).map(|seal| seal.end.lsn);
        let checkpoints = self.checkpoints.iter().map(|checkpoint| checkpoint.lsn);
        seals.chain(checkpoints).fold(self.proven.max(self.packed().lsn), Lsn::max)
    }

    /// The segment being written: the last one listed.
    #[must_use]
    pub fn tail(&self) -> &SegmentEntry {
        self.segments.last().expect("a manifest lists a tail")
    }

    /// What the first frame of the segment at `index` continues.
    #[must_use]
    pub fn chain_before(&self, index: usize) -> ChainEnd {
        let before = index.checked_sub(1).and_then(|before| self.segments[before].sealed);
        before.map_or(self.packed(), |seal| seal.end)
    }

    /// Where the packs end and the segments begin.
    #[must_use]
    pub fn packed(&self) -> ChainEnd {
        self.packs.last().map_or(self.retired, |pack| pack.end)
    }

    /// What the first frame of the pack at `index` continues.
    #[must_use]
    pub fn chain_before_pack(&self, index: usize) -> ChainEnd {
        index.checked_sub(1).map_or(self.retired, |before| self.packs[before].end)
    }

    /// The file's bytes, without the zeros behind them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(&MANIFEST_MAGIC);
        writer.u32(FORMAT);
        writer.u32(self.stop.number());
        writer.u64(0);
        writer.u64(self.sequence);
        writer.u128(self.uuid.0);
        writer.u64(self.epoch);
        writer.u64(self.lock_inode);
        writer.u64(self.proven.0);
        writer.u64(self.next_segment);
        writer.u64(self.segment_size);
        writer.u64(self.retired.lsn.0);
        writer.u32(self.retired.crc);
        writer.u32(0);
        writer.bytes(&self.receipt_key);
        let mut name = [0; NAME_SIZE];
        let text = self.structure.to_string();
        name[..text.len()].copy_from_slice(text.as_bytes());
        writer.bytes(&name);
        for count in [self.histories.len(), self.segments.len(), self.checkpoints.len(), self.packs.len()] {
            writer.u32(u32::try_from(count).expect("a manifest is bounded"));
        }
        writer.u128(self.copied_from.0);
        self.histories.iter().for_each(|history| history.encode(&mut writer));
        self.packs.iter().for_each(|pack| pack.encode(&mut writer));
        self.segments.iter().for_each(|segment| segment.encode(&mut writer));
        self.checkpoints.iter().for_each(|checkpoint| checkpoint.encode(&mut writer));
        let mut bytes = writer.0;
        let size = (bytes.len() + DIGEST_SIZE) as u64;
        bytes[16..24].copy_from_slice(&size.to_le_bytes());
        let digest = blake3::hash(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Undecodable`]: it is not whole, or of a newer format.
    pub fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut reader = Reader::new(bytes);
        if reader.array() != Some(MANIFEST_MAGIC) {
            return Err(ManifestFault::Magic.into());
        }
        let format = reader.u32().ok_or(ManifestFault::Magic)?;
        let flags = reader.u32().ok_or(ManifestFault::Magic)?;
        let expected = reader.u64().ok_or(ManifestFault::Magic)?;
        let found = bytes.len() as u64;
        if expected > found || expected < (FIXED_SIZE + DIGEST_SIZE) as u64 {
            return Err(ManifestFault::Size { expected, found }.into());
        }
        let (bytes, padding) = bytes.split_at(expected as usize);
        let (content, digest) = bytes.split_at(bytes.len() - DIGEST_SIZE);
        if blake3::hash(content).as_bytes() != digest {
            return Err(ManifestFault::Digest.into());
        }
        if format > FORMAT {
            return Err(Undecodable::TooNew { found: format });
        }
        if !all_zero(padding) {
            return Err(ManifestFault::Padding.into());
        }
        let mut reader = Reader::new(content);
        let _ = reader.bytes(24);
        let mut field = "format";
        let manifest = Self::decode_fields(&mut reader, flags, &mut field)
            .filter(|_| format == FORMAT)
            .ok_or(ManifestFault::Field { field, offset: reader.offset() })?;
        match manifest.first_fault() {
            None if reader.left() == 0 => Ok(manifest),
            fault => {
                let field = fault.unwrap_or("length");
                Err(ManifestFault::Field { field, offset: reader.offset() }.into())
            }
        }
    }

    fn decode_fields(reader: &mut Reader<'_>, flags: u32, field: &mut &'static str) -> Option<Self> {
        *field = "fixed part";
        let stop = StopMark::ALL.into_iter().find(|stop| stop.number() == flags)?;
        let sequence = reader.u64()?;
        let uuid = StoreUuid(reader.u128()?);
        let epoch = reader.u64()?;
        let lock_inode = reader.u64()?;
        let proven = Lsn(reader.u64()?);
        let next_segment = reader.u64()?;
        let segment_size = reader.u64()?;
        let retired = ChainEnd { lsn: Lsn(reader.u64()?), crc: reader.u32()? };
        let reserved = reader.u32()?;
        let receipt_key = reader.array()?;
        *field = "structure name";
        let name: [u8; NAME_SIZE] = reader.array()?;
        let structure = decode_name(&name)?;
        *field = "counts";
        let counts = [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
        if reserved != 0 {
            return None;
        }
        let copied_from = StoreUuid(reader.u128()?);
        let [history_count, segment_count, checkpoint_count, pack_count] = counts.map(|count| count as usize);
        let sizes = [(history_count, HISTORY_SIZE), (pack_count, PACK_SIZE), (segment_count, SEGMENT_SIZE)];
        let needed = sizes.iter().try_fold(0_usize, |sum, (count, size)| sum.checked_add(count.checked_mul(*size)?))?;
        if needed > reader.left() || checkpoint_count > CHECKPOINT_COUNT_MAX {
            return None;
        }
        *field = "histories";
        let histories = (0..history_count).map(|_| HistoryEntry::decode(reader)).collect::<Option<_>>()?;
        *field = "packs";
        let packs = (0..pack_count).map(|_| PackEntry::decode(reader)).collect::<Option<_>>()?;
        *field = "segments";
        let segments = (0..segment_count).map(|_| SegmentEntry::decode(reader)).collect::<Option<_>>()?;
        *field = "checkpoints";
        let checkpoints = (0..checkpoint_count).map(|_| CheckpointEntry::decode(reader)).collect::<Option<_>>()?;
        Some(Self {
            sequence,
            uuid,
            epoch,
            structure,
            receipt_key,
            stop,
            copied_from,
            segment_size,
            lock_inode,
            proven,
            next_segment,
            retired,
            histories,
            packs,
            segments,
            checkpoints,
        })
    }

    /// What cannot be, whatever wrote it.
    fn first_fault(&self) -> Option<&'static str> {
        if !segment_size_is_valid(self.segment_size) {
            return Some("segment size");
        }
        let histories_grow = self.histories.windows(2).all(|pair| {
            let [older, younger] = [&pair[0], &pair[1]];
            let ends = older.end < younger.first && older.end.next() >= older.first;
            older.first <= younger.first && older.epoch < younger.epoch && ends
        });
        let (youngest, end) = self.histories.last().map_or((0, Lsn::ZERO), |history| (history.epoch, history.end));
        if !histories_grow
            || youngest != self.epoch
            || end != Lsn::ZERO
            || self.histories.iter().any(|history| history.first == Lsn::ZERO)
        {
            return Some("histories");
        }
        let Some((tail, sealed)) = self.segments.split_last() else { return Some("segments") };
        let numbers_grow = self.segments.windows(2).all(|pair| pair[0].number < pair[1].number);
        let Some((mut end, number)) = self.packs_end() else { return Some("packs") };
        if self.segments[0].number <= number && !self.packs.is_empty() {
            return Some("segments");
        }
        for segment in sealed {
            let Some(seal) = segment.sealed else { return Some("segments") };
            let inside =
                seal.offset >= BLOCK_SIZE && seal.offset <= segment.size && seal.offset.is_multiple_of(BLOCK_SIZE);
            if !inside || seal.end.lsn < end || !segment_size_is_valid(segment.size) || segment.first <= end {
                return Some("segments");
            }
            end = seal.end.lsn;
        }
        let tail_is_possible = tail.sealed.is_none() && tail.first > end && segment_size_is_valid(tail.size);
        if !numbers_grow || !tail_is_possible || tail.number >= self.next_segment {
            return Some("segments");
        }
        let checkpoints_grow = self
            .checkpoints
            .windows(2)
            .all(|pair| pair[0].generation < pair[1].generation && pair[0].lsn <= pair[1].lsn);
        if checkpoints_grow { None } else { Some("checkpoints") }
    }
}

impl Manifest {
    /// The last lsn and the last segment's number of the packs, if they continue each other.
    fn packs_end(&self) -> Option<(Lsn, u64)> {
        let (mut end, mut number) = (self.retired.lsn, 0);
        for (index, pack) in self.packs.iter().enumerate() {
            let grows = (index == 0 || pack.first_segment > number) && pack.last_segment >= pack.first_segment;
            let fits = pack.first > end && pack.end.lsn >= end;
            if !grows || !fits || pack.size < (PACK_HEADER_SIZE + PACK_TRAILER_SIZE) as u64 {
                return None;
            }
            (end, number) = (pack.end.lsn, pack.last_segment);
        }
        Some((end, number))
    }
}

/// Why bytes are no MANIFEST that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// Of a newer format, and whole.
    TooNew {
        /// Its format.
        found: u32,
    },
    /// Not whole, or impossible.
    Bad(ManifestFault),
}

impl From<ManifestFault> for Undecodable {
    fn from(fault: ManifestFault) -> Self {
        Self::Bad(fault)
    }
}

fn decode_name(name: &[u8; NAME_SIZE]) -> Option<StructureName> {
    let length = name.iter().position(|byte| *byte == 0)?;
    let (text, padding) = name.split_at(length);
    if padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl std::fmt::Debug for Manifest {
    /// Everything but the receipt key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manifest")
            .field("sequence", &self.sequence)
            .field("uuid", &self.uuid)
            .field("epoch", &self.epoch)
            .field("structure", &self.structure)
            .field("stop", &self.stop)
            .field("copied_from", &self.copied_from)
            .field("segment_size", &self.segment_size)
            .field("lock_inode", &self.lock_inode)
            .field("proven", &self.proven)
            .field("next_segment", &self.next_segment)
            .field("retired", &self.retired)
            .field("histories", &self.histories)
            .field("packs", &self.packs)
            .field("segments", &self.segments)
            .field("checkpoints", &self.checkpoints)
            .finish_non_exhaustive()
    }
}

const NAME_SIZE: usize = 16;
const DIGEST_SIZE: usize = 32;
/// Everything before the entries.
const FIXED_SIZE: usize = 184;
