//! A store that tests fill through the library and then ask the binary about, and profiles beside it.

use crate::cli::expect;
use portplex::facility::{Belief, Clock, Connection, Facility, LocalFacility, Machine, Options, Position, SetClock};
use portplex::ident::{BootId, ConnectorName, Identity, MachineId, PortSet, ProcessId, Target, Transport};
use portplex::structure::{Grant, Introduction, Member, ReportedGrant, StopCause};
use serde_json::Value;
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// The list of 10.1.1.1 for TCP.
pub(crate) fn list() -> Target {
    Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp)
}

pub(crate) fn name(text: &str) -> ConnectorName {
    ConnectorName::new(text).expect("a name")
}

/// A profile with 10.1.1.1 distributed with SYSPLEXPORTS; further statements start in line 6.
const PROFILE: &str = "TCPCONFIG EPHEMERALPORTS 5000 9999
VIPADYNAMIC
  VIPADEFINE 255.255.255.0 10.1.1.1
  VIPADISTRIBUTE DEFINE SYSPLEXPORTS 10.1.1.1 PORT 4035 6000 DESTIP ALL
ENDVIPADYNAMIC
";

/// A directory with a store and profiles.
pub(crate) struct Place {
    dir: TempDir,
    pub(crate) store: String,
    machine: Machine,
    pub(crate) clock: Arc<SetClock>,
    facility: RefCell<Option<Arc<LocalFacility>>>,
}

/// What `explain` said, with the directories left out.
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Place {
    /// An open store under a clock that stands still, of another boot than this machine's.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(SetClock::new(BootId(1), 50_000));
        Self::on(Machine { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Machine::real() }, clock)
    }

    /// An open store under this machine's own clock.
    pub(crate) fn real() -> Self {
        Self::on(Machine::real(), Arc::new(SetClock::new(BootId(1), 0)))
    }

    fn on(machine: Machine, clock: Arc<SetClock>) -> Self {
        let dir = TempDir::new().expect("a directory");
        let store = dir.path().join("store").to_str().expect("text").to_owned();
        let place = Self { dir, store, machine, clock, facility: RefCell::new(None) };
        place.open();
        place
    }

    pub(crate) fn open(&self) {
        self.open_as(&self.store, Some(1));
    }

    /// Opens another store; without a seed its history is another one than that of any open before.
    pub(crate) fn open_as(&self, store: &str, seed: Option<u64>) {
        let options = Options {
            create: true,
            segment_size: 64 << 10,
            checkpoint_at_close: false,
            quarantine_timer: false,
            seed,
            ..Options::default()
        };
        let facility = LocalFacility::open_on(&self.machine, Path::new(store), &options).expect("the store opens");
        *self.facility.borrow_mut() = Some(Arc::new(facility));
    }

    pub(crate) fn facility(&self) -> Arc<LocalFacility> {
        self.facility.borrow().clone().expect("the store is open")
    }

    /// Closes the store: what it was, `explain` is asked about.
    pub(crate) fn close<const N: usize>(&self, stacks: [&mut Stack; N]) {
        stacks.into_iter().for_each(Stack::lose_connection);
        let facility = self.facility.borrow_mut().take().expect("the store is open");
        Arc::into_inner(facility).expect("nobody else has it").close().expect("closes");
    }

    /// Connects a stack; `promise_ms` 0: no lease.
    pub(crate) fn stack(&self, text: &str, boot: u128, promise_ms: u64) -> Stack {
        let machine = MachineId(text.bytes().fold(0, |machine, byte| machine << 8 | u128::from(byte)));
        let identity = Identity { machine, boot: BootId(boot), process: ProcessId(1) };
        let introduction = Introduction { name: name(text), identity, promise_ms, enforced: false };
        let connection = self.facility().connect(introduction.clone()).expect("connects");
        let position = connection.position();
        Stack { introduction, connection: Some(connection), position, grants: Vec::new() }
    }

    /// Writes a profile with the usual statements and `more`; its path.
    pub(crate) fn profile(&self, file: &str, more: &str) -> String {
        self.file(file, &format!("{PROFILE}{more}\n"))
    }

    pub(crate) fn file(&self, file: &str, text: &str) -> String {
        let path = self.dir.path().join(file);
        fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    }

    /// Asks for text and for JSON; both say the same.
    pub(crate) fn explain(&self, what: &str, arguments: &[&str]) -> Shown {
        self.explain_in(&self.store, what, arguments)
    }

    /// As [`explain`](Self::explain), of another store.
    pub(crate) fn explain_in(&self, store: &str, what: &str, arguments: &[&str]) -> Shown {
        let shown = self.ask(store, what, arguments);
        shown.check();
        shown
    }

    /// Asks twice; what depends on the moment may differ.
    pub(crate) fn ask(&self, store: &str, what: &str, arguments: &[&str]) -> Shown {
        let arguments = [&["explain", what, "--data", store], arguments].concat();
        let plain = |text: String| text.replace(store, "DIR").replace(&format!("{}/", self.dir.path().display()), "");
        let (text, _) = expect(0, &arguments);
        let (json, _) = expect(0, &[&arguments[..], &["--json"]].concat());
        Shown { text: plain(text), json: serde_json::from_str(&plain(json)).expect("one JSON object") }
    }
}

impl Shown {
    pub(crate) fn answer(&self) -> &str {
        self.json["answer"].as_str().expect("text")
    }

    pub(crate) fn codes(&self) -> Vec<&str> {
        let causes = self.json["causes"].as_array().expect("an array");
        causes.iter().map(|cause| cause["code"].as_str().expect("text")).collect()
    }

    /// The first cause of that code.
    pub(crate) fn cause(&self, code: &str) -> &Value {
        let mut causes = self.json["causes"].as_array().expect("an array").iter();
        causes.find(|cause| cause["code"] == code).unwrap_or_else(|| panic!("no {code}: {:#}", self.json))
    }

    /// Its text.
    pub(crate) fn says(&self, code: &str) -> &str {
        self.cause(code)["text"].as_str().expect("text")
    }

    pub(crate) fn commands(&self) -> Vec<&str> {
        let remedies = self.json["remedies"].as_array().expect("an array");
        remedies.iter().filter_map(|remedy| remedy["command"].as_str()).collect()
    }

    /// Every part of the JSON has the promised form and stands in the text.
    fn check(&self) {
        let keys: Vec<&String> = self.json.as_object().expect("an object").keys().collect();
        for key in ["what", "kind", "answer", "causes", "remedies", "numbers", "notices"] {
            assert!(keys.iter().any(|found| *found == key), "no {key}: {keys:?}");
        }
        assert_eq!(self.text.lines().next(), Some(self.answer()), "the answer comes first");
        for cause in self.json["causes"].as_array().expect("an array") {
            let text = cause["text"].as_str().expect("text");
            assert!(self.text.contains(&format!("\n  {text}\n")), "the text lacks {text}: {}", self.text);
            let source = &cause["source"];
            for key in ["profile", "data_set", "statement"] {
                assert!(source.is_null() || source[key].is_string(), "{cause}");
            }
        }
        for remedy in self.json["remedies"].as_array().expect("an array") {
            let text = remedy["text"].as_str().expect("text");
            assert!(self.text.contains(&format!("\n  {text}")), "the text lacks {text}: {}", self.text);
        }
        for command in self.commands() {
            assert!(self.text.contains(&format!("\n    {command}")), "the text lacks {command}");
            let words = command.split_whitespace().map(std::ffi::OsString::from);
            assert_eq!(portplex::cli::is_understood(words), Ok(()), "{command}");
        }
    }
}

/// A stack and what it holds.
pub(crate) struct Stack {
    pub(crate) introduction: Introduction,
    connection: Option<Connection>,
    position: Position,
    pub(crate) grants: Vec<Grant>,
}

impl Stack {
    pub(crate) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("connected")
    }

    /// Joins with the ports that [`PROFILE`] allows.
    pub(crate) fn enter(&self, target: Target) -> Member {
        self.enter_with(target, 5_000, 9_999)
    }

    pub(crate) fn enter_with(&self, target: Target, first: u16, last: u16) -> Member {
        let mut ports = PortSet::empty();
        ports.insert_range(first, last);
        self.connection().set_allowable(target.transport(), ports).expect("sets");
        self.connection().join(target).expect("joins").value.member
    }

    /// Takes a group; its first port.
    pub(crate) fn acquire(&mut self, member: Member) -> u16 {
        let granted = self.connection().acquire(member, 1, 1).expect("granted").value;
        self.grants.extend(&granted);
        granted[0].mask.ports(granted[0].group).next().expect("a port")
    }

    pub(crate) fn claim(&mut self, member: Member, port: u16) -> u16 {
        let granted = self.connection().claim(member, port).expect("granted").value;
        self.grants.push(granted);
        port
    }

    /// Gives its last grant back.
    pub(crate) fn release(&mut self) {
        let Grant { member, group, lsn, mask, .. } = self.grants.pop().expect("it holds something");
        self.connection().release(member, group, lsn, mask).expect("released");
    }

    /// The facility is gone; what was seen of it is not forgotten.
    pub(crate) fn lose_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.position = connection.position();
        }
    }

    /// Attaches to what was opened since; whether granting is stopped.
    pub(crate) fn attach(&mut self, place: &Place) -> Option<StopCause> {
        let reported = |grant: &Grant| {
            let Grant { lsn, target, group, mask, .. } = *grant;
            ReportedGrant { lsn, target, group, mask }
        };
        self.lose_connection();
        let belief = Belief { position: Some(self.position), grants: self.grants.iter().map(reported).collect() };
        let door = place.facility() as Arc<dyn Facility>;
        let (connection, attached) = Connection::attach(door, self.introduction.clone(), &belief).expect("attached");
        self.connection = Some(connection);
        attached.stopped
    }
}
