//! Reading the log back: recovery, offline checks, and reading beside the writer.
//!
//! A walk streams: its memory is one window, whatever the log's size. It changes nothing.
#![forbid(unsafe_code)]

use super::constants::BELOW_BASE_CHECKED_SIZE_MAX;
use super::constants::MANIFEST;
use super::constants::frame_size_max;
use super::entries::Seal;
use super::error::LogFault;
use super::error::ManifestFault;
use super::error::StoreError;
use super::frame::FrameFault;
use super::manifest::ChainEnd;
use super::manifest::Manifest;
use super::pack;
use super::pack::PackFile;
use super::pack::PackWalk;
use super::survey::Survey;
use super::verdict::Place;
use super::verdict::Rest;
use super::verdict::Verdict;
use super::verdict::judge;
use super::walk;
use super::walk::FrameInfo;
use super::walk::Reading;
use super::walk::Step;
use super::walk::Walk;
use crate::disk::Disk;
use crate::ident::Lsn;
use crate::ident::WallMs;
use std::path::Path;

/// Takes frames in order; an error ends the walk and is handed on (see [`FrameInfo::corrupt`]).
pub type FrameSink<'a> = dyn FnMut(&FrameInfo, &[u8]) -> Result<(), StoreError> + 'a;

/// What a walk over the log found, after the sink got every frame that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The last lsn kept, and its crc.
    pub end: ChainEnd,
    /// The last lsn proven durable, and its crc: the same, or one frame less.
    pub proven: ChainEnd,
    /// The one good frame above what is proven, if there is one: kept, to be encoded anew.
    pub above: Option<FrameInfo>,
    /// Bytes of a torn frame that are left out.
    pub torn_bytes: u64,
    /// Wall time of the last frame kept, in ms.
    pub wall: WallMs,
    /// Wall time of the last proven frame, in ms.
    pub proven_wall: WallMs,
    /// Where the proven part of the tail ends, in bytes.
    pub offset: u64,
    /// Packs read.
    pub packs: u64,
    /// Segments read.
    pub segments: u64,
    /// Frames handed to the sink.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// What an operator should read.
    pub warnings: Vec<String>,
}

/// Walks the log above `base`, judging every misfit by the decision table of `storage-format.md`.
///
/// # Errors
/// [`StoreError::SegmentMissing`], [`StoreError::CorruptLog`], [`StoreError::TailUnexpected`],
/// [`StoreError::BaseTooOld`], the sink's own, I/O.
pub fn replay(
    disk: &dyn Disk,
    dir: &Path,
    survey: &Survey,
    base: Lsn,
    sink: &mut FrameSink<'_>,
) -> Result<Replayed, StoreError> {
    Recovery::new(disk, dir, survey, base, Reading::Recovery).run(sink)
}

/// Reads every listed pack and segment from its first byte to its end, below the checkpoints too, and checks
/// that every frame encodes to the same bytes again. Changes nothing. Also what `log dump` walks.
///
/// # Errors
/// As [`replay`], with every misfit below a sealed end as corruption.
pub fn verify(disk: &dyn Disk, dir: &Path, survey: &Survey, sink: &mut FrameSink<'_>) -> Result<Replayed, StoreError> {
    Recovery::new(disk, dir, survey, survey.manifest.retired.lsn, Reading::Verify).run(sink)
}

/// Reads the frames above `after` up to `upto`, which must be durable, beside a writer.
///
/// # Errors
/// As [`replay`]; anything that does not fit up to `upto` is corruption.
pub fn read_durable(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &Manifest,
    after: Lsn,
    upto: Lsn,
    sink: &mut FrameSink<'_>,
) -> Result<(), StoreError> {
    check_reach(dir, manifest, after)?;
    for entry in manifest.packs.iter().filter(|entry| entry.first <= upto && entry.end.lsn > after) {
        let pack = PackFile::open(disk, dir, manifest.uuid, entry)?;
        for (number, block) in pack.index().blocks.iter().enumerate() {
            if block.first <= upto && block.end.lsn > after {
                pack.read_block(manifest, number, &mut |info, payload| {
                    if info.last() > after && info.first <= upto { sink(info, payload) } else { Ok(()) }
                })?;
            }
        }
    }
    for (index, entry) in manifest.segments.iter().enumerate() {
        if entry.first > upto || entry.sealed.is_some_and(|seal| seal.end.lsn <= after) {
            continue;
        }
        let mut walk = Walk::open(disk, dir, manifest, index, Reading::BesideWriter)?;
        while walk.end.lsn < upto {
            let found = match walk.step()? {
                Step::Frame(found) if found.header.last() <= after => continue,
                Step::Frame(found) => found,
                Step::Misfit(FrameFault::SegmentEnd) => break,
                Step::Misfit(fault) => return Err(walk.corrupt(fault)),
            };
            sink(&walk.info(&found), walk.payload(&found))?;
        }
    }
    Ok(())
}

fn check_reach(dir: &Path, manifest: &Manifest, base: Lsn) -> Result<(), StoreError> {
    if manifest.retired.lsn <= base {
        return Ok(());
    }
    Err(StoreError::BaseTooOld { dir: dir.to_owned(), wanted: base.next(), oldest: manifest.retired.lsn.next() })
}

/// One walk over all listed segments.
struct Recovery<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    survey: &'a Survey,
    base: Lsn,
    /// A full check reads every segment, and refuses misfits below the base too.
    reading: Reading,
    durable: Lsn,
    replayed: Replayed,
}

impl<'a> Recovery<'a> {
    fn new(disk: &'a dyn Disk, dir: &'a Path, survey: &'a Survey, base: Lsn, reading: Reading) -> Self {
        let start = survey.manifest.retired;
        let replayed = Replayed {
            end: start,
            proven: start,
            above: None,
            torn_bytes: 0,
            wall: WallMs(0),
            proven_wall: WallMs(0),
            offset: 0,
            packs: 0,
            segments: 0,
            frames: 0,
            records: 0,
            warnings: survey.warnings.clone(),
        };
        Self { disk, dir, survey, base, reading, durable: survey.durable(), replayed }
    }

    fn run(mut self, sink: &mut FrameSink<'_>) -> Result<Replayed, StoreError> {
        let manifest = &self.survey.manifest;
        check_reach(self.dir, manifest, self.base)?;
        for index in 0..manifest.packs.len() {
            self.read_pack(index, sink)?;
        }
        for entry in &manifest.segments {
            walk::open_segment(self.disk, self.dir, manifest, entry, self.reading)?;
        }
        let mut below_skipped = self.below_base_skipped();
        for (index, entry) in manifest.segments.iter().enumerate() {
            match entry.sealed {
                Some(seal) if seal.end.lsn <= self.base && below_skipped > 0 && self.reading != Reading::Verify => {
                    below_skipped -= 1;
                    self.pass(&seal);
                }
                Some(seal) => self.read_sealed(index, &seal, sink)?,
                None => self.read_tail(index, sink)?,
            }
        }
        Ok(self.replayed)
    }

    /// Reads a pack, if the base needs it or all is read; else looks whether it is there.
    fn read_pack(&mut self, index: usize, sink: &mut FrameSink<'_>) -> Result<(), StoreError> {
        let manifest = &self.survey.manifest;
        let entry = &manifest.packs[index];
        if entry.end.lsn <= self.base && self.reading != Reading::Verify {
            match pack::check_presence(self.disk, self.dir, manifest.uuid, entry) {
                Err(error @ (StoreError::CorruptPack { .. } | StoreError::Io { .. })) => self.warn_of_history(&error),
                other => other?,
            }
        } else {
            let pack = PackFile::open(self.disk, self.dir, manifest.uuid, entry)?;
            if pack.index().header.before != self.replayed.end {
                return Err(pack.misfit("beginning"));
            }
            let mut walk = PackWalk::new(manifest, &pack);
            while let Some(found) = walk.step()? {
                self.hand_over(&found.info, walk.payload(&found), sink)?;
            }
            if self.reading == Reading::Verify {
                for side in [pack::Side::Start, pack::Side::Aside, pack::Side::Keys] {
                    pack.read_side(side, &mut |_| Ok(()))?;
                }
            }
            self.replayed.packs += 1;
        }
        (self.replayed.end, self.replayed.proven) = (entry.end, entry.end);
        (self.replayed.wall, self.replayed.proven_wall) = (entry.wall, entry.wall);
        Ok(())
    }

    fn warn_of_history(&mut self, error: &StoreError) {
        self.replayed.warnings.push(format!("history only, not needed for the state: {error}"));
    }

    /// How many of the oldest segments below the base are not read: what is beyond the limit.
    fn below_base_skipped(&self) -> usize {
        let seals = self.survey.manifest.segments.iter().filter_map(|entry| entry.sealed);
        let below: Vec<u64> = seals.filter(|seal| seal.end.lsn <= self.base).map(|seal| seal.offset).collect();
        let mut size = 0;
        let read = below.iter().rev().take_while(|offset| {
            size += **offset;
            size <= BELOW_BASE_CHECKED_SIZE_MAX
        });
        below.len() - read.count()
    }

    fn read_sealed(&mut self, index: usize, seal: &Seal, sink: &mut FrameSink<'_>) -> Result<(), StoreError> {
        let is_below = seal.end.lsn <= self.base && self.reading != Reading::Verify;
        let place = if is_below { Place::SealedBelowBase } else { Place::SealedAboveBase };
        match self.read_to_seal(index, seal, sink) {
            Err(error @ (StoreError::CorruptLog { .. } | StoreError::Io { .. })) => {
                match judge(place, seal.end.lsn, self.durable, Rest::Zeros) {
                    Verdict::Warn => self.warn_of_history(&error),
                    _ => return Err(error),
                }
            }
            other => other?,
        }
        self.pass(seal);
        Ok(())
    }

    /// The walk stands behind a sealed segment.
    const fn pass(&mut self, seal: &Seal) {
        self.replayed.end = seal.end;
        self.replayed.proven = seal.end;
        self.replayed.wall = seal.wall;
        self.replayed.proven_wall = seal.wall;
    }

    /// Walks a sealed segment to its sealed end, which must be exactly as MANIFEST says.
    fn read_to_seal(&mut self, index: usize, seal: &Seal, sink: &mut FrameSink<'_>) -> Result<(), StoreError> {
        let mut walk = Walk::open(self.disk, self.dir, &self.survey.manifest, index, self.reading)?;
        self.replayed.segments += 1;
        loop {
            let found = match walk.step()? {
                Step::Frame(found) => found,
                Step::Misfit(FrameFault::SegmentEnd) => break,
                Step::Misfit(fault) => return Err(walk.corrupt(fault)),
            };
            self.hand_over(&walk.info(&found), walk.payload(&found), sink)?;
        }
        if walk.end.lsn != seal.end.lsn {
            return Err(walk.corrupt(LogFault::SealedEnd { expected: seal.end.lsn, found: walk.end.lsn }));
        }
        if walk.end.crc != seal.end.crc {
            return Err(walk.corrupt(LogFault::SealedCrc { expected: seal.end.crc, found: walk.end.crc }));
        }
        Ok(())
    }

    fn read_tail(&mut self, index: usize, sink: &mut FrameSink<'_>) -> Result<(), StoreError> {
        let mut walk = Walk::open(self.disk, self.dir, &self.survey.manifest, index, self.reading)?;
        self.replayed.segments += 1;
        let mut last: Option<FrameInfo> = None;
        let mut before_last = (walk.end, self.replayed.wall);
        let fault = loop {
            let before = (walk.end, last.as_ref().map_or(self.replayed.wall, |info| info.wall));
            let found = match walk.step()? {
                Step::Frame(found) => found,
                Step::Misfit(fault) => break fault,
            };
            self.durable = self.durable.max(found.header.durable);
            before_last = before;
            self.hand_over(&walk.info(&found), walk.payload(&found), sink)?;
            last = Some(walk.info(&found));
        };
        self.judge_tail(&mut walk, fault)?;
        let above = last.clone().filter(|info| info.last() > self.durable);
        self.replayed.end = walk.end;
        self.replayed.wall = last.map_or(self.replayed.wall, |info| info.wall);
        let proven = if above.is_some() { before_last } else { (walk.end, self.replayed.wall) };
        (self.replayed.proven, self.replayed.proven_wall) = proven;
        self.replayed.offset = above.as_ref().map_or(walk.offset, |info| info.offset);
        self.replayed.above = above;
        Ok(())
    }

    /// Gives a frame above the base to the sink.
    fn hand_over(&mut self, info: &FrameInfo, payload: &[u8], sink: &mut FrameSink<'_>) -> Result<(), StoreError> {
        if info.last() <= self.base {
            return Ok(());
        }
        if info.first <= self.base {
            return Err(info.corrupt(self.base, BaseInsideFrame { base: self.base }));
        }
        self.replayed.frames += 1;
        self.replayed.records += u64::from(info.count);
        sink(info, payload)
    }

    fn judge_tail(&mut self, walk: &mut Walk<'_>, fault: FrameFault) -> Result<(), StoreError> {
        let rest = walk.survey_rest()?;
        let known = self.survey.manifest.epoch;
        if rest.epoch > known {
            let name = walk.path.display().to_string();
            let why = ManifestFault::Epoch { name, known, found: rest.epoch };
            return Err(StoreError::ManifestCorrupt { path: self.dir.join(MANIFEST), why });
        }
        self.durable = self.durable.max(rest.durable);
        let next = walk.end.lsn.next();
        let kind = match rest.last_nonzero {
            _ if rest.good_frame.is_some() => Rest::GoodFrame,
            None => Rest::Zeros,
            Some(last) if last < walk.offset + frame_size_max(walk.entry.size) => Rest::WithinOneFrame,
            Some(_) => Rest::FurtherOut,
        };
        match judge(Place::Tail, next, self.durable, kind) {
            Verdict::Warn | Verdict::CleanEnd => {}
            Verdict::Torn => {
                self.replayed.torn_bytes = rest.last_nonzero.map_or(0, |last| last + 1 - walk.offset);
                self.replayed.warnings.push(format!(
                    "{}: {} bytes at offset {} are part of a frame that was never acknowledged; left out",
                    walk.path.display(),
                    self.replayed.torn_bytes,
                    walk.offset
                ));
            }
            Verdict::Corrupt if next <= self.durable => {
                return Err(walk.corrupt(LogFault::DurableMissing { proven: self.durable, found: fault }));
            }
            Verdict::Corrupt => return Err(walk.corrupt(fault)),
            Verdict::Unexpected => {
                return Err(StoreError::TailUnexpected {
                    path: walk.path.clone(),
                    segment: walk.entry.number,
                    offset: walk.offset,
                    lsn: next,
                    found: rest.last_nonzero.unwrap_or(walk.offset),
                });
            }
        }
        Ok(())
    }
}

/// A checkpoint whose lsn is in the middle of a frame.
#[derive(Debug, thiserror::Error)]
#[error("a checkpoint says it ends at lsn {base}, inside this frame")]
struct BaseInsideFrame {
    base: Lsn,
}
