//! What a facility measures of itself, as plain values: for an operator's metrics.
#![forbid(unsafe_code)]

use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::ident::WallMs;
use crate::structure::ConnectorState;
use crate::structure::ListFigures;
use crate::structure::StopCause;

/// Everything that can be read without asking the writer: it is there while a sync hangs, too.
/// Counts are since the open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings {
    /// The store.
    pub store: StoreUuid,
    /// The history being written.
    pub history: HistoryId,
    /// Opens and histories so far.
    pub epoch: u64,
    /// The highest durable lsn.
    pub durable: Lsn,
    /// Whether a write or sync failed: nothing is answered any more.
    pub is_failed: bool,
    /// Whether the storage is full: nothing new is granted.
    pub is_full: bool,
    /// Why nothing is granted, if granting is stopped.
    pub stop: Option<StopCause>,
    /// Alarms raised.
    pub alarms: u64,
    /// Watchers at present.
    pub watchers: usize,
    /// Commands answered, by kind.
    pub requests: Vec<(&'static str, u64)>,
    /// Refusals, by name; those at a full queue included.
    pub refusals: Vec<(&'static str, u64)>,
    /// Events stored, by kind.
    pub events: Vec<(&'static str, u64)>,
    /// Ports granted.
    pub ports_granted: u64,
    /// Ports given back by release; leave, disconnect and clean-up are not in it.
    pub ports_released: u64,
    /// Frames written, one sync each.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of log written, padding included.
    pub appended_bytes: u64,
    /// Records per frame.
    pub frame_records: Distribution,
    /// Size of frames, bytes.
    pub frame_bytes: Distribution,
    /// Commands answered by one sync.
    pub commit_commands: Distribution,
    /// How long write and sync of a frame took, µs.
    pub sync_us: Distribution,
    /// How long the write and sync at work has taken so far, µs; 0 = none is at work.
    pub sync_pending_us: u64,
    /// Of each batch, how long the command that waited longest was in the queue, µs.
    pub queue_us: Distribution,
    /// Commands that wait.
    pub queue_length: usize,
    /// How many may.
    pub queue_length_max: usize,
    /// Commands turned away at a full queue.
    pub queue_rejected: u64,
    /// The log's files.
    pub log: LogReadings,
    /// Checkpoints.
    pub checkpoints: CheckpointReadings,
}

/// Counts of values by size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Upper bounds, inclusive, ascending.
    pub bounds: &'static [u64],
    /// How many values are at or below each bound and above the one before; the last: above all.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: u64,
}

/// The files of the log, as MANIFEST lists them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogReadings {
    /// Segments, the one being written included.
    pub segments: u64,
    /// Bytes of them: of sealed ones up to their end, of the last one its whole file.
    pub bytes: u64,
    /// Segments that no recovery needs, kept as history.
    pub history_segments: u64,
    /// Bytes of those.
    pub history_bytes: u64,
}

/// The files that the log is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFiles {
    /// The number of the segment being written.
    pub segment: u64,
    /// Its first lsn.
    pub first: Lsn,
    /// The newest pack: the numbers of the first and the last segment in it, and its size in bytes.
    pub pack: Option<(u64, u64, u64)>,
}

/// Checkpoints made and what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointReadings {
    /// Made since the open.
    pub made: u64,
    /// Failed since the open.
    pub failed: u64,
    /// How long the last one took, µs; 0 = none was made since the open.
    pub took_us: u64,
    /// The newest: its lsn; 0 = there is none.
    pub lsn: Lsn,
    /// When it was made.
    pub wall: WallMs,
    /// Its size, bytes.
    pub bytes: u64,
    /// Since when there is something that it does not have, ms: since it was made, or the open if there
    /// is none. 0 = it has everything.
    pub behind_ms: u64,
    /// Bytes of log that it does not have.
    pub behind_bytes: u64,
}

/// Where a page of figures starts: at first [`FiguresFrom::start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiguresFrom {
    /// Slots of lists already looked at; `None` = all.
    pub(super) lists: Option<u32>,
    /// Slots of connectors already looked at; `None` = all.
    pub(super) connectors: Option<u32>,
}

impl FiguresFrom {
    /// The beginning.
    #[must_use]
    pub const fn start() -> Self {
        Self { lists: Some(0), connectors: Some(0) }
    }
}

/// Lists and connectors in numbers, as of one lsn: at most 1,024 of each in one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiguresPage {
    /// The last lsn it reflects.
    pub lsn: Lsn,
    /// Lists, in slot order.
    pub lists: Vec<ListFigures>,
    /// How many lists there are.
    pub lists_count: u32,
    /// The connectors of this page by standing.
    pub connectors: Vec<ConnectorStanding>,
    /// Where to go on, unless that was all.
    pub next: Option<FiguresFrom>,
}

/// One connector: what it holds, and how it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectorStanding {
    /// Active or failed-persistent.
    pub state: ConnectorState,
    /// Whether it has attached since the open.
    pub is_attached: bool,
    /// Ports it holds in all lists.
    pub held_ports: u32,
    /// Its lease.
    pub lease: LeaseState,
}

/// How a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// None was promised.
    None,
    /// The promised deadline is yet to come.
    Running,
    /// It has passed.
    Over,
}
