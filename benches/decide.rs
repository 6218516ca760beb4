//! What one decision costs in memory: decide, apply and answer, without storage.
//!
//! `acquire` is one request: it takes one group on a list that others have filled to some degree.
//! `turn` is three: it takes one, gives it back, and ends the quarantine. The last parameter is the
//! number of lists. Numbers must not grow with either.

use criterion::{BatchSize, BenchmarkId, Criterion};
use portplex::ident::{
    BootId, BootMs, ConnectorName, Identity, Lsn, MachineId, PortSet, ProcessId, StructureName, Target, Transport,
};
use portplex::structure::{
    Actor, Answer, Body, ClockFloor, Context, Event, Grant, Introduction, Member, Request, Structure,
};
use std::cell::RefCell;
use std::hint::black_box;

/// Groups of ports 1,024 to 65,535.
const GROUPS: u16 = 1_008;

struct Scene {
    structure: Structure,
    context: Context,
    events: Vec<Event>,
    actor: Actor,
    member: Member,
    number: u32,
    list: u32,
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("decide");
    for lists in [1, 10_000] {
        for percent in [0, 50, 90, 99] {
            let filled = u16::try_from(u32::from(GROUPS) * percent / 100).expect("at most 1,008");
            let mut scene = Scene::new(lists, filled);
            let id = BenchmarkId::new(format!("turn/{percent}% full"), lists);
            group.bench_function(id, |bencher| bencher.iter(|| scene.turn()));
            // Eight are given back, untimed; then eight are taken: the list stays as full as it says.
            let id = BenchmarkId::new(format!("acquire/{percent}% full"), lists);
            let shared = RefCell::new((scene, Vec::new()));
            let give_back = || {
                let (scene, held) = &mut *shared.borrow_mut();
                held.drain(..).for_each(|grant| scene.give_back(grant));
            };
            group.bench_function(id, |bencher| {
                let acquire = |()| {
                    let (scene, held) = &mut *shared.borrow_mut();
                    held.push(black_box(scene.acquire()));
                };
                bencher.iter_batched(give_back, acquire, BatchSize::NumIterations(8));
                give_back();
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

impl Scene {
    /// A structure with that many lists, of whose first another stack holds `filled` groups.
    fn new(lists: u32, filled: u16) -> Self {
        let context = Context {
            now: BootMs(0),
            random: 7,
            open_first: Lsn(1),
            floor: ClockFloor::default(),
            quarantine_ms: 1_000,
            deadline: None,
        };
        let nobody = Actor { slot: 0, incarnation: portplex::ident::Incarnation(0) };
        let mut scene = Self {
            structure: Structure::new(StructureName::default()),
            context,
            events: Vec::new(),
            actor: nobody,
            member: Member { slot: 0, joined: Lsn(0) },
            number: 0,
            list: 0,
        };
        for number in 0..lists {
            scene.ask(&Request::Define { target: target(number) });
        }
        for stack in ["OTHER", "ASKER"] {
            scene.number = 0;
            scene.connect(stack);
            if stack == "OTHER" && filled > 0 {
                let member = scene.member;
                scene.stack(Body::Acquire { member, at_least: filled, at_most: filled });
            }
        }
        scene.list = scene.structure.list_by_target(target(0)).expect("defined");
        assert_eq!(scene.structure.audit(), Ok(()));
        scene
    }

    fn connect(&mut self, stack: &str) {
        let name = ConnectorName::new(stack).expect("a name");
        let identity = Identity { machine: MachineId(1), boot: BootId(1), process: ProcessId(1) };
        let introduction = Introduction { name, identity, promise_ms: 0, enforced: false };
        let Answer::Connected(actor) = self.ask(&Request::Connect(introduction)) else { panic!("not connected") };
        self.actor = actor;
        let mut ports = PortSet::empty();
        ports.insert_range(1_024, 65_535);
        self.stack(Body::SetAllowable { transport: Transport::Tcp, ports });
        let joined = self.stack(Body::Join { target: target(0) });
        let Answer::Joined(membership) = joined else { panic!("not joined") };
        self.member = membership.member;
    }

    fn ask(&mut self, request: &Request) -> Answer {
        self.events.clear();
        self.context.random = self.context.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let decided = self.structure.decide(request, &self.context, &mut self.events);
        let decision = decided.expect("every request of this bench can be granted");
        let first = self.structure.lsn().next();
        let mut lsn = first;
        for event in &self.events {
            self.structure.apply(lsn, self.context.now, event);
            lsn = lsn.next();
        }
        let count = u32::try_from(self.events.len()).expect("few");
        self.structure.answer(request, &decision, first, count)
    }

    fn stack(&mut self, body: Body) -> Answer {
        // Numbers last for 2^32 requests only.
        assert!(self.number < u32::MAX - 1);
        self.number += 1;
        self.ask(&Request::Stack { actor: self.actor, number: self.number, lowest: self.number, body })
    }

    fn acquire(&mut self) -> Grant {
        let body = Body::Acquire { member: self.member, at_least: 1, at_most: 1 };
        let Answer::Granted(grants) = self.stack(body) else { panic!("not granted") };
        assert_eq!((grants.len(), grants[0].mask.count()), (1, 64));
        grants[0]
    }

    fn give_back(&mut self, grant: Grant) {
        let Grant { lsn, member, group, mask, .. } = grant;
        let answer = self.stack(Body::Release { member, group, grant: lsn, mask });
        assert_eq!(answer, Answer::Done);
        self.context.now = self.context.now.plus(1_000);
        self.ask(&Request::EndQuarantine { list: self.list });
    }

    fn turn(&mut self) {
        let grant = self.acquire();
        self.give_back(black_box(grant));
    }
}

fn target(number: u32) -> Target {
    let [_, high, middle, low] = number.to_be_bytes();
    Target::List(format!("10.{high}.{middle}.{low}").parse().expect("an address"), Transport::Tcp)
}
