//! Quarantine: when it begins, whom it holds off, when it ends (protocol.md R22).
#![forbid(unsafe_code)]

use super::*;

fn due(rig: &Rig, target: Target) -> Due {
    rig.structure.quarantine_due(rig.structure.list_by_target(target).unwrap(), &rig.context)
}

#[test]
fn released_ports_are_free_only_after_the_whole_time() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let grant = rig.claim(a, 5_000).unwrap();
    assert_eq!(due(&rig, list(1)), Due::None);
    rig.release(a, grant, grant.mask).unwrap();
    let since = rig.structure.lsn();
    assert_eq!(due(&rig, list(1)), Due::At(rig.context.now.plus(120_000)));
    rig.wait(119_999);
    rig.end_quarantine(list(1));
    assert!(rig.events.is_empty());
    assert_eq!(rig.claim(b, 5_000), Err(Refusal::PortQuarantined { port: 5_000, since }));
    rig.wait(1);
    assert_eq!(due(&rig, list(1)), Due::Now(since));
    rig.end_quarantine(list(1));
    assert!(rig.claim(b, 5_000).is_ok());
}

#[test]
fn one_event_ends_all_that_is_due_and_nothing_more() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let grants = rig.acquire(stack, 3, 3).unwrap();
    for grant in &grants {
        rig.wait(1_000);
        rig.release(stack, *grant, grant.mask).unwrap();
    }
    let last_due = Lsn(rig.structure.lsn().0 - 1);
    rig.wait(119_500);
    assert_eq!(due(&rig, list(1)), Due::Now(last_due));
    rig.end_quarantine(list(1));
    assert_eq!(rig.events.len(), 1);
    assert_eq!(rig.in_use(list(1)), (0, 64));
}

#[test]
fn the_same_stack_under_the_same_boot_may_take_its_ports_back_at_once() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let mut own = PortSet::empty();
    own.insert_range(6_400, 6_463);
    rig.allow(stack.actor, own);
    let grant = rig.acquire(stack, 1, 1).unwrap()[0];
    rig.release(stack, grant, PortMask(0xFF)).unwrap();
    rig.release(stack, grant, PortMask(0xFF00)).unwrap();
    assert_eq!(rig.claim(stack, 6_403).unwrap().mask, PortMask(8));
    let again = rig.acquire(stack, 1, 2).unwrap();
    assert_eq!((again.len(), again[0].mask), (1, PortMask(0xFFF7)));
    assert_eq!(due(&rig, list(1)), Due::None);
    assert_eq!(rig.in_use(list(1)), (64, 0));
}

#[test]
fn another_stack_is_never_given_ports_out_of_quarantine() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let mut own = PortSet::empty();
    own.insert_range(6_400, 6_463);
    rig.allow(a.actor, own.clone());
    rig.allow(b.actor, own);
    let grant = rig.acquire(a, 1, 1).unwrap()[0];
    rig.release(a, grant, grant.mask).unwrap();
    let full = exhausted([0, 0, 64, 65_472], 0, 64);
    assert_eq!(rig.acquire(b, 1, 1), Err(full));
    // A name connected anew is another stack: nothing says that it is the same boot.
    rig.stack(a.actor, Body::Disconnect).unwrap();
    let again = rig.ready("A", list(1));
    assert_eq!(rig.claim(again, 6_400).unwrap_err().name(), "port-quarantined");
}

#[test]
fn quarantine_of_an_earlier_boot_starts_again_in_full_once() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let grants = rig.acquire(stack, 2, 2).unwrap();
    rig.context.now = BootMs(9_000_000);
    rig.release(stack, grants[0], PortMask::ALL).unwrap();
    // The kernel boots: its clock begins anew.
    let floor = ClockFloor { lsn: rig.structure.lsn().next(), at: BootMs(5_000) };
    rig.context = Context { now: BootMs(5_000), floor, ..rig.context };
    assert_eq!(due(&rig, list(1)), Due::At(BootMs(125_000)));
    rig.context.now = BootMs(6_000);
    rig.release(stack, grants[1], PortMask::ALL).unwrap();
    assert_eq!(due(&rig, list(1)), Due::At(BootMs(125_000)));
    // A restart under the same boot changes nothing.
    rig.context.open_first = rig.structure.lsn().next();
    rig.context.now = BootMs(125_999);
    assert_eq!(due(&rig, list(1)), Due::Now(Lsn(floor.lsn.0 - 1)));
    rig.context.now = BootMs(126_000);
    assert_eq!(due(&rig, list(1)), Due::Now(floor.lsn));
}

#[test]
fn one_that_is_due_later_holds_back_those_behind_it() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    rig.acquire(a, 1, 1).unwrap();
    let grant = rig.acquire(b, 1, 1).unwrap()[0];
    rig.fail("A", a.actor.incarnation);
    rig.context.deadline = Some(rig.context.now.plus(10_000));
    rig.clean_up("A", a.actor.incarnation).unwrap();
    rig.release(b, grant, grant.mask).unwrap();
    rig.wait(120_000);
    assert_eq!(due(&rig, list(1)), Due::At(rig.context.now.plus(10_000)));
    rig.wait(10_000);
    assert_eq!(due(&rig, list(1)), Due::Now(rig.structure.lsn()));
}

#[test]
fn every_way_out_of_held_begins_a_quarantine_of_full_length() {
    type Way = fn(&mut Rig, Stack, Grant);
    let ways: [(&str, Way); 5] = [
        ("release", |rig, stack, grant| assert_eq!(rig.release(stack, grant, grant.mask), Ok(Answer::Done))),
        ("leave", |rig, stack, _| {
            assert_eq!(rig.stack(stack.actor, Body::Leave { member: stack.member }), Ok(Answer::Done));
        }),
        ("disconnect", |rig, stack, _| assert_eq!(rig.stack(stack.actor, Body::Disconnect), Ok(Answer::Done))),
        ("attach of another boot", |rig, _, _| assert!(rig.attach("A", u128::from(b'A'), 2).is_ok())),
        ("clean-up", |rig, stack, _| {
            rig.fail("A", stack.actor.incarnation);
            assert_eq!(rig.clean_up("A", stack.actor.incarnation), Ok(Answer::Done));
        }),
    ];
    for (way, end) in ways {
        let mut rig = Rig::new();
        let (a, _) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
        let grant = rig.acquire(a, 1, 1).unwrap()[0];
        rig.wait(1_000_000);
        end(&mut rig, a, grant);
        assert_eq!(rig.in_use(list(1)), (0, 64), "{way}");
        assert_eq!(due(&rig, list(1)), Due::At(rig.context.now.plus(120_000)), "{way}");
    }
}

#[test]
fn a_lists_own_policy_sets_its_quarantine() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    rig.policy(list(1), Policy { quarantine_ms: 2_000, ..Policy::default() });
    let grant = rig.acquire(stack, 1, 1).unwrap()[0];
    rig.release(stack, grant, grant.mask).unwrap();
    assert_eq!(due(&rig, list(1)), Due::At(rig.context.now.plus(2_000)));
}

#[test]
fn lists_are_awakened_when_quarantine_begins_and_not_again() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let grants = rig.acquire(stack, 2, 2).unwrap();
    let mut awakened = Vec::new();
    for (grant, expected) in grants.iter().zip([&[0][..], &[]]) {
        rig.release(stack, *grant, grant.mask).unwrap();
        awakened.clear();
        rig.structure.take_awakened(&mut awakened);
        assert_eq!(awakened, expected);
    }
    let mut imported = Structure::import(rig.structure.items()).unwrap();
    imported.take_awakened(&mut awakened);
    assert_eq!(awakened, [0]);
}
