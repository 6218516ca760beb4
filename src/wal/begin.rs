//! Making an allowed open count, in an order that a crash anywhere leaves either the old store or
//! the new one:
//!
//! 1. the frame above what is proven durable is encoded anew into a new segment and synced, because
//!    its bytes may be in the page cache only; the segment is the spare or, on a full disk, the
//!    reserve;
//! 2. MANIFEST, both copies: the old tail sealed behind the last proven frame, the new segment, the
//!    next epoch, the new history;
//! 3. only then the watermark moves, and what nothing lists is removed.
#![forbid(unsafe_code)]

use super::appender::Appender;
use super::appender::OpenStamp;
use super::appender::Tail;
use super::constants::LOG_DIR;
use super::constants::MANIFEST;
use super::constants::MANIFEST_COPY;
use super::constants::frame_size_max;
use super::entries::Seal;
use super::entries::SegmentEntry;
use super::error::Operation;
use super::error::StoreError;
use super::frame;
use super::frame::FrameHeader;
use super::history;
use super::history::Beginning;
use super::keeper::ManifestKeeper;
use super::manifest::ChainEnd;
use super::manifest::Manifest;
use super::manifest::StopMark;
use super::pack;
use super::replay::Replayed;
use super::segment;
use super::segment::SegmentHeader;
use super::spare::Source;
use super::spare::SpareFiller;
use super::survey;
use super::survey::Survey;
use super::walk;
use super::walk::Reading;
use super::watermark::Watermark;
use super::watermark::WatermarkFile;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::LatchDisk;
use crate::disk::LockGuard;
use crate::disk::Shortage;
use crate::ident::Lsn;
use std::path::Path;
use std::sync::Arc;

pub(super) fn begin(
    disk: Arc<dyn Disk>,
    dir: &Path,
    survey: Survey,
    replayed: Replayed,
    stamp: OpenStamp,
    lock: Box<dyn LockGuard>,
) -> Result<Appender, StoreError> {
    survey.check_lock(dir, &*lock)?;
    check_writable(&*disk, dir, &survey)?;
    let latch = LatchDisk::new(Arc::clone(&disk));
    let latched: Arc<dyn Disk> = Arc::new(latch.clone());
    let is_power_loss = stamp.wait_after_power_loss && survey.may_have_lost_power(&replayed, stamp);
    let manifest = survey.manifest;
    let keeper = ManifestKeeper::open(latch, dir, manifest.clone())?;
    if let Some(name) = survey.to_mend {
        keeper.mend(name)?;
    }
    // From here on no change of MANIFEST needs room; what a new segment needs may be used up for it.
    keeper.prepare()?;
    let spare = SpareFiller::new(Arc::clone(&disk), dir, manifest.segment_size);
    let open = Opening { disk: &disk, latched: &latched, dir, manifest: &manifest, replayed: &replayed, stamp };
    let open_first = history::next_first(&manifest, replayed.end.lsn, Lsn::ZERO);
    let is_clean_end = replayed.above.is_none() && replayed.torn_bytes == 0;
    let number = open.next_number()?;
    let (tail, entry, number) = if is_clean_end {
        (open.go_on()?, None, number)
    } else {
        let (tail, entry) = open.new_tail(&spare, number, open_first)?;
        (tail, Some(entry), number + 1)
    };
    keeper.change(|manifest| {
        if let (Some(entry), Some(old)) = (entry, manifest.segments.last_mut()) {
            old.sealed = Some(Seal { end: replayed.proven, offset: replayed.offset, wall: replayed.proven_wall });
            manifest.segments.push(entry);
        }
        manifest.next_segment = number;
        manifest.proven = manifest.proven.max(replayed.end.lsn);
        if is_power_loss && manifest.stop == StopMark::None {
            manifest.stop = StopMark::PowerLoss;
        }
        let (id, boot, boot_ms, wall) = (stamp.history, stamp.boot, stamp.boot_ms, stamp.wall);
        history::begin(manifest, replayed.end.lsn, open_first, Beginning { id, boot, boot_ms, wall });
    })?;
    let epoch = manifest.epoch + 1;
    let mark = Watermark {
        uuid: manifest.uuid,
        epoch,
        sequence: survey.watermarks.iter().map(|mark| mark.sequence + 1).max().unwrap_or(0),
        lsn: replayed.end.lsn,
        boot: stamp.boot,
        boot_ms: stamp.boot_ms,
        clean: false,
    };
    let watermark = WatermarkFile::open(&*latched, dir, mark)?;
    open.tidy_up(&keeper.manifest());
    // Without it nothing is appended; the open itself does not need it.
    let _ = spare.finish_reserve();
    Ok(Appender {
        disk: latched,
        dir: dir.to_owned(),
        keeper: Arc::new(keeper),
        watermark: Arc::new(watermark),
        spare: Arc::new(spare),
        stamp,
        epoch,
        open_first,
        tail,
        next: open_first,
        wall: replayed.wall,
        frames: 0,
        appended_bytes: 0,
        is_poisoned: false,
        buffer: Vec::new(),
        _lock: lock,
    })
}

/// A read-only file system is named before anything is tried.
fn check_writable(disk: &dyn Disk, dir: &Path, survey: &Survey) -> Result<(), StoreError> {
    let believed = if survey.to_mend == Some(MANIFEST) { MANIFEST_COPY } else { MANIFEST };
    let path = dir.join(believed);
    match disk.open(&path, Access::ReadWrite) {
        Ok(_) => Ok(()),
        Err(error) if Shortage::of(&error) == Some(Shortage::ReadOnly) => Err(StoreError::ReadOnly { path }),
        Err(error) => Err(StoreError::io(&path, Operation::Open, error)),
    }
}

/// What the steps share.
struct Opening<'a> {
    disk: &'a Arc<dyn Disk>,
    latched: &'a Arc<dyn Disk>,
    dir: &'a Path,
    manifest: &'a Manifest,
    replayed: &'a Replayed,
    stamp: OpenStamp,
}

impl Opening<'_> {
    /// A clean end: the tail goes on where it ends.
    fn go_on(&self) -> Result<Tail, StoreError> {
        let (_, header) =
            walk::open_segment(&**self.disk, self.dir, self.manifest, self.manifest.tail(), Reading::Recovery)?;
        Tail::open(self.latched, self.dir, &header, self.replayed.offset, self.replayed.end)
    }

    /// A new segment, with the frame above what is proven if there is one.
    fn new_tail(&self, spare: &SpareFiller, number: u64, open_first: Lsn) -> Result<(Tail, SegmentEntry), StoreError> {
        let manifest = self.manifest;
        let salt = segment::salt(&manifest.receipt_key, manifest.uuid, number, self.stamp.history);
        let mut header = SegmentHeader { uuid: manifest.uuid, number, size: manifest.segment_size, salt };
        let source = self.find_segment(spare)?;
        let mut tail = Tail::take(spare, source, self.latched, self.dir, &mut header, self.replayed.proven)?;
        let mut first = open_first;
        if let Some(above) = &self.replayed.above {
            first = above.first;
            let (frame_header, payload) = self.read_above(above.offset)?;
            let frame_header = FrameHeader { previous: self.replayed.proven.crc, ..frame_header };
            let mut bytes = Vec::new();
            let crc = frame::encode(&frame_header, &payload, salt, &mut bytes);
            tail.write(&bytes)?;
            tail.end = ChainEnd { lsn: frame_header.last(), crc };
        }
        Ok((tail, SegmentEntry { number, size: header.size, first, sealed: None }))
    }

    /// The spare, made now if there is none; on a full disk the reserve; if that was taken by an open
    /// that did not come to an end, what that one made of it.
    fn find_segment(&self, spare: &SpareFiller) -> Result<Source, StoreError> {
        match spare.finish_spare() {
            Err(error) if error.is_full() => {}
            other => return other.map(|()| Source::Spare),
        }
        let full = match spare.finish_reserve() {
            Err(error) if error.is_full() => error,
            other => return other.map(|()| Source::Reserve),
        };
        let Some(orphan) = self.largest_orphan()? else { return Err(full) };
        spare.give_back(Source::Reserve, orphan)?;
        spare.finish_reserve().map(|()| Source::Reserve)
    }

    fn largest_orphan(&self) -> Result<Option<u64>, StoreError> {
        let entries = survey::list(&**self.disk, &self.dir.join(LOG_DIR))?;
        let is_listed = |number: &u64| self.manifest.segments.iter().any(|segment| segment.number == *number);
        let sized = entries.iter().filter_map(|entry| Some((entry.size, segment::number_of(&entry.name)?)));
        Ok(sized.filter(|(_, number)| !is_listed(number)).max().map(|(_, number)| number))
    }

    /// The frame above what is proven, from the old tail.
    fn read_above(&self, offset: u64) -> Result<(FrameHeader, Vec<u8>), StoreError> {
        let entry = self.manifest.tail();
        let (file, header) = walk::open_segment(&**self.disk, self.dir, self.manifest, entry, Reading::Recovery)?;
        let path = segment::path(self.dir, entry.number);
        let size = frame_size_max(entry.size).min(entry.size - offset);
        let mut bytes = vec![0; size as usize];
        let count = file.read_at(&mut bytes, offset).map_err(|error| StoreError::io(&path, Operation::Read, error))?;
        let frame = frame::decode(&bytes[..count], header.salt).map_err(|fault| StoreError::CorruptLog {
            path: path.clone(),
            segment: entry.number,
            offset,
            lsn: self.replayed.proven.lsn.next(),
            fault: fault.into(),
        })?;
        Ok((frame.header, frame.payload.to_vec()))
    }

    /// Above everything that MANIFEST ever listed and everything that is there.
    fn next_number(&self) -> Result<u64, StoreError> {
        let entries = survey::list(&**self.disk, &self.dir.join(LOG_DIR))?;
        let above = entries.iter().filter_map(|entry| segment::number_of(&entry.name)).map(|number| number + 1).max();
        Ok(above.unwrap_or(0).max(self.manifest.next_segment))
    }

    /// Removes what nothing lists and gives back what lies behind sealed ends. The open counts
    /// already: what fails here is only space, and the next open tries again.
    fn tidy_up(&self, manifest: &Manifest) {
        for entry in survey::list(&**self.disk, &self.dir.join(LOG_DIR)).unwrap_or_default() {
            if let Some(name) = pack::segments_of(&entry.name) {
                let is_listed = manifest.packs.iter().any(|pack| (pack.first_segment, pack.last_segment) == name);
                if !is_listed {
                    let _ = self.disk.remove_file(&self.dir.join(LOG_DIR).join(&entry.name));
                }
                continue;
            }
            let Some(number) = segment::number_of(&entry.name) else { continue };
            let path = segment::path(self.dir, number);
            let listed = manifest.segments.iter().find(|segment| segment.number == number);
            match listed.map(|segment| segment.sealed) {
                None => drop(self.disk.remove_file(&path)),
                Some(Some(seal)) if entry.size > seal.offset => {
                    let cut = self.disk.open(&path, Access::ReadWrite).and_then(|file| file.set_len(seal.offset));
                    drop(cut);
                }
                Some(_) => {}
            }
        }
    }
}
