//! The spare segment: filled with zeros ahead of need, so that a commit changes no metadata and
//! cannot meet "disk full".
//!
//! It is filled in slices, each synced, at a pace that the caller sets; filling it at once would
//! hold up commits. It gets number, header and name when it is taken into use. Failures here are
//! not final: the log was not touched.
#![forbid(unsafe_code)]

use super::bytes::all_zero;
use super::constants::LOG_DIR;
use super::constants::SPARE_SLICE_SIZE;
use super::error::Operation;
use super::error::StoreError;
use super::segment;
use super::segment::SegmentHeader;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::DiskFile;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Fills the spare segment, and hands it out.
#[derive(Debug)]
pub struct SpareFiller {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    size: u64,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
enum Progress {
    /// Nobody has looked yet.
    Unknown,
    /// A file of the right size: are these bytes, up to the offset, zeros?
    Checking(Box<dyn DiskFile>, u64),
    /// Zeros are written and synced up to the offset.
    Filling(Box<dyn DiskFile>, u64),
    /// Whole.
    Ready(Box<dyn DiskFile>),
}

impl SpareFiller {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, size: u64) -> Self {
        Self { disk, dir: dir.to_owned(), size, progress: Mutex::new(Progress::Unknown) }
    }

    /// Fills and syncs the next slice of 256 KiB. `true`: there is more to do.
    ///
    /// # Errors
    /// [`StoreError::Full`] or I/O; the log is not touched, and a later step begins again.
    pub fn step(&self) -> Result<bool, StoreError> {
        let mut progress = self.progress.lock();
        let before = match std::mem::replace(&mut *progress, Progress::Unknown) {
            Progress::Unknown => self.find()?,
            known => known,
        };
        *progress = self.advance(before)?;
        Ok(!matches!(*progress, Progress::Ready(_)))
    }

    /// Whether a whole spare is there to be taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(*self.progress.lock(), Progress::Ready(_))
    }

    /// Makes the spare segment number `header.number`, durably, finishing it first if need be.
    pub(crate) fn take(&self, header: &SegmentHeader) -> Result<Box<dyn DiskFile>, StoreError> {
        let mut progress = self.progress.lock();
        let file = loop {
            match std::mem::replace(&mut *progress, Progress::Unknown) {
                Progress::Ready(file) => break file,
                before => *progress = self.advance(before)?,
            }
        };
        let spare = segment::spare_path(&self.dir);
        let path = segment::path(&self.dir, header.number);
        file.write_at(&header.encode(), 0).map_err(|error| StoreError::io(&spare, Operation::Write, error))?;
        file.sync_all().map_err(|error| StoreError::io(&spare, Operation::Sync, error))?;
        self.disk.rename(&spare, &path).map_err(|error| StoreError::io(&path, Operation::Rename, error))?;
        let log = self.dir.join(LOG_DIR);
        self.disk.sync_dir(&log).map_err(|error| StoreError::io(&log, Operation::Sync, error))?;
        Ok(file)
    }

    fn advance(&self, progress: Progress) -> Result<Progress, StoreError> {
        match progress {
            Progress::Unknown => self.find(),
            Progress::Checking(file, offset) => self.check(file, offset),
            Progress::Filling(file, offset) => self.fill(file, offset),
            ready @ Progress::Ready(_) => Ok(ready),
        }
    }

    fn find(&self) -> Result<Progress, StoreError> {
        let path = segment::spare_path(&self.dir);
        let file = match self.disk.open(&path, Access::ReadWrite) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.create(),
            Err(error) => return Err(StoreError::io(&path, Operation::Open, error)),
        };
        let size = file.len().map_err(|error| StoreError::io(&path, Operation::Read, error))?;
        if size == self.size { Ok(Progress::Checking(file, 0)) } else { self.remake() }
    }

    fn create(&self) -> Result<Progress, StoreError> {
        let path = segment::spare_path(&self.dir);
        let file = self.disk.create(&path).map_err(|error| StoreError::io(&path, Operation::Create, error))?;
        Ok(Progress::Filling(file, 0))
    }

    fn remake(&self) -> Result<Progress, StoreError> {
        let path = segment::spare_path(&self.dir);
        self.disk.remove_file(&path).map_err(|error| StoreError::io(&path, Operation::Remove, error))?;
        self.create()
    }

    fn check(&self, file: Box<dyn DiskFile>, offset: u64) -> Result<Progress, StoreError> {
        let mut slice = vec![0; self.slice_size(offset)];
        let path = segment::spare_path(&self.dir);
        let count = file.read_at(&mut slice, offset).map_err(|error| StoreError::io(&path, Operation::Read, error))?;
        if count < slice.len() || !all_zero(&slice) {
            drop(file);
            return self.remake();
        }
        let offset = offset + count as u64;
        Ok(if offset == self.size { Progress::Ready(file) } else { Progress::Checking(file, offset) })
    }

    fn fill(&self, file: Box<dyn DiskFile>, offset: u64) -> Result<Progress, StoreError> {
        let size = self.slice_size(offset);
        let path = segment::spare_path(&self.dir);
        file.write_at(&ZEROS[..size], offset).map_err(|error| StoreError::io(&path, Operation::Write, error))?;
        file.sync_data().map_err(|error| StoreError::io(&path, Operation::Sync, error))?;
        let offset = offset + size as u64;
        Ok(if offset == self.size { Progress::Ready(file) } else { Progress::Filling(file, offset) })
    }

    fn slice_size(&self, offset: u64) -> usize {
        (self.size - offset).min(SPARE_SLICE_SIZE as u64) as usize
    }
}

static ZEROS: [u8; SPARE_SLICE_SIZE] = [0; SPARE_SLICE_SIZE];
