//! The binary as scripts and harnesses use it: exit codes, output, and what survives a kill.
#![allow(clippy::disallowed_methods, reason = "tests look at files and at the clock from outside")]

pub(crate) mod told;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;
use told::Told;

/// Rounds of kill and compare; `.ci/run` asks for more.
const ROUNDS: u64 = 6;

pub(crate) fn portplex(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portplex"));
    command.args(arguments).env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
    command
}

/// Runs and expects an exit code; standard output and standard error.
pub(crate) fn expect(code: i32, arguments: &[&str]) -> (String, String) {
    let Output { status, stdout, stderr } = portplex(arguments).output().expect("the binary runs");
    let (stdout, stderr) = (String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"));
    assert_eq!(status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

pub(crate) fn new_store(dir: &TempDir, name: &str) -> String {
    let path = dir.path().join(name).to_str().expect("text").to_owned();
    expect(0, &["store", "init", &path, "--segment-size", "64KiB"]);
    path
}

pub(crate) fn exercise(store: &str, seed: u64, ops: u64, callers: u32) -> String {
    let (seed, ops, callers) = (seed.to_string(), ops.to_string(), callers.to_string());
    let quarantine = ["--quarantine", "50"];
    let arguments = ["store", "exercise", store, "--seed", &seed, "--ops", &ops, "--callers", &callers];
    expect(0, &[&arguments[..], &quarantine[..]].concat()).0
}

pub(crate) fn dump(store: &str) -> String {
    expect(0, &["store", "dump", store]).0
}

/// Every file below a directory with its bytes.
pub(crate) fn bytes_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("an entry").path();
        let name = path.to_str().expect("text").to_owned();
        if path.is_dir() {
            found.extend(bytes_of(&path));
            found.insert(name, Vec::new());
        } else {
            found.insert(name, fs::read(&path).expect("readable"));
        }
    }
    found
}

#[test]
fn every_mistake_has_its_exit_code_and_changes_nothing() {
    let dir = TempDir::new().expect("a directory");
    let missing = dir.path().join("missing").to_str().expect("text").to_owned();
    for verb in [["store", "dump"], ["store", "verify"], ["log", "dump"], ["log", "verify"]] {
        let (stdout, stderr) = expect(66, &[verb[0], verb[1], &missing]);
        assert_eq!(stdout, "");
        assert!(stderr.contains(&missing) && stderr.contains("store init"), "{stderr}");
    }
    expect(66, &["store", "exercise", &missing, "--seed", "1", "--ops", "1"]);
    let (_, stderr) = expect(66, &["display", "lists", "--data", &missing, "--json"]);
    let error: serde_json::Value = serde_json::from_str(&stderr).expect("one JSON object");
    assert_eq!((&error["error"], &error["exit"]), (&"not-a-store".into(), &66.into()));
    assert!(!Path::new(&missing).exists());

    expect(2, &[]);
    expect(2, &["store", "init"]);
    expect(2, &["store", "init", &missing, "--segment-size", "15KiB"]);
    expect(2, &["store", "init", &missing, "--vtam-group", "1"]);
    expect(2, &["store", "adopt", &missing]);

    let store = new_store(&dir, "store");
    let before = bytes_of(dir.path());
    let (_, stderr) = expect(1, &["store", "init", &store]);
    assert!(stderr.contains("is a store already"), "{stderr}");
    let (_, stderr) = expect(1, &["display", "groups", "--data", &store, "--dvipa", "10.9.9.9"]);
    assert!(stderr.contains("no such list"), "{stderr}");
    assert_eq!(bytes_of(dir.path()), before);
}

#[test]
fn a_structure_is_named_by_its_group_ids_and_its_dump_says_so() {
    let dir = TempDir::new().expect("a directory");
    let store = dir.path().join("store").to_str().expect("text").to_owned();
    let (stdout, _) = expect(0, &["store", "init", &store, "--vtam-group", "11", "--tcp-group", "21", "--json"]);
    assert!(stdout.contains(r#""structure":"EZBEPORT1121""#), "{stdout}");
    assert!(dump(&store).starts_with(r#"{"kind":"structure","name":"EZBEPORT1121","epoch":"#));
    let (stdout, _) = expect(0, &["display", "structure", "--data", &store]);
    assert!(stdout.contains("IST1370I NO STACK IS CONNECTED TO STRUCTURE EZBEPORT1121"), "{stdout}");
}

#[test]
fn one_callers_output_repeats_byte_for_byte_on_equal_stores() {
    let dir = TempDir::new().expect("a directory");
    let stores = ["one", "two"].map(|name| new_store(&dir, name));
    for seed in [11, 12] {
        let [one, two] = stores.each_ref().map(|store| exercise(store, seed, 500, 1));
        assert_eq!(one, two, "seed {seed}");
        assert!(one.contains(r#"{"ready":"#), "quarantine ends in a repeatable run too");
        let last = one.lines().last().expect("lines");
        assert!(last.starts_with(r#"{"summary":{"operations":500,"syncs":"#), "{last}");
    }
    assert_ne!(exercise(&stores[0], 13, 100, 1), exercise(&stores[1], 14, 100, 1));
}

#[test]
fn a_few_hundred_grants_are_held_and_every_kind_of_request_happens() {
    let dir = TempDir::new().expect("a directory");
    let store = new_store(&dir, "store");
    let mut told = Told::default();
    exercise(&store, 1, 6_000, 4).lines().for_each(|line| told.read(line));
    told.compare(&dump(&store));
    for kind in [
        "acquire",
        "claim",
        "release",
        "join",
        "leave",
        "allowable",
        "connect",
        "attach",
        "disconnect",
        "fail",
        "clean-up",
        "define",
        "delete",
        "policy",
        "range",
    ] {
        assert!(told.kinds.get(kind).copied() > Some(0), "no {kind}: {:?}", told.kinds);
    }
    for why in ["exhausted", "port-held", "stale-token"] {
        assert!(told.refusals.contains_key(why), "never {why}: {:?}", told.refusals);
    }
    assert!((150..1_000).contains(&told.held_max), "{} grants", told.held_max);
    assert!(told.readies > 0);
}

#[test]
fn what_was_told_before_a_kill_is_there_after_it() {
    let seed = std::env::var("PORTPLEX_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1_u64);
    let rounds = std::env::var("PORTPLEX_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let dir = TempDir::new().expect("a directory");
    let store = new_store(&dir, "store");
    let mut told = Told::default();
    for round in 0..rounds {
        println!("round {round}, PORTPLEX_SEED={seed}");
        let (stream, callers) = ((seed + round).to_string(), if round % 2 == 0 { "1" } else { "5" });
        let arguments = ["store", "exercise", &store, "--seed", &stream, "--ops", "1000000", "--callers", callers];
        let tuning = ["--quarantine", "20", "--checkpoint-bytes", "256KiB"];
        let mut child =
            portplex(&[&arguments[..], &tuning[..]].concat()).stdout(Stdio::piped()).spawn().expect("the binary runs");
        let lines = 20 + (seed + round).wrapping_mul(0x9e37_79b9_7f4a_7c15) % 2_000;
        read_then_kill(&mut child, lines, &mut told);
        told.compare(&dump(&store));
        expect(0, &["store", "verify", &store]);
    }
}

/// Kills after so many lines, wherever the writer is then, and reads what is left in the pipe.
pub(crate) fn read_then_kill(child: &mut Child, lines: u64, told: &mut Told) {
    let mut pipe = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    for number in 0.. {
        if number == lines {
            child.kill().expect("it was running");
        }
        line.clear();
        let size = pipe.read_line(&mut line).expect("text");
        if size == 0 {
            break;
        }
        if line.ends_with('\n') {
            told.read(line.trim_end());
        }
    }
    let status = child.wait().expect("a child");
    assert_eq!(status.code(), None, "it was killed, and did not end by itself");
}

#[test]
fn reading_verbs_change_no_byte_even_of_a_killed_store() {
    let dir = TempDir::new().expect("a directory");
    let store = new_store(&dir, "store");
    let mut child = portplex(&["store", "exercise", &store, "--seed", "3", "--ops", "1000000"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    read_then_kill(&mut child, 500, &mut Told::default());
    let before = bytes_of(dir.path());
    for what in ["structure", "lists", "connectors", "groups"] {
        let (stdout, _) = expect(0, &["display", what, "--data", &store]);
        assert!(!stdout.contains('\u{1b}'), "no colours in a pipe: {stdout}");
        let (stdout, _) = expect(0, &["display", what, "--data", &store, "--json"]);
        serde_json::from_str::<serde_json::Value>(&stdout).expect("one JSON value");
    }
    for verb in [["store", "dump"], ["store", "verify"], ["log", "dump"], ["log", "verify"]] {
        expect(0, &[verb[0], verb[1], &store]);
        let (stdout, _) = expect(0, &[verb[0], verb[1], &store, "--json"]);
        for line in stdout.lines() {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON on every line");
        }
    }
    assert_eq!(bytes_of(dir.path()), before);
    let once = dump(&store);
    assert_eq!(once, dump(&store), "reading twice gives the same");
}

#[test]
fn a_store_in_use_is_locked_for_readers_and_writers() {
    let dir = TempDir::new().expect("a directory");
    let store = new_store(&dir, "store");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&store, &link).expect("a symlink");
    let mut child = portplex(&["store", "exercise", &store, "--seed", "3", "--ops", "1000000"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut first = [0];
    child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("it has begun");
    for path in [store.as_str(), link.to_str().expect("text")] {
        expect(75, &["store", "dump", path]);
        expect(75, &["log", "verify", path]);
        expect(75, &["display", "groups", "--data", path]);
        expect(75, &["store", "exercise", path, "--seed", "1", "--ops", "1"]);
    }
    read_then_kill_quietly(child);
    expect(0, &["store", "verify", &store]);
}

fn read_then_kill_quietly(mut child: Child) {
    child.kill().expect("it was running");
    child.wait().expect("a child");
}

#[test]
fn a_closed_pipe_is_not_an_error_and_a_full_disk_is() {
    let dir = TempDir::new().expect("a directory");
    let store = new_store(&dir, "store");
    exercise(&store, 5, 2_000, 1);
    for arguments in [
        vec!["log", "dump", &store],
        vec!["store", "dump", &store],
        vec!["store", "exercise", &store, "--seed", "6", "--ops", "100000"],
        vec!["--help"],
    ] {
        let mut child = portplex(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        let Output { status, stderr, .. } = child.wait_with_output().expect("a child");
        let stderr = String::from_utf8_lossy(&stderr);
        assert_eq!((status.code(), stderr.as_ref()), (Some(0), ""), "{arguments:?}");
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux");
    let status = portplex(&["store", "dump", &store]).stdout(full).stderr(Stdio::null()).status().expect("runs");
    assert_eq!(status.code(), Some(73));
    expect(0, &["store", "verify", &store]);
}

#[test]
fn a_moved_store_is_opened_only_after_the_operator_said_so() {
    let dir = TempDir::new().expect("a directory");
    let store = new_store(&dir, "store");
    exercise(&store, 5, 50, 1);
    let told = dump(&store);
    // A move to another file system gives LOCK another inode; so does this.
    let lock = Path::new(&store).join("LOCK");
    let copy = dir.path().join("copy");
    fs::copy(&lock, &copy).and_then(|_| fs::rename(&copy, &lock)).expect("a new LOCK");
    let before = bytes_of(dir.path());
    let (_, stderr) = expect(69, &["store", "exercise", &store, "--seed", "5", "--ops", "1"]);
    assert!(stderr.contains("store adopt"), "{stderr}");
    assert_eq!(bytes_of(dir.path()), before);
    assert_eq!(dump(&store), told, "reading verbs work on any copy");
    expect(0, &["store", "adopt", &store, "--moved"]);
    exercise(&store, 5, 50, 1);
}

#[test]
fn the_readme_has_the_table_of_exit_codes() {
    let (help, _) = expect(0, &["--help"]);
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("a README");
    let codes: Vec<&str> = help.lines().skip_while(|line| *line != "Exit codes:").skip(1).collect();
    assert_eq!(codes.len(), 11, "{help}");
    for line in codes {
        let (code, meaning) = line.trim().split_once("  ").expect("two columns");
        assert!(readme.contains(&format!("| {code} | {meaning} |")), "README lacks: | {code} | {meaning} |");
    }
}
