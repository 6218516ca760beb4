//! The stack's own ports: those of local addresses without SYSPLEXPORTS, and of the unspecified
//! address where no explicit-bind pool is configured. No facility knows of them.
//!
//! They are taken group by group, like granted ones, and from no group that a list has granted: a
//! socket bound to the unspecified address would meet one bound to the DVIPA. Where a list is
//! granted a group that own ports are in use in, those ports are not handed out by the list before
//! they are free.
#![forbid(unsafe_code)]

use super::core::Core;
use super::hand::{Hand, Picked, Place, Ports};
use super::order::Order;
use super::view::View;
use crate::ident::BootMs;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;
use crate::profile::DvipaDefinition;
use crate::profile::Profile;
use crate::structure::Grant;
use crate::structure::Member;

/// The stack's own ports.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) hand: Hand,
    /// Groups in the order in which they are taken.
    groups: Vec<GroupNumber>,
    taken: Vec<GroupNumber>,
    /// How often it was started over: ports of earlier times keep their tokens.
    times: u64,
}

impl Own {
    pub(super) fn new(mut order: Order) -> Self {
        let mut groups: Vec<GroupNumber> = GroupNumber::all().collect();
        order.shuffle(&mut groups);
        Self { hand: Hand::new(order), groups, taken: Vec::new(), times: 0 }
    }

    /// Takes the next group with a port that may be handed out; false if there is none.
    fn next_group(&mut self, allowable: &PortSet, granted: &PortSet) -> bool {
        while let Some(group) = self.groups.pop() {
            self.taken.push(group);
            let mask = allowable.mask(group).without(granted.mask(group));
            if !mask.is_empty() {
                self.take_group(group, allowable.mask(group));
                return true;
            }
        }
        false
    }

    fn take_group(&mut self, group: GroupNumber, mask: PortMask) {
        // A token of its own for each group: nobody outside of this hand looks at it.
        let lsn = Lsn(self.times * u64::from(GroupNumber::COUNT) + u64::from(group.number()));
        let member = Member { slot: 0, joined: Lsn(0) };
        let mask = mask.without(self.in_hand(group));
        let grant = Grant { lsn, member, target: Target::Pool(Transport::Tcp), group, mask, number: 0 };
        self.hand.take_up(&grant, PortMask::NONE, false);
    }

    /// Takes one named port, if it is nobody's.
    fn take_named(&mut self, port: u16, allowable: &PortSet) -> bool {
        let group = GroupNumber::of_port(port);
        if let Some(at) = self.groups.iter().position(|of| *of == group) {
            self.groups.swap_remove(at);
            self.taken.push(group);
            self.take_group(group, allowable.mask(group));
        }
        matches!(self.hand.pick(port), Picked::Taken(_))
    }

    /// A list was granted these ports: they are handed out here no more. Returns those in use.
    pub(super) fn make_way(&mut self, group: GroupNumber, mask: PortMask) -> PortMask {
        self.hand.bar_more(group, mask);
        self.in_use(group).and(mask)
    }

    /// Whether any port was ever taken: before that no hand is in the way of another.
    pub(super) fn is_touched(&self) -> bool {
        self.touched().next().is_some()
    }

    /// Groups that may have ports in use.
    fn touched(&self) -> impl Iterator<Item = GroupNumber> {
        let left_over = self.hand.all().map(|(group, _)| group);
        self.taken.iter().copied().chain(left_over)
    }

    fn in_use(&self, group: GroupNumber) -> PortMask {
        self.ports_in(group, |place| matches!(place, Place::Used | Place::Shared))
    }

    /// Ports that an earlier time has left here.
    fn in_hand(&self, group: GroupNumber) -> PortMask {
        self.ports_in(group, |place| place != Place::Nowhere)
    }

    fn ports_in(&self, group: GroupNumber, is_meant: impl Fn(Place) -> bool) -> PortMask {
        let ports = PortMask(u64::MAX).ports(group).filter(|port| is_meant(self.hand.ports.look(*port).0));
        ports.map(PortMask::of_port).fold(PortMask::NONE, PortMask::or)
    }

    /// Starts over with another allowable set: what is in use stays in use.
    fn start_over(&mut self) {
        self.groups.append(&mut self.taken);
        self.times += 1;
        self.hand.give_up_unused();
    }
}

impl Core {
    /// Takes one of the stack's own ports with `take`.
    pub(super) fn own_take<T>(
        &mut self,
        now: BootMs,
        allowable: &PortSet,
        take: impl Fn(&Ports) -> Option<T>,
    ) -> Option<T> {
        self.own.hand.look(now);
        loop {
            if let Some(taken) = take(&self.own.hand.ports) {
                return Some(taken);
            }
            let granted = self.granted_ports();
            self.bar_own(allowable, &granted);
            if !self.own.next_group(allowable, &granted) {
                return None;
            }
        }
    }

    /// A named one of the stack's own ports; false if somebody has it.
    pub(super) fn own_named(&mut self, now: BootMs, port: u16, allowable: &PortSet) -> bool {
        self.own.hand.look(now);
        let granted = self.granted_ports();
        self.bar_own(allowable, &granted);
        self.own.take_named(port, allowable)
    }

    /// Every port that a list has granted to this stack.
    fn granted_ports(&self) -> PortSet {
        let mut words = [0; GroupNumber::COUNT as usize];
        for (group, mask) in self.lists.values().flat_map(|list| list.hand.all()) {
            words[group.index()] |= mask.0;
        }
        PortSet::from_words(words)
    }

    fn bar_own(&mut self, allowable: &PortSet, granted: &PortSet) {
        let barred = |at: usize| !allowable.words()[at] | granted.words()[at];
        self.own.hand.bar(PortSet::from_words(std::array::from_fn(barred)));
    }

    /// Sets what every hand hands out, by the profile and by what the others have in use.
    pub(super) fn sort_out(&mut self, view: &View) {
        let View { profile, allowable, own_allowable, .. } = view;
        let granted = self.granted_ports();
        self.bar_own(own_allowable, &granted);
        let mut own = [0; GroupNumber::COUNT as usize];
        for group in self.own.touched() {
            own[group.index()] = self.own.in_use(group).0;
        }
        for (target, list) in &mut self.lists {
            let barred = barred(*target, profile, allowable);
            list.hand.bar(PortSet::from_words(std::array::from_fn(|at| barred.words()[at] | own[at])));
        }
    }

    /// The allowable set changed: own ports that are free are taken anew.
    pub(super) fn start_own_over(&mut self) {
        self.own.start_over();
    }
}

/// The ports that the stack may use for its own: allowable ones that it distributes for no DVIPA.
pub(super) fn own_allowable(profile: &Profile) -> PortSet {
    let mut ports = profile.allowable(Transport::Tcp);
    for (first, last) in profile.dvipas.iter().flat_map(distributed) {
        ports.remove_range(first, last);
    }
    ports
}

/// The ports that are distributed for a DVIPA, first and last inclusive.
fn distributed(definition: &DvipaDefinition) -> impl Iterator<Item = (u16, u16)> {
    definition.distributions.iter().flat_map(|distribution| distribution.ports.iter().copied())
}

/// What a list does not hand out: ports that the profile does not allow as source ports, and
/// distributed ones, which are the daemons' own. The pool's range needs not lie in EPHEMERALPORTS.
fn barred(target: Target, profile: &Profile, allowable: &PortSet) -> PortSet {
    let Target::List(dvipa, _) = target else { return PortSet::empty() };
    let mut barred = PortSet::from_words(std::array::from_fn(|at| !allowable.words()[at]));
    for (first, last) in profile.dvipa(dvipa).into_iter().flat_map(distributed) {
        barred.insert_range(first, last);
    }
    barred
}
