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
use super::Shortage;
use crate::threads::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Another disk behind a latch.
#[derive(Clone, Debug)]
pub struct LatchDisk {
    disk: Arc<dyn Disk>,
    latch: Arc<Latch>,
    passes: Passes,
}

/// Which errors of a change leave the latch open, besides a name that exists or is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passes {
    Nothing,
    Shortage,
}

impl LatchDisk {
    /// Puts a disk behind a latch that is open.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, latch: Arc::default(), passes: Passes::Nothing }
    }

    /// Another handle behind the same latch, for files that nothing relies on yet: want of room
    /// leaves the latch open. Every other failure closes it as ever.
    #[must_use]
    pub fn lenient(&self) -> Self {
        Self { passes: Passes::Shortage, ..self.clone() }
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
    fn change<T>(&self, passes: Passes, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if let Some(failure) = &*self.0.lock() {
            return Err(failure.to_error());
        }
        change().inspect_err(|error| {
            let is_harmless = matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound)
                || (passes == Passes::Shortage && Shortage::of(error).is_some());
            if !is_harmless {
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
        self.latch.change(self.passes, || self.disk.create_dir(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.latch.change(self.passes, || self.disk.create(path))?;
        Ok(Box::new(LatchFile { file, latch: Arc::clone(&self.latch), passes: self.passes }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.open(path, access)?;
        Ok(Box::new(LatchFile { file, latch: Arc::clone(&self.latch), passes: self.passes }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.latch.change(self.passes, || self.disk.rename(from, to))
    }

    fn exchange(&self, first: &Path, second: &Path) -> io::Result<()> {
        // A file system that cannot do it has changed nothing.
        let done = self.latch.change(self.passes, || match self.disk.exchange(first, second) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Err(error)),
            other => other.map(Ok),
        });
        done?
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.latch.change(self.passes, || self.disk.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.latch.change(self.passes, || self.disk.remove_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.latch.change(self.passes, || self.disk.sync_dir(path))
    }

    fn try_lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.disk.try_lock(path, mode)
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        self.disk.inode(path)
    }

    fn file_system(&self, path: &Path) -> io::Result<u64> {
        self.disk.file_system(path)
    }
}

#[derive(Debug)]
struct LatchFile {
    file: Box<dyn DiskFile>,
    latch: Arc<Latch>,
    passes: Passes,
}

impl DiskFile for LatchFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.latch.change(self.passes, || self.file.write_at(bytes, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.latch.change(self.passes, || self.file.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.latch.change(self.passes, || self.file.sync_all())
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.latch.change(self.passes, || self.file.set_len(size))
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
            disk.exchange(Path::new("/a"), Path::new("/b")),
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
    fn want_of_room_is_final_unless_nothing_relies_on_the_file() {
        for (errno, stays_open) in [(28, true), (122, true), (27, true), (24, true), (5, false)] {
            let sim = SimDisk::new();
            let disk = LatchDisk::new(Arc::new(sim.clone()));
            let file = disk.lenient().create(Path::new("/a")).unwrap();
            sim.fail_at(sim.calls(), Fault::Errno(errno));
            assert_eq!(file.write_at(b"x", 0).unwrap_err().raw_os_error(), Some(errno));
            assert_eq!(disk.sync_dir(Path::new("/")).is_ok(), stays_open, "errno {errno}");
            assert_eq!(disk.failure().is_none(), stays_open, "errno {errno}");
        }
        let sim = SimDisk::new();
        let disk = LatchDisk::new(Arc::new(sim.clone()));
        let lenient = disk.lenient();
        sim.fail_at(sim.calls(), Fault::Errno(28));
        assert!(disk.create(Path::new("/a")).is_err());
        assert!(lenient.create(Path::new("/a")).is_err(), "one latch for both");
    }

    #[test]
    fn a_file_system_that_cannot_exchange_is_no_failure() {
        let sim = SimDisk::new();
        sim.set_exchanging(false);
        let disk = LatchDisk::new(Arc::new(sim));
        for name in ["/a", "/b"] {
            drop(disk.create(Path::new(name)).unwrap());
        }
        let error = disk.exchange(Path::new("/a"), Path::new("/b")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        disk.sync_dir(Path::new("/")).unwrap();
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
