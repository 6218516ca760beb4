//! What can be asked of a structure, and what is answered.
#![forbid(unsafe_code)]

use super::standing::ReportedGrant;
use super::stop::StopCause;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::HistoryId;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;
use serde::{Deserialize, Serialize};

/// One request. Parsed at the door: nothing in it is checked for form again, only for sense.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Create a DVIPA's list, or open a closed one again with all that is in it.
    Define {
        /// The list.
        target: Target,
    },
    /// Close a DVIPA's list: nothing new is granted, releases work, it goes when it is empty.
    Delete {
        /// The list.
        target: Target,
    },
    /// Set a list's policy.
    SetPolicy {
        /// The list.
        target: Target,
        /// The whole new policy.
        policy: Policy,
    },
    /// Set the explicit-bind range of a transport, or take it away. The one set last is in force
    /// for the whole structure.
    SetRange {
        /// The port space.
        transport: Transport,
        /// The range; `None` for NOEXPLICITBINDPORTRANGE.
        range: Option<PortRange>,
    },
    /// Create a connector.
    Connect(Introduction),
    /// Take the next incarnation of a connector that exists.
    Attach(Introduction),
    /// Re-join after a broken connection within one open: same process, same incarnation.
    Resume {
        /// The connector's name.
        name: ConnectorName,
        /// The incarnation that goes on.
        incarnation: Incarnation,
        /// Must equal the identity that attached.
        identity: Identity,
    },
    /// Mark a connector failed-persistent: its grants are kept. Internal when a lease ran out.
    MarkFailed {
        /// The connector's name.
        name: ConnectorName,
        /// The incarnation that is meant; refused if it is not the newest.
        incarnation: Incarnation,
        /// By whose word; `None`: its lease ran out.
        by: Option<ConnectorName>,
    },
    /// Move everything that a failed-persistent connector holds into quarantine and forget it.
    CleanUp {
        /// The connector's name.
        name: ConnectorName,
        /// The incarnation that is meant (protocol.md R8).
        incarnation: Incarnation,
        /// By whose word: for the audit line.
        by: ConnectorName,
        /// The statement that this boot of this machine is dead. Only after a deadline that the
        /// connector promised, and that is enforced where packets are sent, is it not required.
        boot_is_dead: bool,
    },
    /// Internal: end the quarantine of all that is due in one list.
    EndQuarantine {
        /// The list's slot.
        list: u32,
    },
    /// Internal: stop granting, or note a higher lsn that a stack proved.
    Stop {
        /// Why.
        cause: StopCause,
        /// The connector that proved it, if one did.
        name: Option<ConnectorName>,
        /// The history that it knows; 0 without a proof.
        history: HistoryId,
        /// The highest lsn that it knows, below 2^62; 0 without a proof.
        lsn: Lsn,
    },
    /// Internal: adopt what a stack reported and the log has lost (protocol.md R19). Without effect
    /// unless granting is stopped because data was lost or the store restored.
    Adopt {
        /// The connector that reported.
        name: ConnectorName,
        /// What it holds and the structure does not know.
        grants: Vec<ReportedGrant>,
    },
    /// Let granting go on.
    ResumeGrants {
        /// By whose word; `None`: by itself, which only the wait after a power loss may.
        by: Option<ConnectorName>,
        /// The statement that what was adopted stays.
        adopt_reported: bool,
    },
    /// A request of a stack, numbered within its incarnation.
    Stack {
        /// Who asks.
        actor: Actor,
        /// 1, 2, 3 … within the incarnation.
        number: u32,
        /// The lowest number still unanswered; `lowest <= number`.
        lowest: u32,
        /// What.
        body: Body,
    },
}

/// What a stack asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Join a list, creating it if there is none.
    Join {
        /// The list.
        target: Target,
    },
    /// Leave a list: everything held in it goes to quarantine. The caller vouches that no socket
    /// uses the ports (protocol.md R10).
    Leave {
        /// The membership that ends.
        member: Member,
    },
    /// Take groups: one atomic step.
    Acquire {
        /// The membership that takes them.
        member: Member,
        /// Refused if fewer can be had. 1 to `at_most`.
        at_least: u16,
        /// 1 to 1,024.
        at_most: u16,
    },
    /// Take one named port.
    Claim {
        /// The membership that takes it.
        member: Member,
        /// The port, not 0.
        port: u16,
    },
    /// Give back all or some ports of one grant.
    Release {
        /// The membership that holds the grant.
        member: Member,
        /// The grant's group.
        group: GroupNumber,
        /// The grant's token.
        grant: Lsn,
        /// Which of its ports; every one must be in the grant's mask, and not none.
        mask: PortMask,
    },
    /// Set the allowable ports of this stack. Revokes nothing. Port 0 is never in it.
    SetAllowable {
        /// The port space.
        transport: Transport,
        /// The whole new set.
        ports: PortSet,
    },
    /// End the connector: everything goes to quarantine and it is forgotten entirely.
    Disconnect,
}

/// Who a stack says it is, on connect and attach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// The connector's name.
    pub name: ConnectorName,
    /// Machine, boot, process.
    pub identity: Identity,
    /// Length of the promised lease in ms; 0 = none: the connector never expires by itself.
    pub promise_ms: u64,
    /// Whether the stop at the deadline is enforced where packets are sent (protocol.md R3).
    pub enforced: bool,
}

/// A connector as requests name it: slot and incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The connector's slot.
    pub slot: u32,
    /// The life that asks; only the newest may act.
    pub incarnation: Incarnation,
}

/// A membership as requests name it: slot and the lsn of the join, so that a slot used again is
/// never mistaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The membership's slot.
    pub slot: u32,
    /// The lsn of its join.
    pub joined: Lsn,
}

/// A range of ports: `count` ports from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// 1 to 65,535.
    pub first: u16,
    /// At least 1; `first + count - 1` is at most 65,535.
    pub count: u16,
}

/// What an operator sets per list. Zero means "not set" everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Most ports one connector may hold in the list; 0 = no limit.
    pub quota: u32,
    /// Whole free groups that a connector already holding one may not take: 0 to 1,024.
    pub reserve: u16,
    /// Quarantine in ms, 1,000 to 86,400,000; 0 = the facility's default (120 s).
    pub quarantine_ms: u32,
    /// Clean-up by deadline, ms after it; stored, and never fires until an enforcer exists.
    pub clean_up_ms: u64,
}

/// What a request caused, once it is durable. The facility adds the history id and the lsns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Done, or nothing was to do.
    Done,
    /// Connected: the new connector.
    Connected(Actor),
    /// Attached or resumed: everything the structure has for this connector (protocol.md R7).
    Attached {
        /// The connector, with its incarnation.
        actor: Actor,
        /// Every list it has joined.
        memberships: Vec<Membership>,
        /// Every grant, by list, group and lsn.
        grants: Vec<Grant>,
        /// Why nothing is granted at present, if so.
        stopped: Option<StopCause>,
    },
    /// Joined, or was a member already.
    Joined(Membership),
    /// Granted; for a repeated request, those of its grants that are still held.
    Granted(Vec<Grant>),
    /// A repeated acquire or claim whose grants are all gone (protocol.md R13).
    GrantedAndGone,
}

/// One list that a connector has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The membership.
    pub member: Member,
    /// The list.
    pub target: Target,
}

/// One grant as its holder sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The fencing token: the lsn that created it.
    pub lsn: Lsn,
    /// The membership that holds it.
    pub member: Member,
    /// The list.
    pub target: Target,
    /// The group.
    pub group: GroupNumber,
    /// Its ports in the group: 1 to 64 bits.
    pub mask: PortMask,
    /// The request that got it, numbered within the incarnation of that time; 0: it was adopted.
    /// While granting is stopped the free ports of an adopted one are not to be used.
    pub number: u32,
}
