//! `portplex serve` as operators have it: configured, told to end, watched, worked on while it runs.
#![allow(clippy::disallowed_methods, reason = "tests look at files and at the clock from outside")]

mod configured;
mod held;
mod logged;
mod managed;
mod packaged;
mod profiled;
mod proven;
mod relimited;
mod signalled;
mod verbs;
mod watched;

use super::cli::{expect, portplex};
use portplex::api::{Door, RemoteFacility, RemoteOptions};
use portplex::facility::{Connection, Facility};
use portplex::ident::{
    BootId, ConnectorName, Identity, MachineId, PortSet, ProcessId, StructureName, Target, Transport,
};
use portplex::structure::{Introduction, Member};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

/// A service of its own process, and what it says.
struct Served {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Standard error, as it grows.
    log: PathBuf,
    door: Door,
    /// One for each structure.
    told: Vec<Value>,
}

impl Served {
    /// With `structures` structures, and JSON lines as its log.
    fn start(dir: &Path, structures: usize, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let log = dir.join("log");
        let mut command = portplex(&["serve", "--json", "--log-format", "json"]);
        command.args(more).envs(environment.iter().copied());
        command.stdout(Stdio::piped()).stderr(fs::File::create(&log).expect("made"));
        let mut child = command.spawn().expect("the binary runs");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let told: Vec<Value> = (0..structures)
            .map(|_| {
                let mut line = String::new();
                out.read_line(&mut line).expect("it says that it serves");
                let told = serde_json::from_str(&line);
                told.unwrap_or_else(|error| panic!("{error}: {line:?}\n{}", fs::read_to_string(&log).expect("text")))
            })
            .collect();
        let door = told[0]["doors"][0].as_str().expect("a door").parse().expect("a door");
        Self { child, out, log, door, told }
    }

    /// One structure, in a store of its own.
    fn one(dir: &Path) -> Self {
        let store = dir.join("store").display().to_string();
        Self::start(dir, 1, &["--init", "--data", &store, "--listen", "127.0.0.1:0"], &[])
    }

    fn url(&self) -> String {
        self.door.to_string()
    }

    fn remote(&self, structure: StructureName) -> Arc<RemoteFacility> {
        Arc::new(RemoteFacility::connect(&self.door, structure, RemoteOptions::default()).expect("connects"))
    }

    /// Runs a verb on it.
    fn verb(&self, code: i32, arguments: &[&str]) -> (String, String) {
        expect(code, &[arguments, &["--service", &self.url()]].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (stdout, _) = self.verb(0, &[arguments, &["--json"]].concat());
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stdout}"))
    }

    fn signal(&self, signal: &str) {
        let killed = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(killed.expect("kill runs").success());
    }

    /// Every line of its log that is an event.
    fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).expect("text");
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["event"].is_string())
            .collect()
    }

    /// Waits until its log has an event of that name, and gives the last one.
    fn event(&self, name: &str) -> Value {
        let mut found = None;
        eventually(&format!("event {name} in {:?}", self.events()), || {
            found = self.events().into_iter().rfind(|line| line["event"] == name);
            found.is_some()
        });
        found.expect("just found")
    }

    /// Waits for its end: how, and what else it said.
    fn ended(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("text");
        (self.child.wait().expect("it ends"), rest)
    }

    /// Ends it in order.
    fn end(self) {
        self.signal("-TERM");
        let (status, rest) = self.ended();
        assert_eq!(status.code(), Some(0), "{rest}");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn structure(name: &str) -> StructureName {
    name.parse().expect("a structure's name")
}

fn name(text: &str) -> ConnectorName {
    ConnectorName::new(text).expect("a name")
}

fn list() -> Target {
    Target::List("10.1.1.1".parse().expect("a DVIPA"), Transport::Tcp)
}

fn introduction(stack: &str, machine: u128, promise_ms: u64) -> Introduction {
    let identity = Identity { machine: MachineId(machine), boot: BootId(1), process: ProcessId(1) };
    Introduction { name: name(stack), identity, promise_ms, enforced: false }
}

/// Connects a stack and joins the list.
fn joined(facility: &Arc<RemoteFacility>, who: Introduction) -> (Connection, Member) {
    let connection = Connection::connect(Arc::clone(facility) as Arc<dyn Facility>, who).expect("connected");
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 65_535);
    connection.set_allowable(Transport::Tcp, ports).expect("set");
    let member = connection.join(list()).expect("joined").value.member;
    (connection, member)
}

/// Waits for what another process brings about.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < until, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
