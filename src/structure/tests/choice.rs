//! Which group: neighbours, randomness, partial groups, quota and reserve.
#![forbid(unsafe_code)]

use super::*;

#[test]
fn a_stack_gets_the_neighbour_of_its_last_group_if_that_is_whole() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let first = rig.acquire(a, 1, 1).unwrap()[0].group.number();
    assert_eq!(rig.acquire(a, 1, 1).unwrap()[0].group, group(first + 1));
    rig.claim(b, group(first + 2).port_first()).unwrap();
    let other = rig.acquire(a, 1, 1).unwrap()[0].group;
    assert_ne!(other, group(first + 2));
    let run = rig.acquire(b, 3, 3).unwrap();
    assert!(run.windows(2).all(|pair| pair[0].group.number().abs_diff(pair[1].group.number()) == 1));
}

#[test]
fn a_claimed_port_does_not_move_the_run_of_whole_groups() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let first = rig.acquire(stack, 1, 1).unwrap()[0].group.number();
    let far = if first < 500 { 60_000 } else { 5_000 };
    rig.claim(stack, far).unwrap();
    assert_eq!(rig.acquire(stack, 1, 1).unwrap()[0].group, group(first + 1));
}

#[test]
fn the_first_group_cannot_be_guessed() {
    let mut seen = std::collections::BTreeSet::new();
    for random in 0..200 {
        let mut rig = Rig::new();
        let stack = rig.ready("A", list(1));
        rig.context.random = random;
        seen.insert(rig.acquire(stack, 1, 1).unwrap()[0].group);
    }
    assert!(seen.len() > 150, "{} of 200", seen.len());
    assert!(seen.first().unwrap().number() < 100 && seen.last().unwrap().number() > 900);
}

#[test]
fn whole_groups_come_first_then_the_fullest_partial_one() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let mut own = PortSet::empty();
    own.insert_range(6_400, 6_400 + 4 * 64 - 1);
    rig.allow(a.actor, own);
    for port in [6_400, 6_401, 6_464] {
        rig.claim(b, port).unwrap();
    }
    let ports: Vec<u32> = rig.acquire(a, 1, 9).unwrap().iter().map(|grant| grant.mask.count()).collect();
    assert_eq!(ports, [64, 64, 63, 62]);
}

#[test]
fn a_last_port_in_any_group_is_found() {
    for random in 0..64 {
        let mut rig = Rig::new();
        let stack = rig.ready("A", list(1));
        rig.careful = false;
        rig.acquire(stack, 1_008, 1_008).unwrap();
        let leave = rig.attach("A", 65, 1).unwrap().grants[random * 15];
        let stack = Stack { actor: rig.attach("A", 65, 1).unwrap().actor, ..stack };
        rig.release(stack, leave, PortMask(1 << random)).unwrap();
        rig.wait(120_000);
        rig.end_quarantine(list(1));
        let grant = rig.acquire(stack, 1, 1).unwrap()[0];
        assert_eq!((grant.group, grant.mask), (leave.group, PortMask(1 << random)));
    }
}

#[test]
fn a_port_is_found_behind_any_number_of_groups_that_have_none() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let mut odd = [0; 1_024];
    odd[16..].fill(0xAAAA_AAAA_AAAA_AAAA);
    rig.allow(b.actor, PortSet::from_words(odd));
    rig.acquire(b, 1_008, 1_008).unwrap();
    odd[700] |= 1;
    rig.allow(a.actor, PortSet::from_words(odd));
    let grant = rig.acquire(a, 1, 1).unwrap()[0];
    assert_eq!((grant.group, grant.mask), (group(700), PortMask(1)));
}

#[test]
fn a_quota_is_filled_to_the_port_and_never_exceeded() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    rig.policy(list(1), Policy { quota: 100, ..Policy::default() });
    assert_eq!(rig.acquire(stack, 3, 3), Err(Refusal::QuotaExceeded { held: 0, quota: 100 }));
    let ports: Vec<u32> = rig.acquire(stack, 1, 9).unwrap().iter().map(|grant| grant.mask.count()).collect();
    assert_eq!(ports, [64, 36]);
    assert_eq!(rig.acquire(stack, 1, 1), Err(Refusal::QuotaExceeded { held: 100, quota: 100 }));
    let quota = Refusal::QuotaExceeded { held: 100, quota: 100 };
    let free = (1_024..65_535).find(|port| rig.structure.owner(list(1), *port) == PortOwner::Free).unwrap();
    assert_eq!(rig.claim(stack, free), Err(quota));
    let other = rig.ready("B", list(1));
    assert!(rig.acquire(other, 1, 1).is_ok(), "each connector has its own");
}

#[test]
fn the_reserve_is_for_stacks_that_hold_nothing() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let mut own = PortSet::empty();
    own.insert_range(6_400, 6_400 + 4 * 64 - 1);
    rig.allow(a.actor, own.clone());
    rig.allow(b.actor, own);
    rig.policy(list(1), Policy { reserve: 2, ..Policy::default() });
    assert_eq!(rig.acquire(a, 1, 9).unwrap().len(), 2);
    assert_eq!(rig.acquire(a, 1, 1), Err(Refusal::Reserved { reserve: 2 }));
    assert_eq!(rig.acquire(b, 1, 9).unwrap().len(), 1);
    assert_eq!(rig.acquire(b, 1, 9), Err(Refusal::Reserved { reserve: 2 }));
}

#[test]
fn a_policy_out_of_range_is_refused() {
    let mut rig = Rig::new();
    let none = Policy::default();
    let set = |policy| Request::SetPolicy { target: list(1), policy };
    assert_eq!(rig.ask(set(none)), Err(Refusal::UnknownList { target: list(1) }));
    rig.ask(Request::Define { target: list(1) }).unwrap();
    for bad in [
        Policy { quarantine_ms: 999, ..none },
        Policy { quarantine_ms: 86_400_001, ..none },
        Policy { reserve: 1_025, ..none },
    ] {
        assert_eq!(rig.ask(set(bad)), Err(Refusal::OutOfRange { what: Operand::Policy }), "{bad:?}");
    }
    rig.policy(list(1), Policy { quarantine_ms: 1_000, ..none });
    rig.policy(list(1), Policy { quarantine_ms: 1_000, ..none });
    assert!(rig.events.is_empty(), "the same policy again changes nothing");
}
