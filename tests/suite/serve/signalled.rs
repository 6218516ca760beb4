//! Signals to a real service: in order, at once, and again from the configuration.

use super::held::hold;
use super::{Served, eventually, introduction, joined, structure};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use tempfile::TempDir;

#[test]
fn a_peer_that_never_takes_its_answer_holds_the_end_up_and_not_for_ever() {
    let dir = TempDir::new().expect("a directory");
    let served = Served::one(dir.path());
    let remote = served.remote(structure("EZBEPORT"));
    let (connection, member) = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    connection.acquire(member, 3, 3).expect("granted");
    let _peer = hold(&served.door);
    served.signal("-TERM");
    let log = served.log.clone();
    let (status, rest) = served.ended();
    assert_eq!(status.code(), Some(0), "{rest}");
    let log = fs::read_to_string(log).expect("text");
    assert!(log.contains("some callers were not answered in time"), "the drain was held open: {log}");
    let last: serde_json::Value = serde_json::from_str(rest.trim()).expect("one object");
    assert_eq!(last["ended"], "in order");
    assert!(last["checkpoint_lsn"].is_u64(), "{last}");
}

#[test]
fn a_second_signal_ends_it_at_once_and_nothing_acknowledged_is_lost() {
    let dir = TempDir::new().expect("a directory");
    let served = Served::one(dir.path());
    let remote = served.remote(structure("EZBEPORT"));
    let (connection, member) = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    let granted = connection.acquire(member, 3, 3).expect("granted");
    let _peer = hold(&served.door);
    served.signal("-TERM");
    served.event("draining");
    served.signal("-TERM");
    let (status, rest) = served.ended();
    // As a shell counts: 128 and the signal's number.
    assert_eq!(status.code(), Some(143), "{status:?} {:?}: {rest}", status.signal());
    let served = Served::one(dir.path());
    assert!(served.told[0]["recovery"]["last_lsn"].as_u64() >= Some(granted.lsn.0));
    served.end();
}

#[test]
fn a_reload_takes_what_it_can_says_what_waits_and_survives_a_mistake() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("portplex.toml");
    let (path, store) = (file.display().to_string(), dir.path().join("store").display().to_string());
    let head = format!("init = true\nlisten = [\"http://127.0.0.1:0\"]\n[[structure]]\ndata = {store:?}\n");
    fs::write(&file, format!("{head}[log]\nformat = \"json\"\n")).expect("written");
    let served = Served::start(dir.path(), 1, &["--config", &path], &[]);
    fs::write(&file, format!("{head}[log]\nlevel = \"debug\"\n[store]\nquarantine = \"9s\"\n")).expect("written");
    served.signal("-HUP");
    let told = served.event("reloaded");
    let text = told["message"].as_str().expect("text");
    assert!(text.contains("in force now: log.level"), "{text}");
    let told = served.event("needs-restart");
    assert_eq!(told["message"], "needs a restart: store.quarantine (now \"2m\", file says \"9s\")");
    let remote = served.remote(structure("EZBEPORT"));
    let _joined = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    assert_eq!(served.event("joined")["level"], "DEBUG", "the level is in force");

    fs::write(&file, "nonsense = 1\n").expect("written");
    served.signal("-HUP");
    let told = served.event("reload-failed");
    assert!(
        told["message"].as_str().is_some_and(|text| text.contains("portplex.toml:1: nonsense is no key")),
        "{told}"
    );
    eventually("it goes on", || served.json(&["store", "status"])["connectors"] == 1);
    served.end();
}
