//! `portplex serve` as a process: started, used, killed, ended.

use super::{SOON, introduction, joined, structure};
use portplex::api::{Door, RemoteFacility, RemoteOptions};
use portplex::facility::{Belief, Connection, Facility};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Served {
    pub(super) child: Child,
    out: BufReader<ChildStdout>,
    pub(super) door: Door,
    first_line: serde_json::Value,
}

impl Served {
    fn start(dir: &Path, more: &[&str]) -> Self {
        Self::begin(Command::new(env!("CARGO_BIN_EXE_portplex")), dir, more)
    }

    /// With a command that becomes `portplex` with what is added to it.
    pub(super) fn begin(mut command: Command, dir: &Path, more: &[&str]) -> Self {
        command.args(["serve", "--json", "--data"]).arg(dir.join("store")).args(more);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("it says that it serves");
        let first_line: serde_json::Value = serde_json::from_str(&line).expect("one object on one line");
        let door = first_line["doors"][0].as_str().expect("a door").parse().expect("a door");
        Self { child, out, door, first_line }
    }

    pub(super) fn remote(&self) -> Arc<RemoteFacility> {
        Arc::new(RemoteFacility::connect(&self.door, structure(), RemoteOptions::default()).expect("connects"))
    }

    pub(super) fn signal(&self, signal: &str) {
        let killed = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(killed.expect("kill runs").success());
    }

    /// Waits for its end: how, what else it said, and how long that took.
    pub(super) fn ended(mut self) -> (ExitStatus, String, Duration) {
        let begun = Instant::now();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("text");
        (self.child.wait().expect("it ends"), rest, begun.elapsed())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // A test that failed leaves no process behind; one that ended is ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_killed_service_comes_back_with_what_it_acknowledged_and_one_that_is_told_ends_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("s").display().to_string();
    let served = Served::start(dir.path(), &["--init", "--uds", &socket]);
    assert_eq!(served.first_line["serving"], "EZBEPORT");
    assert_eq!(served.first_line["recovery"]["last_lsn"], 0);
    let remote = served.remote();
    let (connection, member) = joined(&remote, introduction("A", 1));
    let granted = connection.acquire(member, 5, 5).expect("granted");
    served.signal("-KILL");
    served.ended();

    // The socket that it left behind is in nobody's way.
    let served = Served::start(dir.path(), &["--uds", &socket]);
    assert!(served.first_line["recovery"]["last_lsn"].as_u64() >= Some(granted.lsn.0));
    remote.wait_connected(SOON).expect("back by itself");
    connection.give_up();
    let grants = granted.value.iter().map(|grant| portplex::structure::ReportedGrant {
        lsn: grant.lsn,
        target: grant.target,
        group: grant.group,
        mask: grant.mask,
    });
    let belief = Belief { position: Some(connection.position()), grants: grants.collect() };
    let facility = Arc::clone(&remote) as Arc<dyn Facility>;
    let (connection, attached) = Connection::attach(facility, introduction("A", 1), &belief).expect("attached");
    assert_eq!(attached.grants.len(), 5);

    // A stream that stands and calls that come without pause do not keep it.
    let pending: Vec<_> = (0..200).map(|place| connection.submit_claim(member, 2_000 + place)).collect();
    served.signal("-TERM");
    let (status, rest, took) = served.ended();
    assert_eq!(status.code(), Some(0), "{rest}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let last: serde_json::Value = serde_json::from_str(rest.trim()).expect("one object");
    assert_eq!(last["ended"], "in order");
    assert!(last["checkpoint_lsn"].is_u64(), "{last}");
    assert!(!Path::new(&socket).exists(), "the socket went with it");
    drop(pending);
}

#[test]
fn a_store_is_never_made_in_silence_and_no_door_opens_to_the_network() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portplex"));
        let output = command.args(["serve", "--data"]).arg(dir.path().join("store")).args(more).output();
        let output = output.expect("the binary runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (code, told) = run(&["--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(66), "{told}");
    assert!(!dir.path().join("store").exists());
    let (code, told) = run(&["--init", "--listen", "0.0.0.0:0"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("is not loopback: whoever reaches a plain port could take any port of any stack"), "{told}");
    assert!(!dir.path().join("store").exists(), "refused before anything was made");
}
