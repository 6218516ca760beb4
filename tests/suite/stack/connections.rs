//! The numbered connection: which answers count, and under which number a request goes.

use super::memory::{Memory, Mode};
use super::{identity, name, target};
use portplex::facility::{Belief, CallError, Connection};
use portplex::ident::{BootMs, PortSet, Transport};
use portplex::structure::{Answer, Introduction, Member, Refusal, Request};

fn introduction(process: u64) -> Introduction {
    Introduction { name: name("SYS1"), identity: identity(1, 1, process), promise_ms: 30_000, enforced: false }
}

fn connect(memory: &Memory) -> (Connection, Member) {
    let connection = Connection::connect(memory.door(), introduction(1)).expect("connected");
    let mut ports = PortSet::empty();
    ports.insert_range(1024, u16::MAX);
    connection.set_allowable(Transport::Tcp, ports).expect("set");
    let member = connection.join(target()).expect("joined").value.member;
    memory.seen();
    (connection, member)
}

fn numbers(memory: &Memory) -> Vec<(u32, u32)> {
    let of_stack = |request| match request {
        Request::Stack { number, lowest, .. } => Some((number, lowest)),
        _ => None,
    };
    memory.seen().into_iter().filter_map(of_stack).collect()
}

#[test]
fn requests_count_up_and_name_the_lowest_unanswered() {
    let memory = Memory::new(1);
    let (connection, member) = connect(&memory);
    memory.set(Mode::Holding);
    let mut third = connection.submit_acquire(member, 1, 1);
    let fourth = connection.submit_acquire(member, 1, 1);
    assert_eq!(numbers(&memory), [(3, 3), (4, 3)], "1 and 2 were the allowable set and the join");
    assert!(third.try_take().is_none());
    memory.let_go();
    let answered = third.try_take().expect("there").expect("granted");
    assert_eq!((answered.value.len(), answered.value[0].number, third.number()), (1, 3, 3));
    assert!(third.try_take().is_none(), "at most once");
    memory.set(Mode::Well);
    connection.acquire(member, 1, 1).expect("granted");
    assert_eq!(numbers(&memory), [(5, 4)], "4 was not looked at yet");
    fourth.wait().expect("granted");
    connection.acquire(member, 1, 1).expect("granted");
    assert_eq!(numbers(&memory), [(6, 6)]);
    drop(connection.submit_acquire(member, 1, 1));
    assert!(connection.unanswered().is_empty(), "an answer nobody waits for holds nothing up");
}

#[test]
fn a_request_sent_again_has_one_effect() {
    let memory = Memory::new(2);
    let (connection, member) = connect(&memory);
    memory.set(Mode::Deaf);
    assert_eq!(connection.acquire(member, 1, 1), Err(CallError::Gone));
    memory.set(Mode::Lost);
    assert_eq!(connection.acquire(member, 1, 1), Err(CallError::Gone));
    memory.set(Mode::Well);
    let attached = connection.resume(memory.door()).expect("the same incarnation goes on");
    assert_eq!(attached.grants.len(), 1, "the first was done");
    let unanswered: Vec<u32> = connection.unanswered().into_iter().map(|(number, _)| number).collect();
    assert_eq!(unanswered, [3, 4]);
    for number in unanswered {
        let answered = connection.resend(number).expect("outstanding").wait().expect("granted");
        let Answer::Granted(grants) = answered.value else { panic!("{answered:?}") };
        assert_eq!((grants.len(), grants[0].number), (1, number));
    }
    assert!(connection.resend(3).is_none(), "it was answered");
    let attached = connection.resume(memory.door()).expect("still");
    assert_eq!(attached.grants.len(), 2, "each had one effect");
}

#[test]
fn answers_of_another_life_count_for_nothing() {
    let memory = Memory::new(3);
    let (old, member) = connect(&memory);
    memory.set(Mode::Holding);
    let pending = old.submit_acquire(member, 1, 1);
    memory.set(Mode::Well);
    old.give_up();
    let (new, attached) = Connection::attach(memory.door(), introduction(1), &Belief::default()).expect("attached");
    assert!(new.actor().incarnation > old.actor().incarnation && !new.is_same(&old));
    assert_eq!(attached.grants.len(), 1, "the attach tells of it");
    memory.let_go();
    assert_eq!(pending.wait().map(|_| ()), Err(CallError::Gone), "the late answer does not");
    memory.seen();
    assert_eq!(old.acquire(member, 1, 1), Err(CallError::Gone));
    assert_eq!(memory.seen(), [], "nothing is sent for a life that is over");

    memory.reopen();
    let refused = new.acquire(attached.memberships[0].member, 1, 1).expect_err("the facility was opened since");
    assert_eq!(refused, CallError::Refused(Refusal::MustAttach));
    assert_eq!(new.resume(memory.door()), Err(CallError::Refused(Refusal::MustAttach)));
    let (newest, _) =
        Connection::attach_or_connect(&memory.door(), &introduction(1), &Belief::default()).expect("attached");
    assert_ne!(newest.history(), new.history());
    let stale = new.release(member, attached.grants[0].group, attached.grants[0].lsn, attached.grants[0].mask);
    let (asked, current) = (new.actor().incarnation, newest.actor().incarnation);
    assert_eq!(stale, Err(CallError::Refused(Refusal::StaleIncarnation { asked, current })));
}

#[test]
fn an_answer_of_another_history_counts_for_nothing() {
    let memory = Memory::new(5);
    let (connection, member) = connect(&memory);
    let position = connection.position();
    memory.set_history(9);
    assert_eq!(connection.acquire(member, 1, 1), Err(CallError::Gone), "protocol.md R17");
    assert_eq!(connection.position(), position, "nor does it say how far this one has seen");
    assert_eq!(connection.unanswered().len(), 1, "what became of it is told by the next attach");
}

#[test]
fn a_lease_counts_from_when_its_renewal_was_sent() {
    let memory = Memory::new(4);
    let (connection, _) = connect(&memory);
    assert_eq!(connection.renew(BootMs(5_000)), Ok(Some(BootMs(35_000))));
    let early = connection.submit_renew(BootMs(6_000));
    assert_eq!(connection.renew(BootMs(9_000)), Ok(Some(BootMs(39_000))));
    assert_eq!(early.wait(), Ok(Some(BootMs(36_000))));
    memory.set(Mode::WrongNumber);
    assert_eq!(connection.renew(BootMs(10_000)), Err(CallError::WrongAnswer), "it answers another renewal");
    connection.give_up();
    assert_eq!(connection.renew(BootMs(11_000)), Err(CallError::Gone));
}
