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
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
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
