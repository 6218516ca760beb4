//! What can be read of a structure without a request: owners, connectors, lists, what is due.
#![forbid(unsafe_code)]

use super::Context;
use super::Structure;
use super::connector::Connector;
use super::item::ConnectorState;
use super::list::List;
use super::refusal::Refusal;
use super::request::{Actor, Member, Policy, PortRange};
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::ident::Transport;
use serde::{Deserialize, Serialize};

/// Who has a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortOwner {
    /// There is no such list.
    NoList,
    /// Nobody.
    Free,
    /// A connector.
    Held {
        /// Its name.
        connector: ConnectorName,
        /// Its newest incarnation.
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

/// One connector as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorView {
    /// Its name.
    pub name: ConnectorName,
    /// Its slot and newest incarnation.
    pub actor: Actor,
    /// Active or failed-persistent.
    pub state: ConnectorState,
    /// Who it is.
    pub identity: Identity,
    /// Promised lease, ms; 0 = none.
    pub promise_ms: u64,
    /// Whether an enforcer stops it at the deadline.
    pub enforced: bool,
    /// Ports it holds in all lists.
    pub held_ports: u32,
}

/// One list as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListView {
    /// Its slot.
    pub list: u32,
    /// What it is for.
    pub target: Target,
    /// False once deleted.
    pub open: bool,
    /// Its policy.
    pub policy: Policy,
    /// How many have joined it.
    pub members: u32,
    /// Ports held.
    pub held_ports: u32,
    /// Ports in quarantine.
    pub quarantined_ports: u32,
}

/// When quarantine of a list ends next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing is in quarantine, there is no such list, or the store was restored and granting is
    /// stopped: then no quarantine ends.
    None,
    /// Nothing is due before this moment of the boot clock.
    At(BootMs),
    /// Everything whose hold ended at or below this lsn is due.
    Now(Lsn),
}

impl Structure {
    /// Who has `port` of a list.
    #[must_use]
    pub fn owner(&self, target: Target, port: u16) -> PortOwner {
        let Some(list) = self.by_target.get(&target).map(|list| &self.lists[*list]) else {
            return PortOwner::NoList;
        };
        let (group, mask) = (GroupNumber::of_port(port), PortMask::of_port(port).0);
        if let Some(held) = self.holdings.grants(list, group).find(|held| held.mask & mask != 0) {
            let connector = &self.connectors[self.members[held.member].connector];
            let (grant, incarnation) = (held.lsn, connector.incarnation);
            return PortOwner::Held { connector: connector.name.clone(), incarnation, grant, group };
        }
        match list.queue.iter().find(|resting| resting.group == group && resting.mask & mask != 0) {
            Some(resting) => {
                let connector = self.connectors[resting.connector].name.clone();
                PortOwner::Quarantined { connector, since: resting.lsn }
            }
            None => PortOwner::Free,
        }
    }

    /// The connector of that name, unless it is forgotten.
    #[must_use]
    pub fn connector(&self, name: &ConnectorName) -> Option<ConnectorView> {
        let slot = *self.by_name.get(name)?;
        Some(view(slot, &self.connectors[slot]))
    }

    /// The connector in a slot, unless it is forgotten.
    #[must_use]
    pub fn connector_at(&self, slot: u32) -> Option<ConnectorView> {
        let connector = self.connectors.get(slot)?;
        (connector.state != ConnectorState::Forgotten).then(|| view(slot, connector))
    }

    /// Whether `actor` may act: the newest incarnation, active, attached at or after `open_first`
    /// (protocol.md R11, R17).
    ///
    /// # Errors
    /// [`Refusal::UnknownConnector`], [`Refusal::StaleIncarnation`], [`Refusal::MustAttach`].
    pub fn may_act(&self, actor: Actor, open_first: Lsn) -> Result<(), Refusal> {
        self.acting(actor, open_first).map(drop)
    }

    /// All connectors that are not forgotten, by slot.
    pub fn connectors(&self) -> impl Iterator<Item = ConnectorView> {
        let known = self.connectors.iter().filter(|(_, connector)| connector.state != ConnectorState::Forgotten);
        known.map(|(slot, connector)| view(slot, connector))
    }

    /// How many connectors are not forgotten.
    #[must_use]
    pub fn connectors_count(&self) -> u32 {
        u32::try_from(self.by_name.len()).expect("at most 65,536 connectors")
    }

    /// All lists, by slot.
    pub fn lists(&self) -> impl Iterator<Item = ListView> {
        self.lists.iter().map(|(slot, list)| list_view(slot, list))
    }

    /// How many lists there are, open and closed.
    #[must_use]
    pub fn lists_count(&self) -> u32 {
        self.lists.count()
    }

    /// The slot of a target's list.
    #[must_use]
    pub fn list_by_target(&self, target: Target) -> Option<u32> {
        self.by_target.get(&target).copied()
    }

    /// What the list in a slot is for.
    #[must_use]
    pub fn list_target(&self, list: u32) -> Option<Target> {
        self.lists.get(list).map(|list| list.target)
    }

    /// The membership of a connector (by slot) in a target's list.
    #[must_use]
    pub fn member(&self, connector: u32, target: Target) -> Option<Member> {
        let list = self.by_target.get(&target)?;
        let slot = *self.connectors.get(connector)?.members.get(list)?;
        Some(Member { slot, joined: self.members[slot].joined })
    }

    /// Whose a membership slot is, and in which list: (connector slot, name, target).
    #[must_use]
    pub fn member_of(&self, member: u32) -> Option<(u32, &ConnectorName, Target)> {
        let joined = self.members.get(member)?;
        Some((joined.connector, &self.connectors[joined.connector].name, self.lists[joined.list].target))
    }

    /// The name behind a connector's slot, also of a forgotten one.
    #[must_use]
    pub fn connector_name(&self, connector: u32) -> Option<&ConnectorName> {
        self.connectors.get(connector).map(|connector| &connector.name)
    }

    /// The explicit-bind range in force.
    #[must_use]
    pub fn range(&self, transport: Transport) -> Option<PortRange> {
        self.ranges[transport.index()]
    }

    /// When the quarantine of a list ends next: the front of its queue decides. One that is due
    /// later than those behind it holds them back: too long is safe.
    #[must_use]
    pub fn quarantine_due(&self, list: u32, context: &Context) -> Due {
        let Some(list) = self.lists.get(list).filter(|_| !self.is_restored()) else { return Due::None };
        let length_ms = match list.policy.quarantine_ms {
            0 => context.quarantine_ms,
            set => set,
        };
        // protocol.md R22: what an earlier boot put here counts anew from the first open since.
        let due = |lsn: Lsn, from: BootMs| {
            let start = if lsn >= context.floor.lsn { from } else { context.floor.at };
            start.plus(u64::from(length_ms))
        };
        let Some(front) = list.queue.front() else { return Due::None };
        let mut up_to = None;
        for resting in &list.queue {
            if due(resting.lsn, resting.from) > context.now {
                break;
            }
            up_to = Some(resting.lsn);
        }
        up_to.map_or(Due::At(due(front.lsn, front.from)), Due::Now)
    }

    /// Appends the lists whose quarantine went from empty to not empty since the last call; after
    /// [`import`](Self::import), and when granting goes on, all whose quarantine is not empty. Some may be gone by then.
    pub fn take_awakened(&mut self, lists: &mut Vec<u32>) {
        lists.append(&mut self.awakened);
    }
}

pub(super) fn list_view(slot: u32, list: &List) -> ListView {
    ListView {
        list: slot,
        target: list.target,
        open: list.open,
        policy: list.policy,
        members: u32::try_from(list.members.len()).expect("at most one per connector"),
        held_ports: list.held,
        quarantined_ports: list.quarantined,
    }
}

fn view(slot: u32, connector: &Connector) -> ConnectorView {
    ConnectorView {
        name: connector.name.clone(),
        actor: Actor { slot, incarnation: connector.incarnation },
        state: connector.state,
        identity: connector.identity,
        promise_ms: connector.promise_ms,
        enforced: connector.enforced,
        held_ports: connector.held,
    }
}
