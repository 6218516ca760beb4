//! The routing table: every connection of a DVIPA and the stack that has it.
#![forbid(unsafe_code)]

use super::decision::Flow;
use crate::ident::ConnectorName;
use std::collections::BTreeMap;
use std::collections::btree_map;

/// The connections of one DVIPA.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    by_flow: BTreeMap<Flow, Entry>,
    /// How many a stack has on a port; never 0.
    counts: BTreeMap<(u16, ConnectorName), u32>,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stack: ConnectorName,
    /// Serial of the affinity that it counts for.
    pub(super) affinity: Option<u64>,
}

impl Connections {
    pub(super) fn get(&self, flow: &Flow) -> Option<&Entry> {
        self.by_flow.get(flow)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Flow, &Entry)> {
        self.by_flow.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.by_flow.len()
    }

    /// How many `stack` has on `port`.
    pub(super) fn count(&self, port: u16, stack: &ConnectorName) -> u32 {
        self.counts.get(&(port, stack.clone())).copied().unwrap_or_default()
    }

    pub(super) fn counts(&self) -> &BTreeMap<(u16, ConnectorName), u32> {
        &self.counts
    }

    /// Adds one; an established connection keeps its stack.
    pub(super) fn add(&mut self, flow: Flow, stack: &ConnectorName, affinity: Option<u64>) {
        if let btree_map::Entry::Vacant(place) = self.by_flow.entry(flow) {
            place.insert(Entry { stack: stack.clone(), affinity });
            *self.counts.entry((flow.port, stack.clone())).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, flow: &Flow) -> Option<Entry> {
        let entry = self.by_flow.remove(flow)?;
        let key = (flow.port, entry.stack.clone());
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
        Some(entry)
    }

    /// Forgets all connections of a stack; returns how many.
    pub(super) fn remove_of(&mut self, stack: &ConnectorName) -> usize {
        let before = self.by_flow.len();
        self.by_flow.retain(|_, entry| entry.stack != *stack);
        self.counts.retain(|(_, of), _| of != stack);
        before - self.by_flow.len()
    }
}
