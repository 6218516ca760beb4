//! A stack whose facility lost data, was restored, is full, or is another one.

use super::memory::{Memory, Mode};
use super::{dvipa, identity, local, name, options, ports, profile, start, take, target};
use portplex::facility::CallError;
use portplex::ident::{ConnectorName, HistoryId, Lsn, PortSet, StoreUuid, StructureName};
use portplex::stack::{AgentLock, BoundPort, Options, Stack, StackError, State};
use portplex::structure::{Refusal, Request, StopCause};

/// An operator's word that granting goes on. A real facility begins another history then.
fn resume(memory: &Memory, adopt_reported: bool) {
    let by = Some(name("ALICE"));
    memory.operate(&Request::ResumeGrants { by, adopt_reported }).expect("nothing is in the way");
    memory.reopen();
}

fn stop(memory: &Memory, cause: StopCause) {
    let request = Request::Stop { cause, name: None, history: HistoryId(0), lsn: Lsn(0) };
    memory.operate(&request).expect("it may stop at any time");
}

fn stopped(cause: StopCause) -> StackError {
    StackError::Refused(Refusal::GrantsStopped { cause })
}

#[test]
fn grants_that_the_store_lost_are_reported_and_keep_their_sockets() {
    let memory = Memory::new(21);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let mut bound = take(&stack, 64);
    let snapshot = memory.snapshot();
    bound.extend(take(&stack, 10));
    memory.lose(&snapshot);
    assert_eq!(memory.owner(target(), bound[70].port), None, "the store forgot it");

    let adopted = stack.reattach(memory.door()).expect("it reports what it has");
    assert_eq!((adopted.granting, adopted.stopped), (Some(StopCause::DataLost), Vec::new()));
    assert_eq!(stack.state(), State::Stopped(StopCause::DataLost));
    let me = Some(name("SYS1"));
    assert!(bound.iter().all(|port| memory.owner(target(), port.port) == me), "sockets go on");
    memory.audit();

    // 54 ports of the group that was lost are free here, and handed out to nobody.
    assert_eq!(stack.bind(dvipa(), 0), Err(stopped(StopCause::DataLost)));
    let lost = bound.pop().expect("bound");
    let (grant, port) = (lost.grant, lost.port);
    stack.release(lost);
    assert_eq!(stack.bind(dvipa(), 0), Err(stopped(StopCause::DataLost)), "nor is one that comes back");
    assert_eq!(stack.bind(dvipa(), port), Err(StackError::InUse { local: local(), port }));
    assert_eq!(stack.give_back(0), 0, "nor given back as idle");
    // What log and stack both name is usable.
    let known: Vec<BoundPort> = bound.drain(..2).collect();
    let known_port = known[0].port;
    for port in known {
        stack.release(port);
    }
    assert_eq!(take(&stack, 1)[0].port, known_port, "not the one just returned");

    resume(&memory, true);
    assert!(stack.bind(dvipa(), 0).is_err(), "another history");
    let adopted = stack.reattach(memory.door()).expect("it attaches again");
    assert_eq!((adopted.granting, stack.state()), (None, State::Active));
    memory.seen();
    let more = take(&stack, 55);
    assert!(more.iter().all(|port| port.grant == grant), "the rest of the group that was adopted");
    assert_eq!(super::acquires(&memory), 0);
    assert_eq!(ports(&more).len(), 55);
    memory.audit();
}

#[test]
fn ports_on_their_way_back_are_reported_and_go_back_again() {
    let memory = Memory::new(22);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let snapshot = memory.snapshot();
    let bound = take(&stack, 1).remove(0);
    let port = bound.port;
    stack.release(bound);
    memory.set(Mode::Lost);
    assert_eq!(stack.give_back(0), 1);
    stack.give_back(0);
    assert_eq!((stack.state(), stack.usage()[0].ports), (State::Unreachable, 0));
    memory.lose(&snapshot);
    let adopted = stack.reattach(memory.door()).expect("it reports what it gave back");
    assert_eq!(adopted.granting, Some(StopCause::DataLost));
    assert_eq!(stack.releases_outstanding(), 0, "it was released again");
    assert!(memory.is_resting(target(), port), "the remote side may remember it: it was adopted, then released");
    assert_eq!(stack.usage()[0].ports, 0);
    memory.audit();
}

#[test]
fn a_position_kept_from_an_earlier_life_proves_the_loss() {
    let memory = Memory::new(23);
    let snapshot = {
        let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
        let snapshot = memory.snapshot();
        let _bound = take(&stack, 1);
        memory.lose(&snapshot);
        (stack.position(), snapshot)
    };
    let who = identity(1, 1, 2);
    let plain = Stack::start(memory.door(), name("SYS1"), profile(1024, 65_535), who, options(&memory, 0));
    assert_eq!(plain.expect("it knows nothing").1.granting, None);
    let (position, snapshot) = snapshot;
    memory.lose(&snapshot);
    let options = Options { position: Some(position), ..options(&memory, 0) };
    let (_, adopted) =
        Stack::start(memory.door(), name("SYS1"), profile(1024, 65_535), who, options).expect("it starts");
    assert_eq!(adopted.granting, Some(StopCause::DataLost));
}

#[test]
fn a_restored_store_lets_a_stack_attach_and_the_rest_is_made_up_for() {
    let memory = Memory::new(24);
    stop(&memory, StopCause::Restored);
    let (stack, adopted) = start(&memory, 1, 1, profile(1024, 65_535), 16);
    // The connector is new: its connect says nothing of a stop, the first refusal does.
    assert_eq!(adopted.grants, []);
    assert_eq!(stack.bind(dvipa(), 0), Err(stopped(StopCause::Restored)));
    assert_eq!(stack.bind(dvipa(), 5_000), Err(stopped(StopCause::Restored)));
    assert_eq!(stack.state(), State::Stopped(StopCause::Restored));
    let adopted = stack.reattach(memory.door()).expect("attach is served");
    assert_eq!((adopted.granting, stack.state()), (Some(StopCause::Restored), State::Stopped(StopCause::Restored)));

    memory.pass(3_600_000);
    let by = Some(name("ALICE"));
    memory.operate(&Request::ResumeGrants { by, adopt_reported: false }).expect("its window is over");
    assert_eq!(take(&stack, 3).len(), 3, "it joins at the next bind");
    assert_eq!(stack.state(), State::Active);
}

#[test]
fn a_restored_store_takes_no_release_and_none_is_forgotten() {
    let memory = Memory::new(25);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let bound = take(&stack, 1).remove(0);
    let port = bound.port;
    stack.release(bound);
    stop(&memory, StopCause::Restored);
    assert_eq!(stack.give_back(0), 1);
    stack.give_back(0);
    assert_eq!(stack.releases_outstanding(), 1, "turned down, to be sent again");
    assert_eq!(memory.owner(target(), port), Some(name("SYS1")));
    memory.reopen();
    stack.reattach(memory.door()).expect("attach is served");
    memory.pass(3_600_000);
    resume(&memory, false);
    stack.reattach(memory.door()).expect("it attaches again");
    stack.give_back(0);
    assert_eq!((memory.owner(target(), port), stack.usage()[0].ports), (None, 0));
}

#[test]
fn after_a_power_loss_ports_in_hand_serve_and_nothing_else() {
    let memory = Memory::new(26);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 16);
    let bound = take(&stack, 10);
    stop(&memory, StopCause::PowerLoss);
    memory.reopen();
    let adopted = stack.reattach(memory.door()).expect("attach is served");
    assert_eq!(adopted.granting, Some(StopCause::PowerLoss));
    let rest = take(&stack, 54);
    assert!(ports(&bound).is_disjoint(&ports(&rest)));
    assert_eq!(stack.bind(dvipa(), 0), Err(stopped(StopCause::PowerLoss)));
    memory.operate(&Request::ResumeGrants { by: None, adopt_reported: false }).expect("it ends by itself");
    assert_eq!(take(&stack, 1).len(), 1, "without another attach");
    assert_eq!(stack.state(), State::Active);
}

#[test]
fn a_full_store_is_a_refusal_and_a_stack_starts_with_what_it_had() {
    let memory = Memory::new(27);
    memory.set(Mode::Full);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    assert_eq!(stack.bind(dvipa(), 0), Err(StackError::Refused(Refusal::StorageFull)));
    assert_eq!(stack.state(), State::Active);
    memory.set(Mode::Well);
    let bound = take(&stack, 3);
    memory.reopen();
    memory.set(Mode::Full);
    stack.reattach(memory.door()).expect("attach is served");
    assert_eq!(take(&stack, 1).len(), 1, "from the hand");
    for port in bound {
        stack.release(port);
    }
    memory.set(Mode::Well);
    assert_eq!(take(&stack, 70).len(), 70);
}

#[test]
fn another_store_is_refused_and_the_stack_goes_on_with_its_own() {
    let memory = Memory::new(28);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let bound = take(&stack, 3);
    memory.set_store(2);
    memory.reopen();
    let other = StackError::OtherStore { found: StoreUuid(2), known: StoreUuid(1) };
    assert_eq!(stack.reattach(memory.door()), Err(other));
    assert_eq!((stack.state(), stack.usage()[0].in_use), (State::Unreachable, 3));
    memory.set_store(1);
    let adopted = stack.reattach(memory.door()).expect("its own store");
    assert_eq!(adopted.stopped, []);
    assert!(bound.iter().all(|port| memory.owner(target(), port.port) == Some(name("SYS1"))));
}

#[test]
fn another_store_that_knows_nothing_of_the_stack_gets_no_connector() {
    let (memory, other) = (Memory::new(29), Memory::new(30));
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    other.set_store(2);
    assert!(matches!(stack.reattach(other.door()), Err(StackError::OtherStore { found: StoreUuid(2), .. })));
    let fail = Request::MarkFailed { name: name("SYS1"), incarnation: portplex::ident::Incarnation(1), by: None };
    assert_eq!(other.operate(&fail), Err(Refusal::UnknownConnector));
}

#[test]
fn a_stack_whose_position_is_no_good_is_fenced_and_starts_anew_without_it() {
    let memory = Memory::new(31);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let bound = take(&stack, 3);
    let position = stack.position();
    memory.distrust();
    memory.reopen();
    assert_eq!(stack.reattach(memory.door()), Err(StackError::ReceiptBad));
    assert_eq!((stack.state(), stack.usage()[0].ports), (State::Fenced, 0));
    for refused in [stack.bind(dvipa(), 0).map(|_| ()), stack.reattach(memory.door()).map(|_| ()), stack.release_all()]
    {
        assert_eq!(refused, Err(StackError::ReceiptBad), "never again");
    }
    let who = identity(1, 1, 2);
    let with = Options { position: Some(position), ..options(&memory, 0) };
    let again = Stack::start(memory.door(), name("SYS1"), profile(1024, 65_535), who, with);
    assert_eq!(again.map(|_| ()).err(), Some(StackError::ReceiptBad));
    let (newer, adopted) = start(&memory, 1, 2, profile(1024, 65_535), 0);
    assert_eq!(adopted.grants.len(), 1, "what it held is kept for it");
    let mut in_use = PortSet::empty();
    in_use.insert_range(bound[0].port, bound[0].port);
    assert_eq!(newer.adopt(local(), &in_use).expect("adopted").len(), 1);
}

#[test]
fn a_stack_starts_only_under_its_own_lock() {
    let memory = Memory::new(32);
    let dir = tempfile::tempdir().expect("a directory");
    let lock_of = |stack: &ConnectorName| AgentLock::take(dir.path(), StructureName::default(), stack).expect("free");
    let start = |lock: AgentLock| {
        let options = Options { lock: Some(lock), ..options(&memory, 0) };
        Stack::start(memory.door(), name("SYS1"), profile(1024, 65_535), identity(1, 1, 1), options)
    };
    let others = start(lock_of(&name("SYS2"))).map(|_| ()).expect_err("another stack's lock");
    assert!(matches!(others, StackError::OtherAgentsLock { .. }), "{others}");
    assert_eq!(memory.seen(), [], "nothing was asked");
    let (stack, _) = start(lock_of(&name("SYS1"))).expect("its own");
    let second = AgentLock::take(dir.path(), StructureName::default(), &name("SYS1"));
    assert!(matches!(second, Err(StackError::AgentRunning { .. })), "the stack holds it");
    drop(stack);
    lock_of(&name("SYS1"));
    let gone = StackError::Unreachable { cause: CallError::Gone, until: None };
    assert!(gone.to_string().contains("reattach"), "{gone}");
}

#[test]
fn what_only_a_restored_log_names_is_not_handed_out() {
    let memory = Memory::new(31);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let _bound = take(&stack, 64);
    memory.set(Mode::Deaf);
    assert!(matches!(stack.bind(dvipa(), 0), Err(StackError::Unreachable { .. })), "granted, and the answer lost");
    memory.reopen();
    stop(&memory, StopCause::Restored);
    let adopted = stack.reattach(memory.door()).expect("attached");
    assert_eq!((adopted.granting, adopted.grants.len()), (Some(StopCause::Restored), 1));
    assert_eq!(stack.bind(dvipa(), 0), Err(stopped(StopCause::Restored)), "its number proves nothing here");
}
