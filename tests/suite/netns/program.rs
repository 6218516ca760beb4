//! A program in a namespace: this test binary once more, so that its sockets are of that namespace. It
//! takes ports from the agent, listens on each, gives them back, and notes when it had which.

use super::lab::Lab;
use crate::agent::{Process, eventually, port_of};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// What the test below is told by.
const VARIABLE: &str = "PORTPLEX_TEST_PROGRAM";

/// Most ports at a time, and how long it is from few to many and back.
const PORTS_MAX: u64 = 1_100;
const TIDE_MS: u64 = 4_000;

/// One time that a program had a port, on the clock that all processes share.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    pub port: u16,
    pub from_ns: u64,
    pub until_ns: u64,
}

/// A program that runs.
pub struct Program {
    process: Process,
    notes: PathBuf,
    stop: PathBuf,
    taken: PathBuf,
}

impl Program {
    pub fn start(lab: &Lab, place: usize, stack: &str, dvipa: &str) -> Self {
        let path = |end: &str| lab.path(&format!("{stack}.{end}"));
        let (notes, stop, taken) = (path("notes"), path("stop"), path("taken"));
        let told = json!({
            "socket": path("sock"), "shift_ms": place as u64 * TIDE_MS / 2, "dvipa": dvipa, "notes": notes, "stop": stop, "taken": taken,
        });
        let own = std::env::current_exe().expect("this binary");
        let mut command = lab.within(place, own.to_str().expect("UTF-8"));
        command.args(["--exact", "netns::program::a_program_in_a_namespace_has_its_ports_alone", "--nocapture"]);
        command.env(VARIABLE, told.to_string()).stdin(Stdio::null());
        let child = command.stdout(lab.file(&format!("{stack}.program"))).spawn().expect("starts");
        Self { process: Process(child), notes, stop, taken }
    }

    /// Fails unless it gets on.
    pub fn goes_on(&self, what: &str) {
        let count = || std::fs::read_to_string(&self.taken).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let before = count().unwrap_or(0);
        eventually(&format!("ports are taken {what}"), || count().filter(|count| *count > before + 500).map(drop));
    }

    /// Ends it: what it had, and when.
    pub fn end(mut self) -> Vec<Hold> {
        std::fs::write(&self.stop, "").expect("written");
        let status = self.process.0.wait().expect("it ends");
        assert!(status.success(), "the program failed: it says why on standard error");
        let notes = std::fs::read_to_string(&self.notes).expect("noted");
        notes.lines().map(|line| hold(line).expect("a note")).collect()
    }
}

fn hold(line: &str) -> Option<Hold> {
    let mut numbers = line.split(' ').map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    Some(Hold { port: u16::try_from(next()?).ok()?, from_ns: next()?, until_ns: next()? })
}

fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

struct Held {
    port: u16,
    from_ns: u64,
    listener: TcpListener,
}

#[test]
fn a_program_in_a_namespace_has_its_ports_alone() {
    // Run by the test of the namespaces, within one of them.
    let Ok(told) = std::env::var(VARIABLE) else { return };
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let text = |field: &str| told[field].as_str().expect("text").to_owned();
    let stream = UnixStream::connect(text("socket")).expect("the agent listens");
    let mut from = BufReader::new(stream);
    let mut ask = |asked: Value| -> Value {
        from.get_mut().write_all(format!("{asked}\n").as_bytes()).expect("sent");
        let mut line = String::new();
        from.read_line(&mut line).expect("answered");
        serde_json::from_str(&line).expect("JSON")
    };
    let (dvipa, shift_ms) = (text("dvipa"), told["shift_ms"].as_u64().expect("a number"));
    let (mut held, mut notes, mut taken) = (VecDeque::new(), String::new(), 0_u64);
    let mut give = |ask: &mut dyn FnMut(Value) -> Value, held: Held| {
        let Held { port, from_ns, listener } = held;
        drop(listener);
        notes.push_str(&format!("{port} {from_ns} {}\n", now_ns()));
        let answer = ask(json!({"verb": "release", "dvipa": dvipa, "port": port}));
        assert_eq!(answer["ok"], true, "{answer}");
    };
    while !std::fs::exists(text("stop")).expect("looked") {
        // High water of one stack is low water of the other: so groups go from one to the other.
        let at_ms = (now_ns() / 1_000_000 + shift_ms) % TIDE_MS;
        // A third of the time there is none at all, and whole groups are idle.
        let level = (PORTS_MAX * at_ms.min(TIDE_MS - at_ms) * 3 / TIDE_MS).saturating_sub(PORTS_MAX / 2);
        if level == 0 && held.is_empty() {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        for _ in 0..50 {
            if held.len() as u64 >= level {
                let Some(oldest) = held.pop_front() else { break };
                give(&mut ask, oldest);
                continue;
            }
            let answer = ask(json!({"verb": "bind", "dvipa": dvipa}));
            if answer["ok"] != true {
                let cause = answer["cause"].as_str().expect("a cause");
                // All ports of a narrow range are held for a moment: that counts as excluded by the rest of the profile.
                let causes = ["unreachable", "lease-over", "in-quarantine", "list-full", "excluded"];
                assert!(causes.contains(&cause), "{answer}");
                std::thread::sleep(Duration::from_millis(5));
                break;
            }
            let (port, from_ns) = (port_of(&answer), now_ns());
            let listener = TcpListener::bind((dvipa.as_str(), port)).expect("no socket of this namespace has it");
            held.push_back(Held { port, from_ns, listener });
            taken += 1;
        }
        std::fs::write(text("taken"), taken.to_string()).expect("written");
    }
    while let Some(oldest) = held.pop_front() {
        give(&mut ask, oldest);
    }
    std::fs::write(text("notes"), notes).expect("written");
}
