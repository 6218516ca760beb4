//! The small universe in which every sequence of requests is tried: two stacks, two lists, three
//! groups, a log whose segments hold three frames, and one letter for everything that can be asked.

use crate::crash::model::Model;
use crate::crash::plan::{DIR, Plan, QUARANTINE_MS, State, list, machine};
use crate::crash::workload::{Ask, Place, World};
use crate::random::Random;
use portplex::disk::sim::{Moment, SimDisk};
use portplex::facility::{self, Clock, Stepper};
use portplex::ident::{ConnectorName, Incarnation, PortMask, PortSet, Transport};
use portplex::record;
use portplex::structure::{Body, Policy, Request, Structure};
use std::path::PathBuf;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    Define,
    Delete,
    Join,
    AcquireWhole,
    AcquirePartial,
    Claim,
    Release,
    PartRelease,
    Leave,
    Disconnect,
    /// The same process attaches once more.
    AttachAgain,
    /// The machine of a stack started again.
    AttachRebooted,
    CleanUp,
    EndQuarantine,
    /// A frame of three blocks: it is torn in many ways, and needs a segment of its own.
    SetAllowable,
    /// The last request of a stack once more, under the same number.
    Repeat,
    Checkpoint,
    /// What the threads beside the writer do: spare, reserve, watermark.
    Upkeep,
    /// A clean end, the next open, and both stacks attach.
    CloseAndOpen,
    /// The process is killed; the next one goes on with what is in the page cache.
    KillAndOpen,
}

pub(crate) const LETTERS: [Letter; 20] = [
    Letter::Define,
    Letter::Delete,
    Letter::Join,
    Letter::AcquireWhole,
    Letter::AcquirePartial,
    Letter::Claim,
    Letter::Release,
    Letter::PartRelease,
    Letter::Leave,
    Letter::Disconnect,
    Letter::AttachAgain,
    Letter::AttachRebooted,
    Letter::CleanUp,
    Letter::EndQuarantine,
    Letter::SetAllowable,
    Letter::Repeat,
    Letter::Checkpoint,
    Letter::Upkeep,
    Letter::CloseAndOpen,
    Letter::KillAndOpen,
];

/// How many stores the words start from: with no, one and two frames in the tail before them.
pub(crate) const BASES: usize = 3;

const PLAN: Plan = Plan {
    seed: 11,
    turns: 0,
    close_at: u32::MAX,
    kill_at: u32::MAX,
    reboot_at: u32::MAX,
    checkpoint_every: 1,
    ends_closed: false,
    is_small: true,
    packs: false,
};

pub(crate) const fn plan() -> Plan {
    PLAN
}

/// A store that words start from, with what everybody knows of it.
#[derive(Clone)]
pub(crate) struct Base {
    disk: SimDisk,
    pub(crate) world: World,
    now: u64,
}

/// What a word did: only its last letter's moments, and the states that were acknowledged in it.
pub(crate) struct Done {
    pub(crate) moments: Vec<Moment>,
    /// The state before the last letter, and after each of its turns.
    pub(crate) states: Vec<State>,
    /// How many changes had been made when each turn of the last letter began and ended.
    pub(crate) turns: Vec<(u64, u64)>,
    /// How many changes had been made when `init` was acknowledged.
    pub(crate) inited_at: u64,
    /// What must never be.
    pub(crate) faults: Vec<String>,
}

impl Done {
    /// The states that may be recovered when the crash comes at a moment: what was acknowledged, and
    /// what was under way.
    pub(crate) fn allowed(&self, moment: &Moment) -> &[State] {
        let acked = self.turns.iter().filter(|(_, end)| moment.change() >= *end).count();
        let in_flight = self.turns.iter().any(|(begin, end)| (*begin..*end).contains(&moment.change()));
        &self.states[acked..=(acked + usize::from(in_flight)).min(self.states.len() - 1)]
    }
}

/// The life of the universe while a word is run.
struct Life {
    disk: SimDisk,
    pub(crate) world: World,
    stepper: Option<Stepper>,
    states: Vec<State>,
    turns: Vec<(u64, u64)>,
    inited_at: u64,
}

/// Makes the stores that words start from. The first one's making is a word of its own: everything
/// from the empty disk on.
pub(crate) fn bases() -> Result<(Vec<Base>, Done), String> {
    let disk = SimDisk::new();
    disk.keep_moments();
    let mut life = Life::new(&disk);
    life.make()?;
    let moments = disk.take_moments();
    let first = life.done(moments);
    let mut bases = Vec::new();
    for frames in 0..BASES {
        if frames > 0 {
            let policy = Policy { quota: 0, reserve: 0, quarantine_ms: 0, clean_up_ms: frames as u64 };
            life.turn(&[Ask::Operator(Request::SetPolicy { target: list(0), policy })])?;
        }
        let disk = life.disk.after_kill();
        disk.settle();
        let mut world = life.world.clone();
        world.progress.states.clear();
        bases.push(Base { disk, world, now: life.now() });
    }
    Ok((bases, first))
}

/// Runs a word from a base.
pub(crate) fn run(base: &Base, word: &[Letter]) -> Result<Done, String> {
    let disk = base.disk.fork();
    let mut life = Life::resume(&disk, base)?;
    let (last, before) = word.split_last().ok_or("a word has a letter")?;
    for letter in before {
        life.act(*letter)?;
    }
    life.begin_last();
    disk.keep_moments();
    life.act(*last)?;
    let moments = disk.take_moments();
    Ok(life.done(moments))
}

impl Life {
    fn new(disk: &SimDisk) -> Self {
        let (machine, clock) = machine(disk, 1, 10_000);
        let place = Place { machine, clock, dir: PathBuf::from(DIR), sim: Some(disk.clone()) };
        let world = World::new(place, PLAN, Random::new(PLAN.seed), false);
        Self { disk: disk.clone(), world, stepper: None, states: Vec::new(), turns: Vec::new(), inited_at: 0 }
    }

    fn resume(disk: &SimDisk, base: &Base) -> Result<Self, String> {
        let mut world = base.world.clone();
        (world.place.machine, world.place.clock) = machine(disk, 1, base.now);
        world.place.sim = Some(disk.clone());
        let mut life =
            Self { disk: disk.clone(), world, stepper: None, states: Vec::new(), turns: Vec::new(), inited_at: 0 };
        life.open()?;
        Ok(life)
    }

    fn now(&self) -> u64 {
        self.world.place.clock.boot_ms().0
    }

    fn begin_last(&mut self) {
        let state = self.state();
        self.states = vec![state];
        self.turns.clear();
    }

    fn state(&self) -> State {
        let digest = self.stepper.as_ref().map(|stepper| mark(stepper.structure()));
        State { digest: digest.unwrap_or_default(), model: self.world.model.clone(), now: self.now() }
    }

    fn done(&mut self, moments: Vec<Moment>) -> Done {
        let mut faults = std::mem::take(&mut self.world.progress.faults);
        if let Some(stepper) = &self.stepper {
            faults.extend(self.world.model.faults(stepper.structure(), self.now()));
        }
        let (states, turns) = (std::mem::take(&mut self.states), std::mem::take(&mut self.turns));
        Done { moments, states, turns, inited_at: self.inited_at, faults }
    }

    /// From the empty disk to a store with something of everything in it.
    fn make(&mut self) -> Result<(), String> {
        let place = &self.world.place;
        let none = State { digest: [0; 32], model: Model::default(), now: self.now() };
        self.states = vec![none];
        facility::init(&place.machine, &place.dir, &PLAN.options()).map_err(|error| error.to_string())?;
        self.inited_at = self.disk.changes();
        self.stepper = Some(self.world.open()?);
        self.states = vec![self.state()];
        self.turn(&[Ask::Operator(Request::Define { target: list(0) }), Ask::Connect(0), Ask::Connect(1)])?;
        for stack in [0, 1] {
            self.turn(&[ask(stack, Body::SetAllowable { transport: Transport::Tcp, ports: ports(0) })])?;
        }
        self.turn(&[0, 1].map(|stack| ask(stack, Body::Join { target: list(0) })))?;
        for letter in [Letter::AcquireWhole, Letter::Claim, Letter::AcquireWhole, Letter::Release, Letter::Upkeep] {
            self.act(letter)?;
        }
        self.act(Letter::Checkpoint)?;
        self.act(Letter::CloseAndOpen)
    }

    fn turn(&mut self, asks: &[Ask]) -> Result<(), String> {
        let stepper = self.stepper.as_mut().ok_or("the store is not open")?;
        let begin = self.disk.changes();
        self.world.take(asks, stepper)?;
        self.turns.push((begin, self.disk.changes()));
        let state = self.state();
        self.states.push(state);
        Ok(())
    }

    /// Opens the store, and both stacks attach that have a connector.
    fn open(&mut self) -> Result<(), String> {
        self.stepper = Some(self.world.open()?);
        let known = |stack: &usize| {
            let name = self.world.stacks[*stack].introduction.name.as_str();
            self.world.model.connectors.contains_key(name)
        };
        let asks: Vec<Ask> = [0, 1].iter().filter(|stack| known(stack)).map(|stack| Ask::Attach(*stack)).collect();
        if asks.is_empty() { Ok(()) } else { self.turn(&asks) }
    }

    fn act(&mut self, letter: Letter) -> Result<(), String> {
        match letter {
            Letter::Checkpoint => self.stepper()?.checkpoint().map(drop).map_err(|error| error.to_string()),
            Letter::Upkeep => {
                while self.stepper()?.fill_spare().map_err(|error| error.to_string())? {}
                self.stepper()?.sync_watermark().map_err(|error| error.to_string())
            }
            Letter::CloseAndOpen => {
                let stepper = self.stepper.take().ok_or("the store is not open")?;
                stepper.close().map_err(|error| error.to_string())?;
                self.open()
            }
            Letter::KillAndOpen => {
                self.stepper = None;
                self.open()
            }
            Letter::CleanUp => {
                let Some((name, incarnation)) = self.connector(1) else { return self.claim() };
                let by = ConnectorName::new("OPERATOR").map_err(|error| error.to_string())?;
                self.turn(&[Ask::Operator(Request::MarkFailed { name: name.clone(), incarnation, by: None })])?;
                let clean_up = Request::CleanUp { name, incarnation, by, boot_is_dead: true };
                self.turn(&[Ask::Operator(clean_up)])
            }
            Letter::EndQuarantine => {
                self.world.place.clock.advance(QUARANTINE_MS);
                self.turn(&[Ask::Operator(Request::EndQuarantine { list: 0 })])
            }
            Letter::Claim => self.claim(),
            other => {
                let ask = self.ask_of(other);
                self.turn(&[ask])
            }
        }
    }

    fn stepper(&self) -> Result<&Stepper, String> {
        self.stepper.as_ref().ok_or_else(|| "the store is not open".to_owned())
    }

    /// One port by its name, of the group that is allowable in part only.
    fn claim(&mut self) -> Result<(), String> {
        let ask = self.ask_of(Letter::Claim);
        self.turn(&[ask])
    }

    fn ask_of(&mut self, letter: Letter) -> Ask {
        match letter {
            Letter::Define => Ask::Operator(Request::Define { target: list(2) }),
            Letter::Delete => Ask::Operator(Request::Delete { target: list(0) }),
            Letter::AttachAgain => {
                self.world.stacks[0].introduction.identity.process.0 += 1;
                self.introduce(0)
            }
            Letter::AttachRebooted => {
                self.world.stacks[1].introduction.identity.boot.0 += 1;
                self.introduce(1)
            }
            Letter::Disconnect => self.of(1, |_| Body::Disconnect),
            Letter::SetAllowable => self.of(0, |_| Body::SetAllowable { transport: Transport::Tcp, ports: ports(1) }),
            Letter::Join => self.of(0, |_| Body::Join { target: list(2) }),
            Letter::AcquireWhole => self.in_list(0, |member| Body::Acquire { member, at_least: 1, at_most: 1 }),
            Letter::AcquirePartial => self.in_list(1, |member| Body::Acquire { member, at_least: 1, at_most: 4 }),
            Letter::Claim => self.in_list(1, |member| Body::Claim { member, port: 1_160 }),
            Letter::Leave => self.in_list(0, |member| Body::Leave { member }),
            Letter::Release => self.release(0, u64::MAX),
            Letter::PartRelease => self.release(1, 0x5555_5555_5555_5555),
            _ => self.repeat(0),
        }
    }

    fn introduce(&self, stack: usize) -> Ask {
        if self.connector(stack).is_some() { Ask::Attach(stack) } else { Ask::Connect(stack) }
    }

    fn connector(&self, stack: usize) -> Option<(ConnectorName, Incarnation)> {
        let name = &self.world.stacks[stack].introduction.name;
        let (incarnation, _) = self.world.model.connectors.get(name.as_str())?;
        Some((name.clone(), Incarnation(*incarnation)))
    }

    /// A request of a stack; it introduces itself first if it has no connector.
    fn of(&self, stack: usize, body: impl FnOnce(&Self) -> Body) -> Ask {
        if self.world.stacks[stack].actor.is_some() { ask(stack, body(self)) } else { self.introduce(stack) }
    }

    /// A request in the first list; the stack joins it first if it has not.
    fn in_list(&self, stack: usize, body: impl FnOnce(portplex::structure::Member) -> Body) -> Ask {
        let member = self.world.stacks[stack].members.get(&list(0)).copied();
        self.of(stack, |_| member.map_or(Body::Join { target: list(0) }, body))
    }

    /// Gives back some ports of the newest grant; without one the last request is repeated.
    fn release(&self, stack: usize, mask: u64) -> Ask {
        let name = self.world.stacks[stack].introduction.name.as_str();
        let newest = self.world.model.grants.iter().rfind(|(_, held)| held.holder == name);
        let member = self.world.stacks[stack].members.get(&list(0)).copied();
        let (Some((lsn, held)), Some(member)) = (newest, member) else { return self.repeat(stack) };
        let some = PortMask(if held.mask & mask == 0 { held.mask } else { held.mask & mask });
        let group = held.group.try_into().expect("a group");
        ask(stack, Body::Release { member, group, grant: portplex::ident::Lsn(*lsn), mask: some })
    }

    fn repeat(&self, stack: usize) -> Ask {
        let body = self.world.stacks[stack].last.clone();
        self.of(stack, |_| Body::Join { target: list(0) }).repeated(body)
    }
}

impl Ask {
    /// The last request instead of this one, if there was one.
    fn repeated(self, last: Option<Body>) -> Self {
        match (self, last) {
            (Self::Stack { stack, .. }, Some(body)) => Self::Stack { stack, body, is_repeat: true },
            (ask, _) => ask,
        }
    }
}

const fn ask(stack: usize, body: Body) -> Ask {
    Ask::Stack { stack, body, is_repeat: false }
}

/// A digest of a whole state that costs little: the items' encodings, folded into 128 bits.
pub(crate) fn mark(structure: &Structure) -> [u8; 32] {
    let (mut low, mut high, mut bytes) = (1_u64, 2_u64, Vec::new());
    let mut fold = |word: u64| {
        let product = u128::from(low ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        low = (product >> 64) as u64 ^ high;
        high = high.rotate_left(23) ^ product as u64;
    };
    for item in structure.items() {
        record::rows::encode(&item, &mut bytes);
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| fold(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| fold(u64::from(*byte) << 8 | 1));
        fold(bytes.len() as u64);
        bytes.clear();
    }
    let mut mark = [0; 32];
    mark[..8].copy_from_slice(&low.to_le_bytes());
    mark[8..16].copy_from_slice(&high.to_le_bytes());
    mark
}

/// Two groups and a half; the second set has one port more.
fn ports(set: u16) -> PortSet {
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 1_184 + set);
    ports
}
