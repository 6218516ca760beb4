//! One stack in the hands of several threads, with a handful of ports: no port is with two, no two
//! connections are alike, and in the end all are there, in the stack and at the facility.

use super::memory::Memory;
use super::run::{Extent, choose, explore, thread};
use portplex::ident::{BootId, ConnectorName, Dvipa, Identity, MachineId, ProcessId};
use portplex::profile::{Profile, parse};
use portplex::stack::{Options, Refill, Stack, State};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

const DVIPA: &str = "10.1.1.1";
const EXTENT: Extent = Extent { schedules: 100, early_ends: 0 };

fn text(ports: u16) -> String {
    format!(
        "TCPCONFIG TIMEWAITINTERVAL 0 EPHEMERALPORTS 1024 {}
         VIPADYNAMIC VIPADEFINE 255.255.255.0 {DVIPA}
         VIPADISTRIBUTE SYSPLEXPORTS {DVIPA} PORT 4035 DESTIP ALL ENDVIPADYNAMIC",
        1_023 + ports
    )
}

fn profile(ports: u16) -> Profile {
    let (profile, diagnostics) = parse(text(ports).as_bytes());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    profile
}

fn dvipa() -> Dvipa {
    DVIPA.parse().expect("a DVIPA")
}

fn destination(number: usize) -> SocketAddr {
    ([203, 0, 113, u8::try_from(number).expect("small")], 443).into()
}

fn start(memory: &Memory, ports: u16) -> Arc<Stack> {
    let refill = Refill { low_ports: 2, at_once_max: 1, ..Refill::default() };
    let options = Options { seed: [7; 32], refill, clock: memory.clock(), ..Options::default() };
    let identity = Identity { machine: MachineId(1), boot: BootId(1), process: ProcessId(1) };
    let name = ConnectorName::new("SYS1").expect("a name");
    Arc::new(Stack::start(memory.door(), name, profile(ports), identity, options).expect("starts").0)
}

/// What is in use, noted apart from the stack and without a scheduling point.
struct InUse<T>(Mutex<BTreeSet<T>>);

impl<T: Ord + Copy + Debug> InUse<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(BTreeSet::new())))
    }

    fn begins(&self, what: T) {
        assert!(self.0.lock().expect("no panic").insert(what), "{what:?} is with two");
    }

    fn ends(&self, what: T) {
        assert!(self.0.lock().expect("no panic").remove(&what));
    }
}

/// Binds and releases; what cannot be had is not had.
fn bind(stack: &Stack, in_use: &InUse<u16>, times: usize) {
    for _ in 0..times {
        if let Ok(bound) = stack.bind(dvipa(), 0) {
            in_use.begins(bound.port);
            in_use.ends(bound.port);
            stack.release(bound);
        }
    }
}

/// After everybody has given back what they had.
fn assert_none_is_lost(stack: &Stack, memory: &Memory) {
    stack.tick();
    for usage in stack.usage() {
        assert_eq!((usage.in_use, usage.free + usage.resting), (0, usage.ports), "none is lost");
    }
    let held: u32 = stack.usage().iter().map(|usage| usage.ports).sum();
    assert_eq!(memory.held(), held, "and the facility says the same");
    memory.audit();
}

#[test]
fn no_port_is_with_two_while_groups_come_and_go() {
    explore("binds", EXTENT, || {
        let memory = Memory::new(7);
        let stack = start(&memory, 3);
        let in_use = InUse::new();
        let binding: Vec<_> = (0..2)
            .map(|_| {
                let (stack, in_use) = (Arc::clone(&stack), Arc::clone(&in_use));
                thread::spawn(move || bind(&stack, &in_use, 2))
            })
            .collect();
        for _ in 0..2 {
            if choose(2) == 0 {
                stack.tick();
            } else {
                stack.give_back(0);
            }
        }
        binding.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_none_is_lost(&stack, &memory);
    });
}

#[test]
fn no_two_connections_are_alike_while_ports_are_shared() {
    explore("connections", EXTENT, || {
        let memory = Memory::new(7);
        let stack = start(&memory, 2);
        let (tuples, ports) = (InUse::new(), InUse::new());
        let mut threads: Vec<_> = (0..3)
            .map(|number| {
                let (stack, tuples) = (Arc::clone(&stack), Arc::clone(&tuples));
                thread::spawn(move || {
                    // Two of the three have one destination.
                    if let Ok(tuple) = stack.connect(dvipa(), destination(number / 2)) {
                        let four = (tuple.port, tuple.destination);
                        tuples.begins(four);
                        tuples.ends(four);
                        stack.close(tuple);
                    }
                })
            })
            .collect();
        threads.push(thread::spawn({
            let (stack, ports) = (Arc::clone(&stack), Arc::clone(&ports));
            move || bind(&stack, &ports, 1)
        }));
        stack.tick();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(stack.connection_count(), 0);
        assert_none_is_lost(&stack, &memory);
    });
}

#[test]
fn another_data_set_takes_effect_under_the_binds_of_others() {
    explore("obey", EXTENT, || {
        let memory = Memory::new(7);
        let stack = start(&memory, 4);
        let in_use = InUse::new();
        let binding: Vec<_> = (0..2)
            .map(|_| {
                let (stack, in_use) = (Arc::clone(&stack), Arc::clone(&in_use));
                thread::spawn(move || bind(&stack, &in_use, 2))
            })
            .collect();
        let obeyed = stack.obey(b"TCPCONFIG EPHEMERALPORTS 1024 1025");
        assert!(obeyed.diagnostics.is_empty(), "{:?}", obeyed.diagnostics);
        binding.into_iter().for_each(|thread| thread.join().expect("no panic"));
        stack.tick();
        // From now on only the two.
        for _ in 0..3 {
            if let Ok(bound) = stack.bind(dvipa(), 0) {
                assert!(bound.port <= 1_025, "{}", bound.port);
                stack.release(bound);
            }
        }
        memory.audit();
    });
}

#[test]
fn a_stack_attaches_again_while_others_bind_and_keeps_what_they_have() {
    explore("attach", EXTENT, || {
        let memory = Memory::new(7);
        let stack = start(&memory, 3);
        let in_use = InUse::new();
        let kept = stack.bind(dvipa(), 0).expect("a port");
        in_use.begins(kept.port);
        let binding: Vec<_> = (0..2)
            .map(|_| {
                let (stack, in_use) = (Arc::clone(&stack), Arc::clone(&in_use));
                thread::spawn(move || bind(&stack, &in_use, 2))
            })
            .collect();
        memory.reopen();
        stack.reattach(memory.door()).expect("attaches");
        binding.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(stack.state(), State::Active);
        in_use.ends(kept.port);
        stack.release(kept);
        assert_none_is_lost(&stack, &memory);
    });
}
