//! Three network namespaces on one bridge: made by the test, removed on every path.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const ADDRESS_OF_SERVICE: &str = "10.77.0.1";
pub const PORT_OF_SERVICE: u16 = 7_678;

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

    /// Late and jittery, where the kernel can do that.
    pub fn slow(&self, place: usize) {
        let link = self.link(place);
        let mut command = Command::new("tc");
        command.args(["qdisc", "add", "dev", &link, "root", "netem", "delay", "150ms", "100ms"]);
        let done = command.output();
        if !done.is_ok_and(|output| output.status.success()) {
            crate::requirements::say(
                "NOT TESTED: a slow link: this kernel or machine has no netem; links flap instead",
            );
        }
    }

    /// As it was.
    pub fn heal(&self, place: usize) {
        let link = self.link(place);
        // There is none unless the link was slowed down.
        let _ = Command::new("tc").args(["qdisc", "del", "dev", &link, "root"]).output();
        ip(&["link", "set", &link, "up"]);
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
