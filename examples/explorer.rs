//! What SYSPLEXPORTS is for, in one screen: `cargo run --example explorer`.
//!
//! Three systems share one address. A client's first connection is distributed to any of them; its
//! second one must come back to the same system, at a port that a thread there has just bound. That
//! works only if no two systems bind the same port of the shared address.

use portplex::distributor::{Flow, Options as Routing, Syn, Sysplex, SysplexError};
use portplex::facility::{self, LocalFacility};
use portplex::ident::{BootId, BootMs, ConnectorName, Dvipa, Identity, MachineId, ProcessId};
use portplex::profile::{Profile, parse};
use portplex::stack::{self, BoundPort, Local, Stack};
use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

const ADDRESS: &str = "10.1.1.1";
const DAEMON_PORT: u16 = 4035;
const CLIENTS: [&str; 3] = ["ann", "ben", "cat"];
const ROUNDS: usize = 10;
/// A database outside, to which the applications of all systems connect.
const DATABASE: &str = "203.0.113.99:446";

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut io::stdout().lock()).map(|_| ())
}

/// How many clients reached their own thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// With SYSPLEXPORTS.
    pub with: usize,
    /// Without.
    pub without: usize,
    /// How many there were.
    pub clients: usize,
}

/// Shows the pattern with and without SYSPLEXPORTS.
pub fn run(out: &mut impl Write) -> Result<Outcome, Box<dyn Error>> {
    writeln!(out, "One address, three systems: SYS1, SYS2 and SYS3 share {ADDRESS}.\n")?;
    writeln!(out, "A daemon listens on port {DAEMON_PORT} of every system, and new connections go to each in turn.")?;
    writeln!(out, "It starts a server thread, which binds port 0 of {ADDRESS}, listens, and tells the client")?;
    writeln!(out, "the port it got. The client connects to {ADDRESS} again, to that port.\n")?;

    writeln!(out, "With SYSPLEXPORTS: ports are drawn from one structure.\n")?;
    let with = show(out, true)?;
    writeln!(out, "\nWithout: each system counts up by itself.\n")?;
    let without = show(out, false)?;

    let clients = ROUNDS * CLIENTS.len();
    writeln!(out, "\nOf {clients} clients, these reached their own thread:\n")?;
    for (what, count) in [("with SYSPLEXPORTS", with), ("without", without)] {
        writeln!(out, "  {what:<20}{count:>4}   {}", "#".repeat(count))?;
    }
    Ok(Outcome { with, without, clients })
}

/// One sysplex: the clients of the first round in a table, the others counted.
fn show(out: &mut impl Write, sysplexports: bool) -> Result<usize, Box<dyn Error>> {
    let mut systems = Systems::start(sysplexports)?;
    let mut right = 0;
    writeln!(out, "  client   daemon on   thread listens on     client comes back to")?;
    for round in 0..ROUNDS {
        let visits = systems.round(round)?;
        for visit in visits.iter().filter(|_| round == 0) {
            let Visit { client, daemon_on, port, back_to } = visit;
            let verdict = if back_to == daemon_on.as_str() { "" } else { "   <- another client's thread" };
            writeln!(out, "  {client:<9}{daemon_on:<12}{:<22}{back_to}{verdict}", format!("{ADDRESS}:{port}"))?;
        }
        right += visits.iter().filter(|visit| visit.back_to == visit.daemon_on.as_str()).count();
    }
    writeln!(out, "\n  connections out, to {DATABASE}:")?;
    for Outbound { system, port, taken_by } in systems.connect_out()? {
        let verdict = match taken_by {
            None => "answers come back".to_owned(),
            Some(holder) => format!("<- the same connection as {holder}'s: answers go there"),
        };
        writeln!(out, "  {system:<21}{:<22}{verdict}", format!("{ADDRESS}:{port}"))?;
    }
    Ok(right)
}

/// What one client met.
struct Visit {
    client: &'static str,
    daemon_on: ConnectorName,
    port: u16,
    back_to: String,
}

/// A connection that one system opened, and who has the same 4-tuple already.
struct Outbound {
    system: ConnectorName,
    port: u16,
    taken_by: Option<ConnectorName>,
}

/// Three systems: who gets a connection, and where each takes its ports from.
struct Systems {
    sysplex: Sysplex,
    dvipa: Dvipa,
    names: Vec<ConnectorName>,
    ports: Ports,
}

/// Where source ports come from.
enum Ports {
    /// The structure, through each system's stack. The directory holds the store.
    Structure { stacks: Vec<Stack>, _store: tempfile::TempDir },
    /// Each system's own next one.
    Own(Vec<u16>),
}

impl Systems {
    fn start(sysplexports: bool) -> Result<Self, Box<dyn Error>> {
        let dvipa: Dvipa = ADDRESS.parse()?;
        let mut sysplex = Sysplex::new(Routing::default());
        let (mut names, mut profiles) = (Vec::new(), Vec::new());
        for system in 1..=3 {
            let (name, profile) = (ConnectorName::new(&format!("SYS{system}"))?, profile(system, sysplexports));
            sysplex.join(BootMs(0), name.clone(), &profile)?;
            sysplex.listen(BootMs(0), &name, dvipa, DAEMON_PORT, 1)?;
            names.push(name);
            profiles.push(profile);
        }
        let ports = if sysplexports { structure(&names, profiles)? } else { Ports::Own(vec![1024; 3]) };
        Ok(Self { sysplex, dvipa, names, ports })
    }

    /// Every client connects to the daemon, gets a thread, and comes back: not in the same order.
    fn round(&mut self, round: usize) -> Result<Vec<Visit>, Box<dyn Error>> {
        let mut visits: Vec<(&str, usize, BoundPort)> = Vec::new();
        for (number, client) in CLIENTS.into_iter().enumerate() {
            let syn = self.syn(round, number, 0, DAEMON_PORT);
            let decision = self.sysplex.arrive(BootMs(0), &syn);
            let system = self.names.iter().position(|name| Some(name) == decision.stack());
            let system = system.ok_or_else(|| format!("{client} reaches no daemon: {decision}"))?;
            let bound = self.bind(system)?;
            self.sysplex.listen(BootMs(0), &self.names[system], self.dvipa, bound.port, 1)?;
            visits.push((client, system, bound));
        }
        let mut seen = Vec::new();
        for (number, (client, system, bound)) in visits.into_iter().enumerate().rev() {
            let syn = self.syn(round, number, 1, bound.port);
            let decision = self.sysplex.arrive(BootMs(0), &syn);
            if let Some(stack) = decision.stack() {
                // A thread serves one client: it stops listening.
                self.sysplex.listen(BootMs(0), stack, self.dvipa, bound.port, 0)?;
            }
            let back_to = decision.stack().map_or(decision.to_string(), ToString::to_string);
            seen.push(Visit { client, daemon_on: self.names[system].clone(), port: bound.port, back_to });
            // The connection lasts, so the port is never given back.
        }
        seen.reverse();
        Ok(seen)
    }

    /// An application of every system connects to the database, with the shared address as its own.
    fn connect_out(&mut self) -> Result<Vec<Outbound>, Box<dyn Error>> {
        let mut results = Vec::new();
        for number in 0..self.names.len() {
            let (system, port) = (self.names[number].clone(), self.bind(number)?.port);
            let flow = Flow { peer: DATABASE.parse()?, dvipa: self.dvipa, port };
            let taken_by = match self.sysplex.connect(BootMs(0), &system, flow) {
                Ok(()) => None,
                Err(SysplexError::Collision(collision)) => Some(collision.holder),
                Err(error) => return Err(error.into()),
            };
            results.push(Outbound { system, port, taken_by });
        }
        Ok(results)
    }

    /// `bind(dvipa, 0)` on one system.
    fn bind(&mut self, system: usize) -> Result<BoundPort, Box<dyn Error>> {
        match &mut self.ports {
            Ports::Structure { stacks, .. } => Ok(stacks[system].bind(self.dvipa, 0)?),
            Ports::Own(next) => {
                next[system] += 1;
                Ok(BoundPort { local: Local::Address(self.dvipa), port: next[system] - 1, grant: None })
            }
        }
    }

    fn syn(&self, round: usize, client: usize, connection: u16, port: u16) -> Syn {
        let host = Ipv4Addr::from(0xc633_6400 + u32::try_from(round * CLIENTS.len() + client + 1).unwrap_or(1));
        let peer = SocketAddr::new(host.into(), 50_000 + connection);
        Syn { flow: Flow { peer, dvipa: self.dvipa, port }, from: None }
    }
}

/// A store in a temporary directory, and a stack of each system on it.
fn structure(names: &[ConnectorName], profiles: Vec<Profile>) -> Result<Ports, Box<dyn Error>> {
    let store = tempfile::tempdir()?;
    // Seeds, so that this example prints the same every time. Without them ports cannot be guessed.
    let options = facility::Options { create: true, seed: Some(1), ..facility::Options::default() };
    let facility = Arc::new(LocalFacility::open(store.path(), &options)?);
    let mut stacks = Vec::new();
    for (number, (name, profile)) in (1_u8..).zip(names.iter().zip(profiles)) {
        let identity =
            Identity { machine: MachineId(number.into()), boot: BootId(1), process: ProcessId(number.into()) };
        let options = stack::Options { seed: [number; 32], ..stack::Options::default() };
        let (stack, _) = Stack::start(facility.clone(), name.clone(), profile, identity, options)?;
        stacks.push(stack);
    }
    Ok(Ports::Structure { stacks, _store: store })
}

/// The TCP/IP profile of one system: SYS1 has the address, the others back it up.
fn profile(system: u8, sysplexports: bool) -> Profile {
    let claim = match system {
        1 => "VIPADEFINE MOVEABLE IMMEDIATE 255.255.255.0 10.1.1.1".to_owned(),
        _ => format!("VIPABACKUP {} MOVEABLE IMMEDIATE 255.255.255.0 10.1.1.1", 200 - u16::from(system) * 50),
    };
    let sysplexports = if sysplexports { "SYSPLEXPORTS" } else { "" };
    let text = format!(
        "IPCONFIG SYSPLEXROUTING DYNAMICXCF 192.168.10.{system} 255.255.255.0 1
         VIPADYNAMIC
           {claim}
           VIPADISTRIBUTE {sysplexports} DISTMETHOD ROUNDROBIN 10.1.1.1 PORT 4035 DESTIP ALL
         ENDVIPADYNAMIC
         PORT 4035 TCP RSED"
    );
    parse(text.as_bytes()).0
}
