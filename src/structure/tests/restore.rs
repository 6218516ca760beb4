//! Items and import, and events that do not fit: what comes from bytes is never believed.
#![forbid(unsafe_code)]

use super::*;

/// A structure with something of everything.
fn full() -> Rig {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let gone = rig.ready("GONE", list(2));
    rig.ask(Request::Define { target: list(3) }).unwrap();
    rig.policy(list(3), Policy { quota: 640, ..Policy::default() });
    rig.ask(Request::SetRange { transport: Transport::Tcp, range: Some(PortRange { first: 10_000, count: 1_000 }) })
        .unwrap();
    let grants = rig.acquire(a, 3, 3).unwrap();
    rig.release(a, grants[0], PortMask(0xF0)).unwrap();
    rig.release(a, grants[1], grants[1].mask).unwrap();
    rig.claim(b, 5_000).unwrap();
    rig.claim(a, 5_001).unwrap();
    rig.acquire(gone, 1, 1).unwrap();
    rig.stack(gone.actor, Body::Disconnect).unwrap();
    let pool = rig.join(b.actor, Target::Pool(Transport::Tcp));
    rig.acquire(Stack { member: pool, ..b }, 1, 1).unwrap();
    rig.fail("A", a.actor.incarnation);
    rig
}

#[test]
fn a_structure_is_its_items() {
    let rig = full();
    let items: Vec<Item> = rig.structure.items().collect();
    assert_eq!(items.len() as u64, rig.structure.items_count());
    let imported = Structure::import(items.iter().cloned()).unwrap();
    assert!(imported.items().eq(items.iter().cloned()));
    assert!(imported == rig.structure);
    for limit in [1, 2, 3, 7, 1_024] {
        let mut paged = Vec::new();
        loop {
            let page = rig.structure.items_page(paged.len() as u64, limit);
            let last = page.len() < limit;
            paged.extend(page);
            if last {
                break;
            }
        }
        assert_eq!(paged, items, "pages of {limit}");
    }
    assert_eq!(rig.structure.items_page(u64::MAX, 5), []);
}

#[test]
fn a_missing_or_doubled_or_swapped_item_never_goes_unnoticed_as_a_panic() {
    let rig = full();
    let items: Vec<Item> = rig.structure.items().collect();
    for place in 0..items.len() {
        let without = items.iter().take(place).chain(items.iter().skip(place + 1));
        if let Ok(other) = Structure::import(without.cloned()) {
            assert!(other != rig.structure, "without {:?}", items[place]);
        }
        let doubled = items.iter().take(place + 1).chain(items.iter().skip(place));
        assert!(Structure::import(doubled.cloned()).is_err(), "doubled {:?}", items[place]);
        if place > 0 {
            let mut swapped = items.clone();
            swapped.swap(place, place - 1);
            if let Ok(other) = Structure::import(swapped.into_iter()) {
                assert!(other != rig.structure, "swapped {:?}", items[place]);
            }
        }
    }
    assert_eq!(Structure::import(std::iter::empty()), Err(ImportError::Head));
}

#[test]
fn an_impossible_item_is_named() {
    let rig = full();
    let items: Vec<Item> = rig.structure.items().collect();
    let spoil = |spoil: &dyn Fn(&mut Item)| {
        let mut items = items.clone();
        items.iter_mut().for_each(spoil);
        Structure::import(items.into_iter())
    };
    assert!(spoil(&|_| ()).is_ok());
    let spoils: [&dyn Fn(&mut Item); 9] = [
        &|item| {
            if let Item::Grant { mask, .. } = item {
                *mask = PortMask::NONE
            }
        },
        &|item| {
            if let Item::Grant { member, .. } = item {
                *member = 99
            }
        },
        &|item| {
            if let Item::Grant { lsn, .. } = item {
                *lsn = Lsn(1_000_000)
            }
        },
        &|item| {
            if let Item::Quarantine { connector, .. } = item {
                *connector = 99
            }
        },
        &|item| {
            if let Item::Quarantine { mask, .. } = item {
                *mask = PortMask::ALL
            }
        },
        &|item| {
            if let Item::Member { list, .. } = item {
                *list = 99
            }
        },
        &|item| {
            if let Item::Window { count, .. } = item {
                *count = 0
            }
        },
        &|item| {
            if let Item::Connector { sets, .. } = item {
                sets[1] = Some(7)
            }
        },
        &|item| {
            if let Item::List { policy, .. } = item {
                policy.quarantine_ms = 5
            }
        },
    ];
    for (number, spoiled) in spoils.iter().enumerate() {
        assert!(spoil(spoiled).is_err(), "spoil {number}");
    }
}

#[test]
fn an_event_that_does_not_fit_is_refused_and_never_applied() {
    let rig = full();
    let lsn = rig.structure.lsn().next();
    let fits = |change, stamp| rig.structure.fits(lsn, &Event { stamp, change });
    let first = Stamp::First { number: 900, below: 0, hash: 1 };
    let named = |what, slot| Err(Misfit::NoSuch { what, slot });
    assert_eq!(fits(Change::Disconnected { connector: 77 }, first), named(Operand::Connectors, 77));
    assert_eq!(fits(Change::Left { member: 77 }, first), named(Operand::Members, 77));
    assert_eq!(fits(Change::Deleted { list: 77 }, Stamp::None), named(Operand::Lists, 77));
    let held = rig.structure.items().find_map(|item| match item {
        Item::Grant { member, group, mask, lsn, .. } if member == 1 => Some((member, group, mask, lsn)),
        _ => None,
    });
    let (member, group, mask, grant) = held.unwrap();
    let taken = Change::Granted { member, group, mask };
    assert_eq!(fits(taken, first), Err(Misfit::PortsNotFree { group, mask: mask.0 }));
    let wrong = Change::Released { member, group, grant: Lsn(grant.0 + 1), mask };
    assert_eq!(fits(wrong, first), Err(Misfit::PortsNotHeld { group, grant: Lsn(grant.0 + 1) }));
    let right = Change::Released { member, group, grant, mask };
    assert_eq!(fits(right.clone(), first), Ok(()));
    assert_eq!(fits(right.clone(), Stamp::None), Err(Misfit::Stamp { number: 0 }));
    assert_eq!(fits(right.clone(), Stamp::Next { number: 900 }), Err(Misfit::Stamp { number: 900 }));
    let known = Stamp::First { number: 1, below: 0, hash: 1 };
    assert_eq!(fits(right.clone(), known), Err(Misfit::Stamp { number: 1 }));
    let event = Event { stamp: first, change: right };
    let last = rig.structure.lsn();
    assert_eq!(rig.structure.fits(last, &event), Err(Misfit::LsnNotAbove { last, found: last }));
    let far = Change::Defined { list: 5_000, target: list(200) };
    assert_eq!(fits(far, Stamp::None), Err(Misfit::SlotUnusable { what: Operand::Lists, slot: 5_000 }));
    assert_eq!(fits(Change::Failed { connector: 1, by: None }, first), Err(Misfit::Stamp { number: 900 }));
    let ready = Change::Ready { list: 0, up_to: Lsn(1) };
    assert_eq!(fits(ready, Stamp::None), Err(Misfit::WrongState { what: Operand::Lists, slot: 0 }));
}
