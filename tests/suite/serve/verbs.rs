//! The operator's verbs on a running service say and do the same as on a closed store.

use super::{Served, eventually, introduction, joined, name, structure};
use crate::cli::{dump, expect};
use portplex::facility::Facility;
use portplex::structure::ConnectorState;
use std::fs;
use tempfile::TempDir;

#[test]
fn what_is_shown_of_a_service_is_what_is_shown_of_its_store() {
    let dir = TempDir::new().expect("a directory");
    let store = dir.path().join("store").display().to_string();
    let served = Served::one(dir.path());
    let remote = served.remote(structure("EZBEPORT"));
    let (a, member) = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    let grants = a.acquire(member, 4, 4).expect("granted").value;
    a.release(member, grants[0].group, grants[0].lsn, grants[0].mask).expect("released");
    let (b, member_b) = joined(&remote, introduction("SYS2.TCPIP", 2, 0));
    b.claim(member_b, 2_000).expect("claimed");
    served.json(&["dvipa", "define", "10.1.1.9"]);
    let port = format!("10.1.1.1:{}", grants[0].group.port_first());

    let views: [&[&str]; 4] =
        [&["display", "lists"], &["display", "connectors"], &["display", "groups"], &["who", &port]];
    let live: Vec<_> = views.iter().map(|view| served.json(view)).collect();
    let texts: Vec<_> = views.iter().map(|view| served.verb(0, view).0).collect();
    let (connectors, lists) = (served.json(&["connector", "list"]), served.json(&["dvipa", "list"]));
    assert_eq!(live[3]["state"], "quarantined");
    assert_eq!(live[3]["holders"][0]["connector"], "SYS1.TCPIP");
    let (_, told) = served.verb(1, &["who", "10.1.1.3:5000"]);
    assert!(told.contains("no tcp list of 10.1.1.3; did you mean 10.1.1.1 or 10.1.1.9?"), "{told}");
    let (told, _) = served.verb(0, &["store", "status"]);
    assert!(told.contains("2 connectors, 2 lists") && told.contains("5 grants"), "{told}");
    served.end();

    for ((view, live), text) in views.iter().zip(&live).zip(&texts) {
        let closed = |more: &[&str]| expect(0, &[view, &["--data", &store][..], more].concat()).0;
        let shown: serde_json::Value = serde_json::from_str(&closed(&["--json"])).expect("JSON");
        assert_eq!(shown, *live, "{view:?}");
        assert_eq!(closed(&[]), *text, "{view:?}");
    }
    let closed = |verb: &[&str]| -> serde_json::Value {
        serde_json::from_str(&expect(0, &[verb, &[&store, "--json"]].concat()).0).expect("JSON")
    };
    assert_eq!(closed(&["connector", "list"]), connectors);
    assert_eq!(closed(&["dvipa", "list"]), lists);
}

#[test]
fn a_backup_of_a_running_service_is_what_it_had_and_can_be_put_back() {
    let dir = TempDir::new().expect("a directory");
    let at = |name: &str| dir.path().join(name).display().to_string();
    let served = Served::one(dir.path());
    let remote = served.remote(structure("EZBEPORT"));
    let (connection, member) = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    connection.acquire(member, 7, 7).expect("granted");
    let made = served.json(&["store", "backup", &at("copy")]);
    let verified: serde_json::Value =
        serde_json::from_str(&expect(0, &["store", "verify", &at("copy"), "--json"]).0).expect("JSON");
    assert_eq!((&verified["lsn"], &verified["digest"]), (&made["lsn"], &made["digest"]));
    connection.acquire(member, 1, 1).expect("it goes on");

    let (_, told) = served.verb(1, &["store", "backup", &at("copy")]);
    assert!(told.contains(&at("copy")), "not into a directory that has something: {told}");
    let (_, told) = served.verb(2, &["store", "backup", "relative"]);
    assert!(told.contains("absolute path"), "{told}");
    served.end();
    expect(0, &["store", "restore", &at("copy"), &at("back")]);
    let shown = |store: &str| dump(store).lines().filter(|line| line.contains("\"kind\":\"grant\"")).count();
    assert_eq!((shown(&at("back")), shown(&at("store"))), (7, 8));
}

#[test]
fn connectors_are_failed_cleaned_up_and_disconnected_by_word_and_by_incarnation() {
    let dir = TempDir::new().expect("a directory");
    let served = Served::one(dir.path());
    let remote = served.remote(structure("EZBEPORT"));
    let (a, _) = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    let (b, _) = joined(&remote, introduction("SYS2.TCPIP", 2, 0));
    let incarnation = |connection: &portplex::facility::Connection| connection.actor().incarnation.0.to_string();
    let (of_a, of_b) = (incarnation(&a), incarnation(&b));
    let by = ["--by", "alice"];
    let act = |code: i32, verb: &str, name: &str, incarnation: &str, more: &[&str]| {
        let words = [&["connector", verb, name, "--incarnation", incarnation][..], &by, more].concat();
        let (out, err) = served.verb(code, &words);
        format!("{out}{err}")
    };
    let told = act(1, "clean-up", "SYS1.TCPIP", &of_a, &["--boot-is-dead"]);
    assert!(told.contains("portplex connector fail SYS1.TCPIP") && told.contains("--service"), "{told}");
    let told = act(0, "fail", "SYS1.TCPIP", &of_a, &[]);
    assert!(told.contains("by the word of ALICE"), "{told}");
    assert!(act(0, "fail", "SYS1.TCPIP", &of_a, &[]).contains("nothing was changed"));
    assert!(act(1, "clean-up", "SYS1.TCPIP", &of_a, &[]).contains("--boot-is-dead"));
    assert!(act(1, "clean-up", "SYS1.TCPIP", "1", &["--boot-is-dead"]).contains("superseded by incarnation"));
    act(0, "clean-up", "SYS1.TCPIP", &of_a, &["--boot-is-dead"]);
    assert_eq!(remote.connector(&name("SYS1.TCPIP")).expect("read"), None);
    act(0, "disconnect", "SYS2.TCPIP", &of_b, &["--boot-is-dead"]);
    assert_eq!(remote.connector(&name("SYS2.TCPIP")).expect("read"), None);
    assert!(act(1, "disconnect", "SYS2.TCPIP", &of_b, &["--boot-is-dead"]).contains("no connector"));
    served.end();
}

#[test]
fn an_orchestrators_list_cleans_up_what_failed_and_leaves_what_may_be_connected() {
    let dir = TempDir::new().expect("a directory");
    let served = Served::one(dir.path());
    let remote = served.remote(structure("EZBEPORT"));
    let stacks: Vec<_> =
        (1..=3).map(|number| joined(&remote, introduction(&format!("SYS{number}.TCPIP"), number, 0))).collect();
    for (connection, member) in &stacks {
        connection.acquire(*member, 1, 1).expect("granted");
    }
    for (number, (connection, _)) in stacks.iter().enumerate().take(2) {
        let name = name(&format!("SYS{}.TCPIP", number + 1));
        remote.mark_failed(&name, connection.actor().incarnation, &name).expect("marked");
    }
    let file = dir.path().join("deleted");
    fs::write(&file, format!("# today\n{:032x}   # SYS1\n{:032x}\nSYS9.TCPIP\n", 1, 3)).expect("written");
    let path = file.display().to_string();
    let words = ["connector", "clean-up", "--gone-from", &path, "--by", "autoscaler"];
    let state =
        |number: u32| remote.connector(&name(&format!("SYS{number}.TCPIP"))).expect("read").map(|status| status.state);
    let (told, _) = served.verb(0, &words);
    assert!(told.contains("would be cleaned up") && told.contains("nothing was changed: say --yes"), "{told}");
    assert!(told.contains("line 4: nothing is connected as SYS9.TCPIP"), "{told}");
    assert_eq!(state(1), Some(ConnectorState::FailedPersistent), "it was only shown");
    let done = served.json(&[&words[..], &["--yes"]].concat());
    let rows: Vec<_> =
        done["connectors"].as_array().expect("an array").iter().map(|row| (&row["connector"], &row["what"])).collect();
    let expected =
        [("SYS1.TCPIP", "cleaned-up"), ("SYS3.TCPIP", "kept")].map(|(name, what)| (name.into(), what.into()));
    assert_eq!(
        rows,
        expected.iter().map(|(name, what): &(serde_json::Value, serde_json::Value)| (name, what)).collect::<Vec<_>>()
    );
    assert_eq!((state(1), state(2)), (None, Some(ConnectorState::FailedPersistent)));
    assert_eq!(state(3), Some(ConnectorState::Active), "its connection stands");
    served.end();
}

#[test]
fn a_list_is_drained_until_its_last_port_is_out_of_quarantine() {
    let dir = TempDir::new().expect("a directory");
    let store = dir.path().join("store").display().to_string();
    let more = ["--init", "--data", &store, "--listen", "127.0.0.1:0", "--set", "store.quarantine=1s"];
    let served = Served::start(dir.path(), 1, &more, &[]);
    let remote = served.remote(structure("EZBEPORT"));
    let (connection, member) = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    let grants = connection.acquire(member, 2, 2).expect("granted").value;
    let drain = served.url();
    let draining = std::thread::spawn(move || expect(0, &["dvipa", "drain", "10.1.1.1", "--service", &drain]).0);
    eventually("the list is closed", || served.json(&["dvipa", "list"])["lists"][0]["state"] == "closed");
    assert!(connection.acquire(member, 1, 1).is_err(), "nothing new is granted");
    for grant in &grants {
        connection.release(member, grant.group, grant.lsn, grant.mask).expect("released");
    }
    let told = draining.join().expect("it ends");
    assert!(told.contains("128 ports held by SYS1.TCPIP 128; 0 in quarantine"), "{told}");
    assert!(told.trim_end().ends_with("10.1.1.1/tcp: empty, the list is gone"), "{told}");
    served.end();
    expect(2, &["dvipa", "drain", &store, "10.1.1.1"]);
}

#[test]
fn policies_and_lists_are_changed_on_a_closed_store_as_on_a_service() {
    let dir = TempDir::new().expect("a directory");
    let store = crate::cli::new_store(&dir, "store");
    expect(0, &["dvipa", "define", &store, "10.1.1.1"]);
    let (told, _) = expect(0, &["dvipa", "define", &store, "10.1.1.1"]);
    assert!(told.contains("was defined already"), "{told}");
    expect(0, &["dvipa", "policy", &store, "10.1.1.1", "--quota", "640", "--quarantine", "240000"]);
    let (_, told) = expect(1, &["dvipa", "policy", &store, "10.1.1.2"]);
    assert!(told.contains("portplex dvipa list"), "{told}");
    let served = Served::start(dir.path(), 1, &["--data", &store, "--listen", "127.0.0.1:0"], &[]);
    let policy = served.json(&["dvipa", "policy", "10.1.1.1", "--reserve", "3"]);
    let parts = ["quota", "reserve", "quarantine_ms"].map(|part| policy[part].as_u64());
    assert_eq!((parts, &policy["changed"]), ([Some(640), Some(3), Some(240_000)], &true.into()));
    assert_eq!(served.json(&["dvipa", "delete", "10.1.1.1"])["changed"], true);
    served.end();
    assert_eq!(expect(0, &["dvipa", "list", &store]).0.matches("10.1.1.1").count(), 0, "it was empty, and went");
}

#[test]
fn who_does_not_answer_is_named() {
    let dir = TempDir::new().expect("a directory");
    let socket = format!("unix:{}/nobody", dir.path().display());
    for verb in [&["store", "status"][..], &["connector", "list"], &["who", "10.1.1.1:5"], &["log", "watch"]] {
        let (_, told) = expect(74, &[verb, &["--service", &socket]].concat());
        assert!(told.contains("no service answers") && told.contains("nobody"), "{verb:?}: {told}");
    }
    let (_, told) = expect(2, &["store", "status", "--service", "nonsense"]);
    assert!(told.contains("is neither https://NAME:PORT"), "{told}");
    let (_, told) = expect(2, &["connector", "list"]);
    assert!(told.contains("--service URL"), "{told}");
    let (_, told) = expect(2, &["connector", "list", "/srv/ports", "--service", &socket]);
    assert!(told.contains("not both"), "{told}");
}
