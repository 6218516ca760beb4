//! A full disk: what takes is refused, what gives back goes on, and nothing is ever poisoned.

use super::{Host, Rig, list, name, refusal, second_list, stack, tokens};
use portplex::disk::sim::SimDisk;
use portplex::facility::{Connection, Facility, Options};
use portplex::ident::{PortSet, Transport};
use portplex::structure::Refusal;

fn used(disk: &SimDisk) -> u64 {
    disk.image().values().map(|bytes| bytes.len() as u64).sum()
}

/// Takes groups until the disk is full, and gives back how many it got.
fn fill(rig: &Rig, host: &mut Host) -> usize {
    rig.disk.set_capacity(Some(used(&rig.disk)));
    for taken in 0..400 {
        match host.try_acquire() {
            Ok(_) if taken % 2 == 0 => {}
            // What is taken for nothing goes back: the list is never full.
            Ok(grant) => host.release(grant).expect("released"),
            Err(error) => {
                assert_eq!(refusal::<()>(Err(error)), Refusal::StorageFull);
                return taken;
            }
        }
    }
    panic!("the disk was never full");
}

#[test]
fn on_a_full_disk_what_takes_is_refused_and_what_gives_back_goes_on() {
    let rig = Rig::new();
    let mut host = rig.host("A");
    rig.host("B");
    host.acquire();
    fill(&rig, &mut host);
    let status = rig.status();
    assert!(status.storage.as_ref().is_some_and(|reason| reason.contains("no space")), "{:?}", status.storage);
    assert!(rig.has_alarm(&["the storage is full", "no space"]));
    let held = host.grants.len();
    assert!(held > 1);

    let before = rig.lsn();
    assert_eq!(refusal(host.connection.claim(host.member, 3_000)), Refusal::StorageFull);
    assert_eq!(refusal(rig.door.define(second_list())), Refusal::StorageFull);
    assert_eq!(refusal(host.connection.join(second_list())), Refusal::StorageFull);
    assert_eq!(refusal(Connection::connect(rig.facility(), stack("C")).map(drop)), Refusal::StorageFull);
    let mut ports = PortSet::empty();
    ports.insert_range(5_000, 6_000);
    assert_eq!(refusal(host.connection.set_allowable(Transport::Tcp, ports)), Refusal::StorageFull);
    assert_eq!(rig.lsn(), before, "nothing of it is applied");

    host.release(host.grants[0]).expect("a release goes on");
    assert_eq!(host.attach(&rig).expect("an attach goes on").grants.len(), held - 1);
    rig.door.delete(list()).expect("a delete goes on");
    rig.door.query(portplex::facility::Query::Status).wait().expect("reads go on");

    // To the very end of the tail: then everything is refused, and nothing fails.
    let end = loop {
        match host.attach(&rig) {
            Ok(_) => {}
            Err(error) => break refusal::<()>(Err(error)),
        }
    };
    assert_eq!(end, Refusal::StorageFull);
    rig.pass(10_000);
    assert!(rig.status().storage.is_some());

    rig.disk.set_capacity(None);
    rig.pass(1_000);
    assert_eq!(rig.status().storage, None, "it goes on by itself");
    assert!(rig.has_alarm(&["there is room in the storage again"]));
    assert_eq!(host.attach(&rig).expect("attached").grants.len(), held - 1);
    rig.door.define(list()).expect("defined");
    host.acquire();
}

#[test]
fn a_store_that_is_full_when_it_opens_serves_what_it_can() {
    let mut rig = Rig::new();
    let mut host = rig.host("A");
    fill(&rig, &mut host);
    let (held, full) = (tokens(&host.grants), used(&rig.disk));
    for _ in 0..3 {
        rig.restart();
        rig.disk.set_capacity(Some(full));
        match host.attach(&rig) {
            Ok(attached) => assert_eq!(tokens(&attached.grants), held),
            Err(error) => assert_eq!(refusal::<()>(Err(error)), Refusal::StorageFull),
        }
    }
    rig.disk.set_capacity(None);
    rig.pass(1_000);
    host.grants.clear();
    assert_eq!(tokens(&host.attach(&rig).expect("attached").grants), held);
    host.acquire();
}

#[test]
fn history_makes_room_before_anything_is_refused_for_long() {
    for yields in [false, true] {
        let rig = Rig::with(Options { history_yields: yields, ..Options::default() });
        let mut host = rig.host("A");
        for round in 0..4 {
            for _ in 0..20 {
                let grant = host.acquire();
                host.release(grant).expect("released");
            }
            rig.with_stepper(|stepper| stepper.checkpoint().unwrap_or_else(|error| panic!("round {round}: {error}")));
        }
        fill(&rig, &mut host);
        rig.with_stepper(|stepper| while let Ok(true) = stepper.fill_spare() {});
        rig.pass(1_000);
        assert_eq!(rig.has_alarm(&["segments of history went"]), yields);
        rig.with_stepper(|stepper| while let Ok(true) = stepper.fill_spare() {});
        rig.pass(1_000);
        assert_eq!(rig.status().storage.is_none(), yields, "{:?}", rig.status().storage);
        assert_eq!(host.try_acquire().is_ok(), yields);
        assert!(rig.door.connector(&name("A")).expect("answered").is_some());
    }
}
