//! The explicit-bind pool and the lists of its transport: no port is in use in both.
#![forbid(unsafe_code)]

use super::*;

const POOL: Target = Target::Pool(Transport::Tcp);

fn set_range(rig: &mut Rig, first: u16, count: u16) {
    let range = (count > 0).then_some(PortRange { first, count });
    assert_eq!(rig.ask(Request::SetRange { transport: Transport::Tcp, range }), Ok(Answer::Done));
}

#[test]
fn the_pool_gives_ports_of_the_range_only_and_needs_no_allowable_set() {
    let mut rig = Rig::new();
    let actor = rig.connect("A", 1);
    let stack = Stack { actor, member: rig.join(actor, POOL) };
    assert_eq!(rig.acquire(stack, 1, 1).unwrap_err().name(), "exhausted", "no range is in force");
    set_range(&mut rig, 6_400, 100);
    set_range(&mut rig, 6_400, 100);
    assert!(rig.events.is_empty(), "the range in force again changes nothing");
    let ports: Vec<u32> = rig.acquire(stack, 2, 5).unwrap().iter().map(|grant| grant.mask.count()).collect();
    assert_eq!(ports, [64, 36]);
    assert_eq!(rig.claim(stack, 6_500), Err(Refusal::PortExcluded { port: 6_500 }));
}

#[test]
fn a_range_out_of_bounds_is_refused() {
    let mut rig = Rig::new();
    for (first, count) in [(0, 1), (1, 0), (65_535, 2), (2, 65_535)] {
        let range = Some(PortRange { first, count });
        let request = Request::SetRange { transport: Transport::Tcp, range };
        assert_eq!(rig.ask(request), Err(Refusal::OutOfRange { what: Operand::Range }), "{first} {count}");
    }
    set_range(&mut rig, 1, 65_535);
    set_range(&mut rig, 65_535, 1);
}

#[test]
fn lists_give_no_port_of_the_range() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    set_range(&mut rig, 1_024, 64_448);
    assert_eq!(rig.claim(stack, 30_000), Err(Refusal::PortExcluded { port: 30_000 }));
    assert_eq!(rig.acquire(stack, 1, 9).unwrap().len(), 1, "64 ports are outside the range");
    assert_eq!(rig.acquire(stack, 1, 1).unwrap_err().name(), "exhausted");
    set_range(&mut rig, 0, 0);
    assert!(rig.acquire(stack, 1, 9).is_ok());
}

#[test]
fn a_port_in_use_on_one_side_is_not_given_on_the_other() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let held = rig.claim(stack, 6_401).unwrap();
    set_range(&mut rig, 6_400, 64);
    let member = rig.join(stack.actor, POOL);
    let pool = Stack { member, ..stack };
    assert_eq!(rig.claim(pool, 6_401), Err(Refusal::PortExcluded { port: 6_401 }));
    let grant = rig.acquire(pool, 1, 1).unwrap()[0];
    assert_eq!(grant.mask, PortMask(!2), "all but the one that the list holds");
    // The range moves on: its old ports drain before lists may have them.
    set_range(&mut rig, 12_800, 64);
    assert_eq!(rig.claim(stack, 6_402), Err(Refusal::PortExcluded { port: 6_402 }));
    rig.release(pool, grant, grant.mask).unwrap();
    assert_eq!(rig.claim(stack, 6_402), Err(Refusal::PortExcluded { port: 6_402 }));
    rig.wait(120_000);
    rig.end_quarantine(POOL);
    assert!(rig.claim(stack, 6_402).is_ok());
    // And the list's ports drain before the pool may have them.
    rig.release(stack, held, held.mask).unwrap();
    set_range(&mut rig, 6_400, 64);
    assert_eq!(rig.claim(pool, 6_401), Err(Refusal::PortExcluded { port: 6_401 }));
    rig.wait(120_000);
    rig.end_quarantine(list(1));
    assert!(rig.claim(pool, 6_401).is_ok());
}

#[test]
fn a_port_that_left_the_pools_quarantine_is_still_in_the_range() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    set_range(&mut rig, 6_400, 64);
    let pool = Stack { member: rig.join(stack.actor, POOL), ..stack };
    let grant = rig.acquire(pool, 1, 1).unwrap()[0];
    rig.release(pool, grant, grant.mask).unwrap();
    rig.wait(120_000);
    rig.end_quarantine(POOL);
    assert_eq!(rig.claim(stack, 6_400), Err(Refusal::PortExcluded { port: 6_400 }));
}

#[test]
fn the_other_transport_is_not_affected() {
    let mut rig = Rig::new();
    let actor = rig.connect("A", 1);
    rig.stack(actor, Body::SetAllowable { transport: Transport::Udp, ports: ephemeral() }).unwrap();
    set_range(&mut rig, 1_024, 60_000);
    let target = Target::List("10.1.1.1".parse().unwrap(), Transport::Udp);
    let member = rig.join(actor, target);
    assert!(rig.claim(Stack { actor, member }, 5_000).is_ok());
}

#[test]
fn a_port_used_by_two_lists_is_free_for_the_pool_when_both_gave_it_back() {
    let mut rig = Rig::new();
    let one = rig.ready("A", list(1));
    let two = Stack { member: rig.join(one.actor, list(2)), ..one };
    let grants = [rig.claim(one, 6_400).unwrap(), rig.claim(two, 6_400).unwrap()];
    set_range(&mut rig, 6_400, 1);
    let pool = Stack { member: rig.join(one.actor, POOL), ..one };
    for (stack, grant, target) in [(one, grants[0], list(1)), (two, grants[1], list(2))] {
        assert_eq!(rig.claim(pool, 6_400), Err(Refusal::PortExcluded { port: 6_400 }));
        rig.release(stack, grant, grant.mask).unwrap();
        rig.wait(120_000);
        rig.end_quarantine(target);
    }
    assert!(rig.claim(pool, 6_400).is_ok());
}
