//! A stack: why it gets no port, in the numbers that the structure itself would answer.

use super::place::{Place, Shown, Stack, list, name};
use portplex::facility::{CallError, Facility};
use portplex::ident::{Target, Transport};
use portplex::structure::{Member, Policy, Refusal};

/// Asks the facility itself, then `explain`: the same refusal.
fn refused(place: &Place, sys1: &mut Stack, others: &mut Stack, member: Member) -> (Refusal, Shown) {
    let Err(CallError::Refused(refusal)) = sys1.connection().acquire(member, 1, 1) else {
        panic!("it was granted");
    };
    place.close([sys1, others]);
    let shown = place.explain("SYS1.TCPIP", &[]);
    let row = &shown.json["numbers"]["lists"][0];
    assert_eq!(row["refusal"], refusal.name(), "{row}");
    (refusal, shown)
}

/// Two stacks in the list, each with 64 ports allowable; the second one holds 1 port of them.
fn two() -> (Place, Stack, Stack, Member) {
    let place = Place::new();
    let (sys1, mut sys2) = (place.stack("SYS1.TCPIP", 1, 0), place.stack("SYS2.TCPIP", 1, 0));
    let member = sys1.enter_with(list(), 5_056, 5_119);
    let other = sys2.enter_with(list(), 5_056, 5_200);
    sys2.claim(other, 5_056);
    (place, sys1, sys2, member)
}

/// Free, held, quarantined, excluded; of those held and quarantined what the asker might have.
fn exhausted(counts: [u32; 4], allowable_held: u32, allowable_quarantined: u32) -> Refusal {
    let [free, held, quarantined, excluded] = counts;
    Refusal::Exhausted { free, held, quarantined, excluded, allowable_held, allowable_quarantined }
}

#[test]
fn a_stack_that_lacks_nothing_is_told_so_with_numbers() {
    let (place, mut sys1, mut sys2, _) = two();
    place.close([&mut sys1, &mut sys2]);
    let shown = place.explain("SYS1.TCPIP", &[]);
    let expected = "\
SYS1.TCPIP can be granted ports of its list, once a service has the store open and it has attached.

Why
  SYS1.TCPIP is active: incarnation 1048576, attached 2023-11-14T22:14:10.000Z (lsn 1048576), on machine \
000000000000535953312e5443504950. It promised no lease, so it never fails by itself.
  10.1.1.1/tcp: a next group would bring 63 ports. It holds 0 ports in 0 grants. Of the 65536 ports 1 are held, 0 in \
quarantine, 65472 free but excluded for it, 63 free and allowable.
";
    assert_eq!(shown.text, expected);
    let shown = place.explain("SYS2.TCPIP", &[]);
    let row = &shown.json["numbers"]["lists"][0];
    let expected = serde_json::json!({"list": "10.1.1.1/tcp", "ports": 1, "grants": 1, "held": 1, "quarantined": 0,
        "excluded": 65_536 - 145, "free": 144, "refusal": null});
    assert_eq!(*row, expected);
}

#[test]
fn a_full_list_is_told_with_the_numbers_of_the_refusal() {
    let (place, mut sys1, mut sys2, member) = two();
    sys1.acquire(member);
    sys1.release();
    // Its own quarantine it may take back; that of the other it may not.
    sys1.acquire(member);
    sys2.release();
    let (refusal, shown) = refused(&place, &mut sys1, &mut sys2, member);
    let expected = exhausted([0, 63, 1, 65_472], 63, 1);
    assert_eq!(refusal, expected);
    let row = &shown.json["numbers"]["lists"][0];
    let of_row = |key: &str| u32::try_from(row[key].as_u64().expect("a number")).expect("small");
    let told = ["free", "held", "quarantined", "excluded"].map(of_row);
    assert_eq!(exhausted(told, 63, 1), expected);
    assert_eq!(shown.answer(), "SYS1.TCPIP gets no new port of 10.1.1.1/tcp: the list is full for it.");
    assert_eq!(shown.says("holders"), "10.1.1.1/tcp: most ports are held by SYS1.TCPIP 63.");
    assert!(shown.text.contains("10.1.1.1/tcp: ports that are free again when their quarantine ends: 1."));
    assert!(shown.text.contains("free ports are excluded for this stack: 65472"), "{}", shown.text);
    assert_eq!(shown.commands(), ["portplex display lists --data DIR"]);

    let profile = place.profile("sys1.profile", "PORT 7000 TCP A\n7001 TCP B\nPORTRANGE 60000 9 TCP C");
    let shown = place.explain("SYS1.TCPIP", &["--profile", &profile]);
    let says = "Its profile allows 4998 TCP ports: EPHEMERALPORTS 5000 9999 (sys1.profile:1), PORT and PORTRANGE take 2 \
                ports in 2 entries.";
    assert_eq!(shown.says("allowable"), says);
    let says = "The store has 64 TCP ports as allowable for it, sys1.profile allows 4998: the stack last gave others than \
                this profile does.";
    assert_eq!(shown.says("allowable-differs"), says);
}

#[test]
fn a_quota_and_a_reserve_are_told_from_a_full_list() {
    let (place, mut sys1, mut sys2, member) = two();
    sys1.claim(member, 5_060);
    place.facility().set_policy(list(), Policy { quota: 1, ..Policy::default() }).expect("set");
    let (_, shown) = refused(&place, &mut sys1, &mut sys2, member);
    assert_eq!(shown.answer(), "SYS1.TCPIP gets no new port of 10.1.1.1/tcp: its quota is used up, 1 of 1 ports.");
    let row = &shown.json["numbers"]["lists"][0];
    assert_eq!((&row["free"], &row["held"]), (&62.into(), &2.into()), "also behind a quota the counts are known");

    let place = Place::new();
    let (mut sys1, mut sys2) = (place.stack("SYS1.TCPIP", 1, 0), place.stack("SYS2.TCPIP", 1, 0));
    let member = sys1.enter_with(list(), 5_056, 5_183);
    sys1.acquire(member);
    place.facility().set_policy(list(), Policy { reserve: 1, ..Policy::default() }).expect("set");
    let (_, shown) = refused(&place, &mut sys1, &mut sys2, member);
    let says = "SYS1.TCPIP gets no new port of 10.1.1.1/tcp: only the reserve of 1 whole group is left, for stacks that \
                hold none.";
    assert_eq!(shown.answer(), says);
    assert_eq!(shown.json["numbers"]["lists"][0]["free"], 64);
}

#[test]
fn a_closed_list_and_a_stack_without_allowable_ports_are_named() {
    let (place, mut sys1, mut sys2, member) = two();
    place.facility().delete(list()).expect("deleted");
    let (_, shown) = refused(&place, &mut sys1, &mut sys2, member);
    let says = "SYS1.TCPIP gets no new port of 10.1.1.1/tcp: the list is closed, for its DVIPA was deleted.";
    assert_eq!(shown.answer(), says);
    assert_eq!(shown.json["numbers"]["lists"][0]["free"], 63);

    let place = Place::new();
    let (mut sys1, mut sys2) = (place.stack("SYS1.TCPIP", 1, 0), place.stack("SYS2.TCPIP", 1, 0));
    let member = sys1.connection().join(list()).expect("joined").value.member;
    let (_, shown) = refused(&place, &mut sys1, &mut sys2, member);
    assert!(shown.answer().ends_with("it has not said which ports it allows."), "{}", shown.answer());
    assert_eq!(shown.json["numbers"]["lists"][0]["free"], serde_json::Value::Null);

    let shown = place.explain("SYS2.TCPIP", &[]);
    assert_eq!(shown.answer(), "SYS2.TCPIP gets no port: it has joined no list.");
    let profile = place.profile("sys2.profile", "");
    let shown = place.explain("SYS2.TCPIP", &["--profile", &profile]);
    let says = "It has not joined 10.1.1.1/tcp, though its profile has SYSPLEXPORTS (sys2.profile:4).";
    assert_eq!(shown.says("not-joined"), says);
}

#[test]
fn of_several_lists_the_refused_ones_are_counted() {
    let (place, mut sys1, mut sys2, _) = two();
    let second = Target::List("10.1.1.2".parse().expect("an address"), Transport::Tcp);
    let udp = Target::List("10.1.1.1".parse().expect("an address"), Transport::Udp);
    sys1.enter_with(second, 5_056, 5_119);
    sys1.enter_with(udp, 5_056, 5_119);
    place.close([&mut sys1, &mut sys2]);
    let shown = place.explain("SYS1.TCPIP", &[]);
    assert_eq!(
        shown.answer(),
        "SYS1.TCPIP can be granted ports of its 3 lists, once a service has the store open and it has attached."
    );
    assert_eq!(
        place.explain("SYS1.TCPIP", &["--transport", "udp"]).json["numbers"]["lists"].as_array().map(Vec::len),
        Some(1)
    );

    let (place, mut sys1, mut sys2, _) = two();
    sys1.enter_with(second, 5_056, 5_119);
    let taken = sys2.enter_with(second, 5_056, 5_119);
    sys2.acquire(taken);
    place.facility().set_policy(list(), Policy { quota: 1, ..Policy::default() }).expect("set");
    place.close([&mut sys1, &mut sys2]);
    let shown = place.explain("SYS2.TCPIP", &[]);
    let says = "SYS2.TCPIP gets no new port of 2 of its 2 lists: of 10.1.1.1/tcp, its quota is used up, 1 of 1 ports.";
    assert_eq!(shown.answer(), says);
    assert_eq!(shown.codes()[1..3], ["quota-exceeded", "exhausted"]);
}

#[test]
fn a_failed_stack_is_told_what_it_takes() {
    let (place, mut sys1, mut sys2, member) = two();
    sys1.acquire(member);
    let incarnation = sys1.connection().actor().incarnation;
    place.facility().mark_failed(&name("SYS1.TCPIP"), incarnation, &name("ALICE")).expect("marked");
    place.close([&mut sys1, &mut sys2]);
    let shown = place.explain("SYS1.TCPIP", &[]);
    let says = "SYS1.TCPIP gets no port: it is failed-persistent since 2023-11-14T22:14:10.000Z (lsn 1048586) by the word of \
                ALICE, and keeps 63 ports.";
    assert_eq!(shown.answer(), says);
    assert_eq!(
        shown.commands(),
        ["portplex connector clean-up DIR SYS1.TCPIP --incarnation 1048576 --by WHO --boot-is-dead"]
    );
    assert_eq!(shown.json["numbers"]["lists"][0]["free"], 0, "the counts are as if it were there");
}

#[test]
fn a_lease_that_ran_out_is_told_from_a_word() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1.TCPIP", 1, 1_000);
    sys1.enter(list());
    // The facility listens all the while; the time passes in steps that are no pause of it.
    let start = std::time::Instant::now();
    let state = || place.facility().connector(&name("SYS1.TCPIP")).expect("answered").expect("there").state;
    while state() == portplex::structure::ConnectorState::Active {
        place.clock.advance(50);
        assert!(start.elapsed().as_secs() < 60, "its lease runs out");
    }
    place.close([&mut sys1]);
    let shown = place.explain("SYS1.TCPIP", &[]);
    assert!(shown.answer().contains("because its lease ran out, and keeps 0 ports."), "{}", shown.answer());
}

#[test]
fn a_stack_that_is_gone_or_never_was_is_told_from_what_is_left_of_it() {
    let (place, mut sys1, mut sys2, _) = two();
    sys2.connection().disconnect().expect("disconnected");
    place.close([&mut sys1, &mut sys2]);
    let shown = place.explain("SYS2.TCPIP", &[]);
    let says = "SYS2.TCPIP is not connected: it disconnected at 2023-11-14T22:14:10.000Z (lsn 1048585).";
    assert_eq!(shown.answer(), says);
    assert_eq!(shown.json["numbers"]["quarantined"], 1);

    let profile = place.profile("sys3.profile", "");
    let shown = place.explain("SYS3.TCPIP", &["--profile", &profile]);
    assert_eq!(
        shown.answer(),
        "SYS3.TCPIP gets no port: it is not connected to the structure in DIR; sys3.profile is its profile."
    );
    assert_eq!(shown.codes(), ["unknown-connector", "sysplexports", "allowable"]);
    let plain = place.file("sys4.profile", "PORT 80 TCP WEB\n");
    let shown = place.explain("SYS4.TCPIP", &["--profile", &plain]);
    let says = "No DVIPA of sys4.profile has SYSPLEXPORTS: its stack never connects to the structure.";
    assert_eq!(shown.says("no-sysplexports"), says);
    let missing = format!("{}-missing", place.store);
    let shown = place.explain_in(&missing, "SYS3.TCPIP", &["--profile", &profile]);
    assert_eq!(shown.answer(), "SYS3.TCPIP is known from its profile alone, sys3.profile.");
}

#[test]
fn also_where_every_group_has_a_port_for_it_the_counts_are_exact() {
    let place = Place::new();
    let (mut sys1, mut sys2) = (place.stack("SYS1.TCPIP", 1, 0), place.stack("SYS2.TCPIP", 1, 0));
    let member = sys1.enter_with(list(), 1, 65_535);
    let other = sys2.enter_with(list(), 640, 703);
    // Of this group only a port is left that this stack, and no other, may take out of quarantine.
    sys1.claim(member, 700);
    sys2.acquire(other);
    sys1.release();
    place.close([&mut sys1, &mut sys2]);
    let row = place.explain("SYS1.TCPIP", &[]).json["numbers"]["lists"][0].clone();
    let counts = ["held", "quarantined", "excluded", "free"].map(|key| row[key].as_u64().expect("a number"));
    assert_eq!(counts, [63, 1, 1, 65_471]);
}
