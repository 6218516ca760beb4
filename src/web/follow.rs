//! Following a facility: one thread keeps a copy up to date and hands events on, as long as somebody
//! asks.
#![forbid(unsafe_code)]

use super::EVENTS_KEPT;
use super::copy::Copy;
use super::copy::Told;
use super::problem::Problem;
use crate::facility::LocalFacility;
use crate::facility::Watch;
use crate::facility::WatchError;
use crate::ident::BootMs;
use crate::ident::Lsn;
use parking_lot::Condvar;
use parking_lot::Mutex;
use parking_lot::RwLock;
use parking_lot::RwLockReadGuard;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;

/// The copy is given up when nobody asked for so long, ms.
pub(crate) const IDLE_MS: u64 = 120_000;
/// How often the thread looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long an answer waits for the copy to have what was acknowledged.
const READY: Duration = Duration::from_secs(10);
/// Events that are applied under one lock: readers get their turn between.
const EVENTS_AT_ONCE: usize = 512;

/// A copy and the thread that keeps it.
pub(crate) struct Followed {
    copy: RwLock<Option<Copy>>,
    reached: Mutex<Reached>,
    moved: Condvar,
    recent: Mutex<Recent>,
    told: broadcast::Sender<Arc<Told>>,
    /// Boot clock at the last question.
    asked: AtomicU64,
}

/// How far the copy is.
#[derive(Clone, Debug, Default)]
struct Reached {
    lsn: Option<Lsn>,
    /// Nothing more comes; why, if it was not for lack of questions.
    over: Option<Option<Problem>>,
}

/// The last events, for streams that come back.
#[derive(Debug, Default)]
struct Recent {
    /// Events after this lsn are all here.
    after: Lsn,
    events: VecDeque<Arc<Told>>,
}

/// Events for one stream.
pub(crate) struct Subscription {
    /// Those that come.
    pub(crate) live: broadcast::Receiver<Arc<Told>>,
    /// Those that came before, after the lsn that was asked for.
    pub(crate) before: Vec<Arc<Told>>,
    /// The lsn that is reached with them.
    pub(crate) reached: Lsn,
    /// Events after the lsn that was asked for are no longer kept.
    pub(crate) has_gap: bool,
}

/// Why a copy cannot be read.
pub(crate) enum Unreadable {
    /// It was given up because nobody asked: a new one is to be made.
    Idle,
    Problem(Problem),
}

impl Followed {
    /// Begins to follow.
    pub(crate) fn start(facility: &Arc<LocalFacility>) -> Result<Arc<Self>, Problem> {
        let now = facility.clocks().boot;
        let followed = Arc::new(Self {
            copy: RwLock::new(None),
            reached: Mutex::default(),
            moved: Condvar::new(),
            recent: Mutex::default(),
            told: broadcast::channel(EVENTS_KEPT).0,
            asked: AtomicU64::new(now.0),
        });
        let (mine, facility) = (Arc::clone(&followed), Arc::downgrade(facility));
        let work = move || {
            let _over = Over(&mine);
            let why = mine.follow(&facility).err();
            mine.end(why);
        };
        let thread = std::thread::Builder::new().name("portplex-shown".into()).spawn(work);
        let no_thread = |error| Problem::NotReady { why: format!("the machine has no thread for it: {error}") };
        thread.map_err(no_thread).map(|_| followed)
    }

    pub(crate) fn touch(&self, now: BootMs) {
        self.asked.fetch_max(now.0, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.reached.lock().over.is_some()
    }

    /// The copy, once it has everything up to `lsn`. Blocks, 10 s at most.
    pub(crate) fn at_least(&self, lsn: Lsn) -> Result<RwLockReadGuard<'_, Option<Copy>>, Unreadable> {
        let mut reached = self.reached.lock();
        while reached.over.is_none() && reached.lsn.is_none_or(|is| is < lsn) {
            if self.moved.wait_for(&mut reached, READY).timed_out() {
                let why = "it is still being read from the store, or its events come faster than they are followed";
                return Err(Unreadable::Problem(Problem::NotReady { why: why.to_owned() }));
            }
        }
        match &reached.over {
            None => {}
            Some(None) => return Err(Unreadable::Idle),
            Some(Some(problem)) => return Err(Unreadable::Problem(problem.clone())),
        }
        drop(reached);
        Ok(self.copy.read())
    }

    /// Events from now on, and those after `after` that are kept. The copy must have been reached.
    pub(crate) fn subscribe(&self, after: Option<Lsn>) -> Subscription {
        // Events are handed on under this lock: none is missed, none comes twice.
        let recent = self.recent.lock();
        let live = self.told.subscribe();
        let last = recent.events.back().map_or(recent.after, |told| told.lsn);
        let has_gap = after.is_some_and(|after| after < recent.after || after > last);
        let wanted = |told: &&Arc<Told>| !has_gap && after.is_some_and(|after| told.lsn > after);
        let before = recent.events.iter().filter(wanted).cloned().collect();
        Subscription { live, before, reached: last, has_gap }
    }

    fn follow(&self, facility: &Weak<LocalFacility>) -> Result<(), Problem> {
        let mut watch = self.begin(facility)?;
        loop {
            let first = watch.next(PATIENCE);
            let Some(held) = facility.upgrade() else { return Err(Problem::Ending) };
            let clocks = held.clocks();
            let history = held.history();
            drop(held);
            match first {
                Ok(first) => self.take(&mut watch, first, clocks.boot, history),
                Err(WatchError::Lagged { .. }) => {
                    drop(watch);
                    watch = self.begin(facility)?;
                    continue;
                }
                Err(_) => return Err(Problem::Ending),
            }
            let idle_ms = clocks.boot.0.saturating_sub(self.asked.load(Ordering::Relaxed));
            if self.told.receiver_count() == 0 && idle_ms > IDLE_MS {
                return Ok(());
            }
        }
    }

    /// Makes the copy anew. Streams that stand have missed something, and hear so.
    fn begin(&self, facility: &Weak<LocalFacility>) -> Result<Watch, Problem> {
        let held = facility.upgrade().ok_or(Problem::Ending)?;
        let unreadable = |error: WatchError| match error {
            WatchError::Closed { .. } => Problem::Ending,
            error => Problem::NotReady { why: error.to_string() },
        };
        let mut watch = held.watch().map_err(unreadable)?;
        let (clocks, history) = (held.clocks(), held.history());
        drop(held);
        let structure = watch.snapshot().ok_or(Problem::Ending)?;
        let lsn = structure.lsn();
        *self.copy.write() = Some(Copy::new(structure, history, clocks.boot));
        let mut recent = self.recent.lock();
        *recent = Recent { after: lsn, events: VecDeque::new() };
        // Nobody may listen.
        let _ = self.told.send(Arc::new(Told { lsn, line: None }));
        drop(recent);
        self.move_to(lsn);
        Ok(watch)
    }

    /// Applies an event and those that wait behind it.
    fn take(
        &self,
        watch: &mut Watch,
        first: Option<(Lsn, crate::structure::Event)>,
        now: BootMs,
        history: crate::ident::HistoryId,
    ) {
        let mut told = Vec::new();
        let mut lsn = None;
        {
            let mut copy = self.copy.write();
            let Some(copy) = copy.as_mut() else { return };
            copy.history = history;
            copy.advance(now);
            let mut next = first;
            while let Some((at, event)) = next.take() {
                told.push(copy.apply(at, now, &event));
                lsn = Some(at);
                if told.len() < EVENTS_AT_ONCE {
                    // What it ends with is found again at the next look.
                    next = watch.next(Duration::ZERO).ok().flatten();
                }
            }
        }
        if let Some(lsn) = lsn {
            self.hand_on(told);
            self.move_to(lsn);
        }
    }

    fn hand_on(&self, told: Vec<Arc<Told>>) {
        let mut recent = self.recent.lock();
        for event in told {
            if recent.events.len() == EVENTS_KEPT
                && let Some(oldest) = recent.events.pop_front()
            {
                recent.after = oldest.lsn;
            }
            recent.events.push_back(Arc::clone(&event));
            // Nobody may listen.
            let _ = self.told.send(event);
        }
    }

    fn move_to(&self, lsn: Lsn) {
        self.reached.lock().lsn = Some(lsn);
        self.moved.notify_all();
    }

    fn end(&self, why: Option<Problem>) {
        self.reached.lock().over.get_or_insert(why);
        self.moved.notify_all();
        *self.copy.write() = None;
    }
}

/// However the thread ends, nobody waits for it any longer.
struct Over<'a>(&'a Followed);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.end(Some(Problem::NotReady { why: "following the events failed".to_owned() }));
    }
}

#[cfg(test)]
mod tests;
