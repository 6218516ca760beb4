//! Replacing MANIFEST and its copy: the only way in which a store changes what it consists of.
//!
//! Each of the two is written under another name, synced, renamed and its directory synced, one
//! after the other. A change counts when both are durable; a failed one is final.
#![forbid(unsafe_code)]

use super::constants::LOCK;
use super::constants::MANIFEST;
use super::constants::MANIFEST_COPY;
use super::constants::MANIFEST_SIZE_MAX;
use super::constants::TEMPORARY;
use super::error::ManifestFault;
use super::error::Operation;
use super::error::StoreError;
use super::manifest::Manifest;
use crate::disk::Disk;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// MANIFEST while the store is open for writing, shared by the writer and the checkpointer.
#[derive(Debug)]
pub struct ManifestKeeper {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    manifest: Manifest,
    has_failed: bool,
}

impl ManifestKeeper {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, manifest: Manifest) -> Self {
        Self { disk, dir: dir.to_owned(), state: Mutex::new(State { manifest, has_failed: false }) }
    }

    /// MANIFEST as it is in force.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        self.state.lock().manifest.clone()
    }

    /// Changes MANIFEST: when this returns, both copies are durable and the change counts. The
    /// sequence number is the keeper's own affair.
    ///
    /// # Errors
    /// A failed change is final: its outcome is unknown and every later one is refused with
    /// [`StoreError::Poisoned`]. [`StoreError::LockLost`] if LOCK is no longer the file noted.
    pub fn change(&self, change: impl FnOnce(&mut Manifest)) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if state.has_failed {
            return Err(StoreError::Poisoned { dir: self.dir.clone() });
        }
        let mut next = state.manifest.clone();
        change(&mut next);
        next.sequence = state.manifest.sequence + 1;
        state.has_failed = true;
        self.write(&next)?;
        state.manifest = next;
        state.has_failed = false;
        Ok(())
    }

    /// Gives the copy that is bad or behind the bytes of the one that is believed.
    pub(crate) fn mend(&self, name: &str) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.has_failed = true;
        self.check_lock(&state.manifest)?;
        replace(&*self.disk, &self.dir, name, &state.manifest.encode())?;
        state.has_failed = false;
        Ok(())
    }

    fn write(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let bytes = manifest.encode();
        if bytes.len() as u64 > MANIFEST_SIZE_MAX {
            let why = ManifestFault::Size { expected: MANIFEST_SIZE_MAX, found: bytes.len() as u64 };
            return Err(StoreError::ManifestCorrupt { path: self.dir.join(MANIFEST), why });
        }
        let back = Manifest::decode(&bytes);
        assert_eq!(back.as_ref(), Ok(manifest), "what is written can be read back");
        self.check_lock(manifest)?;
        replace(&*self.disk, &self.dir, MANIFEST, &bytes)?;
        self.check_lock(manifest)?;
        replace(&*self.disk, &self.dir, MANIFEST_COPY, &bytes)
    }

    /// Whoever replaces LOCK lets a second writer in: stop before the two meet in MANIFEST.
    fn check_lock(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let path = self.dir.join(LOCK);
        match self.disk.inode(&path) {
            Ok(inode) if inode == manifest.lock_inode => Ok(()),
            Ok(_) => Err(StoreError::LockLost { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::LockLost { path }),
            Err(error) => Err(StoreError::io(&path, Operation::Open, error)),
        }
    }
}

/// Replaces one file, durably: it has the old bytes or the new ones, whatever happens.
pub(crate) fn replace(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = dir.join(name);
    let temporary = dir.join(format!("{name}{TEMPORARY}"));
    let failed = |operation| {
        let path = &temporary;
        move |error| StoreError::io(path, operation, error)
    };
    match disk.remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(Operation::Remove)(error)),
        _ => {}
    }
    let file = disk.create(&temporary).map_err(failed(Operation::Create))?;
    file.write_at(bytes, 0).map_err(failed(Operation::Write))?;
    file.sync_all().map_err(failed(Operation::Sync))?;
    drop(file);
    disk.rename(&temporary, &path).map_err(|error| StoreError::io(&path, Operation::Rename, error))?;
    disk.sync_dir(dir).map_err(|error| StoreError::io(dir, Operation::Sync, error))
}
