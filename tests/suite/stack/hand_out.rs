//! Which port comes next, when a returned one may come again, and what that costs.

use super::memory::Memory;
use super::{dvipa, identity, name, options, ports, profile, take};
use crate::allocations;
use portplex::ident::{GroupNumber, Transport};
use portplex::profile::{Profile, parse};
use portplex::stack::{BoundPort, Options, Refill, Stack};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// The DVIPA with SYSPLEXPORTS, and this TIMEWAITINTERVAL.
pub(super) fn resting(interval_s: u16, first: u16, last: u16) -> Profile {
    let text = format!(
        "TCPCONFIG TIMEWAITINTERVAL {interval_s} EPHEMERALPORTS {first} {last}
         VIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.1
         VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 4035 DESTIP ALL ENDVIPADYNAMIC"
    );
    let (profile, diagnostics) = parse(text.as_bytes());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    profile
}

pub(super) fn with(memory: &Memory, profile: Profile, options: Options) -> Stack {
    let started = Stack::start(memory.door(), name("SYS1"), profile, identity(1, 1, 1), options);
    started.expect("the stack starts").0
}

#[test]
fn ports_come_in_a_keyed_order_that_no_one_can_guess() {
    let run = |seed: u8| {
        let memory = Memory::new(3);
        let stack = with(&memory, profile(1024, 65_535), Options { seed: [seed; 32], ..options(&memory, 0) });
        take(&stack, 64).iter().map(|bound| bound.port).collect::<Vec<u16>>()
    };
    assert_eq!(run(1), run(1));
    let orders: BTreeSet<Vec<u16>> = (1..=40).map(run).collect();
    assert_eq!(orders.len(), 40, "another order for every key");
    let groups: BTreeSet<BTreeSet<u16>> = orders.iter().map(|order| order.iter().copied().collect()).collect();
    assert_eq!(groups.len(), 1, "of the same group");

    // Whoever has seen one port knows of the next one only that it is another of the 63.
    let steps: Vec<i32> =
        orders.iter().flat_map(|order| order.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0]))).collect();
    let neighbours = steps.iter().filter(|step| step.abs() == 1).count();
    assert!((40..120).contains(&neighbours), "{neighbours} of {} steps go to a neighbour", steps.len());
    let firsts: BTreeSet<u16> = orders.iter().map(|order| order[0]).collect();
    assert!(firsts.len() > 20, "{} different first ports", firsts.len());

    // A new group is mixed with what is left of the one before.
    let memory = Memory::new(3);
    let refill = Refill { low_ports: 40, at_once_max: 1, ..Refill::default() };
    let stack = with(&memory, profile(1024, 65_535), Options { refill, ..options(&memory, 0) });
    let group = |bound: &BoundPort| GroupNumber::of_port(bound.port);
    let taken = take(&stack, 64);
    let (first, last) = (group(&taken[0]), group(&taken[63]));
    assert!(taken[32..].iter().any(|bound| group(bound) != first), "the second group has come");
    assert!(taken[40..].iter().any(|bound| group(bound) == first) || last == first, "the first is not over yet");
}

#[test]
fn a_returned_port_rests_for_the_time_wait_interval() {
    let memory = Memory::new(4);
    let stack = with(&memory, resting(30, 4096, 4159), options(&memory, 0));
    let bound = take(&stack, 64);
    let returned: BTreeSet<u16> = ports(&bound[..10]);
    memory.pass(5_000);
    for port in bound.into_iter().take(10) {
        stack.release(port);
    }
    // The rest begins when the port is seen to be back, not earlier.
    stack.tick();
    for passed_ms in [0, 10_000, 19_999] {
        memory.pass(passed_ms);
        let error = stack.bind(dvipa(), 0).expect_err("54 are in use and 10 rest");
        assert!(error.to_string().ends_with("54 in use and 10 resting"), "{error}");
    }
    memory.pass(1);
    assert_eq!(ports(&take(&stack, 10)), returned);
}

#[test]
fn a_port_goes_on_resting_when_its_group_was_given_back_meanwhile() {
    let memory = Memory::new(5);
    let stack = with(&memory, resting(120, 4096, 4159), options(&memory, 0));
    let bound = take(&stack, 3);
    let returned = ports(&bound);
    for port in bound {
        stack.release(port);
    }
    stack.tick();
    assert_eq!(stack.give_back(0), 1);
    stack.tick();
    assert_eq!(stack.usage()[0].ports, 0);
    // The same stack under the same boot may take its own ports out of quarantine at once.
    let again = take(&stack, 61);
    assert!(ports(&again).is_disjoint(&returned), "they rest yet");
    assert_eq!(stack.usage()[0].resting, 3);
    memory.pass(120_000);
    assert_eq!(ports(&take(&stack, 3)), returned);
}

#[test]
fn the_port_just_returned_is_never_next() {
    let memory = Memory::new(6);
    let stack = with(&memory, resting(0, 4096, 4223), options(&memory, 0));
    let mut bound = take(&stack, 126);
    for _ in 0..2_000 {
        let back = bound.swap_remove(bound.len() / 3);
        let port = back.port;
        stack.release(back);
        let next = stack.bind(dvipa(), 0).expect("another one is free");
        assert_ne!(next.port, port);
        bound.push(next);
    }
    assert_eq!(ports(&bound).len(), 126);
}

#[test]
fn local_binds_need_no_request_and_no_allocation() {
    let memory = Memory::new(7);
    let refill = Refill { groups_min: 4, at_once_max: 4, low_ports: 8, ..Refill::default() };
    let stack = with(&memory, resting(60, 1024, 65_535), Options { refill, ..options(&memory, 0) });
    // Four groups in hand, and the thread's own things are made.
    let warm = take(&stack, 1);
    for _ in 0..4 {
        stack.tick();
    }
    warm.into_iter().for_each(|port| stack.release(port));
    memory.seen();
    let mut bound: Vec<BoundPort> = Vec::with_capacity(200);
    let ((), count) = allocations::during(|| {
        for _ in 0..100 {
            bound.push(stack.bind(dvipa(), 0).expect("in hand"));
            let back = bound.pop().expect("just bound");
            stack.release(back);
            bound.push(stack.bind(dvipa(), 0).expect("in hand"));
        }
    });
    assert_eq!(count, 0, "allocations in 200 binds and 100 releases");
    assert_eq!(memory.seen(), [], "requests");
    assert_eq!(ports(&bound).len(), 100);
}

#[test]
fn threads_never_get_one_port_twice() {
    let memory = Memory::new(8);
    let stack = with(&memory, resting(0, 1024, 65_535), options(&memory, 16));
    let in_use: Vec<Mutex<()>> = (0..=u16::MAX).map(|_| Mutex::new(())).collect();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (stack, in_use) = (&stack, &in_use);
            scope.spawn(move || {
                let mut held = Vec::new();
                for turn in 0..20_000_u64 {
                    if (turn * 7 + thread) % 5 < 3 && held.len() < 40 {
                        let bound = stack.bind(dvipa(), 0).expect("a port");
                        let guard = in_use[usize::from(bound.port)].try_lock().expect("nobody else has it");
                        held.push((bound, guard));
                    } else if !held.is_empty() {
                        let at = usize::try_from(turn * 31 + thread).expect("small") % held.len();
                        let (bound, guard) = held.swap_remove(at);
                        drop(guard);
                        stack.release(bound);
                    }
                    if turn % 512 == 0 {
                        stack.tick();
                        stack.give_back(64);
                    }
                }
                for (bound, guard) in held {
                    drop(guard);
                    stack.release(bound);
                }
            });
        }
    });
    stack.tick();
    let usage = stack.usage()[0];
    assert_eq!((usage.in_use, usage.free + usage.resting), (0, usage.ports), "none is lost");
    assert_eq!(memory.held(), usage.ports, "and the facility says the same");
    let allowable = stack.profile().allowable(Transport::Tcp);
    assert!(allowable.count() > 0);
}
