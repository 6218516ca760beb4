//! The writer's own counts: plain numbers while a frame is made, shown to others once it is durable.
//!
//! The writer counts in memory of its own, so a request costs no atomic operation, no lock and no
//! allocation. After a commit it copies all numbers to where anybody may read them
//! ([`Shown::publish`]): a fixed number of plain stores per turn, whatever the turn did. What was not
//! durable is never shown (protocol.md R15).
#![forbid(unsafe_code)]

use super::command::Command;
use super::readings::Distribution;
use crate::structure::Body;
use crate::structure::Change;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::structure::StopCause;
use std::sync::atomic::{AtomicU64, Ordering};

/// Kinds of requests and reads, those that come often first.
pub const REQUEST_KINDS: [&str; 25] = [
    "acquire",
    "release",
    "claim",
    "renew",
    "query",
    "join",
    "leave",
    "set-allowable",
    "connect",
    "attach",
    "resume",
    "challenge",
    "report",
    "disconnect",
    "mark-failed",
    "clean-up",
    "define",
    "delete",
    "set-policy",
    "set-range",
    "resume-grants",
    "watch",
    "end-quarantine",
    "stop",
    "adopt",
];

/// Kinds of events, those that come often first.
pub const EVENT_KINDS: [&str; 20] = [
    "granted",
    "released",
    "ready",
    "joined",
    "left",
    "connected",
    "attached",
    "disconnected",
    "failed",
    "cleaned-up",
    "defined",
    "deleted",
    "set-stored",
    "allowable-set",
    "policy-set",
    "range-set",
    "stopped",
    "revoked",
    "adopted",
    "resumed",
];

/// Bounds of times, µs: 50 µs to 10 s.
const TIME_BOUNDS_US: &[u64] = &[
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];
/// Bounds of numbers of records and commands.
const COUNT_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384];
/// Bounds of frame sizes, bytes: a frame is a multiple of 4 KiB.
const SIZE_BOUNDS: &[u64] = &[4_096, 8_192, 16_384, 32_768, 65_536, 131_072, 262_144, 524_288, 528_384];

/// Where a histogram's counts are: one for each bound, one above all, then the sum.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    bounds: &'static [u64],
    at: usize,
}

impl Scale {
    const fn new(bounds: &'static [u64], at: usize) -> Self {
        Self { bounds, at }
    }

    const fn end(self) -> usize {
        self.at + self.bounds.len() + 2
    }
}

const REQUESTS_AT: usize = 0;
const REFUSALS_AT: usize = REQUESTS_AT + REQUEST_KINDS.len();
const EVENTS_AT: usize = REFUSALS_AT + Refusal::NAMES.len();
const PORTS_GRANTED: usize = EVENTS_AT + EVENT_KINDS.len();
const PORTS_RELEASED: usize = PORTS_GRANTED + 1;
const FRAMES: usize = PORTS_RELEASED + 1;
const RECORDS: usize = FRAMES + 1;
const STORAGE_FULL: usize = RECORDS + 1;
const STOPPED: usize = STORAGE_FULL + 1;
pub(super) const SYNC_US: Scale = Scale::new(TIME_BOUNDS_US, STOPPED + 1);
pub(super) const QUEUE_US: Scale = Scale::new(TIME_BOUNDS_US, SYNC_US.end());
pub(super) const FRAME_RECORDS: Scale = Scale::new(COUNT_BOUNDS, QUEUE_US.end());
pub(super) const FRAME_BYTES: Scale = Scale::new(SIZE_BOUNDS, FRAME_RECORDS.end());
pub(super) const COMMIT_COMMANDS: Scale = Scale::new(COUNT_BOUNDS, FRAME_BYTES.end());
const VALUES: usize = COMMIT_COMMANDS.end();

/// What the writer has counted since the open.
#[derive(Debug)]
pub(super) struct Tally([u64; VALUES]);

impl Default for Tally {
    fn default() -> Self {
        Self([0; VALUES])
    }
}

impl Tally {
    /// A command was handled; what it came to is counted beside it.
    pub(super) fn request(&mut self, kind: Option<&'static str>) {
        if let Some(place) = kind.and_then(|kind| place(&REQUEST_KINDS, kind)) {
            self.0[REQUESTS_AT + place] += 1;
        }
    }

    /// A command was refused.
    pub(super) fn refusal(&mut self, refusal: &Refusal) {
        if let Some(place) = place(&Refusal::NAMES, refusal.name()) {
            self.0[REFUSALS_AT + place] += 1;
        }
    }

    /// An event was put into the frame.
    pub(super) fn event(&mut self, change: &Change) {
        match change {
            Change::Granted { mask, .. } => self.0[PORTS_GRANTED] += u64::from(mask.count()),
            Change::Released { mask, .. } => self.0[PORTS_RELEASED] += u64::from(mask.count()),
            _ => {}
        }
        if let Some(place) = place(&EVENT_KINDS, event_kind(change)) {
            self.0[EVENTS_AT + place] += 1;
        }
    }

    /// A frame is durable.
    pub(super) fn frame(&mut self, records: u32, bytes: u64, commands: usize, sync_us: u64) {
        self.0[FRAMES] += 1;
        self.0[RECORDS] += u64::from(records);
        self.observe(FRAME_RECORDS, u64::from(records));
        self.observe(FRAME_BYTES, bytes);
        self.observe(COMMIT_COMMANDS, commands as u64);
        self.observe(SYNC_US, sync_us);
    }

    /// The command that waited longest in the batch just taken waited so long.
    pub(super) fn waited(&mut self, us: u64) {
        self.observe(QUEUE_US, us);
    }

    /// What holds at present.
    pub(super) fn standing(&mut self, is_full: bool, stop: Option<StopCause>) {
        self.0[STORAGE_FULL] = u64::from(is_full);
        self.0[STOPPED] = stop.map_or(0, |cause| cause as u64 + 1);
    }

    fn observe(&mut self, scale: Scale, value: u64) {
        let bucket = scale.bounds.partition_point(|bound| *bound < value);
        self.0[scale.at + bucket] += 1;
        let sum = &mut self.0[scale.at + scale.bounds.len() + 1];
        *sum = sum.saturating_add(value);
    }
}

/// The writer's counts as of its last commit.
#[derive(Debug)]
pub(super) struct Shown([AtomicU64; VALUES]);

impl Default for Shown {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Shown {
    /// Shows all counts. Only the writer calls it.
    pub(super) fn publish(&self, tally: &Tally) {
        for (shown, value) in self.0.iter().zip(&tally.0) {
            shown.store(*value, Ordering::Relaxed);
        }
    }

    fn value(&self, at: usize) -> u64 {
        self.0[at].load(Ordering::Relaxed)
    }

    fn named<const N: usize>(&self, names: [&'static str; N], at: usize) -> Vec<(&'static str, u64)> {
        (at..).zip(names).map(|(at, name)| (name, self.value(at))).collect()
    }

    pub(super) fn requests(&self) -> Vec<(&'static str, u64)> {
        self.named(REQUEST_KINDS, REQUESTS_AT)
    }

    pub(super) fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.named(Refusal::NAMES, REFUSALS_AT)
    }

    pub(super) fn events(&self) -> Vec<(&'static str, u64)> {
        self.named(EVENT_KINDS, EVENTS_AT)
    }

    /// Ports granted and ports given back by release.
    pub(super) fn ports(&self) -> (u64, u64) {
        (self.value(PORTS_GRANTED), self.value(PORTS_RELEASED))
    }

    /// Frames and records.
    pub(super) fn frames(&self) -> (u64, u64) {
        (self.value(FRAMES), self.value(RECORDS))
    }

    pub(super) fn is_full(&self) -> bool {
        self.value(STORAGE_FULL) != 0
    }

    pub(super) fn stop(&self) -> Option<StopCause> {
        let causes = [StopCause::PowerLoss, StopCause::DataLost, StopCause::Restored];
        causes.into_iter().find(|cause| *cause as u64 + 1 == self.value(STOPPED))
    }

    pub(super) fn distribution(&self, scale: Scale) -> Distribution {
        let counts = (0..=scale.bounds.len()).map(|bucket| self.value(scale.at + bucket)).collect();
        Distribution { bounds: scale.bounds, counts, sum: self.value(scale.at + scale.bounds.len() + 1) }
    }
}

fn place(names: &[&'static str], name: &'static str) -> Option<usize> {
    names.iter().position(|known| *known == name)
}

/// The kind of a command; `None` for those who only count.
pub(super) fn request_kind(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::Request(request, _) | Command::Resume(request, _, _) => match request {
            Request::Define { .. } => "define",
            Request::Delete { .. } => "delete",
            Request::SetPolicy { .. } => "set-policy",
            Request::SetRange { .. } => "set-range",
            Request::Connect(_) => "connect",
            Request::Attach(_) => "attach",
            Request::Resume { .. } => "resume",
            Request::MarkFailed { .. } => "mark-failed",
            Request::CleanUp { .. } => "clean-up",
            Request::EndQuarantine { .. } => "end-quarantine",
            Request::Stop { .. } => "stop",
            Request::Adopt { .. } => "adopt",
            Request::ResumeGrants { .. } => "resume-grants",
            Request::Stack { body, .. } => match body {
                Body::Join { .. } => "join",
                Body::Leave { .. } => "leave",
                Body::Acquire { .. } => "acquire",
                Body::Claim { .. } => "claim",
                Body::Release { .. } => "release",
                Body::SetAllowable { .. } => "set-allowable",
                Body::Disconnect => "disconnect",
            },
        },
        Command::Challenge(..) => "challenge",
        Command::Report(..) => "report",
        Command::Attach(..) => "attach",
        Command::Connect(..) => "connect",
        Command::Renew(..) => "renew",
        Command::Query(..) => "query",
        Command::Watch(..) => "watch",
        Command::Figures(..) => return None,
    })
}

fn event_kind(change: &Change) -> &'static str {
    match change {
        Change::Granted { .. } => "granted",
        Change::Released { .. } => "released",
        Change::Ready { .. } => "ready",
        Change::Joined { .. } => "joined",
        Change::Left { .. } => "left",
        Change::Connected { .. } => "connected",
        Change::Attached { .. } => "attached",
        Change::Disconnected { .. } => "disconnected",
        Change::Failed { .. } => "failed",
        Change::CleanedUp { .. } => "cleaned-up",
        Change::Defined { .. } => "defined",
        Change::Deleted { .. } => "deleted",
        Change::SetStored { .. } => "set-stored",
        Change::AllowableSet { .. } => "allowable-set",
        Change::PolicySet { .. } => "policy-set",
        Change::RangeSet { .. } => "range-set",
        Change::Stopped { .. } => "stopped",
        Change::Revoked { .. } => "revoked",
        Change::Adopted { .. } => "adopted",
        Change::Resumed { .. } => "resumed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_bound_counts_below_it_and_the_sum_is_exact() {
        let mut tally = Tally::default();
        for value in [0, 4_096, 4_097, 528_384, 528_385] {
            tally.observe(FRAME_BYTES, value);
        }
        let shown = Shown::default();
        assert_eq!(shown.distribution(FRAME_BYTES).counts.iter().sum::<u64>(), 0, "nothing is shown yet");
        shown.publish(&tally);
        let told = shown.distribution(FRAME_BYTES);
        assert_eq!(told.counts, [2, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(told.sum, 4_096 + 4_097 + 528_384 + 528_385);
        assert_eq!(shown.distribution(COMMIT_COMMANDS).counts.iter().sum::<u64>(), 0, "its neighbour is untouched");
    }

    #[test]
    fn every_refusal_has_a_place_of_its_own() {
        let mut tally = Tally::default();
        tally.refusal(&Refusal::StorageFull);
        tally.refusal(&Refusal::Closed);
        tally.refusal(&Refusal::Closed);
        let shown = Shown::default();
        shown.publish(&tally);
        let counted: Vec<_> = shown.refusals().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("closed", 2), ("storage-full", 1)]);
    }
}
