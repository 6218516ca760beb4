//! One small store through its whole life on the simulated disk: every codec and all of recovery on few
//! bytes, so that it can also be run by an interpreter that watches every access to memory (`.ci/miri`).
#![forbid(unsafe_code)]

use super::Clock;
use super::Machine;
use super::Options;
use super::SetClock;
use super::Stepper;
use super::inspect;
use crate::checkpoint::FlatStore;
use crate::disk::sim::Loss;
use crate::disk::sim::SimDisk;
use crate::ident::BootId;
use crate::ident::ConnectorName;
use crate::ident::Identity;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Answer;
use crate::structure::Body;
use crate::structure::Introduction;
use crate::structure::Request;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/store";

fn machine(disk: &SimDisk) -> Machine {
    let clock: Arc<dyn Clock> = Arc::new(SetClock::new(BootId(1), 1_000));
    Machine { disk: Arc::new(disk.clone()), checkpoints: Arc::new(FlatStore), clock }
}

fn open(disk: &SimDisk) -> Stepper {
    let options = Options { create: true, segment_size: 16 << 10, seed: Some(7), ..Options::default() };
    Stepper::open(&machine(disk), Path::new(DIR), &options).expect("the store opens")
}

fn answer(stepper: &mut Stepper, request: Request) -> Answer {
    let answers = stepper.turn(vec![request]).expect("stored");
    answers.into_iter().next().expect("one answer").expect("granted").answer
}

/// Connects, says what it may use, joins a list, takes a group and a port, gives a part back.
fn live(stepper: &mut Stepper) {
    let name = ConnectorName::new("SYS1").expect("a name");
    let introduction = Introduction { name, identity: Identity::default(), promise_ms: 0, enforced: false };
    let Answer::Connected(actor) = answer(stepper, Request::Connect(introduction)) else { panic!("connected") };
    let mut number = 0;
    let mut ask = |stepper: &mut Stepper, body: Body| {
        number += 1;
        answer(stepper, Request::Stack { actor, number, lowest: number, body })
    };
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 65_535);
    ask(stepper, Body::SetAllowable { transport: Transport::Tcp, ports });
    let target = Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp);
    let Answer::Joined(membership) = ask(stepper, Body::Join { target }) else { panic!("joined") };
    let member = membership.member;
    let Answer::Granted(grants) = ask(stepper, Body::Acquire { member, at_least: 1, at_most: 2 }) else {
        panic!("granted")
    };
    ask(stepper, Body::Claim { member, port: 50_000 });
    let grant = grants[0];
    let mask = crate::ident::PortMask(0xff);
    ask(stepper, Body::Release { member, group: grant.group, grant: grant.lsn, mask });
}

#[test]
fn a_small_store_is_the_same_after_a_kill_a_power_cut_a_checkpoint_and_a_close() {
    let disk = SimDisk::new();
    let mut stepper = open(&disk);
    live(&mut stepper);
    let lived: Vec<_> = stepper.structure().items().collect();
    let same = |disk: &SimDisk, when: &str| {
        let inspected = inspect(&machine(disk), Path::new(DIR)).expect("readable");
        assert!(inspected.structure.items().eq(lived.iter().cloned()), "after {when}");
        inspected.structure.audit().expect("every invariant holds");
    };
    for (loss, when) in [(Loss::Everything, "a power cut"), (Loss::Random(3), "one that kept some of the rest")] {
        let cut = disk.after_power_cut(&loss);
        same(&cut, when);
        drop(open(&cut));
        same(&cut, "the open that followed");
    }
    let killed = disk.after_kill();
    drop(open(&killed));
    same(&killed, "a kill");
    stepper.checkpoint().expect("made");
    stepper.close().expect("closes");
    same(&disk, "a checkpoint and a close");
    drop(open(&disk));
    same(&disk, "an open from the checkpoint");
}

#[test]
fn a_byte_flipped_in_a_small_log_is_named_or_harmless() {
    let disk = SimDisk::new();
    let mut stepper = open(&disk);
    live(&mut stepper);
    let lived: Vec<_> = stepper.structure().items().collect();
    stepper.sync_watermark().expect("durable");
    drop(stepper);
    let files: Vec<_> = disk.image().into_iter().filter(|(path, _)| path.ends_with("MANIFEST")).collect();
    let logs = disk.image().into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "seg"));
    for (path, bytes) in files.into_iter().chain(logs) {
        // An interpreter takes seconds for one: a bit of the header and one of the second block, there.
        let (bits, step) = if cfg!(miri) { (2 * 8 * 4_096, 8 * 4_096 + 8 * 13) } else { (u64::MAX, 8 * 61 + 1) };
        for bit in (0..bits.min(bytes.len() as u64 * 8)).step_by(step) {
            let damaged = disk.fork();
            assert!(damaged.flip(&path, bit));
            if let Ok(inspected) = inspect(&machine(&damaged), Path::new(DIR)) {
                assert!(inspected.structure.items().eq(lived.iter().cloned()), "{}: bit {bit}", path.display());
            }
        }
    }
}
