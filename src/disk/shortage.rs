//! Want of room told apart from failure: what an operator can end without the machine being broken.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;

/// Which kind of room is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortage {
    /// The file system is full.
    Space,
    /// No inode is left.
    Inodes,
    /// The quota of the user, group or project is used up.
    Quota,
    /// A file would become larger than the process, or the file system, allows.
    FileSize,
    /// The process or the system has too many files open.
    OpenFiles,
    /// The file system is mounted read-only.
    ReadOnly,
}

impl Shortage {
    /// What an error is for want of; `None`: something failed.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        if error.get_ref().is_some_and(|inner| inner.is::<NoInodes>()) {
            return Some(Self::Inodes);
        }
        match error.raw_os_error() {
            Some(TOO_MANY_FILES | TOO_MANY_FILES_IN_ALL) => Some(Self::OpenFiles),
            _ => match error.kind() {
                io::ErrorKind::StorageFull => Some(Self::Space),
                io::ErrorKind::QuotaExceeded => Some(Self::Quota),
                io::ErrorKind::FileTooLarge => Some(Self::FileSize),
                io::ErrorKind::ReadOnlyFilesystem => Some(Self::ReadOnly),
                _ => None,
            },
        }
    }

    /// What is missing and what ends it, in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Space => "no space is left on the file system: make room",
            Self::Inodes => "no inode is left on the file system: remove files that nobody needs",
            Self::Quota => "the disk quota is used up: raise it, or remove files",
            Self::FileSize => "the limit on the size of a file is reached (see ulimit -f): raise it",
            Self::OpenFiles => "too many files are open (see ulimit -n): raise the limit",
            Self::ReadOnly => "the file system is read-only (EROFS): mount it for writing",
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Inside an [`io::Error`] of kind `StorageFull`: there is space, but no inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no inode is left")]
pub struct NoInodes;

/// EMFILE.
const TOO_MANY_FILES: i32 = 24;
/// ENFILE.
const TOO_MANY_FILES_IN_ALL: i32 = 23;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_room_is_told_apart_from_failure() {
        let shortages = [
            (28, Shortage::Space),
            (122, Shortage::Quota),
            (27, Shortage::FileSize),
            (24, Shortage::OpenFiles),
            (23, Shortage::OpenFiles),
            (30, Shortage::ReadOnly),
        ];
        for (errno, shortage) in shortages {
            assert_eq!(Shortage::of(&io::Error::from_raw_os_error(errno)), Some(shortage), "errno {errno}");
        }
        let inodes = io::Error::new(io::ErrorKind::StorageFull, NoInodes);
        assert_eq!(Shortage::of(&inodes), Some(Shortage::Inodes));
        for errno in [2, 5, 13, 22] {
            assert_eq!(Shortage::of(&io::Error::from_raw_os_error(errno)), None, "errno {errno}");
        }
    }
}
