//! Rows in sled, which is trusted with nothing.
//!
//! Measured on sled 0.34.7: `flush` issues no fsync, so the caller syncs every file; one damaged
//! byte mostly makes it open with rows silently missing, so the caller compares digests before sled
//! sees a byte, and counts and digests afterwards; opening rewrites files, so only copies are opened
//! once a checkpoint is written. sled opens its files by itself: the simulated disk cannot see them.
#![forbid(unsafe_code)]

use super::files::io_error;
use super::scratch::Scratch;
use super::{CheckpointError, CheckpointStore, PrivateCopy, RowSink, RowSource};
use crate::disk::Disk;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// sled's own cache, in bytes.
const CACHE_SIZE: u64 = 64 << 20;
/// A database that was just dropped may still be locked: how often and how long to wait for it.
const OPEN_ATTEMPTS: u32 = 200;
const OPEN_PAUSE: Duration = Duration::from_millis(10);

/// Keeps rows in a sled database, one directory per generation.
#[derive(Clone, Debug, Default)]
pub struct SledStore {
    scratch: Option<PathBuf>,
}

impl SledStore {
    /// With private copies in the system's directory for temporary files.
    #[must_use]
    pub const fn new() -> Self {
        Self { scratch: None }
    }

    /// With private copies in `scratch`, a directory that exists.
    #[must_use]
    pub const fn with_scratch(scratch: PathBuf) -> Self {
        Self { scratch: Some(scratch) }
    }
}

impl CheckpointStore for SledStore {
    fn write(&self, _disk: &dyn Disk, dir: &Path, rows: &mut RowSource<'_>) -> Result<(), CheckpointError> {
        let db = open(dir)?;
        for row in rows {
            let (key, value) = row?;
            guarded("write", dir, || db.insert(key, value))?;
        }
        guarded("flush", dir, || db.flush())?;
        close(db, dir)?;
        // Opening rewrites files: the second time here, so that what is proven stays as it is.
        let db = open(dir)?;
        close(db, dir)
    }

    fn copy(&self) -> Result<Box<dyn PrivateCopy>, CheckpointError> {
        let scratch = self.scratch.clone().unwrap_or_else(std::env::temp_dir);
        Ok(Box::new(SledCopy { scratch: Scratch::new(&scratch)? }))
    }
}

/// A copy in a private directory, which goes with the value.
#[derive(Debug)]
struct SledCopy {
    scratch: Scratch,
}

impl PrivateCopy for SledCopy {
    fn append(&mut self, path: &str, bytes: &[u8]) -> Result<(), CheckpointError> {
        let path = self.scratch.rows().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(io_error("create", parent))?;
        }
        let file = OpenOptions::new().append(true).create(true).open(&path);
        file.and_then(|mut file| file.write_all(bytes)).map_err(io_error("write", &path))
    }

    fn read(self: Box<Self>, sink: &mut RowSink<'_>) -> Result<(), CheckpointError> {
        let dir = self.scratch.rows();
        let db = open(&dir)?;
        let result = read_rows(&db, &dir, sink);
        close(db, &dir)?;
        result
    }
}

fn read_rows(db: &sled::Db, dir: &Path, sink: &mut RowSink<'_>) -> Result<(), CheckpointError> {
    let mut rows = db.iter();
    while let Some((key, value)) = guarded("read", dir, || rows.next().transpose())? {
        sink(&key, &value)?;
    }
    Ok(())
}

fn open(dir: &Path) -> Result<sled::Db, CheckpointError> {
    let config = sled::Config::new().path(dir).flush_every_ms(None).use_compression(false).cache_capacity(CACHE_SIZE);
    guarded("open", dir, || {
        for _ in 1..OPEN_ATTEMPTS {
            match config.open() {
                Err(error) if is_locked(&error) => thread::sleep(OPEN_PAUSE),
                result => return result,
            }
        }
        config.open()
    })
}

fn close(db: sled::Db, dir: &Path) -> Result<(), CheckpointError> {
    guarded("close", dir, || {
        drop(db);
        Ok(())
    })
}

/// sled hides the lock's `WouldBlock` in the text of another error.
fn is_locked(error: &sled::Error) -> bool {
    match error {
        sled::Error::Io(error) => {
            error.kind() == io::ErrorKind::WouldBlock || error.to_string().starts_with("could not acquire lock")
        }
        _ => false,
    }
}

/// Runs something of sled's; a panic of its is an error.
fn guarded<T>(
    operation: &'static str,
    dir: &Path,
    run: impl FnOnce() -> sled::Result<T>,
) -> Result<T, CheckpointError> {
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|source| CheckpointError::Backend {
            operation,
            path: dir.to_owned(),
            source: Box::new(source),
        }),
        Err(_) => Err(CheckpointError::Panicked { operation, path: dir.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_backend_is_an_error() {
        let error = guarded("read", Path::new("/x"), || -> sled::Result<()> { panic!("as sled may") });
        assert!(matches!(error, Err(CheckpointError::Panicked { operation: "read", .. })));
    }

    #[test]
    fn a_locked_database_is_waited_for_and_no_other_error_is() {
        let dir = tempfile::tempdir().unwrap();
        let config = sled::Config::new().path(dir.path()).flush_every_ms(None);
        let held = config.open().unwrap();
        let other = sled::Config::new().path(dir.path()).flush_every_ms(None).open().expect_err("it is held");
        assert!(is_locked(&other), "{other}");
        assert!(!is_locked(&sled::Error::Io(io::ErrorKind::NotFound.into())));
        let waiting = thread::spawn({
            let dir = dir.path().to_owned();
            move || open(&dir).map(drop)
        });
        drop((held, config));
        waiting.join().unwrap().expect("opened once it is free");
    }
}
