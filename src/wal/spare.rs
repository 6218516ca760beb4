//! The spare segment: filled with zeros ahead of need, so that a commit changes no metadata.
#![forbid(unsafe_code)]

use super::error::StoreError;

/// Fills the spare segment in slices; the background thread of the facility paces it.
#[derive(Debug)]
pub struct SpareFiller {
    _private: (),
}

impl SpareFiller {
    /// Fills and syncs the next slice of 256 KiB. `true`: there is more to do.
    ///
    /// # Errors
    /// [`StoreError::Full`] or I/O; the log is not touched, and a later step tries again.
    pub fn step(&self) -> Result<bool, StoreError> {
        todo!()
    }

    /// Whether a whole spare is there to be taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        todo!()
    }
}
