//! What happened: the only thing that is stored.
//!
//! An event says what to change in numbers (slots), never which rule chose it, so replay repeats
//! no choice and a later release may choose better.
#![forbid(unsafe_code)]

use super::request::{Policy, PortRange};
use super::stop::StopCause;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::HistoryId;
use crate::ident::Identity;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;

/// One change and the request it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which numbered request caused it.
    pub stamp: Stamp,
    /// What changed.
    pub change: Change,
}

/// Which numbered request an event belongs to. The connector follows from the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// None: an operator's or an internal request, connect or attach, a join to adopt.
    None,
    /// The first event of a request.
    First {
        /// The request's number.
        number: u32,
        /// The lowest number still unanswered was `number - below`; at most 16,383.
        below: u16,
        /// The first 8 bytes of BLAKE3 of the canonical body.
        hash: u64,
    },
    /// A further event of the same request; its lsn follows on.
    Next {
        /// The request's number.
        number: u32,
    },
}

/// What changed. Slots are the lowest free ones at the time of the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A connector was created; its incarnation is this event's lsn.
    Connected {
        /// Its slot.
        connector: u32,
        /// Its name.
        name: ConnectorName,
        /// Who it is.
        identity: Identity,
        /// Promised lease, ms; 0 = none.
        promise_ms: u64,
        /// Whether an enforcer stops it at the deadline.
        enforced: bool,
    },
    /// A connector took its next incarnation: this event's lsn. Under another boot than before its
    /// grants went to quarantine and its memberships ended. Its request window starts anew.
    Attached {
        /// Its slot.
        connector: u32,
        /// Who it is.
        identity: Identity,
        /// Promised lease, ms; 0 = none.
        promise_ms: u64,
        /// Whether an enforcer stops it at the deadline.
        enforced: bool,
    },
    /// A connector ended in order: its grants went to quarantine and it was forgotten.
    Disconnected {
        /// Its slot.
        connector: u32,
    },
    /// A connector became failed-persistent: its grants are kept.
    Failed {
        /// Its slot.
        connector: u32,
        /// By whose word; `None`: its lease ran out.
        by: Option<ConnectorName>,
    },
    /// A failed-persistent connector was cleaned up: its grants went to quarantine and it was
    /// forgotten.
    CleanedUp {
        /// Its slot.
        connector: u32,
        /// The quarantine counts from here: never before a promised deadline.
        from: BootMs,
        /// Whether its boot was stated to be dead.
        boot_is_dead: bool,
        /// By whose word.
        by: ConnectorName,
    },
    /// A list was defined: created if its slot was free, else opened again.
    Defined {
        /// Its slot.
        list: u32,
        /// What it is for.
        target: Target,
    },
    /// A list was closed; it is gone if nothing was held or in quarantine.
    Deleted {
        /// Its slot.
        list: u32,
    },
    /// A connector joined a list, which was created if its slot was free.
    Joined {
        /// The connector's slot.
        connector: u32,
        /// The list's slot.
        list: u32,
        /// The new membership's slot.
        member: u32,
        /// What the list is for.
        target: Target,
    },
    /// A membership ended: what it held went to quarantine.
    Left {
        /// The membership's slot.
        member: u32,
    },
    /// A grant was made; its token is this event's lsn.
    Granted {
        /// Who holds it.
        member: u32,
        /// The group.
        group: GroupNumber,
        /// The ports.
        mask: PortMask,
    },
    /// Ports of one grant were given back, into quarantine; the grant is gone if none is left.
    Released {
        /// Who held it.
        member: u32,
        /// The group.
        group: GroupNumber,
        /// The grant's token.
        grant: Lsn,
        /// The ports given back.
        mask: PortMask,
    },
    /// Quarantine ended: every port of the list whose hold ended at or below `up_to` is free.
    Ready {
        /// The list's slot.
        list: u32,
        /// The highest lsn that is due.
        up_to: Lsn,
    },
    /// The content of an allowable set was stored, once.
    SetStored {
        /// The connector that brought it.
        connector: u32,
        /// The set's slot.
        set: u32,
        /// Its ports.
        ports: PortSet,
    },
    /// A connector's allowable set changed.
    AllowableSet {
        /// The connector.
        connector: u32,
        /// The port space.
        transport: Transport,
        /// The set's slot.
        set: u32,
    },
    /// A list's policy changed.
    PolicySet {
        /// The list's slot.
        list: u32,
        /// The whole new policy.
        policy: Policy,
    },
    /// The explicit-bind range in force changed.
    RangeSet {
        /// The port space.
        transport: Transport,
        /// The range, if any.
        range: Option<PortRange>,
    },
    /// Granting stopped, or a stack knows of a higher lsn.
    Stopped {
        /// Why.
        cause: StopCause,
        /// The connector that proved it, if one did.
        connector: Option<u32>,
        /// The history that it knows; 0 without a proof.
        history: HistoryId,
        /// The highest lsn that it knows; 0 without a proof.
        lsn: Lsn,
    },
    /// Ports were taken from a grant because another stack proved a younger one: into quarantine.
    Revoked {
        /// Who held it.
        member: u32,
        /// The group.
        group: GroupNumber,
        /// The grant's token.
        grant: Lsn,
        /// The ports taken.
        mask: PortMask,
    },
    /// A grant that a stack reported, and the log had lost, is a grant again.
    Adopted {
        /// Who holds it.
        member: u32,
        /// The group.
        group: GroupNumber,
        /// The ports: free before, or in quarantine whoever held them.
        mask: PortMask,
        /// Its token: the lsn that made it in the history that was lost.
        grant: Lsn,
    },
    /// Granting goes on.
    Resumed {
        /// By whose word; `None`: by itself, after a power loss.
        by: Option<ConnectorName>,
    },
}
