//! Acquire, claim and release: what is granted, what is given back, what is refused.
#![forbid(unsafe_code)]

use super::*;

#[test]
fn two_stacks_never_get_the_same_port() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let mut groups: Vec<GroupNumber> = Vec::new();
    for turn in 0..1_008 {
        let stack = if turn % 2 == 0 { a } else { b };
        rig.careful = turn % 100 == 0;
        groups.extend(rig.acquire(stack, 1, 1).unwrap().iter().map(|grant| grant.group));
    }
    rig.careful = true;
    groups.sort_unstable();
    groups.dedup();
    assert_eq!(groups.len(), 1_008, "every group of ports 1,024 to 65,535 went to one of them");
    let full = exhausted([0, 64_512, 0, 1_024], 64_512, 0);
    assert_eq!(rig.acquire(a, 1, 1), Err(full));
}

#[test]
fn a_port_outside_the_allowable_set_is_never_in_a_mask() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let mut own = PortSet::empty();
    own.insert_range(6_400, 6_463);
    own.remove_range(6_410, 6_411);
    rig.allow(a.actor, own);
    let grant = rig.acquire(a, 1, 5).unwrap();
    assert_eq!((grant.len(), grant[0].group, grant[0].mask.count()), (1, group(100), 62));
    // What one stack may not use stays free for another.
    assert!(rig.claim(b, 6_410).is_ok());
    assert_eq!(rig.claim(a, 6_411), Err(Refusal::PortExcluded { port: 6_411 }));
    assert_eq!(rig.claim(a, 5_000), Err(Refusal::PortExcluded { port: 5_000 }));
    // A changed set revokes nothing.
    rig.allow(a.actor, PortSet::empty());
    assert_eq!(rig.in_use(list(1)), (63, 0));
    let full = exhausted([0, 63, 0, 65_473], 0, 0);
    assert_eq!(rig.acquire(a, 1, 1), Err(full));
}

#[test]
fn fewer_than_at_least_is_refused_and_changes_nothing() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let mut three = PortSet::empty();
    three.insert_range(6_400, 6_400 + 3 * 64 - 1);
    rig.allow(stack.actor, three);
    let full = exhausted([192, 0, 0, 65_344], 0, 0);
    assert_eq!(rig.acquire(stack, 4, 4), Err(full));
    assert_eq!(rig.in_use(list(1)), (0, 0));
    let grants = rig.acquire(stack, 2, 9).unwrap();
    assert_eq!(grants.len(), 3);
    assert!(grants.windows(2).all(|pair| pair[0].lsn.next() == pair[1].lsn), "one atomic step");
    for (at_least, at_most) in [(0, 1), (2, 1), (1, 1_025), (0, 0)] {
        let out = Err(Refusal::OutOfRange { what: Operand::Groups });
        assert_eq!(rig.acquire(stack, at_least, at_most), out, "{at_least}..{at_most}");
    }
}

#[test]
fn what_is_asked_for_needs_a_set_and_a_membership() {
    let mut rig = Rig::new();
    let actor = rig.connect("A", 1);
    let member = rig.join(actor, list(1));
    let stack = Stack { actor, member };
    assert_eq!(rig.acquire(stack, 1, 1), Err(Refusal::NoAllowableSet));
    assert_eq!(rig.claim(stack, 2_000), Err(Refusal::NoAllowableSet));
    rig.allow(actor, ephemeral());
    let wrong = Member { joined: Lsn(99), ..member };
    assert_eq!(rig.acquire(Stack { actor, member: wrong }, 1, 1), Err(Refusal::NotJoined));
    let other = rig.ready("B", list(1));
    assert_eq!(rig.acquire(Stack { member: other.member, actor }, 1, 1), Err(Refusal::NotJoined));
    rig.stack(actor, Body::Leave { member }).unwrap();
    assert_eq!(rig.acquire(stack, 1, 1), Err(Refusal::NotJoined));
    assert_eq!(rig.claim(other, 0), Err(Refusal::OutOfRange { what: Operand::Port }));
}

#[test]
fn a_claimed_port_is_one_bit_and_is_held_once() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let grant = rig.claim(a, 5_000).unwrap();
    assert_eq!((grant.group, grant.mask), (group(78), PortMask::of_port(5_000)));
    for stack in [a, b] {
        assert_eq!(rig.claim(stack, 5_000), Err(Refusal::PortHeld { port: 5_000, grant: grant.lsn }));
    }
    let neighbour = rig.claim(b, 5_001).unwrap();
    assert_eq!(neighbour.group, grant.group, "one group may have several holders");
    let owner = PortOwner::Held {
        connector: name("B"),
        incarnation: b.actor.incarnation,
        grant: neighbour.lsn,
        group: grant.group,
    };
    assert_eq!(rig.structure.owner(list(1), 5_001), owner);
    assert_eq!(rig.structure.owner(list(1), 5_002), PortOwner::Free);
    assert_eq!(rig.structure.owner(list(9), 5_002), PortOwner::NoList);
}

#[test]
fn a_release_needs_the_owner_the_token_and_that_tokens_own_ports() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let one = rig.claim(a, 5_000).unwrap();
    let two = rig.claim(a, 5_001).unwrap();
    let token = one.lsn;
    assert_eq!(rig.release(b, one, one.mask), Err(Refusal::NotOwner { grant: token }));
    assert_eq!(rig.release(a, one, two.mask), Err(Refusal::StaleToken { grant: token }));
    assert_eq!(rig.release(a, one, one.mask.or(two.mask)), Err(Refusal::StaleToken { grant: token }));
    assert_eq!(rig.release(a, one, PortMask::NONE), Err(Refusal::OutOfRange { what: Operand::Mask }));
    let elsewhere = Grant { group: group(79), ..one };
    assert_eq!(rig.release(a, elsewhere, one.mask), Err(Refusal::StaleToken { grant: token }));
    assert_eq!(rig.release(a, one, one.mask), Ok(Answer::Done));
    assert_eq!(rig.release(a, one, one.mask), Err(Refusal::StaleToken { grant: token }), "twice");
    assert_eq!(rig.in_use(list(1)), (1, 1));
}

#[test]
fn a_grant_can_be_given_back_in_parts() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let grant = rig.acquire(stack, 1, 1).unwrap()[0];
    let (low, high) = (PortMask(0xFFFF_FFFF), PortMask(!0xFFFF_FFFF));
    assert_eq!(rig.release(stack, grant, low), Ok(Answer::Done));
    assert_eq!(rig.in_use(list(1)), (32, 32));
    assert_eq!(rig.release(stack, grant, low), Err(Refusal::StaleToken { grant: grant.lsn }));
    assert_eq!(rig.attach("A", 65, 1).unwrap().grants, [Grant { mask: high, ..grant }]);
    let stack = Stack { actor: rig.attach("A", 65, 1).unwrap().actor, ..stack };
    assert_eq!(rig.release(stack, grant, high), Ok(Answer::Done));
    assert_eq!(rig.in_use(list(1)), (0, 64));
}

#[test]
fn sets_of_one_content_are_kept_once_and_only_while_used() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let sets = |rig: &Rig| rig.structure.items().filter(|item| matches!(item, Item::Set { .. })).count();
    assert_eq!(sets(&rig), 1);
    rig.allow(b.actor, ephemeral());
    assert!(rig.events.is_empty(), "the same content again changes nothing");
    let mut with_zero = ephemeral();
    with_zero.insert_range(0, 0);
    rig.allow(b.actor, with_zero);
    assert!(rig.events.is_empty(), "port 0 is never allowable");
    rig.allow(a.actor, PortSet::empty());
    assert_eq!(sets(&rig), 2);
    rig.stack(b.actor, Body::Disconnect).unwrap();
    assert_eq!(sets(&rig), 1);
}
