//! A structure's state as a list of plain facts, in one canonical order: what a checkpoint stores,
//! a digest covers, a dump prints and a watcher is given first.
#![forbid(unsafe_code)]

use super::request::{Policy, PortRange};
use super::stop::StopCause;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::StructureName;
use crate::ident::Target;
use crate::ident::Transport;
use serde::{Deserialize, Serialize};

/// One fact. The canonical order is that of the variants, and within one that of the numbers:
/// ranges by transport; sets, lists, connectors and members by slot; window entries by connector
/// and number; grants by list, group and lsn; quarantine by list and place in its queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// Exactly one, first.
    Head {
        /// The structure's name.
        name: StructureName,
        /// The last lsn applied.
        lsn: Lsn,
    },
    /// Granting is stopped: at most one.
    Stop {
        /// Why.
        cause: StopCause,
        /// The lsn of the event that brought this cause.
        since: Lsn,
        /// The boot clock at that event.
        from: BootMs,
        /// The highest lsn that a stack knows of.
        highest: Lsn,
        /// Ports adopted.
        adopted: u32,
    },
    /// An explicit-bind range in force.
    Range {
        /// The port space.
        transport: Transport,
        /// The range.
        range: PortRange,
    },
    /// The content of an allowable set.
    Set {
        /// Its slot.
        set: u32,
        /// Its ports.
        ports: PortSet,
    },
    /// A list.
    List {
        /// Its slot.
        list: u32,
        /// What it is for.
        target: Target,
        /// The lsn that created it.
        created: Lsn,
        /// False once it was deleted and waits to be empty.
        open: bool,
        /// Whether `define` made it or spoke for it: such a list stays without members.
        defined: bool,
        /// Its policy.
        policy: Policy,
    },
    /// A connector, or what is remembered of one while its ports are in quarantine.
    Connector {
        /// Its slot.
        connector: u32,
        /// Its name.
        name: ConnectorName,
        /// Its newest incarnation.
        incarnation: Incarnation,
        /// Its state.
        state: ConnectorState,
        /// Who it is.
        identity: Identity,
        /// The lsn at which its present boot was first seen.
        boot_since: Lsn,
        /// Promised lease, ms; 0 = none.
        promise_ms: u64,
        /// Whether an enforcer stops it at the deadline.
        enforced: bool,
        /// Allowable sets by transport.
        sets: [Option<u32>; 2],
        /// The lowest request number that may still be presented.
        window_lowest: u32,
    },
    /// A request that had an effect and may still be repeated.
    Window {
        /// The connector's slot.
        connector: u32,
        /// The request's number.
        number: u32,
        /// Hash of its body.
        hash: u64,
        /// Its first event's lsn.
        first: Lsn,
        /// How many events it had, at least 1.
        count: u32,
    },
    /// A membership.
    Member {
        /// Its slot.
        member: u32,
        /// The connector's slot.
        connector: u32,
        /// The list's slot.
        list: u32,
        /// The lsn of the join.
        joined: Lsn,
        /// The group it got last, whole, in this list.
        last_group: Option<GroupNumber>,
    },
    /// A grant.
    Grant {
        /// Its token.
        lsn: Lsn,
        /// Who holds it.
        member: u32,
        /// The group.
        group: GroupNumber,
        /// The ports.
        mask: PortMask,
        /// The request that got it; 0: it was adopted.
        number: u32,
    },
    /// Ports in quarantine.
    Quarantine {
        /// The lsn that ended the hold.
        lsn: Lsn,
        /// The list's slot.
        list: u32,
        /// The group.
        group: GroupNumber,
        /// The ports.
        mask: PortMask,
        /// The connector that held them.
        connector: u32,
        /// That connector's boot, as the lsn at which it was first seen.
        boot_since: Lsn,
        /// Quarantine counts from here, on the boot clock of the lsn's history.
        from: BootMs,
    },
}

/// What a connector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConnectorState {
    /// Alive as far as is known.
    Active,
    /// Its stack is gone; its groups are kept for it.
    FailedPersistent,
    /// Disconnected or cleaned up: only its name is kept, until its last port leaves quarantine.
    /// No verb shows it as a connector.
    Forgotten,
}

impl ConnectorState {
    /// As in JSON and displays.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::FailedPersistent => "failed-persistent",
            Self::Forgotten => "forgotten",
        }
    }
}
