//! What of the options may change while a facility is open.
#![forbid(unsafe_code)]

use super::options::Options;
use super::options::QUEUE_LENGTH_MAX;
use crate::structure::Policy;
use parking_lot::RwLock;
use std::time::Duration;

/// Those of [`Options`] that a running facility takes over: see [`LocalFacility::tune`].
///
/// [`LocalFacility::tune`]: super::LocalFacility::tune
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// The policy that a new list of a DVIPA begins with; it must be valid.
    pub policy: Policy,
    /// Commands that may wait; at most [`QUEUE_LENGTH_MAX`].
    pub queue_length: usize,
    /// A checkpoint is due after so many bytes of log.
    pub checkpoint_log_bytes: u64,
    /// A checkpoint is due after so long with changes.
    pub checkpoint_interval: Duration,
    /// How long history is kept.
    pub history_age: Duration,
    /// How many bytes it may have; whichever limit is met first.
    pub history_bytes: u64,
    /// Whether history that no recovery needs goes before its time when the disk is full.
    pub history_yields: bool,
}

impl Options {
    /// The part of them that may change later.
    #[must_use]
    pub const fn tuning(&self) -> Tuning {
        Tuning {
            policy: self.policy,
            queue_length: self.queue_length,
            checkpoint_log_bytes: self.checkpoint_log_bytes,
            checkpoint_interval: self.checkpoint_interval,
            history_age: self.history_age,
            history_bytes: self.history_bytes,
            history_yields: self.history_yields,
        }
    }
}

/// What is in force. Whoever needs a value looks each time.
#[derive(Debug)]
pub(crate) struct Tuned(RwLock<Tuning>);

impl Tuned {
    pub(crate) fn new(options: &Options) -> Self {
        let tuned = Self(RwLock::new(options.tuning()));
        tuned.set(options.tuning());
        tuned
    }

    pub(crate) fn now(&self) -> Tuning {
        *self.0.read()
    }

    pub(crate) fn set(&self, tuning: Tuning) {
        *self.0.write() = Tuning { queue_length: tuning.queue_length.min(QUEUE_LENGTH_MAX), ..tuning };
    }
}
