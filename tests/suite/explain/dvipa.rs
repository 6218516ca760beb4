//! A DVIPA: its lists, its holders, its profiles, and what is missing.

use super::place::{Place, list};
use portplex::facility::Facility;
use portplex::ident::{Target, Transport};
use portplex::structure::{Policy, PortRange};

#[test]
fn an_open_list_is_told_with_its_holders_and_its_policy() {
    let place = Place::new();
    let (mut sys1, mut sys2) = (place.stack("SYS1.TCPIP", 1, 0), place.stack("SYS2.TCPIP", 1, 0));
    let (one, two) = (sys1.enter(list()), sys2.enter(list()));
    sys1.claim(one, 5_001);
    sys2.claim(two, 5_002);
    sys2.claim(two, 5_003);
    sys2.release();
    let policy = Policy { quota: 640, reserve: 1, quarantine_ms: 90_000, clean_up_ms: 0 };
    place.facility().set_policy(list(), policy).expect("set");
    place.close([&mut sys1, &mut sys2]);
    let expected = "\
10.1.1.1 has an open list: 2 stacks joined, 2 ports held, 1 in quarantine, 65533 free.

Why
  10.1.1.1/tcp is list 0, open: 2 stacks joined, 2 ports held, 1 in quarantine, 65533 free.
  10.1.1.1/tcp, policy: a stack may hold 640 ports, stacks that hold a group leave 1 whole group to those that hold none, quarantine is 90 s.
  10.1.1.1/tcp: SYS1.TCPIP, active, holds 1 port in 1 grant.
  10.1.1.1/tcp: SYS2.TCPIP, active, holds 1 port in 1 grant.

What would change it
  Which groups are in use:
    portplex display groups --data DIR --dvipa 10.1.1.1
";
    let shown = place.explain("10.1.1.1", &[]);
    assert_eq!(shown.text, expected);
    let row = &shown.json["numbers"]["lists"][0];
    assert_eq!((&row["held"], &row["free"], &row["holders"][1]["ports"]), (&2.into(), &65_533.into(), &1.into()));
}

#[test]
fn a_closed_list_is_told_with_what_it_waits_for() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1.TCPIP", 1, 0);
    let member = sys1.enter(list());
    sys1.claim(member, 5_001);
    place.facility().delete(list()).expect("deleted");
    place.close([&mut sys1]);
    let shown = place.explain("10.1.1.1", &[]);
    let says = "10.1.1.1 is closed: it was deleted, and its list goes when nothing of it is held (1 port) or in quarantine (0).";
    assert_eq!(shown.answer(), says);
}

#[test]
fn profiles_say_who_defines_it_and_who_is_missing() {
    let place = Place::new();
    let (mut sys1, mut sys9) = (place.stack("SYS1.TCPIP", 1, 0), place.stack("SYS9.TCPIP", 1, 0));
    sys1.enter(list());
    sys9.enter(list());
    place.close([&mut sys1, &mut sys9]);
    let backup = "VIPADYNAMIC\nVIPABACKUP 7 10.1.1.1\nENDVIPADYNAMIC\n";
    let files = [
        place.profile("sys1.profile", "PORT 7000 TCP A"),
        place.profile("sys2.profile", ""),
        place.file("sys3.profile", backup),
    ];
    let arguments: Vec<&str> = std::iter::once("--profile").chain(files.iter().map(String::as_str)).collect();
    let shown = place.explain("10.1.1.1", &arguments);
    for (code, says) in [
        ("defines", "SYS1.TCPIP defines it (sys1.profile:3) and allows 4999 ports of TCP."),
        ("distributes", "SYS1.TCPIP distributes port 4035 6000 by BASEWLM, with SYSPLEXPORTS (sys1.profile:4)."),
        ("backs-up", "SYS3.TCPIP backs it up with rank 7 (sys3.profile:2) and allows 64512 ports of TCP."),
        ("not-distributed", "SYS3.TCPIP distributes it only once it has taken over, as the owner does."),
        (
            "sysplexports-differs",
            "Of 3 profiles that define it 2 have SYSPLEXPORTS: the other stacks choose its ports by themselves, and may \
             choose the same.",
        ),
        ("not-joined", "SYS2.TCPIP has not joined 10.1.1.1/tcp, though its profile has it."),
        ("no-profile", "SYS9.TCPIP has joined 10.1.1.1/tcp; its profile was not given."),
    ] {
        assert_eq!(shown.says(code), says);
    }
    assert_eq!(shown.cause("distributes")["source"]["line"], 4);
    assert_eq!(shown.commands()[0], "portplex profile check sys1.profile sys2.profile sys3.profile");
}

#[test]
fn without_a_list_it_is_told_what_makes_one() {
    let place = Place::new();
    place.close([]);
    let profile = place.profile("sys1.profile", "");
    let shown = place.explain("10.1.1.1", &["--profile", &profile]);
    assert_eq!(shown.answer(), "10.1.1.1 has no list in DIR yet; 1 profile with SYSPLEXPORTS would make it.");
    let plain = "VIPADYNAMIC\nVIPADEFINE 255.255.255.0 10.1.1.1\nENDVIPADYNAMIC\n";
    let plain = place.file("sys2.profile", plain);
    let shown = place.explain("10.1.1.1", &["--profile", &plain]);
    assert_eq!(shown.answer(), "10.1.1.1 has no list: no profile that is known gives it SYSPLEXPORTS.");
    let says = "SYS2.TCPIP does not distribute it: its ports are that stack's own affair.";
    assert_eq!(shown.says("not-distributed"), says);
    assert!(shown.text.contains("VIPADISTRIBUTE DEFINE SYSPLEXPORTS 10.1.1.1 PORT n DESTIP ALL"), "{}", shown.text);

    let shown = place.explain("10.1.1.1:5000", &["--profile", &profile]);
    assert_eq!(shown.codes(), ["unknown-list", "bind-claim"]);
    let missing = format!("{}-missing", place.store);
    let shown = place.explain_in(&missing, "10.1.1.1:80", &["--profile", &profile]);
    assert_eq!(shown.answer(), "10.1.1.1:80 is in no mask: every profile excludes it.");
    let shown = place.explain_in(&missing, "10.1.1.1:5000", &["--profile", &profile, &plain]);
    assert_eq!(shown.answer(), "10.1.1.1:5000 may be given to 1 of 1 stacks, as far as the profiles say.");
    let shown = place.explain_in(&missing, "10.1.1.1:5000", &["--profile", &plain]);
    assert_eq!(shown.answer(), "10.1.1.1:5000 is not assigned sysplex-wide: no profile has SYSPLEXPORTS for it.");
}

#[test]
fn the_pool_and_both_transports_have_lists_of_their_own() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1.TCPIP", 1, 0);
    sys1.enter(list());
    let udp = Target::List("10.1.1.1".parse().expect("an address"), Transport::Udp);
    let member = sys1.enter(udp);
    sys1.claim(member, 5_001);
    let facility = place.facility();
    facility.set_range(Transport::Tcp, Some(PortRange { first: 62_000, count: 1_024 })).expect("set");
    drop(facility);
    place.close([&mut sys1]);
    let shown = place.explain("10.1.1.1", &[]);
    assert_eq!(shown.answer(), "10.1.1.1 has 2 lists, 1 port held in all.");
    let shown = place.explain("10.1.1.1", &["--transport", "udp"]);
    assert_eq!(shown.answer(), "10.1.1.1 has an open list: 1 stack joined, 1 port held, 0 in quarantine, 65535 free.");
    let shown = place.explain("ANY", &[]);
    assert_eq!(shown.answer(), "The explicit-bind pool has no list: no stack has joined it.");
    assert_eq!(shown.says("range"), "The explicit-bind range in force is 62000-63023, 1024 ports.");
}
