//! Adopting a store whose LOCK is not the file that MANIFEST notes: the operator says why.
#![forbid(unsafe_code)]

use super::appender::OpenStamp;
use super::constants::BLOCK_SIZE;
use super::constants::LOG_DIR;
use super::constants::frame_size;
use super::constants::payload_size_max;
use super::constants::segment_size_is_valid;
use super::entries::HistoryEntry;
use super::entries::SegmentEntry;
use super::error::Operation;
use super::error::StoreError;
use super::frame;
use super::frame::FrameHeader;
use super::init;
use super::init::Seeds;
use super::keeper::ManifestKeeper;
use super::manifest::ChainEnd;
use super::manifest::Manifest;
use super::manifest::StopMark;
use super::segment;
use super::segment::SegmentHeader;
use super::survey;
use crate::disk::Disk;
use crate::disk::LatchDisk;
use crate::disk::LockMode;
use crate::ident::Lsn;
use std::path::Path;
use std::sync::Arc;

/// What happened to a store.
#[derive(Debug)]
pub enum Adoption {
    /// It was moved, and the original is gone.
    Moved,
    /// It comes from a backup: granting must stop until the operator says otherwise.
    Restored,
    /// It is a copy and the original goes on: another store from now on.
    Copy(NewStore),
}

/// What a copy becomes.
#[derive(Debug)]
pub struct NewStore {
    /// Its identity and key.
    pub seeds: Seeds,
    /// What its first history notes, if it has frames.
    pub stamp: OpenStamp,
    /// The first frames of its log: what it keeps of the store that it was copied from.
    pub frames: Vec<Frame>,
}

/// The payload of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its records.
    pub payload: Vec<u8>,
    /// How many, at least 1.
    pub count: u32,
}

/// Notes what happened to a store, and the LOCK that is there as its own. All of it or, after a
/// crash or a failure, nothing.
///
/// # Errors
/// As [`survey`](super::survey()) and [`lock`](super::lock); [`StoreError::TooLarge`] for a frame
/// that this store's segments cannot hold; [`StoreError::Full`] changes nothing; I/O.
pub fn adopt(disk: Arc<dyn Disk>, dir: &Path, adoption: Adoption) -> Result<(), StoreError> {
    let lock = survey::lock(&*disk, dir, LockMode::Exclusive)?;
    let survey = survey::survey(&*disk, dir)?;
    let manifest = survey.manifest;
    let inode = lock.inode();
    let is_settled = survey.to_mend.is_none() && manifest.lock_inode == inode;
    if is_settled && matches!(adoption, Adoption::Moved) {
        return Ok(());
    }
    // The LOCK that is locked is the right one: this is what the adoption says.
    let keeper = ManifestKeeper::open(LatchDisk::new(Arc::clone(&disk)), dir, manifest.clone())?;
    match adoption {
        Adoption::Moved => keeper.change(|manifest| manifest.lock_inode = inode),
        Adoption::Restored => keeper.change(|manifest| {
            manifest.lock_inode = inode;
            manifest.stop = StopMark::Restored;
        }),
        Adoption::Copy(new) => {
            let made = make_log(&*disk, dir, &manifest, &new)?;
            let noted = keeper.change(|manifest| become_another(manifest, &new, made, inode));
            noted.inspect_err(|error| {
                if error.is_full() {
                    let _ = disk.remove_file(&segment::path(dir, manifest.next_segment));
                }
            })
        }
    }
}

/// The log of a copy: one segment.
#[derive(Clone, Copy, Debug)]
struct Made {
    size: u64,
    last: Lsn,
}

/// Makes the only segment of the copy, durably. Nothing lists it yet; one that an adoption left which
/// did not come to an end is made anew.
fn make_log(disk: &dyn Disk, dir: &Path, manifest: &Manifest, new: &NewStore) -> Result<Made, StoreError> {
    let number = manifest.next_segment;
    let size_max = payload_size_max(manifest.segment_size);
    let misfit = |frame: &&Frame| frame.payload.is_empty() || frame.count == 0 || frame.payload.len() > size_max;
    if let Some(frame) = new.frames.iter().find(misfit) {
        return Err(StoreError::TooLarge { size: frame.payload.len(), count: frame.count, size_max });
    }
    let needed = BLOCK_SIZE + new.frames.iter().map(|frame| frame_size(frame.payload.len())).sum::<u64>();
    let size = needed.max(manifest.segment_size);
    if !segment_size_is_valid(size) {
        return Err(StoreError::SegmentSize { size });
    }
    let salt = segment::salt(&new.seeds.receipt_key, new.seeds.uuid, number, new.stamp.history);
    let mut bytes = SegmentHeader { uuid: new.seeds.uuid, number, size, salt }.encode();
    let mut end = ChainEnd::default();
    let mut next = first_lsn();
    for frame in &new.frames {
        let header = FrameHeader {
            first: next,
            count: frame.count,
            durable: end.lsn,
            epoch: FIRST_EPOCH,
            wall: new.stamp.wall,
            boot: new.stamp.boot_ms,
            previous: end.crc,
        };
        let crc = frame::encode(&header, &frame.payload, salt, &mut bytes);
        end = ChainEnd { lsn: header.last(), crc };
        next = header.last().next();
    }
    let path = segment::path(dir, number);
    match disk.remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(StoreError::io(&path, Operation::Remove, error));
        }
        _ => {}
    }
    init::make_filled(disk, &path, &bytes, size)?;
    let log = dir.join(LOG_DIR);
    disk.sync_dir(&log).map_err(|error| StoreError::io(&log, Operation::Sync, error))?;
    Ok(Made { size, last: end.lsn })
}

fn become_another(manifest: &mut Manifest, new: &NewStore, made: Made, lock_inode: u64) {
    let number = manifest.next_segment;
    manifest.copied_from = manifest.uuid;
    manifest.uuid = new.seeds.uuid;
    manifest.receipt_key = new.seeds.receipt_key;
    manifest.lock_inode = lock_inode;
    manifest.stop = StopMark::None;
    manifest.proven = made.last;
    manifest.retired = ChainEnd::default();
    manifest.checkpoints.clear();
    manifest.packs.clear();
    manifest.segments = vec![SegmentEntry { number, size: made.size, first: Lsn(1), sealed: None }];
    manifest.next_segment = number + 1;
    manifest.histories.clear();
    manifest.epoch = 0;
    if !new.frames.is_empty() {
        let OpenStamp { history, boot, boot_ms, wall, .. } = new.stamp;
        let (first, epoch, end) = (first_lsn(), FIRST_EPOCH, Lsn::ZERO);
        manifest.histories.push(HistoryEntry { id: history, first, epoch, boot, boot_ms, wall, end });
        manifest.epoch = epoch;
    }
}

/// The first lsn of a store's first history.
const fn first_lsn() -> Lsn {
    Lsn::ZERO.next_history_first()
}

/// The epoch of a store's first history.
const FIRST_EPOCH: u64 = 1;
