//! Removing segments that are needed neither for recovery nor as history.
#![forbid(unsafe_code)]

use super::constants::PACK_COUNT_MAX;
use super::constants::SEGMENT_COUNT_MAX;
use super::error::StoreError;
use super::keeper::ManifestKeeper;
use super::manifest::Manifest;
use super::pack;
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
    /// At most this many bytes of packs and segments in all.
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
    /// Packs removed.
    pub packs: u64,
    /// Segments removed.
    pub segments: u64,
    /// Bytes they had.
    pub bytes: u64,
}

impl Retired {
    /// Whether there was anything.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.packs == 0 && self.segments == 0
    }
}

/// Removes the oldest packs and then segments as far as `retention` says (and beyond 8,192 of either), never one that the older of two
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
    retire_by(dir, keeper, retention, now, &mut |path| drop(disk.remove_file(path)))
}

/// As [`retire`]; `remove` removes the files, now or when nobody reads them any more.
///
/// # Errors
/// As [`ManifestKeeper::change`].
pub(crate) fn retire_by(
    dir: &Path,
    keeper: &ManifestKeeper,
    retention: &Retention,
    now: WallMs,
    remove: &mut dyn FnMut(&Path),
) -> Result<Retired, StoreError> {
    let manifest = keeper.manifest();
    let [packs, segments] = retirable(&manifest, retention, now);
    if packs + segments == 0 {
        return Ok(Retired::default());
    }
    keeper.change(|manifest| drop_oldest(manifest, packs, segments))?;
    let mut retired = Retired { packs: packs as u64, segments: segments as u64, bytes: 0 };
    for entry in &manifest.packs[..packs] {
        retired.bytes += entry.size;
        remove(&pack::path(dir, entry));
    }
    for entry in &manifest.segments[..segments] {
        retired.bytes += entry.sealed.map_or(entry.size, |seal| seal.offset);
        remove(&segment::path(dir, entry.number));
    }
    Ok(retired)
}

/// How many of the oldest packs and segments may go.
fn retirable(manifest: &Manifest, retention: &Retention, now: WallMs) -> [usize; 2] {
    let floor = match manifest.checkpoints.as_slice() {
        [older, _younger] => older.lsn,
        _ => return [0, 0],
    };
    let segment_sizes = manifest.segments.iter().map(|entry| entry.sealed.map_or(entry.size, |seal| seal.offset));
    let pack_sizes = manifest.packs.iter().map(|pack| pack.size);
    let mut size_left: u64 = pack_sizes.chain(segment_sizes).sum();
    let is_over = |wall: WallMs, size_left: u64| {
        now.0.saturating_sub(wall.0) > retention.age_max_ms || size_left > retention.size_max
    };
    let mut packs = 0;
    for (index, pack) in manifest.packs.iter().enumerate() {
        let are_many = manifest.packs.len() - index > PACK_COUNT_MAX;
        if pack.end.lsn > floor || !(is_over(pack.wall, size_left) || are_many) {
            return [packs, 0];
        }
        size_left -= pack.size;
        packs = index + 1;
    }
    let mut segments = 0;
    for (index, entry) in manifest.segments.iter().enumerate() {
        let Some(seal) = entry.sealed.filter(|seal| seal.end.lsn <= floor) else { break };
        let are_many = manifest.segments.len() - index > SEGMENT_COUNT_MAX;
        if !(is_over(seal.wall, size_left) || are_many) {
            break;
        }
        size_left -= seal.offset;
        segments = index + 1;
    }
    [packs, segments]
}

fn drop_oldest(manifest: &mut Manifest, packs: usize, segments: usize) {
    manifest.retired = if segments > 0 { manifest.chain_before(segments) } else { manifest.chain_before_pack(packs) };
    manifest.packs.drain(..packs);
    manifest.segments.drain(..segments);
    let oldest: Lsn = manifest.retired.lsn.next();
    let needed = manifest.histories.partition_point(|history| history.first <= oldest).saturating_sub(1);
    manifest.histories.drain(..needed);
}
