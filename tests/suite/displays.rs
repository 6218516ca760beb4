//! The reports that a z/OS network programmer knows: `portplex display` on profiles and dry runs.
//!
//! Profiles, scripts and the expected reports are in `tests/suite/displays`.
#![allow(clippy::disallowed_methods, reason = "tests look at files from outside")]

mod guide;
mod mistakes;

use super::cli::{expect, new_store};
use portplex::facility::{Facility, LocalFacility, Options};
use portplex::ident::Transport;
use portplex::structure::PortRange;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Runs `portplex display` in a directory: exit code, standard output, standard error.
fn display_in(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portplex"));
    command.arg("display").args(arguments).current_dir(dir).env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

/// Where the profiles, the scripts and the expected reports are.
fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/displays")
}

const PROFILES: [&str; 4] =
    ["--profile", "SYS1.TCPIP=sys1.profile", "SYS2.TCPIP=sys2.profile", "SYS3.TCPIP=sys3.profile"];

/// A report on the three profiles, without a word on standard error.
fn report(what: &str, more: &[&str]) -> String {
    let arguments = [&[what], &PROFILES[..], more].concat();
    let (code, stdout, stderr) = display_in(&here(), &arguments);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    stdout
}

fn expected(file: &str) -> String {
    fs::read_to_string(here().join(file)).expect("an expected report")
}

/// Every report, what it is made with, and the file that has it.
const REPORTS: [(&str, &[&str], &str); 13] = [
    ("ports", &[], "ports.txt"),
    ("vipadyn", &["--events", "takeover.events"], "vipadyn.txt"),
    ("vipadcfg", &[], "vipadcfg.txt"),
    ("vipadcfg", &["--detail"], "vipadcfg-detail.txt"),
    ("portlist", &[], "portlist.txt"),
    ("vdpt", &["--events", "day.events"], "vdpt.txt"),
    ("vdpt", &["--events", "day.events", "--detail"], "vdpt-detail.txt"),
    ("vdpt", &["--events", "takeover.events"], "vdpt-takeover.txt"),
    ("vcrt", &["--events", "day.events"], "vcrt.txt"),
    ("vcrt", &["--events", "day.events", "--detail"], "vcrt-detail.txt"),
    ("vcrt", &["--events", "takeover.events"], "vcrt-takeover.txt"),
    ("conn", &["--events", "day.events"], "conn.txt"),
    ("conn", &["--events", "takeover.events"], "conn-takeover.txt"),
];

#[test]
fn every_report_looks_as_its_file_says() {
    for (what, more, file) in REPORTS {
        assert_eq!(report(what, more), expected(file), "{what} {more:?}, {file}");
    }
}

#[test]
fn every_report_says_the_same_as_json() {
    for (what, more, file) in REPORTS.iter().filter(|(_, _, file)| !file.contains('-')) {
        let stdout = report(what, &[&["--json"], *more].concat());
        assert_eq!(stdout.lines().count(), 1, "one line: {stdout}");
        let shown: Value = serde_json::from_str(&stdout).expect("JSON");
        let file = file.replace(".txt", ".json");
        let expected: Value = serde_json::from_str(&expected(&file)).expect("JSON");
        assert_eq!(shown, expected, "{what} {more:?}, {file}");
        assert_eq!(shown["report"], *what);
    }
}

#[test]
fn json_has_every_detail_whether_asked_for_or_not() {
    for what in ["vdpt", "vcrt"] {
        let more = ["--events", "day.events", "--json"];
        assert_eq!(report(what, &more), report(what, &[&more[..], &["--detail"]].concat()));
    }
    assert_eq!(report("vipadcfg", &["--json"]), report("vipadcfg", &["--json", "--detail"]));
    assert!(!report("vipadcfg", &["--json"]).contains("SECRET"));
    assert!(!report("vipadcfg", &["--detail"]).contains("SECRET"));
}

#[test]
fn without_events_all_stacks_have_joined_and_nothing_listens() {
    for (what, said) in [
        ("vdpt", "10.1.1.1..4035         192.168.10.2    0000000000  000  *NA*  100  Roundrobin"),
        ("vcrt", "FROM TCPIP AT SYS2\nno connection\n"),
        ("conn", "CONN FROM TCPIP AT SYS3\nno socket on a DVIPA\n"),
        ("vipadyn", "    TCPIP    SYS1     ACTIVE        BOTH  VIPADEFINE\n"),
    ] {
        let shown = report(what, &[]);
        assert!(shown.contains(said), "{shown}");
        assert!(shown.ends_with("\nNo --events: all stacks have just joined, and no program listens.\n"), "{shown}");
    }
}

#[test]
fn the_active_range_is_that_of_the_structure() {
    let dir = TempDir::new().expect("a directory");
    let store = new_store(&dir, "store");
    let shown = report("ports", &["--data", &store]);
    assert!(shown.ends_with("ACTIVE IN EZBEPORT: NONE\n"), "{shown}");

    let facility = LocalFacility::open(&store, &Options::default()).expect("the store opens");
    let range = PortRange { first: 61_000, count: 512 };
    facility.set_range(Transport::Tcp, Some(range)).expect("in range");
    drop(facility);
    let shown = report("ports", &["--data", &store]);
    assert!(shown.contains("TCPIP    SYS1     61000-61255    256\n"), "{shown}");
    assert!(shown.ends_with("ACTIVE IN EZBEPORT: 61000-61511 (512 PORTS)\n"), "{shown}");
    let (alone, _) = expect(0, &["display", "ports", "--data", &store, "--json"]);
    let said = r#"{"active":{"notices":[],"range":{"first":61000,"last":61511,"ports":512},"structure":"EZBEPORT"},"report":"ports","stacks":[]}"#;
    assert_eq!(alone.trim_end(), said);

    let copy = dir.path().join("copy").to_str().expect("text").to_owned();
    assert!(Command::new("cp").args(["-a", &store, &copy]).status().expect("cp runs").success());
    let shown = report("ports", &["--data", &copy]);
    assert!(shown.contains("*** COPIED, MOVED OR RESTORED"), "{shown}");
}

#[test]
fn a_stack_is_named_by_its_file_unless_it_is_named() {
    let names = |arguments: &[&str]| {
        let (code, stdout, stderr) = display_in(&here(), &[&["portlist", "--json"], arguments].concat());
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
        let shown: Value = serde_json::from_str(&stdout).expect("JSON");
        let stacks = shown["stacks"].as_array().expect("stacks").iter();
        stacks.map(|stack| stack["stack"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["--profile", "sys1.profile", "sys2.profile"]), ["SYS1", "SYS2"]);
    assert_eq!(names(&["--profile", "sys1.profile", "--profile", "b.tcpip=sys2.profile"]), ["SYS1", "B.TCPIP"]);

    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("a=b.profile"), "PORT 1 TCP A").expect("written");
    let file = format!("{}/a=b.profile", dir.path().display());
    assert_eq!(names(&["--profile", &format!("S={file}")]), ["S"]);
}

#[test]
fn data_sets_are_obeyed_in_order_by_the_stack_that_they_name() {
    let dir = TempDir::new().expect("a directory");
    let file = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    file("a.profile", "PORT 80 TCP A");
    file("b.profile", "PORT 80 TCP B");
    file("more", "PORT 81 TCP MORE");
    file("less", "DELETE PORT 81 TCP MORE\nPORT 82 TCP LESS");
    let users = |arguments: &[&str]| {
        let (code, stdout, stderr) = display_in(dir.path(), &[&["portlist", "--json"], arguments].concat());
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
        let shown: Value = serde_json::from_str(&stdout).expect("JSON");
        let stacks = shown["stacks"].as_array().expect("stacks").iter();
        let users = |stack: &Value| {
            let ports = stack["ports"].as_array().expect("ports").iter();
            ports.map(|row| row["user"].as_str().expect("a name").to_owned()).collect::<Vec<_>>().join(" ")
        };
        stacks.map(users).collect::<Vec<_>>()
    };
    assert_eq!(users(&["--profile", "a.profile", "--obey", "more"]), ["A MORE"]);
    assert_eq!(users(&["--profile", "a.profile", "--obey", "more", "less"]), ["A LESS"]);
    let both = ["--profile", "a.profile", "b.profile", "--obey", "B=more", "--obey", "b=less"];
    assert_eq!(users(&both), ["A", "B LESS"]);
}
