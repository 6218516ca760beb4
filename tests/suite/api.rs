//! The service: a stack works on it as on a facility of its own process, whatever breaks in between.

mod access;
mod certificates;
mod contract;
mod hostile;
mod limits;
mod line;
pub(crate) mod pki;
mod probes;
mod raw;
mod served;
mod stacks;

use portplex::api::{Door, Limits, RemoteFacility, RemoteOptions, Running, Server};
use portplex::facility::{Connection, Facility, LocalFacility, Options};
use portplex::ident::{
    BootId, ConnectorName, Identity, MachineId, PortSet, ProcessId, StructureName, Target, Transport,
};
use portplex::structure::{Introduction, Member};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

fn structure() -> StructureName {
    StructureName::default()
}

fn name(text: &str) -> ConnectorName {
    ConnectorName::new(text).expect("a name")
}

fn list() -> Target {
    Target::List("10.1.1.1".parse().expect("a DVIPA"), Transport::Tcp)
}

fn introduction(stack: &str, process: u64) -> Introduction {
    let identity = Identity { machine: MachineId(1), boot: BootId(1), process: ProcessId(process) };
    Introduction { name: name(stack), identity, promise_ms: 0, enforced: false }
}

/// Any door: the two kinds must not differ.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Tcp,
    Unix,
}

/// A store and the service on it.
struct Service {
    dir: PathBuf,
    door: Door,
    limits: Limits,
    /// In this order: the service ends first.
    running: Option<Running>,
    facility: Option<Arc<LocalFacility>>,
}

impl Service {
    fn start(dir: &Path, kind: Kind) -> Self {
        Self::limited(dir, kind, Limits::default())
    }

    fn limited(dir: &Path, kind: Kind, limits: Limits) -> Self {
        let door = match kind {
            Kind::Tcp => Door::Tcp("127.0.0.1:0".parse().expect("an address")),
            Kind::Unix => Door::Unix(dir.join("service.sock")),
        };
        let mut service = Self { dir: dir.join("store"), door, limits, running: None, facility: None };
        service.open();
        service
    }

    /// Opens the store and the door; the same ones as before, if there were any.
    fn open(&mut self) {
        let options = Options { create: true, seed: Some(7), structure: Some(structure()), ..Options::default() };
        // The lock of the life before goes with its last thread.
        let until = Instant::now() + SOON;
        let facility = loop {
            match LocalFacility::open(&self.dir, &options) {
                Ok(facility) => break Arc::new(facility),
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let server = Server::new(self.limits).host_local(structure(), &facility);
        let running = server.start(std::slice::from_ref(&self.door)).expect("serves");
        self.door = running.doors()[0].clone();
        (self.running, self.facility) = (Some(running), Some(facility));
    }

    /// As a killed process ends: without a word, the store not closed.
    fn kill(&mut self) {
        self.running = None;
        self.facility = None;
    }

    fn facility(&self) -> &Arc<LocalFacility> {
        self.facility.as_ref().expect("open")
    }

    fn remote(&self) -> Arc<RemoteFacility> {
        Arc::new(RemoteFacility::connect(&self.door, structure(), RemoteOptions::default()).expect("connects"))
    }
}

/// Connects a stack and joins the list.
fn joined(facility: &Arc<impl Facility + 'static>, who: Introduction) -> (Connection, Member) {
    let connection = Connection::connect(Arc::clone(facility) as Arc<dyn Facility>, who).expect("connected");
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 65_535);
    connection.set_allowable(Transport::Tcp, ports).expect("set");
    let member = connection.join(list()).expect("joined").value.member;
    (connection, member)
}

/// Waits for what another thread brings about.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < until, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
