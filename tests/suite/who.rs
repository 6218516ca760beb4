//! `portplex who` on real stores: made through the library, asked of the binary.

mod forged;
mod gone;
mod live;
mod past;

use super::cli::{exercise, expect, new_store, portplex};
use super::explain::place::{Place, list, name};
use portplex::facility::Facility;
use portplex::ident::BootId;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

/// The clock of a [`Place`] begins here.
const START_MS: u64 = 1_700_000_050_000;

/// Asks a store; the text with the directory left out, and the JSON.
fn ask_in(store: &str, port: &str, arguments: &[&str]) -> (String, Value) {
    let arguments = [&["who", port, "--data", store], arguments].concat();
    let (text, _) = expect(0, &arguments);
    let (json, _) = expect(0, &[&arguments[..], &["--json"]].concat());
    let json: Value = serde_json::from_str(&json).expect("one JSON object");
    assert_eq!(text.lines().next(), json["answer"].as_str(), "the answer comes first");
    for note in json["notes"].as_array().expect("an array") {
        assert!(text.contains(note.as_str().expect("text")), "{text} lacks {note}");
    }
    (text, json)
}

fn ask(place: &Place, port: &str, arguments: &[&str]) -> (String, Value) {
    ask_in(&place.store, port, arguments)
}

/// The port at a time in ms.
fn at(place: &Place, port: &str, ms: u64) -> Value {
    ask(place, port, &["--at", &ms.to_string()]).1
}

/// State and holders, newest first.
fn told(json: &Value) -> (String, Vec<String>) {
    let holders = json["holders"].as_array().expect("an array").iter();
    let names = holders.map(|holder| holder["connector"].as_str().unwrap_or("?").to_owned());
    (json["state"].as_str().expect("text").to_owned(), names.collect())
}

fn is(json: &Value, state: &str, holders: &[&str]) {
    assert_eq!(told(json), (state.to_owned(), holders.iter().map(|name| (*name).to_owned()).collect()), "{json:#}");
}

#[test]
fn a_held_port_is_told_with_grant_release_stack_machine_and_boot() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1.TCPIP", 1, 0);
    let member = sys1.enter(list());
    place.clock.advance(1_000);
    let port = sys1.acquire(member);
    place.clock.advance(4_500);
    sys1.release();
    place.close([&mut sys1]);
    let asked = format!("10.1.1.1:{port}");
    let (group, first, last) = (port / 64, port / 64 * 64, port / 64 * 64 + 63);
    let (text, json) = ask(&place, &asked, &["--at", "2023-11-14T22:14:12Z"]);
    let expected = format!(
        "\
{asked} was held by SYS1.TCPIP at 2023-11-14T22:14:12.000Z.

SYS1.TCPIP, incarnation 1048576
  machine 000000000000535953312e5443504950, boot 00000000000000000000000000000001
  from   2023-11-14T22:14:11.000Z (lsn 1048580): granted; 64 ports of group {group} (ports {first}-{last})
  until  2023-11-14T22:14:15.500Z (lsn 1048581): the stack gave it back
"
    );
    assert_eq!(text, expected);
    let hold = &json["holders"][0];
    assert_eq!((&hold["grant"], &hold["until"]["how"]), (&1_048_580.into(), &"released".into()));
    assert_eq!(hold["from"]["wall_ms"], START_MS + 1_000);
}

#[test]
fn both_ends_are_exact_to_the_millisecond() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1", 1, 0);
    let member = sys1.enter(list());
    place.clock.advance(1_000);
    sys1.claim(member, 5_001);
    place.clock.advance(1_000);
    sys1.release();
    place.close([&mut sys1]);
    for (ms, state, holders) in [
        (START_MS + 999, "free", &[][..]),
        (START_MS + 1_000, "held", &["SYS1"][..]),
        (START_MS + 1_999, "held", &["SYS1"]),
        (START_MS + 2_000, "held", &["SYS1"]),
        (START_MS + 2_001, "quarantined", &[]),
    ] {
        is(&at(&place, "10.1.1.1:5001", ms), state, holders);
    }
    let (text, json) = ask(&place, "10.1.1.1:5001", &["--at", &(START_MS + 999).to_string()]);
    assert!(text.contains("After that:\nSYS1, incarnation 1048576\n"), "{text}");
    assert!(json["before"].is_null() && json["after"]["mask"] == "0x0000000000000200", "{json}");
    let json = at(&place, "10.1.1.1:5001", START_MS + 9_000);
    assert!(json["notes"][0].as_str().expect("a note").starts_with("The log ends before that, at 2023"), "{json}");
}

#[test]
fn two_holders_of_one_group_are_told_apart_by_their_masks() {
    let place = Place::new();
    let (mut sys1, mut sys2) = (place.stack("SYS1", 1, 0), place.stack("SYS2", 1, 0));
    let one = sys1.enter_with(list(), 4_992, 5_010);
    let two = sys2.enter_with(list(), 5_011, 5_055);
    assert_eq!((sys1.acquire(one), sys2.acquire(two)), (4_992, 5_011));
    place.close([&mut sys1, &mut sys2]);
    is(&ask(&place, "10.1.1.1:5010", &[]).1, "held", &["SYS1"]);
    is(&ask(&place, "10.1.1.1:5011", &[]).1, "held", &["SYS2"]);
    let (text, json) = ask(&place, "10.1.1.1:5056", &[]);
    is(&json, "free", &[]);
    assert!(text.starts_with("Nobody holds 10.1.1.1:5056.\n"), "{text}");
}

#[test]
fn a_claimed_port_is_one_bit_and_its_neighbours_are_nobodys() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1", 1, 0);
    let member = sys1.enter(list());
    sys1.claim(member, 5_001);
    place.close([&mut sys1]);
    let (text, json) = ask(&place, "10.1.1.1:5001", &[]);
    is(&json, "held", &["SYS1"]);
    assert!(text.contains(": granted; 1 port of group 78 (ports 4992-5055)\n  until  the end of the log at least"));
    for port in ["10.1.1.1:5000", "10.1.1.1:5002"] {
        is(&ask(&place, port, &[]).1, "free", &[]);
    }
}

#[test]
fn holders_come_newest_first_and_no_more_than_asked_for() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1", 1, 0);
    let member = sys1.enter(list());
    for _ in 0..5 {
        place.clock.advance(1_000);
        sys1.claim(member, 5_001);
        place.clock.advance(1_000);
        sys1.release();
    }
    place.close([&mut sys1]);
    let (text, json) = ask(&place, "10.1.1.1:5001", &["--limit", "2"]);
    is(&json, "quarantined", &["SYS1", "SYS1"]);
    assert_eq!(json["more"], true);
    let from = |place: usize| json["holders"][place]["from"]["wall_ms"].as_u64().expect("a time");
    assert_eq!((from(0), from(1)), (START_MS + 9_000, START_MS + 7_000));
    assert!(text.contains("There are holds before these: --limit shows more."), "{text}");
    // The same stack took it back from its own quarantine.
    assert_eq!(json["holders"][1]["quarantine_until"]["wall_ms"], START_MS + 9_000);
    expect(2, &["who", "10.1.1.1:5001", "--limit", "0"]);
}

#[test]
fn every_way_out_is_told_with_whose_word_it_was() {
    let ways = |lose: &dyn Fn(&Place, &mut super::explain::place::Stack)| {
        let place = Place::new();
        let mut sys1 = place.stack("SYS1", 1, 0);
        let member = sys1.enter(list());
        sys1.claim(member, 5_001);
        place.clock.advance(3_000);
        lose(&place, &mut sys1);
        place.close([&mut sys1]);
        let (text, mut json) = ask(&place, "10.1.1.1:5001", &[]);
        is(&json, "quarantined", &["SYS1"]);
        (text, json["holders"][0].take())
    };
    let (_, hold) = ways(&|_, sys1| {
        sys1.connection().leave(sys1.grants[0].member).expect("left");
    });
    assert_eq!(hold["until"]["how"], "left");
    let (_, hold) = ways(&|_, sys1| {
        sys1.connection().disconnect().expect("disconnected");
    });
    assert_eq!(hold["until"]["how"], "disconnected");
    let (text, hold) = ways(&|place, sys1| {
        let incarnation = sys1.connection().actor().incarnation;
        place.facility().mark_failed(&name("SYS1"), incarnation, &name("ALICE")).expect("marked");
        place.clock.advance(1_000);
        place.facility().clean_up(&name("SYS1"), incarnation, &name("BOB"), true).expect("cleaned up");
    });
    assert_eq!((&hold["until"]["how"], &hold["until"]["by"]), (&"cleaned-up".into(), &"BOB".into()));
    assert_eq!(hold["failed"]["by"], "ALICE");
    assert!(text.contains("(lsn 1048581): failed-persistent, by the word of ALICE\n"), "{text}");
    assert!(text.contains(": cleaned up by the word of BOB, who stated that its boot is dead\n"), "{text}");
    let (_, hold) = ways(&|place, sys1| {
        sys1.introduction.identity.boot = BootId(2);
        sys1.grants.clear();
        sys1.attach(place);
    });
    assert_eq!(hold["until"]["how"], "boot-changed");
    assert!(hold["boot"].as_str().expect("text").ends_with("01"), "the boot that held it: {hold}");
}

#[test]
fn an_attach_under_the_same_boot_ends_nothing() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1", 1, 0);
    let member = sys1.enter(list());
    sys1.claim(member, 5_001);
    place.clock.advance(1_000);
    sys1.attach(&place);
    place.close([&mut sys1]);
    let (text, json) = ask(&place, "10.1.1.1:5001", &[]);
    is(&json, "held", &["SYS1"]);
    assert!(text.contains("SYS1, incarnation 1048576, in the end 10485"), "{text}");
    assert_eq!(json["holders"][0]["newest_incarnation"], 1_048_581);
}

#[test]
fn mistakes_have_their_exit_codes_and_a_store_in_use_is_locked() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1", 1, 0);
    sys1.enter(list());
    let data = place.store.as_str();
    expect(75, &["who", "10.1.1.1:5001", "--data", data]);
    place.close([&mut sys1]);
    for bad in ["10.1.1.1", "SYS1", "10.1.1.1:x", "10.1.1.1:65536", "[10.1.1.1]:5"] {
        expect(2, &["who", bad, "--data", data]);
    }
    for bad in ["now", "2026-11-22", "14:05", ""] {
        expect(2, &["who", "10.1.1.1:5001", "--at", bad, "--data", data]);
    }
    expect(66, &["who", "10.1.1.1:5001", "--data", &format!("{data}-missing")]);
    let (_, stderr) = expect(1, &["who", "10.1.1.2:5001", "--data", data]);
    assert!(stderr.contains("the log names no tcp list of 10.1.1.2; did you mean 10.1.1.1?"), "{stderr}");
    let (_, stderr) = expect(1, &["who", "10.1.1.1:5001", "--data", data, "--transport", "udp"]);
    assert!(stderr.contains("no udp list of 10.1.1.1; there is none at all"), "{stderr}");
    let before = super::cli::bytes_of(Path::new(data));
    ask(&place, "10.1.1.1:5001", &[]);
    assert_eq!(super::cli::bytes_of(Path::new(data)), before, "who changed the directory");
}

#[test]
fn who_agrees_with_explain_of_every_kind_of_port() {
    let dir = TempDir::new().expect("a directory");
    let store = new_store(&dir, "store");
    exercise(&store, 77, 600, 1);
    let (stdout, _) = expect(0, &["display", "groups", "--data", &store, "--json"]);
    let shown: Value = serde_json::from_str(&stdout).expect("one JSON object");
    let mut kinds = std::collections::BTreeSet::new();
    for list in shown["lists"].as_array().expect("an array") {
        let (dvipa, transport) = (list["dvipa"].as_str().expect("text"), list["transport"].as_str().expect("text"));
        for group in list["groups"].as_array().expect("an array").iter().take(3) {
            let first = group["first"].as_u64().expect("a port");
            for port in [first, first + 21, first + 63] {
                let what = if dvipa.contains(':') { format!("[{dvipa}]:{port}") } else { format!("{dvipa}:{port}") };
                let asked = [&what, "--data", &store, "--transport", transport, "--json"];
                let run = |verb: &str| {
                    let output = portplex(&[&[verb], &asked[..]].concat()).output().expect("runs");
                    serde_json::from_slice::<Value>(&output.stdout).expect("one JSON object")
                };
                let (explained, who) = (run("explain"), run("who"));
                let state = who["state"].as_str().expect("text");
                let newest = &who["holders"][0];
                match state {
                    "held" => assert_eq!(newest["grant"], explained["numbers"]["grant"], "{what}"),
                    "quarantined" => assert_eq!(newest["until"]["lsn"], explained["numbers"]["since"], "{what}"),
                    _ => assert!(explained["numbers"]["grant"].is_null(), "{what}"),
                }
                kinds.insert(state.to_owned());
            }
        }
    }
    assert_eq!(kinds.len(), 3, "held, in quarantine and free were all met: {kinds:?}");
}
