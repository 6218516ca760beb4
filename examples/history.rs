//! Makes a long packed history of a believable day and says how large it is: `history DIR DAYS`.
//!
//! 64 stacks share four DVIPAs. Ten times a second, at random moments, a stack takes something: four
//! times in five a whole group, for two minutes on average, else one named port, for ten. Every request
//! is a group commit of its own, as it is at such a load, and so is every end of a quarantine. `DIR` is
//! then a store for `portplex who` and `portplex log verify`.

use portplex::facility::{Machine, past::forge_history};
use portplex::ident::{BootId, BootMs, ConnectorName, Identity, Lsn, MachineId, PortSet, ProcessId, WallMs};
use portplex::ident::{StructureName, Target, Transport};
use portplex::record;
use portplex::structure::Structure;
use portplex::structure::{Actor, Answer, Body, ClockFloor, Context, Due, Event, Grant, Introduction, Member, Request};
use portplex::wal::pack::ForgedFrame;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;
use std::path::PathBuf;

const STACKS: usize = 64;
const LISTS: usize = 4;
const GRANTS_PER_SECOND: f64 = 10.0;
const GROUP_SECONDS: f64 = 120.0;
const PORT_SECONDS: f64 = 600.0;
const QUARANTINE_MS: u32 = 120_000;
const WALL_START_MS: u64 = 1_790_000_000_000;
const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// About 64 MiB packed.
const PACK_FRAMES: u64 = 7_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(dir), Some(days)) = (arguments.next(), arguments.next().and_then(|days| days.parse::<f64>().ok())) else {
        eprintln!("usage: history DIR DAYS");
        std::process::exit(2);
    };
    let dir = PathBuf::from(dir);
    let mut world = World::new((days * DAY_MS as f64) as u64);
    let machine = Machine::real();
    let done = forge_history(&machine, &dir, PACK_FRAMES, &mut |first, payload| world.next(first, payload));
    if let Err(error) = done {
        eprintln!("{error}");
        std::process::exit(1);
    }
    let entries = machine.disk.list(&dir.join("wal")).expect("the store is there");
    let packs: Vec<u64> =
        entries.iter().filter(|entry| entry.name.ends_with(".pack")).map(|entry| entry.size).collect();
    let size: u64 = packs.iter().sum();
    let (records, grants) = (world.records as f64, world.grants as f64);
    println!("{} packs, {size} bytes: {records} records, {grants} grants, {} refused", packs.len(), world.refused);
    println!(
        "{:.2} bytes a record, {:.2} a grant with its release and the end of its quarantine",
        size as f64 / records,
        size as f64 / grants
    );
    println!("180 days: {:.2} GiB", size as f64 / days * 180.0 / f64::from(1 << 30));
    println!("the log that it stands for: {:.1} times as large", world.records as f64 * 4_096.0 / size as f64);
}

struct Stack {
    actor: Actor,
    members: Vec<Member>,
    number: u32,
}

struct World {
    structure: Structure,
    context: Context,
    random: u64,
    end_ms: u64,
    stacks: Vec<Stack>,
    /// What is to be given back, and when.
    held: BinaryHeap<Reverse<(u64, u64, usize, usize)>>,
    grants_held: Vec<Option<Grant>>,
    free: Vec<usize>,
    next_grant_ms: f64,
    waiting: VecDeque<Request>,
    lists: Vec<u32>,
    due_ms: Vec<u64>,
    events: Vec<Event>,
    records: u64,
    grants: u64,
    refused: u64,
}

impl World {
    fn new(end_ms: u64) -> Self {
        let context = Context {
            now: BootMs(1_000),
            random: 7,
            open_first: Lsn(1),
            floor: ClockFloor::default(),
            quarantine_ms: QUARANTINE_MS,
            deadline: None,
        };
        let waiting = (0..LISTS).map(|list| Request::Define { target: target(list) }).collect();
        Self {
            structure: Structure::new(StructureName::default()),
            context,
            random: 0x9e37_79b9_7f4a_7c15,
            end_ms,
            stacks: Vec::new(),
            held: BinaryHeap::new(),
            grants_held: Vec::new(),
            free: Vec::new(),
            next_grant_ms: 2_000.0,
            waiting,
            lists: Vec::new(),
            due_ms: vec![u64::MAX; LISTS],
            events: Vec::new(),
            records: 0,
            grants: 0,
            refused: 0,
        }
    }

    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.draw() % end as u64) as usize
    }

    /// A time after which something ends that lasts so long on average.
    fn wait_ms(&mut self, seconds: f64) -> f64 {
        let part = (self.draw() >> 11) as f64 / (1_u64 << 53) as f64;
        -(1.0 - part).ln() * seconds * 1_000.0
    }

    fn next(&mut self, first: Lsn, payload: &mut Vec<u8>) -> Option<ForgedFrame> {
        loop {
            let (request, stack) = self.next_request()?;
            self.events.clear();
            self.context.random = self.draw();
            let decision = match self.structure.decide(&request, &self.context, &mut self.events) {
                Ok(decision) if !self.events.is_empty() => decision,
                Ok(_) => continue,
                Err(_) => {
                    self.refused += 1;
                    continue;
                }
            };
            let mut lsn = first;
            for event in &self.events {
                self.structure.apply(lsn, self.context.now, event);
                record::encode(event, payload);
                lsn = lsn.next();
            }
            let count = u32::try_from(self.events.len()).expect("few");
            let answer = self.structure.answer(&request, &decision, first, count);
            self.note(stack, answer);
            self.records += u64::from(count);
            let wall = WallMs(WALL_START_MS + self.context.now.0);
            return Some(ForgedFrame { count, wall, boot: self.context.now });
        }
    }

    fn next_request(&mut self) -> Option<(Request, usize)> {
        if let Some(request) = self.waiting.pop_front() {
            return Some((request, 0));
        }
        if self.stacks.len() < STACKS {
            let name = ConnectorName::new(&format!("SYS{:02}.TCPIP", self.stacks.len())).expect("a name");
            let identity =
                Identity { machine: MachineId(self.stacks.len() as u128 + 1), boot: BootId(1), process: ProcessId(1) };
            return Some((Request::Connect(Introduction { name, identity, promise_ms: 30_000, enforced: false }), 0));
        }
        if let Some(stack) = self.stacks.iter().position(|stack| stack.members.len() < LISTS || stack.number == 0) {
            let state = &self.stacks[stack];
            let body = if state.number == 0 {
                let mut ports = PortSet::empty();
                ports.insert_range(1_024, 65_535);
                Body::SetAllowable { transport: Transport::Tcp, ports }
            } else {
                Body::Join { target: target(state.members.len()) }
            };
            return Some((self.of_stack(stack, body), stack));
        }
        if self.lists.is_empty() {
            self.lists = (0..LISTS).map(|list| self.structure.list_by_target(target(list)).expect("defined")).collect();
        }
        let release_ms = self.held.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        let (due_list, due_ms) =
            self.due_ms.iter().copied().enumerate().min_by_key(|(_, due)| *due).expect("there are lists");
        let now = release_ms.min(due_ms).min(self.next_grant_ms as u64).max(self.context.now.0);
        if now > self.end_ms {
            return None;
        }
        self.context.now = BootMs(now);
        if due_ms <= now {
            let list = self.lists[due_list];
            self.due_ms[due_list] = u64::MAX;
            return match self.structure.quarantine_due(list, &self.context) {
                Due::Now(_) => Some((Request::EndQuarantine { list }, due_list)),
                Due::At(at) => {
                    self.due_ms[due_list] = at.0;
                    self.next_request()
                }
                _ => self.next_request(),
            };
        }
        if release_ms <= now {
            let Reverse((_, _, stack, place)) = self.held.pop().expect("it was looked at");
            let grant = self.grants_held[place].take().expect("it is held");
            self.free.push(place);
            let Grant { lsn, member, group, mask, .. } = grant;
            return Some((self.of_stack(stack, Body::Release { member, group, grant: lsn, mask }), stack));
        }
        self.next_grant_ms += self.wait_ms(1.0 / GRANTS_PER_SECOND);
        let stack = self.below(STACKS);
        let list = self.below(LISTS);
        let member = self.stacks[stack].members[list];
        let body = if self.below(5) == 0 {
            let port = 1_024 + self.below(64_512);
            Body::Claim { member, port: u16::try_from(port).expect("a port") }
        } else {
            Body::Acquire { member, at_least: 1, at_most: 1 }
        };
        Some((self.of_stack(stack, body), stack))
    }

    fn of_stack(&mut self, stack: usize, body: Body) -> Request {
        let state = &mut self.stacks[stack];
        state.number += 1;
        Request::Stack { actor: state.actor, number: state.number, lowest: state.number, body }
    }

    fn note(&mut self, stack: usize, answer: Answer) {
        match answer {
            Answer::Connected(actor) => self.stacks.push(Stack { actor, members: Vec::new(), number: 0 }),
            Answer::Joined(joined) => self.stacks[stack].members.push(joined.member),
            Answer::Granted(grants) => {
                for grant in grants {
                    self.grants += 1;
                    let seconds = if grant.mask.count() > 1 { GROUP_SECONDS } else { PORT_SECONDS };
                    let at = self.context.now.0 + self.wait_ms(seconds) as u64 + 1;
                    let place = self.free.pop().unwrap_or_else(|| {
                        self.grants_held.push(None);
                        self.grants_held.len() - 1
                    });
                    self.grants_held[place] = Some(grant);
                    self.held.push(Reverse((at, grant.lsn.0, stack, place)));
                }
            }
            _ => {}
        }
        for list in 0..self.lists.len() {
            if self.due_ms[list] == u64::MAX {
                match self.structure.quarantine_due(self.lists[list], &self.context) {
                    Due::At(at) => self.due_ms[list] = at.0,
                    Due::Now(_) => self.due_ms[list] = self.context.now.0,
                    _ => {}
                }
            }
        }
    }
}

fn target(list: usize) -> Target {
    Target::List(format!("10.1.1.{}", list + 1).parse().expect("an address"), Transport::Tcp)
}
