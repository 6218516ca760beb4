//! What can be read of a structure without a request: owners, connectors, lists, what is due.
#![forbid(unsafe_code)]

use super::Context;
use super::Structure;
use super::item::ConnectorState;
use super::request::{Actor, Member, Policy};
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::Target;

/// Who has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Nothing is in quarantine, or there is no such list.
    None,
    /// Nothing is due before this moment of the boot clock.
    At(BootMs),
    /// Everything whose hold ended at or below this lsn is due.
    Now(Lsn),
}

impl Structure {
    /// Who has `port` of a list.
    #[must_use]
    pub fn owner(&self, _target: Target, _port: u16) -> PortOwner {
        unimplemented!("follows")
    }

    /// The connector of that name, unless it is forgotten.
    #[must_use]
    pub fn connector(&self, _name: &ConnectorName) -> Option<ConnectorView> {
        unimplemented!("follows")
    }

    /// All connectors that are not forgotten, by slot.
    pub fn connectors(&self) -> impl Iterator<Item = ConnectorView> {
        std::iter::empty()
    }

    /// All lists, by slot.
    pub fn lists(&self) -> impl Iterator<Item = ListView> {
        std::iter::empty()
    }

    /// The slot of a target's list.
    #[must_use]
    pub fn list_by_target(&self, _target: Target) -> Option<u32> {
        unimplemented!("follows")
    }

    /// What the list in a slot is for.
    #[must_use]
    pub fn list_target(&self, _list: u32) -> Option<Target> {
        unimplemented!("follows")
    }

    /// The membership of a connector in a target's list.
    #[must_use]
    pub fn member(&self, _connector: u32, _target: Target) -> Option<Member> {
        unimplemented!("follows")
    }

    /// When the quarantine of a list ends next: the front of its queue decides.
    #[must_use]
    pub fn quarantine_due(&self, _list: u32, _context: &Context) -> Due {
        unimplemented!("follows")
    }

    /// Appends the lists whose quarantine went from empty to not empty since the last call; after
    /// [`import`](Self::import), all whose quarantine is not empty.
    pub fn take_awakened(&mut self, _lists: &mut Vec<u32>) {
        unimplemented!("follows")
    }
}
