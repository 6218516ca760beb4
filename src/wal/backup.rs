//! Copying a store as of one lsn, beside its writer: a backup, and a backup put back.
#![forbid(unsafe_code)]

use super::constants::BLOCK_SIZE;
use super::constants::CHECKPOINT_DIR;
use super::constants::LOCK;
use super::constants::LOG_DIR;
use super::constants::SPARE_SLICE_SIZE;
use super::constants::WATERMARK;
use super::entries::CheckpointEntry;
use super::entries::FileEntry;
use super::entries::PackEntry;
use super::error::Operation;
use super::error::StoreError;
use super::frame::FrameFault;
use super::init;
use super::keeper;
use super::manifest::ChainEnd;
use super::manifest::Manifest;
use super::manifest::StopMark;
use super::pack;
use super::segment;
use super::survey;
use super::walk::Reading;
use super::walk::Step;
use super::walk::Walk;
use super::watermark::Watermark;
use crate::disk::Access;
use crate::disk::Disk;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::Lsn;
use std::io;
use std::path::Path;

/// Copies the store in `from` as `manifest` lists it, up to `durable`, into `to`, which is made if it
/// is missing and must be empty. The writer may go on meanwhile; no listed file may be retired, and
/// `durable` must not be below what `manifest` seals. Everything is synced, MANIFEST comes last: a
/// copy that was not finished has none. It is noted as restored, and its LOCK as not its own: a
/// writer must adopt it first. Returns the last lsn in it.
///
/// # Errors
/// [`StoreError::NotEmpty`]; [`StoreError::CheckpointFile`] and those of a reader of the log;
/// [`StoreError::Full`] and I/O, after which `to` is no store.
pub fn copy_store(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    manifest: &Manifest,
    durable: Lsn,
) -> Result<Lsn, StoreError> {
    init::make_dir(disk, to)?;
    if let Some(entry) = survey::list(disk, to)?.first() {
        return Err(StoreError::NotEmpty { dir: to.to_owned(), name: entry.name.clone() });
    }
    for name in [LOG_DIR, CHECKPOINT_DIR] {
        init::make_dir(disk, &to.join(name))?;
    }
    for entry in &manifest.checkpoints {
        copy_checkpoint(disk, from, to, entry)?;
    }
    sync_dir(disk, &to.join(CHECKPOINT_DIR))?;
    for entry in &manifest.packs {
        copy_pack(disk, [from, to], entry)?;
    }
    let mut end = manifest.packed();
    for (index, entry) in manifest.segments.iter().enumerate() {
        let offset = match entry.sealed {
            Some(seal) => {
                end = seal.end;
                seal.offset
            }
            None => tail_end(disk, from, manifest, index, durable, &mut end)?,
        };
        let size = if entry.sealed.is_some() { offset } else { entry.size };
        copy_segment(disk, [from, to], entry.number, offset, size)?;
    }
    init::make_reserve(disk, to, manifest.segment_size)?;
    make_small(disk, to, WATERMARK, &watermark(manifest, end.lsn))?;
    make_small(disk, to, LOCK, &[])?;
    sync_dir(disk, to)?;
    let manifest =
        Manifest { lock_inode: 0, stop: StopMark::Restored, proven: manifest.proven.max(end.lsn), ..manifest.clone() };
    keeper::make_first(disk, to, &manifest)?;
    Ok(end.lsn)
}

/// Where the tail's last durable frame ends.
fn tail_end(
    disk: &dyn Disk,
    from: &Path,
    manifest: &Manifest,
    index: usize,
    durable: Lsn,
    end: &mut ChainEnd,
) -> Result<u64, StoreError> {
    let mut walk = Walk::open(disk, from, manifest, index, Reading::BesideWriter)?;
    while walk.end.lsn < durable {
        match walk.step()? {
            Step::Frame(_) => {}
            Step::Misfit(FrameFault::SegmentEnd) => break,
            Step::Misfit(fault) => return Err(walk.corrupt(fault)),
        }
    }
    *end = walk.end;
    Ok(walk.offset)
}

fn watermark(manifest: &Manifest, lsn: Lsn) -> Vec<u8> {
    let youngest = manifest.histories.last();
    let (boot, boot_ms) = youngest.map_or((BootId(0), BootMs(0)), |history| (history.boot, history.boot_ms));
    let mark = Watermark { uuid: manifest.uuid, epoch: manifest.epoch, sequence: 0, lsn, boot, boot_ms, clean: true };
    let mut slots = mark.encode();
    slots.resize(2 * BLOCK_SIZE as usize, 0);
    slots
}

/// Copies one segment up to `end`; zeros follow up to `size`.
fn copy_segment(disk: &dyn Disk, [from, to]: [&Path; 2], number: u64, end: u64, size: u64) -> Result<(), StoreError> {
    let target = segment::path(to, number);
    let mut digest = blake3::Hasher::new();
    copy_bytes(disk, &segment::path(from, number), &target, [end, size], &mut digest)?;
    sync_dir(disk, &to.join(LOG_DIR))
}

/// Copies a pack as it is: damage to history does not keep anybody from a backup, and the copy names it
/// as the original does.
fn copy_pack(disk: &dyn Disk, [from, to]: [&Path; 2], entry: &PackEntry) -> Result<(), StoreError> {
    let source = pack::path(from, entry);
    let size = match disk.open(&source, Access::Read).and_then(|file| file.len()) {
        Ok(size) => size.min(entry.size),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io(&source, Operation::Open, error)),
    };
    copy_bytes(disk, &source, &pack::path(to, entry), [size, size], &mut blake3::Hasher::new())?;
    sync_dir(disk, &to.join(LOG_DIR))
}

fn copy_checkpoint(disk: &dyn Disk, from: &Path, to: &Path, entry: &CheckpointEntry) -> Result<(), StoreError> {
    let below = Path::new(CHECKPOINT_DIR).join(entry.generation.to_string());
    let (from, to) = (from.join(&below), to.join(&below));
    init::make_dir(disk, &to)?;
    for FileEntry { path, size, digest } in &entry.files {
        let (source, target) = (from.join(path), to.join(path));
        let mut parents: Vec<&Path> = target.ancestors().skip(1).take_while(|parent| *parent != to).collect();
        parents.reverse();
        for parent in &parents {
            init::make_dir(disk, parent)?;
        }
        let mut found = blake3::Hasher::new();
        copy_bytes(disk, &source, &target, [*size, *size], &mut found)?;
        if found.finalize().as_bytes() != digest {
            return Err(StoreError::CheckpointFile { path: source });
        }
        for parent in parents.iter().rev() {
            sync_dir(disk, parent)?;
        }
    }
    sync_dir(disk, &to)
}

/// Copies the first `end` bytes of a file into a new one, durably but for its name, and fills it up
/// to `size` with zeros.
fn copy_bytes(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    [end, size]: [u64; 2],
    digest: &mut blake3::Hasher,
) -> Result<(), StoreError> {
    let source = disk.open(from, Access::Read).map_err(|error| StoreError::io(from, Operation::Open, error))?;
    let failed = |operation| move |error| StoreError::io(to, operation, error);
    let target = disk.create(to).map_err(failed(Operation::Create))?;
    let mut slice = vec![0; SPARE_SLICE_SIZE];
    let mut offset = 0;
    while offset < size {
        let part = &mut slice[..(size - offset).min(SPARE_SLICE_SIZE as u64) as usize];
        let wanted = (end.saturating_sub(offset) as usize).min(part.len());
        let count = source
            .read_at(&mut part[..wanted], offset)
            .map_err(|error| StoreError::io(from, Operation::Read, error))?;
        if count < wanted {
            return Err(StoreError::failed(from, Operation::Read, io::ErrorKind::UnexpectedEof.into()));
        }
        digest.update(&part[..wanted]);
        part[wanted..].fill(0);
        target.write_at(part, offset).map_err(failed(Operation::Write))?;
        offset += part.len() as u64;
    }
    target.sync_all().map_err(failed(Operation::Sync))
}

fn make_small(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    init::make_filled(disk, &dir.join(name), bytes, bytes.len() as u64)
}

fn sync_dir(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    disk.sync_dir(dir).map_err(|error| StoreError::io(dir, Operation::Sync, error))
}
