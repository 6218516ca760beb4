//! Making a store, and adopting one that was moved.
#![forbid(unsafe_code)]

use super::error::StoreError;
use crate::disk::Disk;
use crate::ident::StoreUuid;
use crate::ident::StructureName;
use std::path::Path;
use std::sync::Arc;

/// What a store is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The structure it will hold.
    pub structure: StructureName,
    /// The size of its segments in bytes: a multiple of 4 KiB, 16 KiB to 1 GiB.
    pub segment_size: u64,
}

/// Randomness that a new store needs, drawn by the caller.
#[derive(Clone, Copy)]
pub struct Seeds {
    /// Its identity.
    pub uuid: StoreUuid,
    /// The key of its receipts.
    pub receipt_key: [u8; 32],
}

impl std::fmt::Debug for Seeds {
    /// Everything but the receipt key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seeds").field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

/// Makes a store in `dir`, which is made if it is missing (its parent must exist). A directory that
/// an interrupted `init` left is begun again. MANIFEST comes last.
///
/// # Errors
/// [`StoreError::AlreadyAStore`], [`StoreError::NotEmpty`], [`StoreError::SegmentSize`],
/// [`StoreError::Locked`], I/O.
pub fn init(_disk: &dyn Disk, _dir: &Path, _creation: &Creation, _seeds: &Seeds) -> Result<(), StoreError> {
    todo!()
}

/// Notes the LOCK that is there as the store's own: the store was moved and the original is gone.
///
/// # Errors
/// As [`survey`](super::survey()) and [`lock`](super::lock).
pub fn adopt_moved(_disk: Arc<dyn Disk>, _dir: &Path) -> Result<(), StoreError> {
    todo!()
}
