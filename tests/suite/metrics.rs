//! Metrics and health over HTTP: what is told is well formed, is true, and leads an operator somewhere.

mod exposition;
mod files;
mod health;
mod promtool;
mod truth;

use exposition::Exposition;
use portplex::api::{Door, Limits, RemoteFacility, RemoteOptions, Running, Server, ServiceMeters, http};
use portplex::facility::{Connection, Facility, LocalFacility, Machine, Options};
use portplex::ident::{
    BootId, ConnectorName, Identity, MachineId, PortSet, ProcessId, StructureName, Target, Transport,
};
use portplex::structure::{Introduction, Member};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No answer may take longer than that.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store, the service on it, and HTTP at its door.
struct Service {
    address: SocketAddr,
    meters: Arc<ServiceMeters>,
    /// In this order: the service ends first.
    _running: Running,
    facility: Arc<LocalFacility>,
}

impl Service {
    fn start(dir: &Path) -> Self {
        Self::start_on(&Machine::real(), dir, Options::default())
    }

    fn start_on(machine: &Machine, dir: &Path, options: Options) -> Self {
        let options = Options { create: true, ..options };
        let facility = Arc::new(LocalFacility::open_on(machine, &dir.join("store"), &options).expect("opens"));
        Self::hosting(vec![(StructureName::default(), facility)])
    }

    /// The first one is asked by default.
    fn hosting(hosted: Vec<(StructureName, Arc<LocalFacility>)>) -> Self {
        let facility = Arc::clone(&hosted[0].1);
        let server = hosted
            .iter()
            .fold(Server::new(Limits::default()), |server, (name, facility)| server.host_local(*name, facility));
        let meters = server.meters();
        let routes = http::routes(hosted, Arc::clone(&meters));
        let door = Door::Tcp("127.0.0.1:0".parse().expect("an address"));
        let running = server.http(routes).start(&[door]).expect("serves");
        let Door::Tcp(address) = running.doors()[0] else { panic!("a TCP door") };
        Self { address, meters, _running: running, facility }
    }

    fn remote(&self) -> Arc<RemoteFacility> {
        let door = Door::Tcp(self.address);
        let remote = RemoteFacility::connect(&door, StructureName::default(), RemoteOptions::default());
        Arc::new(remote.expect("connects"))
    }

    fn scrape(&self) -> Exposition {
        let answer = self.get("/metrics", "");
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
        Exposition::parse(&answer.body)
    }

    fn get(&self, path: &str, accept: &str) -> Answer {
        get(self.address, path, accept)
    }
}

/// What HTTP answered.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// One request on a connection of its own.
fn get(address: SocketAddr, path: &str, accept: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    if !accept.is_empty() {
        let _ = write!(request, "accept: {accept}\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let answer = Answer { status: status.expect("a status"), headers, body: body.to_owned() };
    assert_eq!(answer.header("content-length"), body.len().to_string(), "{path} came whole");
    answer
}

/// Waits for what another thread brings about.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn name(text: &str) -> ConnectorName {
    ConnectorName::new(text).expect("a name")
}

fn list(last: u8) -> Target {
    Target::List(format!("10.1.1.{last}").parse().expect("a DVIPA"), Transport::Tcp)
}

fn introduction(stack: &str, machine: u128, promise_ms: u64) -> Introduction {
    let identity = Identity { machine: MachineId(machine), boot: BootId(1), process: ProcessId(1) };
    Introduction { name: name(stack), identity, promise_ms, enforced: false }
}

/// Connects a stack that may use every port but the first 1,024, and joins a list.
fn joined(facility: &Arc<impl Facility + 'static>, who: Introduction, target: Target) -> (Connection, Member) {
    let connection = Connection::connect(Arc::clone(facility) as Arc<dyn Facility>, who).expect("connected");
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 65_535);
    connection.set_allowable(Transport::Tcp, ports).expect("set");
    let member = connection.join(target).expect("joined").value.member;
    (connection, member)
}
