//! The bounded queue between callers and the writer.
//!
//! Callers never wait to get in: a full queue turns them away at once. The writer takes all that
//! waits in one go, in the order of arrival.
#![forbid(unsafe_code)]

use crate::threads::Condvar;
use crate::threads::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    arrived: Condvar,
    length_max: AtomicUsize,
}

#[derive(Debug)]
struct Inner<T> {
    waiting: VecDeque<T>,
    /// When the first of them came.
    since_us: u64,
    /// The writer sleeps on `arrived`: only then a caller pays for waking it.
    writer_sleeps: bool,
    closed: bool,
}

/// Why a command did not get in; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rejected<T> {
    Full(T),
    Closed(T),
}

/// What the writer got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// At least one command; when the first of them came, as the pushing side measured it.
    Some { since_us: u64 },
    /// None arrived in time.
    Idle,
    /// Closed, and nothing is left.
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new(length_max: usize) -> Self {
        let inner = Inner { waiting: VecDeque::new(), since_us: 0, writer_sleeps: false, closed: false };
        Self { inner: Mutex::new(inner), arrived: Condvar::new(), length_max: AtomicUsize::new(length_max) }
    }

    /// Another length for those that come from now on; what waits stays.
    pub(crate) fn limit(&self, length_max: usize) {
        self.length_max.store(length_max, Ordering::Relaxed);
    }

    /// `now_us` is asked only where nothing waits yet.
    pub(crate) fn push(&self, command: T, now_us: impl FnOnce() -> u64) -> Result<(), Rejected<T>> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Rejected::Closed(command));
        }
        if inner.waiting.len() >= self.length_max.load(Ordering::Relaxed) {
            return Err(Rejected::Full(command));
        }
        if inner.waiting.is_empty() {
            inner.since_us = now_us();
        }
        inner.waiting.push_back(command);
        let wake = std::mem::take(&mut inner.writer_sleeps);
        drop(inner);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Moves everything that waits into `batch`, waiting up to `patience` for the first one.
    pub(crate) fn take_all(&self, batch: &mut VecDeque<T>, patience: Duration) -> Taken {
        let mut inner = self.inner.lock();
        if inner.waiting.is_empty() && !inner.closed && !patience.is_zero() {
            inner.writer_sleeps = true;
            self.arrived.wait_for(&mut inner, patience);
            inner.writer_sleeps = false;
        }
        if inner.waiting.is_empty() {
            return if inner.closed { Taken::Closed } else { Taken::Idle };
        }
        if batch.is_empty() {
            std::mem::swap(batch, &mut inner.waiting);
        } else {
            batch.append(&mut inner.waiting);
        }
        Taken::Some { since_us: inner.since_us }
    }

    /// How many wait, and how many may.
    pub(crate) fn length(&self) -> (usize, usize) {
        (self.inner.lock().waiting.len(), self.length_max.load(Ordering::Relaxed))
    }

    /// Lets nobody in any more and forgets what waits: dropped commands hear `Gone`.
    pub(crate) fn abandon(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        let forgotten = std::mem::take(&mut inner.waiting);
        drop(inner);
        self.arrived.notify_one();
        drop(forgotten);
    }

    /// Lets nobody in any more. What waits is still taken.
    pub(crate) fn close(&self) {
        self.inner.lock().closed = true;
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_or_closed_queue_turns_callers_away_at_once() {
        let queue = Queue::new(2);
        assert_eq!(queue.push(1, || 70), Ok(()));
        assert_eq!(queue.push(2, || 71), Ok(()));
        assert_eq!(queue.push(3, || 72), Err(Rejected::Full(3)));
        queue.limit(1);
        assert_eq!(queue.push(3, || 72), Err(Rejected::Full(3)));
        assert_eq!(queue.length(), (2, 1), "what waits stays");
        queue.close();
        assert_eq!(queue.push(4, || 73), Err(Rejected::Closed(4)));
        let mut batch = VecDeque::new();
        let taken = queue.take_all(&mut batch, Duration::ZERO);
        assert_eq!(taken, Taken::Some { since_us: 70 }, "the first one waited longest");
        assert_eq!(batch, [1, 2], "what waited is taken in order, also after the close");
        assert_eq!(queue.take_all(&mut batch, Duration::from_secs(60)), Taken::Closed);
    }
}
