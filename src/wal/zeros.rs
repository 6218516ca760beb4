//! A file that is filled with zeros ahead of need, slice by slice, each synced: a write into it
//! later changes no metadata and cannot meet "disk full".
//!
//! What is there already is used: slices that are not all zero are written over, where they are. The
//! last slice is always written, because a size can be durable before the bytes are. Failures here
//! are not final: nothing relies on the file yet. One that could not be finished is removed, so that
//! its room goes to others.
#![forbid(unsafe_code)]

use super::bytes::all_zero;
use super::constants::SPARE_SLICE_SIZE;
use super::constants::segment_size_is_valid;
use super::error::Operation;
use super::error::StoreError;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::DiskFile;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A file of zeros in the making.
#[derive(Debug)]
pub(crate) struct Zeros {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    size: u64,
    /// Whether a larger one that is found is as good.
    may_be_larger: bool,
    progress: Progress,
}

/// A whole one.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) size: u64,
}

#[derive(Debug)]
enum Progress {
    /// Nobody has looked yet.
    Unknown,
    /// Zeros are there, and durable, up to the offset; `present` bytes were found.
    Filling { file: Box<dyn DiskFile>, size: u64, present: u64, offset: u64 },
    /// All of it is, and its name.
    Whole(Whole),
}

impl Zeros {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf, size: u64, may_be_larger: bool) -> Self {
        Self { disk, path, size, may_be_larger, progress: Progress::Unknown }
    }

    pub(crate) const fn is_whole(&self) -> bool {
        matches!(self.progress, Progress::Whole(_))
    }

    /// Checks or fills the next slice of 256 KiB.
    pub(crate) fn step(&mut self) -> Result<(), StoreError> {
        let before = match std::mem::replace(&mut self.progress, Progress::Unknown) {
            Progress::Unknown => self.find()?,
            known => known,
        };
        self.progress = match before {
            Progress::Filling { file, size, present, offset } => {
                self.fill(file, size, present, offset).inspect_err(|_| {
                    if present < size {
                        let _ = self.disk.remove_file(&self.path);
                    }
                })?
            }
            whole => whole,
        };
        Ok(())
    }

    /// Hands it out, whole; finishes it first if need be.
    pub(crate) fn take(&mut self) -> Result<Whole, StoreError> {
        loop {
            match std::mem::replace(&mut self.progress, Progress::Unknown) {
                Progress::Whole(whole) => return Ok(whole),
                before => self.progress = before,
            }
            self.step()?;
        }
    }

    fn find(&self) -> Result<Progress, StoreError> {
        let failed = |operation| move |error| StoreError::io(&self.path, operation, error);
        let file = match self.disk.open(&self.path, Access::ReadWrite) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.create(),
            Err(error) => return Err(failed(Operation::Open)(error)),
        };
        let present = file.len().map_err(failed(Operation::Read))?;
        if present <= self.size {
            return Ok(Progress::Filling { file, size: self.size, present, offset: 0 });
        }
        if self.may_be_larger && segment_size_is_valid(present) {
            return Ok(Progress::Filling { file, size: present, present, offset: 0 });
        }
        drop(file);
        self.disk.remove_file(&self.path).map_err(failed(Operation::Remove))?;
        self.create()
    }

    fn create(&self) -> Result<Progress, StoreError> {
        let created = self.disk.create(&self.path);
        let file = created.map_err(|error| StoreError::io(&self.path, Operation::Create, error))?;
        Ok(Progress::Filling { file, size: self.size, present: 0, offset: 0 })
    }

    fn fill(&self, file: Box<dyn DiskFile>, size: u64, present: u64, offset: u64) -> Result<Progress, StoreError> {
        let failed = |operation| move |error| StoreError::io(&self.path, operation, error);
        let slice_size = (size - offset).min(SPARE_SLICE_SIZE as u64);
        let end = offset + slice_size;
        let is_inside = end < present;
        if end == present {
            // It may be there from a process whose sync failed: then the kernel shows a size that the
            // disk has not, and takes it for written. Changed, the size is written by the next sync.
            file.set_len(end - 1).map_err(failed(Operation::Write))?;
        }
        if !is_inside || !self.is_zero(&*file, offset, slice_size as usize)? {
            file.write_at(&ZEROS[..slice_size as usize], offset).map_err(failed(Operation::Write))?;
            file.sync_data().map_err(failed(Operation::Sync))?;
        }
        if end < size {
            return Ok(Progress::Filling { file, size, present, offset: end });
        }
        let dir = self.path.parent().unwrap_or_else(|| Path::new("."));
        self.disk.sync_dir(dir).map_err(|error| StoreError::io(dir, Operation::Sync, error))?;
        Ok(Progress::Whole(Whole { file, size }))
    }

    fn is_zero(&self, file: &dyn DiskFile, offset: u64, size: usize) -> Result<bool, StoreError> {
        let mut slice = vec![0; size];
        let count =
            file.read_at(&mut slice, offset).map_err(|error| StoreError::io(&self.path, Operation::Read, error))?;
        Ok(count == slice.len() && all_zero(&slice))
    }
}

static ZEROS: [u8; SPARE_SLICE_SIZE] = [0; SPARE_SLICE_SIZE];
