//! What an operator does when the world around a store is wrong: copies, moves, restores, dead
//! stacks, second agents. Real directories, real processes, the built binary.
#![allow(clippy::disallowed_methods, reason = "tests look at files from outside")]

mod agents;
mod lost;
mod restored;
mod room;

use super::cli::told::Told;
use super::cli::{bytes_of, dump, exercise, expect, new_store, portplex};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A store with a past, closed.
fn used_store(dir: &TempDir, name: &str) -> String {
    let store = new_store(dir, name);
    exercise(&store, 21, 600, 1);
    store
}

/// Copies a directory as an operator would.
fn copy(from: &str, to: &str) {
    let done = Command::new("cp").args(["-a", from, to]).status().expect("cp runs");
    assert!(done.success());
}

fn json(code: i32, arguments: &[&str]) -> Value {
    let (stdout, stderr) = expect(code, &[arguments, &["--json"]].concat());
    let text = if code == 0 { stdout } else { stderr.lines().last().unwrap_or_default().to_owned() };
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

/// The states of the banner that `display` shows.
fn states(store: &str) -> Vec<String> {
    let shown = json(0, &["display", "connectors", "--data", store]);
    let notices = shown["notices"].as_array().expect("an array").clone();
    for what in ["structure", "lists", "connectors", "groups"] {
        let (text, _) = expect(0, &["display", what, "--data", store]);
        for notice in &notices {
            let (text_of, way_out) =
                (notice["text"].as_str().expect("text"), notice["way_out"].as_str().expect("text"));
            assert!(text.contains(text_of) && text.contains(way_out), "display {what} hides {notice}: {text}");
        }
    }
    notices.iter().map(|notice| notice["state"].as_str().expect("text").to_owned()).collect()
}

/// Name to incarnation and state.
fn connectors(store: &str) -> BTreeMap<String, (String, String)> {
    let listed = json(0, &["connector", "list", store]);
    let connectors = listed["connectors"].as_array().expect("an array");
    let row = |row: &Value| {
        let text = |key: &str| row[key].as_str().expect("text").to_owned();
        (text("connector"), (row["incarnation"].to_string(), text("state")))
    };
    connectors.iter().map(row).collect()
}

/// What a list of DVIPAs looks like from outside.
fn lists(store: &str) -> Vec<(Value, Value, Value)> {
    let shown = json(0, &["display", "lists", "--data", store]);
    let row = |list: &Value| (list["dvipa"].clone(), list["transport"].clone(), list["quota"].clone());
    shown["lists"].as_array().expect("an array").iter().map(row).collect()
}

fn uuid(store: &str) -> String {
    json(0, &["store", "verify", store])["uuid"].as_str().expect("text").to_owned()
}

/// Nothing that an operator is refused changes a byte.
fn refused(code: i32, store: &str, arguments: &[&str], says: &str) -> String {
    let before = bytes_of(Path::new(store));
    let (stdout, stderr) = expect(code, arguments);
    assert!(stderr.contains(says), "{arguments:?} does not say {says:?}: {stdout}{stderr}");
    assert!(bytes_of(Path::new(store)) == before, "{arguments:?} changed the directory");
    stderr
}

/// An exercise that runs until it is killed, stopped for a moment once it has answered something.
struct Running(Child);

impl Running {
    fn start(store: &str) -> Self {
        let arguments = ["store", "exercise", store, "--seed", "5", "--ops", "100000000", "--quarantine", "50"];
        let mut child = portplex(&arguments).stdout(Stdio::piped()).spawn().expect("the binary runs");
        let pipe = child.stdout.as_mut().expect("piped");
        for _ in 0..400 {
            BufReader::with_capacity(1, &mut *pipe).read_line(&mut String::new()).expect("it tells");
        }
        Self(child)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).expect("it runs");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_copy_of_a_running_store_writes_nothing_until_it_is_adopted() {
    let dir = TempDir::new().expect("a directory");
    let store = used_store(&dir, "store");
    let copied = dir.path().join("copied").to_str().expect("text").to_owned();
    let running = Running::start(&store);
    running.signal(rustix::process::Signal::STOP);
    copy(&store, &copied);
    running.signal(rustix::process::Signal::CONT);

    let exercise_once = ["store", "exercise", &copied, "--seed", "1", "--ops", "1"];
    let says = refused(69, &copied, &exercise_once, "was copied, moved or restored");
    for way_out in [format!("store adopt {copied} --moved"), "--restored".to_owned(), "--copy".to_owned()] {
        assert!(says.contains(&way_out), "{says}");
    }
    let (name, (incarnation, _)) = connectors(&copied).pop_first().expect("there are connectors");
    let fail = ["connector", "fail", &copied, &name, "--incarnation", &incarnation, "--by", "alice"];
    refused(69, &copied, &fail, "was copied");
    assert_eq!(states(&copied)[0], "copied");
    for verb in [["store", "dump"], ["store", "verify"], ["log", "dump"], ["log", "verify"]] {
        expect(0, &[verb[0], verb[1], &copied]);
    }
    drop(running);
    let mut told = Told::default();
    told.compare(&dump(&store));
    expect(0, &["store", "verify", &store]);

    let (before, defined) = (uuid(&store), lists(&store));
    assert_eq!(uuid(&copied), before, "until then it is the same store");
    assert!(!defined.is_empty());
    let (told, _) = expect(0, &["store", "adopt", &copied, "--copy"]);
    assert!(told.contains("a store of its own without connectors"), "{told}");
    assert_ne!(uuid(&copied), before);
    assert_eq!(connectors(&copied), BTreeMap::new());
    assert_eq!(states(&copied), Vec::<String>::new());
    exercise(&copied, 3, 200, 1);
    exercise(&store, 4, 200, 1);
    assert_eq!(uuid(&store), before);
}

#[test]
fn a_copy_keeps_lists_policies_and_ranges_and_nothing_that_is_held() {
    let dir = TempDir::new().expect("a directory");
    let store = used_store(&dir, "store");
    let copied = dir.path().join("copied").to_str().expect("text").to_owned();
    copy(&store, &copied);
    let kinds = |store: &str, kind: &str| -> Vec<String> {
        let of_kind = format!(r#"{{"kind":"{kind}""#);
        dump(store).lines().filter(|line| line.starts_with(&of_kind)).map(str::to_owned).collect()
    };
    // Lists that a stack's join made are not the operator's.
    let defined = |store: &str| -> Vec<(Value, Value)> {
        let lists = kinds(store, "list").into_iter().map(|row| serde_json::from_str::<Value>(&row).expect("JSON"));
        let of_operator = lists.filter(|list| list["defined"] == true && list["state"] == "open");
        of_operator.map(|list| (list["dvipa"].clone(), list["transport"].clone())).collect()
    };
    let (ranges, policies, lists) = (kinds(&store, "range"), kinds(&store, "policy"), defined(&store));
    assert!(!lists.is_empty());
    expect(0, &["store", "adopt", &copied, "--copy"]);
    assert_eq!((kinds(&copied, "range"), defined(&copied)), (ranges, lists));
    assert!(kinds(&copied, "policy").iter().all(|policy| policies.contains(policy)));
    for kind in ["grant", "quarantine", "connector", "member"] {
        assert_eq!(kinds(&copied, kind), Vec::<String>::new());
    }
    expect(0, &["store", "verify", &copied]);
}

#[test]
fn a_moved_store_goes_on_as_before() {
    let dir = TempDir::new().expect("a directory");
    let store = used_store(&dir, "store");
    let moved = dir.path().join("moved").to_str().expect("text").to_owned();
    let (state, before) = (dump(&store), uuid(&store));
    // As `mv` to another file system does it.
    copy(&store, &moved);
    fs::remove_dir_all(&store).expect("removed");
    refused(69, &moved, &["store", "exercise", &moved, "--seed", "1", "--ops", "1"], "store adopt");
    let (told, _) = expect(0, &["store", "adopt", &moved, "--moved"]);
    assert!(told.contains("adopted as moved"), "{told}");
    assert_eq!((dump(&moved), uuid(&moved)), (state, before));
    assert_eq!(states(&moved), Vec::<String>::new());
    exercise(&moved, 2, 200, 1);
    let renamed = dir.path().join("renamed").to_str().expect("text").to_owned();
    fs::rename(&moved, &renamed).expect("renamed");
    exercise(&renamed, 3, 200, 1);
}

#[test]
fn every_refusal_says_why_and_changes_no_byte() {
    let dir = TempDir::new().expect("a directory");
    let store = used_store(&dir, "store");
    let empty = dir.path().join("empty").to_str().expect("text").to_owned();
    fs::create_dir(&empty).expect("made");
    let connectors = connectors(&store);
    let of_state = |wanted: &str| connectors.iter().find(|(_, (_, state))| state == wanted);
    let (active, (incarnation, _)) = of_state("active").expect("there is an active one");
    let older = (incarnation.parse::<u64>().expect("a number") - 1).to_string();
    let by = ["--by", "alice"];
    let rows: Vec<(i32, Vec<&str>, &str)> = vec![
        (1, vec!["connector", "fail", &store, "NOBODY", "--incarnation", "1"], "who is known: portplex connector list"),
        (1, vec!["connector", "fail", &store, active, "--incarnation", &older], "superseded by incarnation"),
        (
            1,
            vec!["connector", "clean-up", &store, active, "--incarnation", incarnation, "--boot-is-dead"],
            "connector fail",
        ),
        (1, vec!["connector", "clean-up", &store, "NOBODY", "--incarnation", "1"], "no connector"),
        (66, vec!["connector", "fail", &empty, active, "--incarnation", incarnation], "is not a store"),
        (66, vec!["store", "resume", &empty], "is not a store"),
    ];
    for (code, arguments, says) in rows {
        refused(code, &store, &[&arguments[..], &by[..]].concat(), says);
    }
    for (code, arguments, says) in [
        (1, vec!["store", "init", &store], "is a store already"),
        (66, vec!["store", "backup", &empty, "/nowhere"], "is not a store"),
        (66, vec!["store", "adopt", &empty, "--moved"], "is not a store"),
        (66, vec!["connector", "list", &empty], "is not a store"),
        (1, vec!["store", "adopt", &store, "--copy"], "not a copy"),
        (2, vec!["store", "adopt", &store], "--moved"),
        (2, vec!["store", "adopt", &store, "--moved", "--copy"], "cannot be used with"),
        (2, vec!["connector", "fail", &store, active, "--incarnation", "x", "--by", "a"], "connector list"),
        (2, vec!["connector", "fail", &store, active, "--incarnation", "1"], "--by"),
    ] {
        refused(code, &store, &arguments, says);
    }
    let failure = json(1, &["connector", "fail", &store, "NOBODY", "--incarnation", "1", "--by", "alice"]);
    assert_eq!((&failure["refusal"], &failure["exit"]), (&"unknown-connector".into(), &1.into()), "{failure}");
    assert_eq!(fs::read_dir(&empty).expect("readable").count(), 0);
    let (told, _) = expect(0, &["store", "resume", &store, "--by", "alice"]);
    assert!(told.contains("granting is not stopped"), "{told}");
}

#[test]
fn a_store_in_use_turns_every_act_away() {
    let dir = TempDir::new().expect("a directory");
    let store = used_store(&dir, "store");
    let backup = dir.path().join("backup").to_str().expect("text").to_owned();
    let _running = Running::start(&store);
    for arguments in [
        vec!["connector", "list", &store],
        vec!["connector", "fail", &store, "SYS1.TCPIP", "--incarnation", "1", "--by", "alice"],
        vec!["connector", "clean-up", &store, "SYS1.TCPIP", "--incarnation", "1", "--by", "alice", "--boot-is-dead"],
        vec!["store", "resume", &store, "--by", "alice"],
        vec!["store", "backup", &store, &backup],
        vec!["store", "adopt", &store, "--restored"],
    ] {
        let (_, stderr) = expect(75, &arguments);
        assert!(stderr.contains("LOCK is locked by another process"), "{arguments:?}: {stderr}");
    }
    assert!(!Path::new(&backup).exists() || fs::read_dir(&backup).expect("readable").count() == 0);
}

#[test]
fn a_dead_stack_is_cleaned_up_by_word_and_nobody_else_is_touched() {
    let dir = TempDir::new().expect("a directory");
    let store = used_store(&dir, "store");
    let held = |store: &str| -> BTreeMap<String, u64> {
        let listed = json(0, &["connector", "list", store]);
        let rows = listed["connectors"].as_array().expect("an array").iter();
        rows.map(|row| (row["connector"].as_str().expect("text").to_owned(), row["ports"].as_u64().expect("a number")))
            .collect()
    };
    let before = held(&store);
    let listed = connectors(&store);
    let (dead, (incarnation, _)) = listed
        .iter()
        .find(|(name, (_, state))| state == "active" && before[*name] > 0)
        .expect("an active connector holds something");
    let about = [store.as_str(), dead, "--incarnation", incarnation, "--by", "alice"];
    let act = |verb: &str, more: &[&str]| {
        [&["connector", verb][..], &about[..], more].concat().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let run = |code: i32, words: &[String]| expect(code, &words.iter().map(String::as_str).collect::<Vec<_>>());

    let (told, _) = run(0, &act("fail", &[]));
    assert!(told.contains("failed-persistent by the word of ALICE") && told.contains("connector clean-up"), "{told}");
    assert_eq!(held(&store), before, "it keeps what it holds");
    let bytes = bytes_of(Path::new(&store));
    let (told, _) = run(0, &act("fail", &[]));
    assert!(told.contains("nothing was changed"), "{told}");
    assert!(bytes_of(Path::new(&store)) == bytes, "nothing to do opens nothing");
    let words = act("clean-up", &[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    refused(1, &store, &words, "--boot-is-dead");
    run(0, &act("clean-up", &["--boot-is-dead"]));
    let mut left = before.clone();
    left.remove(dead);
    assert_eq!(held(&store), left);
    let words = act("clean-up", &["--boot-is-dead"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    refused(1, &store, &words, "no connector");
    let (log, _) = expect(0, &["log", "dump", &store, "--json"]);
    let by_alice: Vec<&str> = log.lines().filter(|line| line.contains("ALICE")).collect();
    assert_eq!(by_alice.len(), 2, "the log keeps by whose word: {by_alice:?}");
}

#[test]
fn a_file_system_that_loses_data_is_named_and_nothing_more() {
    let place = Path::new("/dev/shm");
    let is_tmpfs = rustix::fs::statfs(place).is_ok_and(|found| found.f_type == 0x0102_1994);
    if !is_tmpfs {
        crate::requirements::say(
            "SKIPPED a_file_system_that_loses_data_is_named_and_nothing_more: /dev/shm is no tmpfs",
        );
        return;
    }
    let dir = tempfile::tempdir_in(place).expect("a directory");
    let store = dir.path().join("store").to_str().expect("text").to_owned();
    let (_, stderr) = expect(0, &["store", "init", &store, "--segment-size", "64KiB"]);
    assert!(stderr.contains("is on tmpfs: ") && stderr.lines().count() == 1, "{stderr}");
    let (_, stderr) = expect(0, &["store", "verify", &store]);
    assert!(stderr.contains("is on tmpfs: "), "{stderr}");
    exercise(&store, 1, 50, 1);
}
