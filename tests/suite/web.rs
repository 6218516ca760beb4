//! JSON and the page over HTTP: exact as of the lsn that is named, bounded, and as described.
#![allow(clippy::disallowed_methods, reason = "tests wait for conditions")]

mod answers;
mod asked_wrongly;
mod schema;
mod streams;

use super::random::Random;
use portplex::api::{Door, Limits, Running, Server};
use portplex::facility::{Connection, LocalFacility, Options};
use portplex::ident::{
    BootId, ConnectorName, Identity, MachineId, PortSet, ProcessId, StructureName, Target, Transport,
};
use portplex::structure::{Grant, Introduction, Member, PortRange};
use portplex::web::{Ending, Web};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// A store, and what is served of it over HTTP.
struct Served {
    /// In this order: streams end, the doors close, the store is closed.
    ending: Option<Ending>,
    running: Option<Running>,
    facility: Option<Arc<LocalFacility>>,
    address: String,
}

/// What came back.
struct Got {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

fn structure() -> StructureName {
    "EZBEPORT1121".parse().expect("a name")
}

fn list(last: u8) -> Target {
    Target::List(format!("10.1.1.{last}").parse().expect("a DVIPA"), Transport::Tcp)
}

fn open(dir: &Path, name: StructureName) -> Arc<LocalFacility> {
    let options =
        Options { create: true, seed: Some(7), structure: Some(name), quarantine_timer: false, ..Options::default() };
    Arc::new(LocalFacility::open(dir, &options).expect("opens"))
}

impl Served {
    fn start(dir: &Path) -> Self {
        Self::of(vec![(structure(), open(&dir.join("store"), structure()))])
    }

    fn of(hosted: Vec<(StructureName, Arc<LocalFacility>)>) -> Self {
        let facility = hosted.first().map(|(_, facility)| Arc::clone(facility));
        let Web { routes, ending } = Web::new(hosted);
        let door = Door::Tcp("127.0.0.1:0".parse().expect("an address"));
        let running = Server::new(Limits::default()).http(routes).start(&[door]).expect("serves");
        let address = running.doors()[0].to_string().trim_start_matches("http://").to_owned();
        Self { ending: Some(ending), running: Some(running), facility, address }
    }

    fn facility(&self) -> &Arc<LocalFacility> {
        self.facility.as_ref().expect("open")
    }

    fn get(&self, path: &str) -> Got {
        self.ask("GET", path, &[])
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Got {
        let mut stream = self.send(method, path, headers, "close");
        let (status, headers) = head(&mut stream);
        let mut body = Vec::new();
        stream.read_to_end(&mut body).expect("the body");
        let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        assert!(!is_chunked, "answers have a length");
        Got { status, headers, body: String::from_utf8(body).expect("text") }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], connection: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).expect("connects");
        stream.set_read_timeout(Some(SOON)).expect("set");
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let host = &self.address;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: {connection}\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        BufReader::new(stream)
    }

    /// The body of an answer below the structure's path.
    fn json(&self, rest: &str) -> Value {
        let got = self.get(&format!("/v1/structures/{}{rest}", structure()));
        assert_eq!(got.status, 200, "{rest}: {}", got.body);
        serde_json::from_str(&got.body).expect("JSON")
    }

    /// Ends in order.
    fn stop(mut self) {
        drop(self.ending.take());
        let drained = self.running.take().map(|running| running.stop(SOON));
        assert_eq!(drained, Some(portplex::api::Drained::All));
        let mut facility = self.facility.take().expect("open");
        for _ in 0..2_000 {
            facility = match Arc::try_unwrap(facility) {
                Ok(facility) => {
                    facility.close().expect("closed");
                    return;
                }
                Err(shared) => shared,
            };
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("somebody still has the facility after the service ended");
    }
}

fn head(stream: &mut BufReader<TcpStream>) -> (u16, Vec<(String, String)>) {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    };
    let first = line();
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let mut headers = Vec::new();
    loop {
        let line = line();
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    (status, headers)
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}

/// One stack at work.
struct Stack {
    connection: Connection,
    members: Vec<(Target, Member)>,
    grants: Vec<Grant>,
}

impl Stack {
    fn connect(facility: &Arc<LocalFacility>, name: &str) -> Self {
        let identity = Identity { machine: MachineId(name.len() as u128), boot: BootId(1), process: ProcessId(1) };
        let name = ConnectorName::new(name).expect("a name");
        let introduction = Introduction { name, identity, promise_ms: 0, enforced: false };
        let connection = facility.connect(introduction).expect("connected");
        let mut ports = PortSet::empty();
        ports.insert_range(1_024, 65_535);
        for transport in Transport::ALL {
            connection.set_allowable(transport, ports.clone()).expect("set");
        }
        Self { connection, members: Vec::new(), grants: Vec::new() }
    }

    fn member(&mut self, target: Target) -> Member {
        if let Some((_, member)) = self.members.iter().find(|(of, _)| *of == target) {
            return *member;
        }
        let member = self.connection.join(target).expect("joined").value.member;
        self.members.push((target, member));
        member
    }

    /// One random thing, of which something may come or not.
    fn act(&mut self, targets: &[Target], random: &mut Random) {
        let target = *random.pick(targets);
        match random.below(10) {
            0..=3 => {
                let member = self.member(target);
                let groups = u16::try_from(1 + random.below(3)).expect("small");
                self.grants
                    .extend(self.connection.acquire(member, 1, groups).ok().map(|got| got.value).unwrap_or_default());
            }
            4..=5 => {
                let member = self.member(target);
                let port = u16::try_from(1_024 + random.below(3_000)).expect("a port");
                self.grants.extend(self.connection.claim(member, port).ok().map(|got| got.value));
            }
            6..=8 if !self.grants.is_empty() => {
                let place = random.index(self.grants.len());
                let grant = self.grants[place];
                let some = portplex::ident::PortMask(random.next()).and(grant.mask);
                let mask = if random.below(2) == 0 || some.is_empty() { grant.mask } else { some };
                self.connection.release(grant.member, grant.group, grant.lsn, mask).expect("released");
                self.grants[place].mask = grant.mask.without(mask);
                self.grants.retain(|grant| !grant.mask.is_empty());
            }
            _ => drop(self.member(target)),
        }
    }
}

/// A structure in which something of everything happened, and the stacks that did it.
fn random_store(served: &Served, random: &mut Random, steps: usize) -> Vec<Stack> {
    use portplex::facility::Facility;
    let facility = served.facility();
    let v6 = Target::List("2001:db8::7".parse().expect("a DVIPA"), Transport::Udp);
    let targets = [list(1), list(2), v6, Target::Pool(Transport::Tcp)];
    facility.set_range(Transport::Tcp, Some(PortRange { first: 60_000, count: 512 })).expect("set");
    let mut stacks: Vec<Stack> =
        (1..=6).map(|number| Stack::connect(facility, &format!("SYS{number}.TCPIP"))).collect();
    for _ in 0..steps {
        let place = random.index(stacks.len());
        stacks[place].act(&targets, random);
    }
    facility.define(list(3)).expect("defined");
    stacks[0].member(list(4));
    facility.delete(list(2)).expect("deleted");
    let failed = stacks.pop().expect("six");
    let name = ConnectorName::new("SYS6.TCPIP").expect("a name");
    let incarnation = failed.connection.actor().incarnation;
    facility.mark_failed(&name, incarnation, &ConnectorName::new("OPERATOR").expect("a name")).expect("marked");
    stacks
}

#[test]
fn several_structures_are_shown_side_by_side() {
    let dir = tempfile::tempdir().expect("a directory");
    let other: StructureName = "EZBEPORT0202".parse().expect("a name");
    let hosted =
        vec![(structure(), open(&dir.path().join("a"), structure())), (other, open(&dir.path().join("b"), other))];
    let served = Served::of(hosted);
    Stack::connect(served.facility(), "SYS1.TCPIP").member(list(1));
    let got: Value = serde_json::from_str(&served.get("/v1/structures").body).expect("JSON");
    let names: Vec<&str> =
        got["structures"].as_array().expect("rows").iter().filter_map(|row| row["structure"].as_str()).collect();
    assert_eq!(names, ["EZBEPORT0202", "EZBEPORT1121"]);
    assert_eq!(served.json("")["lists"], 1);
    let got: Value = serde_json::from_str(&served.get("/v1/structures/EZBEPORT0202").body).expect("JSON");
    assert_eq!((&got["lists"], &got["structure"]), (&0.into(), &"EZBEPORT0202".into()));
    served.stop();
}
