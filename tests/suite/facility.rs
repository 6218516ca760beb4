//! The embedded facility through its public door, on real directories.

use portplex::facility::{
    CallError, Connection, Facility, LocalFacility, Machine, OpenError, Options, WATCH_EVENTS_MAX, Watch,
};
use portplex::ident::{BootId, ConnectorName, GroupNumber, Identity, MachineId, PortMask, PortSet, ProcessId};
use portplex::ident::{StructureName, Target, Transport};
use portplex::record;
use portplex::structure::{
    ConnectorState, Introduction, Item, Member, Policy, PortOwner, PortRange, Refusal, Structure,
};
use portplex::wal::StoreError;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

fn options() -> Options {
    let quarantine = Duration::from_millis(50);
    Options { create: true, segment_size: 64 << 10, quarantine, seed: Some(7), ..Options::default() }
}

fn open(dir: &Path) -> Arc<LocalFacility> {
    Arc::new(LocalFacility::open(dir, &options()).expect("the store opens"))
}

fn close(facility: Arc<LocalFacility>) {
    Arc::into_inner(facility).expect("nobody else has it").close().expect("closes");
}

fn list() -> Target {
    Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp)
}

fn stack(name: &str, machine: u128, boot: u128, promise_ms: u64) -> Introduction {
    let identity = Identity { machine: MachineId(machine), boot: BootId(boot), process: ProcessId(1) };
    let name = ConnectorName::new(name).expect("a name");
    Introduction { name, identity, promise_ms, enforced: false }
}

fn everything() -> PortSet {
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 65_535);
    ports
}

fn joined(facility: &Arc<LocalFacility>, stack: Introduction) -> (Connection, Member) {
    let connection = facility.connect(stack).expect("connects");
    connection.set_allowable(Transport::Tcp, everything()).expect("sets");
    let member = connection.join(list()).expect("joins").value.member;
    (connection, member)
}

fn state_of(facility: &LocalFacility) -> Structure {
    Structure::import(facility.list().expect("lists").into_iter()).expect("the items make a structure")
}

fn refusal<T: std::fmt::Debug>(result: Result<T, CallError>) -> Refusal {
    match result {
        Err(CallError::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash_and_after_a_close() {
    let dir = tempfile::tempdir().expect("a directory");
    let facility = open(dir.path());
    let (connection, member) = joined(&facility, stack("A", 1, 1, 0));
    let grant = connection.acquire(member, 1, 1).expect("granted").value[0];
    drop(connection);
    drop(facility);
    for round in 0..4 {
        let facility = open(dir.path());
        let (connection, attached) = facility.attach(stack("A", 1, 1, 0)).expect("attaches");
        assert_eq!(attached.grants.len(), 1, "round {round}");
        assert_eq!((attached.grants[0].lsn, attached.grants[0].mask), (grant.lsn, grant.mask));
        let owner = facility.owner(list(), grant.group.port_first()).expect("answered");
        assert!(matches!(owner, PortOwner::Held { grant: held, .. } if held == grant.lsn));
        drop(connection);
        if round % 2 == 0 { close(facility) } else { drop(facility) }
    }
}

#[test]
fn after_an_open_a_stack_attaches_first_and_the_old_handle_is_fenced() {
    let dir = tempfile::tempdir().expect("a directory");
    let facility = open(dir.path());
    let (old, member) = joined(&facility, stack("A", 1, 1, 0));
    let (actor, grant) = (old.actor(), old.acquire(member, 1, 1).expect("granted").value[0]);
    let release = |facility: &LocalFacility| {
        facility.call(portplex::structure::Request::Stack {
            actor,
            number: 9,
            lowest: 9,
            body: portplex::structure::Body::Release { member, group: grant.group, grant: grant.lsn, mask: grant.mask },
        })
    };
    drop(old);
    drop(facility);
    let facility = open(dir.path());
    assert_eq!(refusal(release(&facility)), Refusal::MustAttach, "not attached in this open");
    let (new, _) = facility.attach(stack("A", 1, 1, 0)).expect("attaches");
    assert!(matches!(refusal(release(&facility)), Refusal::StaleIncarnation { .. }));
    new.release(member, grant.group, grant.lsn, grant.mask).expect("the new incarnation may");
}

#[test]
fn one_process_has_a_store_whatever_path_it_takes() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    std::fs::create_dir(&store).expect("made");
    let first = open(&store);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&store, &link).expect("linked");
    for path in [&store, &link, &store.join("../store/.")] {
        let error = LocalFacility::open(path, &options()).expect_err("locked");
        assert!(matches!(error, OpenError::Store(StoreError::Locked { .. })), "{error}");
    }
    drop(first);
    drop(LocalFacility::open(&link, &options()).expect("free again"));
}

#[test]
fn no_store_is_made_in_silence_and_another_structure_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let careful = Options { create: false, ..options() };
    let error = LocalFacility::open(dir.path(), &careful).expect_err("no store");
    assert!(matches!(error, OpenError::Store(StoreError::NotAStore { .. })), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0, "nothing was made");
    close(open(dir.path()));
    let structure = Some(StructureName::new(None, Some(7)).expect("a name"));
    let error = LocalFacility::open(dir.path(), &Options { structure, ..options() }).expect_err("another one");
    assert!(matches!(error, OpenError::Store(StoreError::OtherStructure { .. })), "{error}");
}

#[test]
fn a_silent_stack_becomes_failed_persistent_and_keeps_its_ports() {
    let dir = tempfile::tempdir().expect("a directory");
    let facility = open(dir.path());
    let (silent, member) = joined(&facility, stack("SILENT", 1, 1, 100));
    let (renewing, _) = joined(&facility, stack("RENEWING", 2, 1, 100));
    silent.acquire(member, 1, 1).expect("granted");
    let name = silent.introduction().name.clone();
    let mut watch = facility.watch().expect("watches");
    loop {
        renewing.renew(portplex::ident::BootMs(0)).expect("renewed");
        let event = watch.next(Duration::from_millis(20)).expect("watched");
        if event.is_some_and(|(_, event)| matches!(event.change, portplex::structure::Change::Failed { .. })) {
            break;
        }
    }
    let status = facility.connector(&name).expect("answered").expect("known");
    assert_eq!((status.state, status.held_ports), (ConnectorState::FailedPersistent, 64));
    assert_eq!(refusal(silent.acquire(member, 1, 1)), Refusal::MustAttach);
    let other = &renewing.introduction().name;
    let status = facility.connector(other).expect("answered").expect("known");
    assert_eq!(status.state, ConnectorState::Active, "a renewed lease runs on");

    // R3, R8: the deadline passed, and nothing enforced it: the statement is needed. Another incarnation
    // is refused.
    let by = ConnectorName::new("OPERATOR").expect("a name");
    let stale = portplex::ident::Incarnation(1);
    assert!(matches!(refusal(facility.clean_up(&name, stale, &by, true)), Refusal::StaleIncarnation { .. }));
    let incarnation = silent.actor().incarnation;
    assert_eq!(refusal(facility.clean_up(&name, incarnation, &by, false)), Refusal::BootMayBeAlive);
    facility.clean_up(&name, incarnation, &by, true).expect("cleaned up");
    assert_eq!(facility.connector(&name).expect("answered"), None, "forgotten entirely");
}

#[test]
fn released_ports_rest_and_then_all_is_free() {
    let dir = tempfile::tempdir().expect("a directory");
    let facility = open(dir.path());
    let (connection, member) = joined(&facility, stack("A", 1, 1, 0));
    let mut watch = facility.watch().expect("watches");
    let grants = connection.acquire(member, 3, 3).expect("granted").value;
    let part = PortMask(0xff);
    connection.release(member, grants[0].group, grants[0].lsn, part).expect("a part");
    connection.release(member, grants[1].group, grants[1].lsn, PortMask::ALL).expect("the whole");
    let last = connection.disconnect().expect("disconnects").lsn;
    let port = grants[0].group.port_first();
    assert!(matches!(facility.owner(list(), port).expect("answered"), PortOwner::Quarantined { .. }));
    loop {
        let (_, event) = watch.next(SOON).expect("watched").expect("in time");
        if matches!(event.change, portplex::structure::Change::Ready { up_to, .. } if up_to == last) {
            break;
        }
    }
    assert_eq!(facility.list().expect("lists").len(), 1, "only the head is left: nothing leaks");
}

#[test]
fn a_watcher_sees_a_snapshot_and_then_every_event_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let facility = open(dir.path());
    let (connection, member) = joined(&facility, stack("A", 1, 1, 0));
    for _ in 0..10 {
        connection.acquire(member, 1, 2).expect("granted");
    }
    let mut watch = facility.watch().expect("watches");
    let mut replica = watch.snapshot().expect("a snapshot first");
    assert!(replica == state_of(&facility), "the snapshot is the state");
    let resume_from = replica.lsn();
    let mut last = resume_from;
    for _ in 0..20 {
        last = connection.acquire(member, 1, 1).expect("granted").lsn;
    }
    follow(&mut watch, &mut replica, last);
    assert!(replica == state_of(&facility), "snapshot and events make the state");
    let mut resumed = facility.watch_from(resume_from).expect("resumes");
    assert!(resumed.snapshot().is_none());
    let first = resumed.next(SOON).expect("watched").expect("in time").0;
    assert!(first > resume_from && resumed.last() == first);
    while resumed.last() < last {
        assert!(resumed.next(SOON).expect("watched").is_some());
    }
    drop(connection);
    drop((watch, facility));
    let closed = resumed.next(SOON);
    assert!(closed.is_err(), "the facility closed: {closed:?}");
}

fn follow(watch: &mut Watch, replica: &mut Structure, last: portplex::ident::Lsn) {
    while watch.last() < last {
        let (lsn, event) = watch.next(SOON).expect("watched").expect("in time");
        replica.fits(lsn, &event).expect("events come in order");
        replica.apply(lsn, portplex::ident::BootMs(0), &event);
    }
}

#[test]
fn a_watcher_that_falls_behind_is_told_where_to_resume() {
    let dir = tempfile::tempdir().expect("a directory");
    let facility = open(dir.path());
    let (connection, member) = joined(&facility, stack("A", 1, 1, 0));
    let mut watch = facility.watch().expect("watches");
    let before = watch.last();
    let mut lsn = before;
    while lsn.0 < before.0 + WATCH_EVENTS_MAX as u64 + 10 {
        let grants = connection.acquire(member, 1, 512).expect("granted").value;
        let pending: Vec<_> =
            grants.iter().map(|grant| connection.submit_release(member, grant.group, grant.lsn, grant.mask)).collect();
        for release in pending {
            lsn = release.wait().expect("released").lsn;
        }
    }
    let lagged = watch.next(SOON).expect_err("far behind");
    assert!(lagged.to_string().contains(&format!("resume from lsn {before}")), "{lagged}");
    let mut resumed = facility.watch_from(before).expect("the log has it");
    assert!(resumed.next(SOON).expect("watched").is_some());
}

#[test]
fn thousands_in_flight_from_one_thread_share_syncs() {
    let dir = tempfile::tempdir().expect("a directory");
    let facility = open(dir.path());
    let (connection, member) = joined(&facility, stack("A", 1, 1, 0));
    let pending: Vec<_> = (0..4_000).map(|place| connection.submit_claim(member, 2_000 + place)).collect();
    for claim in pending {
        let grant = claim.wait().expect("claimed").value[0];
        assert_eq!(grant.mask.count(), 1);
    }
    let status = facility.status().expect("answered");
    assert_eq!(status.grants, 4_000);
    assert!(status.frames < 2_000, "{} frames for 4,000 grants", status.frames);
}

#[test]
fn a_full_queue_says_overloaded_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { queue_length: 0, ..options() };
    let facility = Arc::new(LocalFacility::open(dir.path(), &options).expect("opens"));
    assert_eq!(refusal(facility.connect(stack("A", 1, 1, 0))), Refusal::Overloaded);
}

#[test]
fn a_checkpoint_and_the_log_after_it_are_the_same_state() {
    let dir = tempfile::tempdir().expect("a directory");
    let facility = open(dir.path());
    let (connection, member) = joined(&facility, stack("A", 1, 1, 0));
    let policy = Policy { quota: 60_000, reserve: 3, quarantine_ms: 5_000, clean_up_ms: 0 };
    facility.set_policy(list(), policy).expect("set");
    facility.set_range(Transport::Tcp, Some(PortRange { first: 5_000, count: 100 })).expect("set");
    for round in 0..3 {
        for _ in 0..40 {
            connection.acquire(member, 1, 3).expect("granted");
        }
        let lsn = facility.checkpoint_now().expect("made");
        assert_eq!(lsn, state_of(&facility).lsn(), "round {round}: everything durable is in it");
    }
    connection
        .claim(member, 40_001)
        .or_else(|error| match error {
            CallError::Refused(Refusal::PortHeld { .. }) => connection.claim(member, 1_025),
            other => Err(other),
        })
        .expect("claimed");
    let (items, digest) = (facility.list().expect("lists"), record::digest(state_of(&facility).items()));
    drop(connection);
    drop(facility);
    let facility = open(dir.path());
    assert!(facility.recovery().checkpoint_lsn.0 > 0, "it started from a checkpoint");
    assert_eq!(facility.list().expect("lists"), items);
    assert_eq!(record::digest(state_of(&facility).items()), digest);
    assert!(items.iter().any(|item| matches!(item, Item::Range { .. })));
}

#[test]
fn subplexes_never_share_a_port_space() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut groups = Vec::new();
    for tcp_group in [7, 8] {
        let structure = Some(StructureName::new(Some(2), Some(tcp_group)).expect("a name"));
        let store = dir.path().join(tcp_group.to_string());
        let facility = LocalFacility::open(&store, &Options { structure, ..options() }).expect("opens");
        let facility = Arc::new(facility);
        let (connection, member) = joined(&facility, stack("A", 1, 1, 0));
        let grants = connection.acquire(member, 900, 1_000).expect("all of it").value;
        groups.push(grants.iter().map(|grant| grant.group).collect::<Vec<GroupNumber>>());
        assert_eq!(facility.status().expect("answered").structure, format!("EZBEPORT02{tcp_group:02}"));
    }
    assert_eq!(groups[0].len(), groups[1].len(), "each has the whole port space");
}

#[test]
fn a_crash_loop_without_records_leaves_one_history_and_lets_quarantine_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let facility = open(dir.path());
    let (connection, member) = joined(&facility, stack("A", 1, 1, 0));
    let grant = connection.acquire(member, 1, 1).expect("granted").value[0];
    connection.release(member, grant.group, grant.lsn, grant.mask).expect("released");
    drop(connection);
    drop(facility);
    // Long quarantine from here on, so that the loop itself writes no record.
    let patient = Options { quarantine: Duration::from_secs(3_600), ..options() };
    for _ in 0..30 {
        drop(LocalFacility::open(dir.path(), &patient).expect("opens"));
    }
    let manifest = portplex::facility::inspect(&Machine::real(), dir.path()).expect("reads").manifest;
    assert_eq!(manifest.histories.len(), 2, "the one with records, and the latest");
    assert_eq!(manifest.epoch, 31);
    // 50 ms after the first open of the loop the ports are due, however often it was opened since.
    let facility = open(dir.path());
    let mut watch = facility.watch().expect("watches");
    let is_free = |facility: &LocalFacility| {
        facility.owner(list(), grant.group.port_first()).expect("answered") == PortOwner::Free
    };
    while !is_free(&facility) {
        watch.next(SOON).expect("watched");
    }
}
