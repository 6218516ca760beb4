//! `portplex dev`, through the binary: crashes without a duplicate, a second run that finds the
//! first one's state, and no process left behind whatever happens to the parent.

use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Two stacks that share one DVIPA of their own, so that tests do not meet on one stand-in.
fn profiles(dir: &Path, dvipa: &str) -> Vec<PathBuf> {
    let profile = |name: &str, reserved: u16| {
        let text = format!(
            "; {name}\nVIPADYNAMIC\n  VIPADEFINE MOVEABLE IMMEDIATE 255.255.255.0 {dvipa}\n  \
             VIPADISTRIBUTE DEFINE SYSPLEXPORTS {dvipa} PORT 4035 DESTIP ALL\nENDVIPADYNAMIC\n\
             PORT\n  4035 TCP RSED\n  {reserved} TCP WEBSRV\n"
        );
        let path = dir.join(format!("{name}.profile"));
        write(&path, &text);
        path
    };
    vec![profile("left", 8_080), profile("right", 9_443)]
}

#[allow(clippy::disallowed_methods, reason = "a test's own files")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a temporary directory");
}

fn dev(dir: &Path, arguments: &[&str], profiles: &[PathBuf]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portplex"));
    command.arg("dev").arg("--data").arg(dir.join("data")).args(arguments).args(profiles);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn json(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{errors}\n{text}");
    assert_eq!(text.lines().count(), 1, "one object and nothing else: {text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn crashes_make_no_duplicate_and_the_next_run_takes_up_what_was_left() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let profiles = profiles(dir.path(), "10.66.1.1");
    let arguments = ["--crashes", "3", "--connections", "3000", "--for", "4s", "--json"];
    let first = json(&dev(dir.path(), &arguments, &profiles).output().expect("runs"));
    assert_eq!(first["duplicates"], 0, "{first}");
    assert_eq!(first["recoveries"].as_array().map(Vec::len), Some(3), "{first}");
    assert!(first["connections"].as_u64() >= Some(3_000), "{first}");
    assert_eq!(first["found"], false);
    assert_eq!(first["stand_ins"][0]["address"], "127.66.1.1");
    for finding in ["overlaps", "early", "own_in_use", "unheld", "released_in_use", "lost"] {
        assert_eq!(first["findings"][finding], 0, "{first}");
    }
    let names: Vec<&str> =
        first["stacks"].as_array().expect("stacks").iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(names, ["LEFT.TCPIP", "RIGHT.TCPIP"]);
    let left: u64 = first["stacks"].as_array().expect("stacks").iter().filter_map(|s| s["groups"].as_u64()).sum();
    assert!(left > 0, "something is left for the next run: {first}");

    let arguments = ["--crashes", "0", "--connections", "200", "--for", "1s", "--json"];
    let second = json(&dev(dir.path(), &arguments, &profiles).output().expect("runs"));
    assert_eq!((&second["found"], &second["duplicates"]), (&Value::Bool(true), &Value::from(0)), "{second}");
    for stack in second["stacks"].as_array().expect("stacks") {
        assert_eq!(stack["adopted_groups"], stack["adopted_given_back"], "no socket was left: {second}");
    }
    let adopted: u64 =
        second["stacks"].as_array().expect("stacks").iter().filter_map(|s| s["adopted_groups"].as_u64()).sum();
    assert!(adopted > 0, "the second run found nothing of the first: {second}");
}

#[test]
fn an_interrupted_run_ends_in_order_and_tells_what_it_did() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let profiles = profiles(dir.path(), "10.66.2.1");
    let child = dev(dir.path(), &["--crashes", "0", "--for", "10m", "--json"], &profiles).spawn().expect("starts");
    let facility = facility_of(&child);
    // Sent again until the handler is there and heard it; the handler's second one would end it at once.
    std::thread::sleep(Duration::from_millis(500));
    let parent = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(parent, rustix::process::Signal::INT).expect("it runs");
    let told = json(&child.wait_with_output().expect("ends"));
    assert_eq!((&told["interrupted"], &told["duplicates"]), (&Value::Bool(true), &Value::from(0)), "{told}");
    assert!(!alive(facility), "the facility outlived its run");
}

#[test]
fn the_facility_ends_when_its_parent_is_killed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let profiles = profiles(dir.path(), "10.66.3.1");
    let mut child = dev(dir.path(), &["--crashes", "0", "--for", "10m"], &profiles).spawn().expect("starts");
    let facility = facility_of(&child);
    child.kill().expect("it runs");
    child.wait().expect("ends");
    for _ in 0..1_000 {
        if !alive(facility) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("facility {facility} goes on without its parent");
}

#[test]
fn a_profile_that_cannot_be_used_is_named_with_line_and_column() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let missing = dev(dir.path(), &[], &[dir.path().join("gone.profile")]).output().expect("runs");
    assert_eq!(missing.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("gone.profile"));

    let path = dir.path().join("bad.profile");
    write(&path, "TCPCONFIG EPHEMERALPORTS 70000 80000\nVIPADYNAMIC\n  VIPADEFINE nonsense\nENDVIPADYNAMIC\n");
    let bad = dev(dir.path(), &[], std::slice::from_ref(&path)).output().expect("runs");
    let text = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(1), "{text}");
    assert!(text.contains("bad.profile:1:26: error:"), "{text}");
    assert!(!dir.path().join("data").exists(), "nothing was started");

    let path = dir.path().join("plain.profile");
    write(&path, "; no dynamic VIPA at all\n");
    let plain = dev(dir.path(), &[], std::slice::from_ref(&path)).output().expect("runs");
    let text = String::from_utf8_lossy(&plain.stderr);
    assert_eq!(plain.status.code(), Some(1), "{text}");
    assert!(text.contains("SYSPLEXPORTS"), "{text}");
}

/// The process id of the facility that a run has started.
fn facility_of(child: &Child) -> u32 {
    let path = format!("/proc/{0}/task/{0}/children", child.id());
    for _ in 0..2_000 {
        let mut text = String::new();
        let read = open(&path).and_then(|mut file| file.read_to_string(&mut text));
        let first = text.split_ascii_whitespace().next().and_then(|pid| pid.parse().ok());
        if let (Ok(_), Some(pid)) = (read, first) {
            return pid;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no facility was started");
}

#[allow(clippy::disallowed_methods, reason = "the kernel's view of a process")]
fn open(path: &str) -> std::io::Result<std::fs::File> {
    std::fs::File::open(path)
}

/// Whether the process is there and not a zombie.
fn alive(pid: u32) -> bool {
    let mut text = String::new();
    let read = open(&format!("/proc/{pid}/stat")).and_then(|mut file| file.read_to_string(&mut text));
    read.is_ok() && !text.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[test]
fn a_restored_store_ends_dev_with_the_cause_and_the_way_out() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let profiles = profiles(dir.path(), "10.66.9.1");
    let arguments = ["--crashes", "0", "--connections", "200", "--for", "1s", "--json"];
    let first = json(&dev(dir.path(), &arguments, &profiles).output().expect("runs"));
    assert_eq!((&first["stopped"], &first["alarms"]), (&Value::Null, &Value::Array(Vec::new())), "{first}");
    let data = dir.path().join("data");
    let adopted =
        Command::new(env!("CARGO_BIN_EXE_portplex")).args(["store", "adopt", "--restored"]).arg(&data).output();
    assert!(adopted.expect("runs").status.success());
    let output = dev(dir.path(), &arguments, &profiles).output().expect("runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("GRANTING IS STOPPED (restored)") && errors.contains("store resume"), "{errors}");
    assert!(errors.contains("nothing is granted at present (restored)"), "{errors}");
}
