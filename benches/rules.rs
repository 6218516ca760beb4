//! A structure driven without storage: what the benches and the instruction counts share.
//!
//! Every answer is checked where it comes; the caller audits the structure at the end of a scene.

#![allow(dead_code, reason = "each of those that share it uses a part")]

use portplex::ident::{
    BootId, BootMs, ConnectorName, GroupNumber, Identity, Incarnation, Lsn, MachineId, PortMask, PortSet, ProcessId,
    StructureName, Target, Transport,
};
use portplex::record;
use portplex::structure::{
    Actor, Answer, Body, ClockFloor, Context, Event, Grant, Introduction, Member, Refusal, Request, Structure,
};

/// Groups of ports 1,024 to 65,535.
pub(crate) const GROUPS: u16 = 1_008;
/// How long a released port stays back, ms.
const QUARANTINE_MS: u32 = 1_000;

/// One stack as the scene knows it.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    actor: Actor,
    /// Number of its newest request.
    number: u32,
    /// Its memberships: of list 0, or of every list.
    members: Vec<Member>,
}

/// A structure and the stacks that ask.
pub(crate) struct Scene {
    pub(crate) structure: Structure,
    /// The one whose requests are measured.
    pub(crate) asker: Asker,
    /// What it holds, as far as the scene keeps it.
    pub(crate) held: Vec<Grant>,
    context: Context,
    events: Vec<Event>,
    lists: Vec<u32>,
    /// Everything that was ever applied, encoded, and how many records that are; kept on request.
    log: Option<(Vec<u8>, u32)>,
}

impl Scene {
    /// A structure with that many lists and no stack but the asker, who joined the first list.
    pub(crate) fn new(lists: u32) -> Self {
        Self::begin(lists, None)
    }

    fn begin(lists: u32, log: Option<(Vec<u8>, u32)>) -> Self {
        let context = Context {
            now: BootMs(0),
            random: 7,
            open_first: Lsn(1),
            floor: ClockFloor::default(),
            quarantine_ms: QUARANTINE_MS,
            deadline: None,
        };
        let nobody = Asker { actor: Actor { slot: 0, incarnation: Incarnation(0) }, number: 0, members: Vec::new() };
        let mut scene = Self {
            structure: Structure::new(StructureName::default()),
            asker: nobody,
            held: Vec::new(),
            context,
            events: Vec::new(),
            lists: Vec::new(),
            log,
        };
        for number in 0..lists {
            scene.ask(&Request::Define { target: target(number) });
        }
        let slot = |number| scene.structure.list_by_target(target(number)).expect("defined");
        scene.lists = (0..lists).map(slot).collect();
        scene.asker = scene.connect("ASKER", 1);
        scene
    }

    /// As [`new`](Self::new), and of the first list another stack holds `filled` groups.
    pub(crate) fn filled(lists: u32, filled: u16) -> Self {
        let mut scene = Self::new(lists);
        let mut other = scene.connect("OTHER", 1);
        if filled > 0 {
            let taken = scene.take_from(&mut other, 0, filled, filled).expect("free");
            assert_eq!(taken.len(), usize::from(filled));
        }
        scene.audited()
    }

    /// As [`new`](Self::new), with the asker in every list.
    pub(crate) fn joined(lists: u32) -> Self {
        let mut scene = Self::new(lists);
        let mut asker = scene.asker.clone();
        for number in 1..lists {
            scene.join(&mut asker, number);
        }
        scene.asker = asker;
        scene.audited()
    }

    /// One list of which another stack holds every second group: no free group has a free neighbour.
    pub(crate) fn scattered() -> Self {
        let mut scene = Self::new(1);
        let mut other = scene.connect("OTHER", 1);
        let all = scene.take_from(&mut other, 0, GROUPS, GROUPS).expect("free");
        for grant in all.into_iter().filter(|grant| grant.group.number() % 2 == 0) {
            scene.release_of(&mut other, grant);
        }
        scene.end_quarantine(0);
        scene.audited()
    }

    /// One list of which another stack holds one port in every group.
    pub(crate) fn nibbled() -> Self {
        let mut scene = Self::new(1);
        let mut other = scene.connect("OTHER", 1);
        for port in (1_024..=65_535_u16).step_by(64) {
            let member = other.members[0];
            let Answer::Granted(_) = scene.stack(&mut other, Body::Claim { member, port }) else { panic!("claimed") };
        }
        scene.audited()
    }

    /// One list, and so many other stacks, each with its own allowable set reported and in the list.
    pub(crate) fn crowded(stacks: u32) -> Self {
        let mut scene = Self::new(1);
        for number in 1..stacks {
            scene.connect(&format!("S{number}"), number);
        }
        assert_eq!(scene.structure.connectors_count(), stacks);
        scene.audited()
    }

    /// The same, once every invariant was looked at.
    pub(crate) fn audited(self) -> Self {
        assert_eq!(self.structure.audit(), Ok(()));
        self
    }

    /// As [`new`](Self::new), with everything that is applied kept as records.
    pub(crate) fn recorded(lists: u32) -> Self {
        Self::begin(lists, Some((Vec::new(), 0)))
    }

    /// What was recorded: the bytes, and how many records they are.
    pub(crate) fn log(&self) -> (&[u8], u32) {
        self.log.as_ref().map_or((&[], 0), |(bytes, count)| (bytes, *count))
    }

    /// A stack that comes in, says that it may use ports 1,024 up, and joins the first list.
    pub(crate) fn connect(&mut self, name: &str, machine: u32) -> Asker {
        let name = ConnectorName::new(name).expect("a name");
        let identity = Identity { machine: MachineId(machine.into()), boot: BootId(1), process: ProcessId(1) };
        let introduction = Introduction { name, identity, promise_ms: 0, enforced: false };
        let Answer::Connected(actor) = self.ask(&Request::Connect(introduction)) else { panic!("not connected") };
        let mut asker = Asker { actor, number: 0, members: Vec::new() };
        let mut ports = PortSet::empty();
        ports.insert_range(1_024, 65_535);
        self.stack(&mut asker, Body::SetAllowable { transport: Transport::Tcp, ports });
        self.join(&mut asker, 0);
        asker
    }

    fn join(&mut self, asker: &mut Asker, number: u32) {
        let joined = self.stack(asker, Body::Join { target: target(number) });
        let Answer::Joined(membership) = joined else { panic!("not joined") };
        asker.members.push(membership.member);
    }

    /// Takes one whole group of the first list.
    pub(crate) fn acquire(&mut self) -> Grant {
        let grant = self.acquire_in(0);
        assert_eq!(grant.mask, PortMask(u64::MAX));
        grant
    }

    /// Takes one group of a list, whole or in part.
    pub(crate) fn acquire_in(&mut self, list: usize) -> Grant {
        self.granted(Body::Acquire { member: self.asker.members[list], at_least: 1, at_most: 1 })
    }

    /// Takes one named port of the first list.
    pub(crate) fn claim(&mut self, port: u16) -> Grant {
        let grant = self.granted(Body::Claim { member: self.asker.members[0], port });
        assert_eq!((grant.group, grant.mask), (GroupNumber::of_port(port), PortMask::of_port(port)));
        grant
    }

    fn granted(&mut self, body: Body) -> Grant {
        let Answer::Granted(grants) = self.of_asker(body) else { panic!("not granted") };
        assert_eq!(grants.len(), 1);
        grants[0]
    }

    /// Asks for a group where there is none.
    pub(crate) fn refused(&mut self) {
        let asker = &mut self.asker;
        asker.number += 1;
        let (actor, number) = (asker.actor, asker.number);
        let body = Body::Acquire { member: asker.members[0], at_least: 1, at_most: 1 };
        let refusal = self.decide(&Request::Stack { actor, number, lowest: number, body }).expect_err("nothing free");
        assert!(matches!(refusal, Refusal::Exhausted { free: 0, .. }), "{refusal:?}");
    }

    /// Gives a grant of the asker back; it is in quarantine then.
    pub(crate) fn release(&mut self, grant: Grant) {
        let Grant { lsn, member, group, mask, .. } = grant;
        assert_eq!(self.of_asker(Body::Release { member, group, grant: lsn, mask }), Answer::Done);
    }

    /// Lets the quarantine of a list pass.
    pub(crate) fn end_quarantine(&mut self, list: usize) {
        self.context.now = self.context.now.plus(u64::from(QUARANTINE_MS));
        let list = self.lists[list];
        self.ask(&Request::EndQuarantine { list });
    }

    /// Three requests: takes a group of a list, gives it back, and ends the quarantine.
    pub(crate) fn turn_in(&mut self, list: usize) -> Grant {
        let grant = self.acquire_in(list);
        self.release(grant);
        self.end_quarantine(list);
        grant
    }

    /// As [`turn_in`](Self::turn_in), of the first list and a whole group.
    pub(crate) fn turn(&mut self) -> Grant {
        let grant = self.turn_in(0);
        assert_eq!(grant.mask, PortMask(u64::MAX));
        grant
    }

    /// Three requests: claims a port, gives it back, and ends the quarantine.
    pub(crate) fn claim_turn(&mut self, port: u16) -> Grant {
        let grant = self.claim(port);
        self.release(grant);
        self.end_quarantine(0);
        grant
    }

    /// A number below `end` that looks random.
    pub(crate) fn draw(&mut self, end: usize) -> usize {
        self.context.random = self.context.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.context.random >> 33) as usize % end
    }

    fn take_from(&mut self, asker: &mut Asker, list: usize, at_least: u16, at_most: u16) -> Option<Vec<Grant>> {
        let member = asker.members[list];
        match self.stack(asker, Body::Acquire { member, at_least, at_most }) {
            Answer::Granted(grants) => Some(grants),
            _ => None,
        }
    }

    fn release_of(&mut self, asker: &mut Asker, grant: Grant) {
        let Grant { lsn, member, group, mask, .. } = grant;
        assert_eq!(self.stack(asker, Body::Release { member, group, grant: lsn, mask }), Answer::Done);
    }

    fn of_asker(&mut self, body: Body) -> Answer {
        self.asker.number += 1;
        let (actor, number) = (self.asker.actor, self.asker.number);
        self.ask(&Request::Stack { actor, number, lowest: number, body })
    }

    fn stack(&mut self, asker: &mut Asker, body: Body) -> Answer {
        asker.number += 1;
        self.ask(&Request::Stack { actor: asker.actor, number: asker.number, lowest: asker.number, body })
    }

    fn decide(&mut self, request: &Request) -> Result<portplex::structure::Decision, Refusal> {
        self.events.clear();
        self.context.random = self.context.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.structure.decide(request, &self.context, &mut self.events)
    }

    /// Decides, applies and answers one request.
    fn ask(&mut self, request: &Request) -> Answer {
        let decision = self.decide(request).expect("every request of these scenes can be granted");
        let first = self.structure.lsn().next();
        let mut lsn = first;
        for event in &self.events {
            self.structure.apply(lsn, self.context.now, event);
            lsn = lsn.next();
        }
        if let Some((bytes, count)) = &mut self.log {
            self.events.iter().for_each(|event| record::encode(event, bytes));
            *count += u32::try_from(self.events.len()).expect("few");
        }
        let count = u32::try_from(self.events.len()).expect("few");
        self.structure.answer(request, &decision, first, count)
    }
}

/// The list of a number.
pub(crate) fn target(number: u32) -> Target {
    let [_, high, middle, low] = number.to_be_bytes();
    Target::List(format!("10.{high}.{middle}.{low}").parse().expect("an address"), Transport::Tcp)
}
