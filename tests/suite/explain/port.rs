//! A port: held, in quarantine, free, in no mask, and what a bind of it would do.

use super::place::{Place, list, name};
use portplex::facility::Facility;
use portplex::ident::{BootId, Incarnation, Target, Transport};
use portplex::structure::{Policy, PortRange};

#[test]
fn a_held_port_is_told_with_holder_time_and_way_out() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1.TCPIP", 1, 30_000);
    let member = sys1.enter(list());
    place.clock.advance(1_000);
    let port = sys1.acquire(member);
    place.close([&mut sys1]);
    let shown = place.explain(&format!("10.1.1.1:{port}"), &[]);
    let (first, last, group) = (port / 64 * 64, port / 64 * 64 + 63, port / 64);
    let expected = format!(
        "\
10.1.1.1:{port} is held by SYS1.TCPIP since 2023-11-14T22:14:11.000Z (lsn 1048580).

Why
  The stack acquired it with group {group} (ports {first}-{last}), and holds all of it.
  SYS1.TCPIP is active: incarnation 1048576, attached 2023-11-14T22:14:10.000Z (lsn 1048576), on machine \
0000000000005359{}. Its lease is 30 s.

What would change it
  SYS1.TCPIP gives ports back by itself once no socket of it uses them.
  If its machine is dead, and only if you know it, say so with your name:
    portplex connector fail DIR SYS1.TCPIP --incarnation 1048576 --by WHO
  Then vouch for it, and what it held goes to quarantine:
    portplex connector clean-up DIR SYS1.TCPIP --incarnation 1048576 --by WHO --boot-is-dead
",
        "53312e5443504950"
    );
    assert_eq!(shown.text, expected);
    let numbers = &shown.json["numbers"];
    assert_eq!((&numbers["grant"], &numbers["held"]), (&1_048_580.into(), &64.into()));
}

#[test]
fn a_claim_is_told_from_an_acquire_that_got_one_port() {
    let place = Place::new();
    let (mut sys1, mut sys2) = (place.stack("SYS1", 1, 0), place.stack("SYS2", 1, 0));
    let member = sys1.enter(list());
    sys1.claim(member, 5_001);
    let member = sys2.enter_with(list(), 5_002, 5_002);
    assert_eq!(sys2.acquire(member), 5_002);
    place.close([&mut sys1, &mut sys2]);
    let shown = place.explain("10.1.1.1:5001", &[]);
    assert_eq!(shown.says("claimed"), "The stack claimed this one port by its number.");
    assert!(shown.says("active").ends_with("It promised no lease, so it never fails by itself."));
    let shown = place.explain("10.1.1.1:5002", &[]);
    let says = "The stack acquired it with group 78 (ports 4992-5055), and holds 1 port of it.";
    assert_eq!(shown.says("acquired"), says);
}

#[test]
fn a_failed_holder_keeps_its_ports_until_somebody_vouches() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1", 1, 0);
    let member = sys1.enter(list());
    sys1.claim(member, 5_001);
    place.clock.advance(2_000);
    let incarnation = sys1.connection().actor().incarnation;
    place.facility().mark_failed(&name("SYS1"), incarnation, &name("ALICE")).expect("marked");
    place.close([&mut sys1]);
    let shown = place.explain("10.1.1.1:5001", &[]);
    let says = shown.says("failed-persistent");
    let begin = "SYS1 is failed-persistent since 2023-11-14T22:14:12.000Z (lsn 1048581) by the word of ALICE, and keeps 1 \
                 port. It was incarnation 1048576, attached 2023-11-14T22:14:10.000Z (lsn 1048576), on machine ";
    assert!(says.starts_with(begin), "{says}");
    let command = "portplex connector clean-up DIR SYS1 --incarnation 1048576 --by WHO --boot-is-dead";
    assert_eq!(shown.commands(), [command]);
}

/// What is said of port 5001 after SYS1 lost it: the answer, the code, why.
fn after(lose: impl FnOnce(&Place, &mut super::place::Stack)) -> super::place::Shown {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1", 1, 0);
    let member = sys1.enter(list());
    sys1.claim(member, 5_001);
    place.clock.advance(3_000);
    lose(&place, &mut sys1);
    place.close([&mut sys1]);
    place.explain("10.1.1.1:5001", &[])
}

#[test]
fn a_released_port_rests_and_its_end_is_told_as_far_as_it_is_known() {
    let shown = after(|_, sys1| sys1.release());
    let expected = "\
10.1.1.1:5001 is in quarantine: SYS1 gave it back at 2023-11-14T22:14:13.000Z (lsn 1048581).

Why
  A release gave it back.
  Its quarantine of 120 s starts again in full at the next open, for the store was last open under another boot of a \
kernel: it ends at the earliest 120 s after the next open.
  Until then only SYS1 may have it, and only under the boot under which it held it: the remote side may still remember \
the connection.

What would change it
  Wait, with a service that has the store open. Nothing shortens a quarantine.
";
    assert_eq!(shown.text, expected);
    assert_eq!(shown.json["numbers"]["since"], 1_048_581);
}

#[test]
fn every_way_into_quarantine_is_told_apart() {
    let shown = after(|_, sys1| {
        sys1.connection().leave(sys1.grants[0].member).expect("left");
    });
    assert_eq!(shown.codes()[0], "left");
    assert!(shown.answer().contains("SYS1 left the list at 2023-11-14T22:14:13.000Z (lsn 1048581)"));

    let shown = after(|_, sys1| {
        sys1.connection().disconnect().expect("disconnected");
    });
    assert_eq!(shown.codes()[0], "disconnected");

    let shown = after(|place, sys1| {
        let incarnation = sys1.connection().actor().incarnation;
        place.facility().mark_failed(&name("SYS1"), incarnation, &name("ALICE")).expect("marked");
        place.facility().clean_up(&name("SYS1"), incarnation, &name("BOB"), true).expect("cleaned up");
    });
    let says = "It was cleaned up by the word of BOB, who stated that its boot is dead.";
    assert_eq!(shown.says("cleaned-up"), says);

    let shown = after(|place, sys1| {
        sys1.introduction.identity.boot = BootId(2);
        sys1.grants.clear();
        sys1.attach(place);
    });
    assert_eq!(shown.codes()[0], "boot-changed");
    assert!(shown.answer().contains("SYS1 came back under another boot at"), "{}", shown.answer());
}

#[test]
fn under_the_same_boot_the_end_is_a_moment_or_past() {
    let place = Place::real();
    let mut sys1 = place.stack("SYS1", 1, 0);
    let member = sys1.enter(list());
    sys1.claim(member, 5_001);
    sys1.release();
    place.close([&mut sys1]);
    let shown = place.ask(&place.store, "10.1.1.1:5001", &[]);
    let says = shown.says("quarantine-end");
    assert!(says.starts_with("Its quarantine of 120 s ends at the earliest at 20"), "{says}");
    assert!(says.contains(" s, while a service has the store open."), "{says}");
    let shown = place.explain("10.1.1.1:5001", &["--quarantine", "1"]);
    let says = "Its quarantine of 1 ms is over: the next service that opens the store ends it, with a record.";
    assert_eq!(shown.says("quarantine-end"), says);
}

#[test]
fn a_free_port_is_free_unless_something_keeps_it_out_of_every_mask() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1.TCPIP", 1, 0);
    sys1.enter(list());
    place.close([&mut sys1]);
    let expected = "\
10.1.1.1:5001 is free.

Why
  Nobody holds it, and it is not in quarantine. Ports of this list that are held: 0; in quarantine: 0.
";
    assert_eq!(place.explain("10.1.1.1:5001", &[]).text, expected);
    let shown = place.explain("10.1.1.1:80", &[]);
    assert_eq!(shown.answer(), "10.1.1.1:80 is free, and in no mask: the only stack that shares it excludes it.");
    assert_eq!(shown.says("not-allowable"), "SYS1.TCPIP does not allow it; --profile SYS1.TCPIP=FILE says why.");

    let place = Place::new();
    place.facility().define(list()).expect("defined");
    place.close([]);
    let more = "PORT 7000 TCP RESERVED
PORTRANGE 7100 10 TCP FTPD*
GLOBALCONFIG EXPLICITBINDPORTRANGE 8000 100";
    let profile = place.profile("sys1.profile", more);
    for (port, code, says) in [
        (0, "port-0", "SYS1.TCPIP never gets port 0: in a bind it stands for any port"),
        (80, "ephemeralports", "SYS1.TCPIP excludes it: EPHEMERALPORTS 5000 9999 leaves it out (sys1.profile:1)"),
        (7_000, "port", "SYS1.TCPIP excludes it: PORT 7000 TCP RESERVED (sys1.profile:6)"),
        (7_105, "portrange", "SYS1.TCPIP excludes it: PORTRANGE 7100 10 TCP FTPD* (sys1.profile:7)"),
        (
            8_099,
            "explicitbindportrange",
            "SYS1.TCPIP excludes it: EXPLICITBINDPORTRANGE 8000 100 keeps it for bind(ANY, 0) (sys1.profile:8)",
        ),
    ] {
        let shown = place.explain(&format!("10.1.1.1:{port}"), &["--profile", &profile]);
        assert_eq!(shown.says(code), says);
        assert!(
            shown.answer().ends_with("is free, and in no mask: the only stack that shares it excludes it."),
            "{port}"
        );
    }
}

#[test]
fn what_the_stack_gave_last_counts_and_a_profile_that_differs_is_said() {
    let place = Place::new();
    let (mut sys1, mut sys2) = (place.stack("SYS1.TCPIP", 1, 0), place.stack("SYS2.TCPIP", 1, 0));
    sys1.enter_with(list(), 7_000, 7_999);
    sys2.connection().join(list()).expect("joined");
    place.close([&mut sys1, &mut sys2]);
    let profile = place.profile("sys1.profile", "PORT 7001 TCP A");
    let shown = place.explain("10.1.1.1:7001", &["--profile", &profile]);
    assert_eq!(shown.answer(), "10.1.1.1:7001 is free, and 1 of 2 stacks may be given it.");
    let says = "SYS1.TCPIP allowed it when it last gave its ports: it ran with another profile.";
    assert_eq!(shown.says("allowable-differs"), says);
    assert_eq!(shown.says("no-allowable-set"), "SYS2.TCPIP has not said which ports it allows.");
    let shown = place.explain("10.1.1.1:6001", &["--profile", &profile]);
    assert_eq!(shown.answer(), "10.1.1.1:6001 is free, and in no mask: all 2 stacks that share it exclude it.");
    let says = "SYS1.TCPIP excluded it when it last gave its ports: it ran with another profile.";
    assert_eq!(shown.says("allowable-differs"), says);
}

#[test]
fn the_pool_and_the_lists_keep_ports_from_each_other() {
    let place = Place::new();
    let (mut sys1, mut sys2) = (place.stack("SYS1", 1, 0), place.stack("SYS2", 1, 0));
    let member = sys1.enter(list());
    sys1.claim(member, 6_001);
    let set = |first| place.facility().set_range(Transport::Tcp, Some(PortRange { first, count: 100 }));
    set(5_500).expect("set");
    let pool = sys2.connection().join(Target::Pool(Transport::Tcp)).expect("joined").value.member;
    let kept = sys2.claim(pool, 5_501);
    set(6_000).expect("set");
    place.close([&mut sys1, &mut sys2]);
    let shown = place.explain(&format!("10.1.1.1:{kept}"), &[]);
    assert_eq!(shown.says("in-pool"), "SYS2 holds it in the explicit-bind pool, from a range that was in force.");
    assert_eq!(shown.answer(), "10.1.1.1:5501 is free, and in no mask: the explicit-bind pool has it.");
    let shown = place.explain("10.1.1.1:6050", &[]);
    let says = "The explicit-bind range in force, 6000-6099, keeps it for bind(ANY, 0) on every stack.";
    assert_eq!(shown.says("explicitbindportrange-in-force"), says);
    let shown = place.explain("ANY:6001", &[]);
    let says = "It is in use in the list of 10.1.1.1/tcp: the pool gives no port that a list has.";
    assert_eq!(shown.says("used-by-list"), says);
    assert_eq!(shown.answer(), "ANY:6001 is free, and the pool does not give it.");
    assert_eq!(place.explain("ANY:7000", &[]).codes(), ["free", "outside-range"]);
    assert_eq!(place.explain("ANY:6002", &[]).answer(), "ANY:6002 is free.");
    assert!(place.explain("ANY:5501", &[]).answer().starts_with("ANY:5501 is held by SYS2 since"));
    let shown = place.explain("10.1.1.1:6001", &["--transport", "udp"]);
    assert_eq!(shown.answer(), "10.1.1.1:6001 (udp) is not assigned by anybody: there is no list of 10.1.1.1/udp.");
}

#[test]
fn a_closed_list_grants_nothing() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1", 1, 0);
    let member = sys1.enter(list());
    sys1.claim(member, 5_001);
    place.facility().delete(list()).expect("deleted");
    place.close([&mut sys1]);
    let shown = place.explain("10.1.1.1:5002", &[]);
    assert_eq!(shown.says("closed"), "The list is closed: its DVIPA was deleted, and nothing is granted.");
}

#[test]
fn a_bind_is_told_for_each_stack_as_the_stack_would_do_it() {
    let place = Place::new();
    let (mut sys1, mut sys2) = (place.stack("SYS1.TCPIP", 1, 0), place.stack("SYS2.TCPIP", 1, 0));
    let mut sys3 = place.stack("SYS3.TCPIP", 1, 0);
    let (one, two) = (sys1.enter(list()), sys2.enter(list()));
    sys1.claim(one, 5_001);
    sys2.claim(two, 5_002);
    sys2.release();
    place.facility().set_policy(list(), Policy { quota: 1, ..Policy::default() }).expect("set");
    place
        .facility()
        .mark_failed(&name("SYS3.TCPIP"), sys3.connection().actor().incarnation, &name("X"))
        .expect("marked");
    assert_ne!(sys1.connection().actor().incarnation, Incarnation(0));
    place.close([&mut sys1, &mut sys2, &mut sys3]);
    let plain = "VIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.1 VIPADISTRIBUTE DEFINE 10.1.1.1 PORT 80 DESTIP ALL ENDVIPADYNAMIC\n";
    let files = [
        place.profile("sys1.profile", "PORT 7000 TCP RSED"),
        place.profile("sys2.profile", ""),
        place.profile("sys3.profile", ""),
        place.file("sys4.profile", plain),
        place.file("sys5.profile", ""),
        place.profile("sys6.profile", ""),
    ];
    let files: Vec<&str> = std::iter::once("--profile").chain(files.iter().map(String::as_str)).collect();
    let binds = |port: u16| {
        let shown = place.explain(&format!("10.1.1.1:{port}"), &files);
        let causes = shown.json["causes"].as_array().expect("an array").clone();
        let texts = causes.iter().map(|cause| cause["text"].as_str().expect("text").to_owned());
        texts.filter_map(|text| text.strip_prefix("A bind on ").map(str::to_owned)).collect::<Vec<_>>()
    };
    let same = |one: &str, two: &str, six: &str| {
        [
            format!("SYS1.TCPIP: {one}."),
            format!("SYS2.TCPIP: {two}."),
            "SYS3.TCPIP: not before it has attached again, it is failed-persistent.".to_owned(),
            "SYS4.TCPIP: done by the stack alone, for 10.1.1.1 has no SYSPLEXPORTS there (sys4.profile:1).".to_owned(),
            "SYS5.TCPIP: left to its kernel, for its profile does not define 10.1.1.1.".to_owned(),
            format!("SYS6.TCPIP: {six}."),
        ]
    };
    assert_eq!(
        binds(5_001),
        same(
            "done from the group that it holds, unless a socket of it has the port",
            "its claim is refused, port 5001 is held, grant 1048584, by SYS1.TCPIP [port-held]",
            "its claim is refused, SYS1.TCPIP holds the port",
        )
    );
    assert_eq!(
        binds(5_002),
        same(
            "its claim is refused, port 5002 is in quarantine since lsn 1048586 [port-quarantined]",
            "its claim of this port is granted",
            "its claim is refused until the quarantine ends",
        )
    );
    assert_eq!(
        binds(5_003),
        same(
            "its claim is refused, quota: 1 of 1 ports held in this list [quota-exceeded]",
            "its claim of this port is granted",
            "a claim, once the stack has connected and joined",
        )
    );
    let at_once = "done at once and without a claim, for it is distributed and listened to on every target";
    assert_eq!(binds(4_035)[0], format!("SYS1.TCPIP: {at_once} (sys1.profile:4)."));
    assert_eq!(binds(6_000)[1], format!("SYS2.TCPIP: {at_once} (sys2.profile:4)."));
    assert_eq!(
        binds(7_000)[..2],
        [
            "SYS1.TCPIP: done at once for job RSED, for which it is reserved (sys1.profile:6).",
            "SYS1.TCPIP: refused for every other job.",
        ]
    );
    assert_eq!(binds(80)[0], "SYS1.TCPIP: refused, its profile excludes the port.");
    assert_eq!(binds(0), Vec::<String>::new());
}
