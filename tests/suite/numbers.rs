//! The same request number has at most one effect: repeated, late, reordered, with another body,
//! from an older incarnation, over kills and attaches (protocol.md R11 to R14, R17).

use super::crash::plan::machine;
use super::requirements::{say, seed};
use crate::random::Random;
use portplex::disk::sim::SimDisk;
use portplex::facility::{self, CallError, Options, Reply, SetClock, Stepper};
use portplex::ident::{BootId, ConnectorName, GroupNumber, Identity, Lsn, MachineId, PortMask, PortSet, ProcessId};
use portplex::ident::{Target, Transport};
use portplex::structure::{Actor, Answer, Body, Introduction, Member, Refusal, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const REQUESTS: u64 = 1_000_000;
const STACKS: usize = 4;
/// Requests in one turn: they share a frame, and may repeat one another within it.
const BATCH: u64 = 64;
/// Turns of one open.
const TURNS: u64 = 400;
/// How far ahead of the lowest open number a stack sends.
const AHEAD: u64 = 48;

/// What one number of one incarnation was asked and did.
struct Asked {
    body: Body,
    /// The grants that it made, once it had its effect.
    effect: Option<BTreeSet<Lsn>>,
}

struct Client {
    introduction: Introduction,
    actor: Actor,
    member: Member,
    asked: BTreeMap<u32, Asked>,
    /// Every number of this incarnation that had its effect.
    done: BTreeSet<u32>,
    lowest: u32,
    held: BTreeMap<Lsn, (GroupNumber, PortMask)>,
    /// Sessions that are over: nothing of them may have an effect.
    over: Vec<Actor>,
}

/// One request as it is sent, and who is asked for.
struct Sent {
    client: usize,
    actor: Actor,
    number: u32,
    body: Body,
}

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    effects: u64,
    repeats: u64,
    conflicts: u64,
    late: u64,
    stale: u64,
    refused: u64,
    opens: u64,
}

struct World {
    disk: SimDisk,
    clock: Arc<SetClock>,
    stepper: Option<Stepper>,
    clients: Vec<Client>,
    dice: Random,
    /// Every grant ever made: no lsn is made twice.
    made: BTreeSet<Lsn>,
    counts: Counts,
}

#[test]
fn a_million_requests_have_at_most_one_effect_each() {
    let seed = seed("request numbers");
    let mut world = World::new(seed);
    while world.counts.requests < REQUESTS {
        for turn in 0..TURNS {
            world.turn();
            if turn % 100 == 99 {
                world.end_quarantine();
            }
        }
        world.kill_and_attach();
    }
    let counts = &world.counts;
    say(&format!("request numbers: seed {seed}, {counts:?}"));
    for (what, count) in [
        ("effects", counts.effects),
        ("repeats", counts.repeats),
        ("conflicts", counts.conflicts),
        ("late", counts.late),
        ("stale", counts.stale),
    ] {
        assert!(count > REQUESTS / 1_000, "too few {what} to mean anything: {counts:?}");
    }
    assert!(counts.opens > 20, "{counts:?}");
}

impl World {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new();
        let (machine, clock) = machine(&disk, 1, 10_000);
        let options = options();
        facility::init(&machine, Path::new("/store"), &options).expect("made");
        let stepper = Stepper::open(&machine, Path::new("/store"), &options).expect("opened");
        let (clients, made) = (Vec::new(), BTreeSet::new());
        let (stepper, dice) = (Some(stepper), Random::new(seed));
        let mut world = Self { disk, clock, stepper, clients, dice, made, counts: Counts::default() };
        for number in 0..STACKS {
            world.connect(number);
        }
        world
    }

    fn stepper(&mut self) -> &mut Stepper {
        self.stepper.as_mut().expect("open")
    }

    fn ask(&mut self, request: Request) -> Result<Reply, CallError> {
        self.stepper().turn(vec![request]).expect("stored").remove(0)
    }

    fn connect(&mut self, number: usize) {
        let introduction = Introduction {
            name: ConnectorName::new(&format!("SYS{number}")).expect("a name"),
            identity: Identity { machine: MachineId(number as u128 + 1), boot: BootId(7), process: ProcessId(1) },
            promise_ms: 0,
            enforced: false,
        };
        let reply = self.ask(Request::Connect(introduction.clone())).expect("connected");
        let Answer::Connected(actor) = reply.answer else { panic!("{:?}", reply.answer) };
        let mut ports = PortSet::empty();
        ports.insert_range(1_024, 65_535);
        let stack = |number, body| Request::Stack { actor, number, lowest: number, body };
        self.ask(stack(1, Body::SetAllowable { transport: Transport::Tcp, ports })).expect("set");
        let reply = self.ask(stack(2, Body::Join { target: list() })).expect("joined");
        let Answer::Joined(membership) = reply.answer else { panic!("{:?}", reply.answer) };
        let (asked, held) = (BTreeMap::new(), BTreeMap::new());
        let member = membership.member;
        let (done, over) = (BTreeSet::from([1, 2]), Vec::new());
        self.clients.push(Client { introduction, actor, member, asked, done, lowest: 3, held, over });
    }

    fn turn(&mut self) {
        let sent: Vec<Sent> = (0..BATCH).map(|_| self.draw()).collect();
        let requests = sent.iter().map(|sent| {
            // Late ones carry the lowest number of the time they were made.
            let lowest = self.clients[sent.client].lowest.min(sent.number);
            Request::Stack { actor: sent.actor, number: sent.number, lowest, body: sent.body.clone() }
        });
        let requests: Vec<Request> = requests.collect();
        let before = self.stepper().engine().counters().records;
        let replies = self.stepper().turn(requests).expect("stored");
        let records = self.stepper().engine().counters().records - before;
        let mut expected = 0;
        for (sent, reply) in sent.into_iter().zip(replies) {
            self.counts.requests += 1;
            expected += self.learn(&sent, reply);
        }
        assert_eq!(records, expected, "the log has exactly the first effects");
        for client in &mut self.clients {
            client.settle(&mut self.dice);
        }
    }

    fn draw(&mut self) -> Sent {
        let place = self.dice.below(STACKS as u64) as usize;
        let roll = self.dice.below(100);
        let client = &self.clients[place];
        let sent = |actor, number, body| Sent { client: place, actor, number, body };
        let executed: Vec<u32> =
            client.recent().filter(|(_, asked)| asked.effect.is_some()).map(|(number, _)| *number).collect();
        let known = if executed.is_empty() { None } else { Some(*self.dice.pick(&executed)) };
        match (roll, known) {
            (0..=29, Some(number)) => sent(client.actor, number, client.asked[&number].body.clone()),
            (30..=39, Some(number)) => {
                let body = Body::Claim { member: client.member, port: 1_024 + self.dice.below(64_000) as u16 };
                sent(client.actor, number, body)
            }
            (40..=49, _) if client.lowest > 1 => {
                let number = 1 + self.dice.below(u64::from(client.lowest) - 1) as u32;
                let body = client.asked.get(&number).map(|asked| asked.body.clone());
                let body = body.unwrap_or(Body::Acquire { member: client.member, at_least: 1, at_most: 1 });
                sent(client.actor, number, body)
            }
            (50..=54, _) if !client.over.is_empty() => {
                let actor = *self.dice.pick(&client.over);
                let number = 1 + self.dice.below(400) as u32;
                sent(actor, number, Body::Acquire { member: client.member, at_least: 1, at_most: 1 })
            }
            _ => {
                let number = client.lowest + self.dice.below(AHEAD) as u32;
                let body = match client.asked.get(&number) {
                    Some(asked) => asked.body.clone(),
                    None => self.body(place),
                };
                self.clients[place].asked.entry(number).or_insert(Asked { body: body.clone(), effect: None });
                sent(self.clients[place].actor, number, body)
            }
        }
    }

    fn body(&mut self, place: usize) -> Body {
        let roll = self.dice.below(10);
        let client = &self.clients[place];
        let member = client.member;
        if !client.held.is_empty() && (roll < 5 || client.held.len() > 100) {
            let held: Vec<_> = client.held.iter().collect();
            let (grant, (group, mask)) = **self.dice.pick(&held.iter().collect::<Vec<_>>());
            return Body::Release { member, group: *group, grant: *grant, mask: *mask };
        }
        match roll {
            0..=7 => Body::Acquire { member, at_least: 1, at_most: 1 + self.dice.below(3) as u16 },
            _ => Body::Claim { member, port: 1_024 + self.dice.below(64_000) as u16 },
        }
    }

    /// What an answer says, held against what is known; how many events it stands for.
    fn learn(&mut self, sent: &Sent, reply: Result<Reply, CallError>) -> u64 {
        let client = &mut self.clients[sent.client];
        let (number, current) = (sent.number, sent.actor == client.actor);
        let what = format!("{:?} number {number} {:?}", sent.actor, sent.body);
        let reply = match reply {
            Ok(reply) => reply,
            Err(CallError::Refused(refusal)) => {
                match refusal {
                    Refusal::RequestIdReused { .. } => {
                        self.counts.conflicts += 1;
                        let is_same = client.asked.get(&number).is_some_and(|asked| asked.body == sent.body);
                        assert!(client.done.contains(&number) && !is_same, "{what}: reused, and was not");
                    }
                    Refusal::AlreadyAnswered { lowest, .. } => {
                        self.counts.late += 1;
                        assert!(number < lowest && lowest <= client.lowest, "{what}: answered below {lowest}");
                    }
                    Refusal::StaleIncarnation { .. } => {
                        self.counts.stale += 1;
                        assert!(!current, "{what}: it is the newest");
                    }
                    _ => self.counts.refused += 1,
                }
                return 0;
            }
            Err(error) => panic!("{what}: {error}"),
        };
        assert!(current, "{what}: an incarnation that is over had an effect");
        let granted: BTreeSet<Lsn> = match &reply.answer {
            Answer::Granted(grants) => grants.iter().map(|grant| grant.lsn).collect(),
            Answer::GrantedAndGone | Answer::Done => BTreeSet::new(),
            other => panic!("{what}: {other:?}"),
        };
        let asked = client.asked.entry(number).or_insert(Asked { body: sent.body.clone(), effect: None });
        if let Some(effect) = &asked.effect {
            self.counts.repeats += 1;
            assert_eq!(asked.body, sent.body, "{what}: another body was answered");
            let still: BTreeSet<Lsn> = effect.iter().filter(|lsn| client.held.contains_key(lsn)).copied().collect();
            assert_eq!(granted, still, "{what}: a repeat is told what is still held, and nothing else");
            return 0;
        }
        self.counts.effects += 1;
        assert!(client.done.insert(number), "{what}: a second effect");
        *asked = Asked { body: sent.body.clone(), effect: Some(granted.clone()) };
        match (&sent.body, reply.answer) {
            (Body::Release { grant, .. }, Answer::Done) => {
                assert!(client.held.remove(grant).is_some(), "{what}: it was not held");
                1
            }
            (_, Answer::Granted(grants)) => {
                for grant in &grants {
                    assert!(self.made.insert(grant.lsn), "{what}: grant {} was made twice", grant.lsn);
                    assert_eq!(grant.number, number, "{what}");
                    client.held.insert(grant.lsn, (grant.group, grant.mask));
                }
                grants.len() as u64
            }
            (_, answer) => panic!("{what}: a first effect is answered {answer:?}"),
        }
    }

    /// Everything released so far is free again.
    fn end_quarantine(&mut self) {
        self.clock.advance(200_000);
        self.ask(Request::EndQuarantine { list: 0 }).expect("ended");
    }

    /// The process is killed; nothing is done for a stack before it has attached, and then it is told
    /// exactly what it holds.
    fn kill_and_attach(&mut self) {
        self.stepper = None;
        self.counts.opens += 1;
        self.disk = self.disk.after_kill();
        let (machine, clock) = machine(&self.disk, 1, 10_000 + self.counts.opens * 10_000_000);
        self.clock = clock;
        self.stepper = Some(Stepper::open(&machine, Path::new("/store"), &options()).expect("opened"));
        if self.counts.opens.is_multiple_of(3) {
            self.stepper().checkpoint().expect("a checkpoint");
        }
        for place in 0..STACKS {
            let client = &self.clients[place];
            for (number, asked) in client.asked.iter().take(20) {
                let (actor, number, body) = (client.actor, *number, asked.body.clone());
                let request = Request::Stack { actor, number, lowest: client.lowest.min(number), body };
                let stepper = self.stepper.as_mut().expect("open");
                let reply = stepper.turn(vec![request]).expect("stored").remove(0);
                assert_eq!(reply, Err(CallError::Refused(Refusal::MustAttach)), "nothing before the attach");
            }
            let introduction = self.clients[place].introduction.clone();
            let reply = self.ask(Request::Attach(introduction)).expect("attached");
            let Answer::Attached { actor, grants, .. } = reply.answer else { panic!("{:?}", reply.answer) };
            let client = &mut self.clients[place];
            let told: BTreeMap<_, _> = grants.iter().map(|grant| (grant.lsn, (grant.group, grant.mask))).collect();
            assert_eq!(told, client.held, "an attach is told exactly what is held");
            client.over.push(std::mem::replace(&mut client.actor, actor));
            client.asked.clear();
            client.done.clear();
            client.lowest = 1;
        }
    }
}

impl Client {
    /// What was asked lately.
    fn recent(&self) -> impl Iterator<Item = (&u32, &Asked)> {
        self.asked.range(self.lowest.saturating_sub(8)..)
    }

    /// The lowest numbers are settled one day: from then on they are not presented as open.
    fn settle(&mut self, dice: &mut Random) {
        while dice.below(4) > 0 && self.asked.get(&self.lowest).is_some_and(|asked| asked.effect.is_some()) {
            self.lowest += 1;
        }
        // A refused one is given up after a while, so that the window moves on.
        if dice.below(8) == 0 && self.asked.get(&self.lowest).is_some_and(|asked| asked.effect.is_none()) {
            self.lowest += 1;
        }
    }
}

fn options() -> Options {
    Options { segment_size: 1 << 20, quarantine_timer: false, seed: Some(1), ..Options::default() }
}

fn list() -> Target {
    Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp)
}
