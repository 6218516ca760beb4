//! The stream and its calls: presences, lost answers, what is not hosted, watching.

use super::{Kind, SOON, Service, eventually, introduction, joined, list, name, structure};
use portplex::api::{Door, Drained, Limits, RemoteError, RemoteFacility, RemoteOptions, Server, Watched};
use portplex::facility::{Belief, CallError, Connection, Facility, LocalFacility, Options};
use portplex::ident::StructureName;
use portplex::structure::{ConnectorState, Refusal, Request, Structure};
use std::sync::Arc;
use std::time::Duration;

fn attach(remote: &Arc<RemoteFacility>, process: u64) -> Result<Connection, CallError> {
    let facility = Arc::clone(remote) as Arc<dyn Facility>;
    Connection::attach(facility, introduction("A", process), &Belief::default()).map(|(connection, _)| connection)
}

fn is_still_connected(attached: &Result<Connection, CallError>) -> bool {
    matches!(attached, Err(CallError::Refused(Refusal::StillConnected { .. })))
}

#[test]
fn while_a_stack_is_connected_no_other_process_takes_its_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Unix);
    let (one, two) = (service.remote(), service.remote());
    let (connection, _) = joined(&one, introduction("A", 1));
    assert!(is_still_connected(&attach(&two, 2)));
    // It gives up, and its stream stands: the service hears of it.
    connection.give_up();
    eventually("the presence ends", || attach(&two, 2).is_ok());
    // The stream of the second ends with everything on it.
    let connection = attach(&two, 2).expect("its own");
    assert!(is_still_connected(&attach(&one, 3)));
    drop((connection, two));
    eventually("the stream ends", || attach(&one, 3).is_ok());
}

#[test]
fn a_stack_that_was_cut_off_is_connected_again_without_doing_anything() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut service = Service::start(dir.path(), Kind::Tcp);
    let (one, two) = (service.remote(), service.remote());
    let (connection, member) = joined(&one, introduction("A", 1));
    // The service's door closes and opens; its facility goes on.
    let facility = Arc::clone(service.facility());
    drop(service.running.take());
    eventually("the line is cut", || !one.is_connected() && !two.is_connected());
    assert_eq!(connection.acquire(member, 1, 1).expect_err("cut off"), CallError::Gone);
    let server = Server::new(service.limits).host_local(structure(), &facility);
    service.running = Some(server.start(std::slice::from_ref(&service.door)).expect("serves"));
    one.wait_connected(SOON).expect("back");
    two.wait_connected(SOON).expect("back");
    // Said again in the same breath as the stream was made: nobody slips in.
    assert!(is_still_connected(&attach(&two, 2)));
    // The call above was never sent, or its answer was lost: its number says which, without a second grant.
    let outstanding: Vec<u32> = connection.unanswered().into_iter().map(|(number, _)| number).collect();
    assert_eq!(outstanding.len(), 1);
    connection.resend(outstanding[0]).expect("outstanding").wait().expect("answered");
    let held = one.connector(&name("A")).expect("answered").expect("there").held_ports;
    assert_eq!(held, 64);
}

#[test]
fn everybody_who_waits_hears_that_the_outcome_is_unknown_and_the_next_attach_tells() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut service = Service::start(dir.path(), Kind::Unix);
    let remote = service.remote();
    let (connection, member) = joined(&remote, introduction("A", 1));
    let pending: Vec<_> = (0..500).map(|place| connection.submit_claim(member, 2_000 + place)).collect();
    service.kill();
    let mut told = 0;
    for claim in pending {
        match claim.wait() {
            Ok(_) => told += 1,
            Err(error) => assert_eq!(error, CallError::Gone),
        }
    }
    assert_eq!(connection.renew(portplex::ident::BootMs(0)), Err(CallError::Gone), "at once, while nobody is there");
    connection.give_up();
    service.open();
    remote.wait_connected(SOON).expect("back");
    let belief = Belief { position: Some(connection.position()), grants: Vec::new() };
    let facility = Arc::clone(&remote) as Arc<dyn Facility>;
    let (_, attached) = Connection::attach(facility, introduction("A", 1), &belief).expect("attached");
    assert!(attached.grants.len() >= told, "{told} were acknowledged, {} are there", attached.grants.len());
}

#[test]
fn a_structure_that_is_not_hosted_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Unix);
    let other = StructureName::new(Some(11), None).expect("a name");
    let error = RemoteFacility::connect(&service.door, other, RemoteOptions::default()).expect_err("not hosted");
    assert!(matches!(&error, RemoteError::NotHosted { structure, .. } if structure == "EZBEPORT11"), "{error}");
    let nobody = Door::Unix(dir.path().join("nobody.sock"));
    let options = RemoteOptions { patience: Duration::from_millis(200), ..RemoteOptions::default() };
    let error = RemoteFacility::connect(&nobody, structure(), options).expect_err("nobody");
    assert!(error.to_string().contains("nobody.sock: no service answers: "), "{error}");
}

#[test]
fn a_connection_to_one_store_asks_nothing_of_another_behind_the_same_door() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut service = Service::start(dir.path(), Kind::Tcp);
    let remote = service.remote();
    let (of_a, member) = joined(&remote, introduction("A", 1));
    service.kill();
    service.dir = dir.path().join("another");
    service.open();
    remote.wait_connected(SOON).expect("back");
    // In the other store the same numbers are another stack's.
    let (of_b, same) = joined(&service.remote(), introduction("B", 2));
    assert_eq!((of_b.actor(), same), (of_a.actor(), member));
    let must_attach = CallError::Refused(Refusal::MustAttach);
    assert_eq!(of_a.acquire(member, 1, 1).expect_err("not here"), must_attach);
    assert_eq!(of_a.renew(portplex::ident::BootMs(0)), Err(must_attach));
    assert_eq!(service.facility().status().expect("answered").grants, 0);
    of_b.acquire(same, 1, 1).expect("its own");
}

#[test]
fn structures_stand_side_by_side_and_each_has_its_own_ports() {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, second) = (structure(), StructureName::new(Some(11), Some(21)).expect("a name"));
    let open = |structure| {
        let options = Options { create: true, structure: Some(structure), ..Options::default() };
        Arc::new(LocalFacility::open(dir.path().join(structure.to_string()), &options).expect("opens"))
    };
    let (one, two) = (open(first), open(second));
    let server = Server::new(Limits::default()).host_local(first, &one).host_local(second, &two);
    let running = server.start(&[Door::Unix(dir.path().join("s"))]).expect("serves");
    let connect = |structure| {
        Arc::new(RemoteFacility::connect(&running.doors()[0], structure, RemoteOptions::default()).expect("connects"))
    };
    let claims = [first, second].map(|structure| {
        let remote = connect(structure);
        let (connection, member) = joined(&remote, introduction("A", 1));
        connection.claim(member, 5_000).expect("claimed in this one");
        remote.status().expect("answered").structure
    });
    assert_eq!(claims, [first.to_string(), second.to_string()]);
    assert_eq!(running.stop(SOON), Drained::All);
    assert_eq!(one.status().expect("it goes on").grants, 1);
}

#[test]
fn an_internal_request_cannot_be_asked_for_from_outside() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Unix);
    let remote = service.remote();
    let expired = Request::MarkFailed { name: name("A"), incarnation: portplex::ident::Incarnation(1), by: None };
    assert!(matches!(remote.call(expired), Err(CallError::Refused(Refusal::OutOfRange { .. }))));
    let unknown = remote.mark_failed(&name("A"), portplex::ident::Incarnation(1), &name("OPERATOR"));
    assert_eq!(unknown, Err(CallError::Refused(Refusal::UnknownConnector)));
}

#[test]
fn a_watcher_has_the_state_at_one_lsn_and_then_every_event_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Tcp);
    let remote = service.remote();
    let (connection, member) = joined(&remote, introduction("A", 1));
    connection.acquire(member, 40, 40).expect("granted");
    let mut watch = remote.watch(None).expect("watches");
    let Some(Watched::Snapshot { lsn, items }) = watch.next(SOON).expect("watched") else { panic!("no snapshot") };
    let mut seen = Structure::import(items.into_iter()).expect("a structure");
    assert_eq!(seen.lsn(), lsn);
    let last = connection.acquire(member, 3, 3).expect("granted").lsn;
    while watch.last() < last {
        let Some(Watched::Event { lsn, event }) = watch.next(SOON).expect("watched") else { panic!("no event") };
        assert_eq!(lsn, seen.lsn().next());
        seen.apply(lsn, portplex::ident::BootMs(0), &event);
    }
    let items: Vec<_> = seen.items().collect();
    assert_eq!(items, remote.list().expect("read"));
    // Resumed, it goes on where it was told to.
    let mut resumed = remote.watch(Some(lsn)).expect("watches");
    let first = resumed.next(SOON).expect("watched").expect("an event");
    assert!(matches!(first, Watched::Event { lsn: first, .. } if first == lsn.next()), "{first:?}");
    assert_eq!(watch.next(Duration::from_millis(10)), Ok(None));
}

#[test]
fn a_call_that_is_given_up_is_done_all_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Unix);
    let remote = service.remote();
    let (connection, member) = joined(&remote, introduction("A", 1));
    drop(connection.submit_acquire(member, 1, 1));
    eventually("the grant is there", || {
        service.facility().connector(&name("A")).expect("answered").expect("there").held_ports == 64
    });
    drop(remote);
    let state = service.facility().connector(&name("A")).expect("answered").expect("there").state;
    assert_eq!(state, ConnectorState::Active);
    assert!(service.facility().owner(list(), 1).is_ok());
}
