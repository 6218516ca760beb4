//! What can be read of a facility, and how it is shown.
#![forbid(unsafe_code)]

use super::Alarm;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::ident::Target;
use crate::structure::Actor;
use crate::structure::ConnectorState;
use crate::structure::Item;
use crate::structure::PortOwner;
use crate::structure::StopCause;
use serde::{Deserialize, Serialize};

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
#[allow(clippy::large_enum_variant, reason = "one to a query, and then the whole status")]
pub enum Rows {
    /// To [`Query::Status`].
    Status(Status),
    /// To [`Query::Connector`].
    Connector(Option<ConnectorStatus>),
    /// To [`Query::Owner`].
    Owner(PortOwner),
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
    /// The store: stacks refuse another one than they know.
    pub store: StoreUuid,
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
    /// Why nothing is granted, if granting is stopped.
    pub stop: Option<StopView>,
    /// Why the storage is full, if it is: nothing new is granted then.
    pub storage: Option<String>,
    /// What the data directory is on.
    pub file_system: String,
    /// What an operator should see: the last 64 alarms since the open, the oldest first.
    pub alarms: Vec<Alarm>,
    /// What the open found and took.
    pub recovery: RecoveryReport,
}

/// Why nothing is granted, and what would end it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopView {
    /// The gravest cause.
    pub cause: StopCause,
    /// The lsn of the event that brought it.
    pub since: Lsn,
    /// Ports adopted from what stacks reported.
    pub adopted_ports: u32,
    /// Connectors that have not attached since: at most 16 of them.
    pub waiting_for: Vec<ConnectorName>,
    /// Time that must pass yet, ms; 0 = none, or it does not depend on time.
    pub left_ms: u64,
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
