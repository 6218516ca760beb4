//! The limits in force, which a reload changes, and places that are counted against them.
#![forbid(unsafe_code)]

use crate::api::Limits;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Who looks at a limit takes it from here, each time.
#[derive(Debug)]
pub(super) struct Live(RwLock<(Limits, Duration)>);

impl Live {
    pub(super) const fn new(limits: Limits, lease: Duration) -> Self {
        Self(RwLock::new((limits, lease)))
    }

    pub(super) fn limits(&self) -> Limits {
        self.0.read().0
    }

    /// The lease that stacks are asked to promise, ms; 0: none.
    pub(super) fn lease_ms(&self) -> u64 {
        u64::try_from(self.0.read().1.as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns what was in force before.
    pub(super) fn set(&self, limits: Limits, lease: Duration) -> Limits {
        std::mem::replace(&mut *self.0.write(), (limits, lease)).0
    }
}

/// How many places are taken. Whoever has one keeps it when there are fewer.
#[derive(Debug, Default)]
pub(super) struct Seats(AtomicUsize);

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Seats>);

impl Seats {
    /// A place of so many; `None`: all are taken.
    pub(super) fn take(self: &Arc<Self>, max: usize) -> Option<Seat> {
        let more = |taken: usize| (taken < max).then_some(taken + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Seat(Arc::clone(self)))
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_limit_takes_nobody_s_place_and_counts_from_then_on() {
        let seats = Arc::new(Seats::default());
        let (one, two) = (seats.take(2).unwrap(), seats.take(2).unwrap());
        assert!(seats.take(2).is_none());
        let three = seats.take(3).unwrap();
        drop((one, two));
        assert!(seats.take(1).is_none(), "the third is still there");
        drop(three);
        assert!(seats.take(1).is_some());
    }
}
