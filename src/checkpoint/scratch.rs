//! Private directories for copies of checkpoints, beside nobody else's. Each goes with its value; those of
//! processes that were killed are removed by the next one that makes one, so that crashes leave no litter.
#![forbid(unsafe_code)]

use super::CheckpointError;
use super::files::io_error;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What their names begin with.
const PREFIX: &str = "portplex-checkpoint-";
/// A file in each, locked as long as its process lives.
const LOCK: &str = "lock";
/// Where the copy is in it.
const ROWS: &str = "rows";
/// How often another one is made, if somebody takes it for litter before its lock is taken.
const ATTEMPTS: u32 = 8;

/// A directory that goes with the value.
#[derive(Debug)]
pub(super) struct Scratch {
    // In this order: the directory goes while its lock is still held.
    dir: TempDir,
    _lock: File,
}

impl Scratch {
    /// In `parent`, after the litter there was removed.
    pub(super) fn new(parent: &Path) -> Result<Self, CheckpointError> {
        sweep(parent);
        let mut tried = 1;
        loop {
            let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent);
            let dir = dir.map_err(io_error("create a directory in", parent))?;
            let path = dir.path().join(LOCK);
            let lock = match File::create_new(&path) {
                // Between these two lines another process may have taken the lock, and the directory away.
                Ok(lock) if lock.try_lock().is_ok() && path.exists() => lock,
                Ok(_) if tried < ATTEMPTS => {
                    tried += 1;
                    continue;
                }
                Ok(_) => return Err(io_error("lock", &path)(std::io::ErrorKind::WouldBlock.into())),
                Err(error) => return Err(io_error("create", &path)(error)),
            };
            let rows = dir.path().join(ROWS);
            fs::create_dir(&rows).map_err(io_error("create", &rows))?;
            return Ok(Self { dir, _lock: lock });
        }
    }

    pub(super) fn rows(&self) -> PathBuf {
        self.dir.path().join(ROWS)
    }
}

/// Removes what killed processes of this user left. What cannot be removed is none of this process's concern.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let own = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
            && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == own);
        if !is_ours {
            continue;
        }
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let lock = OpenOptions::new().write(true).custom_flags(flags).open(entry.path().join(LOCK));
        // Without a lock it is being made. The lock is held until it is gone.
        let Ok(lock) = lock else { continue };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(parent: &Path, name: &str) -> PathBuf {
        let dir = parent.join(name);
        fs::create_dir(&dir).unwrap();
        File::create_new(dir.join(LOCK)).unwrap();
        fs::create_dir(dir.join(ROWS)).unwrap();
        File::create_new(dir.join(ROWS).join("db")).unwrap();
        dir
    }

    #[test]
    fn what_a_killed_process_left_goes_and_what_others_use_stays() {
        let parent = tempfile::tempdir().unwrap();
        let used = Scratch::new(parent.path()).unwrap();
        File::create_new(used.rows().join("db")).unwrap();
        let litter = left(parent.path(), "portplex-checkpoint-dead");
        let elsewhere = left(parent.path(), "somebody-elses");
        let begun = parent.path().join("portplex-checkpoint-begun");
        fs::create_dir(&begun).unwrap();
        std::os::unix::fs::symlink(&elsewhere, parent.path().join("portplex-checkpoint-link")).unwrap();

        let another = Scratch::new(parent.path()).unwrap();
        assert!(!litter.exists(), "nobody has its lock");
        assert!(used.rows().join("db").exists(), "its lock is held");
        assert!(elsewhere.join(LOCK).exists() && begun.exists());
        assert_ne!(used.rows(), another.rows());
        let dir = another.dir.path().to_owned();
        drop(another);
        assert!(!dir.exists(), "it goes with the value");
    }

    #[test]
    fn where_no_directory_can_be_made_the_error_names_the_place() {
        let error = Scratch::new(Path::new("/nonexistent/place")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/place"), "{error}");
    }
}
