//! What goes into a pack: the frames of sealed segments, or of packs that are put together.
#![forbid(unsafe_code)]

use super::index::PackedSegment;
use super::read::PackFile;
use super::read::PackWalk;
use crate::disk::Disk;
use crate::wal::FrameInfo;
use crate::wal::entries::PackEntry;
use crate::wal::entries::SegmentEntry;
use crate::wal::error::LogFault;
use crate::wal::error::StoreError;
use crate::wal::frame::FrameFault;
use crate::wal::frame::FrameHeader;
use crate::wal::manifest::ChainEnd;
use crate::wal::manifest::Manifest;
use crate::wal::walk::Reading;
use crate::wal::walk::Step;
use crate::wal::walk::Walk;
use std::ops::Range;
use std::path::Path;

/// What becomes one pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// So many of the oldest segments.
    Segments(usize),
    /// These packs.
    Packs(Range<usize>),
}

/// A piece of it, in order.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// A segment begins.
    Segment(PackedSegment),
    /// Its next frame.
    Frame { info: &'a FrameInfo, header: &'a FrameHeader, crc: u32, payload: &'a [u8] },
}

/// Takes pieces in order; an error ends it.
pub(super) type PieceSink<'a> = dyn FnMut(Piece<'_>) -> Result<(), StoreError> + 'a;

impl Run {
    /// What its first frame continues.
    pub(super) fn before(&self, manifest: &Manifest) -> ChainEnd {
        match self {
            Self::Segments(_) => manifest.packed(),
            Self::Packs(range) => manifest.chain_before_pack(range.start),
        }
    }

    /// The packs that go into it.
    pub(super) fn packs<'a>(&self, manifest: &'a Manifest) -> &'a [PackEntry] {
        match self {
            Self::Segments(_) => &[],
            Self::Packs(range) => &manifest.packs[range.clone()],
        }
    }

    /// The segments that go into it.
    pub(super) fn segments<'a>(&self, manifest: &'a Manifest) -> &'a [SegmentEntry] {
        match self {
            Self::Segments(count) => &manifest.segments[..*count],
            Self::Packs(_) => &[],
        }
    }

    /// Hands over all of it, checking every frame and the chain.
    pub(super) fn feed(
        &self,
        disk: &dyn Disk,
        dir: &Path,
        manifest: &Manifest,
        sink: &mut PieceSink<'_>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Segments(count) => {
                for index in 0..*count {
                    feed_segment(disk, dir, manifest, index, sink)?;
                }
            }
            Self::Packs(range) => {
                for index in range.clone() {
                    feed_pack(disk, dir, manifest, index, sink)?;
                }
            }
        }
        Ok(())
    }
}

fn feed_segment(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &Manifest,
    index: usize,
    sink: &mut PieceSink<'_>,
) -> Result<(), StoreError> {
    let mut walk = Walk::open(disk, dir, manifest, index, Reading::Verify)?;
    sink(Piece::Segment(PackedSegment { number: walk.entry.number, salt: walk.salt }))?;
    loop {
        let found = match walk.step()? {
            Step::Frame(found) => found,
            Step::Misfit(FrameFault::SegmentEnd) => break,
            Step::Misfit(fault) => return Err(walk.corrupt(fault)),
        };
        let (info, crc) = (walk.info(&found), walk.end.crc);
        sink(Piece::Frame { info: &info, header: &found.header, crc, payload: walk.payload(&found) })?;
    }
    let seal = walk.entry.sealed.map_or(walk.end, |seal| seal.end);
    if walk.end.lsn != seal.lsn {
        return Err(walk.corrupt(LogFault::SealedEnd { expected: seal.lsn, found: walk.end.lsn }));
    }
    if walk.end.crc != seal.crc {
        return Err(walk.corrupt(LogFault::SealedCrc { expected: seal.crc, found: walk.end.crc }));
    }
    // What was read is not read again soon: the cache is the writer's.
    walk.drop_cache();
    Ok(())
}

fn feed_pack(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &Manifest,
    index: usize,
    sink: &mut PieceSink<'_>,
) -> Result<(), StoreError> {
    let pack = PackFile::open(disk, dir, manifest.uuid, &manifest.packs[index])?;
    let segments = &pack.index().segments;
    let mut walk = PackWalk::new(manifest, &pack);
    let mut begun = 0;
    while let Some(found) = walk.step()? {
        for segment in &segments[begun..walk.begun()] {
            sink(Piece::Segment(*segment))?;
        }
        begun = walk.begun();
        sink(Piece::Frame { info: &found.info, header: &found.header, crc: found.crc, payload: walk.payload(&found) })?;
    }
    for segment in &segments[begun..] {
        sink(Piece::Segment(*segment))?;
    }
    pack.drop_cache();
    Ok(())
}
