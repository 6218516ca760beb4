//! Making a store.
//!
//! MANIFEST comes last: a directory without one, that holds nothing but what `init` itself makes,
//! is begun again.
#![forbid(unsafe_code)]

use super::bytes::all_zero;
use super::constants::BLOCK_SIZE;
use super::constants::CHECKPOINT_DIR;
use super::constants::FRESH;
use super::constants::LOCK;
use super::constants::LOG_DIR;
use super::constants::MANIFEST;
use super::constants::MANIFEST_COPY;
use super::constants::RESERVE;
use super::constants::SPARE;
use super::constants::SPARE_SLICE_SIZE;
use super::constants::TEMPORARY;
use super::constants::WATERMARK;
use super::constants::reserve_size;
use super::constants::segment_size_is_valid;
use super::entries::SegmentEntry;
use super::error::ManifestFault;
use super::error::Operation;
use super::error::StoreError;
use super::keeper;
use super::manifest::ChainEnd;
use super::manifest::Manifest;
use super::manifest::StopMark;
use super::pack;
use super::segment;
use super::segment::SegmentHeader;
use super::survey;
use super::watermark;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::LockMode;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::ident::StructureName;
use std::io;
use std::path::Path;

/// What a store is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The structure it will hold.
    pub structure: StructureName,
    /// The size of its segments in bytes: a multiple of 4 KiB, 16 KiB to 1 GiB.
    pub segment_size: u64,
}

/// Randomness that a new store needs, drawn by the caller.
#[derive(Clone, Copy)]
pub struct Seeds {
    /// Its identity.
    pub uuid: StoreUuid,
    /// The key of its receipts.
    pub receipt_key: [u8; 32],
}

impl std::fmt::Debug for Seeds {
    /// Everything but the receipt key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seeds").field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

/// Makes a store in `dir`, which is made if it is missing (its parent must exist). A directory that
/// an interrupted `init` left is begun again.
///
/// # Errors
/// [`StoreError::AlreadyAStore`], [`StoreError::NotEmpty`], [`StoreError::SegmentSize`],
/// [`StoreError::Locked`]; [`StoreError::Full`], after which it may be tried again;
/// [`StoreError::ManifestCorrupt`] if a store is there whose MANIFEST is
/// gone; I/O.
pub fn init(disk: &dyn Disk, dir: &Path, creation: &Creation, seeds: &Seeds) -> Result<(), StoreError> {
    if !segment_size_is_valid(creation.segment_size) {
        return Err(StoreError::SegmentSize { size: creation.segment_size });
    }
    make_dir(disk, dir)?;
    check_is_free(disk, dir)?;
    let path = dir.join(LOCK);
    match disk.create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(StoreError::io(&path, Operation::Create, error));
        }
        _ => {}
    }
    let lock = survey::lock(disk, dir, LockMode::Exclusive)?;
    check_is_free(disk, dir)?;
    remove_remains(disk, dir)?;
    for name in [LOG_DIR, CHECKPOINT_DIR] {
        make_dir(disk, &dir.join(name))?;
    }
    // Syncs the directory: everything but MANIFEST has its name for good.
    let _ = watermark::create(disk, dir)?;
    let salt = segment::salt(&seeds.receipt_key, seeds.uuid, SEGMENT_FIRST, HistoryId(0));
    let header = SegmentHeader { uuid: seeds.uuid, number: SEGMENT_FIRST, size: creation.segment_size, salt };
    make_segment(disk, dir, &header)?;
    make_reserve(disk, dir, creation.segment_size)?;
    keeper::make_first(disk, dir, &first_manifest(creation, seeds, lock.inode()))
}

fn first_manifest(creation: &Creation, seeds: &Seeds, lock_inode: u64) -> Manifest {
    let first = SegmentEntry { number: SEGMENT_FIRST, size: creation.segment_size, first: Lsn(1), sealed: None };
    Manifest {
        sequence: 1,
        uuid: seeds.uuid,
        epoch: 0,
        structure: creation.structure,
        receipt_key: seeds.receipt_key,
        stop: StopMark::None,
        copied_from: StoreUuid(0),
        segment_size: creation.segment_size,
        lock_inode,
        proven: Lsn::ZERO,
        next_segment: SEGMENT_FIRST + 1,
        retired: ChainEnd::default(),
        histories: Vec::new(),
        packs: Vec::new(),
        segments: vec![first],
        checkpoints: Vec::new(),
    }
}

/// Makes a directory if it is missing, durably.
pub(super) fn make_dir(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let is_new = match disk.create_dir(dir) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(StoreError::io(dir, Operation::Create, error)),
    };
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    match disk.sync_dir(parent) {
        // A parent that may not be listed cannot be synced: its owner made the directory.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !is_new => Ok(()),
        other => other.map_err(|error| StoreError::io(parent, Operation::Sync, error)),
    }
}

fn check_is_free(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let entries = survey::list(disk, dir)?;
    if entries.iter().any(|entry| entry.name == MANIFEST || entry.name == MANIFEST_COPY) {
        return Err(StoreError::AlreadyAStore { dir: dir.to_owned() });
    }
    match remains(disk, dir)? {
        Remains::OfInit => Ok(()),
        Remains::OfStore => Err(StoreError::ManifestCorrupt { path: dir.join(MANIFEST), why: ManifestFault::Missing }),
        Remains::Foreign(name) => Err(StoreError::NotEmpty { dir: dir.to_owned(), name }),
    }
}

/// What a directory without MANIFEST holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Remains {
    /// Nothing but what an interrupted `init` leaves, or nothing.
    OfInit,
    /// Segments or checkpoints that were in use.
    OfStore,
    /// Something else; its name.
    Foreign(String),
}

pub(crate) fn remains(disk: &dyn Disk, dir: &Path) -> Result<Remains, StoreError> {
    let temporaries = manifest_temporaries();
    let mut foreign = None;
    for entry in survey::list(disk, dir)? {
        match entry.name.as_str() {
            LOCK | WATERMARK if !entry.is_dir => {}
            LOG_DIR | CHECKPOINT_DIR if entry.is_dir => {}
            name if temporaries.iter().any(|temporary| temporary == name) || name == LOST_AND_FOUND => {}
            _ => foreign = foreign.or(Some(entry.name)),
        }
    }
    for entry in survey::list(disk, &dir.join(LOG_DIR))? {
        match segment::number_of(&entry.name) {
            Some(SEGMENT_FIRST) if !has_frames(disk, &segment::path(dir, SEGMENT_FIRST))? => {}
            Some(_) => return Ok(Remains::OfStore),
            None if pack::segments_of(&entry.name).is_some() => return Ok(Remains::OfStore),
            None if entry.name == SPARE || entry.name == RESERVE => {}
            None => foreign = foreign.or(Some(entry.name)),
        }
    }
    if !survey::list(disk, &dir.join(CHECKPOINT_DIR))?.is_empty() {
        return Ok(Remains::OfStore);
    }
    Ok(foreign.map_or(Remains::OfInit, Remains::Foreign))
}

/// Whether anything was ever written behind the header block.
fn has_frames(disk: &dyn Disk, path: &Path) -> Result<bool, StoreError> {
    let failed = |error| StoreError::io(path, Operation::Read, error);
    let file = disk.open(path, Access::Read).map_err(failed)?;
    let mut offset = BLOCK_SIZE;
    let mut slice = vec![0; SPARE_SLICE_SIZE];
    loop {
        let count = file.read_at(&mut slice, offset).map_err(failed)?;
        if !all_zero(&slice[..count]) {
            return Ok(true);
        }
        if count < slice.len() {
            return Ok(false);
        }
        offset += count as u64;
    }
}

/// Names under which the two MANIFESTs are made. Also an open that found MANIFEST where `init` was
/// killed, and lost power before the name was durable, leaves the second without the first.
fn manifest_temporaries() -> [String; 4] {
    let names = [(MANIFEST, TEMPORARY), (MANIFEST_COPY, TEMPORARY), (MANIFEST, FRESH), (MANIFEST_COPY, FRESH)];
    names.map(|(name, suffix)| format!("{name}{suffix}"))
}

fn remove_remains(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let segments = [segment::path(dir, SEGMENT_FIRST), segment::spare_path(dir), segment::reserve_path(dir)];
    let paths = segments.into_iter().chain([dir.join(WATERMARK)]);
    for path in manifest_temporaries().map(|name| dir.join(name)).into_iter().chain(paths) {
        match disk.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(&path, Operation::Remove, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes the reserve, durably.
pub(super) fn make_reserve(disk: &dyn Disk, dir: &Path, segment_size: u64) -> Result<(), StoreError> {
    make_filled(disk, &segment::reserve_path(dir), &[], reserve_size(segment_size))?;
    let log = dir.join(LOG_DIR);
    disk.sync_dir(&log).map_err(|error| StoreError::io(&log, Operation::Sync, error))
}

/// Makes the first segment in full, durably.
fn make_segment(disk: &dyn Disk, dir: &Path, header: &SegmentHeader) -> Result<(), StoreError> {
    make_filled(disk, &segment::path(dir, header.number), &header.encode(), header.size)?;
    let log = dir.join(LOG_DIR);
    disk.sync_dir(&log).map_err(|error| StoreError::io(&log, Operation::Sync, error))
}

/// Makes a file of `size` bytes that starts with `start` and goes on with zeros; its bytes are
/// durable then, not its name. One that cannot be finished is removed.
pub(super) fn make_filled(disk: &dyn Disk, path: &Path, start: &[u8], size: u64) -> Result<(), StoreError> {
    let failed = |operation| move |error| StoreError::io(path, operation, error);
    let file = disk.create(path).map_err(failed(Operation::Create))?;
    let fill = || {
        file.write_at(start, 0).map_err(failed(Operation::Write))?;
        let zeros = vec![0; SPARE_SLICE_SIZE];
        let mut offset = start.len() as u64;
        while offset < size {
            let count = (size - offset).min(zeros.len() as u64);
            file.write_at(&zeros[..count as usize], offset).map_err(failed(Operation::Write))?;
            offset += count;
        }
        file.sync_all().map_err(failed(Operation::Sync))
    };
    fill().inspect_err(|_| drop(disk.remove_file(path)))
}

/// The number of a store's first segment.
const SEGMENT_FIRST: u64 = 1;

/// What a fresh file system has in its root: a store may be made there.
const LOST_AND_FOUND: &str = "lost+found";
