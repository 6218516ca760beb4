//! Parts of a structure say of it what the whole says.
#![forbid(unsafe_code)]

use super::*;
use std::collections::BTreeSet;

const POOL: Target = Target::Pool(Transport::Tcp);

/// Two lists and the pool; A holds in both lists, B in one, the pool and the quarantine have something.
fn worked() -> (Rig, Stack, Stack) {
    let mut rig = Rig::new();
    let one = rig.ready("A", list(1));
    let other = rig.ready("B", list(1));
    let range = Some(PortRange { first: 6_400, count: 200 });
    assert_eq!(rig.ask(Request::SetRange { transport: Transport::Tcp, range }), Ok(Answer::Done));
    rig.acquire(one, 2, 2).unwrap();
    rig.acquire(other, 1, 1).unwrap();
    let second = Stack { member: rig.join(one.actor, list(2)), ..one };
    rig.acquire(second, 1, 1).unwrap();
    let pool = Stack { member: rig.join(one.actor, POOL), ..one };
    rig.claim(pool, 6_450).unwrap();
    for port in [20_000, 30_000] {
        let back = rig.claim(one, port).unwrap();
        rig.release(one, back, back.mask).unwrap();
        rig.wait(1_000);
    }
    (rig, one, other)
}

fn slot(rig: &Rig, target: Target) -> u32 {
    rig.structure.list_by_target(target).unwrap()
}

/// Which list an item is of, if it is of one.
fn list_of(items: &[Item], item: &Item) -> Option<u32> {
    match item {
        Item::List { list, .. } | Item::Member { list, .. } | Item::Quarantine { list, .. } => Some(*list),
        Item::Grant { member, .. } => items.iter().find_map(|other| match other {
            Item::Member { member: known, list, .. } if known == member => Some(*list),
            _ => None,
        }),
        _ => None,
    }
}

#[test]
fn the_items_of_some_lists_are_the_items_of_all_without_those_of_the_others() {
    let (rig, ..) = worked();
    let all: Vec<Item> = rig.structure.items().collect();
    for targets in [vec![], vec![list(1)], vec![list(2)], vec![POOL], vec![list(1), list(2), POOL]] {
        let mut lists: BTreeSet<u32> = targets.iter().map(|target| slot(&rig, *target)).collect();
        lists.insert(4_711);
        let connectors: BTreeSet<u32> = all
            .iter()
            .filter_map(|item| match item {
                Item::Member { connector, list, .. } | Item::Quarantine { connector, list, .. } => {
                    lists.contains(list).then_some(*connector)
                }
                _ => None,
            })
            .collect();
        let expected = all.iter().filter(|item| match item {
            Item::Head { .. } | Item::Range { .. } => true,
            Item::Connector { connector, .. } => connectors.contains(connector),
            item => list_of(&all, item).is_some_and(|list| lists.contains(&list)),
        });
        let found: Vec<Item> = rig.structure.items_of(&lists).collect();
        assert_eq!(found, expected.cloned().collect::<Vec<_>>(), "{targets:?}");
    }
}

#[test]
fn room_counts_every_port_that_could_be_claimed() {
    let (mut rig, one, _) = worked();
    rig.careful = false;
    for target in [list(1), list(2), POOL] {
        let member = rig.join(one.actor, target);
        let found = rig.structure.room(slot(&rig, target)).unwrap();
        let free = |port: &u16| rig.structure.owner(target, *port) == PortOwner::Free;
        let claimed = |port: &u16| {
            let number = rig.numbers[&one.actor.slot] + 1;
            let body = Body::Claim { member, port: *port };
            let request = Request::Stack { actor: one.actor, number, lowest: number, body };
            rig.structure.decide(&request, &rig.context, &mut Vec::new()).is_ok()
        };
        let could: u32 = (0..=u16::MAX).filter(|port| free(port) && claimed(port)).map(|_| 1).sum();
        assert_eq!(found.grantable, could, "{target}");
        // The pool has no port within a list's groups, and the lists none of the pool's.
        let most = if target == POOL { 200 } else { 64_512 - 200 };
        assert_eq!(found.grantable_max, most, "{target}");
    }
    let (mut rig, actor) = (Rig::new(), Rig::new().connect("A", 1));
    assert_eq!(rig.connect("A", 1), actor);
    rig.join(actor, list(1));
    assert_eq!(rig.structure.room(slot(&rig, list(1))), None, "no stack said which ports it may have");
    assert_eq!(rig.structure.room(7), None, "no list");
}

#[test]
fn what_a_connector_has_is_counted_over_all_its_lists() {
    let (rig, one, other) = worked();
    let asked = BTreeSet::from([one.actor.slot, other.actor.slot, 99]);
    let found = rig.structure.holdings_of(&asked);
    let seen: Vec<_> = found.iter().map(|(slot, holding)| (*slot, *holding)).collect();
    let first = Holding { lists: 3, grants: 4, ports: 64 * 3 + 1 };
    let second = Holding { lists: 1, grants: 1, ports: 64 };
    assert_eq!(seen, [(one.actor.slot, first), (other.actor.slot, second)]);
    let of = |slot| rig.structure.lists_of(slot).collect::<BTreeSet<_>>();
    let ports = [(slot(&rig, list(1)), 128), (slot(&rig, list(2)), 64), (slot(&rig, POOL), 1)];
    assert_eq!(of(one.actor.slot), BTreeSet::from(ports));
    assert_eq!(of(99), BTreeSet::new());
    assert_eq!(rig.structure.connectors_count(), 2);
    assert_eq!(rig.structure.connector_slot(&name("B")), Some(other.actor.slot));
    assert_eq!(rig.structure.connector_slot(&name("C")), None);
    let listed = rig.structure.lists().find(|view| view.target == list(1));
    assert_eq!(rig.structure.list_at(slot(&rig, list(1))), listed);
    assert_eq!(rig.structure.list_at(4_711), None);
    // Three groups held in whole, two with a port in quarantine.
    assert_eq!(rig.structure.groups_in_use(slot(&rig, list(1))), 5);
    assert_eq!(rig.structure.groups_in_use(4_711), 0);
}

#[test]
fn quarantine_ends_when_it_is_said_and_not_a_millisecond_earlier() {
    let (mut rig, ..) = worked();
    let target = slot(&rig, list(1));
    let floor = rig.context.floor;
    let ends = rig.structure.quarantine_ends(target, floor, rig.context.quarantine_ms).unwrap();
    let times: Vec<u64> = ends.iter().map(|(_, at)| at.0).collect();
    assert_eq!(times, [121_000, 122_000], "each one 120 s after its release");
    // Under another boot everything that was there before starts at its open.
    let later = ClockFloor { lsn: rig.structure.lsn().next(), at: BootMs(5) };
    let under = rig.structure.quarantine_ends(target, later, rig.context.quarantine_ms).unwrap();
    assert_eq!(under.iter().map(|(_, at)| at.0).collect::<Vec<_>>(), [120_005, 120_005]);
    // A list's own length counts, and an unknown list has nothing.
    let shown = rig.structure.lists().find(|view| view.target == list(1)).unwrap();
    rig.policy(list(1), Policy { quarantine_ms: 2_000, ..shown.policy });
    let short = rig.structure.quarantine_ends(target, floor, rig.context.quarantine_ms).unwrap();
    assert_eq!(short.iter().map(|(_, at)| at.0).collect::<Vec<_>>(), [3_000, 4_000]);
    assert_eq!(rig.structure.quarantine_ends(4_711, floor, 1), Some(Vec::new()));
    assert_eq!(rig.structure.list_at(target).unwrap().quarantined_ports, 2);
}

#[test]
fn what_one_request_causes_says_nothing_of_the_next_in_the_same_batch() {
    let mut rig = Rig::new();
    let stack = rig.ready("A", list(1));
    let mut events = Vec::new();
    let joining = |number, target| {
        let body = Body::Join { target };
        Request::Stack { actor: stack.actor, number, lowest: number, body }
    };
    let number = rig.numbers[&stack.actor.slot] + 1;
    let first = rig.structure.decide(&joining(number, list(2)), &rig.context, &mut events).unwrap();
    assert_eq!(first, Decision::Effect);
    let before = events.clone();
    assert!(!before.is_empty());
    // An operator's word that changes nothing, with another one's events before it.
    let range = Request::SetRange { transport: Transport::Tcp, range: None };
    assert_eq!(rig.structure.decide(&range, &rig.context, &mut events), Ok(Decision::NoEffect));
    assert_eq!(events, before);
    // And one that is refused leaves them as they were.
    let nobody = Request::MarkFailed { name: name("Z"), incarnation: Incarnation(1), by: None };
    assert!(rig.structure.decide(&nobody, &rig.context, &mut events).is_err());
    assert_eq!(events, before);
}

#[test]
fn an_event_that_does_not_fit_tells_what_the_structure_does() {
    let expected = [
        (None, "grants"),
        (Some(StopCause::PowerLoss), "does not grant, after a power loss"),
        (Some(StopCause::DataLost), "does not grant, data being lost"),
        (Some(StopCause::Restored), "does not grant, being restored"),
    ];
    for (stopped, text) in expected {
        let misfit = Misfit::Stop { stopped };
        assert_eq!(misfit.to_string(), format!("the event does not fit a structure that {text}"));
    }
}

#[test]
fn a_reported_grant_is_known_by_its_list_its_token_and_its_stack_only() {
    let (mut rig, one, other) = worked();
    let grant = rig.claim(one, 40_000).unwrap();
    let reported = ReportedGrant { lsn: grant.lsn, target: list(1), group: grant.group, mask: grant.mask };
    let status = |slot, reported: &ReportedGrant| rig.structure.reported_status(slot, reported);
    assert_eq!(status(one.actor.slot, &reported), ReportedStatus::Known { mask: grant.mask });
    for (slot, wrong) in [
        (other.actor.slot, reported),
        (one.actor.slot, ReportedGrant { target: list(2), ..reported }),
        (one.actor.slot, ReportedGrant { target: list(99), ..reported }),
        (one.actor.slot, ReportedGrant { lsn: grant.lsn.next(), ..reported }),
    ] {
        assert_eq!(status(slot, &wrong), ReportedStatus::Unknown, "{wrong:?}");
    }
}

#[test]
fn a_restored_store_tells_no_end_of_quarantine_as_none_ends() {
    let (rig, ..) = worked();
    let mut items: Vec<Item> = rig.structure.items().collect();
    let (cause, since) = (StopCause::Restored, rig.structure.lsn());
    items.insert(1, Item::Stop { cause, since, from: BootMs(0), highest: Lsn::ZERO, adopted: 0 });
    let restored = Structure::import(items.into_iter()).unwrap();
    let target = restored.list_by_target(list(1)).unwrap();
    assert_eq!(restored.quarantine_ends(target, rig.context.floor, 1_000), None);
    let states = [ConnectorState::Active, ConnectorState::FailedPersistent, ConnectorState::Forgotten];
    assert_eq!(states.map(ConnectorState::name), ["active", "failed-persistent", "forgotten"]);
}

#[test]
fn the_limits_are_those_that_every_release_before_had() {
    // A lower one would refuse stores that exist, a higher one would make stores that no other can read.
    assert_eq!([CONNECTORS_MAX, LISTS_MAX, MEMBERS_MAX, SETS_MAX], [65_536, 131_072, 4_194_304, 131_073]);
}
