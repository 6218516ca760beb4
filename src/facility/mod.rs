//! The facility: what hosts a structure.
//!
//! [`Facility`] is the door. [`LocalFacility`] is the embedded one: one writer thread, a bounded
//! queue, group commit. Whoever calls it, in this process or over a wire, hands in a
//! [`Request`] and gets a [`Ticket`]; nothing is answered before it is durable, refusals included.
#![forbid(unsafe_code)]

mod background;
mod checkpointer;
mod clock;
mod command;
mod connection;
mod deadlines;
mod engine;
mod error;
mod local;
mod options;
mod progress;
mod queue;
mod reads;
mod recovery;
#[cfg(any(test, feature = "sim"))]
mod stepper;
mod ticket;
mod watch;

pub use checkpointer::Error as CheckpointNowError;
pub use clock::{Clock, RandomStream, SystemClock, kernel_boot_id, random_u64};
pub use command::Command;
pub use connection::{Answered, Attached, Connection, Pending, PendingRenewal};
pub use engine::{Counters, Engine};
pub use error::OpenError;
pub use local::{Closed, LocalFacility, Machine};
pub use options::{Options, PAGE_ROWS_MAX, QUEUE_LENGTH_MAX, WATCH_EVENTS_MAX};
pub use recovery::{Inspected, init, inspect};
#[cfg(any(test, feature = "sim"))]
pub use stepper::{SetClock, Stepper};
pub use ticket::{Completer, Ticket};
pub use watch::{Watch, WatchError};

use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::HistoryId;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Actor;
use crate::structure::Answer;
use crate::structure::ConnectorState;
use crate::structure::Item;
use crate::structure::Policy;
use crate::structure::PortRange;
use crate::structure::Refusal;
use crate::structure::Request;
use serde::{Deserialize, Serialize};

/// What hosts a structure, wherever it is.
pub trait Facility: Send + Sync {
    /// Hands in a request; never blocks. A full queue is answered `Overloaded` at once.
    fn submit(&self, request: Request) -> Ticket<Reply>;

    /// Extends a connector's lease; writes nothing. `number` comes back in the answer, so that the
    /// stack counts from when it sent the renewal (protocol.md R2).
    fn renew(&self, actor: Actor, number: u64) -> Ticket<Renewal>;

    /// Reads; answered after everything it saw is durable.
    fn query(&self, query: Query) -> Ticket<Page>;

    /// Hands in a request and waits.
    ///
    /// # Errors
    /// [`CallError`].
    fn call(&self, request: Request) -> Result<Reply, CallError> {
        self.submit(request).wait()
    }

    /// Creates a list, or opens a closed one again with all that is in it.
    ///
    /// # Errors
    /// [`CallError`].
    fn define(&self, target: Target) -> Result<Reply, CallError> {
        self.call(Request::Define { target })
    }

    /// Closes a list: nothing new is granted, releases work, it goes when it is empty.
    ///
    /// # Errors
    /// [`Refusal::UnknownList`]; otherwise as [`CallError`].
    fn delete(&self, target: Target) -> Result<Reply, CallError> {
        self.call(Request::Delete { target })
    }

    /// Sets the whole policy of a list.
    ///
    /// # Errors
    /// [`Refusal::UnknownList`], [`Refusal::OutOfRange`]; otherwise as [`CallError`].
    fn set_policy(&self, target: Target, policy: Policy) -> Result<Reply, CallError> {
        self.call(Request::SetPolicy { target, policy })
    }

    /// Sets the explicit-bind range of a transport for the whole structure, or takes it away.
    ///
    /// # Errors
    /// [`Refusal::OutOfRange`]; otherwise as [`CallError`].
    fn set_range(&self, transport: Transport, range: Option<PortRange>) -> Result<Reply, CallError> {
        self.call(Request::SetRange { transport, range })
    }

    /// Marks an incarnation failed-persistent: its grants are kept.
    ///
    /// # Errors
    /// [`Refusal::UnknownConnector`], [`Refusal::StaleIncarnation`]; otherwise as [`CallError`].
    fn mark_failed(&self, name: &ConnectorName, incarnation: Incarnation) -> Result<Reply, CallError> {
        self.call(Request::MarkFailed { name: name.clone(), incarnation, by: None })
    }

    /// Cleans up a failed-persistent incarnation: everything it holds goes to quarantine and it is
    /// forgotten. `boot_is_dead` states that this boot of its machine is dead; without it the
    /// promised deadline must have passed (protocol.md R8). `by` is for the audit line.
    ///
    /// # Errors
    /// [`Refusal::NotFailed`], [`Refusal::StaleIncarnation`], [`Refusal::BootMayBeAlive`],
    /// [`Refusal::UnknownConnector`]; otherwise as [`CallError`].
    fn clean_up(
        &self,
        name: &ConnectorName,
        incarnation: Incarnation,
        by: &ConnectorName,
        boot_is_dead: bool,
    ) -> Result<Reply, CallError> {
        self.call(Request::CleanUp { name: name.clone(), incarnation, by: by.clone(), boot_is_dead })
    }

    /// The facility as a whole.
    ///
    /// # Errors
    /// [`CallError`].
    fn status(&self) -> Result<Status, CallError> {
        match self.query(Query::Status).wait()?.rows {
            Rows::Status(status) => Ok(status),
            _ => Err(CallError::WrongAnswer),
        }
    }

    /// One connector, if it is there.
    ///
    /// # Errors
    /// [`CallError`].
    fn connector(&self, name: &ConnectorName) -> Result<Option<ConnectorStatus>, CallError> {
        match self.query(Query::Connector(name.clone())).wait()?.rows {
            Rows::Connector(status) => Ok(status),
            _ => Err(CallError::WrongAnswer),
        }
    }

    /// Who has a port.
    ///
    /// # Errors
    /// [`CallError`].
    fn owner(&self, target: Target, port: u16) -> Result<Owner, CallError> {
        match self.query(Query::Owner { target, port }).wait()?.rows {
            Rows::Owner(owner) => Ok(owner),
            _ => Err(CallError::WrongAnswer),
        }
    }

    /// The whole state, page by page; each page is as of its own lsn.
    ///
    /// # Errors
    /// [`CallError`].
    fn list(&self) -> Result<Vec<Item>, CallError> {
        let (mut all, mut from) = (Vec::new(), Some(0));
        while let Some(start) = from {
            match self.query(Query::Items { from: start }).wait()?.rows {
                Rows::Items { items, next } => {
                    all.extend(items);
                    from = next;
                }
                _ => return Err(CallError::WrongAnswer),
            }
        }
        Ok(all)
    }
}

/// The answer to a request, with its place in history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The history it belongs to: a session is (history, connector, incarnation).
    pub history: HistoryId,
    /// The highest lsn that the request caused (for a repeat: had caused); without an effect, the
    /// lsn of the newest event it saw.
    pub lsn: Lsn,
    /// What came of it.
    pub answer: Answer,
}

/// The answer to a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The renewal's own number.
    pub number: u64,
    /// The promised length in ms that now runs anew; 0 = none.
    pub promise_ms: u64,
}

/// What can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The facility as a whole.
    Status,
    /// One connector.
    Connector(ConnectorName),
    /// Who has a port.
    Owner {
        /// The list.
        target: Target,
        /// The port.
        port: u16,
    },
    /// The state as items in canonical order, at most 1,024 at a time.
    Items {
        /// How many to skip: the `next` of the page before, or 0.
        from: u64,
    },
}

/// What was read, and as of when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The history.
    pub history: HistoryId,
    /// The last lsn it reflects.
    pub lsn: Lsn,
    /// The rows.
    pub rows: Rows,
}

/// The rows of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rows {
    /// To [`Query::Status`].
    Status(Status),
    /// To [`Query::Connector`].
    Connector(Option<ConnectorStatus>),
    /// To [`Query::Owner`].
    Owner(Owner),
    /// To [`Query::Items`]: rows, and where to go on unless that was all.
    Items {
        /// At most 1,024.
        items: Vec<Item>,
        /// `from` of the next page.
        next: Option<u64>,
    },
}

/// The facility as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The structure's name.
    pub structure: String,
    /// Opens so far.
    pub epoch: u64,
    /// Events stored since this open.
    pub records: u64,
    /// Frames written since this open: one sync each.
    pub frames: u64,
    /// Grants made since this open.
    pub grants: u64,
    /// Connectors, active and failed-persistent.
    pub connectors: u32,
    /// Lists, open and closed.
    pub lists: u32,
    /// What the open found and took.
    pub recovery: RecoveryReport,
}

/// What an open found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// The lsn of the checkpoint it started from; 0 = none.
    pub checkpoint_lsn: Lsn,
    /// Records replayed above it.
    pub records: u64,
    /// The last lsn kept.
    pub last_lsn: Lsn,
    /// Bytes of a torn frame that were left out.
    pub torn_bytes: u64,
    /// Whether the one frame above the proven lsn was encoded anew.
    pub frame_mended: bool,
    /// How long the open took, µs.
    pub took_us: u64,
    /// What an operator should read.
    pub warnings: Vec<String>,
}

/// One connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorStatus {
    /// Its slot and newest incarnation.
    pub actor: Actor,
    /// Its state.
    pub state: ConnectorState,
    /// Ports it holds in all lists.
    pub held_ports: u32,
    /// Whether it has attached since the facility opened.
    pub attached: bool,
    /// Boot-clock time at which its lease ends unless it is renewed; `None` without a promise.
    pub lease_until: Option<BootMs>,
}

/// Who has a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// There is no such list.
    NoList,
    /// Nobody.
    Free,
    /// A connector.
    Held {
        /// Its name.
        connector: ConnectorName,
        /// Its incarnation.
        incarnation: Incarnation,
        /// The grant.
        grant: Lsn,
        /// The group.
        group: GroupNumber,
    },
    /// Nobody may have it yet.
    Quarantined {
        /// Who held it.
        connector: ConnectorName,
        /// The lsn that ended the hold.
        since: Lsn,
    },
}

/// Why a call has no answer, or a refusal for one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CallError {
    /// Turned down; nothing was stored.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A write or sync failed: the outcome is unknown until the next open and attach tell.
    #[error("storage failed, the outcome is unknown: {reason}")]
    StorageFailed {
        /// The first failure.
        reason: String,
    },
    /// The facility is closed, or the connection to it is gone: the outcome is unknown.
    #[error("the facility is gone; if the request was sent, its outcome is unknown")]
    Gone,
    /// The facility answered with something that does not fit the request: a bug, or another
    /// release on the other side.
    #[error("the facility's answer does not fit the request: do both sides run the same release?")]
    WrongAnswer,
}
