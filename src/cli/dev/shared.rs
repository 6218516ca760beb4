//! What the main thread and the stacks' threads of one run share.
#![forbid(unsafe_code)]

use super::clock::Clock;
use super::error::DevError;
use super::tap::Witness;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// What the stacks are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// Open and close connections.
    Load = 0,
    /// Open and close nothing: somebody takes a picture.
    Hold = 1,
    /// Close everything and end.
    Close = 2,
}

/// Where the facility can be reached, and which start of it that is.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// 1 for the first start.
    pub(super) start: u64,
    /// Its socket.
    pub(super) path: PathBuf,
}

/// One run.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) witness: Arc<Witness>,
    /// Whether the facility is dead right now.
    pub(super) down: AtomicBool,
    pub(super) gauges: Vec<Gauge>,
    phase: AtomicU8,
    door: Mutex<Door>,
    failure: Mutex<Option<DevError>>,
}

/// What one stack shows while it runs.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Connections opened.
    pub(super) opened: AtomicU64,
    /// Connections open now.
    pub(super) open: AtomicU32,
    /// Grants in hand.
    pub(super) groups: AtomicU32,
    /// The start of the facility that it has attached to; 0 before the first.
    pub(super) attached: AtomicU64,
}

impl Shared {
    pub(super) fn new(clock: Clock, witness: Arc<Witness>, stacks: usize, path: PathBuf) -> Self {
        Self {
            clock,
            witness,
            down: AtomicBool::new(false),
            gauges: std::iter::repeat_with(Gauge::default).take(stacks).collect(),
            phase: AtomicU8::new(Phase::Load as u8),
            door: Mutex::new(Door { start: 1, path }),
            failure: Mutex::new(None),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Load,
            1 => Phase::Hold,
            _ => Phase::Close,
        }
    }

    /// Phases only go forward.
    pub(super) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
    }

    pub(super) fn door(&self) -> Door {
        self.door.lock().clone()
    }

    /// The facility was started again.
    pub(super) fn reopen(&self, path: PathBuf) -> u64 {
        let mut door = self.door.lock();
        door.start += 1;
        door.path = path;
        door.start
    }

    /// Ends the run: the first failure is what it is reported by.
    pub(super) fn fail(&self, error: DevError) {
        self.failure.lock().get_or_insert(error);
        self.advance(Phase::Close);
    }

    pub(super) fn take_failure(&self) -> Option<DevError> {
        self.failure.lock().take()
    }

    /// Connections opened by all stacks.
    pub(super) fn opened(&self) -> u64 {
        self.gauges.iter().map(|gauge| gauge.opened.load(Ordering::Relaxed)).sum()
    }

    /// Whether every stack has attached to this start of the facility.
    pub(super) fn all_attached(&self, start: u64) -> bool {
        self.gauges.iter().all(|gauge| gauge.attached.load(Ordering::SeqCst) >= start)
    }
}
