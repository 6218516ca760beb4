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
    /// Log that no recovery needs any more is packed once so many bytes of it wait.
    pub pack_log_bytes: u64,
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
            pack_log_bytes: self.pack_log_bytes,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facility::CallError;
    use crate::facility::Facility;
    use crate::facility::LocalFacility;
    use crate::ident::Lsn;
    use crate::ident::Target;
    use crate::ident::Transport;
    use crate::structure::Refusal;
    use std::time::Instant;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "it waits for a condition")]
    fn what_is_tuned_counts_from_then_on() {
        let dir = tempfile::TempDir::new().unwrap();
        let options = Options { create: true, ..Options::default() };
        let facility = LocalFacility::open(dir.path().join("store"), &options).unwrap();
        let list = |last: u8| Target::List(format!("10.1.1.{last}").parse().unwrap(), Transport::Tcp);
        let policy_of = |last: u8| {
            let mut watch = facility.watch().unwrap();
            let structure = watch.snapshot().unwrap();
            structure.lists().find(|view| view.target == list(last)).unwrap().policy
        };
        facility.define(list(1)).unwrap();
        let policy = Policy { quota: 640, ..Policy::default() };
        facility.tune(Tuning { policy, ..options.tuning() });
        facility.define(list(2)).unwrap();
        assert_eq!((policy_of(1), policy_of(2)), (Policy::default(), policy));

        facility.tune(Tuning { queue_length: 0, ..options.tuning() });
        assert_eq!(facility.status().err(), Some(CallError::Refused(Refusal::Overloaded)));
        facility.tune(options.tuning());
        facility.status().unwrap();

        assert_eq!(facility.checkpoint_lsn(), Lsn::ZERO);
        facility.tune(Tuning { checkpoint_interval: Duration::ZERO, ..options.tuning() });
        facility.define(list(3)).unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while facility.checkpoint_lsn() == Lsn::ZERO {
            assert!(Instant::now() < until, "a checkpoint is due at once");
            std::thread::sleep(Duration::from_millis(10));
        }
        facility.close().unwrap();
    }
}
