//! The structure against a model too plain to be wrong, in a universe too small to avoid
//! collisions: three stacks, two DVIPAs and the explicit-bind pool, three groups.
//!
//! After every step each observer is compared, the audit runs, and a second structure that was only
//! ever shown the events must be equal. Now and then the second one is replaced by an import of the
//! first one's items, and must decide alike from then on. `PORTPLEX_SEED` repeats one sequence.

mod change;
mod invent;
mod plain;
mod stopped;

use crate::random::Random;
use change::Made;
use plain::{LISTS, POOL, PORT_FIRST, PORTS, Plain, Port, STACKS, Verdict};
use portplex::ident::{BootMs, ConnectorName, GroupNumber, Lsn, StructureName, Target, Transport};
use portplex::structure::{
    Actor, Answer, Body, Change, ClockFloor, Context, Decision, Due, Event, Grant, Item, Member, PortOwner, Refusal,
    Request, StopCause, Structure,
};
use std::collections::BTreeMap;

const SEQUENCES: u64 = 2_000;
const STEPS: usize = 32;

/// What the sequences must have met, all together, or they show nothing.
const MET: [&str; 34] = [
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
    "grants-stopped",
    "adopted-pending",
    "too-early",
    "not-all-attached",
    "ports adopted",
    "ports revoked",
    "granting went on after a restore",
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
        assert!(met.get(what).is_some_and(|times| *times >= 10), "{what} was hardly met: {met:?}");
    }
}

/// One sequence; the last of them is a long one.
fn run(seed: u64) -> BTreeMap<&'static str, u32> {
    let mut pair = Pair::new(seed);
    if !seed.is_multiple_of(8) {
        pair.set_up();
    }
    for _ in 0..if seed + 1 == SEQUENCES { 50 * STEPS } else { STEPS } {
        pair.step();
        pair.compare();
    }
    pair.met
}

/// One sequence that the bytes choose, and that ends with them.
pub(crate) fn run_chosen(choices: &[u8]) {
    let mut pair = Pair::new(0);
    pair.chosen = Random::chosen(choices);
    if pair.below(2) == 1 {
        pair.set_up();
    }
    while pair.chosen.is_chosen() {
        pair.step();
        pair.compare();
    }
}

/// The two structures, the model, and what callers remember.
struct Pair {
    random: u64,
    /// Choices before those of `random`, if somebody made them.
    chosen: Random,
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
            chosen: Random::chosen(&[]),
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

    fn step(&mut self) {
        let ms = self.below(700) as u64;
        self.plain.now += ms;
        match self.below(160) {
            0 => self.plain.open_first = self.lsn + 1,
            1 => {
                // The facility's kernel boots: its clock begins anew.
                self.lsn += 10;
                self.plain.now = 50;
                self.plain.floor = (self.lsn + 1, 50);
                self.plain.open_first = self.lsn + 1;
            }
            6..9 => {
                let cause = [StopCause::PowerLoss, StopCause::DataLost, StopCause::Restored][self.below(3)];
                let request = self.invent_stop(cause);
                self.ask(&request);
            }
            2..6 => self.shadow = Structure::import(self.real.items()).expect("items of a structure"),
            _ => {}
        }
        let request = self.sent_before().unwrap_or_else(|| self.invent());
        self.plain.deadline = match self.below(3) {
            0 => None,
            1 => Some(self.plain.now.saturating_sub(10)),
            _ => Some(self.plain.now + 500),
        };
        self.ask(&request);
        self.sent.push(request);
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
            Request::Stack {
                body:
                    Body::Leave { member }
                    | Body::Acquire { member, .. }
                    | Body::Claim { member, .. }
                    | Body::Release { member, .. },
                ..
            } => self.members.iter().find(|(_, known)| known == member).map_or(0, |(list, _)| *list),
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
        if let (Request::ResumeGrants { .. }, Some(stop)) = (request, &self.plain.stop) {
            // Granting goes on in a new history.
            self.lsn = self.lsn.max(stop.highest);
        }
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
        self.meet_stop(&events);
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
                self.number_members();
            }
            (verdict, decision) => panic!("{request:?}: expected {verdict:?}, got {decision:?}, {events:?}"),
        }
        self.judge_answer(request, &decision, answer);
    }

    fn meet_stop(&mut self, events: &[Event]) {
        for event in events {
            match event.change {
                Change::Adopted { .. } => self.meet("ports adopted"),
                Change::Revoked { .. } => self.meet("ports revoked"),
                Change::Resumed { .. } if self.plain.is_restored() => self.meet("granting went on after a restore"),
                Change::Granted { .. } => assert_eq!(self.plain.cause(), None, "granted while granting is stopped"),
                _ => {}
            }
        }
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
        if let (
            Refusal::Exhausted { free, held, quarantined, excluded, allowable_held, allowable_quarantined },
            Request::Stack { actor, .. },
        ) = (refusal, request)
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
            let is_held = |place: usize| matches!(ports[place], Port::Held { .. });
            assert_eq!(*allowable_held, count(&|place| is_held(place) && allowable[place]));
            let rests = |place: usize| matches!(ports[place], Port::Resting { .. });
            assert_eq!(*allowable_quarantined, count(&|place| rests(place) && allowable[place]));
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
            Answer::Attached { actor, memberships, grants, stopped } => {
                assert_eq!(stopped, self.plain.cause());
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
                for (place, port) in self.plain.lists.iter().flatten().flat_map(|list| list.ports.iter().enumerate()) {
                    let Port::Held { token, .. } = *port else { continue };
                    if self.plain.was_adopted(place, token) {
                        continue;
                    }
                    assert!(!(first.0..first.0 + u64::from(count)).contains(&token), "{token} is not gone");
                }
            }
            Answer::Joined(membership) => {
                let Request::Stack { actor, .. } = request else { panic!("nobody joined") };
                let stack = self.plain.alive_at(actor.slot).expect("joined");
                let joined = self.plain.stacks[stack].as_ref().expect("joined").joined;
                let list = (0..LISTS).find(|list| target(*list) == membership.target).expect("a list");
                assert_eq!(joined[list], Some(membership.member));
                if let Decision::Repeat { first, .. } = *decision {
                    assert_eq!(membership.member.joined, first, "a repeat names its own membership only");
                }
            }
            Answer::Done => {}
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
        assert_eq!(self.real.stop().map(|stop| stop.cause), self.plain.cause());
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
                Due::None => assert!(!rests || self.plain.is_restored()),
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
