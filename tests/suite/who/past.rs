//! A restored store, an adopted grant, and times that stood still.

use super::super::explain::place::{Place, list};
use super::{ask, ask_in, is};
use crate::cli::expect;
use portplex::facility::{Clock, Facility, LocalFacility, Machine, Options};
use portplex::ident::{BootId, BootMs, ConnectorName, Identity, MachineId, PortSet, Target, Transport, WallMs};
use portplex::structure::{Introduction, PortRange, Request, StopCause};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

#[test]
fn a_restored_store_tells_what_it_lost_and_what_was_adopted() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1.TCPIP", 1, 0);
    let member = sys1.enter(list());
    place.close([&mut sys1]);
    let backup = format!("{}.backup", place.store);
    let restored = format!("{}.restored", place.store);
    expect(0, &["store", "backup", &place.store, &backup]);
    place.clock.advance(10_000);
    place.open();
    assert_eq!(sys1.attach(&place), None);
    sys1.claim(member, 5_001);
    let token = sys1.grants[0].lsn.0;
    place.close([&mut sys1]);
    let before = ask(&place, "10.1.1.1:5001", &[]).1["holders"][0]["from"]["wall_ms"].as_u64().expect("a time");

    expect(0, &["store", "restore", &backup, &restored]);
    is(&ask_in(&restored, "10.1.1.1:5001", &[]).1, "free", &[]);
    place.clock.advance(10_000);
    place.open_as(&restored, None);
    assert_eq!(sys1.attach(&place), Some(StopCause::Restored));
    place.close([&mut sys1]);

    let (text, json) = ask_in(&restored, "10.1.1.1:5001", &[]);
    is(&json, "held", &["SYS1.TCPIP"]);
    let hold = &json["holders"][0];
    assert_eq!((&hold["adopted"], &hold["grant"]), (&true.into(), &token.into()));
    assert!(hold["from"]["wall_ms"].as_u64().expect("a time") >= before + 10_000);
    assert!(text.contains(&format!(": adopted as the stack reported it, token {token}; 1 port of group 78")), "{text}");
    // Whoever held it in the history that was lost is not told; that it was lost is.
    let (text, json) = ask_in(&restored, "10.1.1.1:5001", &["--at", &before.to_string()]);
    is(&json, "free", &[]);
    assert_eq!(json["lost"][0]["cause"], "restored");
    assert!(text.contains("records may be missing (restored)"), "{text}");
    let (_, json) = ask_in(&restored, "10.1.1.1:5001", &["--at", &(before + 60_000).to_string()]);
    assert!(!json["notes"].to_string().contains("missing"), "{json}");
}

#[test]
fn a_grant_that_another_stack_proved_to_be_over_is_told_as_revoked() {
    let place = Place::new();
    let (mut sys1, mut sys2) = (place.stack("SYS1", 1, 0), place.stack("SYS2", 1, 0));
    let (one, two) = (sys1.enter(list()), sys2.enter(list()));
    sys2.claim(two, 5_001);
    place.close([&mut sys1, &mut sys2]);
    let backup = format!("{}.backup", place.store);
    let restored = format!("{}.restored", place.store);
    expect(0, &["store", "backup", &place.store, &backup]);

    // What the backup does not know: SYS2 gave the port back, and SYS1 has it since.
    place.open();
    assert_eq!((sys1.attach(&place), sys2.attach(&place)), (None, None));
    sys2.release();
    place.clock.advance(121_000);
    place.facility().call(Request::EndQuarantine { list: 0 }).expect("it is over");
    sys1.claim(one, 5_001);
    place.close([&mut sys1, &mut sys2]);
    let (text, json) = ask(&place, "10.1.1.1:5001", &[]);
    is(&json, "held", &["SYS1", "SYS2"]);
    assert!(text.contains("  then in quarantine until 2023-"), "{text}");
    let rested = json["holders"][1]["quarantine_until"]["wall_ms"].as_u64().expect("a time");
    is(&ask(&place, "10.1.1.1:5001", &["--at", &(rested - 1).to_string()]).1, "quarantined", &[]);

    expect(0, &["store", "restore", &backup, &restored]);
    place.open_as(&restored, None);
    assert_eq!(sys1.attach(&place), Some(StopCause::Restored));
    place.close([&mut sys1]);
    let (text, json) = ask_in(&restored, "10.1.1.1:5001", &[]);
    is(&json, "held", &["SYS1", "SYS2"]);
    let [new, old] = [&json["holders"][0], &json["holders"][1]];
    assert_eq!((&new["adopted"], &old["until"]["how"]), (&true.into(), &"revoked".into()));
    assert!(text.contains(": another stack proved a younger grant\n"), "{text}");
}

#[test]
fn a_port_of_the_explicit_bind_pool_is_no_port_of_a_list() {
    let place = Place::new();
    place.facility().set_range(Transport::Tcp, Some(PortRange { first: 6_000, count: 100 })).expect("set");
    let mut sys1 = place.stack("SYS1", 1, 0);
    let member = sys1.enter(Target::Pool(Transport::Tcp));
    sys1.enter(list());
    let port = sys1.acquire(member);
    place.close([&mut sys1]);
    let (text, json) = ask(&place, &format!("any:{port}"), &[]);
    is(&json, "held", &["SYS1"]);
    assert!(text.starts_with(&format!("ANY:{port} is held by SYS1.\n")), "{text}");
    is(&ask(&place, &format!("10.1.1.1:{port}"), &[]).1, "free", &[]);
}

/// A wall clock that can be set back.
#[derive(Debug)]
struct Bent {
    boot_ms: AtomicU64,
    wall_ms: AtomicU64,
}

impl Clock for Bent {
    fn boot_ms(&self) -> BootMs {
        BootMs(self.boot_ms.load(Ordering::Relaxed))
    }

    fn wall_ms(&self) -> WallMs {
        WallMs(self.wall_ms.load(Ordering::Relaxed))
    }

    fn boot_id(&self) -> BootId {
        BootId(1)
    }
}

#[test]
fn a_clock_that_was_set_back_is_said_beside_every_time_it_bends() {
    let dir = TempDir::new().expect("a directory");
    let store = dir.path().join("store").to_str().expect("text").to_owned();
    let clock = Arc::new(Bent { boot_ms: AtomicU64::new(1_000), wall_ms: AtomicU64::new(1_700_000_000_000) });
    let machine = Machine { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Machine::real() };
    let options = Options { create: true, quarantine_timer: false, segment_size: 64 << 10, ..Options::default() };
    let facility = Arc::new(LocalFacility::open_on(&machine, Path::new(&store), &options).expect("opens"));
    let identity = Identity { machine: MachineId(1), boot: BootId(1), ..Identity::default() };
    let name = ConnectorName::new("SYS1").expect("valid");
    let connection =
        facility.connect(Introduction { name, identity, promise_ms: 0, enforced: false }).expect("connects");
    let mut ports = PortSet::empty();
    ports.insert_range(5_000, 9_999);
    connection.set_allowable(list().transport(), ports).expect("sets");
    let member = connection.join(list()).expect("joins").value.member;
    let grant = connection.claim(member, 5_001).expect("claimed").value;
    // An hour passes, in which the wall clock is set back by two.
    clock.boot_ms.fetch_add(3_600_000, Ordering::Relaxed);
    clock.wall_ms.fetch_sub(3_600_000, Ordering::Relaxed);
    connection.release(grant.member, grant.group, grant.lsn, grant.mask).expect("released");
    drop(connection);
    let facility = facility as Arc<dyn Facility>;
    drop(facility);
    let (text, json) = ask_in(&store, "10.1.1.1:5001", &[]);
    let (from, until) = (&json["holders"][0]["from"], &json["holders"][0]["until"]);
    assert_eq!((&from["wall"], &from["stood_ms"]), (&until["wall"], &0.into()), "the time of a log never goes back");
    assert_eq!(until["stood_ms"], 3_600_000);
    assert!(text.contains("; the clock was set back, true time about 3600 s later): the stack gave it back"), "{text}");
}
