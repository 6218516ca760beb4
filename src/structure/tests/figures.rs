//! Lists and connectors in numbers, against asking for every single port.
#![forbid(unsafe_code)]

use super::*;

const POOL: Target = Target::Pool(Transport::Tcp);

/// Free, held, quarantined and excluded ports of a list, port by port: excluded is what nobody has and a
/// stack that may use every port is refused all the same.
fn one_by_one(rig: &Rig, asker: Stack, target: Target) -> [u32; 4] {
    let mut counts = [0; 4];
    for port in 0..=u16::MAX {
        let place = match rig.structure.owner(target, port) {
            PortOwner::Held { .. } => 1,
            PortOwner::Quarantined { .. } => 2,
            PortOwner::NoList => panic!("{target}"),
            PortOwner::Free => {
                let body = Body::Claim { member: asker.member, port };
                let number = rig.numbers[&asker.actor.slot] + 1;
                let request = Request::Stack { actor: asker.actor, number, lowest: number, body };
                let decided = rig.structure.decide(&request, &rig.context, &mut Vec::new());
                if decided.is_ok() { 0 } else { 3 }
            }
        };
        counts[place] += 1;
    }
    counts
}

fn check(rig: &Rig, asker: Stack, target: Target) {
    let (figures, next) = rig.structure.list_figures(0, 1_024);
    assert_eq!(next, None);
    let told = figures.iter().find(|figures| figures.target == target).unwrap();
    let ports = [told.free_ports, told.held_ports, told.quarantined_ports, told.excluded_ports];
    assert_eq!(ports, one_by_one(rig, asker, target), "{target}");
    assert_eq!(ports.iter().sum::<u32>(), 65_536);
}

#[test]
fn figures_agree_with_what_every_single_port_says() {
    let mut rig = Rig::new();
    rig.careful = false;
    let one = rig.ready("A", list(1));
    let mut every = PortSet::empty();
    every.insert_range(1, 65_535);
    rig.allow(one.actor, every);
    let two = Stack { member: rig.join(one.actor, list(2)), ..one };
    check(&rig, one, list(1));
    rig.acquire(one, 3, 3).unwrap();
    rig.claim(one, 6_401).unwrap();
    let back = rig.claim(one, 6_500).unwrap();
    rig.release(one, back, back.mask).unwrap();
    check(&rig, one, list(1));
    // The asker may take its own ports out of quarantine: another one asks.
    let range = Some(PortRange { first: 6_400, count: 200 });
    assert_eq!(rig.ask(Request::SetRange { transport: Transport::Tcp, range }), Ok(Answer::Done));
    let pool = Stack { member: rig.join(one.actor, POOL), ..one };
    rig.claim(pool, 6_450).unwrap();
    let moved = Some(PortRange { first: 12_810, count: 1_000 });
    assert_eq!(rig.ask(Request::SetRange { transport: Transport::Tcp, range: moved }), Ok(Answer::Done));
    for (asker, target) in [(one, list(1)), (two, list(2)), (pool, POOL)] {
        check(&rig, asker, target);
    }
    let (figures, _) = rig.structure.list_figures(0, 1_024);
    let of = |target| figures.iter().find(|figures| figures.target == target).unwrap();
    assert_eq!(of(list(2)).excluded_ports, 1 + 1_001, "port 0, the range, and what the pool has in use");
    // Groups 200 to 215 have a port of the range, group 100 the one in use, group 0 port 0.
    assert_eq!(of(list(2)).free_groups, 1_024 - 16 - 1 - 1);
    assert_eq!(of(POOL).free_groups, 1_000 / 64 - 1, "whole groups of 12,810 to 13,809: 201 to 214");
}

#[test]
fn pages_of_figures_hold_every_list_and_connector_once() {
    let mut rig = Rig::new();
    rig.careful = false;
    for number in 1..=5 {
        rig.ready(&format!("S{number}"), list(number));
    }
    let gone = rig.structure.connector(&name("S3")).unwrap().actor;
    assert_eq!(rig.stack(gone, Body::Disconnect), Ok(Answer::Done));
    let (mut lists, mut connectors) = (Vec::new(), Vec::new());
    let mut from = Some(0);
    while let Some(start) = from {
        let (page, next) = rig.structure.list_figures(start, 2);
        assert!(page.len() <= 2);
        lists.extend(page.into_iter().map(|figures| figures.target));
        from = next;
    }
    from = Some(0);
    while let Some(start) = from {
        let (page, next) = rig.structure.connector_figures(start, 2);
        connectors.extend(page.into_iter().map(|figures| figures.slot));
        from = next;
    }
    assert_eq!(lists, rig.structure.lists().map(|view| view.target).collect::<Vec<_>>());
    assert_eq!(connectors, rig.structure.connectors().map(|view| view.actor.slot).collect::<Vec<_>>());
    assert_eq!(rig.structure.list_figures(9, 2), (Vec::new(), None), "beyond the end");
}

#[test]
fn a_page_ends_early_where_the_pool_makes_lists_dear() {
    let mut rig = Rig::new();
    rig.careful = false;
    for number in 1..=100 {
        assert_eq!(rig.ask(Request::Define { target: list(number) }), Ok(Answer::Done));
    }
    let range = Some(PortRange { first: 1, count: 65_535 });
    assert_eq!(rig.ask(Request::SetRange { transport: Transport::Tcp, range }), Ok(Answer::Done));
    let (figures, next) = rig.structure.list_figures(0, 1_024);
    assert_eq!((figures.len(), next), (64, Some(64)));
    assert!(figures.iter().all(|figures| figures.free_ports == 0 && figures.excluded_ports == 65_536));
}
