//! What stacks report and the log has lost: whose it becomes, and how it is told in short.
#![forbid(unsafe_code)]

use super::stop::changes;
use super::stop::reported;
use super::*;

fn of_grant(grant: &Grant) -> ReportedGrant {
    ReportedGrant { lsn: grant.lsn, target: grant.target, group: grant.group, mask: grant.mask }
}

fn known(mask: u64) -> ReportedStatus {
    ReportedStatus::Known { mask: PortMask(mask) }
}

#[test]
fn nothing_is_adopted_while_grants_are_made_or_after_a_power_loss() {
    let mut rig = Rig::new();
    rig.ready("A", list(1));
    assert_eq!(rig.adopt("NOBODY", &[]), Err(Refusal::UnknownConnector));
    for _ in 0..2 {
        assert_eq!(rig.adopt("A", &[reported(900, 700, 1)]), Ok(Answer::Done));
        assert_eq!((rig.events.len(), rig.in_use(list(1))), (0, (0, 0)));
        let change = Change::Adopted { member: 0, group: group(700), mask: PortMask(1), grant: Lsn(900) };
        let event = Event { stamp: Stamp::None, change };
        let fits = rig.structure.fits(rig.structure.lsn().next(), &event);
        assert_eq!(fits, Err(Misfit::Stop { stopped: rig.structure.stop_cause() }));
        rig.stop(StopCause::PowerLoss);
    }
}

#[test]
fn free_ports_that_are_reported_become_the_reporters_under_the_old_token() {
    for cause in [StopCause::DataLost, StopCause::Restored] {
        let mut rig = Rig::new();
        let a = rig.ready("A", list(1));
        rig.stop(cause);
        rig.adopt("A", &[reported(900, 700, 0xFF)]).unwrap();
        let mask = PortMask(0xFF);
        let adopted = Change::Adopted { member: a.member.slot, group: group(700), mask, grant: Lsn(900) };
        assert_eq!(changes(&rig), [adopted]);
        assert_eq!(rig.known(a, reported(900, 700, 1)), known(0xFF));
        assert_eq!((rig.adopted(), rig.structure.stop().unwrap().highest), (8, Lsn(900)));
        let Attached { grants, .. } = rig.attach("A", u128::from(b'A'), 1).unwrap();
        assert_eq!(grants.len(), 1);
        assert_eq!((grants[0].lsn, grants[0].mask, grants[0].number), (Lsn(900), mask, 0));
        rig.adopt("A", &[reported(900, 700, 0xFF)]).unwrap();
        assert_eq!((rig.events.len(), rig.adopted()), (0, 8), "what is known is not adopted again");
    }
}

#[test]
fn what_is_reported_joins_the_lists_that_it_is_of() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.connect("B", 2));
    rig.acquire(a, 1, 1).unwrap();
    rig.ask(Request::Delete { target: list(1) }).unwrap();
    rig.fail("B", b.incarnation);
    rig.stop(StopCause::Restored);
    let of = |last, grant: ReportedGrant| ReportedGrant { target: list(last), ..grant };
    let grants = [
        of(3, reported(900, 700, 1)),
        of(1, reported(901, 701, 2)),
        of(2, reported(902, 700, 4)),
        of(3, reported(903, 701, 8)),
    ];
    rig.adopt("B", &grants).unwrap();
    let changes = changes(&rig);
    let joins = changes.iter().map(|change| matches!(change, Change::Joined { .. }));
    assert_eq!(joins.collect::<Vec<_>>(), [true, true, true, false, false, false, false], "joins come first");
    assert_eq!(rig.structure.lists_count(), 3, "a list that is closed or was forgotten is no hindrance");
    assert_eq!(rig.in_use(list(3)), (2, 0));
    assert_eq!(rig.adopted(), 4);
    let Attached { grants, memberships, .. } = rig.attach("B", 2, 1).unwrap();
    assert_eq!((memberships.len(), grants.len()), (3, 4), "a failed connector has its report when it attaches");
}

#[test]
fn ports_in_quarantine_become_the_reporters_whoever_held_them() {
    let mut rig = Rig::new();
    let (a, b, gone) = (rig.ready("A", list(1)), rig.ready("B", list(1)), rig.ready("GONE", list(1)));
    let of_b = rig.claim(b, 44_800).unwrap();
    rig.claim(gone, 44_801).unwrap();
    let of_a = rig.claim(a, 44_802).unwrap();
    rig.release(b, of_b, of_b.mask).unwrap();
    rig.release(a, of_a, of_a.mask).unwrap();
    rig.stack(gone.actor, Body::Disconnect).unwrap();
    assert_eq!(rig.in_use(list(1)), (0, 3));
    assert!(rig.structure.connector_name(gone.actor.slot).is_some());
    rig.stop(StopCause::DataLost);
    rig.adopt("A", &[reported(900, 700, 0b1111)]).unwrap();
    assert_eq!((rig.events.len(), rig.in_use(list(1)), rig.adopted()), (1, (4, 0), 4));
    assert_eq!(rig.structure.connector_name(gone.actor.slot), None, "nothing names it any longer");
}

#[test]
fn a_token_of_the_history_that_was_lost_may_be_one_that_this_history_gave_too() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let own = rig.claim(a, 44_800).unwrap();
    rig.stop(StopCause::Restored);
    // Both histories went on from the same lsn: what each made there has nothing to do with the other.
    rig.adopt("B", &[reported(own.lsn.0, 701, 1)]).unwrap();
    rig.adopt("A", &[reported(own.lsn.0, 702, 1)]).unwrap();
    assert_eq!((rig.adopted(), rig.in_use(list(1))), (2, (3, 0)));
    assert_eq!(rig.known(b, reported(own.lsn.0, 701, 1)), known(1));
    let items: Vec<Item> = rig.structure.items().collect();
    assert!(Structure::import(items.into_iter()).is_ok_and(|imported| imported == rig.structure));
}

#[test]
fn ports_held_by_another_or_by_the_reporter_itself_go_to_the_higher_lsn() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let low = rig.claim(b, 44_800).unwrap();
    let own = rig.claim(a, 44_801).unwrap();
    let high = rig.claim(b, 44_802).unwrap();
    rig.stop(StopCause::DataLost);
    let token = own.lsn.next();
    assert!(low.lsn < token);
    rig.skip_to(Lsn(1_000));
    rig.adopt("A", &[reported(token.0 - 1, 700, 0b1111)]).unwrap();
    assert_eq!(rig.events, [], "a token that the group has is of that grant");

    rig.adopt("B", &[reported(800, 700, 0b1_0000)]).unwrap();
    rig.adopt("A", &[reported(700, 700, 0b11_1111)]).unwrap();
    let (member, group) = (b.member.slot, group(700));
    let revoked = |grant: Grant| Change::Revoked { member, group, grant: grant.lsn, mask: grant.mask };
    let older = Change::Revoked { member: a.member.slot, group, grant: own.lsn, mask: own.mask };
    let adopted = Change::Adopted { member: a.member.slot, group, mask: PortMask(0b10_1111), grant: Lsn(700) };
    assert_eq!(changes(&rig), [revoked(low), older, revoked(high), adopted]);
    assert_eq!(rig.known(b, of_grant(&low)), ReportedStatus::Unknown, "the older grant is gone");
    assert_eq!(rig.known(b, reported(800, 700, 1)), known(0b1_0000), "the younger one stays");
    assert_eq!(rig.known(a, of_grant(&own)), ReportedStatus::Unknown, "its own older one had ended, too");
    assert_eq!(rig.in_use(list(1)), (6, 0));
    assert_eq!(rig.adopted(), 6);
}

#[test]
fn one_report_never_takes_a_port_twice() {
    let mut rig = Rig::new();
    let a = rig.ready("A", list(1));
    rig.stop(StopCause::Restored);
    let pool =
        |lsn, number, mask| ReportedGrant { target: Target::Pool(Transport::Tcp), ..reported(lsn, number, mask) };
    rig.adopt(
        "A",
        &[
            reported(900, 700, 0b0011),
            reported(900, 700, 0b0100),
            reported(901, 700, 0b0110),
            pool(902, 700, 0b1100),
            reported(903, 0, 0b11),
            reported(0, 701, 1),
            reported(1 << 62, 701, 1),
            reported(904, 701, 0),
        ],
    )
    .unwrap();
    assert_eq!(rig.known(a, reported(900, 700, 1)), known(0b0011));
    assert_eq!(rig.known(a, reported(901, 700, 1)), known(0b0100));
    assert_eq!(rig.known(a, pool(902, 700, 1)), known(0b1000));
    assert_eq!(rig.known(a, reported(903, 0, 1)), known(0b10), "port 0 is nobody's");
    assert_eq!((rig.adopted(), rig.structure.stop().unwrap().highest), (5, Lsn(903)));
}

#[test]
fn ports_in_use_on_the_other_side_of_the_pool_are_left_out() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let held = rig.claim(b, 44_800).unwrap();
    let resting = rig.claim(b, 44_801).unwrap();
    rig.release(b, resting, resting.mask).unwrap();
    rig.stop(StopCause::Restored);
    let pool = ReportedGrant { target: Target::Pool(Transport::Tcp), ..reported(900, 700, 0b1111) };
    rig.adopt("A", &[pool]).unwrap();
    assert_eq!(rig.known(a, pool), known(0b1100));
    rig.adopt("B", &[reported(950, 700, 0b11_0100)]).unwrap();
    assert_eq!(rig.known(b, reported(950, 700, 1)), known(0b11_0000));
    assert_eq!(rig.known(b, of_grant(&held)), known(1));
}

#[test]
fn an_adopted_grant_is_given_back_and_fenced_like_any_other() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    rig.stop(StopCause::DataLost);
    rig.adopt("A", &[reported(900, 700, 0xFF)]).unwrap();
    let Attached { actor, grants, .. } = rig.attach("A", u128::from(b'A'), 1).unwrap();
    let (old, a, grant) = (a, Stack { actor, ..a }, grants[0]);
    assert_eq!(rig.release(b, grant, PortMask(1)), Err(Refusal::NotOwner { grant: Lsn(900) }));
    let stale = Refusal::StaleIncarnation { asked: old.actor.incarnation, current: actor.incarnation };
    assert_eq!(rig.release(old, grant, PortMask(1)), Err(stale));
    assert_eq!(rig.release(a, grant, PortMask(0x1FF)), Err(Refusal::StaleToken { grant: Lsn(900) }));
    rig.release(a, grant, PortMask(0x0F)).unwrap();
    assert_eq!(rig.in_use(list(1)), (4, 4));
    rig.release(a, grant, PortMask(0xF0)).unwrap();
    assert_eq!(rig.release(a, grant, PortMask(1)), Err(Refusal::StaleToken { grant: Lsn(900) }));
    assert_eq!(rig.in_use(list(1)), (0, 8));
}

#[test]
fn an_adopted_grant_is_never_the_answer_to_a_repeated_request() {
    let mut rig = Rig::new();
    let a = rig.ready("A", list(1));
    let grants = rig.acquire(a, 1, 1).unwrap();
    let Grant { lsn: grant, group: of, mask, .. } = grants[0];
    let body = Body::Release { member: a.member, group: of, grant, mask };
    rig.ask(Request::Stack { actor: a.actor, number: 4, lowest: 3, body }).unwrap();
    rig.stop(StopCause::DataLost);
    rig.adopt("A", &[ReportedGrant { group: group(5), ..of_grant(&grants[0]) }]).unwrap();
    assert_eq!(rig.adopted(), 64);
    let (number, body) = (3, Body::Acquire { member: a.member, at_least: 1, at_most: 1 });
    let again = rig.ask(Request::Stack { actor: a.actor, number, lowest: number, body });
    assert_eq!(again, Ok(Answer::GrantedAndGone));
}

#[test]
fn a_standing_tells_the_same_grants_in_any_order_from_any_others() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let grants = rig.acquire(a, 3, 3).unwrap();
    rig.acquire(b, 1, 1).unwrap();
    let all: Vec<ReportedGrant> = grants.iter().map(of_grant).collect();
    let standing = rig.structure.standing(a.actor.slot);
    assert_eq!(standing, Standing::of(all.iter().copied()));
    assert_eq!(standing, Standing::of(all.iter().rev().copied()));
    assert_eq!(standing.count, 3);
    assert_ne!(standing, Standing::of(all[..2].iter().copied()));
    assert_eq!(rig.structure.standing(99), Standing::default());
    let first = all[0];
    let others = [
        ReportedGrant { lsn: first.lsn.next(), ..first },
        ReportedGrant { target: list(2), ..first },
        ReportedGrant { target: Target::Pool(Transport::Tcp), ..first },
        ReportedGrant { group: group(1), ..first },
        ReportedGrant { mask: PortMask(1), ..first },
    ];
    for other in others {
        let changed = [other, all[1], all[2]];
        assert_ne!(standing, Standing::of(changed.into_iter()), "{other:?}");
    }
}
