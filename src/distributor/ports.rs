//! Who listens on which port, and whose turn it is there.
#![forbid(unsafe_code)]

use super::choose::Turn;
use crate::ident::ConnectorName;
use std::collections::BTreeMap;

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

/// One stack that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) stack: ConnectorName,
    /// How many programs; never 0.
    pub(super) ready: u16,
}

impl Port {
    /// `ready` programs of `stack` listen; 0 = none.
    pub(super) fn set(&mut self, stack: &ConnectorName, ready: u16) {
        let found = self.listeners.iter().position(|listener| listener.stack == *stack);
        match (found, ready) {
            (Some(at), 0) => {
                self.listeners.remove(at);
            }
            (Some(at), _) => self.listeners[at].ready = ready,
            (None, 0) => {}
            (None, _) => self.listeners.push(Listener { stack: stack.clone(), ready }),
        }
    }

    pub(super) fn ready(&self, stack: &ConnectorName) -> u16 {
        self.listeners.iter().find(|listener| listener.stack == *stack).map_or(0, |listener| listener.ready)
    }
}
