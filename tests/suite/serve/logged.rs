//! The log of a real service: one line for each event that an operator asks about, none per grant.

use super::{Served, introduction, joined, list, name, structure};
use portplex::facility::Facility;
use portplex::structure::Policy;
use std::collections::BTreeSet;
use tempfile::TempDir;

#[test]
fn every_event_that_an_operator_asks_about_is_one_line_and_no_grant_is() {
    let dir = TempDir::new().expect("a directory");
    let served = Served::one(dir.path());
    let remote = served.remote(structure("EZBEPORT"));
    let (connection, member) = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    for _ in 0..20 {
        connection.acquire(member, 1, 1).expect("granted");
    }
    let (brief, _) = joined(&remote, introduction("SYS2.TCPIP", 2, 200));
    assert_eq!(served.event("expired")["connector"], "SYS2.TCPIP", "nobody renewed its lease");
    let other = portplex::ident::Target::List("10.1.1.2".parse().expect("a DVIPA"), portplex::ident::Transport::Udp);
    remote.define(other).expect("defined");
    remote.set_policy(other, Policy { quota: 640, ..Policy::default() }).expect("set");
    remote.delete(other).expect("deleted");
    let incarnation = connection.actor().incarnation;
    remote.mark_failed(&name("SYS1.TCPIP"), incarnation, &name("ALICE")).expect("marked");
    remote.clean_up(&name("SYS1.TCPIP"), incarnation, &name("ALICE"), true).expect("cleaned up");
    served.json(&["store", "checkpoint"]);
    let checkpoint = served.event("checkpoint");
    assert!(checkpoint["lsn"].is_u64(), "{checkpoint}");
    drop(brief);
    served.signal("-TERM");
    let log = served.log.clone();
    assert_eq!(served.ended().0.code(), Some(0));

    let text = std::fs::read_to_string(log).expect("text");
    let all: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let (audit, lines): (Vec<_>, Vec<_>) = all.into_iter().partition(|line| line["target"] == "portplex::audit");
    let did = |what: &str| audit.iter().any(|line| line["act"] == what || line["what"] == what);
    assert!(
        ["mark a connector failed", "clean up a connector", "define a DVIPA", "checkpoint"]
            .iter()
            .all(|what| did(what)),
        "{text}"
    );
    let of = |event: &str| -> Vec<&serde_json::Value> { lines.iter().filter(|line| line["event"] == event).collect() };
    for (event, count) in [
        ("opened", 1),
        ("listening", 1),
        ("connected", 2),
        ("expired", 1),
        ("marked-failed", 1),
        ("cleaned-up", 1),
        ("defined", 1),
        ("policy-set", 1),
        ("deleted", 1),
        ("draining", 1),
        ("drained", 1),
        ("closed", 1),
    ] {
        assert_eq!(of(event).len(), count, "{event}: {text}");
    }
    assert!(!of("checkpoint").is_empty());
    let known = BTreeSet::from([
        "opened",
        "listening",
        "connected",
        "expired",
        "marked-failed",
        "cleaned-up",
        "defined",
        "policy-set",
        "deleted",
        "checkpoint",
        "draining",
        "drained",
        "closed",
    ]);
    let others: Vec<_> =
        lines.iter().filter(|line| !line["event"].as_str().is_some_and(|event| known.contains(event))).collect();
    assert!(others.is_empty(), "{others:?}");
    let cleaned = of("cleaned-up")[0];
    assert_eq!(
        (&cleaned["connector"], &cleaned["by"], &cleaned["structure"], &cleaned["level"]),
        (&"SYS1.TCPIP".into(), &"ALICE".into(), &"EZBEPORT".into(), &"WARN".into())
    );
    assert_eq!(cleaned["incarnation"], incarnation.0);
    assert_eq!((&of("defined")[0]["dvipa"], &of("defined")[0]["transport"]), (&"10.1.1.2".into(), &"udp".into()));
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["target"] == "portplex::service"), "{text}");
    let _ = list();
}

#[test]
fn segments_are_one_line_each_and_grants_only_at_the_lowest_level() {
    let dir = TempDir::new().expect("a directory");
    let store = dir.path().join("store").display().to_string();
    crate::cli::expect(0, &["store", "init", &store, "--segment-size", "64KiB"]);
    let served =
        Served::start(dir.path(), 1, &["--data", &store, "--listen", "127.0.0.1:0", "--log-level", "trace"], &[]);
    let remote = served.remote(structure("EZBEPORT"));
    let (connection, member) = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    let mut granted = 0;
    for _ in 0..40 {
        let grant = connection.acquire(member, 1, 1).expect("granted").value[0];
        connection.release(member, grant.group, grant.lsn, grant.mask).expect("released");
        granted += 1;
    }
    let of = |event: &str| -> Vec<serde_json::Value> {
        served.events().into_iter().filter(|line| line["event"] == event).collect()
    };
    super::eventually("each grant and each release is a line", || {
        of("granted").len() == granted && of("released").len() == granted
    });
    assert!(of("granted").iter().all(|line| line["level"] == "TRACE" && line["lsn"].is_u64()));
    let first = of("granted")[0]["message"].to_string();
    assert!(first.contains("SYS1.TCPIP") && first.contains("10.1.1.1"), "{first}");
    assert_eq!(of("connected").len(), 1, "nothing is told twice");
    let segment = served.event("segment");
    assert_eq!(segment["level"], "INFO");
    let numbers: BTreeSet<String> = of("segment").iter().map(|line| line["message"].to_string()).collect();
    assert_eq!(numbers.len(), of("segment").len(), "each is told once");
    served.end();
}
