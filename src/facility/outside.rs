//! What those who show a facility ask of it beside the writer: how its clocks stand, when records
//! were written, how much it takes on the disk. Nothing here goes through the queue.
#![forbid(unsafe_code)]

use super::LocalFacility;
use super::checkpointer::Checkpointer;
use super::checkpointer::Error;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::structure::ClockFloor;
use crate::wal;
use crate::wal::Manifest;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long is waited for a checkpoint that is being made; then times are not known.
const PATIENCE: Duration = Duration::from_secs(1);

/// The clocks of a facility at one moment, and what its quarantine counts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The boot clock.
    pub boot: BootMs,
    /// Wall time: for people.
    pub wall: WallMs,
    /// From where quarantine counts for lsns of earlier boots.
    pub floor: ClockFloor,
    /// Quarantine in ms of lists without a policy of their own.
    pub quarantine_ms: u32,
}

impl LocalFacility {
    /// How its clocks stand.
    #[must_use]
    pub fn clocks(&self) -> Clocks {
        let clock = self.checkpointer.clock();
        let quarantine_ms = self.checkpointer.quarantine_ms();
        Clocks { boot: clock.boot_ms(), wall: clock.wall_ms(), floor: self.floor, quarantine_ms }
    }

    /// The lsn up to which everything is durable. Whoever was answered finds at least what was answered.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.checkpointer.progress().durable()
    }

    /// Bytes of log and checkpoints that MANIFEST lists.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.checkpointer.look(|manifest| {
            let segments =
                manifest.segments.iter().map(|segment| segment.sealed.map_or(segment.size, |seal| seal.offset));
            let files = manifest.checkpoints.iter().flat_map(|made| made.files.iter().map(|file| file.size));
            segments.chain(files).sum()
        })
    }

    /// When some records were written, wall time: those of them that the log still has, looked for in
    /// at most `segments_max` of its segments, the youngest ones. Blocks while they are read, and up to a
    /// second for a checkpoint that is being made; then nothing is known.
    ///
    /// # Errors
    /// The log cannot be read there.
    pub fn times(&self, lsns: &BTreeSet<Lsn>, segments_max: usize) -> Result<BTreeMap<Lsn, WallMs>, Error> {
        self.checkpointer.times(lsns, segments_max, PATIENCE)
    }
}

impl Checkpointer {
    fn times(
        &self,
        lsns: &BTreeSet<Lsn>,
        segments_max: usize,
        patience: Duration,
    ) -> Result<BTreeMap<Lsn, WallMs>, Error> {
        let mut found = BTreeMap::new();
        let Some(_working) = self.try_work(patience) else { return Ok(found) };
        let (manifest, durable) = self.readable();
        for (after, upto) in spans(&manifest, lsns, durable).into_iter().rev().take(segments_max) {
            wal::read_durable(self.disk(), self.dir(), &manifest, after, upto, &mut |frame, _| {
                let last = Lsn(frame.first.0 + u64::from(frame.count.saturating_sub(1)));
                found.extend(lsns.range(frame.first..=last).map(|lsn| (*lsn, frame.wall)));
                Ok(())
            })
            .map_err(super::OpenError::from)?;
        }
        Ok(found)
    }
}

/// The part of each segment that has some of `lsns`: above the first of them but one, up to the last.
fn spans(manifest: &Manifest, lsns: &BTreeSet<Lsn>, durable: Lsn) -> Vec<(Lsn, Lsn)> {
    let mut found = Vec::new();
    for segment in &manifest.segments {
        let end = segment.sealed.map_or(durable, |seal| seal.end.lsn).min(durable);
        if segment.first > end {
            continue;
        }
        let mut inside = lsns.range(segment.first..=end);
        if let Some(first) = inside.next() {
            let last = inside.next_back().unwrap_or(first);
            found.push((Lsn(first.0.saturating_sub(1)), *last));
        }
    }
    found
}
