//! Quarantine over restarts: under one kernel boot it goes on counting, under another it starts again
//! in full, once (protocol.md R22).

use super::crash::plan::machine;
use portplex::disk::sim::SimDisk;
use portplex::facility::{self, Options, SetClock, Stepper};
use portplex::ident::{BootId, ConnectorName, Identity, MachineId, PortSet, ProcessId, Target, Transport};
use portplex::structure::{Answer, Body, Introduction, PortOwner, Request};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DIR: &str = "/store";
const QUARANTINE_S: u64 = 120;
const PORT: u16 = 4_000;

/// What a life does before it is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    /// Nothing: its history keeps no record.
    Idle,
    /// The stack attaches.
    Attaches,
    /// As it attaches, and a checkpoint is made.
    Checkpoints,
}

struct Loop {
    disk: SimDisk,
    clock: Arc<SetClock>,
    boot: u128,
    stepper: Option<Stepper>,
}

impl Loop {
    /// A store in which one port has just been released.
    fn new() -> Self {
        let disk = SimDisk::new();
        let (machine, clock) = machine(&disk, 1, 5_000);
        facility::init(&machine, Path::new(DIR), &options()).expect("made");
        let stepper = Some(Stepper::open(&machine, Path::new(DIR), &options()).expect("opened"));
        let mut new = Self { disk, clock, boot: 1, stepper };
        let Answer::Connected(actor) = new.ask(Request::Connect(introduction())) else { panic!("not connected") };
        let stack = |number, body| Request::Stack { actor, number, lowest: number, body };
        let mut ports = PortSet::empty();
        ports.insert_range(PORT, PORT);
        new.ask(stack(1, Body::SetAllowable { transport: Transport::Tcp, ports }));
        let Answer::Joined(joined) = new.ask(stack(2, Body::Join { target: list() })) else { panic!("not joined") };
        let member = joined.member;
        let Answer::Granted(grants) = new.ask(stack(3, Body::Acquire { member, at_least: 1, at_most: 1 })) else {
            panic!("not granted")
        };
        let [grant] = grants[..] else { panic!("one port is allowable, one grant: {grants:?}") };
        new.ask(stack(4, Body::Release { member, group: grant.group, grant: grant.lsn, mask: grant.mask }));
        assert!(new.is_in_quarantine());
        new
    }

    fn ask(&mut self, request: Request) -> Answer {
        let replies = self.stepper.as_mut().expect("open").turn(vec![request]).expect("stored");
        replies.into_iter().next().expect("one").expect("not refused").answer
    }

    /// The process is killed and started again, a second later.
    fn restart(&mut self, life: Life) {
        self.stepper = None;
        self.disk = self.disk.after_kill();
        let now = portplex::facility::Clock::boot_ms(&*self.clock).0 + 1_000;
        self.open_at(now);
        if life != Life::Idle {
            self.ask(Request::Attach(introduction()));
        }
        if life == Life::Checkpoints {
            self.stepper.as_ref().expect("open").checkpoint().expect("a checkpoint");
        }
        self.tick();
    }

    /// The machine starts again, in order.
    fn reboot(&mut self) {
        self.stepper = None;
        self.disk.settle();
        self.boot += 1;
        self.open_at(300);
        self.tick();
    }

    fn open_at(&mut self, ms: u64) {
        let (machine, clock) = machine(&self.disk, self.boot, ms);
        self.clock = clock;
        self.stepper = Some(Stepper::open(&machine, Path::new(DIR), &options()).expect("opened"));
    }

    /// What is due happens.
    fn tick(&mut self) {
        self.stepper.as_mut().expect("open").turn(Vec::new()).expect("stored");
    }

    fn wait_s(&mut self, seconds: u64) {
        self.clock.advance(seconds * 1_000);
        self.tick();
    }

    fn is_in_quarantine(&self) -> bool {
        match self.stepper.as_ref().expect("open").structure().owner(list(), PORT) {
            PortOwner::Quarantined { .. } => true,
            PortOwner::Free => false,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_crash_loop_under_one_boot_does_not_hold_quarantine_up() {
    let mixed = |number: u64| [Life::Idle, Life::Attaches, Life::Checkpoints][(number % 3) as usize];
    let lives: [(&str, &dyn Fn(u64) -> Life); 4] = [
        ("idle", &|_| Life::Idle),
        ("attaching", &|_| Life::Attaches),
        ("checkpointing", &|_| Life::Checkpoints),
        ("mixed", &mixed),
    ];
    for (name, life) in lives {
        let mut store = Loop::new();
        for number in 0..100 {
            store.restart(life(number));
            assert!(store.is_in_quarantine(), "{name}: over after {number} s of {QUARANTINE_S}");
        }
        store.wait_s(QUARANTINE_S - 100 - 1);
        assert!(store.is_in_quarantine(), "{name}: a second too early");
        store.wait_s(2);
        assert!(!store.is_in_quarantine(), "{name}: a hundred restarts held it up");
    }
}

#[test]
fn another_boot_starts_quarantine_again_in_full_and_once() {
    let mut store = Loop::new();
    for _ in 0..100 {
        store.restart(Life::Attaches);
    }
    store.reboot();
    for number in 0..100 {
        store.restart(if number % 2 == 0 { Life::Idle } else { Life::Attaches });
        assert!(store.is_in_quarantine(), "over {number} s after the boot");
    }
    store.wait_s(QUARANTINE_S - 100 - 1);
    assert!(store.is_in_quarantine(), "a second too early");
    store.wait_s(2);
    assert!(!store.is_in_quarantine(), "restarts under the second boot held it up");
}

fn options() -> Options {
    let quarantine = Duration::from_secs(QUARANTINE_S);
    Options { segment_size: 64 << 10, quarantine, seed: Some(1), ..Options::default() }
}

fn list() -> Target {
    Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp)
}

fn introduction() -> Introduction {
    let name = ConnectorName::new("SYS1").expect("a name");
    let identity = Identity { machine: MachineId(1), boot: BootId(7), process: ProcessId(1) };
    Introduction { name, identity, promise_ms: 0, enforced: false }
}
