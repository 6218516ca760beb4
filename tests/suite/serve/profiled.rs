//! What the service says from profiles, and how it explains: the same as the verbs on the closed store.

use super::{Served, eventually, introduction, joined, structure};
use crate::cli::expect;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const REPORTS: [&str; 6] = ["vipadcfg", "vipadyn", "portlist", "vdpt", "vcrt", "conn"];
const AT: &str = "/v1/structures/EZBEPORT";

/// Status and body of what a program is answered.
fn get(served: &Served, path: &str) -> (u16, Value) {
    let url = served.url();
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}")))
}

fn found(served: &Served, rest: &str) -> Value {
    let (status, body) = get(served, &format!("{AT}{rest}"));
    assert_eq!(status, 200, "{rest}: {body}");
    body
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&expect(0, &[arguments, &["--json"]].concat()).0).expect("JSON")
}

/// The profiles of the example sysplex, each with the name of its stack.
fn example() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sysplex");
    let file = |number: u8| format!("SYS{number}.TCPIP={}", dir.join(format!("sys{number}.profile")).display());
    (1..=3).map(file).collect()
}

/// What depends on the moment of the question: how long something lasts yet.
fn without_numbers(value: &Value) -> String {
    let text = value.to_string();
    let words: Vec<&str> = text.split(|c: char| c.is_ascii_digit()).filter(|word| !word.is_empty()).collect();
    words.join("#")
}

#[test]
fn displays_and_explanations_are_those_of_the_verbs() {
    let dir = TempDir::new().expect("a directory");
    let store = dir.path().join("store").display().to_string();
    let profiles = example();
    let mut arguments = vec!["--init", "--data", &store, "--listen", "127.0.0.1:0"];
    arguments.extend(profiles.iter().flat_map(|profile| ["--profile", profile.as_str()]));
    let served = Served::start(dir.path(), 1, &arguments, &[]);
    let remote = served.remote(structure("EZBEPORT"));
    let (one, member) = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    let held = one.acquire(member, 2, 2).expect("granted").value[0].group.port_first() + 3;
    let claimed = one.claim(member, 1_040).expect("granted").value;
    one.release(claimed.member, claimed.group, claimed.lsn, claimed.mask).expect("released");
    let (two, member) = joined(&remote, introduction("SYS2.TCPIP", 2, 0));
    two.acquire(member, 1, 1).expect("granted");

    // In this order: the copy is made for the first question, and has every moment as the log has it.
    let named: Vec<String> =
        [format!("10.1.1.1:{held}"), "10.1.1.1:1030".into(), "10.1.1.1:4035".into(), "10.1.1.1:0".into()]
            .into_iter()
            .chain(["ANY:62000", "10.1.1.1", "ANY", "SYS1.TCPIP", "SYS2.TCPIP", "SYS3.TCPIP"].map(str::to_owned))
            .collect();
    let resting = "10.1.1.1:1040";
    let explain = |what: &str| found(&served, &format!("/explain?what={what}"));
    let explained: Vec<Value> = named.iter().map(|what| explain(what)).collect();
    let resting_explained = explain(resting);
    let udp = found(&served, "/explain?what=10.1.1.1&transport=udp");
    let shown: Vec<Value> = REPORTS.iter().map(|report| found(&served, &format!("/profiles/{report}"))).collect();
    let ports = found(&served, "/profiles/ports");
    let listed = found(&served, "/profiles");
    assert_eq!(listed["profiles"][1]["stack"], "SYS2.TCPIP");
    assert_eq!((listed["profiles"].as_array().map(Vec::len), &listed["hint"]), (Some(3), &Value::Null));
    let only = found(&served, "/profiles/vipadcfg?stack=sys2.tcpip");
    assert_eq!(only["stacks"], Value::from(vec![shown[0]["stacks"][1].clone()]));
    let only = found(&served, "/profiles/vipadyn?stack=SYS2.TCPIP");
    let rows = only["dvipas"].as_array().expect("rows").iter().flat_map(|dvipa| dvipa["stacks"].as_array());
    assert!(rows.flatten().all(|row| row["stack"] == "SYS2.TCPIP"), "{only}");
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&only), keys(&shown[1]), "a filter changes no other key");

    for (rest, status, code) in [
        ("/profiles/vdpt?stack=SYS7.TCPIP", 404, "unknown-stack"),
        ("/profiles/vdpt?stack=no%20name", 400, "bad-request"),
        ("/profiles/vdpt?events=x", 400, "bad-request"),
        ("/profiles/nothing", 404, "unknown-path"),
        ("/explain", 400, "bad-request"),
        ("/explain?what=10.1.1:5", 400, "bad-request"),
        ("/explain?what=10.1.1.1&transport=sctp", 400, "bad-request"),
        ("/explain?what=SYS1.TCPIQ", 404, "unknown-name"),
        ("/explain?what=10.9.9.9:5", 404, "unknown-name"),
    ] {
        let (got, body) = get(&served, &format!("{AT}{rest}"));
        assert_eq!((got, &body["type"]), (status, &format!("urn:portplex:problem:{code}").into()), "{rest}: {body}");
    }
    let (_, body) = get(&served, &format!("{AT}/explain?what=SYS1.TCPIQ"));
    assert!(body["detail"].as_str().is_some_and(|text| text.contains("did you mean SYS1.TCPIP")), "{body}");
    let (_, body) = get(&served, &format!("{AT}/explain?what={}", "A".repeat(2_000)));
    assert!(body.to_string().len() < 600, "what was asked is not repeated at length: {body}");
    drop((one, two, remote));
    served.end();

    let with_profiles = |arguments: &[&str]| {
        let typed = profiles.iter().flat_map(|profile| ["--profile", profile.as_str()]);
        json(&arguments.iter().copied().chain(typed).collect::<Vec<_>>())
    };
    for (report, shown) in REPORTS.iter().zip(&shown) {
        assert_eq!(*shown, with_profiles(&["display", report]), "{report}");
    }
    assert_eq!(ports, with_profiles(&["display", "ports", "--data", &store]));
    let lsn = json(&["display", "lists", "--data", &store])["lsn"].clone();
    let headless = |mut explained: Value| {
        assert_eq!(explained["lsn"], lsn);
        for key in ["structure", "history", "lsn"] {
            explained.as_object_mut().expect("an object").remove(key).expect("every answer has it");
        }
        explained
    };
    for (what, explained) in named.iter().zip(explained) {
        assert_eq!(headless(explained), with_profiles(&["explain", what, "--data", &store]), "{what}");
    }
    let said = with_profiles(&["explain", "10.1.1.1", "--transport", "udp", "--data", &store]);
    assert_eq!(headless(udp), said);
    let said = with_profiles(&["explain", resting, "--data", &store]);
    assert_eq!(without_numbers(&headless(resting_explained)), without_numbers(&said), "{said}");
    assert!(said["answer"].as_str().is_some_and(|text| text.contains("in quarantine")), "{said}");
}

#[test]
fn without_profiles_it_says_which_key_names_them_and_explains_from_the_structure() {
    let dir = TempDir::new().expect("a directory");
    let served = Served::one(dir.path());
    let remote = served.remote(structure("EZBEPORT"));
    let _joined = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    let listed = found(&served, "/profiles");
    assert_eq!(listed["profiles"], Value::Array(Vec::new()));
    for body in [listed, found(&served, "/profiles/vipadcfg"), found(&served, "/profiles/ports")] {
        assert!(body["hint"].as_str().is_some_and(|hint| hint.contains("the key profiles")), "{body}");
    }
    assert_eq!(found(&served, "/profiles/vdpt")["stacks"], Value::Array(Vec::new()));
    assert_eq!(found(&served, "/explain?what=SYS1.TCPIP")["kind"], "stack");
    served.end();
}

#[test]
fn a_profile_that_cannot_be_used_ends_the_start_and_changes_nothing_at_a_reload() {
    let dir = TempDir::new().expect("a directory");
    let at = |name: &str| dir.path().join(name).display().to_string();
    let good = "VIPADYNAMIC\nVIPADEFINE 255.255.255.0 10.1.1.1\nENDVIPADYNAMIC\n";
    let (store, profile, file) = (at("store"), at("sys1.profile"), at("portplex.toml"));
    for (text, code, told) in [
        ("missing.profile", 74, "missing.profile: cannot be read"),
        ("bad.profile", 1, "`portplex profile check"),
        ("SYS1.TCPIP=", 2, "no file is named"),
    ] {
        fs::write(at("bad.profile"), "VIPADYNAMIC\nVIPADEFINE 300.1.1.1\nENDVIPADYNAMIC\n").expect("written");
        let word = if text.ends_with('=') { text.to_owned() } else { at(text) };
        let (_, stderr) = expect(code, &["serve", "--init", "--data", &store, "--profile", &word]);
        assert!(stderr.contains(told), "{stderr}");
        assert!(!Path::new(&store).exists(), "nothing is made before");
    }
    fs::write(&profile, good).expect("written");
    let configure = |profiles: &[&str]| {
        let text = format!(
            "init = true\nlisten = [\"http://127.0.0.1:0\"]\n[log]\nformat = \"json\"\n[[structure]]\ndata = {store:?}\n\
             profiles = {profiles:?}\n"
        );
        fs::write(&file, text).expect("written");
    };
    let named = format!("SYS1.TCPIP={profile}");
    configure(&[&named]);
    let served = Served::start(dir.path(), 1, &["--config", &file], &[]);
    let dvipas = || found(&served, "/profiles/vipadyn")["dvipas"].as_array().expect("rows").len();
    assert_eq!(dvipas(), 1);
    fs::write(&profile, good.replace("ENDVIPA", "VIPADEFINE 255.255.255.0 10.1.1.2\nENDVIPA")).expect("written");
    served.signal("-HUP");
    eventually("the file is read again", || dvipas() == 2);
    configure(&[&named, &at("missing.profile")]);
    served.signal("-HUP");
    let failed = served.event("reload-failed");
    assert_eq!(failed["level"], "WARN");
    let message = failed["message"].as_str().expect("text");
    assert!(message.contains("missing.profile: cannot be read") && message.contains("stay in force"), "{message}");
    assert_eq!(dvipas(), 2, "those before stay");
    configure(&[]);
    served.signal("-HUP");
    eventually("none is configured", || dvipas() == 0);
    served.end();
}
