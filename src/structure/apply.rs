//! Makes events happen. Nothing here chooses or refuses: what does not fit is a bug.
#![forbid(unsafe_code)]

use super::Structure;
use super::connector::AllowableSet;
use super::connector::Connector;
use super::event::{Change, Event, Stamp};
use super::holdings::NewGrant;
use super::item::ConnectorState;
use super::list::Joined;
use super::list::List;
use super::list::Resting;
use super::request::Introduction;
use super::retry::Executed;
use super::retry::Window;
use super::stop::Stop;
use crate::ident::BootMs;
use crate::ident::GroupNumber;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use std::num::NonZeroU32;

/// When a hold ended: by which event, and from when its quarantine counts.
#[derive(Clone, Copy)]
struct End {
    lsn: Lsn,
    from: BootMs,
}

impl Structure {
    /// Makes an event happen, at boot-clock time `at`. Only for events that [`decide`](Self::decide)
    /// returned for this state, in order, or that [`fits`](Self::fits) found possible.
    ///
    /// # Panics
    /// If the event cannot be applied: then memory is not to be trusted any longer.
    pub fn apply(&mut self, lsn: Lsn, at: BootMs, event: &Event) {
        debug_assert_eq!(self.fits(lsn, event), Ok(()), "only events that fit are applied");
        assert!(lsn > self.lsn, "lsns only grow");
        self.lsn = lsn;
        self.note_request(lsn, event);
        let end = End { lsn, from: at };
        match &event.change {
            Change::Connected { connector, name, identity, promise_ms, enforced } => {
                let (name, identity) = (name.clone(), *identity);
                let introduction =
                    Introduction { name: name.clone(), identity, promise_ms: *promise_ms, enforced: *enforced };
                self.connectors.insert(*connector, Connector::new(lsn, introduction));
                self.by_name.insert(name, *connector);
            }
            Change::Attached { connector, identity, promise_ms, enforced } => {
                self.attach(*connector, *identity, end);
                let connector = &mut self.connectors[*connector];
                (connector.promise_ms, connector.enforced) = (*promise_ms, *enforced);
            }
            Change::Disconnected { connector } => self.forget(*connector, end),
            Change::Failed { connector, .. } => self.connectors[*connector].state = ConnectorState::FailedPersistent,
            Change::CleanedUp { connector, from, .. } => self.forget(*connector, End { lsn, from: *from }),
            Change::Defined { list, target } => {
                self.ensure_list(*list, *target);
                let list = &mut self.lists[*list];
                (list.open, list.defined) = (true, true);
            }
            Change::Deleted { list } => {
                self.lists[*list].open = false;
                self.lists[*list].defined = false;
                self.retire_if_over(*list);
            }
            Change::Joined { connector, list, member, target } => {
                self.ensure_list(*list, *target);
                let joined = Joined { connector: *connector, list: *list, joined: lsn, last_group: None, held: 0 };
                self.members.insert(*member, joined);
                self.lists[*list].members.insert(*member);
                self.connectors[*connector].members.insert(*list, *member);
            }
            Change::Left { member } => self.end_membership(*member, end),
            Change::Granted { member, group, mask } => {
                let number = match event.stamp {
                    Stamp::First { number, .. } | Stamp::Next { number } => number,
                    Stamp::None => 0,
                };
                let made = NewGrant { lsn, mask: mask.0, member: *member, number };
                self.make_grant(*group, made);
            }
            Change::Released { member, group, grant, mask } => {
                self.end_hold(*member, *group, *grant, *mask, end);
            }
            Change::Ready { list, up_to } => self.end_quarantine(*list, *up_to),
            Change::SetStored { set, ports, .. } => {
                let stored = AllowableSet::new(ports.clone());
                self.by_content.insert(stored.digest, *set);
                self.sets.insert(*set, stored);
            }
            Change::AllowableSet { connector, transport, set } => {
                self.sets[*set].uses += 1;
                let before = self.connectors[*connector].sets[transport.index()].replace(*set);
                self.drop_set(before);
            }
            Change::PolicySet { list, policy } => self.lists[*list].policy = *policy,
            Change::RangeSet { transport, range } => {
                self.ranges[transport.index()] = *range;
                self.rebuild_pool(*transport);
            }
            Change::Stopped { cause, connector, lsn: highest, .. } => {
                let fresh = Stop { cause: *cause, since: lsn, from: at, highest: *highest, adopted: 0 };
                self.note_stop(fresh, *connector);
            }
            Change::Revoked { member, group, grant, mask } => {
                self.end_hold(*member, *group, *grant, *mask, end);
            }
            Change::Adopted { member, group, mask, grant } => {
                let made = NewGrant { lsn: *grant, mask: mask.0, member: *member, number: 0 };
                self.make_grant(*group, made);
                if let Some(stop) = &mut self.stop {
                    stop.highest = stop.highest.max(*grant);
                    stop.adopted = stop.adopted.saturating_add(mask.count());
                }
            }
            Change::Resumed { .. } => self.note_resumed(),
        }
    }

    /// Remembers which request an event belongs to, as long as it may be repeated.
    fn note_request(&mut self, lsn: Lsn, event: &Event) {
        let Some(slot) = self.stack_of(event) else { return };
        let window = &mut self.connectors[slot].window;
        match event.stamp {
            Stamp::None => {}
            Stamp::First { number, below, hash } => {
                let places = window.places();
                window.insert(number, number - u32::from(below), Executed { hash, first: lsn, count: NonZeroU32::MIN });
                self.window_places = self.window_places - places + window.places();
            }
            Stamp::Next { number } => window.extend(number),
        }
    }

    /// The connector whose request causes such a change; `None` where no stack asks for it.
    pub(super) fn stack_of(&self, event: &Event) -> Option<u32> {
        match &event.change {
            Change::Joined { .. } if event.stamp == Stamp::None && self.adopts() => None,
            Change::Disconnected { connector }
            | Change::Joined { connector, .. }
            | Change::SetStored { connector, .. }
            | Change::AllowableSet { connector, .. } => Some(*connector),
            Change::Left { member } | Change::Granted { member, .. } | Change::Released { member, .. } => {
                Some(self.members.get(*member)?.connector)
            }
            _ => None,
        }
    }

    fn attach(&mut self, slot: u32, identity: Identity, end: End) {
        // protocol.md R6: another boot has none of the old one's sockets.
        if self.connectors[slot].is_other_boot(&identity) {
            self.end_memberships(slot, end);
            self.connectors[slot].boot_since = end.lsn;
        }
        let connector = &mut self.connectors[slot];
        self.window_places -= connector.window.places();
        connector.window = Window::new();
        connector.incarnation = Incarnation(end.lsn.0);
        connector.state = ConnectorState::Active;
        connector.identity = identity;
    }

    /// Ends a connector; its slot stays taken while a port in quarantine names it.
    fn forget(&mut self, slot: u32, end: End) {
        self.end_memberships(slot, end);
        let connector = &mut self.connectors[slot];
        self.window_places -= connector.window.places();
        connector.forget();
        self.by_name.remove(&connector.name);
        let sets = std::mem::take(&mut connector.sets);
        sets.into_iter().for_each(|set| self.drop_set(set));
        self.free_slot_if_unnamed(slot);
    }

    fn free_slot_if_unnamed(&mut self, slot: u32) {
        let connector = &self.connectors[slot];
        if connector.state == ConnectorState::Forgotten && connector.resting == 0 {
            self.connectors.remove(slot);
        }
    }

    fn drop_set(&mut self, set: Option<u32>) {
        let Some(set) = set else { return };
        self.sets[set].uses -= 1;
        if self.sets[set].uses == 0 {
            let gone = self.sets.remove(set);
            self.by_content.remove(&gone.digest);
        }
    }

    fn ensure_list(&mut self, list: u32, target: Target) {
        if self.lists.get(list).is_none() {
            self.lists.insert(list, List::new(target, self.lsn));
            self.by_target.insert(target, list);
            if matches!(target, Target::Pool(_)) {
                self.rebuild_pool(target.transport());
            }
        }
    }

    /// Removes a list that nothing keeps, with its memberships, which hold nothing.
    fn retire_if_over(&mut self, slot: u32) {
        if !self.lists[slot].is_over() {
            return;
        }
        let list = self.lists.remove(slot);
        for member in list.members {
            let joined = self.members.remove(member);
            self.connectors[joined.connector].members.remove(&slot);
        }
        self.by_target.remove(&list.target);
        if matches!(list.target, Target::Pool(_)) {
            self.rebuild_pool(list.target.transport());
        }
    }

    fn end_memberships(&mut self, slot: u32, end: End) {
        let members: Vec<u32> = self.connectors[slot].members.values().copied().collect();
        members.into_iter().for_each(|member| self.end_membership(member, end));
    }

    fn end_membership(&mut self, member: u32, end: End) {
        let joined = self.members[member];
        let list = &self.lists[joined.list];
        if joined.held > 0 {
            let held = self.holdings.grants_of(list).filter(|held| held.member == member);
            let held: Vec<_> = held.map(|held| (held.group, held.lsn, held.mask)).collect();
            for (group, grant, mask) in held {
                self.end_hold(member, group, grant, PortMask(mask), end);
            }
        }
        self.members.remove(member);
        self.lists[joined.list].members.remove(&member);
        self.connectors[joined.connector].members.remove(&joined.list);
        self.retire_if_over(joined.list);
    }

    fn make_grant(&mut self, group: GroupNumber, made: NewGrant) {
        let joined = self.members[made.member];
        let target = self.lists[joined.list].target;
        let masks = self.holdings.masks(&self.lists[joined.list], group);
        let resting = masks.quarantined & made.mask;
        if resting != 0 {
            self.take_back(joined.list, group, resting);
        }
        if made.mask & !resting != 0 {
            self.note_taken(target, group, made.mask & !resting);
        }
        let ports = made.mask.count_ones();
        let place = self.holdings.grant(&mut self.lists[joined.list], group, made);
        if made.number != 0 {
            let latest = self.latest.len() as u64;
            self.latest[usize::try_from(made.lsn.0 % latest).expect("below a length")] = place;
        }
        let member = &mut self.members[made.member];
        member.held += ports;
        if made.mask == u64::MAX {
            member.last_group = Some(group);
        }
        self.connectors[joined.connector].held += ports;
    }

    /// Takes ports out of quarantine for a grant: what its holder released itself, or, when a grant
    /// is adopted, anybody's.
    fn take_back(&mut self, slot: u32, group: GroupNumber, mask: u64) {
        let list = &mut self.lists[slot];
        self.holdings.end_quarantine(list, group, mask);
        let mut gone = Vec::new();
        for resting in list.queue.iter_mut().filter(|resting| resting.group == group && resting.mask & mask != 0) {
            resting.mask &= !mask;
            gone.extend((resting.mask == 0).then_some(resting.connector));
        }
        list.queue.retain(|resting| resting.mask != 0);
        for connector in gone {
            self.connectors[connector].resting -= 1;
            self.free_slot_if_unnamed(connector);
        }
    }

    /// Every way out of "held" comes through here (protocol.md R22).
    fn end_hold(&mut self, member: u32, group: GroupNumber, grant: Lsn, mask: PortMask, end: End) {
        let joined = &mut self.members[member];
        joined.held -= mask.count();
        let list = &mut self.lists[joined.list];
        self.holdings.end_hold(list, group, grant, mask.0);
        if list.queue.is_empty() {
            self.awakened.push(joined.list);
        }
        let connector = &mut self.connectors[joined.connector];
        connector.held -= mask.count();
        connector.resting += 1;
        list.queue.push_back(Resting {
            lsn: end.lsn,
            mask: mask.0,
            from: end.from,
            boot_since: connector.boot_since,
            connector: joined.connector,
            group,
        });
    }

    fn end_quarantine(&mut self, slot: u32, up_to: Lsn) {
        while let Some(resting) = self.lists[slot].queue.pop_front_if(|resting| resting.lsn <= up_to) {
            let list = &mut self.lists[slot];
            let target = list.target;
            self.holdings.end_quarantine(list, resting.group, resting.mask);
            self.note_freed(target, resting.group, resting.mask);
            self.connectors[resting.connector].resting -= 1;
            self.free_slot_if_unnamed(resting.connector);
        }
        self.retire_if_over(slot);
    }
}
