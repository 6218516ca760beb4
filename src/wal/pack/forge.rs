//! Makes a store whose history is all packs, without ever writing the log that they stand for: long
//! histories for tests and measurements (feature `sim`).
#![forbid(unsafe_code)]

use super::PackHeader;
use super::PackedSegment;
use super::Stood;
use super::Summary;
use super::source::Piece;
use super::write::PackWriter;
use crate::disk::Disk;
use crate::disk::LatchDisk;
use crate::disk::LockMode;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::wal::Creation;
use crate::wal::FrameInfo;
use crate::wal::Seeds;
use crate::wal::constants::BLOCK_SIZE;
use crate::wal::constants::PACK_BLOCK_SIZE;
use crate::wal::constants::frame_size;
use crate::wal::entries::HistoryEntry;
use crate::wal::entries::PackEntry;
use crate::wal::entries::SegmentEntry;
use crate::wal::error::StoreError;
use crate::wal::frame;
use crate::wal::frame::FrameHeader;
use crate::wal::init;
use crate::wal::keeper::ManifestKeeper;
use crate::wal::manifest::ChainEnd;
use crate::wal::segment;
use crate::wal::segment::SegmentHeader;
use crate::wal::survey;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A frame of a history that never was.
#[derive(Clone, Copy, Debug)]
pub struct ForgedFrame {
    /// How many records its payload has.
    pub count: u32,
    /// Its wall time.
    pub wall: WallMs,
    /// Its boot clock.
    pub boot: BootMs,
}

/// Gives the payload of the next frame and what it says; `None` ends the history. It is told the first
/// lsn.
pub type ForgedFrames<'a> = dyn FnMut(Lsn, &mut Vec<u8>) -> Option<ForgedFrame> + 'a;

/// Makes the store: packs of at most `pack_frames` frames each.
///
/// # Errors
/// As [`init`](crate::wal::init()) and of writing packs.
pub fn forge(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    creation: &Creation,
    seeds: &Seeds,
    summary: &mut dyn Summary,
    pack_frames: u64,
    next: &mut ForgedFrames<'_>,
) -> Result<(), StoreError> {
    init::init(&**disk, dir, creation, seeds)?;
    let lock = survey::lock(&**disk, dir, LockMode::Exclusive)?;
    let manifest = survey::survey(&**disk, dir)?.manifest;
    let keeper = ManifestKeeper::open(LatchDisk::new(Arc::clone(disk)), dir, manifest)?;
    let mut forge =
        Forge { disk: &**disk, dir, creation, seeds, end: ChainEnd::default(), stood: Stood::default(), number: 1 };
    let mut packs = Vec::new();
    while let Some(pack) = forge.pack(summary, pack_frames, next)? {
        packs.push(pack);
    }
    let Forge { end, number, .. } = forge;
    let salt = segment::salt(&seeds.receipt_key, seeds.uuid, number, HISTORY);
    let header = SegmentHeader { uuid: seeds.uuid, number, size: creation.segment_size, salt };
    init::make_filled(&**disk, &segment::path(dir, number), &header.encode(), header.size)?;
    let history = HistoryEntry {
        id: HISTORY,
        first: FIRST,
        epoch: 1,
        boot: BootId(1),
        boot_ms: BootMs(0),
        wall: WallMs(0),
        end: Lsn::ZERO,
    };
    keeper.change(|manifest| {
        manifest.epoch = 1;
        manifest.histories = vec![history];
        manifest.packs = packs;
        manifest.proven = end.lsn;
        manifest.segments = vec![SegmentEntry { number, size: header.size, first: end.lsn.next(), sealed: None }];
        manifest.next_segment = number + 1;
    })?;
    if number > 1 {
        let _ = disk.remove_file(&segment::path(dir, 1));
    }
    drop(lock);
    Ok(())
}

struct Forge<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    creation: &'a Creation,
    seeds: &'a Seeds,
    end: ChainEnd,
    stood: Stood,
    /// The number of the next segment.
    number: u64,
}

impl Forge<'_> {
    fn pack(
        &mut self,
        summary: &mut dyn Summary,
        frames: u64,
        next: &mut ForgedFrames<'_>,
    ) -> Result<Option<PackEntry>, StoreError> {
        let (before, stood, first_segment) = (self.end, self.stood, self.number);
        let mut header =
            PackHeader { uuid: self.seeds.uuid, first_segment, last_segment: first_segment, before, stood };
        let mut payload = Vec::new();
        let mut first = self.end.lsn.next().max(FIRST);
        let Some(mut forged) = next(first, &mut payload) else { return Ok(None) };
        let path = self.dir.join("forged");
        let mut pace = |_| true;
        let mut writer = PackWriter::create(self.disk, path.clone(), header, PACK_BLOCK_SIZE, summary, &mut pace)?;
        let (mut offset, mut salt, mut bytes) = (u64::MAX, 0, Vec::new());
        for count in 0.. {
            if offset.saturating_add(frame_size(payload.len())) > self.creation.segment_size {
                salt = segment::salt(&self.seeds.receipt_key, self.seeds.uuid, self.number, HISTORY);
                writer.take(Piece::Segment(PackedSegment { number: self.number, salt }))?;
                header.last_segment = self.number;
                self.number += 1;
                offset = BLOCK_SIZE;
            }
            let ForgedFrame { count: records, wall, boot } = forged;
            let previous = self.end.crc;
            let frame = FrameHeader { first, count: records, durable: self.end.lsn, epoch: 1, wall, boot, previous };
            bytes.clear();
            let crc = frame::encode(&frame, &payload, salt, &mut bytes);
            let info = info(&frame, header.last_segment, offset);
            writer.take(Piece::Frame { info: &info, header: &frame, crc, payload: &payload })?;
            offset += bytes.len() as u64;
            self.end = ChainEnd { lsn: frame.last(), crc };
            self.stood = self.stood.after(1, wall, boot);
            if count + 1 == frames {
                break;
            }
            first = frame.last().next();
            payload.clear();
            match next(first, &mut payload) {
                Some(more) => forged = more,
                None => break,
            }
        }
        writer.rename_segments(header.last_segment);
        let entry = writer.finish(before.lsn.next().max(Lsn(1)), self.stood.wall)?;
        let target = super::path(self.dir, &entry);
        self.disk
            .rename(&path, &target)
            .map_err(|error| StoreError::failed(&target, crate::wal::Operation::Rename, error))?;
        Ok(Some(entry))
    }
}

fn info(frame: &FrameHeader, segment: u64, offset: u64) -> FrameInfo {
    FrameInfo {
        first: frame.first,
        count: frame.count,
        durable: frame.durable,
        epoch: frame.epoch,
        history: HISTORY,
        wall: frame.wall,
        boot: frame.boot,
        path: PathBuf::new(),
        segment,
        offset,
    }
}

const HISTORY: HistoryId = HistoryId(0x5eed);
const FIRST: Lsn = Lsn::ZERO.next_history_first();
