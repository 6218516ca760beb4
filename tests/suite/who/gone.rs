//! What the log no longer has: segments that were retired or damaged. It is said to be unknown.
#![allow(clippy::disallowed_methods, reason = "damages files behind the store's back")]

use super::{ask_in, is, told};
use crate::cli::expect;
use portplex::facility::{Clock, Connection, LocalFacility, Machine, Options, SetClock};
use portplex::ident::{BootId, ConnectorName, Identity, MachineId, PortSet, Target, Transport};
use portplex::structure::{Introduction, Member};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A store under a clock of its own, with little history.
pub(super) struct Small {
    pub(super) dir: TempDir,
    pub(super) clock: Arc<SetClock>,
    pub(super) facility: Arc<LocalFacility>,
}

pub(super) struct Stack {
    pub(super) connection: Connection,
    pub(super) member: Member,
}

impl Small {
    fn new(history: u64) -> Self {
        Self::packing(history, Options::default().pack_log_bytes)
    }

    /// With packs of so many bytes of log.
    pub(super) fn packing(history: u64, pack_log_bytes: u64) -> Self {
        let dir = TempDir::new().expect("a directory");
        let clock = Arc::new(SetClock::new(BootId(1), 50_000));
        let machine = Machine { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Machine::real() };
        let options = Options {
            create: true,
            segment_size: 16 << 10,
            quarantine: Duration::from_millis(1),
            quarantine_timer: false,
            history_bytes: history,
            pack_log_bytes,
            checkpoint_log_bytes: u64::MAX,
            checkpoint_interval: Duration::from_secs(1 << 30),
            checkpoint_at_close: false,
            seed: Some(1),
            ..Options::default()
        };
        let facility = LocalFacility::open_on(&machine, &dir.path().join("store"), &options).expect("opens");
        Self { dir, clock, facility: Arc::new(facility) }
    }

    pub(super) fn store(&self) -> String {
        self.dir.path().join("store").to_str().expect("text").to_owned()
    }

    pub(super) fn stack(&self, text: &str) -> Stack {
        let identity = Identity { machine: MachineId(7), boot: BootId(1), ..Identity::default() };
        let name = ConnectorName::new(text).expect("valid");
        let introduction = Introduction { name, identity, promise_ms: 0, enforced: false };
        let connection = self.facility.connect(introduction).expect("connects");
        let target = Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp);
        let mut ports = PortSet::empty();
        ports.insert_range(5_000, 9_999);
        connection.set_allowable(Transport::Tcp, ports).expect("sets");
        let member = connection.join(target).expect("joins").value.member;
        Stack { connection, member }
    }

    /// Claims and releases a port often enough to fill some segments.
    pub(super) fn churn(&self, stack: &Stack, port: u16) {
        for _ in 0..8 {
            self.clock.advance(1_000);
            let grant = stack.connection.claim(stack.member, port).expect("claimed").value;
            stack.connection.release(grant.member, grant.group, grant.lsn, grant.mask).expect("released");
        }
    }

    /// Makes two checkpoints, so that what is below the first one may go.
    pub(super) fn checkpoint(&self, stack: &Stack) {
        for _ in 0..2 {
            self.facility.checkpoint_now().expect("made");
            self.churn(stack, 9_000);
        }
        self.facility.checkpoint_now().expect("made");
    }

    pub(super) fn close<const N: usize>(self, stacks: [Stack; N]) -> TempDir {
        drop(stacks);
        Arc::into_inner(self.facility).expect("nobody else has it").close().expect("closes");
        self.dir
    }
}

fn begins(json: &Value) -> u64 {
    json["log"]["first"]["lsn"].as_u64().expect("an lsn")
}

#[test]
fn what_was_before_the_oldest_record_is_unknown_and_not_nobody() {
    let small = Small::new(1);
    let (sys1, sys2) = (small.stack("SYS1"), small.stack("SYS2"));
    let kept = sys1.connection.claim(sys1.member, 5_001).expect("claimed").value;
    let grant = sys2.connection.claim(sys2.member, 5_002).expect("claimed").value;
    sys2.connection.release(grant.member, grant.group, grant.lsn, grant.mask).expect("released");
    sys2.connection.disconnect().expect("disconnected");
    small.churn(&sys1, 9_000);
    small.checkpoint(&sys1);
    let store = small.store();
    let dir = small.close([sys1, sys2]);

    let (text, json) = ask_in(&store, "10.1.1.1:5001", &[]);
    is(&json, "held", &["SYS1"]);
    let first = begins(&json);
    assert!(first > kept.lsn.0 + 10, "the log begins at {first}");
    let hold = &json["holders"][0];
    assert_eq!((&hold["grant"], &hold["from"]["lsn"]), (&kept.lsn.0.into(), &kept.lsn.0.into()));
    assert!(hold["from"]["wall"].is_null());
    assert!(text.contains("  from   a time that is no longer in the log (lsn 1048"), "{text}");
    assert!(text.contains("The oldest record that is kept is of 2023-"), "{text}");

    // While it was held, but before the log begins.
    for port in ["10.1.1.1:5001", "10.1.1.1:5002", "10.1.1.1:5003"] {
        let (text, json) = ask_in(&store, port, &["--at", "1700000050500"]);
        assert_eq!(json["state"], "unknown", "{text}");
        assert!(text.starts_with(&format!("It is not known who held {port} at 2023-")), "{text}");
        assert!(text.contains(": the oldest record that is kept is of 2023-"), "{text}");
    }
    // Since the log begins it was nobody's: nobody left whom it does not know.
    let last = json["log"]["last"]["wall_ms"].as_u64().expect("a time").to_string();
    is(&ask_in(&store, "10.1.1.1:5003", &["--at", &last]).1, "free", &[]);
    drop(dir);
}

#[test]
fn a_stack_that_the_log_does_not_name_is_no_answer_and_no_nobody() {
    // A frame takes 4 KiB: the leave is kept, the join is not.
    let small = Small::new(256 << 10);
    let (sys1, sys2) = (small.stack("SYS1"), small.stack("SYS2"));
    let held = sys2.connection.claim(sys2.member, 5_002).expect("claimed").value;
    for _ in 0..4 {
        small.churn(&sys1, 9_000);
    }
    small.clock.advance(1_000);
    sys2.connection.leave(sys2.member).expect("left");
    small.checkpoint(&sys1);
    let store = small.store();
    let dir = small.close([sys1, sys2]);

    let (text, json) = ask_in(&store, "10.1.1.1:5002", &[]);
    let (state, holders) = told(&json);
    assert!(begins(&json) > held.lsn.0, "the grant was retired");
    let stretch = &json["unknown"][0];
    assert!(stretch["from"].is_null() && stretch["until"]["lsn"].is_u64(), "{json:#}");
    assert!(state != "held" && holders.iter().all(|name| name == "SYS2"), "{json:#}");
    assert!(text.contains("not known, the log has records of stacks that it does not name"), "{text}");
    let left = stretch["until"]["wall_ms"].as_u64().expect("a time");
    let (text, json) = ask_in(&store, "10.1.1.1:5002", &["--at", &left.to_string()]);
    assert_eq!(json["state"], "unknown", "{text}");
    let (text, json) = ask_in(&store, "10.1.1.1:5002", &["--at", &(left + 1).to_string()]);
    assert_ne!(json["state"], "unknown", "{text}");
    // A port that was claimed since is known, whoever left.
    assert_eq!(ask_in(&store, "10.1.1.1:9000", &["--at", &left.to_string()]).1["state"], "quarantined");
    drop(dir);
}

#[test]
fn damage_below_a_checkpoint_costs_what_was_below_it_and_is_named() {
    let small = Small::new(8 << 30);
    let sys1 = small.stack("SYS1");
    let kept = sys1.connection.claim(sys1.member, 5_001).expect("claimed").value;
    small.churn(&sys1, 9_000);
    small.checkpoint(&sys1);
    let store = small.store();
    let dir = small.close([sys1]);
    let (_, whole) = ask_in(&store, "10.1.1.1:5001", &[]);
    assert_eq!((begins(&whole), whole["holders"][0]["from"]["wall"].is_string()), (1_048_576, true));

    let mut segments: Vec<_> = std::fs::read_dir(Path::new(&store).join("wal"))
        .expect("readable")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    segments.sort();
    let mut bytes = std::fs::read(&segments[0]).expect("readable");
    bytes[4_096 + 64] ^= 1;
    std::fs::write(&segments[0], bytes).expect("written");
    let (_, stderr) = expect(0, &["who", "10.1.1.1:5001", "--data", &store]);
    assert!(stderr.contains("nothing up to lsn ") && stderr.contains(".seg"), "{stderr}");
    let (_, json) = ask_in(&store, "10.1.1.1:5001", &[]);
    is(&json, "held", &["SYS1"]);
    assert_eq!(json["holders"][0]["grant"], kept.lsn.0);
    assert!(begins(&json) > kept.lsn.0);
    drop(dir);
}
