//! The list structure: who holds which ports.
//!
//! (Contract; the rules are written by the modules below.)
#![forbid(unsafe_code)]

mod audit;
mod event;
mod fits;
mod import;
mod item;
mod refusal;
mod request;
mod status;

pub use audit::Fault;
pub use event::{Change, Event, Stamp};
pub use fits::Misfit;
pub use import::ImportError;
pub use item::{ConnectorState, Item};
pub use refusal::{Operand, Refusal};
pub use request::{Actor, Answer, Body, Grant, Introduction, Member, Membership, Policy, PortRange, Request};
pub use status::{ConnectorView, Due, ListView, PortOwner};

use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::ident::StructureName;

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
#[derive(Clone, Copy, Debug, Default)]
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
#[derive(Debug)]
pub struct Structure {
    name: StructureName,
    lsn: Lsn,
}

impl Structure {
    /// An empty structure of that name.
    #[must_use]
    pub fn new(name: StructureName) -> Self {
        Self { name, lsn: Lsn::ZERO }
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

    /// What a request would cause: the events are appended to `events`.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing was appended.
    pub fn decide(
        &self,
        _request: &Request,
        _context: &Context,
        _events: &mut Vec<Event>,
    ) -> Result<Decision, Refusal> {
        unimplemented!("follows")
    }

    /// Makes an event happen, at boot-clock time `at`. Only for events that [`decide`](Self::decide)
    /// returned for this state, in order, or that [`fits`](Self::fits) found possible.
    pub fn apply(&mut self, _lsn: Lsn, _at: BootMs, _event: &Event) {
        unimplemented!("follows")
    }

    /// The answer to a request that was not refused, after its events were applied from lsn `first`
    /// on. For [`Decision::Repeat`] the lsns of the decision count.
    #[must_use]
    pub fn answer(&self, _request: &Request, _decision: &Decision, _first: Lsn, _count: u32) -> Answer {
        unimplemented!("follows")
    }

    /// The state as items, lazily, in canonical order.
    pub fn items(&self) -> impl Iterator<Item = Item> {
        std::iter::empty()
    }

    /// How many items there are.
    #[must_use]
    pub fn items_count(&self) -> u64 {
        unimplemented!("follows")
    }

    /// At most `limit` items, the first `from` left out.
    #[must_use]
    pub fn items_page(&self, _from: u64, _limit: usize) -> Vec<Item> {
        unimplemented!("follows")
    }
}

impl PartialEq for Structure {
    /// Equal in every item.
    fn eq(&self, other: &Self) -> bool {
        self.items().eq(other.items())
    }
}
