//! Who listens on which port, and whose turn it is there.
#![forbid(unsafe_code)]

use super::choose::Turn;
use super::server::{Scope, Server};
use crate::ident::ConnectorName;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// The ports of one DVIPA that somebody listens on or that a rule names.
pub(super) type Ports = BTreeMap<u16, Port>;

/// One port.
#[derive(Clone, Debug, Default)]
pub(super) struct Port {
    /// In the order in which they began.
    pub(super) listeners: Vec<Listener>,
    pub(super) turn: Turn,
    /// Connections sent to a stack since this owner has the DVIPA.
    pub(super) totals: BTreeMap<ConnectorName, u64>,
}

/// One server of one stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) stack: ConnectorName,
    pub(super) server: Server,
    /// How many programs; never 0.
    pub(super) ready: u16,
}

impl Port {
    /// `ready` programs of `stack` listen; 0 = none.
    pub(super) fn set(&mut self, stack: &ConnectorName, server: &Server, ready: u16) {
        let is_it = |listener: &Listener| listener.stack == *stack && listener.server == *server;
        match (self.listeners.iter().position(is_it), ready) {
            (Some(at), 0) => {
                self.listeners.remove(at);
            }
            (Some(at), _) => self.listeners[at].ready = ready,
            (None, 0) => {}
            (None, _) => {
                let (stack, server) = (stack.clone(), server.clone());
                self.listeners.push(Listener { stack, server, ready });
            }
        }
    }

    /// How many programs of a stack listen.
    pub(super) fn ready(&self, stack: &ConnectorName) -> u16 {
        self.of(stack).fold(0, |sum, listener| sum.saturating_add(listener.ready))
    }

    /// Whether a program of the stack listens that the operator has not quiesced.
    pub(super) fn takes_work(&self, stack: &ConnectorName, quiesced: &BTreeSet<Scope>) -> bool {
        self.of(stack).any(|listener| !quiesced.iter().any(|scope| scope.covers(&listener.server)))
    }

    /// The stacks that listen, each once, in the order in which they began.
    pub(super) fn stacks(&self) -> impl Iterator<Item = &ConnectorName> {
        let is_first =
            |at: usize, stack: &ConnectorName| !self.listeners[..at].iter().any(|before| before.stack == *stack);
        let stacks = self.listeners.iter().map(|listener| &listener.stack).enumerate();
        stacks.filter(move |(at, stack)| is_first(*at, stack)).map(|(_, stack)| stack)
    }

    /// Forgets what a stack has here.
    pub(super) fn forget(&mut self, stack: &ConnectorName) {
        self.listeners.retain(|listener| listener.stack != *stack);
        self.totals.remove(stack);
    }

    fn of(&self, stack: &ConnectorName) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(move |listener| listener.stack == *stack)
    }
}
