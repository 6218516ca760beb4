//! Configurations of a real service: files, the environment, flags; several structures side by side.

use super::{Served, introduction, joined, structure};
use crate::cli::{expect, portplex};
use portplex::facility::CallError;
use portplex::structure::Refusal;
use std::fs;
use tempfile::TempDir;

#[test]
fn two_structures_side_by_side_have_nothing_in_common() {
    let dir = TempDir::new().expect("a directory");
    let at = |name: &str| dir.path().join(name).display().to_string();
    for (place, group) in [("a", "11"), ("b", "12")] {
        expect(0, &["store", "init", &at(place), "--vtam-group", group, "--tcp-group", "21"]);
    }
    let file = at("portplex.toml");
    let text = format!(
        "listen = [\"http://127.0.0.1:0\"]\n[policy]\nquota = 128\n[[structure]]\nname = \"EZBEPORT1121\"\ndata = {:?}\n\
         [[structure]]\ndata = {:?}\npolicy_quota = 0\n[[structure]]\ndata = {:?}\noptional = true\n",
        at("a"),
        at("b"),
        at("missing")
    );
    fs::write(&file, &text).expect("written");
    let served = Served::start(dir.path(), 2, &["--config", &file], &[]);
    let names: Vec<_> = served.told.iter().map(|told| told["serving"].as_str().expect("text")).collect();
    assert_eq!(names, ["EZBEPORT1121", "EZBEPORT1221"]);
    assert!(served.event("open-failed")["message"].as_str().is_some_and(|text| text.contains("missing")));

    let (a, b) = (served.remote(structure("EZBEPORT1121")), served.remote(structure("EZBEPORT1221")));
    let (of_a, member) = joined(&a, introduction("SYS1.TCPIP", 1, 0));
    of_a.acquire(member, 2, 2).expect("within the quota of 128 ports");
    let over = of_a.acquire(member, 1, 1).expect_err("a list begins with the policy of the configuration");
    assert!(matches!(over, CallError::Refused(Refusal::QuotaExceeded { quota: 128, .. })), "{over}");
    let (of_b, member) = joined(&b, introduction("SYS1.TCPIP", 1, 0));
    of_b.acquire(member, 5, 5).expect("its own table says that there is no quota");

    let (_, told) = served.verb(2, &["store", "status"]);
    assert!(told.contains("which structure?") && told.contains("EZBEPORT1121, EZBEPORT1221"), "{told}");
    let shown = served.json(&["display", "lists", "--structure", "EZBEPORT1221"]);
    assert_eq!(shown["lists"][0]["held"], 320);
    let shown = served.json(&["dvipa", "list", "--structure", "EZBEPORT1121"]);
    assert_eq!((&shown["lists"][0]["held"], &shown["lists"][0]["quota"]), (&128.into(), &128.into()));
    let (_, told) = served.verb(1, &["store", "status", "--structure", "EZBEPORT0131"]);
    assert!(told.contains("EZBEPORT0131 is not hosted there"), "{told}");
    served.end();

    // Without `optional` nothing is served, and nothing stays locked.
    fs::write(&file, text.replace("optional = true", "optional = false")).expect("written");
    let (_, told) = expect(66, &["serve", "--config", &file]);
    assert!(told.contains("missing"), "{told}");
    expect(0, &["store", "verify", &at("a")]);
    expect(0, &["store", "verify", &at("b")]);
}

#[test]
fn a_configuration_that_is_not_understood_makes_and_opens_nothing() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("portplex.toml");
    let (path, store) = (file.display().to_string(), dir.path().join("store").display().to_string());
    fs::write(&file, "init = true\n\n[limits]\nconection_max = 5\n").expect("written");
    let (_, told) = expect(2, &["serve", "--config", &path, "--data", &store]);
    assert!(
        told.contains("portplex.toml:4: limits.conection_max is no key; did you mean limits.connections_max?"),
        "{told}"
    );
    fs::write(&file, "init = true\n").expect("written");
    let mut command = portplex(&["serve", "--config", &path, "--data", &store]);
    let output = command.env("PORTPLEX_SERVE_LIMITS_STREAM_MAX", "5").output().expect("the binary runs");
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("did you mean PORTPLEX_SERVE_LIMITS_STREAMS_MAX"), "{told}");
    let (_, told) = expect(2, &["serve", "--set", "log.level=loud", "--data", &store]);
    assert!(told.contains("--set: log.level: \"loud\" is none of off, error"), "{told}");
    fs::write(&file, format!("[[structure]]\ndata = {store:?}\n")).expect("written");
    let (_, told) = expect(2, &["serve", "--config", &path, "--data", &store]);
    assert!(told.contains("--data"), "{told}");
    let (_, told) = expect(74, &["serve", "--config", "/nowhere.toml"]);
    assert!(told.contains("/nowhere.toml: cannot be read"), "{told}");
    assert!(!dir.path().join("store").exists());
}

#[test]
fn what_is_printed_is_what_would_be_in_force() {
    let (printed, _) = expect(0, &["serve", "--print-config"]);
    assert_eq!(printed, include_str!("../../../packaging/portplex.toml"));
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("portplex.toml");
    fs::write(&file, "[log]\nlevel = \"warn\"\n[store]\nquarantine = \"3s\"\n").expect("written");
    let path = file.display().to_string();
    let mut command = portplex(&["serve", "--print-config", "--config", &path, "--set", "limits.streams_max=7"]);
    let output = command.env("PORTPLEX_SERVE_LOG_LEVEL", "error").output().expect("the binary runs");
    let printed = String::from_utf8(output.stdout).expect("text");
    for line in ["level = \"error\"", "quarantine = \"3s\"", "streams_max = 7"] {
        assert!(printed.lines().any(|printed| printed == line), "{line}: {printed}");
    }
}
