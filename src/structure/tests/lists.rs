//! Lists: how they begin, close, open again and go.
#![forbid(unsafe_code)]

use super::*;

fn exists(rig: &Rig, target: Target) -> bool {
    rig.structure.list_by_target(target).is_some()
}

#[test]
fn a_list_made_by_join_goes_when_it_is_left_and_nothing_is_in_use() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    rig.stack(stack.actor, Body::Leave { member: stack.member }).unwrap();
    assert!(!exists(&rig, list(1)));

    let member = rig.join(stack.actor, list(1));
    rig.acquire(Stack { member, ..stack }, 1, 1).unwrap();
    rig.stack(stack.actor, Body::Leave { member }).unwrap();
    assert_eq!(rig.in_use(list(1)), (0, 64));
    rig.wait(120_000);
    rig.end_quarantine(list(1));
    assert!(!exists(&rig, list(1)));
}

#[test]
fn a_defined_list_stays_without_members() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    rig.ask(Request::Define { target: list(1) }).unwrap();
    assert_eq!(rig.events.len(), 1, "define speaks for a list that a join made");
    rig.ask(Request::Define { target: list(1) }).unwrap();
    assert!(rig.events.is_empty());
    rig.stack(stack.actor, Body::Leave { member: stack.member }).unwrap();
    assert!(exists(&rig, list(1)));
    rig.ask(Request::Delete { target: list(1) }).unwrap();
    assert!(!exists(&rig, list(1)));
    let unknown = Refusal::UnknownList { target: list(1) };
    assert_eq!(rig.ask(Request::Delete { target: list(1) }), Err(unknown));
}

#[test]
fn delete_closes_and_define_opens_again_with_all_that_is_in_it() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let grants = rig.acquire(stack, 2, 2).unwrap();
    rig.ask(Request::Delete { target: list(1) }).unwrap();
    rig.ask(Request::Delete { target: list(1) }).unwrap();
    assert!(rig.events.is_empty());
    assert_eq!(rig.acquire(stack, 1, 1), Err(Refusal::Closed));
    assert_eq!(rig.claim(stack, 5_000), Err(Refusal::Closed));
    let late = rig.connect("B", 2);
    assert_eq!(rig.stack(late, Body::Join { target: list(1) }), Err(Refusal::Closed));
    assert_eq!(rig.release(stack, grants[0], PortMask::ALL), Ok(Answer::Done), "releases work");
    rig.ask(Request::Define { target: list(1) }).unwrap();
    assert_eq!(rig.in_use(list(1)), (64, 64));
    assert!(rig.acquire(stack, 1, 1).is_ok());
}

#[test]
fn a_closed_list_goes_when_the_last_port_leaves_quarantine() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    rig.ask(Request::Define { target: list(1) }).unwrap();
    let grant = rig.acquire(stack, 1, 1).unwrap()[0];
    rig.ask(Request::Delete { target: list(1) }).unwrap();
    rig.release(stack, grant, grant.mask).unwrap();
    rig.wait(120_000);
    rig.end_quarantine(list(1));
    assert!(!exists(&rig, list(1)));
    assert_eq!(rig.acquire(stack, 1, 1), Err(Refusal::NotJoined), "its memberships ended with it");
    let member = rig.join(stack.actor, list(1));
    assert!(rig.acquire(Stack { member, ..stack }, 1, 1).is_ok());
}

#[test]
fn tcp_and_udp_and_each_dvipa_have_ports_of_their_own() {
    let mut rig = Rig::new();
    let actor = rig.connect("A", 1);
    rig.allow(actor, ephemeral());
    let body = Body::SetAllowable { transport: Transport::Udp, ports: ephemeral() };
    rig.stack(actor, body).unwrap();
    assert_eq!(rig.events.len(), 1, "the content is there already");
    let udp = Target::List("10.1.1.1".parse().unwrap(), Transport::Udp);
    let v6 = Target::List("2001:db8::1".parse().unwrap(), Transport::Tcp);
    for target in [list(1), list(2), udp, v6] {
        let member = rig.join(actor, target);
        assert!(rig.claim(Stack { actor, member }, 5_000).is_ok(), "{target}");
    }
    let mapped = Target::List("::ffff:10.1.1.1".parse().unwrap(), Transport::Tcp);
    assert_eq!(rig.structure.list_by_target(mapped), rig.structure.list_by_target(list(1)));
}

#[test]
fn slots_are_used_again_lowest_first() {
    let mut rig = Rig::new();
    let actors: Vec<Actor> = ["A", "B", "C"].iter().map(|stack| rig.connect(stack, 1)).collect();
    rig.stack(actors[1], Body::Disconnect).unwrap();
    rig.stack(actors[0], Body::Disconnect).unwrap();
    assert_eq!(rig.connect("D", 1).slot, 0);
    assert_eq!(rig.connect("E", 1).slot, 1);
    assert_eq!(rig.connect("F", 1).slot, 3);
}
