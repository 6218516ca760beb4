//! How the owner learns what the stacks have, and forgets a stack that is gone.
//!
//! Changes are numbered per stack. An owner that misses one asks for everything; a report that is
//! older than a change it has heard of is asked for again. So a listener that came up during a
//! takeover cannot be lost between the old owner and the new one, which is what happened in
//! APAR PI08005.
#![forbid(unsafe_code)]

use super::affinity::key;
use super::decision::Flow;
use super::notice::Change;
use super::notice::Notice;
use super::notice::Report;
use super::owner::{Distributor, Learnt, Peer};
use super::server::Server;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What came of news from a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is in the books.
    Taken,
    /// It was there already.
    Known,
    /// It waits for the stack's report, which is asked for.
    Waiting,
    /// Something was missed: ask the stack for its report.
    AskReport,
    /// No such stack.
    Stranger,
}

/// Two stacks have the same 4-tuple: what SYSPLEXPORTS prevents. The first keeps it, packets of the
/// second go to the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flow} is a connection of {holder}: {stack} cannot have the same 4-tuple")]
pub struct Collision {
    /// The 4-tuple.
    pub flow: Flow,
    /// Who came second.
    pub stack: ConnectorName,
    /// Who has it.
    pub holder: ConnectorName,
}

impl Distributor {
    /// A stack of the sysplex, with its dynamic XCF addresses. Ask it for its report: until that has
    /// come, requests for an unknown listener are dropped, never reset.
    pub fn add_stack(&mut self, stack: ConnectorName, xcf: Vec<IpAddr>) {
        let peer = Peer { xcf, learnt: Learnt::Not { newest: 0 }, quiesced: BTreeSet::new() };
        self.stacks.insert(stack, peer);
    }

    /// A stack is gone: its listeners, connections and affinities go with it. Returns how many
    /// connections that were. Those of the others stay.
    pub fn remove_stack(&mut self, stack: &ConnectorName) -> usize {
        self.stacks.remove(stack);
        self.loads.retain(|(of, _), _| of != stack);
        self.forget(stack)
    }

    /// Stacks whose report is still asked for.
    pub fn awaited(&self) -> impl Iterator<Item = &ConnectorName> {
        let is_awaited = |peer: &Peer| matches!(peer.learnt, Learnt::Not { .. });
        self.stacks.iter().filter(move |(_, peer)| is_awaited(peer)).map(|(stack, _)| stack)
    }

    /// Takes up one change.
    ///
    /// # Errors
    /// [`Collision`] if another stack has that connection; everything else of the stack is taken up
    /// as usual.
    pub fn hear(&mut self, now: BootMs, notice: &Notice) -> Result<Heard, Collision> {
        self.affinities.expire(now);
        let Notice { stack, version, change } = notice;
        let Some(peer) = self.stacks.get_mut(stack) else { return Ok(Heard::Stranger) };
        match &mut peer.learnt {
            Learnt::Not { newest } => {
                *newest = (*newest).max(*version);
                return Ok(Heard::Waiting);
            }
            Learnt::UpTo(known) if *version <= *known => return Ok(Heard::Known),
            Learnt::UpTo(known) if *version == *known + 1 => *known = *version,
            missed @ Learnt::UpTo(_) => {
                *missed = Learnt::Not { newest: *version };
                return Ok(Heard::AskReport);
            }
        }
        match change {
            Change::Listening { server, ready } => self.listening(stack, server, *ready),
            Change::Opened { flow, affinity_s } => return self.opened(stack, *flow, *affinity_s),
            Change::Closed { flow } => self.closed(now, stack, *flow),
            Change::Quiesced { scope, quiesced: true } => {
                peer.quiesced.insert(scope.clone());
            }
            Change::Quiesced { scope, quiesced: false } => {
                peer.quiesced.remove(scope);
            }
        }
        Ok(Heard::Taken)
    }

    /// Takes up all that a stack has; it replaces what was believed of it. Connections that another
    /// stack has already are left out and returned.
    pub fn learn(&mut self, now: BootMs, report: &Report) -> (Heard, Vec<Collision>) {
        self.affinities.expire(now);
        let Some(peer) = self.stacks.get_mut(&report.stack) else { return (Heard::Stranger, Vec::new()) };
        match peer.learnt {
            Learnt::Not { newest } if report.version < newest => return (Heard::AskReport, Vec::new()),
            Learnt::UpTo(known) if report.version < known => return (Heard::Known, Vec::new()),
            _ => peer.learnt = Learnt::UpTo(report.version),
        }
        peer.quiesced = report.quiesced.iter().cloned().collect();
        self.forget(&report.stack);
        for (server, ready) in &report.listeners {
            self.listening(&report.stack, server, *ready);
        }
        let mut collisions = Vec::new();
        for (flow, affinity_s) in &report.connections {
            collisions.extend(self.opened(&report.stack, *flow, *affinity_s).err());
        }
        for held in &report.affinities {
            let until = now.plus(held.left_ms);
            self.affinities.resume((held.port, held.client), &report.stack, held.seconds, until);
        }
        (Heard::Taken, collisions)
    }

    /// Forgets what a stack has, not the stack.
    fn forget(&mut self, stack: &ConnectorName) -> usize {
        let rules = &self.rules;
        self.ports.retain(|port, at| {
            at.forget(stack);
            !at.listeners.is_empty() || rules.iter().any(|rule| rule.names(*port))
        });
        self.affinities.remove_of(stack, None);
        self.connections.remove_of(stack)
    }

    fn listening(&mut self, stack: &ConnectorName, server: &Server, ready: u16) {
        let port = server.port;
        let at = self.ports.entry(port).or_default();
        at.set(stack, server, ready);
        let (of_stack, is_silent) = (at.ready(stack), at.listeners.is_empty());
        if of_stack == 0 {
            self.affinities.remove_of(stack, Some(port));
        }
        if is_silent && !self.names(port) {
            self.ports.remove(&port);
        }
    }

    fn opened(&mut self, stack: &ConnectorName, flow: Flow, affinity_s: u16) -> Result<Heard, Collision> {
        if let Some(entry) = self.connections.get(&flow) {
            if entry.stack == *stack {
                return Ok(Heard::Known);
            }
            return Err(Collision { flow, stack: stack.clone(), holder: entry.stack.clone() });
        }
        self.enter(flow, stack, affinity_s);
        Ok(Heard::Taken)
    }

    fn closed(&mut self, now: BootMs, stack: &ConnectorName, flow: Flow) {
        if self.connections.get(&flow).is_none_or(|entry| entry.stack != *stack) {
            return;
        }
        if let Some(serial) = self.connections.remove(&flow).and_then(|entry| entry.affinity) {
            self.affinities.close(now, key(&flow), serial);
        }
    }

    /// A connection into the routing table.
    pub(super) fn enter(&mut self, flow: Flow, stack: &ConnectorName, affinity_s: u16) {
        let key = key(&flow);
        let affinity = (affinity_s > 0).then(|| self.affinities.open(key, stack, affinity_s));
        self.connections.add(flow, stack, affinity);
    }
}
