//! What a directory says it is: LOCK, the choice between the two MANIFESTs, WATERMARK.
//!
//! Nothing here changes a byte.
#![forbid(unsafe_code)]

use super::appender::OpenStamp;
use super::constants::BLOCK_SIZE;
use super::constants::CHECKPOINT_DIR;
use super::constants::FORMAT;
use super::constants::LOCK;
use super::constants::LOG_DIR;
use super::constants::MANIFEST;
use super::constants::MANIFEST_COPY;
use super::constants::MANIFEST_SIZE_MAX;
use super::constants::WATERMARK;
use super::error::ManifestFault;
use super::error::NotAStore;
use super::error::Operation;
use super::error::StoreError;
use super::init::Remains;
use super::init::remains;
use super::manifest::Manifest;
use super::manifest::Undecodable;
use super::replay::Replayed;
use super::segment;
use super::segment::SegmentHeader;
use super::watermark;
use super::watermark::Watermark;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::Entry;
use crate::disk::LockGuard;
use crate::disk::LockMode;
use crate::ident::Lsn;
use crate::ident::StructureName;
use std::cmp::Ordering;
use std::io;
use std::path::Path;

/// What was read without changing anything.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The MANIFEST that is believed.
    pub manifest: Manifest,
    /// The valid slots of WATERMARK, the younger first.
    pub watermarks: Vec<Watermark>,
    /// The copy that is bad or behind, to be mended by an open for writing.
    pub to_mend: Option<&'static str>,
    /// What an operator should read.
    pub warnings: Vec<String>,
}

impl Survey {
    /// Whether the last open of the store ended with a close.
    #[must_use]
    pub fn was_closed(&self) -> bool {
        self.watermarks.first().is_some_and(|mark| mark.clean && mark.epoch == self.manifest.epoch)
    }

    /// Whether the machine went down since the store was written, and what may have been
    /// acknowledged is not proven durable or was left out.
    pub(super) fn may_have_lost_power(&self, replayed: &Replayed, stamp: OpenStamp) -> bool {
        let is_other_boot = self.manifest.histories.last().is_some_and(|youngest| youngest.boot != stamp.boot);
        let is_open_ended = replayed.above.is_some() || replayed.torn_bytes > 0;
        is_other_boot && is_open_ended && !self.was_closed()
    }

    /// Refuses a store that holds another structure than the one expected.
    ///
    /// # Errors
    /// [`StoreError::OtherStructure`].
    pub fn check_structure(&self, dir: &Path, expected: StructureName) -> Result<(), StoreError> {
        let found = self.manifest.structure;
        if found == expected {
            Ok(())
        } else {
            Err(StoreError::OtherStructure { dir: dir.to_owned(), found, expected })
        }
    }

    /// Refuses to write to a store whose LOCK is not the file that MANIFEST notes.
    ///
    /// # Errors
    /// [`StoreError::StoreCopied`].
    pub fn check_lock(&self, dir: &Path, lock: &dyn LockGuard) -> Result<(), StoreError> {
        let (noted, found) = (self.manifest.lock_inode, lock.inode());
        if found == noted { Ok(()) } else { Err(StoreError::StoreCopied { dir: dir.to_owned(), noted, found }) }
    }

    /// The highest lsn that MANIFEST or WATERMARK proves durable.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.watermarks.iter().map(|mark| mark.lsn).fold(self.manifest.durable(), Lsn::max)
    }
}

/// Locks a store; never makes the LOCK file.
///
/// # Errors
/// [`StoreError::NotAStore`] without a LOCK file, [`StoreError::Locked`] if another process holds it.
pub fn lock(disk: &dyn Disk, dir: &Path, mode: LockMode) -> Result<Box<dyn LockGuard>, StoreError> {
    let path = dir.join(LOCK);
    match disk.try_lock(&path, mode) {
        Ok(Some(guard)) => Ok(guard),
        Ok(None) => Err(StoreError::Locked { path }),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(StoreError::NotAStore { dir: dir.to_owned(), why: NotAStore::NoLock })
        }
        Err(error) => Err(StoreError::io(&path, Operation::Lock, error)),
    }
}

/// Reads what a store consists of; changes nothing. Take the [`lock`] first.
///
/// # Errors
/// [`StoreError::NotAStore`], [`StoreError::ManifestCorrupt`], [`StoreError::FormatTooNew`], I/O.
pub fn survey(disk: &dyn Disk, dir: &Path) -> Result<Survey, StoreError> {
    let first = read_copy(disk, dir, MANIFEST)?;
    let second = read_copy(disk, dir, MANIFEST_COPY)?;
    let (manifest, to_mend) = match (first, second) {
        (Ok(first), Ok(second)) => younger(dir, first, second)?,
        (Ok(first), Err(fault)) => (not_stale(disk, dir, first, MANIFEST)?, Some((MANIFEST_COPY, fault.to_string()))),
        (Err(fault), Ok(second)) => (not_stale(disk, dir, second, MANIFEST_COPY)?, Some((MANIFEST, fault.to_string()))),
        (Err(ManifestFault::Missing), Err(ManifestFault::Missing)) => return Err(without_manifest(disk, dir)?),
        (Err(ManifestFault::Missing), Err(fault)) => return Err(corrupt(dir, MANIFEST_COPY, fault)),
        (Err(fault), Err(_)) => return Err(corrupt(dir, MANIFEST, fault)),
    };
    let watermarks = watermark::read(disk, dir, manifest.uuid)?;
    if let Some(mark) = watermarks.iter().find(|mark| mark.epoch > manifest.epoch) {
        let fault = ManifestFault::Epoch { name: WATERMARK.to_owned(), known: manifest.epoch, found: mark.epoch };
        return Err(corrupt(dir, MANIFEST, fault));
    }
    let mut warnings = Vec::new();
    if let Some((name, why)) = &to_mend {
        warnings
            .push(format!("{}: {why}; its copy is good, the next open for writing mends it", dir.join(name).display()));
    }
    Ok(Survey { manifest, watermarks, to_mend: to_mend.map(|(name, _)| name), warnings })
}

/// One copy of MANIFEST: good, or why not.
fn read_copy(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Result<Manifest, ManifestFault>, StoreError> {
    let path = dir.join(name);
    let failed = |operation| {
        let path = &path;
        move |error| StoreError::io(path, operation, error)
    };
    let file = match disk.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(ManifestFault::Missing)),
        Err(error) => return Err(failed(Operation::Open)(error)),
    };
    let size = file.len().map_err(failed(Operation::Read))?;
    if size > MANIFEST_SIZE_MAX {
        return Ok(Err(ManifestFault::Size { expected: MANIFEST_SIZE_MAX, found: size }));
    }
    let mut bytes = vec![0; size as usize];
    let count = file.read_at(&mut bytes, 0).map_err(failed(Operation::Read))?;
    match Manifest::decode(&bytes[..count]) {
        Ok(manifest) => Ok(Ok(manifest)),
        Err(Undecodable::Bad(fault)) => Ok(Err(fault)),
        Err(Undecodable::TooNew { found }) => Err(StoreError::FormatTooNew { path, found, known: FORMAT }),
    }
}

/// A copy to mend, and why.
type ToMend = Option<(&'static str, String)>;

/// Both are good: the younger wins.
fn younger(dir: &Path, first: Manifest, second: Manifest) -> Result<(Manifest, ToMend), StoreError> {
    let behind = |other: u64| format!("it stopped at change {other}");
    match first.sequence.cmp(&second.sequence) {
        // A copy that was adopted half.
        Ordering::Greater if follows(&first, &second) => Ok((first, Some((MANIFEST_COPY, behind(second.sequence))))),
        Ordering::Less if follows(&second, &first) => Ok((second, Some((MANIFEST, behind(first.sequence))))),
        _ if first.uuid != second.uuid => Err(corrupt(dir, MANIFEST, ManifestFault::Contradiction)),
        Ordering::Equal if first != second => Err(corrupt(dir, MANIFEST, ManifestFault::Contradiction)),
        Ordering::Equal => Ok((first, None)),
        Ordering::Greater => Ok((first, Some((MANIFEST_COPY, behind(second.sequence))))),
        Ordering::Less => Ok((second, Some((MANIFEST, behind(first.sequence))))),
    }
}

/// Whether `younger` is the first MANIFEST of a store adopted as a copy, and `older` the one before.
fn follows(younger: &Manifest, older: &Manifest) -> bool {
    younger.copied_from == older.uuid && younger.uuid != older.uuid && younger.sequence == older.sequence + 1
}

/// Only one copy is good: it is believed unless a finished file shows that the store went on.
fn not_stale(disk: &dyn Disk, dir: &Path, manifest: Manifest, name: &str) -> Result<Manifest, StoreError> {
    let stale = |file: String| Err(corrupt(dir, name, ManifestFault::Stale { name: file }));
    for entry in list(disk, &dir.join(LOG_DIR))? {
        let Some(number) = segment::number_of(&entry.name).filter(|number| *number >= manifest.next_segment) else {
            continue;
        };
        let path = segment::path(dir, number);
        let mut block = vec![0; BLOCK_SIZE as usize];
        let count = disk
            .open(&path, Access::Read)
            .and_then(|file| file.read_at(&mut block, 0))
            .map_err(|error| StoreError::io(&path, Operation::Read, error))?;
        if SegmentHeader::decode(&block[..count]).is_ok_and(|header| header.uuid == manifest.uuid) {
            return stale(entry.name);
        }
    }
    let newest = manifest.checkpoints.last().map_or(0, |checkpoint| checkpoint.generation);
    for entry in list(disk, &dir.join(CHECKPOINT_DIR))? {
        if entry.is_dir && entry.name.parse::<u64>().is_ok_and(|generation| generation > newest) {
            return stale(entry.name);
        }
    }
    Ok(manifest)
}

/// Neither copy is there: never finished, or gone.
fn without_manifest(disk: &dyn Disk, dir: &Path) -> Result<StoreError, StoreError> {
    Ok(match remains(disk, dir)? {
        Remains::OfInit => StoreError::NotAStore { dir: dir.to_owned(), why: NotAStore::InitUnfinished },
        Remains::OfStore => corrupt(dir, MANIFEST, ManifestFault::Missing),
        Remains::Foreign(_) => StoreError::NotAStore { dir: dir.to_owned(), why: NotAStore::NoManifest },
    })
}

fn corrupt(dir: &Path, name: &str, why: ManifestFault) -> StoreError {
    StoreError::ManifestCorrupt { path: dir.join(name), why }
}

/// What a directory of the store has; nothing if it is missing.
pub(crate) fn list(disk: &dyn Disk, path: &Path) -> Result<Vec<Entry>, StoreError> {
    match disk.list(path) {
        Ok(entries) => Ok(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io(path, Operation::List, error)),
    }
}
