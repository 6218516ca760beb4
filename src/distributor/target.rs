//! A stack's own part of a DVIPA: who listens, and which connections end here.
//!
//! This is the truth; the owner's [`Distributor`](super::Distributor) has a copy of it.
#![forbid(unsafe_code)]

use super::affinity::{Affinities, Key, key};
use super::connections::Connections;
use super::decision::Flow;
use super::notice::AffinityHeld;
use super::notice::Change;
use super::notice::Notice;
use super::notice::Report;
use super::server::{Scope, Server};
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// One stack's books of one DVIPA. Every change returns the [`Notice`] that the owner must get.
#[derive(Clone, Debug)]
pub struct Target {
    stack: ConnectorName,
    version: u64,
    listeners: BTreeMap<Server, u16>,
    quiesced: BTreeSet<Scope>,
    connections: Connections,
    affinities: Affinities,
}

impl Target {
    /// A stack that has just come: nobody listens.
    #[must_use]
    pub fn new(stack: ConnectorName) -> Self {
        Self {
            stack,
            version: 0,
            listeners: BTreeMap::new(),
            quiesced: BTreeSet::new(),
            connections: Connections::default(),
            affinities: Affinities::default(),
        }
    }

    /// As [`new`](Self::new), where the operator has quiesced something already.
    pub(super) fn quiesced_already(stack: ConnectorName, quiesced: BTreeSet<Scope>) -> Self {
        Self { quiesced, ..Self::new(stack) }
    }

    /// `ready` programs of a server listen from now on; 0 = none. A server is a port, or a port and
    /// a job.
    pub fn listen(&mut self, server: impl Into<Server>, ready: u16) -> Notice {
        let server = server.into();
        if ready == 0 {
            self.listeners.remove(&server);
        } else {
            self.listeners.insert(server.clone(), ready);
        }
        if self.ready(server.port) == 0 {
            self.affinities.remove_of(&self.stack, Some(server.port));
        }
        self.notice(Change::Listening { server, ready })
    }

    /// A connection was opened; `affinity_s` is what the decision said. `None` if it is there
    /// already.
    pub fn open(&mut self, now: BootMs, flow: Flow, affinity_s: u16) -> Option<Notice> {
        self.affinities.expire(now);
        if self.connections.get(&flow).is_some() {
            return None;
        }
        let key = key(&flow);
        let affinity = (affinity_s > 0).then(|| self.affinities.open(key, &self.stack, affinity_s));
        self.connections.add(flow, &self.stack, affinity);
        Some(self.notice(Change::Opened { flow, affinity_s }))
    }

    /// A connection ended; `None` if there was none.
    pub fn close(&mut self, now: BootMs, flow: Flow) -> Option<Notice> {
        self.affinities.expire(now);
        let entry = self.connections.remove(&flow)?;
        if let Some(serial) = entry.affinity {
            self.affinities.close(now, key(&flow), serial);
        }
        Some(self.notice(Change::Closed { flow }))
    }

    /// QUIESCE: no new distributed connections for these servers; what is established stays, and
    /// clients with an affinity still come. RESUME (`quiesced` false) takes the same scope back.
    pub fn set_quiesced(&mut self, scope: Scope, quiesced: bool) -> Notice {
        if quiesced {
            self.quiesced.insert(scope.clone());
        } else {
            self.quiesced.remove(&scope);
        }
        self.notice(Change::Quiesced { scope, quiesced })
    }

    /// Everything, for a new owner.
    pub fn report(&mut self, now: BootMs) -> Report {
        self.affinities.expire(now);
        let seconds = |flow: &Flow, serial: Option<u64>| {
            let affinity = self.affinities.find(key(flow));
            affinity.filter(|affinity| Some(affinity.serial) == serial).map_or(0, |affinity| affinity.seconds)
        };
        let held = self.affinities.iter().filter_map(|((port, client), affinity)| {
            let left_ms = affinity.until?.0.saturating_sub(now.0);
            Some(AffinityHeld { client: *client, port: *port, seconds: affinity.seconds, left_ms })
        });
        Report {
            stack: self.stack.clone(),
            version: self.version,
            listeners: self.listeners.iter().map(|(server, ready)| (server.clone(), *ready)).collect(),
            quiesced: self.quiesced.iter().cloned().collect(),
            connections: self.connections.iter().map(|(flow, entry)| (*flow, seconds(flow, entry.affinity))).collect(),
            affinities: held.collect(),
        }
    }

    /// How many programs listen on the port.
    #[must_use]
    pub fn ready(&self, port: u16) -> u16 {
        let of_port = self.listeners.iter().filter(|(server, _)| server.port == port);
        of_port.fold(0, |sum, (_, ready)| sum.saturating_add(*ready))
    }

    /// The connections that end here, in order.
    pub fn connections(&self) -> impl Iterator<Item = &Flow> {
        self.connections.iter().map(|(flow, _)| flow)
    }

    /// Who listens, with how many programs, by port and job; never 0.
    pub fn listeners(&self) -> impl Iterator<Item = (&Server, u16)> {
        self.listeners.iter().map(|(server, ready)| (server, *ready))
    }

    /// What the operator quiesced.
    pub fn quiesced(&self) -> impl Iterator<Item = &Scope> {
        self.quiesced.iter()
    }

    /// Whether that connection ends here.
    #[must_use]
    pub fn has(&self, flow: &Flow) -> bool {
        self.connections.get(flow).is_some()
    }

    /// How many connections count for the affinity; 0 without one.
    pub(super) fn affinity_count(&self, key: Key) -> u32 {
        self.affinities.find(key).map_or(0, |affinity| affinity.count)
    }

    fn notice(&mut self, change: Change) -> Notice {
        self.version += 1;
        Notice { stack: self.stack.clone(), version: self.version, change }
    }
}
