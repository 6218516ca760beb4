//! The spare segment and the reserve: what the log goes on with when the disk is full.
//!
//! The *spare* is a whole segment of zeros; rotation takes it into use, with number, header and
//! name. The *reserve* is a small one, with room for one largest frame: a recovery that finds no
//! spare and a full disk takes it. Nothing is appended unless one of the two is there, so that the
//! next open never needs room.
//!
//! Both are filled in slices, each synced, at a pace that the caller sets; filling them at once would
//! hold up commits. Failures here are not final: the log was not touched.
#![forbid(unsafe_code)]

use super::constants::LOG_DIR;
use super::constants::reserve_size;
use super::error::Operation;
use super::error::StoreError;
use super::segment;
use super::segment::SegmentHeader;
use super::zeros::Whole;
use super::zeros::Zeros;
use crate::disk::Disk;
use crate::threads::AtomicBool;
use crate::threads::Mutex;
use crate::threads::Ordering;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Fills reserve and spare, and hands them out.
#[derive(Debug)]
pub struct SpareFiller {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    files: Mutex<Files>,
    has_spare: AtomicBool,
    has_reserve: AtomicBool,
    full: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Files {
    reserve: Zeros,
    spare: Zeros,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Spare,
    Reserve,
}

impl SpareFiller {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, segment_size: u64) -> Self {
        let spare = Zeros::new(Arc::clone(&disk), segment::spare_path(dir), segment_size, false);
        let reserve = Zeros::new(Arc::clone(&disk), segment::reserve_path(dir), reserve_size(segment_size), true);
        Self {
            disk,
            dir: dir.to_owned(),
            files: Mutex::new(Files { reserve, spare }),
            has_spare: AtomicBool::new(false),
            has_reserve: AtomicBool::new(false),
            full: Mutex::new(None),
        }
    }

    /// Fills and syncs the next slice of 256 KiB, of the reserve and then of the spare. `true`: there
    /// is more to do.
    ///
    /// # Errors
    /// [`StoreError::Full`] or I/O; the log is not touched, and a later step begins again.
    pub fn step(&self) -> Result<bool, StoreError> {
        let mut files = self.files.lock();
        let source = if files.reserve.is_whole() { Source::Spare } else { Source::Reserve };
        self.advance(&mut files, source)?;
        Ok(!self.is_ready() || !self.has_reserve())
    }

    /// Whether a whole spare is there to be taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.has_spare.load(Ordering::Acquire)
    }

    /// Whether a whole reserve is there.
    #[must_use]
    pub fn has_reserve(&self) -> bool {
        self.has_reserve.load(Ordering::Acquire)
    }

    /// Why the last step failed; `None` if it did not.
    #[must_use]
    pub fn full(&self) -> Option<String> {
        self.full.lock().clone()
    }

    /// Finishes the reserve, unless it is whole.
    pub(crate) fn finish_reserve(&self) -> Result<(), StoreError> {
        self.finish(Source::Reserve)
    }

    /// Finishes the spare, unless it is whole.
    pub(crate) fn finish_spare(&self) -> Result<(), StoreError> {
        self.finish(Source::Spare)
    }

    fn finish(&self, source: Source) -> Result<(), StoreError> {
        let mut files = self.files.lock();
        while !files.of(source).is_whole() {
            self.advance(&mut files, source)?;
        }
        Ok(())
    }

    fn advance(&self, files: &mut Files, source: Source) -> Result<(), StoreError> {
        let done = files.of(source).step();
        *self.full.lock() = done.as_ref().err().map(ToString::to_string);
        self.note(files);
        done
    }

    fn note(&self, files: &Files) {
        self.has_spare.store(files.spare.is_whole(), Ordering::Release);
        self.has_reserve.store(files.reserve.is_whole(), Ordering::Release);
    }

    /// Makes the spare, or the reserve, the segment of this header, durably; `header.size` is set to
    /// what it has. Finishes it first if need be.
    ///
    /// # Errors
    /// [`StoreError::Full`]: the log was not touched.
    pub(crate) fn take(&self, source: Source, header: &mut SegmentHeader) -> Result<(), StoreError> {
        let mut files = self.files.lock();
        let taken = files.of(source).take();
        self.note(&files);
        let Whole { file, size } = taken?;
        header.size = size;
        let (from, path) = (self.path_of(source), segment::path(&self.dir, header.number));
        file.write_at(&header.encode(), 0).map_err(|error| StoreError::io(&from, Operation::Write, error))?;
        file.sync_all().map_err(|error| StoreError::io(&from, Operation::Sync, error))?;
        self.disk.rename(&from, &path).map_err(|error| StoreError::io(&path, Operation::Rename, error))?;
        self.sync_log_dir()
    }

    /// Makes a segment that nothing lists the spare again, or the reserve. It is filled with zeros
    /// where it is, so that this needs no room.
    pub(crate) fn give_back(&self, source: Source, number: u64) -> Result<(), StoreError> {
        // Whoever takes it looks at it first.
        let _files = self.files.lock();
        let (path, to) = (segment::path(&self.dir, number), self.path_of(source));
        self.disk.rename(&path, &to).map_err(|error| StoreError::io(&path, Operation::Rename, error))?;
        self.sync_log_dir()
    }

    fn path_of(&self, source: Source) -> PathBuf {
        match source {
            Source::Spare => segment::spare_path(&self.dir),
            Source::Reserve => segment::reserve_path(&self.dir),
        }
    }

    fn sync_log_dir(&self) -> Result<(), StoreError> {
        let log = self.dir.join(LOG_DIR);
        self.disk.sync_dir(&log).map_err(|error| StoreError::io(&log, Operation::Sync, error))
    }
}

impl Files {
    fn of(&mut self, source: Source) -> &mut Zeros {
        match source {
            Source::Spare => &mut self.spare,
            Source::Reserve => &mut self.reserve,
        }
    }
}
