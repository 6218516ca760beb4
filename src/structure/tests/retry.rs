//! Request numbers: the same number has at most one effect.
#![forbid(unsafe_code)]

use super::*;

fn acquire(stack: Stack, number: u32, lowest: u32) -> Request {
    let body = Body::Acquire { member: stack.member, at_least: 1, at_most: 2 };
    Request::Stack { actor: stack.actor, number, lowest, body }
}

#[test]
fn a_repeat_gets_the_same_grants_while_they_are_held_and_never_others() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let request = acquire(stack, 3, 1);
    let (first, decision) = rig.ask_as(&request).unwrap();
    assert_eq!(decision, Decision::Effect);
    let Answer::Granted(grants) = first.clone() else { panic!("{first:?}") };
    let (again, decision) = rig.ask_as(&request).unwrap();
    assert_eq!((again, decision), (first, Decision::Repeat { first: grants[0].lsn, count: 2 }));
    assert_eq!(rig.in_use(list(1)), (128, 0));

    rig.numbers.insert(0, 3);
    rig.release(stack, grants[0], PortMask::ALL).unwrap();
    let some = Request::Stack { actor: stack.actor, number: 5, lowest: 1, body: Body::Disconnect };
    assert!(matches!(rig.ask(request), Err(Refusal::AlreadyAnswered { number: 3, lowest: 4 })));
    assert_eq!(rig.ask(some), Ok(Answer::Done));
}

#[test]
fn a_repeat_of_a_grant_given_back_is_granted_and_gone() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let request = acquire(stack, 3, 1);
    let Ok(Answer::Granted(grants)) = rig.ask(request.clone()) else { panic!() };
    for (number, grant) in (4..).zip(&grants) {
        let Grant { lsn, group, mask, .. } = *grant;
        let body = Body::Release { member: stack.member, group, grant: lsn, mask };
        rig.ask(Request::Stack { actor: stack.actor, number, lowest: 1, body: body.clone() }).unwrap();
        let (answer, decision) = rig.ask_as(&Request::Stack { actor: stack.actor, number, lowest: 1, body }).unwrap();
        assert!(matches!((answer, decision), (Answer::Done, Decision::Repeat { .. })), "a release is repeated too");
        let expected = match number {
            4 => Answer::Granted(vec![grants[1]]),
            _ => Answer::GrantedAndGone,
        };
        assert_eq!(rig.ask(request.clone()), Ok(expected));
    }
}

#[test]
fn a_number_with_another_body_is_refused() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    rig.ask(acquire(stack, 3, 1)).unwrap();
    let body = Body::Acquire { member: stack.member, at_least: 1, at_most: 3 };
    let other = Request::Stack { actor: stack.actor, number: 3, lowest: 1, body };
    assert_eq!(rig.ask(other), Err(Refusal::RequestIdReused { number: 3 }));
}

#[test]
fn every_field_of_a_body_is_in_its_hash() {
    let member = Member { slot: 1, joined: Lsn(2) };
    let release = |member, number, grant, mask| Body::Release {
        member,
        group: group(number),
        grant: Lsn(grant),
        mask: PortMask(mask),
    };
    let set = |transport, ports| Body::SetAllowable { transport, ports };
    let bodies = [
        Body::Join { target: list(1) },
        Body::Join { target: list(2) },
        Body::Join { target: Target::Pool(Transport::Tcp) },
        Body::Join { target: Target::Pool(Transport::Udp) },
        Body::Leave { member },
        Body::Leave { member: Member { slot: 2, ..member } },
        Body::Leave { member: Member { joined: Lsn(3), ..member } },
        Body::Acquire { member, at_least: 1, at_most: 2 },
        Body::Acquire { member, at_least: 2, at_most: 2 },
        Body::Acquire { member, at_least: 1, at_most: 3 },
        Body::Claim { member, port: 1 },
        Body::Claim { member, port: 2 },
        release(member, 1, 1, 1),
        release(Member { slot: 9, ..member }, 1, 1, 1),
        release(member, 2, 1, 1),
        release(member, 1, 2, 1),
        release(member, 1, 1, 2),
        set(Transport::Tcp, PortSet::empty()),
        set(Transport::Udp, PortSet::empty()),
        set(Transport::Tcp, ephemeral()),
        Body::Disconnect,
    ];
    let mut hashes: Vec<u64> = bodies.iter().map(crate::structure::retry::body_hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), bodies.len());
}

#[test]
fn numbers_outside_the_window_are_refused() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let out = Err(Refusal::OutOfRange { what: Operand::Number });
    assert_eq!(rig.ask(acquire(stack, 0, 0)), out);
    assert_eq!(rig.ask(acquire(stack, 5, 0)), out);
    assert_eq!(rig.ask(acquire(stack, 5, 6)), out);
    assert_eq!(rig.ask(acquire(stack, 16_385, 1)), Err(Refusal::Overloaded));
    assert!(rig.ask(acquire(stack, 16_386, 3)).is_ok(), "as wide as a window may be");
    assert_eq!(rig.ask(acquire(stack, u32::MAX, u32::MAX)), Err(Refusal::NumbersExhausted));
    assert!(rig.ask(acquire(stack, u32::MAX - 1, u32::MAX - 1)).is_ok());
    let lowest = u32::MAX - 1;
    assert_eq!(rig.ask(acquire(stack, 7, 7)), Err(Refusal::AlreadyAnswered { number: 7, lowest }));
    let actor = rig.attach("A", 65, 1).unwrap().actor;
    assert!(rig.ask(acquire(Stack { actor, ..stack }, 1, 1)).is_ok(), "numbers start anew");
}

#[test]
fn a_refusal_is_not_remembered() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let claim = |port| {
        let body = Body::Claim { member: stack.member, port };
        Request::Stack { actor: stack.actor, number: 3, lowest: 3, body }
    };
    assert_eq!(rig.ask(claim(80)), Err(Refusal::PortExcluded { port: 80 }));
    assert!(rig.ask(claim(2_000)).is_ok());
}

#[test]
fn a_repeated_join_names_its_own_membership_only() {
    let mut rig = Rig::new();
    let actor = rig.connect("A", 1);
    let join = |number| Request::Stack { actor, number, lowest: 1, body: Body::Join { target: list(1) } };
    let Ok(Answer::Joined(membership)) = rig.ask(join(1)) else { panic!() };
    assert_eq!(rig.ask(join(1)), Ok(Answer::Joined(membership)));
    assert_eq!(rig.ask(join(2)), Ok(Answer::Joined(membership)), "joined already");
    assert!(rig.events.is_empty());
    let body = Body::Leave { member: membership.member };
    rig.ask(Request::Stack { actor, number: 3, lowest: 1, body }).unwrap();
    assert_eq!(rig.ask(join(1)), Ok(Answer::Done));
    let Ok(Answer::Joined(newer)) = rig.ask(join(4)) else { panic!() };
    assert_ne!(newer.member, membership.member);
    assert_eq!(rig.ask(join(1)), Ok(Answer::Done));
}
