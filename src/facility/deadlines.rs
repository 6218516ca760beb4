//! Leases and quarantine: everything that happens because time passed.
//!
//! A lease counts from when the attach or renewal was *answered*, plus drift, and only while the
//! facility listens: time spent in a sync or in a stopped process is added to every lease
//! ([`Deadlines::excuse`]). What waited in the queue is handled before anything expires. Nothing
//! here is stored: at an open every lease starts again in full (protocol.md R1), and the quarantine
//! is found in the structure itself.
#![forbid(unsafe_code)]

use crate::ident::BootMs;
use crate::ident::Incarnation;
use crate::structure::with_drift;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// This incarnation's lease ran out.
    Lease { slot: u32, incarnation: Incarnation },
    /// The quarantine of a list may have ports to end.
    Quarantine { list: u32 },
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    incarnation: Incarnation,
    promise_ms: u64,
    /// On the listening clock: boot clock less what was excused.
    until: BootMs,
    /// Failed already: its deadline still matters to a clean-up, but expires nothing.
    failed: bool,
}

/// All deadlines of one open facility.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    leases: BTreeMap<u32, Lease>,
    /// (time, slot, incarnation): a hint; the lease itself says whether it is true.
    lease_times: BinaryHeap<Reverse<(BootMs, u32, Incarnation)>>,
    /// (time, list): a hint; the structure says whether it is true.
    quarantine_times: BinaryHeap<Reverse<(BootMs, u32)>>,
    /// Time in which nobody listened, ms: leases do not run then.
    excused_ms: u64,
}

impl Deadlines {
    /// Starts the lease of an incarnation that was just answered. `promise_ms` 0: none.
    pub(crate) fn start(&mut self, slot: u32, incarnation: Incarnation, promise_ms: u64, failed: bool, now: BootMs) {
        if promise_ms == 0 {
            self.leases.remove(&slot);
            return;
        }
        let until = self.listening(now).plus(with_drift(promise_ms));
        self.leases.insert(slot, Lease { incarnation, promise_ms, until, failed });
        if !failed {
            self.lease_times.push(Reverse((until, slot, incarnation)));
        }
    }

    /// Extends a lease that runs; the promised length in ms, 0 without one.
    pub(crate) fn renew(&mut self, slot: u32, incarnation: Incarnation, now: BootMs) -> u64 {
        let listening = self.listening(now);
        match self.leases.get_mut(&slot) {
            Some(lease) if lease.incarnation == incarnation && !lease.failed => {
                lease.until = listening.plus(with_drift(lease.promise_ms));
                lease.promise_ms
            }
            _ => 0,
        }
    }

    /// The connector failed: its deadline stays known, and expires nothing any more.
    pub(crate) fn fail(&mut self, slot: u32) {
        if let Some(lease) = self.leases.get_mut(&slot) {
            lease.failed = true;
        }
    }

    /// The connector is gone.
    pub(crate) fn forget(&mut self, slot: u32) {
        self.leases.remove(&slot);
    }

    /// When the promised deadline passes, drift included; `None` without a promise.
    pub(crate) fn deadline(&self, slot: u32) -> Option<BootMs> {
        self.leases.get(&slot).map(|lease| lease.until.plus(self.excused_ms))
    }

    /// Looks at a list's quarantine again at `at`.
    pub(crate) fn look_at(&mut self, list: u32, at: BootMs) {
        self.quarantine_times.push(Reverse((at, list)));
    }

    /// Adds time in which the facility did not listen to every lease.
    pub(crate) fn excuse(&mut self, ms: u64) {
        self.excused_ms = self.excused_ms.saturating_add(ms);
    }

    fn listening(&self, now: BootMs) -> BootMs {
        BootMs(now.0.saturating_sub(self.excused_ms))
    }

    /// When the next one is due, as far as is known.
    pub(crate) fn next(&self) -> Option<BootMs> {
        let lease = self.lease_times.peek().map(|Reverse((at, ..))| at.plus(self.excused_ms));
        let quarantine = self.quarantine_times.peek().map(|Reverse((at, _))| *at);
        [lease, quarantine].into_iter().flatten().min()
    }

    /// Takes one that is due at `now`. Leases before quarantine.
    pub(crate) fn take_due(&mut self, now: BootMs) -> Option<Due> {
        let listening = self.listening(now);
        while let Some(Reverse((at, slot, incarnation))) = self.lease_times.peek().copied() {
            if at > listening {
                break;
            }
            self.lease_times.pop();
            let Some(lease) = self.leases.get(&slot) else { continue };
            if lease.failed || lease.incarnation != incarnation {
                continue;
            }
            if lease.until > listening {
                self.lease_times.push(Reverse((lease.until, slot, incarnation)));
                continue;
            }
            return Some(Due::Lease { slot, incarnation });
        }
        match self.quarantine_times.peek().copied() {
            Some(Reverse((at, list))) if at <= now => {
                self.quarantine_times.pop();
                Some(Due::Quarantine { list })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Incarnation = Incarnation(1);

    #[test]
    fn a_renewed_lease_runs_anew_and_a_silent_one_ends_once() {
        let mut deadlines = Deadlines::default();
        deadlines.start(3, ONE, 1_000, false, BootMs(0));
        assert_eq!(deadlines.take_due(BootMs(1_099)), None);
        assert_eq!(deadlines.renew(3, ONE, BootMs(1_000)), 1_000);
        assert_eq!(deadlines.take_due(BootMs(2_099)), None);
        assert_eq!(deadlines.take_due(BootMs(2_100)), Some(Due::Lease { slot: 3, incarnation: ONE }));
        assert_eq!(deadlines.take_due(BootMs(9_000)), None, "the event fails it; the timer fires once");
        assert_eq!(deadlines.renew(3, Incarnation(2), BootMs(0)), 0, "another incarnation extends nothing");
    }

    #[test]
    fn time_without_listening_ends_no_lease() {
        let mut deadlines = Deadlines::default();
        deadlines.start(0, ONE, 1_000, false, BootMs(0));
        deadlines.excuse(60_000);
        assert_eq!(deadlines.take_due(BootMs(60_000)), None);
        assert_eq!(deadlines.take_due(BootMs(61_100)), Some(Due::Lease { slot: 0, incarnation: ONE }));
    }

    #[test]
    fn a_failed_connector_keeps_its_deadline_and_expires_no_more() {
        let mut deadlines = Deadlines::default();
        deadlines.start(0, ONE, 1_000, false, BootMs(0));
        deadlines.fail(0);
        assert_eq!(deadlines.take_due(BootMs(5_000)), None);
        assert_eq!(deadlines.deadline(0), Some(BootMs(1_100)));
        deadlines.forget(0);
        assert_eq!(deadlines.deadline(0), None);
    }

    #[test]
    fn a_connector_without_a_promise_never_expires() {
        let mut deadlines = Deadlines::default();
        deadlines.start(0, ONE, 0, false, BootMs(0));
        assert_eq!(deadlines.next(), None);
        assert_eq!(deadlines.deadline(0), None);
    }

    #[test]
    fn quarantine_comes_up_when_it_is_due() {
        let mut deadlines = Deadlines::default();
        deadlines.look_at(5, BootMs(10));
        assert_eq!(deadlines.next(), Some(BootMs(10)));
        assert_eq!(deadlines.take_due(BootMs(9)), None);
        assert_eq!(deadlines.take_due(BootMs(10)), Some(Due::Quarantine { list: 5 }));
    }
}
