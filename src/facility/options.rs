//! How a facility is opened, and every limit by name.
#![forbid(unsafe_code)]

use crate::ident::StructureName;
use crate::structure::Policy;
use std::time::Duration;

/// Most commands that may wait in the queue; one more is answered `Overloaded`.
pub const QUEUE_LENGTH_MAX: usize = 65_536;
/// Most records in one frame.
pub(crate) const BATCH_RECORDS_MAX: usize = 16_384;
/// Most rows in one page of a read.
pub const PAGE_ROWS_MAX: usize = 1_024;
/// Most lists whose quarantine is ended in one frame: timers must not starve callers.
pub(crate) const READY_LISTS_MAX: usize = 64;
/// Most events a watcher may be behind.
pub const WATCH_EVENTS_MAX: usize = 65_536;

/// How long what found no room on the disk waits before it is tried again, ms.
pub(crate) const RETRY_MS: u64 = 1_000;

/// A sync or a stop of the process that is longer is no time in which the facility listened, ms.
pub(crate) const DEAF_MS_MIN: u64 = 100;

/// What to do when the machine went down without a clean mark and the last frame is not proven: it
/// might have been acknowledged, or more of it lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterPowerLoss {
    /// Grant nothing until every active stack has attached again: at least 5 s, at most one lease.
    #[default]
    Wait,
    /// Go on at once: the storage is known to keep what it said it had.
    Serve,
}

/// How a facility is opened. [`Default`] is right for production.
#[derive(Clone, Debug)]
pub struct Options {
    /// Make the store if the directory has none. Off, so that an unmounted volume never becomes a
    /// fresh store in silence.
    pub create: bool,
    /// The structure that is expected (another one: `OtherStructure`), and the name of a new store.
    /// `None`: whatever is there; a new one is `EZBEPORT`.
    pub structure: Option<StructureName>,
    /// Size of the segments of a new store, bytes: a multiple of 4 KiB from 16 KiB to 1 GiB.
    pub segment_size: u64,
    /// Quarantine of lists without a policy of their own. Under a second is for tests only.
    pub quarantine: Duration,
    /// The policy that a new list of a DVIPA begins with; it must be valid. Lists that are there already keep
    /// theirs, and an operator's word changes any.
    pub policy: Policy,
    /// Whether quarantine ends by itself when it is due. Off, it ends only when
    /// [`EndQuarantine`](crate::structure::Request::EndQuarantine) is asked for, and never early:
    /// for tests whose runs repeat.
    pub quarantine_timer: bool,
    /// Commands that may wait; at most [`QUEUE_LENGTH_MAX`].
    pub queue_length: usize,
    /// A checkpoint is due after so many bytes of log.
    pub checkpoint_log_bytes: u64,
    /// A checkpoint is due after so long with changes.
    pub checkpoint_interval: Duration,
    /// Whether closing makes a checkpoint of what changed.
    pub checkpoint_at_close: bool,
    /// How long segments below the older checkpoint are kept as history.
    pub history_age: Duration,
    /// How many bytes of them are kept; whichever limit is met first.
    pub history_bytes: u64,
    /// Whether history that no recovery needs goes before its time when the disk is full.
    pub history_yields: bool,
    /// What to do when the power may have taken an acknowledged frame.
    pub after_power_loss: AfterPowerLoss,
    /// Serve from a network file system too: its locks and syncs may not hold what they promise.
    pub allow_network: bool,
    /// Makes every random choice repeatable. For tests: ports must be hard to guess.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: false,
            structure: None,
            segment_size: 16 << 20,
            quarantine: Duration::from_secs(120),
            policy: Policy::default(),
            quarantine_timer: true,
            queue_length: QUEUE_LENGTH_MAX,
            checkpoint_log_bytes: 64 << 20,
            checkpoint_interval: Duration::from_secs(15 * 60),
            checkpoint_at_close: true,
            history_age: Duration::from_secs(180 * 24 * 60 * 60),
            history_bytes: 8 << 30,
            history_yields: true,
            after_power_loss: AfterPowerLoss::Wait,
            allow_network: false,
            seed: None,
        }
    }
}
