//! What the owner of one DVIPA knows: rules, stacks, listeners, connections, affinities.
#![forbid(unsafe_code)]

use super::affinity::Affinities;
use super::connections::Connections;
use super::decision::Flow;
use super::decision::NoListener;
use super::ports::Ports;
use super::rule::Load;
use super::rule::Rule;
use super::server::{Scope, Server};
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::profile::DistMethod;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The routing of one DVIPA, on the stack that owns it.
#[derive(Clone, Debug)]
pub struct Distributor {
    pub(super) dvipa: Dvipa,
    pub(super) owner: ConnectorName,
    pub(super) rules: Vec<Rule>,
    pub(super) options: Options,
    pub(super) stacks: BTreeMap<ConnectorName, Peer>,
    pub(super) ports: Ports,
    pub(super) connections: Connections,
    pub(super) affinities: Affinities,
    /// By stack, and by port for one server; without a port for the whole system.
    pub(super) loads: BTreeMap<(ConnectorName, Option<u16>), Load>,
}

/// How a distributor behaves where the origin leaves no choice, and its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What becomes of a request that nobody listens for.
    pub no_listener: NoListener,
    /// Most connections of one DVIPA in the routing table; further requests are dropped.
    pub connections_max: usize,
    /// Most affinities of one DVIPA; further clients get none.
    pub affinities_max: usize,
    /// Of so many connections of a port one goes to a target that gets none because its health is 0,
    /// to see whether it is back; 0 = none does.
    pub probe_every: u32,
}

impl Default for Options {
    /// As the origin; about four million connections, a million affinities, every 64th a probe.
    fn default() -> Self {
        Self { no_listener: NoListener::Drop, connections_max: 1 << 22, affinities_max: 1 << 20, probe_every: 64 }
    }
}

/// A stack as the owner sees it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Its dynamic XCF addresses.
    pub(super) xcf: Vec<IpAddr>,
    pub(super) learnt: Learnt,
    /// What its operator quiesced.
    pub(super) quiesced: BTreeSet<Scope>,
}

/// How much of a stack's books is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learnt {
    /// Its report is asked for, and must be at least as new as this change.
    Not { newest: u64 },
    /// Everything up to this change.
    UpTo(u64),
}

/// One target of one port, as Netstat VDPT/-O shows it (Dynamic VIPA Destination Port Table).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRow {
    /// The port.
    pub port: u16,
    /// The target.
    pub stack: ConnectorName,
    /// Rdy: how many programs listen; 0 = it gets nothing.
    pub ready: u16,
    /// TotalConn: connections sent to it since this owner has the DVIPA.
    pub total: u64,
    /// ActiveConn: connections that it has.
    pub active: u32,
    /// Weight and health of the server on this port, or of the system.
    pub load: Load,
    /// The method; `None` if the port is not distributed and its listener is simply known.
    pub method: Option<DistMethod>,
    /// Flag Dynamic: the port was learnt from a listener, no statement names it.
    pub dynamic: bool,
    /// Flag Active of HOTSTANDBY: it gets everything now.
    pub standby_active: bool,
    /// Whether its operator quiesced every server that it has there.
    pub quiesced: bool,
}

impl Distributor {
    /// The routing of a DVIPA that `owner` has from now on. It knows no stack yet.
    #[must_use]
    pub fn new(dvipa: Dvipa, owner: ConnectorName, rules: Vec<Rule>, options: Options) -> Self {
        Self {
            dvipa,
            owner,
            rules,
            options,
            stacks: BTreeMap::new(),
            ports: Ports::new(),
            connections: Connections::default(),
            affinities: Affinities::default(),
            loads: BTreeMap::new(),
        }
    }

    /// Replaces the rules; connections stay where they are.
    pub fn set_rules(&mut self, rules: Vec<Rule>) {
        self.rules = rules;
        let named: Vec<u16> = self.ports.keys().copied().filter(|port| self.names(*port)).collect();
        self.ports.retain(|port, at| !at.listeners.is_empty() || named.contains(port));
    }

    /// What a target's workload manager says: of one server, or of the whole system if `port` is
    /// `None`.
    pub fn set_load(&mut self, stack: &ConnectorName, port: Option<u16>, load: Load) {
        if self.stacks.contains_key(stack) {
            self.loads.insert((stack.clone(), port), load);
        }
    }

    /// The DVIPA.
    #[must_use]
    pub const fn dvipa(&self) -> Dvipa {
        self.dvipa
    }

    /// The stack that owns it.
    #[must_use]
    pub const fn owner(&self) -> &ConnectorName {
        &self.owner
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Every connection and its stack, in order: Netstat VCRT/-V.
    pub fn connections(&self) -> impl Iterator<Item = (&Flow, &ConnectorName)> {
        self.connections.iter().map(|(flow, entry)| (flow, &entry.stack))
    }

    /// The stack that has a connection.
    #[must_use]
    pub fn stack_of(&self, flow: &Flow) -> Option<&ConnectorName> {
        self.connections.get(flow).map(|entry| &entry.stack)
    }

    /// Every affinity in order: client, port, stack, connections that count for it.
    pub fn affinities(&self) -> impl Iterator<Item = (IpAddr, u16, &ConnectorName, u32)> {
        self.affinities.iter().map(|((port, client), affinity)| (*client, *port, &affinity.stack, affinity.count))
    }

    /// How many connections a stack has on a port.
    #[must_use]
    pub fn active(&self, port: u16, stack: &ConnectorName) -> u32 {
        self.connections.count(port, stack)
    }

    /// How many programs of a stack listen on a port.
    #[must_use]
    pub fn ready(&self, port: u16, stack: &ConnectorName) -> u16 {
        self.ports.get(&port).map_or(0, |at| at.ready(stack))
    }

    /// The stacks that are targets of a rule, by name.
    pub fn targets(&self, rule: &Rule) -> impl Iterator<Item = &ConnectorName> {
        let is_target = move |peer: &Peer| rule.part(self.dvipa, &peer.xcf).is_some();
        self.stacks.iter().filter(move |(_, peer)| is_target(peer)).map(|(stack, _)| stack)
    }

    /// Whether the operator quiesced every server that a stack has on the port; without any, whether
    /// one of no known job would be.
    #[must_use]
    pub fn quiesced(&self, port: u16, stack: &ConnectorName) -> bool {
        let Some(peer) = self.stacks.get(stack) else { return false };
        match self.ports.get(&port).filter(|at| at.ready(stack) > 0) {
            Some(at) => !at.takes_work(stack, &peer.quiesced),
            None => peer.quiesced.iter().any(|scope| scope.covers(&Server::from(port))),
        }
    }

    /// The targets of every port that somebody listens on or did so, in order: Netstat VDPT/-O. Ports
    /// of a rule that nobody ever listened on are not among them: see [`targets`](Self::targets).
    #[must_use]
    pub fn rows(&self) -> Vec<PortRow> {
        let mut rows = Vec::new();
        for (port, at) in &self.ports {
            for (stack, peer) in &self.stacks {
                let rule = self.rule_of(*port);
                let is_target = rule.is_some_and(|rule| rule.part(self.dvipa, &peer.xcf).is_some());
                if !is_target && at.ready(stack) == 0 {
                    continue;
                }
                let rule = rule.filter(|_| is_target);
                rows.push(PortRow {
                    port: *port,
                    stack: stack.clone(),
                    ready: at.ready(stack),
                    total: at.totals.get(stack).copied().unwrap_or_default(),
                    active: self.connections.count(*port, stack),
                    load: self.load(stack, *port),
                    method: rule.map(|rule| rule.method),
                    dynamic: !self.names(*port),
                    standby_active: rule.is_some_and(|rule| rule.method == DistMethod::HotStandby)
                        && at.turn.active() == Some(stack),
                    quiesced: self.quiesced(*port, stack),
                });
            }
        }
        rows
    }

    /// Whether a statement names the port.
    pub(super) fn names(&self, port: u16) -> bool {
        self.rules.iter().any(|rule| rule.names(port))
    }

    /// Weight and health of a server; without a word about it, of its system.
    #[must_use]
    pub fn load(&self, stack: &ConnectorName, port: u16) -> Load {
        let of = |port| self.loads.get(&(stack.clone(), port)).copied();
        let system = of(None).unwrap_or_default();
        match of(Some(port)) {
            Some(Load { weight, health_percent }) => {
                Load { weight: weight.or(system.weight), health_percent: health_percent.min(system.health_percent) }
            }
            None => system,
        }
    }
}
