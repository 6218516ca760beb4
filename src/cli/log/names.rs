//! Names for the numbers that records use, learnt from the records that came before.
#![forbid(unsafe_code)]

use crate::ident::ConnectorName;
use crate::ident::Lsn;
use crate::ident::Target;
use crate::structure::Change;
use crate::structure::Event;
use crate::structure::Item;
use std::collections::BTreeMap;

/// Which name a number has at present. A number may be used again after its holder is forgotten.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    connectors: BTreeMap<u32, (ConnectorName, Lsn)>,
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
                Item::Connector { connector, name, incarnation, .. } => {
                    names.connectors.insert(connector, (name, Lsn(incarnation.0)));
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
            Change::Connected { connector, name, .. } => {
                self.connectors.insert(*connector, (name.clone(), lsn));
            }
            Change::Attached { connector, .. } => {
                if let Some((_, incarnation)) = self.connectors.get_mut(connector) {
                    *incarnation = lsn;
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
        self.connectors.get(&slot).map(|(name, incarnation)| (name, *incarnation))
    }

    pub(crate) fn list(&self, slot: u32) -> Option<Target> {
        self.lists.get(&slot).copied()
    }

    /// The connector's and the list's number of a membership.
    pub(crate) fn member(&self, slot: u32) -> Option<(u32, u32)> {
        self.members.get(&slot).copied()
    }
}
