//! Removing segments that are needed neither for recovery nor as history.
#![forbid(unsafe_code)]

use super::constants::SEGMENT_COUNT_MAX;
use super::error::StoreError;
use super::keeper::ManifestKeeper;
use super::manifest::Manifest;
use super::segment;
use crate::disk::Disk;
use crate::ident::Lsn;
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

/// Removes the oldest segments as far as `retention` says (and beyond 8,192 of them), never one that the older of two
/// checkpoints needs. History entries below that go from MANIFEST too: every checkpoint must carry
/// all entries that MANIFEST had when it was made, besides those of the checkpoint it was built
/// from.
///
/// # Errors
/// As [`ManifestKeeper::change`]. A file that cannot be removed is left to the next open.
pub fn retire(
    disk: &dyn Disk,
    dir: &Path,
    keeper: &ManifestKeeper,
    retention: &Retention,
    now: WallMs,
) -> Result<Retired, StoreError> {
    let manifest = keeper.manifest();
    let count = retirable(&manifest, retention, now);
    if count == 0 {
        return Ok(Retired::default());
    }
    keeper.change(|manifest| drop_oldest(manifest, count))?;
    let mut retired = Retired::default();
    for entry in &manifest.segments[..count] {
        retired.segments += 1;
        retired.bytes += entry.sealed.map_or(entry.size, |seal| seal.offset);
        let _ = disk.remove_file(&segment::path(dir, entry.number));
    }
    Ok(retired)
}

/// How many of the oldest segments may go.
fn retirable(manifest: &Manifest, retention: &Retention, now: WallMs) -> usize {
    let floor = match manifest.checkpoints.as_slice() {
        [older, _younger] => older.lsn,
        _ => return 0,
    };
    let size_of = |index: usize| {
        let entry = &manifest.segments[index];
        entry.sealed.map_or(entry.size, |seal| seal.offset)
    };
    let mut size_left: u64 = (0..manifest.segments.len()).map(size_of).sum();
    let mut count = 0;
    for (index, entry) in manifest.segments.iter().enumerate() {
        let Some(seal) = entry.sealed.filter(|seal| seal.end.lsn <= floor) else { break };
        let is_old = now.0.saturating_sub(seal.wall.0) > retention.age_max_ms;
        let are_few = manifest.segments.len() - index <= SEGMENT_COUNT_MAX;
        if !is_old && size_left <= retention.size_max && are_few {
            break;
        }
        size_left -= size_of(index);
        count = index + 1;
    }
    count
}

fn drop_oldest(manifest: &mut Manifest, count: usize) {
    manifest.retired = manifest.chain_before(count);
    manifest.segments.drain(..count);
    let oldest: Lsn = manifest.retired.lsn.next();
    let needed = manifest.histories.partition_point(|history| history.first <= oldest).saturating_sub(1);
    manifest.histories.drain(..needed);
}
