//! Backups, restored stores and copies (protocol.md R18, R20, R21).

use super::{Host, PROMISE_MS, QUARANTINE_MS, Rig, everything, list, name, refusal, second_list, stack, tokens};
use portplex::facility::Options;
use portplex::facility::{self, Adopt, Belief, CallError, Connection, Facility, LocalFacility, Machine, OpenError};
use portplex::ident::{Lsn, Transport};
use portplex::structure::{
    Actor, Body, Grant, Introduction, Policy, PortOwner, Refusal, Request, StopCause, Structure,
};
use portplex::wal::StoreError;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const STOPPED: Refusal = Refusal::GrantsStopped { cause: StopCause::Restored };
/// The longest promise with drift, and the longest quarantine.
const WINDOW_MS: u64 = PROMISE_MS + PROMISE_MS / 100 + QUARANTINE_MS;

/// Two stacks with a grant each and something in quarantine, in a store that was closed and put back
/// in another place. A then got one grant more from the original.
fn restored() -> (Rig, Host, Host) {
    let mut rig = Rig::new();
    let (mut a, mut b) = (rig.host("A"), rig.host("B"));
    let rest = a.acquire();
    a.acquire();
    b.acquire();
    a.release(rest).expect("released");
    rig.close();
    let to = PathBuf::from("/restored");
    let report = facility::restore(&rig.machine(), &rig.dir, &to, &rig.options).expect("restored");
    rig.open();
    assert!(report.lsn <= rig.lsn());
    a.attach(&rig).expect("attached");
    a.acquire();
    rig.close();
    rig.dir = to;
    rig.options.create = false;
    rig.open();
    (rig, a, b)
}

#[test]
fn a_restored_store_grants_nothing_before_its_window_every_stack_and_an_operator() {
    let (mut rig, mut a, mut b) = restored();
    let held = tokens(&a.grants);
    let by = name("OPERATOR");
    let attached = a.attach(&rig).expect("attached");
    assert_eq!((tokens(&attached.grants), attached.stopped), (held.clone(), Some(StopCause::Restored)));
    let stop = rig.status().stop.expect("it shows");
    assert_eq!((stop.cause, stop.adopted_ports, stop.left_ms), (StopCause::Restored, 64, WINDOW_MS));
    assert_eq!(stop.waiting_for, [name("B")]);

    assert_eq!(refusal(rig.door.resume_grants(&by, false)), Refusal::AdoptedPending { ports: 64 });
    rig.pass(WINDOW_MS - 1);
    a.attach(&rig).expect("attached");
    assert_eq!(refusal(rig.door.resume_grants(&by, true)), Refusal::TooEarly { left_ms: 1 });
    rig.pass(1);
    assert_eq!(refusal(rig.door.resume_grants(&by, true)), Refusal::NotAllAttached { name: name("B"), count: 1 });
    rig.restart();
    b.attach(&rig).expect("attached");
    assert_eq!(refusal(b.try_acquire()), STOPPED);
    rig.door.resume_grants(&by, true).expect("resumed");
    assert_eq!(rig.status().stop, None);
    assert_eq!(refusal(b.try_acquire()), Refusal::MustAttach);
    assert_eq!(tokens(&a.attach(&rig).expect("attached").grants), held);
    b.attach(&rig).expect("attached");
    let highest = held.last().copied().expect("held");
    assert!(b.acquire().lsn > highest && a.acquire().lsn > highest);
    rig.restart();
    assert_eq!(rig.status().stop, None);
}

#[test]
fn a_store_restored_from_a_restored_one_waits_anew_and_its_next_open_goes_on_waiting() {
    let (mut rig, mut a, mut b) = restored();
    a.attach(&rig).expect("attached");
    b.attach(&rig).expect("attached");
    rig.pass(WINDOW_MS);
    assert_eq!(rig.status().stop.map(|stop| stop.left_ms), Some(0));
    rig.close();
    let to = PathBuf::from("/again");
    facility::restore(&rig.machine(), &rig.dir, &to, &rig.options).expect("restored");
    rig.dir = to;
    rig.open();
    let stop = rig.status().stop.expect("stopped");
    assert_eq!((stop.left_ms, stop.waiting_for.len()), (WINDOW_MS, 2), "who attached to the one before does not count");
    rig.pass(1_000);
    rig.restart();
    assert_eq!(rig.status().stop.map(|stop| stop.left_ms), Some(WINDOW_MS - 1_000));
}

#[test]
fn a_stack_that_never_comes_to_a_restored_store_is_cleaned_up_by_word() {
    let (rig, mut a, b) = restored();
    let (by, incarnation) = (name("OPERATOR"), b.connection.actor().incarnation);
    a.attach(&rig).expect("attached");
    rig.pass(WINDOW_MS);
    // B's lease ran out meanwhile. No clean-up by deadline: it needs the statement.
    assert_eq!(refusal(rig.door.clean_up(&name("B"), incarnation, &by, false)), Refusal::BootMayBeAlive);
    rig.door.clean_up(&name("B"), incarnation, &by, true).expect("cleaned up");
    rig.door.resume_grants(&by, true).expect("resumed");
    a.attach(&rig).expect("attached");
    a.acquire();
}

#[test]
fn a_restored_store_serves_attach_and_nothing_else() {
    let (rig, mut a, b) = restored();
    let old = b.connection.actor();
    a.attach(&rig).expect("attached");
    let (actor, member, grant) = (a.connection.actor(), a.member, a.grants[0]);
    let ask = |actor: Actor, number, body| Request::Stack { actor, number, lowest: 1, body };
    let release = Body::Release { member, group: grant.group, grant: grant.lsn, mask: grant.mask };
    let bodies = [
        Body::Join { target: second_list() },
        Body::Leave { member },
        Body::Acquire { member, at_least: 1, at_most: 1 },
        Body::Claim { member, port: 3_000 },
        release,
        Body::SetAllowable { transport: Transport::Tcp, ports: everything() },
        Body::Disconnect,
    ];
    let mut refused: Vec<Request> = bodies.into_iter().map(|body| ask(actor, 1, body)).collect();
    // Nothing is answered from the table of requests that was restored.
    let repeated = ask(old, 1, Body::SetAllowable { transport: Transport::Tcp, ports: everything() });
    assert_eq!(refusal(rig.door.call(repeated)), Refusal::MustAttach);
    refused.extend([
        Request::Define { target: second_list() },
        Request::Delete { target: list() },
        Request::SetPolicy { target: list(), policy: Policy::default() },
        Request::SetRange { transport: Transport::Tcp, range: None },
    ]);
    for request in refused {
        let before = rig.lsn();
        let answer = refusal(rig.door.call(request.clone()));
        assert_eq!(answer, STOPPED, "{request:?}");
        assert_eq!(rig.lsn(), before, "{request:?}");
    }
    let quarantined = rig.look(|structure| structure.lists().map(|list| list.quarantined_ports).sum::<u32>());
    assert!(quarantined > 0);
    rig.pass(WINDOW_MS);
    rig.door.call(Request::EndQuarantine { list: 0 }).expect("without effect");
    let later = rig.look(|structure| structure.lists().map(|list| list.quarantined_ports).sum::<u32>());
    assert_eq!(later, quarantined, "no quarantine ends");
    Connection::connect(rig.facility(), stack("C")).expect("connects");
    rig.door
        .mark_failed(
            &name("C"),
            rig.door.connector(&name("C")).unwrap_or_default().expect("known").actor.incarnation,
            &name("OPERATOR"),
        )
        .expect("failed");
}

#[test]
fn a_store_put_back_by_other_means_is_refused_until_somebody_says_what_happened() {
    let verdicts = [(Adopt::Moved, None), (Adopt::Restored, Some(StopCause::Restored)), (Adopt::Copy, None)];
    for (how, stopped) in verdicts {
        let rig = Rig::new();
        let mut a = rig.host("A");
        a.acquire();
        rig.door.define(second_list()).expect("defined");
        rig.door.set_policy(second_list(), Policy { quota: 64, ..Policy::default() }).expect("set");
        let store = rig.status().store;
        rig.close();
        assert!(rig.disk.change_inode(&rig.dir.join("LOCK")));
        let error = LocalFacility::open_on(&rig.machine(), &rig.dir, &rig.options).expect_err("copied");
        assert!(matches!(error, OpenError::Store(StoreError::StoreCopied { .. })), "{error}");
        facility::adopt(&rig.machine(), &rig.dir, how).expect("adopted");
        rig.open();
        assert_eq!(rig.status().stop.map(|stop| stop.cause), stopped, "{how:?}");
        assert_eq!(rig.status().store == store, how != Adopt::Copy, "{how:?}");
        let is_known = rig.door.connector(&name("A")).expect("answered").is_some();
        assert_eq!(is_known, how != Adopt::Copy, "{how:?}");
        let kept =
            rig.look(|structure| structure.lists().find(|kept| kept.target == second_list()).map(|kept| kept.policy));
        assert_eq!(kept, Some(Policy { quota: 64, ..Policy::default() }), "{how:?}");
        if how == Adopt::Copy {
            let refused = Connection::attach_or_connect(&rig.facility(), &stack("A"), &a.belief()).map(drop);
            let store = rig.status().store;
            assert_eq!(refused, Err(CallError::Refused(Refusal::OtherStore { store })));
            let mut fresh = rig.host("C");
            fresh.acquire();
        }
    }
}

#[test]
fn a_network_file_system_is_refused_unless_forced() {
    let rig = Rig::new();
    rig.close();
    rig.disk.set_file_system(0x6969);
    let error = LocalFacility::open_on(&rig.machine(), &rig.dir, &rig.options).expect_err("refused");
    assert!(matches!(error, OpenError::NetworkFileSystem { name: "nfs", .. }), "{error}");
    let options = Options { allow_network: true, ..rig.options.clone() };
    let facility = LocalFacility::open_on(&rig.machine(), &rig.dir, &options).expect("forced");
    assert!(facility.status().expect("answered").file_system.starts_with("nfs: "));
}

/// A stack that takes and gives back until it is told to stop, and what it then believes.
fn work(facility: &Arc<LocalFacility>, text: &str, stop: &AtomicBool) -> Host {
    let mut introduction = stack(text);
    introduction.promise_ms = 0;
    let mut host = Host::on(facility.connect(introduction).expect("connects"));
    while !stop.load(Ordering::Relaxed) {
        if host.grants.len() < 40 {
            // A full list is no fault here.
            let _ = host.try_acquire();
        } else {
            let grant = host.grants[0];
            host.release(grant).expect("released");
        }
    }
    host
}

fn state_of(facility: &LocalFacility) -> Structure {
    Structure::import(facility.list().expect("listed").into_iter()).expect("the items make a structure")
}

#[test]
fn a_backup_under_load_is_put_back_and_what_it_lost_is_told_and_nothing_is_double() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let quarantine = Duration::from_millis(50);
    let options = Options { create: true, segment_size: 256 << 10, quarantine, ..Options::default() };
    let facility = Arc::new(LocalFacility::open(at("store"), &options).expect("the store opens"));
    let stop = AtomicBool::new(false);
    let names = ["A", "B", "C"];
    let (mut hosts, report) = std::thread::scope(|scope| {
        let threads: Vec<_> = names.iter().map(|text| scope.spawn(|| work(&facility, text, &stop))).collect();
        while facility.status().expect("answered").grants < 200 {
            std::thread::yield_now();
        }
        facility.checkpoint_now().expect("a checkpoint");
        let report = facility.backup(at("backup")).expect("backed up");
        let copied = facility.status().expect("answered").grants;
        while facility.status().expect("answered").grants < copied + 200 {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        (threads.into_iter().map(|thread| thread.join().expect("worked")).collect::<Vec<Host>>(), report)
    });
    let beliefs: Vec<Belief> = hosts.iter().map(Host::belief).collect();
    hosts.drain(..).for_each(drop);
    drop(facility);
    assert!(report.lsn > Lsn::ZERO);
    let refused = LocalFacility::open(at("backup"), &options).expect_err("a backup is not served");
    assert!(matches!(refused, OpenError::Store(StoreError::StoreCopied { .. })), "{refused}");

    let again = facility::restore(&Machine::real(), &at("backup"), &at("again"), &options).expect("restored");
    assert_eq!((again.lsn, again.content), (report.lsn, report.content));
    let facility = Arc::new(LocalFacility::open(at("again"), &options).expect("the store opens"));
    let attach = |text: &str, belief: &Belief, stopped: Option<StopCause>| {
        let introduction = Introduction { promise_ms: 0, ..stack(text) };
        let attach = Connection::attach(Arc::clone(&facility) as Arc<dyn Facility>, introduction, belief);
        let (connection, attached) = attach.expect("attached");
        assert_eq!(attached.stopped, stopped);
        let listed: BTreeSet<_> = attached.grants.iter().map(|grant| (grant.lsn, grant.mask)).collect();
        // What a stack lived on is still its own: nobody else got it meanwhile.
        for grant in &belief.grants {
            assert!(listed.contains(&(grant.lsn, grant.mask)), "{text} lost {grant:?}, backup to {}", report.lsn);
        }
        (connection, attached.grants)
    };
    // The first to come is told what the backup has for it; a later one may prove that it is its own by now.
    for (text, belief) in names.iter().zip(&beliefs) {
        attach(text, belief, Some(StopCause::Restored));
    }
    let check = |grants: &[Grant], used: &mut BTreeSet<u16>| {
        for (grant, port) in
            grants.iter().flat_map(|grant| grant.mask.ports(grant.group).map(move |port| (grant, port)))
        {
            assert!(used.insert(port), "port {port} twice");
            let owner = facility.owner(list(), port).expect("answered");
            assert!(matches!(owner, PortOwner::Held { grant: held, .. } if held == grant.lsn), "{owner:?}");
        }
    };
    let (mut used, mut adopted, mut beliefs_after) = (BTreeSet::new(), 0, Vec::new());
    for (text, belief) in names.iter().zip(&beliefs) {
        let (connection, grants) = attach(text, belief, Some(StopCause::Restored));
        adopted += grants.iter().filter(|grant| grant.number == 0).count();
        check(&grants, &mut used);
        // Only what log and stack both name is used.
        beliefs_after.push(Belief { position: Some(connection.position()), grants: belief.grants.clone() });
    }
    assert!(adopted > 0, "the loss is told");
    state_of(&facility).audit().expect("every invariant holds");
    let by = name("OPERATOR");
    while let Err(error) = facility.resume_grants(&by, true) {
        let Refusal::TooEarly { left_ms } = refusal::<()>(Err(error)) else { panic!("only the window is in the way") };
        std::thread::sleep(Duration::from_millis(left_ms));
    }
    assert_eq!(facility.status().expect("answered").stop, None);
    let mut used = BTreeSet::new();
    for (text, belief) in names.iter().zip(&beliefs_after) {
        let (_connection, grants) = attach(text, belief, None);
        check(&grants, &mut used);
    }
    assert!(Path::new(&at("backup")).join("MANIFEST").exists());
}
