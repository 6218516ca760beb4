//! Lost data that a stack proves: granting stops, what is reported is adopted, an operator decides
//! (protocol.md R17, R19).

use super::{Host, QUARANTINE_MS, Rig, list, name, refusal, stack, tokens};
use portplex::disk::sim::SimDisk;
use portplex::facility::{Belief, CallError, Connection, Facility, Options, Position, Receipt};
use portplex::ident::{BootId, Lsn, PortMask, ProcessId, StoreUuid};
use portplex::structure::{Grant, PortOwner, Refusal, StopCause};
use std::sync::atomic::Ordering;

/// A store that forgot what it granted A last, and nothing of B.
struct Forgetful {
    rig: Rig,
    a: Host,
    b: Host,
    kept: Grant,
    lost: Grant,
    others: Grant,
}

/// By going back to what the disk was; the process started again in between, or not.
fn forgetful(in_another_history: bool) -> Forgetful {
    let mut rig = Rig::new();
    let (mut a, mut b) = (rig.host("A"), rig.host("B"));
    let (kept, others) = (a.acquire(), b.acquire());
    let image = rig.image();
    for _ in 0..if in_another_history { 3 } else { 0 } {
        rig.restart();
        a.attach(&rig).expect("attached");
    }
    let lost = a.acquire();
    rig.go_back_to(&image);
    b.attach(&rig).expect("B has seen nothing that is lost");
    Forgetful { rig, a, b, kept, lost, others }
}

#[test]
fn lost_data_stops_granting_adopts_what_is_reported_and_waits_for_an_operator() {
    for in_another_history in [false, true] {
        let Forgetful { mut rig, mut a, mut b, kept, lost, others } = forgetful(in_another_history);
        assert_eq!(rig.look(|structure| structure.stop()), None, "silent so far");
        let attached = a.attach(&rig).expect("attached");
        assert_eq!(attached.stopped, Some(StopCause::DataLost));
        assert_eq!(tokens(&attached.grants), [kept.lsn, lost.lsn], "under its own old token");
        let adopted = attached.grants.iter().find(|grant| grant.lsn == lost.lsn).expect("listed");
        assert_eq!((adopted.group, adopted.mask, adopted.number), (lost.group, lost.mask, 0));

        let stop = rig.status().stop.expect("it shows");
        assert_eq!((stop.cause, stop.adopted_ports), (StopCause::DataLost, 64));
        assert!(rig.has_alarm(&["data-lost", "A knows lsn"]), "{:?}", rig.status().alarms);
        let stopped = Refusal::GrantsStopped { cause: StopCause::DataLost };
        assert_eq!(refusal(a.try_acquire()), stopped);
        assert_eq!(refusal(b.connection.claim(b.member, 3_000)), stopped);

        // Everything else goes on.
        rig.door.define(super::second_list()).expect("defined");
        b.release(others).expect("released");
        rig.pass(QUARANTINE_MS);
        assert_eq!(rig.door.owner(list(), others.group.port_first()), Ok(PortOwner::Free));
        b.connection.renew(portplex::ident::BootMs(0)).expect("renewed");

        // It is in the log: a restart forgets nothing of it.
        rig.restart();
        assert_eq!(rig.status().stop.map(|stop| stop.cause), Some(StopCause::DataLost));
        a.attach(&rig).expect("attached");
        let by = name("OPERATOR");
        let pending = refusal(rig.door.resume_grants(&by, false));
        assert_eq!(pending, Refusal::AdoptedPending { ports: 64 });
        let missing = refusal(rig.door.resume_grants(&by, true));
        assert_eq!(missing, Refusal::NotAllAttached { name: name("B"), count: 1 }, "nobody knows what B lost");
        b.attach(&rig).expect("attached");
        let history = a.connection.history();
        let resumed = rig.door.resume_grants(&by, true).expect("resumed");
        assert!(resumed.lsn > lost.lsn && resumed.lsn.0 % (1 << 20) == 0, "{}", resumed.lsn);
        assert_ne!(resumed.history, history);
        assert_eq!(rig.status().stop, None);

        // Everybody attaches again, and nothing that was kept is touched.
        assert_eq!(refusal(a.try_acquire()), Refusal::MustAttach);
        assert_eq!(tokens(&a.attach(&rig).expect("attached").grants), [kept.lsn, lost.lsn]);
        assert!(b.attach(&rig).expect("attached").grants.is_empty());
        let next = b.acquire();
        assert!(next.lsn > lost.lsn);
        a.release(lost).expect("an adopted grant ends like any other");
        rig.restart();
        assert_eq!(tokens(&a.attach(&rig).expect("attached").grants), [kept.lsn]);
        assert_eq!(rig.status().stop, None, "positions of the new history are known");
    }
}

#[test]
fn nobody_elses_grants_are_touched_by_a_loss() {
    let Forgetful { rig, mut a, mut b, others, .. } = forgetful(true);
    a.attach(&rig).expect("attached");
    assert_eq!(tokens(&b.attach(&rig).expect("attached").grants), [others.lsn]);
}

#[test]
fn a_loss_is_noticed_whether_or_not_the_stack_itself_lost_anything() {
    let mut rig = Rig::new();
    let mut a = rig.host("A");
    let kept = a.acquire();
    let image = rig.image();
    let gone = a.acquire();
    a.release(gone).expect("released");
    rig.go_back_to(&image);
    let attached = a.attach(&rig).expect("attached");
    assert_eq!((tokens(&attached.grants), attached.stopped), (vec![kept.lsn], Some(StopCause::DataLost)));
    assert_eq!(rig.status().stop.expect("stopped").adopted_ports, 0);
    rig.door.resume_grants(&name("OPERATOR"), false).expect("nothing was adopted");
}

#[test]
fn what_a_stack_holds_under_a_boot_that_was_lost_too_is_adopted_and_the_old_boots_grants_end() {
    let Forgetful { rig, a, kept, lost, .. } = forgetful(true);
    a.connection.give_up();
    let mut rebooted = stack("A");
    (rebooted.identity.boot, rebooted.identity.process) = (BootId(8), ProcessId(2));
    let (_held, attached) = rig.attach(rebooted, &a.belief()).expect("attached");
    assert_eq!((tokens(&attached.grants), attached.stopped), (vec![lost.lsn], Some(StopCause::DataLost)));
    assert_eq!(attached.grants[0].number, 0, "adopted");
    let owner = rig.door.owner(list(), kept.group.port_first()).expect("answered");
    assert!(matches!(owner, PortOwner::Quarantined { .. }), "what the old boot held: {owner:?}");
}

#[test]
fn a_stack_of_another_boot_that_holds_nothing_is_asked_for_no_list() {
    let Forgetful { rig, a, lost, .. } = forgetful(true);
    a.connection.give_up();
    let mut rebooted = stack("A");
    (rebooted.identity.boot, rebooted.identity.process) = (BootId(8), ProcessId(2));
    let belief = Belief { grants: Vec::new(), ..a.belief() };
    let (_held, attached) = rig.attach(rebooted, &belief).expect("attached");
    assert_eq!((attached.grants.len(), attached.stopped), (0, Some(StopCause::DataLost)));
    assert_eq!(rig.door.pages.load(Ordering::Relaxed), 0, "its sockets are gone");
    assert_eq!(rig.door.owner(list(), lost.group.port_first()), Ok(PortOwner::Free));
}

#[test]
fn a_grant_that_ended_is_gone_also_while_others_are_adopted() {
    let Forgetful { rig, mut a, mut b, others, .. } = forgetful(true);
    b.release(others).expect("released");
    a.attach(&rig).expect("attached");
    b.grants.push(others);
    assert!(b.attach(&rig).expect("attached").grants.is_empty());
    assert_eq!(rig.status().stop.expect("stopped").adopted_ports, 64, "A's only");
}

#[test]
fn a_connector_that_was_lost_altogether_is_made_again_and_its_grants_adopted() {
    let mut rig = Rig::new();
    rig.host("B");
    let image = rig.image();
    let mut a = rig.host("A");
    let lost = a.acquire();
    rig.go_back_to(&image);
    a.connection.give_up();
    let (_kept, attached) = Connection::attach_or_connect(&rig.facility(), &stack("A"), &a.belief()).expect("attached");
    assert!(!attached.existed);
    assert_eq!((tokens(&attached.grants), attached.stopped), (vec![lost.lsn], Some(StopCause::DataLost)));
    assert_eq!(attached.memberships.len(), 1);
}

#[test]
fn a_bad_receipt_fences_only_that_stack_and_it_comes_back_without_a_position() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.host("A"), rig.host("B"));
    let grant = a.acquire();
    a.connection.give_up();
    let good = a.connection.position();
    let (far, receipt) = (Lsn(good.lsn.0 + 1_000), Receipt([0; 16]));
    let bad = [Position { lsn: far, ..good }, Position { receipt, ..good }, b.connection.position()];
    for position in bad {
        let belief = Belief { position: Some(position), ..a.belief() };
        assert_eq!(refusal(rig.attach(stack("A"), &belief)), Refusal::ReceiptBad, "{position:?}");
    }
    assert!(rig.has_alarm(&["A names lsn", "only A is fenced"]), "{:?}", rig.status().alarms);
    assert_eq!(rig.status().stop, None);
    b.acquire();
    let (_kept, attached) = rig.attach(stack("A"), &Belief::default()).expect("attached");
    assert_eq!(tokens(&attached.grants), [grant.lsn]);
}

#[test]
fn a_grant_that_was_never_given_needs_a_position_that_proves_it() {
    let rig = Rig::new();
    let mut a = rig.host("A");
    let mut grant = a.acquire();
    grant.lsn = Lsn(grant.lsn.0 + 1_000);
    a.connection.give_up();
    let belief = Belief { position: None, grants: vec![super::reported(&grant)] };
    assert_eq!(refusal(rig.attach(stack("A"), &belief)), Refusal::ReceiptBad);
    assert!(rig.has_alarm(&["A reports grant", "only A is fenced"]));
    assert_eq!(rig.status().stop, None);
}

#[test]
fn a_stack_of_another_store_is_refused_and_nothing_is_made_for_it() {
    let (rig, other) = (Rig::new(), Rig::new());
    let a = other.host("A");
    rig.host("B");
    let store = rig.status().store;
    assert_ne!(store, StoreUuid(0));
    assert_ne!(store, a.connection.store());
    let before = rig.lsn();
    let refused = Connection::attach_or_connect(&rig.facility(), &stack("A"), &a.belief()).map(drop);
    assert_eq!(refused, Err(CallError::Refused(Refusal::OtherStore { store })));
    assert_eq!(rig.lsn(), before);
    rig.host("A").connection.give_up();
    assert_eq!(refusal(rig.attach(stack("A"), &a.belief())), Refusal::OtherStore { store });
}

#[test]
fn of_two_that_hold_one_port_the_younger_grant_stays_with_an_alarm() {
    // B got the port that A lost: under a higher lsn, and under a lower one.
    for is_lower in [false, true] {
        let mut rig = Rig::new();
        let (mut a, b) = (rig.host("A"), rig.host("B"));
        drop(b);
        let image = rig.image();
        if is_lower {
            rig.restart();
            a.attach(&rig).expect("attached");
            for _ in 0..20 {
                a.attach(&rig).expect("attached");
            }
        }
        let lost = a.claim(5_000);
        rig.go_back_to(&image);
        let (connection, attached) = rig.attach(stack("B"), &Belief::default()).expect("attached");
        let mut b = Host { connection, member: attached.memberships[0].member, grants: Vec::new() };
        let others = b.claim(5_000);
        assert_eq!(others.lsn < lost.lsn, is_lower, "{} and {}", others.lsn, lost.lsn);
        let attached = a.attach(&rig).expect("attached");
        let owner = rig.door.owner(list(), 5_000).expect("answered");
        if is_lower {
            assert!(matches!(owner, PortOwner::Held { grant, .. } if grant == lost.lsn), "{owner:?}");
            assert!(rig.has_alarm(&["B lost 1 ports", "younger grant"]), "{:?}", rig.status().alarms);
            assert!(b.attach(&rig).expect("attached").grants.is_empty());
        } else {
            assert!(matches!(owner, PortOwner::Held { grant, .. } if grant == others.lsn), "{owner:?}");
            assert!(attached.grants.is_empty(), "A stops");
        }
    }
}

#[test]
fn more_grants_than_one_frame_takes_are_adopted_all_or_the_stack_comes_again() {
    let mut rig = Rig::with(Options::default());
    let mut a = rig.host("A");
    let image: SimDisk = rig.image();
    for port in 2_000..2_000 + 3_000 {
        a.claim(port);
    }
    let held = tokens(&a.grants);
    let segment = rig.status().frames;
    rig.go_back_to(&image);
    let attached = a.attach(&rig).expect("attached");
    assert_eq!(tokens(&attached.grants), held);
    assert_eq!(rig.status().stop.expect("stopped").adopted_ports, 3_000);
    assert!(segment > 3_000 && rig.status().frames > 1, "{} frames", rig.status().frames);
    assert!(attached.grants.iter().all(|grant| grant.mask.count() == 1 && grant.mask != PortMask::NONE));
}
