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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::Fault;
    use crate::disk::sim::SimDisk;

    #[test]
    fn nothing_changes_after_the_first_failed_change() {
        let sim = SimDisk::new();
        let disk = LatchDisk::new(Arc::new(sim.clone()));
        let file = disk.create(Path::new("/a")).unwrap();
        file.write_at(b"before", 0).unwrap();
        sim.fail_at(sim.calls(), Fault::Errno(5));
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        let before = sim.changes();
        let refused = [
            file.sync_data(),
            file.sync_all(),
            file.write_at(b"after", 0),
            file.set_len(1),
            disk.create(Path::new("/b")).map(drop),
            disk.create_dir(Path::new("/c")),
            disk.rename(Path::new("/a"), Path::new("/b")),
            disk.remove_file(Path::new("/a")),
            disk.remove_dir(Path::new("/c")),
            disk.sync_dir(Path::new("/")),
        ];
        for result in refused {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(5), "the first error again");
        }
        assert_eq!(sim.changes(), before, "the disk was not even asked");
        assert_eq!(disk.failure().unwrap().raw_os_error(), Some(5));
        let mut bytes = [0; 6];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 6);
        assert_eq!(&bytes, b"before");
    }

    #[test]
    fn a_name_that_exists_or_is_missing_is_no_failure() {
        let disk = LatchDisk::new(Arc::new(SimDisk::new()));
        let _file = disk.create(Path::new("/a")).unwrap();
        assert_eq!(disk.create(Path::new("/a")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.remove_file(Path::new("/b")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(disk.failure().is_none());
        disk.sync_dir(Path::new("/")).unwrap();
    }
}
