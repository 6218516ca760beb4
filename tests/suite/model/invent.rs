//! Requests at random: mostly sensible ones, often enough stale, foreign or doubled.

use super::plain::{LISTS, PORT_FIRST, PORTS, Port, STACKS};
use super::{Pair, name, target};
use portplex::ident::{
    BootId, ConnectorName, Identity, Incarnation, MachineId, PortMask, PortSet, ProcessId, Transport,
};
use portplex::structure::{Actor, Body, Introduction, Policy, PortRange, Request};

impl Pair {
    pub(super) fn next(&mut self) -> u64 {
        if self.chosen.is_chosen() {
            return self.chosen.next();
        }
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 16
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next()).expect("64 bits") % count
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn any<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let place = self.below(all.len().max(1));
        all.get(place).cloned()
    }

    /// Connects all stacks, gives each a set, joins all lists.
    pub(super) fn set_up(&mut self) {
        for stack in 0..STACKS {
            let introduction = self.introduction(stack);
            self.ask(&Request::Connect(introduction));
            let actor = *self.actors.last().expect("connected");
            let joins = (0..LISTS).map(|list| Body::Join { target: target(list) });
            for (number, body) in (1..).zip(joins.chain([self.invent_set()])) {
                self.ask(&Request::Stack { actor, number, lowest: number, body });
            }
        }
    }

    /// Now and then one of the last requests again.
    pub(super) fn sent_before(&mut self) -> Option<Request> {
        let back = self.below(12);
        let again = self.one_in(8);
        self.sent.iter().rev().nth(back).filter(|_| again).cloned()
    }

    pub(super) fn invent(&mut self) -> Request {
        let stack = self.below(STACKS);
        if let Some(request) = self.invent_while_stopped(stack) {
            return request;
        }
        let known = self.plain.stacks[stack].as_ref();
        let waits = known.is_some_and(|known| known.failed || known.incarnation < self.plain.open_first);
        match known.map(|_| ()) {
            None if !self.one_in(3) => Request::Connect(self.introduction(stack)),
            Some(_) if waits && self.one_in(4) => self.invent_clean_up(stack),
            Some(_) if waits && !self.one_in(3) => Request::Attach(self.introduction(stack)),
            _ if self.one_in(4) => self.invent_unnumbered(stack),
            _ => self.invent_numbered(stack),
        }
    }

    fn introduction(&mut self, stack: usize) -> Introduction {
        let moved = u128::from(self.one_in(12));
        if self.one_in(8) {
            self.boots[stack] += 1;
        }
        let (machine, boot) = (MachineId(stack as u128 * 2 + moved), BootId(self.boots[stack]));
        let identity = Identity { machine, boot, process: ProcessId(1) };
        Introduction { name: name(stack), identity, promise_ms: 0, enforced: self.one_in(2) }
    }

    fn invent_unnumbered(&mut self, stack: usize) -> Request {
        let list = self.below(LISTS);
        let known = self.plain.stacks[stack].as_ref().map_or(1, |stack| stack.incarnation);
        let (name, incarnation) = (name(stack), Incarnation(known.saturating_sub(u64::from(self.one_in(8)))));
        match self.below(24) {
            0 => Request::Define { target: target(list) },
            1 => Request::Delete { target: target(list) },
            2 | 3 => {
                let quota = [0, 0, 40, 100][self.below(4)];
                let reserve = [0, 0, 0, 1, 2][self.below(5)];
                let quarantine_ms = [0, 0, 1_000, 5_000][self.below(4)];
                let policy = Policy { quota, reserve, quarantine_ms, clean_up_ms: 0 };
                Request::SetPolicy { target: target(list), policy }
            }
            4 => {
                let first = self.below(PORTS);
                let count = 1 + self.below((PORTS - first).min(100));
                let port = |number| u16::try_from(number).expect("few");
                let range = PortRange { first: PORT_FIRST + port(first), count: port(count) };
                let range = (!self.one_in(2)).then_some(range);
                Request::SetRange { transport: Transport::Tcp, range }
            }
            5 => Request::Connect(self.introduction(stack)),
            6 => Request::Attach(self.introduction(stack)),
            7 => Request::Resume { name, incarnation, identity: self.introduction(stack).identity },
            8 => Request::MarkFailed { name, incarnation, by: None },
            9 => self.invent_clean_up(stack),
            _ => match self.real.list_by_target(target(list)) {
                Some(list) => Request::EndQuarantine { list },
                None => Request::Define { target: target(list) },
            },
        }
    }

    fn invent_clean_up(&mut self, stack: usize) -> Request {
        let known = self.plain.stacks[stack].as_ref().map_or(1, |stack| stack.incarnation);
        let by = ConnectorName::new("OP").expect("a name");
        let (name, incarnation) = (name(stack), Incarnation(known));
        Request::CleanUp { name, incarnation, by, boot_is_dead: self.one_in(2) }
    }

    fn invent_numbered(&mut self, stack: usize) -> Request {
        let known = self.plain.stacks[stack].as_ref();
        let newest = known.map(|known| Actor { slot: known.slot, incarnation: Incarnation(known.incarnation) });
        let highest = known.map_or(1, |known| known.done.keys().next_back().map_or(known.lowest - 1, |last| *last));
        let actor = if self.one_in(16) { self.any(&self.actors.clone()) } else { newest };
        let Some(actor) = actor else { return Request::Connect(self.introduction(stack)) };
        let number = if self.one_in(16) { highest } else { highest + 1 };
        let back = u32::try_from(self.below(16)).expect("few");
        let lowest = if self.one_in(40) { number + 1 } else { number.saturating_sub(back).max(1) };
        Request::Stack { actor, number, lowest, body: self.invent_body(stack) }
    }

    fn invent_body(&mut self, stack: usize) -> Body {
        let list = self.below(LISTS);
        let known = self.plain.stacks[stack].as_ref();
        let own = known.and_then(|known| known.joined[list]);
        let bare = known.is_none_or(|known| known.allowed.is_none());
        let any = self.any(&self.members.clone()).map(|(_, member)| member);
        let member = if self.one_in(24) { any } else { own };
        let Some(member) = member else { return Body::Join { target: target(list) } };
        match self.below(30) {
            0 => Body::Leave { member },
            _ if bare && self.one_in(2) => self.invent_set(),
            1..10 => {
                let at_least = u16::try_from(1 + self.below(3)).expect("few") - u16::from(self.one_in(20));
                Body::Acquire { member, at_least, at_most: at_least.max(1) + u16::from(self.one_in(2)) }
            }
            10..15 => {
                let place = self.resting_port(list).unwrap_or_else(|| self.below(PORTS));
                Body::Claim { member, port: PORT_FIRST + u16::try_from(place).expect("few") }
            }
            15..26 => {
                let holder = if self.one_in(10) { self.below(STACKS) } else { stack };
                let Some(grant) = self.some_grant(holder, list) else { return self.invent_set() };
                let part = PortMask(self.next() & self.next());
                let mask = if self.one_in(2) { part } else { PortMask::ALL };
                let mask = if self.one_in(10) { mask } else { mask.and(grant.mask) };
                Body::Release { member, group: grant.group, grant: grant.lsn, mask }
            }
            26 if self.one_in(4) => Body::Disconnect,
            26..29 => self.invent_set(),
            _ => Body::Join { target: target(list) },
        }
    }

    /// Now and then a port that is in quarantine.
    fn resting_port(&mut self, list: usize) -> Option<usize> {
        let ports = self.plain.lists[list].as_ref().map_or(&[][..], |list| &list.ports);
        let resting = (0..PORTS).zip(ports).filter(|(_, port)| matches!(port, Port::Resting { .. }));
        let resting: Vec<usize> = resting.map(|(place, _)| place).collect();
        self.any(&resting).filter(|_| self.one_in(3))
    }

    /// A grant that a stack was told of, mostly one that it still holds in this list.
    fn some_grant(&mut self, stack: usize, list: usize) -> Option<portplex::structure::Grant> {
        if self.one_in(10) {
            return self.any(&self.grants.clone());
        }
        let ports = self.plain.lists[list].as_ref().map_or(&[][..], |list| &list.ports);
        let held = ports.iter().filter_map(|port| match port {
            Port::Held { stack: holder, token } if *holder == stack => Some(*token),
            _ => None,
        });
        let token = self.any(&held.collect::<Vec<_>>())?;
        self.grants.iter().rev().find(|grant| grant.lsn.0 == token).copied()
    }

    fn invent_set(&mut self) -> Body {
        let mut ports = PortSet::empty();
        for _ in 0..1 + self.below(3) {
            let first = [0, 0, 64, 128, self.below(PORTS)][self.below(5)];
            let last = (first + [63, 63, 127, self.below(PORTS)][self.below(4)]).min(PORTS - 1);
            let port = |place| PORT_FIRST + u16::try_from(place).expect("few");
            ports.insert_range(port(first), port(last));
        }
        Body::SetAllowable { transport: Transport::Tcp, ports }
    }
}
