//! `explain` and `display groups` say the same of every port that is asked about.

use crate::cli::{exercise, expect, new_store};
use crate::random::Random;
use serde_json::Value;
use tempfile::TempDir;

/// Ports asked about: each is a process of its own. Every port of a store is asked about in the
/// library's own tests.
const PORTS: usize = 60;

/// What `display groups --json` says of a port: its holder, or how it is.
fn displayed(groups: &Value, port: u16) -> String {
    let groups = groups.as_array().expect("an array");
    let group = groups.iter().find(|group| group["group"] == port / 64);
    let has = |mask: &Value| {
        let digits = mask.as_str().expect("text").trim_start_matches("0x");
        u64::from_str_radix(digits, 16).expect("hex") >> (port % 64) & 1 == 1
    };
    let Some(group) = group else { return "free".to_owned() };
    let holders = group["holders"].as_array().expect("an array");
    match holders.iter().find(|holder| has(&holder["mask"])) {
        Some(holder) => format!("held by {} grant {}", holder["connector"].as_str().expect("text"), holder["lsn"]),
        None if has(&group["quarantined"]) => "in quarantine".to_owned(),
        None => "free".to_owned(),
    }
}

#[test]
fn explain_agrees_with_the_groups_that_are_displayed() {
    let mut random = Random::seeded(31);
    let dir = TempDir::new().expect("a directory");
    let store = new_store(&dir, "store");
    exercise(&store, random.next(), 700, 1);
    let (stdout, _) = expect(0, &["display", "groups", "--data", &store, "--json"]);
    let shown: Value = serde_json::from_str(&stdout).expect("one JSON object");
    let lists = shown["lists"].as_array().expect("an array");
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..PORTS {
        let list = random.pick(lists);
        let groups = list["groups"].as_array().expect("an array");
        // Mostly ports of groups in use: all others are free.
        let port = match random.below(5) {
            0 => u16::try_from(random.below(65_536)).expect("a port"),
            _ if groups.is_empty() => 5_000,
            _ => {
                let first = random.pick(groups)["first"].as_u64().expect("a port");
                u16::try_from(first + random.below(64)).expect("a port")
            }
        };
        let (dvipa, transport) = (list["dvipa"].as_str().expect("text"), list["transport"].as_str().expect("text"));
        let what = if dvipa.contains(':') { format!("[{dvipa}]:{port}") } else { format!("{dvipa}:{port}") };
        let (stdout, _) = expect(0, &["explain", &what, "--data", &store, "--transport", transport, "--json"]);
        let explained: Value = serde_json::from_str(&stdout).expect("one JSON object");
        let answer = explained["answer"].as_str().expect("text");
        let numbers = &explained["numbers"];
        let told = match &numbers["grant"] {
            Value::Null if numbers["since"].is_u64() => "in quarantine".to_owned(),
            Value::Null => "free".to_owned(),
            grant => {
                let holder = answer.split(" is held by ").nth(1).and_then(|rest| rest.split(' ').next());
                format!("held by {} grant {grant}", holder.unwrap_or("?"))
            }
        };
        let expected = displayed(&list["groups"], port);
        assert_eq!(told, expected, "{what} {transport}: {answer}");
        let kind = expected.split(' ').next().expect("a word").to_owned();
        assert!(answer.contains(&format!(" is {kind}")), "{answer}");
        *seen.entry(kind).or_default() += 1;
    }
    assert_eq!(seen.len(), 3, "held, in quarantine and free were all met: {seen:?}");
}
