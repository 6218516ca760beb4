//! The facility: what hosts a structure.
//!
//! [`Facility`] is the door. [`LocalFacility`] is the embedded one: one writer thread, a bounded
//! queue, group commit. Whoever calls it, in this process or over a wire, hands in a
//! [`Request`] and gets a [`Ticket`]; nothing is answered before it is durable, refusals included.
#![forbid(unsafe_code)]

mod admission;
mod alarms;
mod background;
mod backup;
mod checkpointer;
mod clock;
mod command;
mod connection;
mod deadlines;
mod engine;
mod error;
mod histories;
mod local;
mod measured;
mod meters;
mod options;
mod outside;
mod packing;
pub mod past;
mod pins;
mod presence;
mod progress;
#[cfg(any(test, feature = "sim"))]
pub mod pump;
mod queue;
mod readings;
mod reads;
mod recovery;
#[cfg(all(test, feature = "shuttle"))]
mod shuttled;
#[cfg(all(test, not(feature = "shuttle")))]
mod small_store;
#[cfg(any(test, feature = "sim"))]
mod stepper;
mod tally;
mod ticket;
mod tuning;
mod views;
mod watch;

pub use admission::{AttachRequest, Challenge, Position, REPORT_PAGE_MAX, Receipt};
pub use alarms::Alarm;
pub use backup::{Adopt, BackupError, BackupReport, adopt, backup_closed, restore};
pub use checkpointer::Error as CheckpointNowError;
pub use clock::{Clock, RandomStream, SystemClock, kernel_boot_id, random_u64};
pub use command::Command;
pub use connection::{Answered, Attached, Belief, Connection, Pending, PendingRenewal};
pub use engine::{Counters, Engine};
pub use error::OpenError;
pub use local::{Closed, LocalFacility, Machine};
pub use options::{AfterPowerLoss, Options, PAGE_ROWS_MAX, QUEUE_LENGTH_MAX, WATCH_EVENTS_MAX};
pub use outside::Clocks;
pub use presence::{Presence, Present};
pub use readings::{
    CheckpointReadings, ConnectorStanding, Distribution, FiguresFrom, FiguresPage, LeaseState, LogFiles, LogReadings,
    Readings,
};
pub use recovery::{Inspected, init, inspect};
#[cfg(any(test, feature = "sim"))]
pub use stepper::{SetClock, Stepper};
pub use tally::{EVENT_KINDS, REQUEST_KINDS};
pub use ticket::{Completer, Ticket};
pub use tuning::Tuning;
pub use views::{ConnectorStatus, Page, Query, RecoveryReport, Rows, Status, StopView};
pub use watch::{Feed, Watch, WatchError};

use crate::ident::ConnectorName;
use crate::ident::HistoryId;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Actor;
use crate::structure::Answer;
use crate::structure::Introduction;
use crate::structure::Item;
use crate::structure::Policy;
use crate::structure::PortOwner;
use crate::structure::PortRange;
use crate::structure::Refusal;
use crate::structure::ReportedGrant;
use crate::structure::Request;
use serde::{Deserialize, Serialize};

/// What hosts a structure, wherever it is.
pub trait Facility: Send + Sync {
    /// Hands in a request; never blocks. A full queue is answered `Overloaded` at once. An attach is
    /// not taken here: see [`attach`](Self::attach).
    fn submit(&self, request: Request) -> Ticket<Reply>;

    /// Asks for the challenge that the next attach under this name must carry (protocol.md R4). It
    /// voids the older one of that name, works once, and not after the next open.
    fn challenge(&self, name: &ConnectorName) -> Ticket<Challenge>;

    /// Hands in one page of what a stack believes to hold, at most 1,024 grants, under a challenge:
    /// all pages together, when an attach was refused `ReportNeeded`.
    fn report(&self, name: &ConnectorName, challenge: Challenge, grants: Vec<ReportedGrant>) -> Ticket<()>;

    /// Attaches: takes the next incarnation of a connector that exists. `presence` is the caller's
    /// connection: while it stands, another process of that name is held off.
    fn attach(&self, attach: AttachRequest, presence: Presence) -> Ticket<Reply>;

    /// Creates a connector.
    fn connect(&self, introduction: Introduction, presence: Presence) -> Ticket<Reply>;

    /// Re-joins after a broken connection within one open, under a new connection: a
    /// [`Request::Resume`].
    fn resume(&self, resume: Request, presence: Presence) -> Ticket<Reply> {
        drop(presence);
        self.submit(resume)
    }

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

    /// Marks an incarnation failed-persistent: its grants are kept. `by` is for the audit line.
    ///
    /// # Errors
    /// [`Refusal::UnknownConnector`], [`Refusal::StaleIncarnation`]; otherwise as [`CallError`].
    fn mark_failed(
        &self,
        name: &ConnectorName,
        incarnation: Incarnation,
        by: &ConnectorName,
    ) -> Result<Reply, CallError> {
        self.call(Request::MarkFailed { name: name.clone(), incarnation, by: Some(by.clone()) })
    }

    /// Cleans up a failed-persistent incarnation: everything it holds goes to quarantine and it is
    /// forgotten. `boot_is_dead` states that this boot of its machine is dead; without it a
    /// promised and enforced deadline must have passed (protocol.md R3, R8). `by` is for the audit line.
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

    /// Lets granting go on after data was lost or the store was restored: under a new history, above
    /// every lsn that a stack named, so that every stack attaches again. `adopt_reported` states that
    /// what was adopted from the reports of stacks stays. `by` is for the audit line.
    ///
    /// # Errors
    /// [`Refusal::AdoptedPending`], [`Refusal::TooEarly`], [`Refusal::NotAllAttached`],
    /// [`Refusal::StorageFull`]; otherwise as [`CallError`].
    fn resume_grants(&self, by: &ConnectorName, adopt_reported: bool) -> Result<Reply, CallError> {
        self.call(Request::ResumeGrants { by: Some(by.clone()), adopt_reported })
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
    fn owner(&self, target: Target, port: u16) -> Result<PortOwner, CallError> {
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
    /// The store. A stack believes no other than the one it knows.
    pub store: StoreUuid,
    /// The history it belongs to: a session is (history, connector, incarnation).
    pub history: HistoryId,
    /// The highest lsn that the request caused (for a repeat: had caused); without an effect, the
    /// lsn of the newest event it saw.
    pub lsn: Lsn,
    /// For a stack: proof that it was told of this lsn. Store, history, lsn and receipt are its
    /// [`Position`]; the highest is named at the next attach.
    pub receipt: Receipt,
    /// What came of it.
    pub answer: Answer,
}

impl Reply {
    /// How far a stack has seen that got it.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position { store: self.store, history: self.history, lsn: self.lsn, receipt: self.receipt }
    }
}

/// The answer to a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The renewal's own number.
    pub number: u64,
    /// The promised length in ms that now runs anew; 0 = none.
    pub promise_ms: u64,
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
