//! Backups and restores through the verbs: what was restored waits, for time, for every stack, and
//! for the operator.

use super::super::cli::told::Told;
use super::{bytes_of, connectors, copy, dump, exercise, expect, json, portplex, refused, states, used_store, uuid};
use std::path::Path;
use tempfile::TempDir;

/// Quarantine in ms that everything here runs with: what a restored store waits for.
const QUARANTINE: &str = "50";

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().expect("text").to_owned()
}

/// Without the first line, which has the epoch.
fn state(store: &str) -> String {
    dump(store).split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default()
}

fn resume(code: i32, store: &str, more: &[&str]) -> (String, String) {
    let arguments = ["store", "resume", store, "--by", "alice", "--quarantine", QUARANTINE];
    expect(code, &[&arguments[..], more].concat())
}

/// What an exercise of a stopped store is refused, by name.
fn refusals(store: &str, seed: &str, ops: &str) -> Told {
    let arguments = ["store", "exercise", store, "--seed", seed, "--ops", ops, "--quarantine", QUARANTINE];
    let mut told = Told::default();
    expect(0, &arguments).0.lines().for_each(|line| told.read(line));
    told
}

/// From a store that was just restored to one that grants again, as the guide says it.
fn let_it_go_on(store: &str) {
    assert_eq!(states(store), ["stopped"]);
    let (_, stderr) = resume(1, store, &[]);
    assert!(stderr.contains("have not attached since") || stderr.contains("try again in"), "{stderr}");

    // Every connector attaches; nothing is granted to any of them.
    let told = refusals(store, "31", "60");
    assert!(told.refusals.contains_key("grants-stopped"), "{:?}", told.refusals);
    assert_eq!(states(store), ["stopped"]);

    std::thread::sleep(std::time::Duration::from_millis(300));
    let (told, _) = resume(0, store, &[]);
    assert!(told.contains("granting goes on by the word of ALICE"), "{told}");
    assert_eq!(states(store), Vec::<String>::new());
    let told = refusals(store, "32", "400");
    assert!(!told.refusals.contains_key("grants-stopped"), "{:?}", told.refusals);
    expect(0, &["store", "verify", store]);
}

#[test]
fn a_backup_is_the_store_and_a_restored_one_waits() {
    let dir = TempDir::new().expect("a directory");
    let store = used_store(&dir, "store");
    let (backup, restored) = (path(&dir, "backup"), path(&dir, "restored"));
    let before = bytes_of(Path::new(&store));
    let (told, _) = expect(0, &["store", "backup", &store, &backup]);
    assert!(told.contains("read back and compared") && told.contains("store restore"), "{told}");
    assert!(bytes_of(Path::new(&store)) == before, "a backup only reads");
    assert_eq!(state(&backup), state(&store));
    expect(0, &["store", "verify", &backup]);
    assert_eq!(states(&backup)[0], "copied");
    refused(69, &backup, &["store", "exercise", &backup, "--seed", "1", "--ops", "1"], "store adopt");
    refused(1, &store, &["store", "backup", &store, &backup], &backup);
    refused(1, &store, &["store", "restore", &backup, &store], &store);

    // The original goes on, then is lost.
    exercise(&store, 22, 300, 1);
    assert_ne!(state(&backup), state(&store));
    let kept = bytes_of(Path::new(&backup));
    let (told, _) = expect(0, &["store", "restore", &backup, &restored]);
    assert!(told.contains("it grants nothing yet") && told.contains("store resume"), "{told}");
    assert!(bytes_of(Path::new(&backup)) == kept, "a restore only reads the backup");
    assert_eq!((state(&restored), uuid(&restored)), (state(&backup), uuid(&store)));
    let_it_go_on(&restored);
}

#[test]
fn a_copy_that_is_adopted_as_restored_waits_too() {
    let dir = TempDir::new().expect("a directory");
    let store = used_store(&dir, "store");
    let restored = path(&dir, "restored");
    copy(&store, &restored);
    let held = state(&restored);
    let (told, _) = expect(0, &["store", "adopt", &restored, "--restored"]);
    assert!(told.contains("it grants nothing yet") && told.contains("store resume"), "{told}");
    assert_eq!(state(&restored), held);
    let_it_go_on(&restored);
}

#[test]
fn a_connector_that_never_comes_back_is_cleared_by_word() {
    let dir = TempDir::new().expect("a directory");
    let store = used_store(&dir, "store");
    expect(0, &["store", "adopt", &store, "--restored"]);
    let (_, stderr) = resume(1, &store, &[]);
    assert!(stderr.contains("try again in") || stderr.contains("have not attached"), "{stderr}");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let failure = json(1, &["store", "resume", &store, "--by", "alice", "--quarantine", QUARANTINE]);
    assert_eq!(failure["refusal"], "not-all-attached", "{failure}");
    let again = ["store", "resume", &store, "--by", "alice", "--quarantine", QUARANTINE];
    refused(1, &store, &again, "portplex connector list");
    for (name, (incarnation, state)) in connectors(&store) {
        let about = [store.as_str(), &name, "--incarnation", &incarnation, "--by", "alice"];
        if state == "active" {
            expect(0, &[&["connector", "fail"][..], &about[..]].concat());
        }
        expect(0, &[&["connector", "clean-up"][..], &about[..], &["--boot-is-dead"]].concat());
    }
    resume(0, &store, &[]);
    assert_eq!(states(&store), Vec::<String>::new());
    assert!(connectors(&store).is_empty());
    exercise(&store, 33, 300, 1);
}

#[test]
fn a_restored_store_counts_its_wait_from_its_first_open() {
    let dir = TempDir::new().expect("a directory");
    let store = used_store(&dir, "store");
    expect(0, &["store", "adopt", &store, "--restored"]);
    assert_eq!(states(&store), ["stopped"]);
    let (shown, _) = expect(0, &["display", "structure", "--data", &store]);
    assert!(shown.contains("from the next open on"), "{shown}");
    let failure = json(1, &["store", "resume", &store, "--by", "alice"]);
    assert_eq!(failure["refusal"], "too-early", "the default quarantine is 120 s: {failure}");
    let message = failure["message"].as_str().expect("text");
    assert!(message.contains(&store) && message.contains(" ms"), "{message}");
    let (shown, _) = expect(0, &["display", "structure", "--data", &store]);
    assert!(shown.contains("GRANTING IS STOPPED (restored) since lsn"), "{shown}");
    let status =
        portplex(&["store", "resume", &store, "--by", "alice", "--adopt-reported"]).output().expect("runs").status;
    assert_eq!(status.code(), Some(1), "no word shortens the wait");
}
