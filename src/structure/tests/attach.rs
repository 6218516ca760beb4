//! Connect, attach, failure, clean-up: who may act, and what becomes of what it held.
#![forbid(unsafe_code)]

use super::*;

#[test]
fn only_the_newest_incarnation_may_act() {
    let mut rig = Rig::new();
    let old = rig.ready("A", list(1));
    let grant = rig.acquire(old, 1, 1).unwrap()[0];
    let new = rig.attach("A", 65, 1).unwrap();
    assert_eq!(new.grants, [grant]);
    assert_eq!(new.memberships, [Membership { member: old.member, target: list(1) }]);
    let stale = Refusal::StaleIncarnation { asked: old.actor.incarnation, current: new.actor.incarnation };
    assert_eq!(rig.release(old, grant, grant.mask), Err(stale));
    let new = Stack { actor: new.actor, ..old };
    assert_eq!(rig.release(new, grant, grant.mask), Ok(Answer::Done));
    let future = Actor { incarnation: Incarnation(1_000_000), ..new.actor };
    assert_eq!(rig.stack(future, Body::Disconnect), Err(Refusal::MustAttach));
    let nobody = Actor { slot: 99, ..new.actor };
    assert_eq!(rig.stack(nobody, Body::Disconnect), Err(Refusal::UnknownConnector));
}

#[test]
fn after_an_open_nothing_but_attach_is_served() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    rig.context.open_first = rig.structure.lsn().next();
    assert_eq!(rig.acquire(stack, 1, 1), Err(Refusal::MustAttach));
    let identity = introduction("A", 65, 1).identity;
    let resume = Request::Resume { name: name("A"), incarnation: stack.actor.incarnation, identity };
    assert_eq!(rig.ask(resume), Err(Refusal::MustAttach));
    let actor = rig.attach("A", 65, 1).unwrap().actor;
    assert!(rig.acquire(Stack { actor, ..stack }, 1, 1).is_ok());
}

#[test]
fn another_boot_of_the_same_machine_starts_with_nothing() {
    let mut rig = Rig::new();
    let old = rig.ready("A", list(1));
    rig.ask(Request::Define { target: list(1) }).unwrap();
    let grant = rig.acquire(old, 1, 1).unwrap()[0];
    let new = rig.attach("A", 65, 2).unwrap();
    assert_eq!((new.grants, new.memberships), (vec![], vec![]));
    assert_eq!(rig.in_use(list(1)), (0, 64));
    let stack = Stack { actor: new.actor, ..old };
    assert_eq!(rig.acquire(stack, 1, 1), Err(Refusal::NotJoined));
    let stack = Stack { member: rig.join(new.actor, list(1)), ..stack };
    // Its own ports of the boot before are as foreign as anybody's.
    let port = grant.group.port_first();
    let since = Lsn(new.actor.incarnation.0);
    assert_eq!(rig.claim(stack, port), Err(Refusal::PortQuarantined { port, since }));
    let mut only = PortSet::empty();
    only.insert_range(port, grant.group.port_last());
    rig.allow(new.actor, only);
    assert_eq!(rig.acquire(stack, 1, 1).unwrap_err().name(), "exhausted");
}

#[test]
fn another_machine_waits_until_the_first_was_cleaned_up() {
    let mut rig = Rig::new();
    let first = rig.ready("A", list(1));
    let incarnation = first.actor.incarnation;
    let other = |state, held| Err(Refusal::OtherMachine { incarnation, state, held });
    assert_eq!(rig.attach("A", 2, 1), other(ConnectorState::Active, 0));
    rig.acquire(first, 1, 1).unwrap();
    rig.fail("A", incarnation);
    assert_eq!(rig.attach("A", 2, 1), other(ConnectorState::FailedPersistent, 64));
    assert_eq!(rig.clean_up("A", incarnation), Ok(Answer::Done));
    assert_eq!(rig.attach("A", 2, 1), Err(Refusal::UnknownConnector));
    let second = rig.connect("A", 2);
    assert_ne!(second.slot, first.actor.slot, "the slot is taken while its ports are in quarantine");

    rig.fail("A", second.incarnation);
    assert!(rig.attach("A", 3, 1).is_ok(), "one that holds nothing and failed may move");
}

#[test]
fn a_failed_connector_keeps_its_grants_and_must_attach() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let grant = rig.acquire(stack, 1, 1).unwrap()[0];
    rig.fail("A", stack.actor.incarnation);
    rig.fail("A", stack.actor.incarnation);
    assert!(rig.events.is_empty(), "failing twice is one failure");
    assert_eq!(rig.acquire(stack, 1, 1), Err(Refusal::MustAttach));
    assert_eq!(rig.in_use(list(1)), (64, 0));
    assert_eq!(rig.attach("A", 65, 1).unwrap().grants, [grant]);
    let asked = stack.actor.incarnation;
    let current = rig.structure.connector(&name("A")).unwrap().actor.incarnation;
    let late = Request::MarkFailed { name: name("A"), incarnation: asked, by: None };
    assert_eq!(rig.ask(late), Err(Refusal::StaleIncarnation { asked, current }));
}

#[test]
fn a_clean_up_needs_failure_incarnation_and_a_deadline_or_a_word() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    rig.acquire(stack, 1, 1).unwrap();
    let incarnation = stack.actor.incarnation;
    assert_eq!(rig.clean_up("B", incarnation), Err(Refusal::UnknownConnector));
    assert_eq!(rig.clean_up("A", incarnation), Err(Refusal::NotFailed { state: ConnectorState::Active }));
    rig.fail("A", incarnation);
    let wrong = Incarnation(incarnation.0 + 1);
    let stale = Refusal::StaleIncarnation { asked: wrong, current: incarnation };
    assert_eq!(rig.clean_up("A", wrong), Err(stale));
    let silent = Request::CleanUp { name: name("A"), incarnation, by: name("OP"), boot_is_dead: false };
    assert_eq!(rig.ask(silent.clone()), Err(Refusal::BootMayBeAlive), "no deadline was promised");
    rig.context.deadline = Some(rig.context.now.plus(1));
    assert_eq!(rig.ask(silent.clone()), Err(Refusal::BootMayBeAlive), "the deadline has not passed");
    rig.wait(1);
    assert_eq!(rig.ask(silent.clone()), Err(Refusal::BootMayBeAlive), "nothing enforced that deadline");
    let enforced = Introduction { enforced: true, ..introduction("A", u128::from(b'A'), 1) };
    let Ok(Answer::Attached { actor, .. }) = rig.ask(Request::Attach(enforced)) else { panic!("it attaches") };
    let incarnation = actor.incarnation;
    rig.fail("A", incarnation);
    let silent = Request::CleanUp { name: name("A"), incarnation, by: name("OP"), boot_is_dead: false };
    rig.context.deadline = Some(rig.context.now.plus(1));
    assert_eq!(rig.ask(silent.clone()), Err(Refusal::BootMayBeAlive), "the enforced deadline has not passed");
    rig.wait(1);
    assert_eq!(rig.ask(silent), Ok(Answer::Done));
    assert_eq!(rig.structure.connector(&name("A")), None);
}

#[test]
fn a_clean_up_counts_quarantine_from_the_promised_deadline() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    rig.acquire(stack, 1, 1).unwrap();
    rig.fail("A", stack.actor.incarnation);
    let deadline = rig.context.now.plus(50_000);
    rig.context.deadline = Some(deadline);
    rig.clean_up("A", stack.actor.incarnation).unwrap();
    let slot = rig.structure.list_by_target(list(1)).unwrap();
    assert_eq!(rig.structure.quarantine_due(slot, &rig.context), Due::At(deadline.plus(120_000)));
}

#[test]
fn a_connector_exists_once_and_resumes_as_the_same_process_only() {
    let mut rig = Rig::new();
    let actor = rig.connect("A", 1);
    let again = Request::Connect(introduction("A", 1, 1));
    let state = ConnectorState::Active;
    let exists = Refusal::ConnectorExists { incarnation: actor.incarnation, state };
    assert_eq!(rig.ask(again), Err(exists));
    let Introduction { identity, .. } = introduction("A", 1, 1);
    let resume = |identity| Request::Resume { name: name("A"), incarnation: actor.incarnation, identity };
    let answer = Answer::Attached { actor, memberships: vec![], grants: vec![], stopped: None };
    assert_eq!(rig.ask(resume(identity)), Ok(answer));
    assert!(rig.events.is_empty());
    let process = Identity { process: ProcessId(8), ..identity };
    assert_eq!(rig.ask(resume(process)), Err(Refusal::MustAttach));
    let machine = Identity { machine: MachineId(9), ..identity };
    assert!(matches!(rig.ask(resume(machine)), Err(Refusal::OtherMachine { .. })));
}

#[test]
fn a_disconnect_gives_everything_back_and_forgets_the_name() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let grant = rig.acquire(stack, 3, 3).unwrap()[1];
    let other = rig.join(stack.actor, list(2));
    rig.acquire(Stack { member: other, ..stack }, 1, 1).unwrap();
    rig.stack(stack.actor, Body::Disconnect).unwrap();
    assert_eq!((rig.in_use(list(1)), rig.in_use(list(2))), ((0, 192), (0, 64)));
    assert_eq!(rig.structure.connector(&name("A")), None);
    assert_eq!(rig.structure.connectors().count(), 0);
    let owner = rig.structure.owner(list(1), grant.group.port_first());
    assert_eq!(owner, PortOwner::Quarantined { connector: name("A"), since: rig.structure.lsn() });
    assert_eq!(rig.stack(stack.actor, Body::Disconnect), Err(Refusal::UnknownConnector));
    rig.wait(120_000);
    rig.end_quarantine(list(1));
    assert_eq!(rig.structure.connector_name(stack.actor.slot), Some(&name("A")));
    rig.end_quarantine(list(2));
    assert_eq!(rig.structure.connector_name(stack.actor.slot), None, "nothing leaks");
    assert_eq!(rig.structure.items_count(), 1, "nothing but the head is left");
}
