//! The first failure is final: a disk behind a latch changes nothing more once a change has failed.
//!
//! After a failed write or sync nobody knows what is on the disk, and a second sync may succeed
//! without having written anything. So every later change fails with the first error, until the
//! process starts again and reads what is really there. Reading goes on.
#![forbid(unsafe_code)]

use super::Access;
use super::Disk;
use super::DiskFile;
use super::Entry;
use super::LockGuard;
use super::LockMode;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Another disk behind a latch.
#[derive(Clone, Debug)]
pub struct LatchDisk {
    disk: Arc<dyn Disk>,
    latch: Arc<Latch>,
}

impl LatchDisk {
    /// Puts a disk behind a latch that is open.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, latch: Arc::default() }
    }

    /// The first failure, if a change has failed.
    #[must_use]
    pub fn failure(&self) -> Option<io::Error> {
        self.latch.0.lock().as_ref().map(Failure::to_error)
    }
}

#[derive(Debug, Default)]
struct Latch(Mutex<Option<Failure>>);

impl Latch {
    /// Makes a change unless one has failed before.
    fn change<T>(&self, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if let Some(failure) = &*self.0.lock() {
            return Err(failure.to_error());
        }
        change().inspect_err(|error| {
            if error.kind() != io::ErrorKind::AlreadyExists && error.kind() != io::ErrorKind::NotFound {
                self.0.lock().get_or_insert_with(|| Failure::of(error));
            }
        })
    }
}

#[derive(Debug)]
enum Failure {
    Errno(i32),
    Text(io::ErrorKind, String),
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        error.raw_os_error().map_or_else(|| Self::Text(error.kind(), error.to_string()), Self::Errno)
    }

    fn to_error(&self) -> io::Error {
        match self {
            Self::Errno(errno) => io::Error::from_raw_os_error(*errno),
            Self::Text(kind, text) => io::Error::new(*kind, text.clone()),
        }
    }
}

impl Disk for LatchDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.latch.change(|| self.disk.create_dir(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.latch.change(|| self.disk.create(path))?;
        Ok(Box::new(LatchFile { file, latch: Arc::clone(&self.latch) }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.open(path, access)?;
        Ok(Box::new(LatchFile { file, latch: Arc::clone(&self.latch) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.latch.change(|| self.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.latch.change(|| self.disk.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.latch.change(|| self.disk.remove_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.latch.change(|| self.disk.sync_dir(path))
    }

    fn try_lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.disk.try_lock(path, mode)
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        self.disk.inode(path)
    }
}

#[derive(Debug)]
struct LatchFile {
    file: Box<dyn DiskFile>,
    latch: Arc<Latch>,
}

impl DiskFile for LatchFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.latch.change(|| self.file.write_at(bytes, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.latch.change(|| self.file.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.latch.change(|| self.file.sync_all())
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.latch.change(|| self.file.set_len(size))
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }
}
