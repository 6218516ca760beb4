//! The file system of this machine.
//!
//! Files are made with mode 0600 and directories with 0700: MANIFEST holds a key. Every descriptor
//! is close-on-exec, so that a child of the process never keeps the lock.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "src/disk is the one door to files")]

use super::Access;
use super::Disk;
use super::DiskFile;
use super::Entry;
use super::LockGuard;
use super::LockMode;
use super::NoInodes;
use rustix::fs::CWD;
use rustix::fs::RenameFlags;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path).map_err(|error| what_is_missing(path, error))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(path).map_err(|error| what_is_missing(path, error))?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(access == Access::ReadWrite).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn exchange(&self, first: &Path, second: &Path) -> io::Result<()> {
        use rustix::io::Errno;
        match rustix::fs::renameat_with(CWD, first, CWD, second, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(io::ErrorKind::Unsupported.into()),
            other => Ok(other?),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(Entry { name, is_dir: metadata.is_dir(), size: metadata.len() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn try_lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn LockGuard>>> {
        let file = File::open(path)?;
        let operation = match mode {
            LockMode::Shared => rustix::fs::FlockOperation::NonBlockingLockShared,
            LockMode::Exclusive => rustix::fs::FlockOperation::NonBlockingLockExclusive,
        };
        match rustix::fs::flock(&file, operation) {
            Ok(()) => {
                let inode = file.metadata()?.ino();
                Ok(Some(Box::new(RealLock { file, inode })))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.ino())
    }

    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "its type differs between systems")]
    fn file_system(&self, path: &Path) -> io::Result<u64> {
        Ok(rustix::fs::statfs(path)?.f_type as u64)
    }
}

/// "No space left" that is no inode left is told apart.
fn what_is_missing(path: &Path, error: io::Error) -> io::Error {
    let has_no_inode = || {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        rustix::fs::statvfs(parent).is_ok_and(|stat| stat.f_files > 0 && stat.f_favail == 0)
    };
    if error.kind() == io::ErrorKind::StorageFull && has_no_inode() {
        return io::Error::new(io::ErrorKind::StorageFull, NoInodes);
    }
    error
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            match self.0.read_at(&mut bytes[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed)?)
    }
}

/// The lock goes with the value. Closing the descriptor alone would not do: a child that another
/// thread is just starting has a copy of it until it executes its program.
#[derive(Debug)]
struct RealLock {
    file: File,
    inode: u64,
}

impl Drop for RealLock {
    fn drop(&mut self) {
        // If this fails the lock goes with the last descriptor.
        let _ = rustix::fs::flock(&self.file, rustix::fs::FlockOperation::Unlock);
    }
}

impl LockGuard for RealLock {
    fn inode(&self) -> u64 {
        self.inode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_read_cut_and_listed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let file = RealDisk.create(&at("b")).unwrap();
        assert_eq!(RealDisk.create(&at("b")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        file.write_at(b"hello", 3).unwrap();
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        file.drop_cache().unwrap();
        let mut bytes = [9; 10];
        assert_eq!(file.read_at(&mut bytes, 1).unwrap(), 7, "as far as the file goes");
        assert_eq!(&bytes[..7], b"\0\0hello");
        file.set_len(4).unwrap();
        assert_eq!(file.len().unwrap(), 4);
        RealDisk.create_dir(&at("a")).unwrap();
        let entries = RealDisk.list(dir.path()).unwrap();
        let names: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.is_dir, entry.size)).collect();
        assert_eq!(names[1], ("b", false, 4));
        assert!(names[0].0 == "a" && names[0].1);
        RealDisk.rename(&at("b"), &at("c")).unwrap();
        RealDisk.sync_dir(dir.path()).unwrap();
        assert_eq!(RealDisk.open(&at("b"), Access::Read).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(RealDisk.open(&at("c"), Access::Read).unwrap().write_at(b"x", 0).is_err(), "read only");
        RealDisk.remove_file(&at("c")).unwrap();
        RealDisk.remove_dir(&at("a")).unwrap();
    }

    #[test]
    fn two_names_are_exchanged() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["a", "b"] {
            RealDisk.create(&at(name)).unwrap().write_at(name.as_bytes(), 0).unwrap();
        }
        RealDisk.exchange(&at("a"), &at("b")).unwrap();
        assert_eq!((fs::read(at("a")).unwrap(), fs::read(at("b")).unwrap()), (b"b".to_vec(), b"a".to_vec()));
        assert_eq!(RealDisk.exchange(&at("a"), &at("c")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_ne!(RealDisk.file_system(dir.path()).unwrap(), 0);
    }

    #[test]
    fn one_writer_or_many_readers_hold_a_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        assert_eq!(RealDisk.try_lock(&path, LockMode::Shared).unwrap_err().kind(), io::ErrorKind::NotFound);
        drop(RealDisk.create(&path).unwrap());
        let reader = RealDisk.try_lock(&path, LockMode::Shared).unwrap().unwrap();
        assert!(RealDisk.try_lock(&path, LockMode::Shared).unwrap().is_some());
        assert!(RealDisk.try_lock(&path, LockMode::Exclusive).unwrap().is_none());
        drop(reader);
        let writer = RealDisk.try_lock(&path, LockMode::Exclusive).unwrap().unwrap();
        assert!(RealDisk.try_lock(&path, LockMode::Shared).unwrap().is_none());
        assert_eq!(writer.inode(), RealDisk.inode(&path).unwrap());
    }

    #[test]
    fn a_lock_that_is_given_back_is_free_whoever_has_a_copy_of_its_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        drop(RealDisk.create(&path).unwrap());
        let file = File::open(&path).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        // As a child has it between its start and its program.
        let _copy = file.try_clone().unwrap();
        drop(RealLock { file, inode: 0 });
        assert!(RealDisk.try_lock(&path, LockMode::Exclusive).unwrap().is_some());
    }

    #[test]
    fn no_child_inherits_a_file_and_nobody_else_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("MANIFEST");
        drop(RealDisk.create(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let flags = rustix::io::fcntl_getfd(File::open(&path).unwrap()).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
}
