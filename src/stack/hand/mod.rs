//! What one stack holds of one list, and where each of its ports is. No request is made here.
//!
//! [`Ports`] is the part that needs no lock: who takes or returns a port touches nothing else.
//! [`Hand`] is the rest, behind the stack's lock: the grants, the ports that rest, and what may not
//! be handed out. A port that went back is in no hand at all.
#![forbid(unsafe_code)]

mod bits;
mod grants;
mod ports;
mod rest;
mod ring;
mod shared;
#[cfg(all(test, feature = "shuttle"))]
mod shuttled;
mod tuples;
mod words;

pub(super) use grants::Part;
pub(super) use ports::{Given, Ports};
pub(super) use tuples::Ends;
pub(super) use words::Place;

use self::grants::Held;
use self::rest::Rest;
use super::order::Order;
use crate::ident::BootMs;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::structure::Grant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Free ports that are mixed with new ones, so that a group's last ports cannot be told from it.
const MIX_MAX: usize = 256;

/// The grants of one list, and the ports that are not to be handed out.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) ports: Arc<Ports>,
    held: BTreeMap<Lsn, Held>,
    /// Whether a grant may be frozen. Nearly never: what comes back asks this first.
    any_frozen: bool,
    /// Never handed out: outside the allowable set, distributed, or another hand's.
    barred: PortSet,
    rest: Rest,
    order: Order,
}

/// Where a port is that was asked for by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Picked {
    /// Not in this hand.
    Elsewhere,
    /// In use, or not known to be free.
    InUse,
    /// It was free or resting, and is the caller's under this grant.
    Taken(Lsn),
}

/// How many ports are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) grants: u32,
    pub(super) ports: u32,
    pub(super) in_use: u32,
    pub(super) free: u32,
    pub(super) resting: u32,
    pub(super) unadopted: u32,
}

impl Hand {
    pub(super) fn new(order: Order) -> Self {
        Self {
            ports: Arc::new(Ports::new(&order)),
            held: BTreeMap::new(),
            any_frozen: false,
            barred: PortSet::empty(),
            rest: Rest::default(),
            order,
        }
    }

    /// Sets TIMEWAITINTERVAL, ms: how long a returned port rests.
    pub(super) fn set_rest(&mut self, interval_ms: u64) {
        self.rest.set_interval(interval_ms);
        self.ports.tuples.set_rests(interval_ms > 0);
    }

    /// Takes up a grant: unread, or with `used` of its ports in use and the others free.
    pub(super) fn take_up(&mut self, grant: &Grant, used: PortMask, unread: bool) {
        let Grant { lsn, group, mask, .. } = *grant;
        self.held.insert(lsn, Held { group, mask, unread, frozen: false });
        let mut free = Vec::new();
        for port in mask.ports(group) {
            let word = self.ports.words.make(port);
            word.reset_connections(lsn);
            word.put(
                lsn,
                match () {
                    () if used.contains(PortMask::of_port(port)) => Place::Used,
                    () if unread || self.barred.contains(port) => Place::Kept,
                    () if self.rest.has(port) => Place::Resting,
                    () => {
                        free.push(port);
                        Place::Free
                    }
                },
            );
        }
        self.hand_out(free);
    }

    /// Puts ports whose word says that they are free into the queue, mixed with those that are there.
    fn hand_out(&mut self, mut free: Vec<u16>) {
        if free.is_empty() {
            return;
        }
        for _ in 0..MIX_MAX {
            free.extend(self.ports.free.pop());
        }
        self.order.shuffle(&mut free);
        free.into_iter().for_each(|port| self.ports.free.push(port));
    }

    /// Takes in what came back, and lets those go whose rest is over.
    pub(super) fn look(&mut self, now: BootMs) {
        let mut over = Vec::new();
        self.ports.returned.drain(|port| self.rest.begin(now, port, &mut over));
        self.rest.end(now, &mut over);
        over.retain(|port| self.rested(*port));
        self.hand_out(over);
    }

    /// A port came back, and maybe the queue had no room for it.
    pub(super) fn came_back(&mut self, now: BootMs, port: u16) {
        self.look(now);
        if self.ports.look(port).0 != Place::Resting || self.rest.has(port) {
            return;
        }
        self.ports.returned.grow();
        let mut over = Vec::new();
        self.rest.begin(now, port, &mut over);
        over.retain(|port| self.rested(*port));
        self.hand_out(over);
    }

    /// A port has rested: true if it is free now.
    fn rested(&self, port: u16) -> bool {
        let Some(word) = self.ports.words.get(port) else { return false };
        let (place, grant) = word.look();
        if place != Place::Resting {
            return false;
        }
        let place = if self.is_frozen(grant) || self.barred.contains(port) { Place::Kept } else { Place::Free };
        word.put(grant, place);
        place == Place::Free
    }

    /// TIMEWAITINTERVAL has passed once more.
    pub(super) fn turn(&self) {
        self.ports.tuples.turn();
    }

    /// Takes a named port, if nobody uses it: whoever names a port answers for its rest.
    pub(super) fn pick(&self, port: u16) -> Picked {
        let Some(word) = self.ports.words.get(port) else { return Picked::Elsewhere };
        let rested = || if self.is_frozen(word.look().1) { None } else { word.take(Place::Resting, Place::Used) };
        let taken = word.take(Place::Free, Place::Used).or_else(rested);
        match (taken, word.look().0) {
            (Some(grant), _) => Picked::Taken(grant),
            (None, Place::Nowhere) => Picked::Elsewhere,
            (None, _) => Picked::InUse,
        }
    }

    /// Sets which ports are not handed out. Those in use stay in use.
    pub(super) fn bar(&mut self, barred: PortSet) {
        if self.barred == barred {
            return;
        }
        self.barred = barred;
        let grants: Vec<(Lsn, Held)> = self.held.iter().map(|(grant, held)| (*grant, *held)).collect();
        for (grant, held) in grants {
            self.sort_out(grant, held);
        }
    }

    /// Bars ports of one group as well.
    pub(super) fn bar_more(&mut self, group: GroupNumber, mask: PortMask) {
        let mut words = *self.barred.words();
        words[group.index()] |= mask.0;
        self.barred = PortSet::from_words(words);
        for port in mask.ports(group) {
            if let Some(word) = self.ports.words.get(port) {
                word.take(Place::Free, Place::Kept);
            }
        }
    }

    /// Keeps the free ports of a grant from being handed out, or lets them be again.
    pub(super) fn freeze(&mut self, grant: Lsn, frozen: bool) {
        let Some(held) = self.held.get_mut(&grant).filter(|held| held.frozen != frozen) else { return };
        held.frozen = frozen;
        let held = *held;
        self.any_frozen = self.held.values().any(|held| held.frozen);
        self.sort_out(grant, held);
    }

    fn is_frozen(&self, grant: Lsn) -> bool {
        self.any_frozen && self.held.get(&grant).is_some_and(|held| held.frozen)
    }

    /// Moves the idle ports of a grant to where they belong.
    fn sort_out(&mut self, grant: Lsn, held: Held) {
        let Held { group, mask, unread, frozen } = held;
        let mut free = Vec::new();
        for port in mask.ports(group) {
            let Some(word) = self.ports.words.get(port) else { continue };
            let keep = unread || frozen || self.barred.contains(port);
            match word.look() {
                (Place::Free, of) if of == grant && keep => {
                    word.change(grant, Place::Free, Place::Kept);
                }
                (Place::Kept, of) if of == grant && !keep => {
                    let place = if self.rest.has(port) { Place::Resting } else { Place::Free };
                    word.put(grant, place);
                    free.extend((place == Place::Free).then_some(port));
                }
                _ => {}
            }
        }
        self.hand_out(free);
    }

    /// Free ports that are there, counted one by one.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (grant, held) in &self.held {
            counts.grants += 1;
            counts.ports += held.mask.count();
            if held.unread {
                counts.unadopted += held.mask.count();
                continue;
            }
            for port in held.mask.ports(held.group) {
                match self.ports.look(port) {
                    (place, of) if of != *grant => debug_assert_eq!(place, Place::Nowhere),
                    (Place::Free, _) => counts.free += 1,
                    (Place::Resting, _) => counts.resting += 1,
                    (Place::Used | Place::Shared, _) => counts.in_use += 1,
                    (Place::Kept | Place::Nowhere, _) => {}
                }
            }
        }
        counts
    }
}
