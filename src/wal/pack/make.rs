//! From segments to a pack that counts: write, read back and compare, list, and only then remove.
//!
//! A crash anywhere leaves either what was packed, listed and whole, or the pack, listed and whole.
//! What nothing lists is removed at the next open.
#![forbid(unsafe_code)]

use super::Pace;
use super::Summary;
use super::fault::PackFault;
use super::index::PackHeader;
use super::index::Stood;
use super::read;
use super::read::PackFile;
use super::read::PackWalk;
use super::source::Piece;
use super::source::Run;
use super::write::PackWriter;
use crate::disk::Disk;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::wal::constants::LOG_DIR;
use crate::wal::constants::PACK_BLOCK_SIZE;
use crate::wal::constants::PACK_MERGE_COUNT;
use crate::wal::constants::PACK_SIZE_FULL;
use crate::wal::entries::PackEntry;
use crate::wal::entries::SegmentEntry;
use crate::wal::error::Operation;
use crate::wal::error::StoreError;
use crate::wal::keeper::ManifestKeeper;
use crate::wal::manifest::Manifest;
use crate::wal::segment;
use std::path::Path;

/// What is to be packed next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackRun {
    run: Run,
    block_size: usize,
}

/// A pack that was made and compared; nothing lists it yet.
#[derive(Debug)]
pub struct Pack {
    entry: PackEntry,
    packs: Vec<PackEntry>,
    segments: Vec<SegmentEntry>,
}

/// What packing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackReport {
    /// Segments that went into it; 0 if packs were put together.
    pub segments: u64,
    /// Packs that were put together.
    pub packs: u64,
    /// Bytes that all of them had.
    pub bytes_before: u64,
    /// Bytes that the pack has.
    pub bytes: u64,
}

impl PackRun {
    /// What `manifest` has to be packed: the segments wholly at or below the older of two checkpoints
    /// once they have `segment_bytes` together, else the newest packs once there are eight in a row of
    /// which none is larger than all younger ones together.
    #[must_use]
    pub fn next(manifest: &Manifest, segment_bytes: u64) -> Option<Self> {
        let [older, _] = manifest.checkpoints.as_slice() else { return None };
        let floor = older.lsn;
        let mut bytes = 0;
        for (index, entry) in manifest.segments.iter().enumerate() {
            let Some(seal) = entry.sealed.filter(|seal| seal.end.lsn <= floor) else { break };
            bytes += seal.offset;
            if bytes >= segment_bytes {
                return Some(Self::of(Run::Segments(index + 1)));
            }
        }
        let count = manifest.packs.len();
        let (mut begin, mut sum) = (count, 0);
        for (index, pack) in manifest.packs.iter().enumerate().rev() {
            if pack.size >= PACK_SIZE_FULL || sum >= PACK_SIZE_FULL || (begin < count && pack.size > sum) {
                break;
            }
            sum += pack.size;
            begin = index;
        }
        (count - begin >= PACK_MERGE_COUNT).then(|| Self::of(Run::Packs(begin..count)))
    }

    const fn of(run: Run) -> Self {
        Self { run, block_size: PACK_BLOCK_SIZE }
    }

    /// With blocks of another size, for tests that want many of them.
    #[cfg(test)]
    pub(crate) fn with_blocks_of(self, block_size: usize) -> Self {
        Self { block_size, ..self }
    }

    /// Whether segments of so many bytes wait to be packed.
    #[must_use]
    pub fn is_of_segments(manifest: &Manifest, segment_bytes: u64) -> bool {
        Self::next(manifest, segment_bytes).is_some_and(|next| matches!(next.run, Run::Segments(_)))
    }

    /// The pack before it, which knows what its first frame is told by.
    #[must_use]
    pub fn pack_before<'a>(&self, manifest: &'a Manifest) -> Option<&'a PackEntry> {
        let end = match &self.run {
            Run::Segments(_) => manifest.packs.len(),
            Run::Packs(range) => range.start,
        };
        manifest.packs[..end].last()
    }

    /// The first of the packs that are put together; `None` if segments are packed.
    #[must_use]
    pub fn first_pack<'a>(&self, manifest: &'a Manifest) -> Option<&'a PackEntry> {
        self.run.packs(manifest).first()
    }
}

/// Makes a pack of what `run` names, reads it back from the disk and compares every frame, record and
/// link of the chain with what went into it. Changes nothing that the store relies on. `summary` is
/// told every frame; `pace` is asked after every write and every block read back.
///
/// # Errors
/// What is wrong with the log; [`StoreError::Full`] and I/O; [`StoreError::Stopped`]; a
/// [`StoreError::CorruptPack`] if it does not read back. There is no pack then.
pub fn make(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &Manifest,
    run: &PackRun,
    summary: &mut dyn Summary,
    pace: &mut Pace<'_>,
) -> Result<Pack, StoreError> {
    let (run, block_size) = (&run.run, run.block_size);
    let (packs, segments) = (run.packs(manifest).to_vec(), run.segments(manifest).to_vec());
    let numbers = [
        packs.first().map(|pack| pack.first_segment).or(segments.first().map(|segment| segment.number)),
        packs.last().map(|pack| pack.last_segment).or(segments.last().map(|segment| segment.number)),
    ];
    let [Some(first_segment), Some(last_segment)] = numbers else {
        return Err(StoreError::TooLarge { size: 0, count: 0, size_max: 0 });
    };
    let path = super::file_path(dir, first_segment, last_segment);
    let made = write(disk, dir, manifest, run, [first_segment, last_segment], block_size, summary, pace)
        .and_then(|entry| compare(disk, dir, manifest, run, &entry, pace).map(|()| entry))
        .and_then(|entry| {
            let log = dir.join(LOG_DIR);
            disk.sync_dir(&log).map_err(|error| StoreError::io(&log, Operation::Sync, error))?;
            Ok(entry)
        });
    match made {
        Ok(entry) => Ok(Pack { entry, packs, segments }),
        Err(error) => {
            let _ = disk.remove_file(&path);
            Err(error)
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "one caller, which has each of them")]
fn write(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &Manifest,
    run: &Run,
    [first_segment, last_segment]: [u64; 2],
    block_size: usize,
    summary: &mut dyn Summary,
    pace: &mut Pace<'_>,
) -> Result<PackEntry, StoreError> {
    let first = match run {
        Run::Segments(_) => manifest.segments[0].first,
        Run::Packs(range) => manifest.packs[range.start].first,
    };
    let (stood, wall) = stood_before(disk, dir, manifest, run)?;
    let header = PackHeader { uuid: manifest.uuid, first_segment, last_segment, before: run.before(manifest), stood };
    let path = super::file_path(dir, first_segment, last_segment);
    let mut pace = |size| pace(size);
    let mut writer = PackWriter::create(disk, path, header, block_size, summary, &mut pace)?;
    run.feed(disk, dir, manifest, &mut |piece| writer.take(piece))?;
    writer.finish(first, wall)
}

/// How the times of the log stood before a run, and the time of the last frame before it.
fn stood_before(disk: &dyn Disk, dir: &Path, manifest: &Manifest, run: &Run) -> Result<(Stood, WallMs), StoreError> {
    let stood = match (run, manifest.packs.last()) {
        (Run::Packs(range), _) => {
            PackFile::open(disk, dir, manifest.uuid, &manifest.packs[range.start])?.index().header.stood
        }
        (Run::Segments(_), Some(last)) => match PackFile::open(disk, dir, manifest.uuid, last) {
            Ok(pack) => pack.index().stood(),
            // A gap in history: the times stand anew from here.
            Err(StoreError::CorruptPack { .. }) => Stood { wall: last.wall, ..Stood::default() },
            Err(error) => return Err(error),
        },
        (Run::Segments(_), None) => Stood::default(),
    };
    Ok((stood, stood.wall))
}

/// Reads the pack from the disk and what went into it once more, side by side.
fn compare(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &Manifest,
    run: &Run,
    entry: &PackEntry,
    pace: &mut Pace<'_>,
) -> Result<(), StoreError> {
    let pack = PackFile::open(disk, dir, manifest.uuid, entry)?;
    let mut walk = PackWalk::new(manifest, &pack);
    let differs = |lsn: Lsn| pack.corrupt(0, lsn, PackFault::Differs);
    let (mut segments, mut blocks) = (0, 0);
    run.feed(disk, dir, manifest, &mut |piece| match piece {
        Piece::Segment(segment) => {
            segments += 1;
            let same = pack.index().segments.get(segments - 1) == Some(&segment);
            if same { Ok(()) } else { Err(differs(entry.first)) }
        }
        Piece::Frame { info, header, crc, payload } => {
            let Some(found) = walk.step()? else { return Err(differs(info.first)) };
            let place = (found.info.segment, found.info.offset, found.info.history);
            let same = place == (info.segment, info.offset, info.history)
                && (found.header, found.crc) == (*header, crc)
                && walk.payload(&found) == payload;
            if !same {
                return Err(differs(info.first));
            }
            if pack.index().blocks[blocks].end.lsn == header.last() {
                let size = pack.index().blocks[blocks].part.size as usize;
                blocks += 1;
                if !pace(size) {
                    return Err(StoreError::Stopped { path: read::path(dir, entry) });
                }
            }
            Ok(())
        }
    })?;
    for side in super::index::Side::ALL {
        pack.read_side(side, &mut |_| Ok(()))?;
    }
    let is_all = walk.step()?.is_none() && segments == pack.index().segments.len();
    let end = run.segments(manifest).last().and_then(|last| last.sealed).map(|seal| (seal.end, seal.wall));
    let end = end.or(run.packs(manifest).last().map(|last| (last.end, last.wall)));
    let has_frames = !pack.index().blocks.is_empty();
    let is_end = end.is_some_and(|(end, wall)| end == entry.end && (wall == entry.wall || !has_frames));
    pack.drop_cache();
    if is_all && is_end { Ok(()) } else { Err(differs(entry.end.lsn)) }
}

/// Puts a pack into MANIFEST in the place of what went into it, and removes that. Nobody may read the
/// removed files meanwhile.
///
/// # Errors
/// As [`ManifestKeeper::change`]. A file that cannot be removed is left to the next open. `None`: what
/// went into it is listed no more, and the pack was removed.
pub fn list(
    disk: &dyn Disk,
    dir: &Path,
    keeper: &ManifestKeeper,
    pack: &Pack,
) -> Result<Option<PackReport>, StoreError> {
    list_by(dir, keeper, pack, &mut |path| drop(disk.remove_file(path)))
}

/// As [`list`]; `remove` removes the files, now or when nobody reads them any more.
///
/// # Errors
/// As [`ManifestKeeper::change`].
pub(crate) fn list_by(
    dir: &Path,
    keeper: &ManifestKeeper,
    pack: &Pack,
    remove: &mut dyn FnMut(&Path),
) -> Result<Option<PackReport>, StoreError> {
    let path = read::path(dir, &pack.entry);
    let Some(place) = keeper.look(|manifest| place_of(manifest, pack)) else {
        remove(&path);
        return Ok(None);
    };
    let changed = keeper.change(|manifest| {
        manifest.packs.splice(place..place + pack.packs.len(), [pack.entry]);
        manifest.segments.drain(..pack.segments.len());
    });
    if changed.as_ref().is_err_and(StoreError::is_full) {
        remove(&path);
    }
    changed?;
    let mut report = PackReport {
        segments: pack.segments.len() as u64,
        packs: pack.packs.len() as u64,
        bytes_before: 0,
        bytes: pack.entry.size,
    };
    for entry in &pack.segments {
        report.bytes_before += entry.sealed.map_or(entry.size, |seal| seal.offset);
        remove(&segment::path(dir, entry.number));
    }
    for entry in &pack.packs {
        report.bytes_before += entry.size;
        remove(&read::path(dir, entry));
    }
    Ok(Some(report))
}

/// Where a pack goes, if all that went into it is still listed.
fn place_of(manifest: &Manifest, pack: &Pack) -> Option<usize> {
    if pack.packs.is_empty() {
        let is_there = manifest.segments.starts_with(&pack.segments);
        return is_there.then_some(manifest.packs.len());
    }
    let place = manifest.packs.iter().position(|entry| *entry == pack.packs[0])?;
    manifest.packs[place..].starts_with(&pack.packs).then_some(place)
}
