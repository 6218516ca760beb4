//! Answers against what is known otherwise: `portplex display` of the closed store, and who was granted
//! what.

use super::*;
use portplex::facility::Facility;
use std::collections::BTreeSet;
use std::process::Command;

fn displayed(store: &Path, what: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portplex"));
    let output = command.args(["display", what, "--json", "--data"]).arg(store).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Every key of `said` is in `got` with the same value; `got` may say more.
fn covers(got: &Value, said: &Value, place: &str) {
    match (got, said) {
        (Value::Object(got), Value::Object(said)) => {
            for (key, value) in said {
                covers(got.get(key).unwrap_or(&Value::Null), value, &format!("{place}.{key}"));
            }
        }
        (Value::Array(got), Value::Array(said)) => {
            assert_eq!(got.len(), said.len(), "{place}");
            for (number, (got, said)) in got.iter().zip(said).enumerate() {
                covers(got, said, &format!("{place}[{number}]"));
            }
        }
        _ => assert_eq!(got, said, "{place}"),
    }
}

/// All pages put together.
fn pages(served: &Served, path: &str, rows: &str, limit: u32) -> Value {
    let (mut all, mut from, mut first) = (Vec::new(), Value::from(0), Value::Null);
    while !from.is_null() {
        let page = served.json(&format!("{path}?limit={limit}&from={from}"));
        let shown = page[rows].as_array().expect("rows");
        assert!(shown.len() <= limit as usize);
        all.extend(shown.iter().cloned());
        from = page["next"].clone();
        first = if first.is_null() { page } else { first };
    }
    first[rows] = all.into();
    first
}

#[test]
fn the_service_says_of_an_open_store_what_display_says_of_it_once_it_is_closed() {
    let mut random = Random::seeded(11);
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    let stacks = random_store(&served, &mut random, 400);
    // From here on nothing happens: quarantine does not end by itself in this test.
    let lists = pages(&served, "/lists", "lists", 2);
    let connectors = pages(&served, "/connectors", "connectors", 4);
    let whole = served.json("");
    let mut groups = Vec::new();
    for list in lists["lists"].as_array().expect("rows") {
        let (dvipa, transport) = (list["dvipa"].as_str().expect("text"), list["transport"].as_str().expect("text"));
        let path = format!("/lists/{dvipa}/{transport}");
        covers(&served.json(&path), list, "one list");
        groups.push(pages(&served, &format!("{path}/groups"), "groups", 7));
    }
    for one in connectors["connectors"].as_array().expect("rows") {
        let name = one["connector"].as_str().expect("text");
        covers(&served.json(&format!("/connectors/{name}")), one, "one connector");
    }
    drop(stacks);
    served.stop();
    let store = dir.path().join("store");
    covers(&lists, &remove(displayed(&store, "lists"), &["notices", "ranges"]), "lists");
    covers(&connectors, &remove(displayed(&store, "connectors"), &["notices"]), "connectors");
    let said = displayed(&store, "groups");
    assert_eq!(said["lsn"], groups[0]["lsn"], "nothing happened in between");
    covers(&groups.into(), &said["lists"], "groups");
    let said = displayed(&store, "structure");
    for key in ["structure", "lsn", "epoch", "groups_in_use", "groups_max"] {
        assert_eq!(whole[key], said[key], "{key}");
    }
    covers(&whole["ranges"], &said["ranges"], "ranges");
}

fn remove(mut from: Value, keys: &[&str]) -> Value {
    for key in keys {
        from.as_object_mut().expect("an object").remove(*key);
    }
    from
}

#[test]
fn what_was_acknowledged_before_a_question_is_in_its_answer() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    let mut stack = Stack::connect(served.facility(), "SYS1.TCPIP");
    let member = stack.member(list(1));
    for _ in 0..60 {
        let grant = stack.connection.acquire(member, 1, 1).expect("granted").value[0];
        let port = grant.group.port_first() + 5;
        let owner = served.json(&format!("/lists/10.1.1.1/tcp/ports/{port}"));
        assert_eq!((&owner["state"], &owner["connector"]), (&"held".into(), &"SYS1.TCPIP".into()), "{owner}");
        assert_eq!(owner["since_lsn"], grant.lsn.0);
        assert!(owner["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{owner}");
        stack.connection.release(member, grant.group, grant.lsn, grant.mask).expect("released");
        let owner = served.json(&format!("/lists/10.1.1.1/tcp/ports/{port}"));
        assert_eq!((&owner["state"], &owner["connector"]), (&"quarantined".into(), &"SYS1.TCPIP".into()), "{owner}");
        assert!(owner["ends"].as_str() > owner["since"].as_str(), "{owner}");
    }
    drop(stack);
    served.stop();
}

#[test]
fn every_port_has_the_owner_that_the_facility_names() {
    use portplex::structure::PortOwner;
    let mut random = Random::seeded(12);
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    let stacks = random_store(&served, &mut random, 300);
    let mut seen = BTreeSet::new();
    for _ in 0..300 {
        let (target, port) = (*random.pick(&[list(1), list(2)]), u16::try_from(random.below(5_000)).expect("a port"));
        let got = served.json(&format!("/lists/{}/tcp/ports/{port}", target.dvipa_text()));
        let (state, connector, lsn) = match served.facility().owner(target, port).expect("answered") {
            PortOwner::Held { connector, grant, .. } => ("held", Some(connector), Some(grant.0)),
            PortOwner::Quarantined { connector, since } => ("quarantined", Some(connector), Some(since.0)),
            PortOwner::Free | PortOwner::NoList => ("free", None, None),
        };
        seen.insert(state);
        assert_eq!(got["state"], state, "{port}");
        assert_eq!(got["connector"].as_str(), connector.as_ref().map(ConnectorName::as_str));
        assert_eq!(got["since_lsn"].as_u64(), lsn);
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    drop(stacks);
    served.stop();
}

#[test]
fn an_answer_that_is_known_is_not_sent_again_until_something_happens() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    let mut stack = Stack::connect(served.facility(), "SYS1.TCPIP");
    let member = stack.member(list(1));
    let path = "/v1/structures/EZBEPORT1121/lists/10.1.1.1/tcp";
    let got = served.get(path);
    let tag = got.header("etag").expect("a tag").to_owned();
    let again = served.ask("GET", path, &[("if-none-match", &tag)]);
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    stack.connection.acquire(member, 1, 1).expect("granted");
    let changed = served.ask("GET", path, &[("if-none-match", &tag)]);
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    drop(stack);
    served.stop();
}

#[test]
fn what_an_operator_should_heed_is_said_with_a_way_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    let codes = || -> Vec<(String, String)> {
        let told = served.json("/warnings");
        let rows = told["warnings"].as_array().expect("rows").clone();
        let text = |row: &Value, key: &str| row[key].as_str().expect("text").to_owned();
        assert!(rows.iter().all(|row| !text(row, "way_out").is_empty()));
        rows.iter().map(|row| (text(row, "code"), text(row, "level"))).collect()
    };
    assert_eq!(codes(), []);
    let stack = Stack::connect(served.facility(), "SYS1.TCPIP");
    let mut ports = PortSet::empty();
    ports.insert_range(6_400, 7_039);
    stack.connection.set_allowable(Transport::Tcp, ports).expect("set");
    let member = stack.connection.join(list(1)).expect("joined").value.member;
    stack.connection.acquire(member, 9, 9).expect("granted");
    assert_eq!(codes(), [], "a tenth is left: 64 of 640");
    stack.connection.claim(member, 6_400 + 5).or_else(|_| stack.connection.claim(member, 7_039)).ok();
    stack.connection.acquire(member, 1, 1).expect("granted");
    let pair = |code: &str, level: &str| (code.to_owned(), level.to_owned());
    assert_eq!(codes(), [pair("exhausted", "critical")]);
    let by = ConnectorName::new("OPERATOR").expect("a name");
    let (name, actor) = (ConnectorName::new("SYS1.TCPIP").expect("a name"), stack.connection.actor());
    served.facility().mark_failed(&name, actor.incarnation, &by).expect("marked");
    assert_eq!(codes(), [pair("exhausted", "critical"), pair("failed-persistent", "warning")]);
    drop(stack);
    served.stop();
}
