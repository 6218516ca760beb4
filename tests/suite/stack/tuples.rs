//! Connections: one source port for several destinations, never two of one 4-tuple.

use super::hand_out::{resting, with};
use super::memory::Memory;
use super::{dvipa, local, options, take};
use crate::random::Random;
use portplex::stack::{Cause, Options, Refill, Stack, StackError, Tuple};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

fn far(number: u32) -> SocketAddr {
    SocketAddr::new(
        Ipv4Addr::from(0xCB00_7100 + number / 60_000).into(),
        1024 + u16::try_from(number % 60_000).expect("small"),
    )
}

fn shown(stack: &Stack) -> BTreeSet<(SocketAddr, SocketAddr)> {
    let mut all = BTreeSet::new();
    stack.connections(|from, to| assert!(all.insert((from, to)), "{from} to {to} twice"));
    all
}

fn of(tuple: &Tuple) -> (SocketAddr, SocketAddr) {
    (SocketAddr::new(tuple.source_address, tuple.port), tuple.destination)
}

/// A stack that may have one group only.
fn one_group(memory: &Memory, interval_s: u16, share: bool) -> Stack {
    let refill = Refill { low_ports: 16, groups_max: 1, share, ..Refill::default() };
    with(memory, resting(interval_s, 4096, 8191), Options { refill, ..options(memory, 0) })
}

#[test]
fn a_source_port_serves_several_destinations_once_fresh_ports_run_low() {
    let memory = Memory::new(1);
    let stack = one_group(&memory, 0, true);
    let first: Vec<Tuple> = (0..49).map(|number| stack.connect(dvipa(), far(number)).expect("fresh")).collect();
    let ports: BTreeSet<u16> = first.iter().map(|tuple| tuple.port).collect();
    assert_eq!(ports.len(), 49, "fresh ones while there are at least 16");
    let more: Vec<Tuple> = (100..1_000).map(|number| stack.connect(dvipa(), far(number)).expect("shared")).collect();
    assert!(more.iter().all(|tuple| ports.contains(&tuple.port)));
    let spread: BTreeSet<u16> = more.iter().map(|tuple| tuple.port).collect();
    assert!(spread.len() > 40, "{} ports are shared", spread.len());

    // 64 to one destination, and no more: then every port has a connection there.
    let same: Vec<Tuple> = (0..64).map(|_| stack.connect(dvipa(), far(5_000)).expect("another port")).collect();
    assert_eq!(same.iter().map(|tuple| tuple.port).collect::<BTreeSet<u16>>().len(), 64);
    let error = stack.connect(dvipa(), far(5_000)).expect_err("all 64 have one");
    assert_eq!(error, StackError::AtMaximum { local: local(), groups_max: 1, in_use: 64, resting: 0 });
    assert_eq!(error.cause(), Cause::OverQuota);
    assert!(stack.connect(dvipa(), far(5_001)).is_ok(), "another destination");

    // The switch.
    let memory = Memory::new(1);
    let stack = one_group(&memory, 0, false);
    let all: Vec<Tuple> = (0..64).map(|number| stack.connect(dvipa(), far(number)).expect("fresh")).collect();
    assert_eq!(all.iter().map(|tuple| tuple.port).collect::<BTreeSet<u16>>().len(), 64);
    assert!(stack.connect(dvipa(), far(64)).is_err());
}

#[test]
fn no_two_live_connections_share_a_tuple() {
    let mut random = Random::seeded(1);
    let memory = Memory::new(2);
    let stack = one_group(&memory, 0, true);
    let (mut open, mut bound) = (Vec::new(), Vec::new());
    let mut refused = 0_u32;
    for turn in 0..30_000 {
        match random.below(100) {
            0..45 => match stack.connect(dvipa(), far(random.below(40) as u32)) {
                Ok(tuple) => open.push(tuple),
                Err(error) => {
                    assert!(matches!(error, StackError::AtMaximum { .. }), "{error}");
                    refused += 1;
                }
            },
            45..50 if bound.len() < 10 => bound.extend(stack.bind(dvipa(), 0)),
            50..55 if !bound.is_empty() => {
                let at = random.index(bound.len());
                let tuple = stack.connect_from(&bound[at], "", far(random.below(40) as u32));
                open.extend(tuple.ok().flatten());
            }
            55..58 if !bound.is_empty() => stack.release(bound.swap_remove(random.index(bound.len()))),
            58..60 => drop(stack.tick()),
            _ if !open.is_empty() => stack.close(open.swap_remove(random.index(open.len()))),
            _ => {}
        }
        if turn % 500 == 0 {
            let live: BTreeSet<_> = open.iter().map(of).collect();
            assert_eq!(live.len(), open.len(), "turn {turn}: two of one 4-tuple");
            assert_eq!(shown(&stack), live, "turn {turn}");
            assert_eq!(stack.connection_count(), live.len() as u64);
            // A bound socket's port is its own.
            let ports: BTreeMap<u16, usize> = bound.iter().map(|bound| (bound.port, 0)).collect();
            assert_eq!(ports.len(), bound.len());
        }
    }
    assert!(refused > 0, "the group was never used up");
    open.into_iter().for_each(|tuple| stack.close(tuple));
    bound.into_iter().for_each(|port| stack.release(port));
    stack.tick();
    let usage = stack.usage()[0];
    assert_eq!((stack.connection_count(), usage.in_use, usage.free + usage.resting), (0, 0, 64));
    assert_eq!(stack.give_back(0), 1, "all are back");
}

#[test]
fn a_closed_connection_rests_before_the_same_four_numbers_come_again() {
    let memory = Memory::new(3);
    let refill = Refill { low_ports: 64, groups_max: 1, ..Refill::default() };
    let stack = with(&memory, resting(30, 4096, 8191), Options { refill, ..options(&memory, 0) });
    let keep = stack.connect(dvipa(), far(1)).expect("fresh");
    let shared = stack.connect(dvipa(), far(2)).expect("shared");
    assert_eq!(shared.port, keep.port, "few are free, so it is shared");
    stack.close(shared);
    for _ in 0..3 {
        memory.pass(9_000);
        stack.tick();
    }
    let other = stack.connect(dvipa(), far(2)).expect("a fresh one");
    assert_ne!(other.port, keep.port, "the connection rests");
    stack.close(other);
    for _ in 0..2 {
        memory.pass(30_000);
        stack.tick();
    }
    let again = stack.connect(dvipa(), far(2)).expect("shared");
    assert_eq!(again.port, keep.port, "it has rested");
}

#[test]
fn a_bound_port_whose_connection_is_open_is_back_when_that_ends() {
    let memory = Memory::new(4);
    let stack = one_group(&memory, 0, true);
    let mut bound = take(&stack, 64);
    let last = bound.pop().expect("64");
    let port = last.port;
    let tuple = stack.connect_from(&last, "", far(7)).expect("free").expect("the DVIPA");
    stack.release(last);
    assert_eq!(stack.usage()[0].in_use, 64, "its connection is open");
    assert!(stack.connect(dvipa(), far(8)).is_err(), "and nobody else shares a socket's port");
    stack.close(tuple);
    assert_eq!(stack.usage()[0].in_use, 63);
    assert_eq!(stack.bind(dvipa(), port).map(|bound| bound.port), Ok(port));
}

#[test]
fn a_million_connections_to_a_hundred_destinations() {
    let memory = Memory::new(5);
    let refill = Refill { groups_max: 160, ..Refill::default() };
    let stack = with(&memory, resting(0, 1024, 65_535), Options { refill, ..options(&memory, 0) });
    let mut open = Vec::with_capacity(1_020_000);
    for number in 0..1_020_000_u32 {
        open.push(stack.connect(dvipa(), far(number % 100)).expect("there are 10,240 ports to 100 destinations"));
    }
    assert_eq!(stack.connection_count(), 1_020_000);
    let (mut count, mut to) = (0_u32, BTreeMap::<SocketAddr, BTreeSet<u16>>::new());
    stack.connections(|from, destination| {
        count += 1;
        assert!(to.entry(destination).or_default().insert(from.port()), "{from} to {destination} twice");
    });
    assert_eq!((count, to.len()), (1_020_000, 100));
    assert!(to.values().all(|ports| ports.len() == 10_200));
    let usage = stack.usage()[0];
    assert!(usage.in_use >= 10_200 && usage.ports <= 160 * 64, "{usage:?}");
    assert_eq!(memory.held(), usage.ports);
    // Closed in another order, the books come to nothing.
    let half = open.split_off(open.len() / 2);
    for tuple in half.into_iter().rev().chain(open) {
        stack.close(tuple);
    }
    stack.tick();
    let usage = stack.usage()[0];
    assert_eq!((stack.connection_count(), usage.in_use), (0, 0));
    assert_eq!(usage.free + usage.resting, usage.ports);
}

#[test]
fn threads_share_ports_and_no_tuple_is_there_twice() {
    let memory = Memory::new(6);
    let stack = one_group(&memory, 0, true);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let stack = &stack;
            scope.spawn(move || {
                let mut random = Random::new(thread);
                let mut open: Vec<Tuple> = Vec::new();
                for _ in 0..8_000 {
                    if random.below(2) == 0 && open.len() < 300 {
                        open.extend(stack.connect(dvipa(), far(random.below(50) as u32)));
                    } else if !open.is_empty() {
                        stack.close(open.swap_remove(random.index(open.len())));
                    }
                }
                shown(stack);
                open.into_iter().for_each(|tuple| stack.close(tuple));
            });
        }
    });
    stack.tick();
    let usage = stack.usage()[0];
    assert_eq!((stack.connection_count(), usage.in_use, usage.free + usage.resting), (0, 0, usage.ports));
}

#[test]
fn the_two_ends_must_be_of_one_ip_version() {
    let memory = Memory::new(7);
    let stack = one_group(&memory, 0, true);
    let there: SocketAddr = "[2001:db8::1]:443".parse().expect("an address");
    assert!(matches!(stack.connect(dvipa(), there), Err(StackError::OtherVersion { .. })));
    let mapped: SocketAddr = "[::ffff:203.0.113.1]:443".parse().expect("an address");
    assert_eq!(
        stack.connect(dvipa(), mapped).expect("IPv4").destination,
        "203.0.113.1:443".parse().expect("an address")
    );
}
