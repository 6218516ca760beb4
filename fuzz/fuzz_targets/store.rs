//! A small store on the simulated disk, made once: two segments, some grants, killed in the middle
//! of its life. Shared by the targets that damage it.

use portplex::checkpoint::FlatStore;
use portplex::disk::sim::SimDisk;
use portplex::facility::{Machine, OpenError, Options, SetClock, Stepper, inspect};
use portplex::ident::{BootId, ConnectorName, Identity, PortSet, Target, Transport};
use portplex::structure::{Actor, Answer, Body, Introduction, Member, Request, Structure};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const DIR: &str = "/store";

/// A store whose every frame is durable, and its state.
pub struct Store {
    pub disk: SimDisk,
    pub structure: Structure,
    pub tail: PathBuf,
}

pub fn machine(disk: &SimDisk) -> Machine {
    Machine {
        disk: Arc::new(disk.clone()),
        checkpoints: Arc::new(FlatStore),
        clock: Arc::new(SetClock::new(BootId(1), 1_000)),
    }
}

pub fn options() -> Options {
    Options { create: true, segment_size: 32 << 10, seed: Some(1), ..Options::default() }
}

/// What an offline reader makes of a damaged store.
pub fn read(disk: &SimDisk) -> Result<Structure, OpenError> {
    inspect(&machine(disk), Path::new(DIR)).map(|inspected| inspected.structure)
}

pub fn make() -> Store {
    let disk = SimDisk::new();
    let mut facility = Stepper::open(&machine(&disk), Path::new(DIR), &options()).expect("a new store opens");
    let mut number = 0;
    let introduction = Introduction {
        name: ConnectorName::new("A").expect("a name"),
        identity: Identity::default(),
        promise_ms: 0,
        enforced: false,
    };
    let Answer::Connected(actor) = ask(&mut facility, Request::Connect(introduction)) else { panic!("connects") };
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 65_535);
    stack(&mut facility, actor, &mut number, Body::SetAllowable { transport: Transport::Tcp, ports });
    let target = Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp);
    let Answer::Joined(joined) = stack(&mut facility, actor, &mut number, Body::Join { target }) else {
        panic!("joins")
    };
    for round in 0..8 {
        take_and_give_back(&mut facility, actor, &mut number, joined.member, round);
    }
    let (structure, disk) = (facility.structure().items().collect::<Vec<_>>(), disk.after_kill());
    let structure = Structure::import(structure.into_iter()).expect("the items make a structure");
    drop(facility);
    let tail = disk.image().into_keys().filter(|path| path.extension().is_some_and(|e| e == "seg")).max();
    Store { disk, structure, tail: tail.expect("a segment") }
}

fn take_and_give_back(facility: &mut Stepper, actor: Actor, number: &mut u32, member: Member, round: u16) {
    let body = Body::Acquire { member, at_least: 1, at_most: 2 };
    let Answer::Granted(grants) = stack(facility, actor, number, body) else { panic!("granted") };
    if round % 2 == 0 {
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
