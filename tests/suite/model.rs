//! The structure against a model too plain to be wrong, in a universe too small to avoid
//! collisions: three stacks, two DVIPAs and the explicit-bind pool, three groups.
//!
//! After every step each observer is compared, the audit runs, and a second structure that was only
//! ever shown the events must be equal. Now and then the second one is replaced by an import of the
//! first one's items, and must decide alike from then on. `PORTPLEX_SEED` repeats one sequence.

mod change;
mod plain;

use change::Made;
use plain::{LISTS, POOL, PORT_FIRST, PORTS, Plain, Port, STACKS, Verdict};
use portplex::ident::{
    BootId, BootMs, ConnectorName, GroupNumber, Identity, Incarnation, Lsn, MachineId, PortMask, PortSet, ProcessId,
    StructureName, Target, Transport,
};
use portplex::structure::{
    Actor, Answer, Body, Change, ClockFloor, Context, Decision, Due, Event, Grant, Introduction, Item, Member, Policy,
    PortOwner, PortRange, Refusal, Request, Structure,
};
use std::collections::BTreeMap;

const SEQUENCES: u64 = 2_000;
const STEPS: usize = 50;

/// What the sequences must have met, all together, or they show nothing.
const MET: [&str; 27] = [
    "unknown-list",
    "connector-exists",
    "unknown-connector",
    "other-machine",
    "stale-incarnation",
    "must-attach",
    "not-failed",
    "boot-may-be-alive",
    "request-id-reused",
    "already-answered",
    "closed",
    "not-joined",
    "no-allowable-set",
    "exhausted",
    "quota-exceeded",
    "reserved",
    "port-held",
    "port-quarantined",
    "port-excluded",
    "not-owner",
    "stale-token",
    "out-of-range",
    "a change",
    "nothing to do",
    "a repeat",
    "granted and gone",
    "ports taken back",
];

#[test]
fn the_structure_does_what_the_plain_model_does() {
    if let Some(seed) = std::env::var("PORTPLEX_SEED").ok().and_then(|seed| seed.parse().ok()) {
        run(seed);
        return;
    }
    let mut met = BTreeMap::<&str, u32>::new();
    for seed in 0..SEQUENCES {
        let outcome = std::panic::catch_unwind(|| run(seed));
        let Ok(seen) = outcome else { panic!("PORTPLEX_SEED={seed} repeats it") };
        seen.into_iter().for_each(|(what, times)| *met.entry(what).or_default() += times);
    }
    for what in MET {
        assert!(met.get(what).is_some_and(|times| *times >= 20), "{what} was hardly met: {met:?}");
    }
}

/// One sequence; the last of them is a long one.
fn run(seed: u64) -> BTreeMap<&'static str, u32> {
    let mut pair = Pair::new(seed);
    for _ in 0..if seed + 1 == SEQUENCES { 40 * STEPS } else { STEPS } {
        pair.step();
        pair.compare();
    }
    pair.met
}

/// The two structures, the model, and what callers remember.
struct Pair {
    random: u64,
    real: Structure,
    shadow: Structure,
    plain: Plain,
    lsn: u64,
    actors: Vec<Actor>,
    members: Vec<(usize, Member)>,
    grants: Vec<Grant>,
    sent: Vec<Request>,
    /// The newest boot of each stack's machine.
    boots: [u128; STACKS],
    /// How often what was met.
    met: BTreeMap<&'static str, u32>,
}

fn target(list: usize) -> Target {
    match list {
        POOL => Target::Pool(Transport::Tcp),
        _ => Target::List(format!("10.0.0.{}", list + 1).parse().expect("an address"), Transport::Tcp),
    }
}

fn name(stack: usize) -> ConnectorName {
    ConnectorName::new(&format!("S{stack}")).expect("a name")
}

impl Pair {
    fn new(seed: u64) -> Self {
        let structure = || Structure::new(StructureName::default());
        Self {
            random: seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x5DEE_CE66,
            real: structure(),
            shadow: structure(),
            plain: Plain::new(),
            lsn: 0,
            actors: Vec::new(),
            members: Vec::new(),
            grants: Vec::new(),
            sent: Vec::new(),
            boots: [1; STACKS],
            met: BTreeMap::new(),
        }
    }

    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 16
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next()).expect("64 bits") % count
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// Mostly the newest, else any.
    fn recent<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let back = if self.one_in(6) { self.below(all.len().max(1)) } else { self.below(3) };
        all.len().checked_sub(back + 1).map(|place| all[place].clone())
    }

    fn step(&mut self) {
        let ms = self.below(700) as u64;
        self.plain.now += ms;
        match self.below(60) {
            0 => self.plain.open_first = self.lsn + 1,
            1 => {
                // The facility's kernel boots: its clock begins anew.
                self.lsn += 10;
                self.plain.now = 50;
                self.plain.floor = (self.lsn + 1, 50);
                self.plain.open_first = self.lsn + 1;
            }
            2 => self.shadow = Structure::import(self.real.items()).expect("items of a structure"),
            _ => {}
        }
        let request = match self.recent(&self.sent.clone()) {
            Some(sent) if self.one_in(8) => sent,
            _ => self.invent(),
        };
        self.plain.deadline = match self.below(3) {
            0 => None,
            1 => Some(self.plain.now.saturating_sub(10)),
            _ => Some(self.plain.now + 500),
        };
        self.ask(&request);
        self.sent.push(request);
    }

    fn introduction(&mut self) -> Introduction {
        let stack = self.below(STACKS);
        let moved = u128::from(self.one_in(8));
        if self.one_in(8) {
            self.boots[stack] += 1;
        }
        let (machine, boot) = (MachineId(stack as u128 * 2 + moved), BootId(self.boots[stack]));
        let identity = Identity { machine, boot, process: ProcessId(1) };
        Introduction { name: name(stack), identity, promise_ms: 0, enforced: false }
    }

    fn newest(&mut self) -> (ConnectorName, Incarnation) {
        let stack = self.below(STACKS);
        let known = self.plain.stacks[stack].as_ref().map_or(1, |stack| stack.incarnation);
        let stale = u64::from(self.one_in(8));
        (name(stack), Incarnation(known.saturating_sub(stale)))
    }

    fn invent(&mut self) -> Request {
        let list = self.below(LISTS);
        match self.below(40) {
            0 => Request::Define { target: target(list) },
            1 => Request::Delete { target: target(list) },
            2 => {
                let quota = [0, 0, 40, 100][self.below(4)];
                let reserve = [0, 0, 0, 1][self.below(4)];
                let quarantine_ms = [0, 0, 1_000, 5_000][self.below(4)];
                let policy = Policy { quota, reserve, quarantine_ms, clean_up_ms: 0 };
                Request::SetPolicy { target: target(list), policy }
            }
            3 => {
                let first = self.below(PORTS);
                let count = 1 + self.below((PORTS - first).min(100));
                let port = |number| u16::try_from(number).expect("few");
                let range = PortRange { first: PORT_FIRST + port(first), count: port(count) };
                let range = (!self.one_in(3)).then_some(range);
                Request::SetRange { transport: Transport::Tcp, range }
            }
            4..=6 => Request::Connect(self.introduction()),
            7..=9 => Request::Attach(self.introduction()),
            10 => {
                let (name, incarnation) = self.newest();
                let Introduction { identity, .. } = self.introduction();
                Request::Resume { name, incarnation, identity }
            }
            11 => {
                let (name, incarnation) = self.newest();
                Request::MarkFailed { name, incarnation }
            }
            12 => {
                let (name, incarnation) = self.newest();
                let by = ConnectorName::new("OP").expect("a name");
                Request::CleanUp { name, incarnation, by, boot_is_dead: self.one_in(2) }
            }
            13..=17 => match self.real.list_by_target(target(list)) {
                Some(list) => Request::EndQuarantine { list },
                None => Request::Define { target: target(list) },
            },
            _ => self.invent_for_stack(list),
        }
    }

    fn invent_for_stack(&mut self, list: usize) -> Request {
        let Some(actor) = self.recent(&self.actors.clone()) else { return Request::Connect(self.introduction()) };
        let highest = self.plain.alive_at(actor.slot).and_then(|stack| {
            let stack = self.plain.stacks[stack].as_ref()?;
            Some(stack.done.keys().next_back().copied().unwrap_or(0).max(stack.lowest))
        });
        let number = highest.unwrap_or(1) + u32::from(!self.one_in(12));
        let lowest = number.saturating_sub(u32::try_from(self.below(4)).expect("few"));
        Request::Stack { actor, number, lowest, body: self.invent_body(actor, list) }
    }

    fn invent_body(&mut self, actor: Actor, list: usize) -> Body {
        // A membership of this stack in this list, if there is one; now and then just any.
        let own = self.plain.alive_at(actor.slot).and_then(|stack| self.plain.stacks[stack].as_ref());
        let own = own.and_then(|stack| stack.joined[list]);
        let any = self.recent(&self.members.clone()).map(|(_, member)| member);
        let member = if self.one_in(12) { any } else { own };
        let Some(member) = member else {
            return if self.one_in(3) { self.invent_set() } else { Body::Join { target: target(list) } };
        };
        match self.below(24) {
            0 => Body::Leave { member },
            1..=7 => {
                let at_least = u16::try_from(self.below(4)).expect("few");
                Body::Acquire { member, at_least, at_most: at_least.max(1) + u16::from(self.one_in(2)) }
            }
            8..=11 => Body::Claim { member, port: PORT_FIRST + u16::try_from(self.below(PORTS)).expect("few") },
            12..=19 => match self.recent(&self.grants.clone()) {
                Some(grant) => {
                    let part = PortMask(self.next() | 1 << 63);
                    let mask = if self.one_in(3) { part } else { PortMask::ALL }.and(grant.mask);
                    let member = if self.one_in(8) { member } else { grant.member };
                    Body::Release { member, group: grant.group, grant: grant.lsn, mask }
                }
                None => self.invent_set(),
            },
            20 if self.one_in(3) => Body::Disconnect,
            20..=22 => self.invent_set(),
            _ => Body::Join { target: target(list) },
        }
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

    /// Which list of the model a request is about.
    fn list_of(&self, request: &Request) -> usize {
        let of_target = |wanted: Target| (0..LISTS).find(|list| target(*list) == wanted).unwrap_or(0);
        match request {
            Request::Define { target } | Request::Delete { target } | Request::SetPolicy { target, .. } => {
                of_target(*target)
            }
            Request::EndQuarantine { list } => self.real.list_target(*list).map_or(0, of_target),
            Request::Stack { body: Body::Join { target }, .. } => of_target(*target),
            Request::Stack { body, .. } => match body {
                Body::Leave { member }
                | Body::Acquire { member, .. }
                | Body::Claim { member, .. }
                | Body::Release { member, .. } => {
                    self.members.iter().find(|(_, known)| known == member).map_or(0, |(list, _)| *list)
                }
                _ => 0,
            },
            _ => 0,
        }
    }

    fn context(&mut self) -> Context {
        Context {
            now: BootMs(self.plain.now),
            random: self.next(),
            open_first: Lsn(self.plain.open_first),
            floor: ClockFloor { lsn: Lsn(self.plain.floor.0), at: BootMs(self.plain.floor.1) },
            quarantine_ms: u32::try_from(self.plain.quarantine_ms).expect("short"),
            deadline: self.plain.deadline.map(BootMs),
        }
    }

    fn ask(&mut self, request: &Request) {
        let list = self.list_of(request);
        let gone = matches!(request, Request::EndQuarantine { list } if self.real.list_target(*list).is_none());
        let verdict = if gone { Verdict::Nothing } else { self.plain.verdict(request, |_| list) };
        let context = self.context();
        let (mut events, mut shadowed) = (Vec::new(), Vec::new());
        let decided = self.real.decide(request, &context, &mut events);
        assert_eq!(self.shadow.decide(request, &context, &mut shadowed), decided);
        assert_eq!(shadowed, events, "equal structures decide alike");
        let decision = match decided {
            Ok(decision) => decision,
            Err(refusal) => {
                self.meet(refusal.name());
                return self.judge_refusal(request, list, &verdict, &refusal, &events);
            }
        };
        self.meet(match decision {
            Decision::Effect => "a change",
            Decision::NoEffect => "nothing to do",
            Decision::Repeat { .. } => "a repeat",
        });
        let first = self.lsn + 1;
        for event in &events {
            self.lsn += 1;
            assert_eq!(self.real.fits(Lsn(self.lsn), event), Ok(()));
            self.real.apply(Lsn(self.lsn), context.now, event);
            self.shadow.apply(Lsn(self.lsn), context.now, event);
        }
        let count = u32::try_from(events.len()).expect("few");
        let answer = self.real.answer(request, &decision, Lsn(first), count);
        let made = made(&events, first);
        if self.plain.takes_back(list, &made) {
            self.meet("ports taken back");
        }
        match (&verdict, decision) {
            (Verdict::Nothing, Decision::NoEffect) => assert_eq!(events, []),
            (Verdict::Repeat(first, count), Decision::Repeat { first: found, count: found_count }) => {
                assert_eq!((Lsn(*first), *count), (found, found_count));
                assert_eq!(events, []);
            }
            (Verdict::Change | Verdict::Groups { .. } | Verdict::SomeGroups, Decision::Effect) => {
                if let Request::Stack { actor, .. } = request {
                    let expected = match verdict {
                        Verdict::Groups { count, whole } => Some((count, whole)),
                        _ => None,
                    };
                    if !matches!(verdict, Verdict::Change) {
                        self.plain.judge_grants(*actor, list, &made, expected);
                    }
                }
                let member = match &answer {
                    Answer::Joined(membership) => Some(membership.member),
                    _ => None,
                };
                self.members.extend(member.map(|member| (list, member)));
                self.plain.change(request, list, (first, count), &made, member);
            }
            (verdict, decision) => panic!("{request:?}: expected {verdict:?}, got {decision:?}, {events:?}"),
        }
        self.judge_answer(request, &decision, answer);
    }

    fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    fn judge_refusal(&self, request: &Request, list: usize, verdict: &Verdict, refusal: &Refusal, events: &[Event]) {
        assert_eq!(events, []);
        match verdict {
            Verdict::Refused(name) => assert_eq!(refusal.name(), *name, "{request:?}"),
            Verdict::SomeGroups => {
                let names = ["quota-exceeded", "reserved", "exhausted"];
                assert!(names.contains(&refusal.name()), "{request:?}: {refusal}");
            }
            other => panic!("{request:?}: expected {other:?}, refused: {refusal}"),
        }
        if let (Refusal::Exhausted { free, held, quarantined, excluded }, Request::Stack { actor, .. }) =
            (refusal, request)
        {
            let stack = self.plain.alive_at(actor.slot).expect("acting");
            let allowable = self.plain.allowable(stack, list).expect("a set");
            let ports = &self.plain.lists[list].as_ref().expect("joined").ports;
            let count = |test: &dyn Fn(usize) -> bool| {
                u32::try_from((0..PORTS).filter(|place| test(*place)).count()).expect("few")
            };
            assert_eq!(*free, count(&|place| ports[place] == Port::Free && allowable[place]));
            assert_eq!(*held, count(&|place| matches!(ports[place], Port::Held { .. })));
            assert_eq!(*quarantined, count(&|place| matches!(ports[place], Port::Resting { .. })));
            assert_eq!(free + held + quarantined + excluded, 65_536);
        }
    }

    fn judge_answer(&mut self, request: &Request, decision: &Decision, answer: Answer) {
        match answer {
            Answer::Connected(actor) => {
                let stack = self.plain.alive_at(actor.slot).expect("connected");
                let known = self.plain.stacks[stack].as_ref().expect("connected");
                assert_eq!(actor.incarnation.0, known.incarnation);
                self.actors.push(actor);
            }
            Answer::Attached { actor, memberships, grants } => {
                let stack = self.plain.alive_at(actor.slot).expect("attached");
                let known = self.plain.stacks[stack].as_ref().expect("attached");
                assert_eq!(actor.incarnation.0, known.incarnation);
                assert_eq!(memberships.len(), known.joined.iter().flatten().count());
                let ports: u32 = grants.iter().map(|grant| grant.mask.count()).sum();
                assert_eq!(ports, self.plain.held(stack));
                grants.iter().for_each(|grant| self.assert_held(stack, grant));
                self.actors.push(actor);
                self.grants.extend(grants);
            }
            Answer::Granted(grants) => {
                let Request::Stack { actor, number, .. } = request else { panic!("granted to nobody") };
                let stack = self.plain.alive_at(actor.slot).expect("granted");
                grants.iter().for_each(|grant| self.assert_held(stack, grant));
                assert!(grants.iter().all(|grant| grant.number == *number));
                if *decision == Decision::Effect {
                    self.grants.extend(grants);
                }
            }
            Answer::GrantedAndGone => {
                self.meet("granted and gone");
                let Decision::Repeat { first, count } = *decision else { panic!("gone at once: {request:?}") };
                for port in self.plain.lists.iter().flatten().flat_map(|list| list.ports) {
                    let Port::Held { token, .. } = port else { continue };
                    assert!(!(first.0..first.0 + u64::from(count)).contains(&token), "{token} is not gone");
                }
            }
            Answer::Done | Answer::Joined(_) => {}
        }
    }

    /// A grant's mask is all that the model has under its token.
    fn assert_held(&self, stack: usize, grant: &Grant) {
        let list = (0..LISTS).find(|list| target(*list) == grant.target).expect("a list");
        let ports = &self.plain.lists[list].as_ref().expect("held").ports;
        for bit in 0..64 {
            let place = usize::from(grant.group.port_first() - PORT_FIRST) + bit;
            let held = ports[place] == Port::Held { stack, token: grant.lsn.0 };
            assert_eq!(held, grant.mask.0 >> bit & 1 == 1, "{grant:?}, port {place}");
        }
    }

    /// Every observer, against the model.
    fn compare(&mut self) {
        assert_eq!(self.real.audit(), Ok(()));
        assert!(self.real.items().eq(self.shadow.items()), "the same events make the same structure");
        for stack in 0..STACKS {
            let (view, known) = (self.real.connector(&name(stack)), &self.plain.stacks[stack]);
            let seen = view.map(|view| (view.actor.slot, view.actor.incarnation.0, view.identity, view.held_ports));
            let known = known
                .as_ref()
                .map(|known| (known.slot, known.incarnation, known.introduction.identity, self.plain.held(stack)));
            assert_eq!(seen, known);
        }
        assert_eq!(self.real.lists_count() as usize, self.plain.lists.iter().flatten().count());
        let context = self.context();
        for list in 0..LISTS {
            let Some(known) = &self.plain.lists[list] else {
                assert_eq!(self.real.owner(target(list), PORT_FIRST), PortOwner::NoList);
                continue;
            };
            let slot = self.real.list_by_target(target(list)).expect("the list is there");
            let ready = self.plain.ready_up_to(list);
            let rests = known.ports.iter().any(|port| matches!(port, Port::Resting { .. }));
            match self.real.quarantine_due(slot, &context) {
                Due::Now(up_to) => assert_eq!(Some(up_to.0), ready),
                Due::At(at) => assert!(ready.is_none() && rests && at > context.now),
                Due::None => assert!(!rests),
            }
            for (port, known) in (PORT_FIRST..).zip(&known.ports) {
                match (self.real.owner(target(list), port), known) {
                    (PortOwner::Free, Port::Free) => {}
                    (PortOwner::Held { connector, grant, .. }, Port::Held { stack, token }) => {
                        assert_eq!((connector, grant), (name(*stack), Lsn(*token)));
                    }
                    (PortOwner::Quarantined { connector, since }, Port::Resting { stack, since: known, .. }) => {
                        assert_eq!((connector, since), (name(*stack), Lsn(*known)));
                    }
                    (owner, known) => panic!("port {port} of {}: {owner:?}, not {known:?}", target(list)),
                }
            }
        }
        let slots = self.real.items().filter(|item| matches!(item, Item::Connector { .. })).count();
        assert_eq!(slots, self.plain.slots.len(), "connectors, and names that quarantine keeps");
    }
}

/// The grants among events.
fn made(events: &[Event], first: u64) -> Vec<Made> {
    let numbered = (first..).zip(events);
    let granted = numbered.filter_map(|(lsn, event)| match event.change {
        Change::Granted { group, mask, .. } => Some((group, mask, lsn)),
        _ => None,
    });
    granted.inspect(|(group, ..)| assert!(*group < GroupNumber::new(103).expect("a group"))).collect()
}
