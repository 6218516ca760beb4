//! Three network namespaces on one bridge: made by the test, removed on every path.

use crate::agent::Process;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub const ADDRESS_OF_SERVICE: &str = "10.77.0.1";
pub const PORT_OF_SERVICE: u16 = 7_678;
/// Where the service is reached by the slow way.
pub const PORT_OF_RELAY: u16 = 7_679;

/// Places: 0 is the facility's.
const PLACES: usize = 3;

/// The namespaces, and a directory that all of them see.
pub struct Lab {
    dir: tempfile::TempDir,
    /// In every name, so that two runs do not meet.
    mark: u32,
}

impl Lab {
    pub fn new() -> Self {
        let lab = Self { dir: tempfile::tempdir().expect("a directory"), mark: std::process::id() % 100_000 };
        let bridge = lab.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"]);
        ip(&["link", "set", &bridge, "up"]);
        for place in 0..PLACES {
            let (space, link) = (lab.space(place), lab.link(place));
            ip(&["netns", "add", &space]);
            ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &space]);
            ip(&["link", "set", &link, "master", &bridge, "up"]);
            ip(&["-n", &space, "link", "set", "lo", "up"]);
            ip(&["-n", &space, "addr", "add", &format!("10.77.0.{}/24", place + 1), "dev", "eth0"]);
            ip(&["-n", &space, "link", "set", "eth0", "up"]);
        }
        lab
    }

    fn space(&self, place: usize) -> String {
        format!("portplex{}-{place}", self.mark)
    }

    fn link(&self, place: usize) -> String {
        format!("pp{}v{place}", self.mark)
    }

    fn bridge(&self) -> String {
        format!("pp{}br", self.mark)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// A new file for what a process says.
    pub fn file(&self, name: &str) -> File {
        File::create(self.path(name)).expect("made")
    }

    /// A command that runs in a namespace.
    pub fn within(&self, place: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(place), program]);
        command
    }

    /// The namespace has this address of its own.
    pub fn give_address(&self, place: usize, address: &str) {
        ip(&["-n", &self.space(place), "addr", "add", &format!("{address}/32"), "dev", "lo"]);
    }

    /// Nothing comes through.
    pub fn cut(&self, place: usize) {
        ip(&["link", "set", &self.link(place), "down"]);
    }

    /// A relay in the facility's namespace: few kernels have netem, and this delays as well as that.
    pub fn relay(&self) -> Process {
        self.delay("0 0");
        let (from, to) = (PORT_OF_RELAY.to_string(), PORT_OF_SERVICE.to_string());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/netns/relay.py");
        let mut command = self.within(0, "python3");
        command.arg(script).args([&from, &to, ADDRESS_OF_SERVICE]).arg(self.path("delays"));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("read");
        assert_eq!(line, "ready\n");
        Process(child)
    }

    /// How late the relay passes bytes on: at least, and how much more at random, ms.
    pub fn delay(&self, delays: &str) {
        // In one step: it is read at any moment.
        let new = self.path("delays.new");
        std::fs::write(&new, delays).and_then(|()| std::fs::rename(&new, self.path("delays"))).expect("written");
    }

    /// As it was.
    pub fn heal(&self, place: usize) {
        ip(&["link", "set", &self.link(place), "up"]);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for place in 0..PLACES {
            // What is not there need not go.
            let _ = Command::new("ip").args(["link", "del", &self.link(place)]).output();
            let _ = Command::new("ip").args(["netns", "del", &self.space(place)]).output();
        }
        let _ = Command::new("ip").args(["link", "del", &self.bridge()]).output();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip runs");
    assert!(output.status.success(), "ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
}
