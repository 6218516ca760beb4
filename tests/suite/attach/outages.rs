//! After the power failed, and the last frame is not proven: grants wait until the stacks are back.

use super::{Host, PROMISE_MS, Rig, list, name, refusal, second_list, tokens};
use portplex::disk::sim::Loss;
use portplex::facility::{AfterPowerLoss, Facility, Options, SetClock, Stepper};
use portplex::ident::BootId;
use portplex::structure::{Change, Grant, Refusal, StopCause};
use std::sync::Arc;

const STOPPED: Refusal = Refusal::GrantsStopped { cause: StopCause::PowerLoss };
/// The longest promise with the allowance for drift.
const LEASE_MS: u64 = PROMISE_MS + PROMISE_MS / 100;

/// Two stacks, a grant each, and the power failed.
fn after_a_power_loss() -> (Rig, Host, Host) {
    let mut rig = Rig::new();
    let (mut a, mut b) = (rig.host("A"), rig.host("B"));
    a.acquire();
    b.acquire();
    rig.lose_power();
    (rig, a, b)
}

fn is_stopped(rig: &Rig) -> bool {
    rig.status().stop.is_some()
}

#[test]
fn grants_wait_for_every_stack_and_everything_else_goes_on() {
    let (rig, mut a, mut b) = after_a_power_loss();
    let stop = rig.status().stop.expect("it shows");
    assert_eq!((stop.cause, stop.waiting_for), (StopCause::PowerLoss, vec![name("A"), name("B")]));
    assert!(rig.has_alarm(&["nothing is granted", "power-loss"]));

    let attached = a.attach(&rig).expect("attached");
    assert_eq!(attached.stopped, Some(StopCause::PowerLoss));
    assert_eq!(refusal(a.try_acquire()), STOPPED);
    assert_eq!(refusal(a.connection.claim(a.member, 3_000)), STOPPED);
    a.release(a.grants[0]).expect("released");
    rig.door.define(second_list()).expect("defined");
    rig.door.delete(second_list()).expect("deleted");
    rig.door.owner(list(), 3_000).expect("answered");
    rig.door.mark_failed(&name("B"), b.connection.actor().incarnation, &name("OPERATOR")).expect("failed");
    assert!(!b.attach(&rig).expect("attached").grants.is_empty());

    assert_eq!(refusal(b.try_acquire()), STOPPED, "all are back, and 5 s are not over");
    rig.pass(4_999);
    assert_eq!(refusal(b.try_acquire()), STOPPED);
    rig.pass(1);
    b.acquire();
    a.acquire();
    assert!(rig.has_alarm(&["the wait after the power loss is over"]));
}

#[test]
fn a_stack_that_does_not_come_back_is_waited_for_at_most_a_lease() {
    let (rig, mut a, _b) = after_a_power_loss();
    a.attach(&rig).expect("attached");
    for _ in 0..LEASE_MS / 100 - 1 {
        rig.pass(100);
        a.connection.renew(portplex::ident::BootMs(0)).expect("renewed");
        assert!(is_stopped(&rig));
    }
    assert_eq!(rig.status().stop.expect("stopped").waiting_for, [name("B")]);
    rig.pass(100);
    a.acquire();
}

#[test]
fn the_last_stack_to_attach_ends_the_wait_at_once() {
    let (rig, mut a, mut b) = after_a_power_loss();
    a.attach(&rig).expect("attached");
    rig.pass(6_000);
    assert!(is_stopped(&rig));
    b.attach(&rig).expect("attached");
    assert!(!is_stopped(&rig));
}

#[test]
fn the_facility_looks_again_when_it_is_time_without_being_asked() {
    let (rig, mut a, mut b) = after_a_power_loss();
    a.attach(&rig).expect("attached");
    b.attach(&rig).expect("attached");
    let due = rig.with_stepper(|stepper| stepper.next_due()).expect("it wants a turn");
    assert_eq!(due.0, 1_000 + 5_000);
    rig.pass(5_000);
    assert!(!is_stopped(&rig));
}

#[test]
fn the_wait_survives_another_crash_and_counts_on_under_the_same_boot() {
    let (mut rig, mut a, mut b) = after_a_power_loss();
    a.attach(&rig).expect("attached");
    rig.pass(3_000);
    rig.restart();
    assert_eq!(rig.status().stop.map(|stop| stop.cause), Some(StopCause::PowerLoss));
    a.attach(&rig).expect("attached");
    b.attach(&rig).expect("attached");
    rig.pass(1_900);
    assert!(is_stopped(&rig));
    rig.pass(100);
    assert!(!is_stopped(&rig));
    // And nothing comes back with the next start.
    rig.restart();
    assert!(!is_stopped(&rig));
    a.attach(&rig).expect("attached");
    rig.lose_power();
    assert!(is_stopped(&rig), "the next power loss is another one");
}

#[test]
fn serve_does_not_wait_and_ends_a_wait_that_is_under_way() {
    let mut rig = Rig::with(Options { after_power_loss: AfterPowerLoss::Serve, ..Options::default() });
    let mut a = rig.host("A");
    a.acquire();
    rig.lose_power();
    assert!(!is_stopped(&rig));
    a.attach(&rig).expect("attached");
    a.acquire();

    rig.options.after_power_loss = AfterPowerLoss::Wait;
    rig.lose_power();
    assert!(is_stopped(&rig));
    rig.options.after_power_loss = AfterPowerLoss::Serve;
    rig.restart();
    a.attach(&rig).expect("attached");
    a.acquire();
    rig.options.after_power_loss = AfterPowerLoss::Wait;
    rig.restart();
    assert!(!is_stopped(&rig));
}

#[test]
fn nobody_waits_where_nothing_can_have_been_lost() {
    let cases: [(&str, fn(&mut Rig)); 4] = [
        ("only the process was killed", Rig::restart),
        ("it was closed", |rig| {
            rig.close();
            rig.open();
            rig.close();
            rig.lose_power();
        }),
        ("the last frame is proven", |rig| {
            rig.with_stepper(|stepper| stepper.sync_watermark().expect("synced"));
            rig.lose_power();
        }),
        ("no stack is active", |rig| {
            let incarnation = rig.door.connector(&name("A")).expect("answered").expect("known").actor.incarnation;
            rig.door.mark_failed(&name("A"), incarnation, &name("OPERATOR")).expect("failed");
            rig.lose_power();
        }),
    ];
    for (case, happen) in cases {
        let mut rig = Rig::new();
        rig.host("A").acquire();
        happen(&mut rig);
        assert!(!is_stopped(&rig), "{case}");
    }
}

#[test]
fn an_operator_may_end_the_wait() {
    let (mut rig, mut a, _b) = after_a_power_loss();
    a.attach(&rig).expect("attached");
    rig.door.resume_grants(&name("OPERATOR"), false).expect("resumed");
    a.acquire();
    rig.restart();
    assert!(!is_stopped(&rig));
}

#[test]
fn a_frame_that_was_acknowledged_and_lost_stops_granting_for_good_when_its_stack_is_back() {
    let mut rig = Rig::new();
    let mut a = rig.host("A");
    let kept = a.acquire();
    rig.disk.set_lying(true);
    let lost: Vec<Grant> = (0..3).map(|_| a.acquire()).collect();
    rig.lose_power();
    let attached = a.attach(&rig).expect("attached");
    assert_eq!(attached.stopped, Some(StopCause::DataLost), "graver than the wait");
    assert_eq!(tokens(&attached.grants), tokens(&[&[kept], &lost[..]].concat()));
    rig.pass(LEASE_MS);
    assert_eq!(rig.status().stop.expect("stopped").cause, StopCause::DataLost);
    rig.door.resume_grants(&name("OPERATOR"), true).expect("resumed");
    rig.restart();
    assert!(!is_stopped(&rig), "the mark of the power loss is gone too");
    a.attach(&rig).expect("attached");
    a.acquire();
}

#[test]
fn a_crash_anywhere_in_the_open_after_a_power_loss_leaves_granting_stopped() {
    let mut crashes = 0;
    for kept in [Loss::Everything, Loss::Nothing] {
        for change in 0.. {
            let mut rig = Rig::new();
            rig.host("A").acquire();
            let image = rig.disk.after_power_cut(&Loss::Everything);
            rig.disk = image;
            rig.disk.cut_at(change);
            rig.clock = Arc::new(SetClock::new(BootId(2), 1_000));
            drop(rig.door.stepper.lock().take());
            let opened = Stepper::open(&rig.machine(), &rig.dir, &rig.options).is_ok();
            rig.disk = rig.disk.after_power_cut(&kept);
            rig.clock = Arc::new(SetClock::new(BootId(3), 1_000));
            rig.open();
            assert!(is_stopped(&rig), "cut at change {change}, {kept:?}");
            if opened {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes > 10, "{crashes}");
}

#[test]
fn every_stop_and_its_end_are_events_of_the_log() {
    let (rig, mut a, mut b) = after_a_power_loss();
    a.attach(&rig).expect("attached");
    b.attach(&rig).expect("attached");
    rig.pass(5_000);
    let changes = super::changes(&rig);
    let stopped = |change: &Change| matches!(change, Change::Stopped { cause: StopCause::PowerLoss, .. });
    assert_eq!(changes.iter().filter(|change| stopped(change)).count(), 1);
    assert_eq!(changes.iter().filter(|change| matches!(change, Change::Resumed { by: None })).count(), 1);
}
