//! A structure too plain to be wrong: one enum per port, every rule as a loop over all of them.
//!
//! It shares nothing with the real one but the words of requests. It does not choose groups: what
//! was granted is handed in and judged.

use super::stopped::Stopped;
use portplex::ident::{GroupNumber, Lsn, PortMask, Transport};
use portplex::structure::{Actor, Body, Introduction, Member, Policy, Request};
use std::collections::{BTreeMap, BTreeSet};

/// Stacks, by name.
pub(super) const STACKS: usize = 3;
/// Two DVIPAs and the explicit-bind pool.
pub(super) const LISTS: usize = 3;
/// The pool's place among the lists.
pub(super) const POOL: usize = 2;
/// Ports looked at: three groups.
pub(super) const PORTS: usize = 192;
/// The first of them.
pub(super) const PORT_FIRST: u16 = 6_400;

pub(super) type PortFlags = [bool; PORTS];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Port {
    Free,
    Held { stack: usize, token: u64 },
    Resting { stack: usize, life: u64, boot_since: u64, since: u64, from: u64 },
}

#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) open: bool,
    pub(super) defined: bool,
    pub(super) policy: Policy,
    pub(super) ports: [Port; PORTS],
}

#[derive(Clone, Debug)]
pub(super) struct Stack {
    /// Unique for each connect.
    pub(super) life: u64,
    pub(super) slot: u32,
    pub(super) incarnation: u64,
    pub(super) failed: bool,
    pub(super) introduction: Introduction,
    pub(super) boot_since: u64,
    pub(super) allowed: Option<PortFlags>,
    pub(super) joined: [Option<Member>; LISTS],
    pub(super) lowest: u32,
    pub(super) done: BTreeMap<u32, (Body, u64, u32)>,
}

/// What must come of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Refused(&'static str),
    Nothing,
    Change,
    Repeat(u64, u32),
    /// An acquire: exactly that many groups, of which so many whole; the rest what is left.
    Groups {
        count: usize,
        whole: usize,
    },
    /// An acquire under quota or reserve: anything within them.
    SomeGroups,
}

#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) now: u64,
    pub(super) open_first: u64,
    pub(super) floor: (u64, u64),
    pub(super) quarantine_ms: u64,
    pub(super) deadline: Option<u64>,
    pub(super) range: Option<(u16, u16)>,
    pub(super) lists: [Option<List>; LISTS],
    pub(super) stacks: [Option<Stack>; STACKS],
    /// Slots by life: of connectors, and of those whose ports are still in quarantine.
    pub(super) slots: BTreeMap<u64, u32>,
    pub(super) stop: Option<Stopped>,
    /// Lists, groups and tokens that were adopted.
    pub(super) adopted: BTreeSet<(usize, GroupNumber, u64)>,
}

pub(super) fn flags(test: impl Fn(u16) -> bool) -> PortFlags {
    std::array::from_fn(|place| test(PORT_FIRST + u16::try_from(place).expect("192 ports")))
}

impl Plain {
    pub(super) fn alive_at(&self, slot: u32) -> Option<usize> {
        self.stacks.iter().position(|stack| stack.as_ref().is_some_and(|stack| stack.slot == slot))
    }

    pub(super) fn held(&self, stack: usize) -> u32 {
        (0..LISTS).map(|list| self.held_in(stack, list)).sum()
    }

    pub(super) fn held_in(&self, stack: usize, list: usize) -> u32 {
        let Some(list) = &self.lists[list] else { return 0 };
        let own = |port: &&Port| matches!(port, Port::Held { stack: holder, .. } if *holder == stack);
        u32::try_from(list.ports.iter().filter(own).count()).expect("192 ports")
    }

    pub(super) fn in_range(&self, place: usize) -> bool {
        let port = PORT_FIRST + u16::try_from(place).expect("192 ports");
        self.range.is_some_and(|(first, count)| port >= first && port - first < count)
    }

    pub(super) fn in_use(&self, list: usize, place: usize) -> bool {
        self.lists[list].as_ref().is_some_and(|list| list.ports[place] != Port::Free)
    }

    /// Ports of a list that a stack may be given if they are free.
    pub(super) fn allowable(&self, stack: usize, list: usize) -> Option<PortFlags> {
        if list == POOL {
            return Some(std::array::from_fn(|place| {
                self.in_range(place) && !self.in_use(0, place) && !self.in_use(1, place)
            }));
        }
        let allowed = self.stacks[stack].as_ref()?.allowed?;
        Some(std::array::from_fn(|place| allowed[place] && !self.in_range(place) && !self.in_use(POOL, place)))
    }

    /// Whether a stack may take this resting port back.
    fn is_own(&self, stack: usize, port: Port) -> bool {
        let known = self.stacks[stack].as_ref().map(|stack| (stack.life, stack.boot_since));
        matches!(port, Port::Resting { life, boot_since, .. } if known == Some((life, boot_since)))
    }

    pub(super) fn verdict(&self, request: &Request, list_of: impl Fn(&Request) -> usize) -> Verdict {
        let refused = Verdict::Refused;
        match request {
            Request::Define { .. } | Request::Delete { .. } | Request::SetPolicy { .. } | Request::SetRange { .. }
                if self.is_restored() =>
            {
                refused("grants-stopped")
            }
            Request::Define { .. } => match &self.lists[list_of(request)] {
                Some(list) if list.open && list.defined => Verdict::Nothing,
                _ => Verdict::Change,
            },
            Request::Delete { .. } => match &self.lists[list_of(request)] {
                None => refused("unknown-list"),
                Some(list) if !list.open => Verdict::Nothing,
                Some(_) => Verdict::Change,
            },
            Request::SetPolicy { policy, .. } => match &self.lists[list_of(request)] {
                None => refused("unknown-list"),
                Some(list) if list.policy == *policy => Verdict::Nothing,
                Some(_) => Verdict::Change,
            },
            Request::SetRange { transport, range } => {
                assert_eq!(*transport, Transport::Tcp);
                let same = range.map(|range| (range.first, range.count)) == self.range;
                if same { Verdict::Nothing } else { Verdict::Change }
            }
            Request::Connect(introduction) => match self.named(introduction) {
                Some(_) => refused("connector-exists"),
                None => Verdict::Change,
            },
            Request::Attach(introduction) => {
                let Some((stack, known)) = self.named(introduction) else { return refused("unknown-connector") };
                let moved = known.introduction.identity.machine != introduction.identity.machine;
                if moved && (!known.failed || self.held(stack) > 0) {
                    return refused("other-machine");
                }
                Verdict::Change
            }
            Request::MarkFailed { name, incarnation, .. } => match self.by_name(name.as_str()) {
                None => refused("unknown-connector"),
                Some((_, known)) if known.incarnation != incarnation.0 => refused("stale-incarnation"),
                Some((_, known)) if known.failed => Verdict::Nothing,
                Some(_) => Verdict::Change,
            },
            Request::CleanUp { name, incarnation, boot_is_dead, .. } => match self.by_name(name.as_str()) {
                None => refused("unknown-connector"),
                Some((_, known)) if known.incarnation != incarnation.0 => refused("stale-incarnation"),
                Some((_, known)) if !known.failed => refused("not-failed"),
                Some(_) if *boot_is_dead => Verdict::Change,
                Some((_, known))
                    if known.introduction.enforced
                        && self.deadline.is_some_and(|at| at <= self.now)
                        && !self.is_restored() =>
                {
                    Verdict::Change
                }
                Some(_) => refused("boot-may-be-alive"),
            },
            Request::Resume { name, incarnation, identity } => match self.by_name(name.as_str()) {
                None => refused("unknown-connector"),
                Some((_, known)) if known.incarnation != incarnation.0 => refused("stale-incarnation"),
                Some((_, known)) if known.introduction.identity.machine != identity.machine => refused("other-machine"),
                Some((_, known)) => {
                    let same = known.introduction.identity == *identity;
                    let served = !known.failed && known.incarnation >= self.open_first;
                    if same && served { Verdict::Nothing } else { refused("must-attach") }
                }
            },
            Request::Stop { .. } | Request::Adopt { .. } | Request::ResumeGrants { .. } => self.stop_verdict(request),
            Request::EndQuarantine { .. } => match self.ready_up_to(list_of(request)) {
                Some(_) => Verdict::Change,
                None => Verdict::Nothing,
            },
            Request::Stack { actor, number, lowest, body } => {
                self.stack_verdict(actor, (*number, *lowest), body, list_of(request))
            }
        }
    }

    fn named(&self, introduction: &Introduction) -> Option<(usize, &Stack)> {
        self.by_name(introduction.name.as_str())
    }

    pub(super) fn by_name(&self, name: &str) -> Option<(usize, &Stack)> {
        let place = usize::from(name.as_bytes()[1] - b'0');
        Some((place, self.stacks[place].as_ref()?))
    }

    fn stack_verdict(&self, actor: &Actor, (number, lowest): (u32, u32), body: &Body, list: usize) -> Verdict {
        let refused = Verdict::Refused;
        let Some(stack) = self.alive_at(actor.slot) else { return refused("unknown-connector") };
        let known = self.stacks[stack].as_ref().expect("alive");
        if actor.incarnation.0 < known.incarnation {
            return refused("stale-incarnation");
        }
        if actor.incarnation.0 > known.incarnation || known.incarnation < self.open_first || known.failed {
            return refused("must-attach");
        }
        if self.is_restored() {
            return refused("grants-stopped");
        }
        if lowest == 0 || lowest > number {
            return refused("out-of-range");
        }
        if number < known.lowest {
            return refused("already-answered");
        }
        if let Some((before, first, count)) = known.done.get(&number) {
            return if before == body { Verdict::Repeat(*first, *count) } else { refused("request-id-reused") };
        }
        let member = match body {
            Body::Join { .. } => {
                return match &self.lists[list] {
                    Some(open) if !open.open => refused("closed"),
                    Some(_) if known.joined[list].is_some() => Verdict::Nothing,
                    _ => Verdict::Change,
                };
            }
            Body::SetAllowable { ports, .. } => {
                let same = known.allowed == Some(flags(|port| ports.contains(port)));
                return if same { Verdict::Nothing } else { Verdict::Change };
            }
            Body::Disconnect => return Verdict::Change,
            Body::Acquire { .. } | Body::Claim { .. } if self.stop.is_some() => return refused("grants-stopped"),
            Body::Acquire { at_least, at_most, .. } if *at_least == 0 || at_least > at_most => {
                return refused("out-of-range");
            }
            Body::Leave { member }
            | Body::Acquire { member, .. }
            | Body::Claim { member, .. }
            | Body::Release { member, .. } => *member,
        };
        if known.joined[list] != Some(member) {
            return refused("not-joined");
        }
        let there = self.lists[list].as_ref().expect("joined");
        match body {
            Body::Leave { .. } => return Verdict::Change,
            Body::Release { group, grant, mask, .. } => {
                return self.release_verdict(stack, list, group.port_first(), *grant, *mask);
            }
            _ if !there.open => return refused("closed"),
            _ => {}
        }
        let Some(allowable) = self.allowable(stack, list) else { return refused("no-allowable-set") };
        match body {
            Body::Claim { port, .. } => {
                let place = usize::from(*port - PORT_FIRST);
                let quota = there.policy.quota;
                match there.ports[place] {
                    _ if !allowable[place] => refused("port-excluded"),
                    Port::Held { .. } => refused("port-held"),
                    resting @ Port::Resting { .. } if !self.is_own(stack, resting) => refused("port-quarantined"),
                    _ if quota > 0 && self.held_in(stack, list) >= quota => refused("quota-exceeded"),
                    _ => Verdict::Change,
                }
            }
            Body::Acquire { at_least, at_most, .. } => {
                self.acquire_verdict(stack, list, usize::from(*at_least), usize::from(*at_most), &allowable)
            }
            _ => unreachable!("judged above"),
        }
    }

    fn release_verdict(&self, stack: usize, list: usize, port_first: u16, grant: Lsn, mask: PortMask) -> Verdict {
        if mask.is_empty() {
            return Verdict::Refused("out-of-range");
        }
        let start = usize::from(port_first - PORT_FIRST);
        let ports = &self.lists[list].as_ref().expect("joined").ports[start..start + 64];
        let holder = ports.iter().find_map(|port| match port {
            Port::Held { stack, token } if *token == grant.0 => Some(*stack),
            _ => None,
        });
        let named = (0..64).filter(|bit| mask.0 >> bit & 1 == 1);
        let all = named.map(|bit| ports[bit]).all(|port| port == Port::Held { stack, token: grant.0 });
        match holder {
            None => Verdict::Refused("stale-token"),
            Some(holder) if holder != stack => Verdict::Refused("not-owner"),
            Some(_) if all => Verdict::Change,
            Some(_) => Verdict::Refused("stale-token"),
        }
    }

    fn acquire_verdict(
        &self,
        stack: usize,
        list: usize,
        at_least: usize,
        at_most: usize,
        allowable: &PortFlags,
    ) -> Verdict {
        let there = self.lists[list].as_ref().expect("joined");
        if there.policy.quota > 0 || there.policy.reserve > 0 {
            return Verdict::SomeGroups;
        }
        let (mut whole, mut some, mut own) = (0, 0, 0);
        for start in (0..PORTS).step_by(64) {
            let places = start..start + 64;
            let free = places.clone().filter(|place| allowable[*place] && there.ports[*place] == Port::Free);
            let free = free.count();
            whole += usize::from(free == 64);
            some += usize::from(free > 0);
            let mut places = places;
            own += usize::from(places.any(|place| allowable[place] && self.is_own(stack, there.ports[place])));
        }
        let count = some.min(at_most);
        if count >= at_least {
            return Verdict::Groups { count, whole: whole.min(at_most) };
        }
        if some + own >= at_least {
            return Verdict::Groups { count: at_least, whole };
        }
        Verdict::Refused("exhausted")
    }

    /// Up to which lsn a list's quarantine is over: in lsn order, until the first that is not.
    pub(super) fn ready_up_to(&self, list: usize) -> Option<u64> {
        let list = self.lists[list].as_ref().filter(|_| !self.is_restored())?;
        let mut resting: Vec<(u64, u64)> = Vec::new();
        for port in &list.ports {
            if let Port::Resting { since, from, .. } = port {
                resting.push((*since, if *since >= self.floor.0 { *from } else { self.floor.1 }));
            }
        }
        resting.sort_unstable();
        let length = match list.policy.quarantine_ms {
            0 => self.quarantine_ms,
            set => u64::from(set),
        };
        let due = resting.iter().take_while(|(_, start)| start + length <= self.now);
        due.last().map(|(since, _)| *since)
    }
}
