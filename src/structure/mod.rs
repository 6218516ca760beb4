//! The list structure: who holds which ports.
//!
//! (Contract; the rules are written by the modules below.)
#![forbid(unsafe_code)]

mod event;
mod item;
mod refusal;
mod request;

pub use event::{Change, Event, Stamp};
pub use item::{ConnectorState, Item};
pub use refusal::{Operand, Refusal};
pub use request::{Actor, Answer, Body, Grant, Introduction, Member, Membership, Policy, PortRange, Request};

use crate::ident::BootMs;
use crate::ident::Lsn;

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
