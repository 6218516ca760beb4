//! What a stack believes to hold, compared with what the structure has for it (protocol.md R7).

use super::{Rig, list, name, refusal, reported, stack, tokens};
use portplex::facility::{AttachRequest, CallError, Facility, Presence, REPORT_PAGE_MAX};
use portplex::structure::{PortOwner, Refusal, Standing};
use std::sync::atomic::Ordering;

#[test]
fn a_stack_that_agrees_sends_no_list() {
    let rig = Rig::new();
    let mut host = rig.host("A");
    for _ in 0..3 {
        host.acquire();
    }
    let held = tokens(&host.grants);
    assert_eq!(tokens(&host.attach(&rig).expect("attached").grants), held);
    assert_eq!(rig.door.pages.load(Ordering::Relaxed), 0);
}

#[test]
fn a_stack_that_differs_sends_its_list_in_pages() {
    let rig = Rig::new();
    let mut host = rig.host("A");
    for port in 2_000..2_000 + 1_100 {
        host.claim(port);
    }
    let held = tokens(&host.grants);
    host.grants.pop();
    assert!(host.grants.len() > REPORT_PAGE_MAX);
    assert_eq!(tokens(&host.attach(&rig).expect("attached").grants), held);
    assert_eq!(rig.door.pages.load(Ordering::Relaxed), 2);
}

#[test]
fn a_grant_whose_answer_was_lost_comes_with_the_next_attach() {
    let rig = Rig::new();
    let mut host = rig.host("A");
    let known = host.acquire();
    drop(host.connection.submit_acquire(host.member, 1, 1));
    let attached = host.attach(&rig).expect("attached");
    assert_eq!(attached.grants.len(), 2);
    assert!(attached.grants.iter().any(|grant| grant.lsn == known.lsn));
    assert_eq!(rig.look(|structure| structure.stop()), None);
}

#[test]
fn a_grant_that_ended_is_gone_for_the_stack_that_still_believes_in_it_and_for_nobody_else() {
    let mut rig = Rig::new();
    let (mut host, mut other) = (rig.host("A"), rig.host("B"));
    let (kept, ended) = (host.acquire(), host.acquire());
    let others = other.acquire();
    host.release(ended).expect("released");
    host.grants.push(ended);
    for round in 0..2 {
        host.grants = vec![kept, ended];
        assert_eq!(tokens(&host.attach(&rig).expect("attached").grants), [kept.lsn], "round {round}");
        assert_eq!(rig.look(|structure| structure.stop()), None, "nothing is lost");
        let owner = rig.door.owner(list(), ended.group.port_first()).expect("answered");
        assert!(matches!(owner, PortOwner::Quarantined { .. }), "round {round}: {owner:?}");
        assert_eq!(tokens(&other.attach(&rig).expect("attached").grants), [others.lsn], "round {round}");
        rig.restart();
    }
}

#[test]
fn a_report_that_is_not_what_was_announced_is_asked_for_again() {
    let rig = Rig::new();
    let mut host = rig.host("A");
    let (first, second) = (host.acquire(), host.acquire());
    host.connection.give_up();
    let challenge = rig.door.challenge(&name("A")).wait().expect("issued");
    let announced = [reported(&first)];
    let standing = Standing::of(announced.iter().copied());
    let attach = AttachRequest { introduction: stack("A"), challenge, position: None, standing };
    let attach = || rig.door.attach(attach.clone(), Presence::none()).wait();
    assert_eq!(refusal(attach()), Refusal::ReportNeeded);
    rig.door.report(&name("A"), challenge, vec![reported(&second)]).wait().expect("taken");
    assert_eq!(refusal(attach()), Refusal::ReportNeeded, "something else was reported");
    rig.door.report(&name("A"), challenge, announced.to_vec()).wait().expect("taken");
    attach().expect("the challenge is still good");
    assert_eq!(refusal(attach()), Refusal::ChallengeNeeded);
    let late = rig.door.report(&name("A"), challenge, announced.to_vec()).wait();
    assert_eq!(late, Err(CallError::Refused(Refusal::ChallengeNeeded)));
}
