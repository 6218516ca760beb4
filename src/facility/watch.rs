//! Watching: one snapshot at an lsn, then every later event in order.
//!
//! The snapshot is rebuilt beside the writer, from checkpoint and log, as the checkpointer does:
//! however large the state, no caller waits for it. Events after it come from a ring that is kept
//! only while somebody watches. A watcher that falls too far behind is told so and where to resume;
//! resuming reads the log.
#![forbid(unsafe_code)]

use super::error::OpenError;
use super::options::WATCH_EVENTS_MAX;
use crate::ident::Lsn;
use crate::structure::Change;
use crate::structure::Event;
use crate::structure::Structure;
use crate::threads::AtomicUsize;
use crate::threads::Condvar;
use crate::threads::Mutex;
use crate::threads::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The last events, for those who watch.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    watchers: AtomicUsize,
    inner: Mutex<Inner>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<(Lsn, Event)>,
    /// Events at or below this lsn are not in the ring.
    below: Lsn,
    closed: bool,
}

/// Everything, and apart from it what people ask about: cheap to follow on a busy store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rings {
    pub(crate) all: Arc<Ring>,
    pub(crate) acts: Arc<Ring>,
}

/// Which events are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// All of them.
    All,
    /// What people ask about: no grants, releases, ends of quarantine, allowable sets.
    Acts,
}

impl Rings {
    pub(crate) fn of(&self, feed: Feed) -> &Arc<Ring> {
        match feed {
            Feed::All => &self.all,
            Feed::Acts => &self.acts,
        }
    }

    /// Ends every watch.
    pub(crate) fn close(&self) {
        self.all.close();
        self.acts.close();
    }
}

/// Whether a change is one that people ask about: everything but the daily traffic of ports.
pub(crate) const fn is_act(change: &Change) -> bool {
    !matches!(
        change,
        Change::Granted { .. }
            | Change::Released { .. }
            | Change::Ready { .. }
            | Change::SetStored { .. }
            | Change::AllowableSet { .. }
            | Change::Adopted { .. }
            | Change::Revoked { .. }
    )
}

impl Ring {
    /// Whether events need to be kept.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// How many watch.
    pub(crate) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    /// Takes durable events in; keeps the last 65,536.
    pub(crate) fn publish(&self, made: &mut Vec<(Lsn, Event)>) {
        if made.is_empty() {
            return;
        }
        let mut inner = self.inner.lock();
        inner.events.extend(made.drain(..));
        while inner.events.len() > WATCH_EVENTS_MAX {
            if let Some((lsn, _)) = inner.events.pop_front() {
                inner.below = lsn;
            }
        }
        drop(inner);
        self.arrived.notify_all();
    }

    /// Ends every watch.
    pub(crate) fn close(&self) {
        self.inner.lock().closed = true;
        self.arrived.notify_all();
    }

    /// One watcher more; `last` is the lsn of the newest event that will not be published for it.
    /// Called by the writer between two events.
    pub(crate) fn enter(&self, last: Lsn) {
        let mut inner = self.inner.lock();
        if self.watchers.fetch_add(1, Ordering::Relaxed) == 0 {
            inner.events.clear();
            inner.below = last;
        }
    }

    fn leave(&self) {
        let mut inner = self.inner.lock();
        if self.watchers.fetch_sub(1, Ordering::Relaxed) == 1 {
            inner.events = VecDeque::new();
        }
    }
}

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The watcher was more than 65,536 events behind.
    #[error("the watcher fell behind: resume from lsn {resume_from}")]
    Lagged {
        /// Events after this lsn were not delivered.
        resume_from: Lsn,
    },
    /// The facility closed or failed.
    #[error("the facility closed; events up to lsn {last} were delivered")]
    Closed {
        /// The last one delivered.
        last: Lsn,
    },
    /// The log that a resume needs is gone, or cannot be read.
    #[error("events after lsn {from} cannot be read: {source}")]
    Unreadable {
        /// Where the watch was to resume.
        from: Lsn,
        /// Why.
        source: Box<OpenError>,
    },
}

/// A snapshot and the events after it.
#[derive(Debug)]
pub struct Watch {
    ring: Arc<Ring>,
    snapshot: Option<Structure>,
    /// Read from the log, before the ring's.
    backlog: VecDeque<(Lsn, Event)>,
    last: Lsn,
}

impl Watch {
    /// A watch that entered the ring: everything after `entered` is kept for it.
    pub(crate) fn new(ring: Arc<Ring>, entered: Lsn) -> Self {
        Self { ring, snapshot: None, backlog: VecDeque::new(), last: entered }
    }

    /// Starts with a snapshot that was made after entering.
    pub(crate) fn start_with(&mut self, snapshot: Result<Structure, OpenError>) -> Result<(), WatchError> {
        let unreadable = |source| WatchError::Unreadable { from: Lsn::ZERO, source: Box::new(source) };
        let snapshot = snapshot.map_err(unreadable)?;
        self.last = snapshot.lsn();
        self.snapshot = Some(snapshot);
        Ok(())
    }

    /// Resumes with the events after `after` that were read from the log after entering.
    pub(crate) fn resume_with(
        &mut self,
        after: Lsn,
        events: Result<VecDeque<(Lsn, Event)>, OpenError>,
    ) -> Result<(), WatchError> {
        let unreadable = |source| WatchError::Unreadable { from: after, source: Box::new(source) };
        self.backlog = events.map_err(unreadable)?;
        self.last = after;
        Ok(())
    }

    /// The snapshot, once; `None` for a resumed watch.
    pub fn snapshot(&mut self) -> Option<Structure> {
        self.snapshot.take()
    }

    /// The lsn of the last event delivered, or of the snapshot.
    #[must_use]
    pub fn last(&self) -> Lsn {
        self.last
    }

    /// The next event, waiting up to `patience`; `Ok(None)` if none came.
    ///
    /// # Errors
    /// [`WatchError::Lagged`], [`WatchError::Closed`]; both are final.
    pub fn next(&mut self, patience: Duration) -> Result<Option<(Lsn, Event)>, WatchError> {
        if let Some((lsn, event)) = self.backlog.pop_front() {
            self.last = lsn;
            return Ok(Some((lsn, event)));
        }
        let mut inner = self.ring.inner.lock();
        loop {
            if inner.below > self.last {
                return Err(WatchError::Lagged { resume_from: self.last });
            }
            let start = inner.events.partition_point(|(lsn, _)| *lsn <= self.last);
            if let Some((lsn, event)) = inner.events.get(start) {
                self.last = *lsn;
                return Ok(Some((*lsn, event.clone())));
            }
            if inner.closed {
                return Err(WatchError::Closed { last: self.last });
            }
            if self.ring.arrived.wait_for(&mut inner, patience).timed_out() {
                return Ok(None);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ring.leave();
    }
}
