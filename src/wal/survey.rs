//! What a directory says it is: LOCK, the choice between the two MANIFESTs, WATERMARK.
#![forbid(unsafe_code)]

use super::error::StoreError;
use super::manifest::Manifest;
use super::watermark::Watermark;
use crate::disk::Disk;
use crate::disk::LockGuard;
use crate::disk::LockMode;
use std::path::Path;

/// What was read without changing anything.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The MANIFEST that is believed.
    pub manifest: Manifest,
    /// The valid slots of WATERMARK, the younger first.
    pub watermarks: Vec<Watermark>,
    /// Whether the two copies of MANIFEST are good and equal.
    pub copies_agree: bool,
    /// What an operator should read.
    pub warnings: Vec<String>,
}

impl Survey {
    /// Whether the last open of the store ended with a close.
    #[must_use]
    pub fn was_closed(&self) -> bool {
        self.watermarks.first().is_some_and(|mark| mark.clean && mark.epoch == self.manifest.epoch)
    }
}

/// Locks a store; never makes the LOCK file.
///
/// # Errors
/// [`StoreError::NotAStore`] without a LOCK file, [`StoreError::Locked`] if another process holds it.
pub fn lock(_disk: &dyn Disk, _dir: &Path, _mode: LockMode) -> Result<Box<dyn LockGuard>, StoreError> {
    todo!()
}

/// Reads what a store consists of; changes nothing. Take the [`lock`] first.
///
/// # Errors
/// [`StoreError::NotAStore`], [`StoreError::ManifestCorrupt`], [`StoreError::FormatTooNew`], I/O.
pub fn survey(_disk: &dyn Disk, _dir: &Path) -> Result<Survey, StoreError> {
    todo!()
}
