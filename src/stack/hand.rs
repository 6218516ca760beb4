//! What one stack holds of one DVIPA, and which of it is in use. No request is made here.
//!
//! A port is in exactly one place: in use, in the queue of free ones, or unread (granted to an
//! earlier life of the stack whose sockets nobody has looked at yet). Ports that went back are in
//! no hand at all.
#![forbid(unsafe_code)]

use super::order::Order;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::structure::Grant;
use crate::structure::Member;
use crate::structure::ReportedGrant;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

/// The grants of one DVIPA.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) member: Member,
    held: BTreeMap<Lsn, Held>,
    /// Ports that nobody uses, the longest unused first.
    free: VecDeque<(u16, Lsn)>,
    /// Distributed ports: the daemons' own, never given out as source ports.
    distributed: PortSet,
}

/// One grant.
#[derive(Clone, Copy, Debug)]
struct Held {
    group: GroupNumber,
    mask: PortMask,
    used: PortMask,
    /// From an earlier life; its sockets were not read yet.
    unread: bool,
    /// Of a lost history, and granting is stopped: what is in use stays, nothing is handed out
    /// (protocol.md R19).
    frozen: bool,
}

/// Ports of one grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) group: GroupNumber,
    pub(super) grant: Lsn,
    pub(super) mask: PortMask,
}

/// Where a port of a hand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// Not in this hand.
    Elsewhere,
    /// In use, or not known to be free.
    InUse,
    /// Free, under this grant.
    Free(Lsn),
}

impl Hand {
    pub(super) fn new(member: Member, distributed: PortSet) -> Self {
        Self { member, held: BTreeMap::new(), free: VecDeque::new(), distributed }
    }

    /// Takes up a grant: unread, or with `used` of its ports in use and the others free.
    pub(super) fn take_up(&mut self, grant: &Grant, used: PortMask, unread: bool, order: &mut Order) {
        let Grant { lsn, group, mask, .. } = *grant;
        self.held.insert(lsn, Held { group, mask, used: used.and(mask), unread, frozen: false });
        if !unread {
            self.free_all(lsn, order);
        }
    }

    /// Puts every port of a grant that is not in use into the queue, in an order of its own.
    fn free_all(&mut self, grant: Lsn, order: &mut Order) {
        let Some(held) = self.held.get(&grant) else { return };
        let mut ports: Vec<u16> = held.mask.without(held.used).ports(held.group).collect();
        ports.retain(|port| !self.distributed.contains(*port));
        order.shuffle(&mut ports);
        self.free.extend(ports.into_iter().map(|port| (port, grant)));
    }

    /// Keeps the free ports of a grant from being handed out, or lets them be again.
    pub(super) fn freeze(&mut self, grant: Lsn, frozen: bool, order: &mut Order) {
        let Some(held) = self.held.get_mut(&grant).filter(|held| held.frozen != frozen) else { return };
        held.frozen = frozen;
        if frozen {
            self.free.retain(|(_, of)| *of != grant);
        } else if !held.unread {
            self.free_all(grant, order);
        }
    }

    /// Takes a free port: any of the longer unused half, so that the next one cannot be guessed and
    /// one just returned does not come at once.
    pub(super) fn next(&mut self, order: &mut Order) -> Option<(u16, Lsn)> {
        let at = order.below(self.free.len() / 2);
        let (port, grant) = self.free.swap_remove_front(at)?;
        self.mark(grant, port, true);
        Some((port, grant))
    }

    /// Takes a named port, if it is free.
    pub(super) fn pick(&mut self, port: u16) -> Whereabouts {
        let group = GroupNumber::of_port(port);
        let covers = |held: &Held| held.group == group && held.mask.contains(PortMask::of_port(port));
        let Some((grant, _)) = self.held.iter().find(|(_, held)| covers(held)) else {
            return Whereabouts::Elsewhere;
        };
        let grant = *grant;
        let Some(at) = self.free.iter().position(|free| *free == (port, grant)) else {
            return Whereabouts::InUse;
        };
        self.free.remove(at);
        self.mark(grant, port, true);
        Whereabouts::Free(grant)
    }

    /// Takes a port back into the queue; false if it was not in use under that grant.
    pub(super) fn put_back(&mut self, grant: Lsn, port: u16) -> bool {
        let used = self.held.get(&grant).is_some_and(|held| {
            held.group == GroupNumber::of_port(port) && held.used.contains(PortMask::of_port(port))
        });
        if used {
            self.mark(grant, port, false);
            let frozen = self.held.get(&grant).is_some_and(|held| held.frozen);
            if !frozen && !self.distributed.contains(port) {
                self.free.push_back((port, grant));
            }
        }
        used
    }

    fn mark(&mut self, grant: Lsn, port: u16, in_use: bool) {
        if let Some(held) = self.held.get_mut(&grant) {
            let mask = PortMask::of_port(port);
            held.used = if in_use { held.used.or(mask) } else { held.used.without(mask) };
        }
    }

    /// Gives up whole idle grants as long as `keep` free ports stay; those that were idle longest
    /// go first.
    pub(super) fn give_up_idle(&mut self, keep: u32) -> Vec<Part> {
        let is_idle = |held: &Held| held.used.is_empty() && !held.unread && !held.frozen;
        let mut idle: BTreeSet<Lsn> =
            self.held.iter().filter(|(_, held)| is_idle(held)).map(|(grant, _)| *grant).collect();
        let longest_first = self.free.iter().map(|(_, grant)| *grant).filter(|grant| idle.remove(grant));
        let mut idle_grants: Vec<Lsn> = longest_first.collect();
        idle_grants.extend(idle);
        let mut left = self.free_count();
        let mut parts = Vec::new();
        for grant in idle_grants {
            let count = self.held.get(&grant).map_or(0, |held| held.mask.count());
            if left.saturating_sub(count) >= keep {
                left = left.saturating_sub(count);
                parts.extend(self.give_up(grant));
            }
        }
        if !parts.is_empty() {
            self.forget_free();
        }
        parts
    }

    /// Gives up everything, used or not.
    pub(super) fn give_up_all(&mut self) -> Vec<Part> {
        self.free.clear();
        let held = std::mem::take(&mut self.held);
        held.into_iter().map(|(grant, held)| Part { group: held.group, grant, mask: held.mask }).collect()
    }

    /// Reads what an earlier life left: of each unread grant the ports in `in_use` stay, in use.
    /// Returns those that stay and what is given up.
    pub(super) fn read(&mut self, in_use: &PortSet) -> (Vec<(u16, Lsn)>, Vec<Part>) {
        let (mut stay, mut parts) = (Vec::new(), Vec::new());
        for (grant, held) in self.held.iter_mut().filter(|(_, held)| held.unread) {
            let used = held.mask.and(in_use.mask(held.group));
            let idle = held.mask.without(used);
            *held = Held { mask: used, used, unread: false, ..*held };
            stay.extend(used.ports(held.group).map(|port| (port, *grant)));
            if !idle.is_empty() {
                parts.push(Part { group: held.group, grant: *grant, mask: idle });
            }
        }
        self.held.retain(|_, held| !held.mask.is_empty());
        (stay, parts)
    }

    /// Makes a grant what the facility says it is: `mask`, maybe nothing. Returns the ports that
    /// are in the hand no more, and whether they were in use.
    pub(super) fn cut(&mut self, grant: Lsn, mask: PortMask) -> Option<(Part, PortMask)> {
        let held = self.held.get_mut(&grant)?;
        let lost = held.mask.without(mask);
        if lost.is_empty() {
            return None;
        }
        let used = held.used.and(lost);
        let part = Part { group: held.group, grant, mask: lost };
        held.mask = held.mask.and(mask);
        held.used = held.used.and(mask);
        if held.mask.is_empty() {
            self.held.remove(&grant);
        }
        self.forget_free();
        Some((part, used))
    }

    fn give_up(&mut self, grant: Lsn) -> Option<Part> {
        let held = self.held.remove(&grant)?;
        Some(Part { group: held.group, grant, mask: held.mask })
    }

    /// Drops what is no longer held from the queue.
    fn forget_free(&mut self) {
        let held = &self.held;
        self.free
            .retain(|(port, grant)| held.get(grant).is_some_and(|held| held.mask.contains(PortMask::of_port(*port))));
    }

    /// The ports of a grant; `None` if it is not held.
    pub(super) fn mask(&self, grant: Lsn) -> Option<PortMask> {
        self.held.get(&grant).map(|held| held.mask)
    }

    /// Every grant with all its ports, for the report at an attach.
    pub(super) fn reported(&self, target: Target) -> impl Iterator<Item = ReportedGrant> {
        let reported =
            move |(lsn, held): (&Lsn, &Held)| ReportedGrant { lsn: *lsn, target, group: held.group, mask: held.mask };
        self.held.iter().map(reported)
    }

    /// Every grant's token.
    pub(super) fn grants(&self) -> Vec<Lsn> {
        self.held.keys().copied().collect()
    }

    /// Ports that can be taken at once.
    pub(super) fn free_count(&self) -> u32 {
        count(self.free.len())
    }

    /// Grants, and ports held, in use, unread.
    pub(super) fn counts(&self) -> [u32; 4] {
        let sum = |of: fn(&Held) -> PortMask| self.held.values().map(|held| of(held).count()).sum();
        let unread = |held: &Held| if held.unread { held.mask } else { PortMask::NONE };
        [count(self.held.len()), sum(|held| held.mask), sum(|held| held.used), sum(unread)]
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
