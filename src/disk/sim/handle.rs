//! The simulated disk as a [`Disk`]: counts each call, lets it fail if that is due, then does it.
#![forbid(unsafe_code)]

use super::Call;
use super::Fault;
use super::SimDisk;
use super::node::DirNode;
use super::node::FileNode;
use super::state::NO_SPACE;
use super::state::Node;
use super::state::State;
use super::state::error_of;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::DiskFile;
use crate::disk::Entry;
use crate::disk::LockGuard;
use crate::disk::LockMode;
use crate::threads::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;

impl SimDisk {
    fn handle(&self, inode: u64, access: Access) -> Box<dyn DiskFile> {
        Box::new(SimFile { shared: Arc::clone(&self.shared), inode, access })
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Change)?;
        state.add(path, Node::Dir(DirNode::default())).map(drop)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Change)?;
        let inode = state.add(path, Node::File(FileNode::default()))?;
        Ok(self.handle(inode, Access::ReadWrite))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Look)?;
        let inode = state.find(path)?;
        state.file(inode)?;
        Ok(self.handle(inode, access))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Change)?;
        state.rename(from, to)
    }

    fn exchange(&self, first: &Path, second: &Path) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Change)?;
        state.exchange(first, second)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Change)?;
        state.remove(path, false)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Change)?;
        state.remove(path, true)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Look)?;
        state.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.lock();
        let fault = state.begin(Call::Sync)?;
        let inode = state.find(path)?;
        let lies = state.lies;
        let dir = state.dir_mut(inode)?;
        match fault {
            None if lies => {}
            None => dir.sync(),
            Some(Fault::SyncMarkedClean { errno }) => {
                dir.forget_pending();
                return Err(io::Error::from_raw_os_error(errno));
            }
            Some(fault) => match error_of(fault) {
                Some(error) => return Err(error),
                None => dir.sync(),
            },
        }
        Ok(())
    }

    fn try_lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn LockGuard>>> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Look)?;
        let inode = state.find(path)?;
        if !state.try_lock(inode, mode) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock { shared: Arc::clone(&self.shared), inode })))
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Look)?;
        state.find(path)
    }

    fn file_system(&self, path: &Path) -> io::Result<u64> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Look)?;
        state.find(path)?;
        Ok(state.character.file_system)
    }
}

#[derive(Debug)]
struct SimFile {
    shared: Arc<Mutex<State>>,
    inode: u64,
    access: Access,
}

impl SimFile {
    fn writable(&self) -> io::Result<()> {
        if self.access == Access::Read { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        let fault = state.begin(Call::Sync)?;
        let lies = state.lies;
        let file = state.file_mut(self.inode)?;
        match fault {
            None if lies => {}
            None => file.sync(),
            Some(Fault::SyncMarkedClean { errno }) => {
                file.forget_dirty();
                return Err(io::Error::from_raw_os_error(errno));
            }
            Some(fault) => match error_of(fault) {
                Some(error) => return Err(error),
                None => file.sync(),
            },
        }
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.shared.lock();
        let fault = state.begin(Call::Read)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut wanted = bytes.len();
        match fault {
            Some(Fault::ShortRead { kept }) => wanted = wanted.min(kept),
            Some(Fault::ZeroedSector) => state.file_mut(self.inode)?.zero_sector(start),
            Some(fault) => error_of(fault).map_or(Ok(()), Err)?,
            None => {}
        }
        let file = state.file(self.inode)?;
        let shown = if fault == Some(Fault::StaleRead) { file.former() } else { &file.visible };
        let start = start.min(shown.len());
        let count = wanted.min(shown.len() - start);
        bytes[..count].copy_from_slice(&shown.bytes()[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.shared.lock();
        let fault = state.begin(Call::Write)?;
        self.writable()?;
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let error = fault.and_then(error_of);
        let kept = match fault {
            Some(Fault::ShortWrite { kept, .. }) => kept.min(bytes.len()),
            _ if error.is_some() => 0,
            _ => bytes.len(),
        };
        let growth = (offset + kept).saturating_sub(state.file(self.inode)?.visible.len());
        if growth > 0 && !state.has_room(growth) {
            return Err(io::Error::from_raw_os_error(NO_SPACE));
        }
        let file = state.file_mut(self.inode)?;
        match fault {
            Some(Fault::LostWrite) => file.write_lost(bytes, offset),
            Some(Fault::MisdirectedWrite { by }) => file.write_elsewhere(bytes, offset, by),
            Some(Fault::ZeroedSector) => file.write_zeroed(bytes, offset),
            _ => file.write(&bytes[..kept], offset),
        }
        error.map_or(Ok(()), Err)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Change)?;
        self.writable()?;
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
        state.file_mut(self.inode)?.set_len(size);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Look)?;
        Ok(state.file(self.inode)?.visible.len() as u64)
    }

    fn drop_cache(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.begin_plain(Call::Look)?;
        state.file_mut(self.inode)?.drop_cache();
        Ok(())
    }
}

#[derive(Debug)]
struct SimLock {
    shared: Arc<Mutex<State>>,
    inode: u64,
}

impl LockGuard for SimLock {
    fn inode(&self) -> u64 {
        self.inode
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.shared.lock().unlock(self.inode);
    }
}
