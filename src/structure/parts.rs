//! Parts of a structure, for those who show it: some lists in full, what there is room for, when
//! quarantine ends. Each costs what the part is, not what the structure is.
#![forbid(unsafe_code)]

use super::ClockFloor;
use super::ListView;
use super::Structure;
use super::item::ConnectorState;
use super::item::Item;
use super::items;
use super::list::List;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::Target;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What a list could still give, in ports: 0 to 65,536.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Free ports that at least one of its stacks may be given.
    pub grantable: u32,
    /// The same if no port of it were held or in quarantine.
    pub grantable_max: u32,
}

/// What a connector has, over all lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Lists that it has joined.
    pub lists: u32,
    /// Grants.
    pub grants: u32,
    /// Ports.
    pub ports: u32,
}

impl Structure {
    /// The items of some lists, by slot, and of nothing else: head, ranges, these lists, the
    /// connectors that they name, memberships, grants and quarantine, in canonical order. Unknown slots
    /// have no items.
    pub fn items_of(&self, lists: &BTreeSet<u32>) -> impl Iterator<Item = Item> {
        let known: Vec<(u32, &List)> = lists.iter().filter_map(|slot| Some((*slot, self.lists.get(*slot)?))).collect();
        let members: BTreeSet<u32> = known.iter().flat_map(|(_, list)| list.members.iter().copied()).collect();
        let joined = members.iter().map(|member| self.members[*member].connector);
        let resting = known.iter().flat_map(|(_, list)| list.queue.iter().map(|resting| resting.connector));
        let connectors: BTreeSet<u32> = joined.chain(resting).collect();
        let mut found = vec![self.head_item()];
        found.extend(self.range_items());
        found.extend(known.iter().map(|(slot, list)| items::list_item(*slot, list)));
        found.extend(connectors.iter().map(|slot| items::connector_item(*slot, &self.connectors[*slot])));
        found.extend(members.iter().map(|slot| items::member_item(*slot, &self.members[*slot])));
        for (_, list) in &known {
            found.extend(self.grant_items(list));
        }
        let quarantine = known.into_iter().flat_map(|(slot, list)| items::quarantine_items(slot, list));
        found.into_iter().chain(quarantine)
    }

    /// The list in a slot.
    #[must_use]
    pub fn list_at(&self, list: u32) -> Option<ListView> {
        self.lists.get(list).map(|found| super::status::list_view(list, found))
    }

    /// Groups of a list with a port held or in quarantine.
    #[must_use]
    pub fn groups_in_use(&self, list: u32) -> u32 {
        self.lists.get(list).map_or(0, |list| u32::from(GroupNumber::COUNT) - list.whole_free.count())
    }

    /// What a list could still give. `None` for an unknown list, and where no stack that has joined has
    /// told which ports it allows: then nobody can say.
    #[must_use]
    pub fn room(&self, list: u32) -> Option<Room> {
        let list = self.lists.get(list)?;
        let transport = list.target.transport().index();
        let pool = self.pools[transport].as_deref();
        let mut allowed = [0_u64; GroupNumber::COUNT as usize];
        match list.target {
            Target::Pool(_) => {
                let pool = pool?;
                GroupNumber::all().for_each(|group| allowed[group.index()] = pool.range.mask(group));
            }
            Target::List(..) => {
                let of = |member: &u32| self.connectors[self.members[*member].connector].sets[transport];
                let sets: BTreeSet<u32> = list.members.iter().filter_map(of).collect();
                if sets.is_empty() {
                    return None;
                }
                for set in sets {
                    let words = self.sets[set].ports.words();
                    allowed.iter_mut().zip(words).for_each(|(all, word)| *all |= word);
                }
            }
        }
        let mut room = Room::default();
        for group in GroupNumber::all() {
            let barred = match (list.target, pool) {
                (Target::List(..), Some(pool)) => pool.barred.mask(group),
                _ => 0,
            };
            let used_by_lists = match (list.target, pool) {
                (Target::Pool(_), Some(pool)) => pool.used.mask(group),
                _ => 0,
            };
            let may = allowed[group.index()] & !barred;
            room.grantable_max += may.count_ones();
            room.grantable += (may & !used_by_lists & self.holdings.masks(list, group).free()).count_ones();
        }
        Some(room)
    }

    /// What some connectors have, by slot: one look at each list that one of them has joined.
    #[must_use]
    pub fn holdings_of(&self, connectors: &BTreeSet<u32>) -> BTreeMap<u32, Holding> {
        let mut found: BTreeMap<u32, Holding> = BTreeMap::new();
        let mut lists = BTreeSet::new();
        for slot in connectors {
            let Some(connector) = self.connectors.get(*slot) else { continue };
            let joined = u32::try_from(connector.members.len()).unwrap_or(u32::MAX);
            found.insert(*slot, Holding { lists: joined, grants: 0, ports: connector.held });
            lists.extend(
                connector.members.iter().filter(|(_, member)| self.members[**member].held > 0).map(|(list, _)| *list),
            );
        }
        for list in lists {
            for held in self.holdings.grants_of(&self.lists[list]) {
                if let Some(holding) = found.get_mut(&self.members[held.member].connector) {
                    holding.grants += 1;
                }
            }
        }
        found
    }

    /// The lists that a connector has joined, by slot, with the ports that it holds in each.
    pub fn lists_of(&self, connector: u32) -> impl Iterator<Item = (u32, u32)> {
        let members = self.connectors.get(connector).into_iter().flat_map(|known| &known.members);
        members.map(|(list, member)| (*list, self.members[*member].held))
    }

    /// The slot of a connector that is not forgotten.
    #[must_use]
    pub fn connector_slot(&self, name: &ConnectorName) -> Option<u32> {
        self.by_name.get(name).copied().filter(|slot| self.connectors[*slot].state != ConnectorState::Forgotten)
    }

    /// When what is in quarantine of a list is free again, in the order of its queue: the lsn that ended
    /// the hold, and the moment of the boot clock. One that is due later holds back those behind it.
    /// `None` while no quarantine ends: granting is stopped because the store was restored.
    #[must_use]
    pub fn quarantine_ends(&self, list: u32, floor: ClockFloor, quarantine_ms: u32) -> Option<Vec<(Lsn, BootMs)>> {
        if self.is_restored() {
            return None;
        }
        let Some(list) = self.lists.get(list) else { return Some(Vec::new()) };
        let length = u64::from(if list.policy.quarantine_ms == 0 { quarantine_ms } else { list.policy.quarantine_ms });
        let mut latest = BootMs(0);
        let ends = list.queue.iter().map(|resting| {
            let start = if resting.lsn >= floor.lsn { resting.from } else { floor.at };
            latest = latest.max(start.plus(length));
            (resting.lsn, latest)
        });
        Some(ends.collect())
    }
}
