//! Making a store, and adopting one that was moved.
//!
//! MANIFEST comes last: a directory without one, that holds nothing but what `init` itself makes,
//! is begun again.
#![forbid(unsafe_code)]

use super::bytes::all_zero;
use super::constants::BLOCK_SIZE;
use super::constants::CHECKPOINT_DIR;
use super::constants::LOCK;
use super::constants::LOG_DIR;
use super::constants::MANIFEST;
use super::constants::MANIFEST_COPY;
use super::constants::SPARE;
use super::constants::SPARE_SLICE_SIZE;
use super::constants::TEMPORARY;
use super::constants::WATERMARK;
use super::constants::segment_size_is_valid;
use super::error::ManifestFault;
use super::error::Operation;
use super::error::StoreError;
use super::keeper::ManifestKeeper;
use super::keeper::replace;
use super::manifest::ChainEnd;
use super::manifest::Manifest;
use super::manifest::SegmentEntry;
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
use std::sync::Arc;

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
/// [`StoreError::Locked`]; [`StoreError::ManifestCorrupt`] if a store is there whose MANIFEST is
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
    let bytes = first_manifest(creation, seeds, lock.inode()).encode();
    replace(disk, dir, MANIFEST, &bytes)?;
    replace(disk, dir, MANIFEST_COPY, &bytes)
}

/// Notes the LOCK that is there as the store's own: the store was moved and the original is gone.
///
/// # Errors
/// As [`survey`](super::survey()) and [`lock`](super::lock).
pub fn adopt_moved(disk: Arc<dyn Disk>, dir: &Path) -> Result<(), StoreError> {
    let lock = survey::lock(&*disk, dir, LockMode::Exclusive)?;
    let survey = survey::survey(&*disk, dir)?;
    if survey.to_mend.is_none() && survey.manifest.lock_inode == lock.inode() {
        return Ok(());
    }
    ManifestKeeper::new(disk, dir, survey.manifest).change(|manifest| manifest.lock_inode = lock.inode())
}

fn first_manifest(creation: &Creation, seeds: &Seeds, lock_inode: u64) -> Manifest {
    let first = SegmentEntry { number: SEGMENT_FIRST, size: creation.segment_size, first: Lsn(1), sealed: None };
    Manifest {
        sequence: 1,
        uuid: seeds.uuid,
        epoch: 0,
        structure: creation.structure,
        receipt_key: seeds.receipt_key,
        suspect: false,
        segment_size: creation.segment_size,
        lock_inode,
        proven: Lsn::ZERO,
        next_segment: SEGMENT_FIRST + 1,
        retired: ChainEnd::default(),
        histories: Vec::new(),
        segments: vec![first],
        checkpoints: Vec::new(),
    }
}

/// Makes a directory if it is missing, durably.
fn make_dir(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
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
            None if entry.name == SPARE => {}
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
fn manifest_temporaries() -> [String; 2] {
    [MANIFEST, MANIFEST_COPY].map(|name| format!("{name}{TEMPORARY}"))
}

fn remove_remains(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let paths = [dir.join(WATERMARK), segment::path(dir, SEGMENT_FIRST), segment::spare_path(dir)];
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

/// Makes the first segment in full, durably.
fn make_segment(disk: &dyn Disk, dir: &Path, header: &SegmentHeader) -> Result<(), StoreError> {
    let path = segment::path(dir, header.number);
    let failed = |operation| {
        let path = &path;
        move |error| StoreError::io(path, operation, error)
    };
    let file = disk.create(&path).map_err(failed(Operation::Create))?;
    let mut slice = vec![0; SPARE_SLICE_SIZE];
    slice[..BLOCK_SIZE as usize].copy_from_slice(&header.encode());
    let mut offset = 0;
    while offset < header.size {
        let count = (header.size - offset).min(slice.len() as u64);
        file.write_at(&slice[..count as usize], offset).map_err(failed(Operation::Write))?;
        slice[..BLOCK_SIZE as usize].fill(0);
        offset += count;
    }
    file.sync_all().map_err(failed(Operation::Sync))?;
    let log = dir.join(LOG_DIR);
    disk.sync_dir(&log).map_err(|error| StoreError::io(&log, Operation::Sync, error))
}

/// The number of a store's first segment.
const SEGMENT_FIRST: u64 = 1;

/// What a fresh file system has in its root: a store may be made there.
const LOST_AND_FOUND: &str = "lost+found";
