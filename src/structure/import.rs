//! A structure from its items, believing nothing.
#![forbid(unsafe_code)]

use super::Structure;
use super::audit::Fault;
use super::connector::AllowableSet;
use super::connector::Connector;
use super::decide::{CONNECTORS_MAX, LISTS_MAX, MEMBERS_MAX, SETS_MAX};
use super::holdings::NewGrant;
use super::item::{ConnectorState, Item};
use super::list::Joined;
use super::list::List;
use super::list::Resting;
use super::request::Introduction;
use super::retry;
use super::retry::Executed;
use super::retry::Window;
use super::stop::Stop;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Transport;
use std::num::NonZeroU32;

/// Why items make no structure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The first item is not the head, or there is a second one.
    #[error("the head must be the first item and the only one of its kind")]
    Head,
    /// An item that is out of the canonical order, or there twice.
    #[error("item {place} is out of order or there twice")]
    Order {
        /// Its place, counted from 0.
        place: u64,
    },
    /// An item that names what is not there, overlaps another one or has a number out of range.
    #[error("item {place} is impossible: {fault}")]
    Impossible {
        /// Its place, counted from 0.
        place: u64,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Every item is possible, but the whole is not.
    #[error("the items contradict each other: {first} ({count} faults)")]
    Audit {
        /// The first fault.
        first: Fault,
        /// How many.
        count: usize,
    },
}

impl Structure {
    /// The structure whose items, in canonical order, these are.
    ///
    /// # Errors
    /// [`ImportError`] says which item is wrong and why.
    pub fn import(items: impl Iterator<Item = Item>) -> Result<Self, ImportError> {
        let mut items = (0..).zip(items);
        let Some((0, Item::Head { name, lsn })) = items.next() else { return Err(ImportError::Head) };
        let mut structure = Self::new(name);
        structure.lsn = lsn;
        let mut before = None;
        for (place, item) in items {
            let key = structure.key(&item).ok_or(ImportError::Head)?;
            let repeats = matches!(item, Item::Quarantine { .. });
            if before.is_some_and(|before| before > key || (before == key && !repeats)) {
                return Err(ImportError::Order { place });
            }
            before = Some(key);
            structure.take_item(item).map_err(|(rule, slot)| {
                let fault = Fault { rule, place: format!("slot or number {slot}") };
                ImportError::Impossible { place, fault }
            })?;
        }
        for transport in Transport::ALL {
            structure.rebuild_pool(transport);
        }
        let resting = structure.lists.iter().filter(|(_, list)| !list.queue.is_empty());
        structure.awakened = resting.map(|(slot, _)| slot).collect();
        match structure.audit() {
            Ok(()) => Ok(structure),
            Err(mut faults) => {
                let count = faults.len();
                Err(ImportError::Audit { first: faults.swap_remove(0), count })
            }
        }
    }

    /// An item's place in the canonical order; `None` for a head, which comes before all.
    fn key(&self, item: &Item) -> Option<(u8, u64, u64, u64)> {
        Some(match item {
            Item::Head { .. } => return None,
            Item::Stop { .. } => (0, 0, 0, 0),
            Item::Range { transport, .. } => (1, transport.index() as u64, 0, 0),
            Item::Set { set, .. } => (2, u64::from(*set), 0, 0),
            Item::List { list, .. } => (3, u64::from(*list), 0, 0),
            Item::Connector { connector, .. } => (4, u64::from(*connector), 0, 0),
            Item::Window { connector, number, .. } => (5, u64::from(*connector), u64::from(*number), 0),
            Item::Member { member, .. } => (6, u64::from(*member), 0, 0),
            Item::Grant { member, group, lsn, .. } => {
                let list = self.members.get(*member).map_or(u32::MAX, |joined| joined.list);
                (7, u64::from(list), u64::from(group.number()), lsn.0)
            }
            Item::Quarantine { list, lsn, .. } => (8, u64::from(*list), lsn.0, 0),
        })
    }

    /// Takes one item, or says what of it is impossible.
    fn take_item(&mut self, item: Item) -> Result<(), (&'static str, u32)> {
        match item {
            Item::Head { .. } => Err(("there is one head", 0)),
            Item::Stop { cause, since, from, highest, adopted } => {
                self.stop = Some(Stop { cause, since, from, highest, adopted });
                Ok(())
            }
            Item::Range { transport, range } => {
                require(range.is_valid(), "a range is within 1 to 65,535", u32::from(range.first))?;
                self.ranges[transport.index()] = Some(range);
                Ok(())
            }
            Item::Set { set, ports } => {
                require(set < SETS_MAX, "a slot is below its limit", set)?;
                let stored = AllowableSet::new(ports);
                let known = self.by_content.insert(stored.digest, set);
                require(known.is_none(), "a content is stored once", set)?;
                self.sets.insert(set, stored);
                Ok(())
            }
            Item::List { list: slot, target, created, open, defined, policy } => {
                require(slot < LISTS_MAX, "a slot is below its limit", slot)?;
                let known = self.by_target.insert(target, slot);
                require(known.is_none(), "a target has one list", slot)?;
                let list = List { open, defined, policy, ..List::new(target, created) };
                self.lists.insert(slot, list);
                Ok(())
            }
            Item::Connector { .. } => self.take_connector(item),
            Item::Window { connector: slot, number, hash, first, count } => {
                let connector = self.connectors.get_mut(slot).ok_or(("a window is a connector's", slot))?;
                let alive = connector.state != ConnectorState::Forgotten && number != u32::MAX;
                let above = number.checked_sub(connector.window.lowest());
                let small = above.is_some_and(|above| above < retry::WINDOW_NUMBERS_MAX);
                require(alive && small, "a request is within its window", number)?;
                let count = NonZeroU32::new(count).ok_or(("a request remembered had an event", number))?;
                let places = connector.window.places();
                connector.window.insert(number, connector.window.lowest(), Executed { hash, first, count });
                self.window_places = self.window_places - places + connector.window.places();
                Ok(())
            }
            Item::Member { member, connector, list, joined, last_group } => {
                require(member < MEMBERS_MAX, "a slot is below its limit", member)?;
                let known = self.connectors.get_mut(connector).ok_or(("a member is a connector's", member))?;
                let in_list = self.lists.get_mut(list).ok_or(("a member is in a list", member))?;
                require(known.state != ConnectorState::Forgotten, "a forgotten connector has no member", member)?;
                let twice = known.members.insert(list, member);
                require(twice.is_none(), "a connector joins a list once", member)?;
                in_list.members.insert(member);
                self.members.insert(member, Joined { connector, list, joined, last_group, held: 0 });
                Ok(())
            }
            Item::Grant { lsn, member, group, mask, number } => {
                let joined = self.members.get_mut(member).ok_or(("a grant is a member's", member))?;
                let list = &mut self.lists[joined.list];
                let free = PortMask(self.holdings.masks(list, group).free());
                require(!mask.is_empty() && free.contains(mask), "a port is held by one grant", member)?;
                joined.held += mask.count();
                self.connectors[joined.connector].held += mask.count();
                self.holdings.grant(list, group, NewGrant { lsn, mask: mask.0, member, number });
                Ok(())
            }
            Item::Quarantine { lsn, list: slot, group, mask, connector, boot_since, from } => {
                let list = self.lists.get_mut(slot).ok_or(("quarantine is in a list", slot))?;
                let known = self.connectors.get_mut(connector).ok_or(("quarantine names a connector", connector))?;
                let free = PortMask(self.holdings.masks(list, group).free());
                require(!mask.is_empty() && free.contains(mask), "no port is held and in quarantine", slot)?;
                known.resting += 1;
                self.holdings.import_quarantined(list, group, mask.0);
                list.queue.push_back(Resting { lsn, mask: mask.0, from, boot_since, connector, group });
                Ok(())
            }
        }
    }

    fn take_connector(&mut self, item: Item) -> Result<(), (&'static str, u32)> {
        let Item::Connector {
            connector: slot,
            name,
            incarnation,
            state,
            identity,
            boot_since,
            promise_ms,
            enforced,
            sets,
            window_lowest,
        } = item
        else {
            unreachable!("called with a connector");
        };
        require(slot < CONNECTORS_MAX, "a slot is below its limit", slot)?;
        require(window_lowest > 0, "requests are numbered from 1", slot)?;
        if state != ConnectorState::Forgotten {
            let known = self.by_name.insert(name.clone(), slot);
            require(known.is_none(), "a name has one connector", slot)?;
        }
        for set in sets.into_iter().flatten() {
            let set = self.sets.get_mut(set).ok_or(("a connector's set is stored", slot))?;
            set.uses += 1;
        }
        let introduction = Introduction { name, identity, promise_ms, enforced };
        let window = Window::from_lowest(window_lowest);
        let fresh = Connector::new(Lsn(incarnation.0), introduction);
        self.connectors.insert(slot, Connector { state, boot_since, sets, window, ..fresh });
        Ok(())
    }
}

fn require(holds: bool, rule: &'static str, number: u32) -> Result<(), (&'static str, u32)> {
    if holds { Ok(()) } else { Err((rule, number)) }
}
