//! The list structure: who holds which ports.
//!
//! A structure is a value. [`decide`](Structure::decide) reads it and says what a request would
//! cause; [`apply`](Structure::apply) makes that cause happen. Neither does I/O, reads a clock or
//! draws a random number, so the same events always rebuild the same structure. Recovery replays
//! events through `apply`, after [`fits`](Structure::fits), and never asks `decide` again: the rule
//! that picks a group may change between releases without changing what an old log means.
//!
//! # Invariants
//!
//! 1. A port of a list is free, held by exactly one grant, or in quarantine.
//! 2. A grant belongs to a connector's newest incarnation; a request from an older one changes
//!    nothing.
//! 3. A release names the grant's lsn; wrong owner, old token, twice: refused, nothing changes.
//! 4. An lsn is never used twice; the token of a grant is the lsn that made it.
//! 5. The same request number has at most one effect in one incarnation, and gets the same grants
//!    while they are still held.
//! 6. A port outside the asking stack's allowable set is never in its mask. A changed set revokes
//!    nothing.
//! 7. When all grants are given back and the quarantine is over, all is free.
//! 8. A port is never in use in the explicit-bind pool and in a list of the same transport.
//! 9. While granting is stopped nothing is granted; a grant keeps its token when it is adopted.
//!
//! [`audit`](Structure::audit) checks what of this can be seen in a state, and every counter and
//! summary besides.
#![forbid(unsafe_code)]

mod answer;
mod apply;
mod audit;
mod bits;
mod choose;
mod connector;
mod decide;
mod decide_adopt;
mod decide_stack;
mod event;
mod figures;
mod fits;
mod holdings;
mod import;
mod item;
mod items;
mod list;
mod parts;
mod pool;
mod refusal;
mod request;
mod retry;
mod slab;
mod standing;
mod status;
mod stop;
#[cfg(test)]
mod tests;

pub use audit::Fault;
pub use decide::{CONNECTORS_MAX, LISTS_MAX, MEMBERS_MAX, SETS_MAX};
pub use event::{Change, Event, Stamp};
pub use figures::{ConnectorFigures, ListFigures};
pub use fits::Misfit;
pub use import::ImportError;
pub use item::{ConnectorState, Item};
pub use parts::{Holding, Room};
pub use refusal::{Operand, Refusal};
pub use request::{Actor, Answer, Body, Grant, Introduction, Member, Membership, Policy, PortRange, Request};
pub use standing::{ReportedGrant, ReportedStatus, Standing};
pub use status::{ConnectorView, Due, ListView, PortOwner};
pub use stop::{Stop, StopCause, Wait, with_drift};

use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::StructureName;
use crate::ident::Target;
use connector::AllowableSet;
use connector::Connector;
use holdings::Holdings;
use list::Joined;
use list::List;
use pool::PoolUse;
use slab::Slab;
use std::collections::BTreeMap;

/// What a decision needs of the world.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The boot clock.
    pub now: BootMs,
    /// A fresh random number, for the choice of a group (RFC 6056: ports must be hard to guess).
    pub random: u64,
    /// The first lsn of the present history: incarnations below it must attach first (R17).
    pub open_first: Lsn,
    /// From where quarantine counts for lsns of earlier boots.
    pub floor: ClockFloor,
    /// Quarantine in ms of lists without a policy of their own.
    pub quarantine_ms: u32,
    /// Drift allowance and deadline knowledge for clean-ups: the boot-clock time at which the
    /// named connector's promised deadline (R1, drift included) passes; `None` where no promise
    /// was made. Filled in by the facility for `CleanUp` only.
    pub deadline: Option<BootMs>,
}

/// Where the present kernel boot begins in the log: quarantine of lsns below `lsn` counts from `at`
/// (protocol.md R22).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockFloor {
    /// The first lsn of the first history under the present boot.
    pub lsn: Lsn,
    /// The boot clock at that open.
    pub at: BootMs,
}

/// What a decision came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The events pushed are to be applied and stored.
    Effect,
    /// Nothing changes; the request is answered from the state as it is.
    NoEffect,
    /// The same request was executed before, with these events.
    Repeat {
        /// Lsn of its first event.
        first: Lsn,
        /// How many.
        count: u32,
    },
}

/// All state of one port space. A value: no file, clock, random source or thread is in it.
///
/// What requests name is found by slot; maps are for what people name.
#[cfg_attr(any(test, feature = "sim"), derive(Clone))]
#[derive(Debug)]
pub struct Structure {
    name: StructureName,
    lsn: Lsn,
    stop: Option<Stop>,
    connectors: Slab<Connector>,
    lists: Slab<List>,
    members: Slab<Joined>,
    sets: Slab<AllowableSet>,
    holdings: Holdings,
    ranges: [Option<PortRange>; 2],
    pools: [Option<Box<PoolUse>>; 2],
    by_name: BTreeMap<ConnectorName, u32>,
    by_target: BTreeMap<Target, u32>,
    by_content: BTreeMap<[u8; 32], u32>,
    /// Places in all request windows.
    window_places: u64,
    /// Not state: where the latest grants are, by lsn modulo the length, for the answers.
    latest: Box<[u32; LATEST_GRANTS]>,
    /// Not state: lists whose quarantine began, or goes on.
    awakened: Vec<u32>,
}

/// As many as one request can make.
const LATEST_GRANTS: usize = GroupNumber::COUNT as usize;

impl Structure {
    /// An empty structure of that name.
    #[must_use]
    pub fn new(name: StructureName) -> Self {
        Self {
            name,
            lsn: Lsn::ZERO,
            stop: None,
            connectors: Slab::default(),
            lists: Slab::default(),
            members: Slab::default(),
            sets: Slab::default(),
            holdings: Holdings::default(),
            ranges: [None; 2],
            pools: [None, None],
            by_name: BTreeMap::new(),
            by_target: BTreeMap::new(),
            by_content: BTreeMap::new(),
            window_places: 0,
            latest: Box::new([u32::MAX; LATEST_GRANTS]),
            awakened: Vec::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> StructureName {
        self.name
    }

    /// The last lsn applied.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }
}

impl PartialEq for Structure {
    /// Equal in every item, and so in everything it will ever do.
    fn eq(&self, other: &Self) -> bool {
        self.items().eq(other.items())
    }
}
