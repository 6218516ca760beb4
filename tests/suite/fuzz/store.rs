//! Small stores on the simulated disk, made once: two segments, some grants, killed in the middle of
//! their life. Shared by the targets that damage them.

use portplex::checkpoint::FlatStore;
use portplex::disk::sim::{Loss, SimDisk};
use portplex::facility::{Machine, OpenError, Options, SetClock, Stepper, inspect};
use portplex::ident::{BootId, ConnectorName, Identity, Lsn, PortSet, Target, Transport};
use portplex::structure::{Actor, Answer, Body, Introduction, Member, Policy, Request, Structure};
use portplex::wal::constants::BLOCK_SIZE;
use portplex::wal::segment::SegmentHeader;
use portplex::wal::{self, ChainEnd, Manifest};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const DIR: &str = "/store";

/// A store, what was acknowledged, and what is on its disk.
pub struct Store {
    pub disk: SimDisk,
    /// What was acknowledged.
    pub acknowledged: Structure,
    /// What was written: the same, or one frame more.
    pub issued: Structure,
    pub manifest: Manifest,
    /// The tail segment.
    pub tail: PathBuf,
    pub salt: u32,
    /// Where its next frame starts, and what that one continues.
    pub offset: u64,
    pub end: ChainEnd,
}

impl Store {
    fn of(disk: SimDisk, acknowledged: Structure) -> Self {
        let issued = read(&disk).expect("an undamaged store is read");
        let dir = Path::new(DIR);
        let survey = wal::survey(&disk, dir).expect("an undamaged store");
        let replayed = wal::replay(&disk, dir, &survey, Lsn::ZERO, &mut |_, _| Ok(())).expect("an undamaged log");
        let tail = wal::segment::path(dir, survey.manifest.tail().number);
        let header = disk.bytes(&tail).expect("the tail is there")[..BLOCK_SIZE as usize].to_vec();
        let salt = SegmentHeader::decode(&header).expect("a good header").salt;
        let offset = replayed.above.as_ref().map_or(replayed.offset, |above| above.offset + BLOCK_SIZE);
        Self { disk, acknowledged, issued, manifest: survey.manifest, tail, salt, offset, end: replayed.end }
    }

    /// Whether a state may be what an open gives.
    pub fn allows(&self, found: &Structure) -> bool {
        *found == self.issued || *found == self.acknowledged
    }
}

pub fn machine(disk: &SimDisk) -> Machine {
    Machine {
        disk: Arc::new(disk.clone()),
        checkpoints: Arc::new(FlatStore),
        clock: Arc::new(SetClock::new(BootId(1), 1_000)),
    }
}

pub fn options() -> Options {
    Options { create: true, segment_size: 16 << 10, seed: Some(1), ..Options::default() }
}

/// What an offline reader makes of a damaged store.
pub fn read(disk: &SimDisk) -> Result<Structure, OpenError> {
    inspect(&machine(disk), Path::new(DIR)).map(|inspected| inspected.structure)
}

/// What a store has behind it.
pub type Work = fn() -> (Stepper, SimDisk, Request);

/// A store whose every frame was acknowledged and is proven durable.
pub fn acknowledged(work: Work) -> Store {
    let (facility, disk, _) = work();
    let structure = copy(facility.structure());
    drop(facility);
    Store::of(disk.after_kill(), structure)
}

/// A store whose last frame was written, and whose watermark says so of the one before only: the power
/// went before anybody was answered.
pub fn issued(work: Work) -> Store {
    for change in 0.. {
        let (mut facility, disk, last) = work();
        let structure = copy(facility.structure());
        facility.sync_watermark().expect("the disk works");
        disk.cut_at(disk.changes() + change);
        facility.turn(vec![last]).expect_err("the power goes before it is answered");
        drop(facility);
        let store = Store::of(disk.after_power_cut(&Loss::Nothing), structure);
        if store.issued != store.acknowledged {
            return store;
        }
    }
    unreachable!("the frame is written before it is answered")
}

/// A store with two checkpoints and some log above them.
pub fn checkpointed() -> Store {
    let (mut facility, disk, last) = grants();
    facility.checkpoint().expect("a checkpoint");
    facility.turn(vec![last]).expect("the disk works");
    let extra = Target::List("10.1.1.2".parse().expect("an address"), Transport::Tcp);
    facility.turn(vec![Request::Define { target: extra }]).expect("the disk works");
    facility.checkpoint().expect("another checkpoint");
    facility.turn(vec![Request::Delete { target: extra }]).expect("the disk works");
    let structure = copy(facility.structure());
    drop(facility);
    let store = Store::of(disk.after_kill(), structure);
    assert_eq!(store.manifest.checkpoints.len(), 2);
    store
}

fn copy(structure: &Structure) -> Structure {
    Structure::import(structure.items().collect::<Vec<_>>().into_iter()).expect("the items make a structure")
}

fn new() -> (Stepper, SimDisk) {
    let disk = SimDisk::new();
    let facility = Stepper::open(&machine(&disk), Path::new(DIR), &options()).expect("a new store opens");
    (facility, disk)
}

/// Lists and a stack in them, but no allowable set, whose 8 KiB take most of a recovery's time: most inputs
/// are tried on this one. The request would make another list.
pub fn lists() -> (Stepper, SimDisk, Request) {
    let (mut facility, disk) = new();
    let list = |number: u8| Target::List(format!("10.1.1.{number}").parse().expect("an address"), Transport::Tcp);
    let actor = connect(&mut facility);
    let mut number = 0;
    for target in (1..4).map(list) {
        ask(&mut facility, Request::Define { target });
        stack(&mut facility, actor, &mut number, Body::Join { target });
    }
    let policy = Policy { quota: 640, ..Policy::default() };
    ask(&mut facility, Request::SetPolicy { target: list(2), policy });
    ask(&mut facility, Request::Delete { target: list(3) });
    (facility, disk, Request::Define { target: list(4) })
}

/// Grants, some given back. The request would be answered with another one.
pub fn grants() -> (Stepper, SimDisk, Request) {
    let (mut facility, disk) = new();
    let actor = connect(&mut facility);
    let mut number = 0;
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 65_535);
    stack(&mut facility, actor, &mut number, Body::SetAllowable { transport: Transport::Tcp, ports });
    let target = Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp);
    let Answer::Joined(joined) = stack(&mut facility, actor, &mut number, Body::Join { target }) else {
        panic!("joins")
    };
    for round in 0..3 {
        take_and_give_back(&mut facility, actor, &mut number, joined.member, round);
    }
    let body = Body::Acquire { member: joined.member, at_least: 1, at_most: 1 };
    let last = Request::Stack { actor, number: number + 1, lowest: number + 1, body };
    (facility, disk, last)
}

fn connect(facility: &mut Stepper) -> Actor {
    let introduction = Introduction {
        name: ConnectorName::new("A").expect("a name"),
        identity: Identity::default(),
        promise_ms: 0,
        enforced: false,
    };
    let Answer::Connected(actor) = ask(facility, Request::Connect(introduction)) else { panic!("connects") };
    actor
}

fn take_and_give_back(facility: &mut Stepper, actor: Actor, number: &mut u32, member: Member, round: u16) {
    let body = Body::Acquire { member, at_least: 1, at_most: 2 };
    let Answer::Granted(grants) = stack(facility, actor, number, body) else { panic!("granted") };
    if round.is_multiple_of(2) {
        let (group, grant, mask) = (grants[0].group, grants[0].lsn, grants[0].mask);
        stack(facility, actor, number, Body::Release { member, group, grant, mask });
    }
}

fn stack(facility: &mut Stepper, actor: Actor, number: &mut u32, body: Body) -> Answer {
    *number += 1;
    ask(facility, Request::Stack { actor, number: *number, lowest: *number, body })
}

fn ask(facility: &mut Stepper, request: Request) -> Answer {
    let answers = facility.turn(vec![request]).expect("the disk works");
    answers.into_iter().next().expect("one answer").expect("not refused").answer
}

/// The payload of every frame, and how many records it has.
pub fn payloads(store: &Store) -> Vec<(Vec<u8>, u32)> {
    let mut payloads = Vec::new();
    let survey = wal::survey(&store.disk, Path::new(DIR)).expect("an undamaged store");
    let replayed = wal::verify(&store.disk, Path::new(DIR), &survey, &mut |frame, payload| {
        payloads.push((payload.to_vec(), frame.count));
        Ok(())
    });
    replayed.expect("an undamaged log");
    payloads
}
