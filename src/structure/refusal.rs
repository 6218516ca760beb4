//! Why a request was turned down. A refusal is an answer, not a fault: nothing was stored.
#![forbid(unsafe_code)]

use super::item::ConnectorState;
use super::stop::StopCause;
use crate::ident::ConnectorName;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::ident::Target;
use serde::{Deserialize, Serialize};

/// Why a request was turned down. [`name`](Self::name) is what programs compare.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// Connect: the connector exists. Attach instead.
    #[error("connector exists as incarnation {incarnation}, {}: attach to it", state.name())]
    ConnectorExists {
        /// Its newest incarnation.
        incarnation: Incarnation,
        /// Its state.
        state: ConnectorState,
    },
    /// Attach, resume, mark failed, clean up: there is no such connector.
    #[error("there is no connector of that name: connect first")]
    UnknownConnector,
    /// Attach: another machine has this name and is alive or holds grants (protocol.md R5).
    #[error("another machine is connected under this name, {}, holding {held} ports: clean it up first", state.name())]
    OtherMachine {
        /// The other one's incarnation.
        incarnation: Incarnation,
        /// Its state.
        state: ConnectorState,
        /// Ports that it holds.
        held: u32,
    },
    /// A newer life of the stack has attached since. The caller is the one that must stop.
    #[error("incarnation {asked} was superseded by incarnation {current}: stop, and attach anew")]
    StaleIncarnation {
        /// Who asked.
        asked: Incarnation,
        /// The newest.
        current: Incarnation,
    },
    /// The connector is failed-persistent, or has not attached since the facility opened.
    #[error("attach first: the connector failed, or the facility was opened since")]
    MustAttach,
    /// Clean-up: the connector is not failed-persistent. Mark it failed first.
    #[error("the connector is {}, not failed-persistent: mark it failed first", state.name())]
    NotFailed {
        /// Its state.
        state: ConnectorState,
    },
    /// Clean-up needs the statement, unless a deadline has passed that was promised and is enforced.
    #[error("state that this boot of its machine is dead: no promised and enforced deadline has passed")]
    BootMayBeAlive,
    /// The number was presented before with another body.
    #[error("request number {number} was used with another body")]
    RequestIdReused {
        /// The number.
        number: u32,
    },
    /// At or below the window: answered long ago, never executed again.
    #[error("request number {number} was answered: numbers from {lowest} on are open")]
    AlreadyAnswered {
        /// The number.
        number: u32,
        /// The lowest open one.
        lowest: u32,
    },
    /// Too much at once: the queue, this connector's window or the memory for windows is full.
    #[error("too many requests at once: wait for answers")]
    Overloaded,
    /// All numbers of this incarnation are used up: attach for a new one.
    #[error("all request numbers of this incarnation are used: attach again")]
    NumbersExhausted,
    /// No such list.
    #[error("there is no list for {target}: define or join it")]
    UnknownList {
        /// Which.
        target: Target,
    },
    /// The list was deleted; nothing new is granted.
    #[error("the list is closed: its DVIPA was deleted")]
    Closed,
    /// The membership is over, or another connector's.
    #[error("not a member of that list: join it")]
    NotJoined,
    /// No allowable set was given for this transport.
    #[error("set the allowable ports first")]
    NoAllowableSet,
    /// Fewer ports than asked for can be had. Counts are ports of the whole list.
    #[error(
        "list full: {held} ports held, {quarantined} in quarantine, {excluded} free but excluded for this stack, {free} free and allowable"
    )]
    Exhausted {
        /// Ports free and allowable for the asker.
        free: u32,
        /// Ports held by anybody.
        held: u32,
        /// Ports in quarantine.
        quarantined: u32,
        /// Ports free but outside the asker's allowable set, or in the explicit-bind pool.
        excluded: u32,
        /// Of the ports held those that the asker might have: when they are given back there is more.
        allowable_held: u32,
        /// Of the ports in quarantine those that the asker might have: waiting helps.
        allowable_quarantined: u32,
    },
    /// The connector would hold more than its quota.
    #[error("quota: {held} of {quota} ports held in this list")]
    QuotaExceeded {
        /// Ports held.
        held: u32,
        /// Ports allowed.
        quota: u32,
    },
    /// Only the reserve is left, and the connector holds a group already.
    #[error("only the reserve of {reserve} whole free groups is left")]
    Reserved {
        /// Groups kept back.
        reserve: u16,
    },
    /// Claim: the port is held.
    #[error("port {port} is held, grant {grant}")]
    PortHeld {
        /// The port.
        port: u16,
        /// The grant that has it.
        grant: Lsn,
    },
    /// Claim: the port is in quarantine.
    #[error("port {port} is in quarantine since lsn {since}")]
    PortQuarantined {
        /// The port.
        port: u16,
        /// The lsn that ended the hold.
        since: Lsn,
    },
    /// Claim: the port is not allowable on the asking stack, or in the explicit-bind pool.
    #[error("port {port} is not allowable on this stack, or in the explicit-bind pool")]
    PortExcluded {
        /// The port.
        port: u16,
    },
    /// Release: another connector holds that grant.
    #[error("grant {grant} is not yours")]
    NotOwner {
        /// The grant named.
        grant: Lsn,
    },
    /// Release: no such grant, or it has not all of those ports.
    #[error("grant {grant} is gone, or has not all of those ports")]
    StaleToken {
        /// The grant named.
        grant: Lsn,
    },
    /// A number outside its documented range, or a request that cannot fit into one frame.
    #[error("{what} is out of range")]
    OutOfRange {
        /// Which operand.
        what: Operand,
    },
    /// As many connectors, lists, members or sets as there may be.
    #[error("no more {what} can be made")]
    TooMany {
        /// What of.
        what: Operand,
    },
    /// The request's events cannot fit into one frame of this store.
    #[error("the request needs {needed} bytes, a frame of this store has {limit}")]
    TooLarge {
        /// Bytes needed.
        needed: u32,
        /// Bytes there are.
        limit: u32,
    },
    /// No room on disk for the next segment: nothing is granted until there is.
    #[error("storage is full: make room on the data directory's file system")]
    StorageFull,
    /// Attach: no challenge, or not the newest one issued for this name (protocol.md R4).
    #[error("ask for a challenge and attach with it: this one was used, replaced or never issued")]
    ChallengeNeeded,
    /// Attach: the stack holds other grants than the structure has for it.
    #[error("report every grant under the same challenge, then attach again: the stack and the store differ")]
    ReportNeeded,
    /// Attach: what the stack holds is of another store.
    #[error("this is store {store}, not the one that the stack was attached to: check which store is served")]
    OtherStore {
        /// This store.
        store: StoreUuid,
    },
    /// Attach: the stack names a position with a receipt that this store never gave. Only this stack
    /// is turned down.
    #[error("the position this stack names was never given by this store: stop it, attach without it")]
    ReceiptBad,
    /// Attach: another process of this name is connected and alive.
    #[error("incarnation {incarnation} of this name is connected and alive: end that process first")]
    StillConnected {
        /// The one that is connected.
        incarnation: Incarnation,
    },
    /// Granting is stopped, because data may be lost or is.
    #[error("nothing is granted at present ({}): see the store's status, and resume granting", cause.name())]
    GrantsStopped {
        /// Why.
        cause: StopCause,
    },
    /// Resume of granting: ports were adopted from the reports of stacks.
    #[error(
        "{ports} ports were adopted from what stacks reported: look at them, then resume adopting what was reported"
    )]
    AdoptedPending {
        /// How many.
        ports: u32,
    },
    /// Resume of granting: a restored store waits until every promise and quarantine has passed.
    #[error("a restored store waits for promises and quarantine to pass: try again in {left_ms} ms")]
    TooEarly {
        /// Time left, ms.
        left_ms: u64,
    },
    /// Resume of granting: connectors that have not attached since data was lost, or restored.
    #[error("{count} connectors have not attached since, {name} first: attach each, or clean it up")]
    NotAllAttached {
        /// The first of them.
        name: ConnectorName,
        /// How many.
        count: u32,
    },
}

/// Which operand or kind of thing a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Operand {
    #[error("at_least or at_most")]
    Groups,
    #[error("port")]
    Port,
    #[error("mask")]
    Mask,
    #[error("number or lowest")]
    Number,
    #[error("policy")]
    Policy,
    #[error("range")]
    Range,
    #[error("connectors")]
    Connectors,
    #[error("lists")]
    Lists,
    #[error("members")]
    Members,
    #[error("sets")]
    Sets,
    #[error("lsn")]
    Lsn,
}

impl Refusal {
    /// Every name, in the order of the variants.
    pub const NAMES: [&'static str; 36] = [
        "connector-exists",
        "unknown-connector",
        "other-machine",
        "stale-incarnation",
        "must-attach",
        "not-failed",
        "boot-may-be-alive",
        "request-id-reused",
        "already-answered",
        "overloaded",
        "numbers-exhausted",
        "unknown-list",
        "closed",
        "not-joined",
        "no-allowable-set",
        "exhausted",
        "quota-exceeded",
        "reserved",
        "port-held",
        "port-quarantined",
        "port-excluded",
        "not-owner",
        "stale-token",
        "out-of-range",
        "too-many",
        "too-large",
        "storage-full",
        "challenge-needed",
        "report-needed",
        "other-store",
        "receipt-bad",
        "still-connected",
        "grants-stopped",
        "adopted-pending",
        "too-early",
        "not-all-attached",
    ];

    /// The refusal's name in kebab case, as programs see it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ConnectorExists { .. } => "connector-exists",
            Self::UnknownConnector => "unknown-connector",
            Self::OtherMachine { .. } => "other-machine",
            Self::StaleIncarnation { .. } => "stale-incarnation",
            Self::MustAttach => "must-attach",
            Self::NotFailed { .. } => "not-failed",
            Self::BootMayBeAlive => "boot-may-be-alive",
            Self::RequestIdReused { .. } => "request-id-reused",
            Self::AlreadyAnswered { .. } => "already-answered",
            Self::Overloaded => "overloaded",
            Self::NumbersExhausted => "numbers-exhausted",
            Self::UnknownList { .. } => "unknown-list",
            Self::Closed => "closed",
            Self::NotJoined => "not-joined",
            Self::NoAllowableSet => "no-allowable-set",
            Self::Exhausted { .. } => "exhausted",
            Self::QuotaExceeded { .. } => "quota-exceeded",
            Self::Reserved { .. } => "reserved",
            Self::PortHeld { .. } => "port-held",
            Self::PortQuarantined { .. } => "port-quarantined",
            Self::PortExcluded { .. } => "port-excluded",
            Self::NotOwner { .. } => "not-owner",
            Self::StaleToken { .. } => "stale-token",
            Self::OutOfRange { .. } => "out-of-range",
            Self::TooMany { .. } => "too-many",
            Self::TooLarge { .. } => "too-large",
            Self::StorageFull => "storage-full",
            Self::ChallengeNeeded => "challenge-needed",
            Self::ReportNeeded => "report-needed",
            Self::OtherStore { .. } => "other-store",
            Self::ReceiptBad => "receipt-bad",
            Self::StillConnected { .. } => "still-connected",
            Self::GrantsStopped { .. } => "grants-stopped",
            Self::AdoptedPending { .. } => "adopted-pending",
            Self::TooEarly { .. } => "too-early",
            Self::NotAllAttached { .. } => "not-all-attached",
        }
    }
}
