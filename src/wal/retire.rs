//! Removing segments that are needed neither for recovery nor as history.
#![forbid(unsafe_code)]

use super::error::StoreError;
use super::keeper::ManifestKeeper;
use crate::disk::Disk;
use crate::ident::WallMs;
use std::path::Path;

/// How long segments are kept as history once no recovery needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// At most this long after their last frame, in ms.
    pub age_max_ms: u64,
    /// At most this many bytes of segments in all.
    pub size_max: u64,
}

impl Default for Retention {
    /// 180 days or 8 GiB, whichever comes first.
    fn default() -> Self {
        Self { age_max_ms: 180 * 24 * 3_600 * 1_000, size_max: 8 << 30 }
    }
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// Segments removed.
    pub segments: u64,
    /// Bytes they had.
    pub bytes: u64,
}

/// Removes the oldest segments as far as `retention` says, never one that the older of two
/// checkpoints needs. History entries below that go from MANIFEST too: every checkpoint must carry
/// all entries that MANIFEST had when it was made, besides those of the checkpoint before it.
///
/// # Errors
/// As [`ManifestKeeper::change`].
pub fn retire(
    _disk: &dyn Disk,
    _dir: &Path,
    _keeper: &ManifestKeeper,
    _retention: &Retention,
    _now: WallMs,
) -> Result<Retired, StoreError> {
    todo!()
}
