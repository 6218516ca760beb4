//! Replacing MANIFEST and its copy: the only way in which a store changes what it consists of.
#![forbid(unsafe_code)]

use super::error::StoreError;
use super::manifest::Manifest;
use crate::disk::Disk;
use std::path::Path;
use std::sync::Arc;

/// MANIFEST while the store is open for writing, shared by the writer and the checkpointer.
#[derive(Debug)]
pub struct ManifestKeeper {
    _private: (),
}

impl ManifestKeeper {
    pub(crate) fn new(_disk: Arc<dyn Disk>, _dir: &Path, _manifest: Manifest) -> Self {
        todo!()
    }

    /// MANIFEST as it is in force.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        todo!()
    }

    /// Changes MANIFEST: when this returns, both copies are durable and the change counts.
    ///
    /// # Errors
    /// A failed change is final: the outcome is unknown and every later change is refused.
    pub fn change(&self, _change: impl FnOnce(&mut Manifest)) -> Result<(), StoreError> {
        todo!()
    }
}
