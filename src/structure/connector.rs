//! One connector: one stack's connection, and what it has told of itself.
#![forbid(unsafe_code)]

use super::bits::Bits;
use super::bits::PortsView;
use super::item::ConnectorState;
use super::request::Introduction;
use super::retry::Window;
use crate::ident::ConnectorName;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortSet;
use std::collections::BTreeMap;

/// One connector. A forgotten one keeps name and incarnation only, and its slot, until no port in
/// quarantine names it.
#[cfg_attr(any(test, feature = "sim"), derive(Clone))]
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) name: ConnectorName,
    pub(super) incarnation: Incarnation,
    pub(super) state: ConnectorState,
    pub(super) identity: Identity,
    /// The lsn at which its present boot was first seen.
    pub(super) boot_since: Lsn,
    pub(super) promise_ms: u64,
    pub(super) enforced: bool,
    /// Allowable sets by transport.
    pub(super) sets: [Option<u32>; 2],
    pub(super) window: Window,
    /// Membership by list.
    pub(super) members: BTreeMap<u32, u32>,
    /// Ports held in all lists.
    pub(super) held: u32,
    /// Places in quarantine queues that name its slot.
    pub(super) resting: u32,
}

impl Connector {
    pub(super) fn new(lsn: Lsn, introduction: Introduction) -> Self {
        Self {
            name: introduction.name,
            incarnation: Incarnation(lsn.0),
            state: ConnectorState::Active,
            identity: introduction.identity,
            boot_since: lsn,
            promise_ms: introduction.promise_ms,
            enforced: introduction.enforced,
            sets: [None; 2],
            window: Window::new(),
            members: BTreeMap::new(),
            held: 0,
            resting: 0,
        }
    }

    /// Leaves the name only. Memberships and sets are ended by the caller.
    pub(super) fn forget(&mut self) {
        self.state = ConnectorState::Forgotten;
        self.identity = Identity::default();
        self.promise_ms = 0;
        self.enforced = false;
        self.window = Window::new();
    }

    /// Whether another machine, or another boot of the same, is not the one that holds what this
    /// connector has (protocol.md R5).
    pub(super) fn is_other_boot(&self, identity: &Identity) -> bool {
        (self.identity.machine, self.identity.boot) != (identity.machine, identity.boot)
    }
}

/// The content of an allowable set, kept once for all connectors that have it.
#[cfg_attr(any(test, feature = "sim"), derive(Clone))]
#[derive(Debug)]
pub(super) struct AllowableSet {
    pub(super) ports: PortSet,
    pub(super) digest: [u8; 32],
    pub(super) whole: Bits,
    pub(super) some: Bits,
    /// Connectors and transports that point to it.
    pub(super) uses: u32,
}

impl AllowableSet {
    pub(super) fn new(ports: PortSet) -> Self {
        let (whole, some) = super::bits::summaries(ports.words());
        let digest = super::retry::content_digest(ports.words());
        Self { ports, digest, whole, some, uses: 0 }
    }

    pub(super) fn view(&self) -> PortsView<'_> {
        PortsView { masks: self.ports.words(), whole: &self.whole, some: &self.some }
    }
}
