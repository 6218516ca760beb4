//! Names for the numbers that records use, learnt from the records that came before.
#![forbid(unsafe_code)]

use crate::ident::ConnectorName;
use crate::ident::Identity;
use crate::ident::Lsn;
use crate::ident::Target;
use crate::structure::Change;
use crate::structure::Event;
use crate::structure::Item;
use crate::structure::Structure;
use std::collections::BTreeMap;

/// Who knows names for the numbers that records use.
pub(crate) trait Naming {
    /// The name of a connector.
    fn connector_named(&self, slot: u32) -> Option<&ConnectorName>;
    /// What a list is for.
    fn list_named(&self, slot: u32) -> Option<Target>;
    /// The connector's and the list's number of a membership.
    fn member_named(&self, slot: u32) -> Option<(u32, u32)>;
}

impl Naming for Names {
    fn connector_named(&self, slot: u32) -> Option<&ConnectorName> {
        self.connector(slot).map(|(name, _)| name)
    }

    fn list_named(&self, slot: u32) -> Option<Target> {
        self.list(slot)
    }

    fn member_named(&self, slot: u32) -> Option<(u32, u32)> {
        self.member(slot)
    }
}

impl Naming for Structure {
    fn connector_named(&self, slot: u32) -> Option<&ConnectorName> {
        self.connector_name(slot)
    }

    fn list_named(&self, slot: u32) -> Option<Target> {
        self.list_target(slot)
    }

    fn member_named(&self, slot: u32) -> Option<(u32, u32)> {
        let (connector, _, target) = self.member_of(slot)?;
        Some((connector, self.list_by_target(target)?))
    }
}

/// A connector's number at present.
#[derive(Clone, Debug)]
struct Named {
    name: ConnectorName,
    incarnation: Lsn,
    identity: Identity,
}

/// Which name a number has at present. A number may be used again after its holder is forgotten.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    connectors: BTreeMap<u32, Named>,
    lists: BTreeMap<u32, Target>,
    members: BTreeMap<u32, (u32, u32)>,
}

impl Names {
    /// The names in a snapshot.
    pub(crate) fn of_items(items: impl Iterator<Item = Item>) -> Self {
        let mut names = Self::default();
        for item in items {
            match item {
                Item::List { list, target, .. } => drop(names.lists.insert(list, target)),
                Item::Connector { connector, name, incarnation, identity, .. } => {
                    names.connectors.insert(connector, Named { name, incarnation: Lsn(incarnation.0), identity });
                }
                Item::Member { member, connector, list, .. } => {
                    names.members.insert(member, (connector, list));
                }
                _ => {}
            }
        }
        names
    }

    /// Learns from a record; ask about it only after.
    pub(crate) fn learn(&mut self, lsn: Lsn, event: &Event) {
        match &event.change {
            Change::Connected { connector, name, identity, .. } => {
                let named = Named { name: name.clone(), incarnation: lsn, identity: *identity };
                self.connectors.insert(*connector, named);
            }
            Change::Attached { connector, identity, .. } => {
                if let Some(named) = self.connectors.get_mut(connector) {
                    (named.incarnation, named.identity) = (lsn, *identity);
                }
            }
            Change::Defined { list, target } => drop(self.lists.insert(*list, *target)),
            Change::Joined { connector, list, member, target } => {
                self.lists.insert(*list, *target);
                self.members.insert(*member, (*connector, *list));
            }
            _ => {}
        }
    }

    /// Name and incarnation; `None` if the record that told is no longer in the log.
    pub(crate) fn connector(&self, slot: u32) -> Option<(&ConnectorName, Lsn)> {
        self.connectors.get(&slot).map(|named| (&named.name, named.incarnation))
    }

    /// Machine, boot and process of its newest incarnation.
    pub(crate) fn identity(&self, slot: u32) -> Option<Identity> {
        self.connectors.get(&slot).map(|named| named.identity)
    }

    /// What a list is for, of every list that was named so far and whose number is not used again.
    pub(crate) fn targets(&self) -> impl Iterator<Item = Target> + '_ {
        self.lists.values().copied()
    }

    /// Takes over the names of `others` for numbers that have none here.
    pub(crate) fn complete(&mut self, others: Self) {
        for (slot, named) in others.connectors {
            self.connectors.entry(slot).or_insert(named);
        }
        for (slot, target) in others.lists {
            self.lists.entry(slot).or_insert(target);
        }
        for (slot, member) in others.members {
            self.members.entry(slot).or_insert(member);
        }
    }

    pub(crate) fn list(&self, slot: u32) -> Option<Target> {
        self.lists.get(&slot).copied()
    }

    /// The connector's and the list's number of a membership.
    pub(crate) fn member(&self, slot: u32) -> Option<(u32, u32)> {
        self.members.get(&slot).copied()
    }
}
