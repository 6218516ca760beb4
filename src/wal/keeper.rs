//! Replacing MANIFEST and its copy: the only way in which a store changes what it consists of.
//!
//! Each of the two has a file beside it that is kept, as large, to be exchanged with it: a change
//! needs no room. Both of these are written and synced first; up to there nothing has happened, and
//! want of room is no failure. Then MANIFEST is exchanged and its directory synced, then the copy.
//! A change counts when both are durable; one that fails on the way is final.
//!
//! What such a file holds is never read. After a power cut its name may mean MANIFEST's own file;
//! so nothing is written into it before the directory is durable and that was ruled out.
#![forbid(unsafe_code)]

use super::constants::FRESH;
use super::constants::LOCK;
use super::constants::MANIFEST;
use super::constants::MANIFEST_COPY;
use super::constants::MANIFEST_HEADROOM;
use super::constants::MANIFEST_HEADROOM_MIN;
use super::constants::MANIFEST_SIZE_MAX;
use super::constants::TEMPORARY;
use super::constants::manifest_file_size;
use super::error::ManifestFault;
use super::error::Operation;
use super::error::StoreError;
use super::manifest::Manifest;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::DiskFile;
use crate::disk::LatchDisk;
use crate::threads::AtomicBool;
use crate::threads::Mutex;
use crate::threads::MutexGuard;
use crate::threads::Ordering;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// MANIFEST while the store is open for writing, shared by the writer and the checkpointer.
#[derive(Debug)]
pub struct ManifestKeeper {
    disk: LatchDisk,
    /// For the files that nothing relies on before they are exchanged.
    lenient: LatchDisk,
    dir: PathBuf,
    state: Mutex<State>,
    is_ready: AtomicBool,
}

#[derive(Debug)]
struct State {
    manifest: Manifest,
    /// The size of its content.
    content_size: u64,
    has_failed: bool,
    /// The sizes of MANIFEST and its copy; 0 = there is none.
    named: [u64; 2],
    /// The sizes of the files to be exchanged with them; 0 = there is none.
    kept: [u64; 2],
}

impl State {
    /// Whether the files to be exchanged have so much room behind the content.
    fn has_room(&self, size: u64) -> bool {
        self.kept.iter().all(|kept| *kept >= self.content_size + size)
    }
}

impl ManifestKeeper {
    /// Makes durable what is visible of the directory, and finds out which of the files to be
    /// exchanged may be written.
    pub(crate) fn open(disk: LatchDisk, dir: &Path, manifest: Manifest) -> Result<Self, StoreError> {
        let lenient = disk.lenient();
        disk.sync_dir(dir).map_err(|error| StoreError::io(dir, Operation::Sync, error))?;
        let content_size = manifest.encode().len() as u64;
        let mut state = State { manifest, content_size, has_failed: false, named: [0; 2], kept: [0; 2] };
        for (place, name) in NAMES.into_iter().enumerate() {
            remove(&lenient, &dir.join(format!("{name}{FRESH}")))?;
            state.named[place] = size_of(&lenient, &dir.join(name))?;
            state.kept[place] = find_kept(&lenient, dir, place)?;
        }
        let is_ready = AtomicBool::new(state.has_room(MANIFEST_HEADROOM_MIN));
        Ok(Self { disk, lenient, dir: dir.to_owned(), state: Mutex::new(state), is_ready })
    }

    /// MANIFEST as it is in force.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        self.state.lock().manifest.clone()
    }

    /// Looks at MANIFEST as it is in force, without a copy of it. No change is made meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Manifest) -> T) -> T {
        look(&self.state.lock().manifest)
    }

    /// Looks at MANIFEST unless it is being changed.
    pub fn try_look<T>(&self, look: impl FnOnce(&Manifest) -> T) -> Option<T> {
        self.state.try_lock().map(|state| look(&state.manifest))
    }

    /// Whether the next changes need no room: those of a rotation and of the next open.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// Changes MANIFEST: when this returns, both copies are durable and the change counts. The
    /// sequence number is the keeper's own affair.
    ///
    /// # Errors
    /// [`StoreError::Full`]: nothing was changed, it may be tried again. Any other failure is final:
    /// the outcome is unknown and every later change is refused with [`StoreError::Poisoned`].
    /// [`StoreError::LockLost`] if LOCK is no longer the file noted.
    pub fn change(&self, change: impl FnOnce(&mut Manifest)) -> Result<(), StoreError> {
        let mut state = self.usable()?;
        let mut next = state.manifest.clone();
        change(&mut next);
        next.sequence = state.manifest.sequence + 1;
        let bytes = checked_bytes(&self.dir, &next)?;
        state.has_failed = true;
        self.check_lock(&next)?;
        for place in 0..NAMES.len() {
            let written = self.write_kept(&mut state, place, &bytes);
            state.has_failed = written.as_ref().is_err_and(|error| !error.is_full());
            self.note_ready(&state);
            written?;
        }
        state.has_failed = true;
        for place in 0..NAMES.len() {
            self.check_lock(&next)?;
            self.put_in_place(&mut state, place)?;
        }
        state.manifest = next;
        state.content_size = bytes.len() as u64;
        state.has_failed = false;
        self.note_ready(&state);
        // Ahead of need: the change counts whether there is room for this or not.
        let _ = self.make_ready(&mut state);
        Ok(())
    }

    /// Makes the files to be exchanged as large as the next changes need them.
    ///
    /// # Errors
    /// [`StoreError::Full`]: nothing was changed. Any other failure is final.
    pub fn prepare(&self) -> Result<(), StoreError> {
        let mut state = self.usable()?;
        match self.make_ready(&mut state) {
            Err(error) if error.is_full() && self.is_ready() => Ok(()),
            other => other,
        }
    }

    /// Gives the copy that is bad or behind the bytes of the one that is believed.
    pub(crate) fn mend(&self, name: &str) -> Result<(), StoreError> {
        let place = usize::from(name == MANIFEST_COPY);
        let mut state = self.usable()?;
        let bytes = state.manifest.encode();
        self.write_kept(&mut state, place, &bytes)?;
        state.has_failed = true;
        self.check_lock(&state.manifest)?;
        self.put_in_place(&mut state, place)?;
        state.has_failed = false;
        self.note_ready(&state);
        Ok(())
    }

    fn usable(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock();
        if state.has_failed { Err(StoreError::Poisoned { dir: self.dir.clone() }) } else { Ok(state) }
    }

    fn note_ready(&self, state: &State) {
        self.is_ready.store(state.has_room(MANIFEST_HEADROOM_MIN), Ordering::Release);
    }

    /// Makes larger what has less room than half of what it gets then.
    fn make_ready(&self, state: &mut State) -> Result<(), StoreError> {
        for place in 0..NAMES.len() {
            if state.kept[place] < state.content_size + MANIFEST_HEADROOM / 2 {
                let size = manifest_file_size(state.content_size);
                let made = self.write_zeros_behind(state, place, size);
                state.has_failed = made.as_ref().is_err_and(|error| !error.is_full());
                self.note_ready(state);
                made?;
            }
        }
        Ok(())
    }

    /// Writes the whole file, zeros behind the content: what a failed sync once left is not relied on.
    fn write_kept(&self, state: &mut State, place: usize, content: &[u8]) -> Result<(), StoreError> {
        let kept = state.kept[place];
        let content_size = content.len() as u64;
        let size = if kept < content_size { manifest_file_size(content_size) } else { kept };
        let mut bytes = content.to_vec();
        bytes.resize(size as usize, 0);
        self.write(state, place, &bytes, 0)
    }

    fn write_zeros_behind(&self, state: &mut State, place: usize, size: u64) -> Result<(), StoreError> {
        let kept = state.kept[place];
        self.write(state, place, &vec![0; (size - kept) as usize], kept)
    }

    /// Writes to the end of a kept file, durably. When room is wanting it is as large as before.
    fn write(&self, state: &mut State, place: usize, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        let path = kept_path(&self.dir, place);
        let before = state.kept[place];
        state.kept[place] = 0;
        let file = open_or_create(&self.lenient, &path, before)?;
        let written = file
            .write_at(bytes, offset)
            .map_err(|error| StoreError::io(&path, Operation::Write, error))
            .and_then(|()| file.sync_all().map_err(|error| StoreError::io(&path, Operation::Sync, error)));
        match written {
            Ok(()) => state.kept[place] = offset + bytes.len() as u64,
            Err(_) if before == 0 => drop(self.lenient.remove_file(&path)),
            Err(_) => {
                let _ = file.set_len(before);
                state.kept[place] = before;
            }
        }
        written
    }

    /// Puts a kept file in the place of MANIFEST or its copy, durably.
    fn put_in_place(&self, state: &mut State, place: usize) -> Result<(), StoreError> {
        let path = self.dir.join(NAMES[place]);
        let kept = kept_path(&self.dir, place);
        match self.disk.exchange(&kept, &path) {
            Ok(()) => std::mem::swap(&mut state.kept[place], &mut state.named[place]),
            Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::NotFound) => {
                self.disk.rename(&kept, &path).map_err(|error| StoreError::failed(&path, Operation::Rename, error))?;
                state.named[place] = std::mem::take(&mut state.kept[place]);
            }
            Err(error) => return Err(StoreError::failed(&path, Operation::Exchange, error)),
        }
        self.disk.sync_dir(&self.dir).map_err(|error| StoreError::failed(&self.dir, Operation::Sync, error))
    }

    /// Whoever replaces LOCK lets a second writer in: stop before the two meet in MANIFEST.
    fn check_lock(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let path = self.dir.join(LOCK);
        match self.disk.inode(&path) {
            Ok(inode) if inode == manifest.lock_inode => Ok(()),
            Ok(_) => Err(StoreError::LockLost { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::LockLost { path }),
            Err(error) => Err(StoreError::failed(&path, Operation::Open, error)),
        }
    }
}

/// The size of the file that may be exchanged with MANIFEST or its copy; 0 if there is none. One
/// that is also known by another name is not its own: only the name is removed.
fn find_kept(disk: &LatchDisk, dir: &Path, place: usize) -> Result<u64, StoreError> {
    let path = kept_path(dir, place);
    let Some(inode) = inode_of(disk, &path)? else { return Ok(0) };
    let others = [dir.join(NAMES[0]), dir.join(NAMES[1]), kept_path(dir, 1 - place)];
    for other in others {
        if inode_of(disk, &other)? == Some(inode) {
            remove(disk, &path)?;
            return Ok(0);
        }
    }
    size_of(disk, &path)
}

fn inode_of(disk: &LatchDisk, path: &Path) -> Result<Option<u64>, StoreError> {
    match disk.inode(path) {
        Ok(inode) => Ok(Some(inode)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(path, Operation::Open, error)),
    }
}

fn size_of(disk: &LatchDisk, path: &Path) -> Result<u64, StoreError> {
    match disk.open(path, Access::Read) {
        Ok(file) => file.len().map_err(|error| StoreError::io(path, Operation::Read, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(StoreError::io(path, Operation::Open, error)),
    }
}

fn open_or_create(disk: &dyn Disk, path: &Path, kept: u64) -> Result<Box<dyn DiskFile>, StoreError> {
    if kept > 0 {
        return disk.open(path, Access::ReadWrite).map_err(|error| StoreError::io(path, Operation::Open, error));
    }
    remove(disk, path)?;
    disk.create(path).map_err(|error| StoreError::io(path, Operation::Create, error))
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, Operation::Remove, error)),
        _ => Ok(()),
    }
}

fn kept_path(dir: &Path, place: usize) -> PathBuf {
    dir.join(format!("{}{TEMPORARY}", NAMES[place]))
}

fn checked_bytes(dir: &Path, manifest: &Manifest) -> Result<Vec<u8>, StoreError> {
    let bytes = manifest.encode();
    if manifest_file_size(bytes.len() as u64) > MANIFEST_SIZE_MAX {
        let why = ManifestFault::Size { expected: MANIFEST_SIZE_MAX, found: bytes.len() as u64 };
        return Err(StoreError::ManifestCorrupt { path: dir.join(MANIFEST), why });
    }
    let back = Manifest::decode(&bytes);
    assert_eq!(back.as_ref(), Ok(manifest), "what is written can be read back");
    Ok(bytes)
}

/// Makes MANIFEST and its copy where there are none, and the files to be exchanged with them.
/// Everything that needs room comes before the first of the two appears.
pub(crate) fn make_first(disk: &dyn Disk, dir: &Path, manifest: &Manifest) -> Result<(), StoreError> {
    let mut bytes = checked_bytes(dir, manifest)?;
    bytes.resize(manifest_file_size(bytes.len() as u64) as usize, 0);
    let zeros = vec![0; bytes.len()];
    for name in NAMES {
        for (suffix, content) in [(TEMPORARY, &zeros), (FRESH, &bytes)] {
            let path = dir.join(format!("{name}{suffix}"));
            let file = open_or_create(disk, &path, 0)?;
            file.write_at(content, 0).map_err(|error| StoreError::io(&path, Operation::Write, error))?;
            file.sync_all().map_err(|error| StoreError::io(&path, Operation::Sync, error))?;
        }
    }
    let sync = || disk.sync_dir(dir).map_err(|error| StoreError::io(dir, Operation::Sync, error));
    sync()?;
    for name in NAMES {
        let (fresh, path) = (dir.join(format!("{name}{FRESH}")), dir.join(name));
        disk.rename(&fresh, &path).map_err(|error| StoreError::io(&path, Operation::Rename, error))?;
        sync()?;
    }
    Ok(())
}

/// MANIFEST and its copy, in the order in which they are changed.
const NAMES: [&str; 2] = [MANIFEST, MANIFEST_COPY];
