//! The nouns as types: valid by construction, so that no rule below ever checks form again.
//!
//! A value of one of these types was parsed once, at the door. The words are those of the z/OS
//! Communications Server books (SNA Network Implementation Guide, IP Configuration Guide); the
//! sizes of a group and of the port space are fixed for ever, because they are part of the storage
//! format.
#![forbid(unsafe_code)]

mod address;
mod name;
mod port;

pub use address::{Dvipa, DvipaError, Target, Transport};
pub use name::{ConnectorName, NameError, StructureName, StructureNameError};
pub use port::{GroupNumber, PORTS_PER_GROUP, PortMask, PortSet};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Number of a record in the log. Grows for ever, never used twice in one history. The lsn of a
/// grant is its fencing token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lsn(pub u64);

impl Lsn {
    /// No record: one before the first.
    pub const ZERO: Self = Self(0);

    /// The lsn after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The first multiple of 2^20 above this lsn: where the next history starts.
    #[must_use]
    pub const fn next_history_first(self) -> Self {
        Self(((self.0 >> HISTORY_SHIFT) + 1) << HISTORY_SHIFT)
    }
}

/// Histories start at multiples of 2^20.
const HISTORY_SHIFT: u32 = 20;

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which life of a stack: the lsn of its connect or attach event. Only the newest may act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One unbroken line of opens of one store: a random 64-bit id drawn at every open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HistoryId(pub u64);

impl fmt::Display for HistoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Identity of one machine (`/etc/machine-id`, or configured): 128 bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MachineId(pub u128);

/// Identity of one boot of one kernel (`/proc/sys/kernel/random/boot_id`): 128 bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootId(pub u128);

/// One process of a stack's agent: random at every start, 64 bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId(pub u64);

/// Who a stack is: machine, kernel boot and agent process. protocol.md R5: identity is
/// (machine, boot); the process only tells a re-join from a new agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The machine.
    pub machine: MachineId,
    /// This boot of its kernel.
    pub boot: BootId,
    /// The agent process.
    pub process: ProcessId,
}

/// A point on the clock that runs through suspend (`CLOCK_BOOTTIME`), in milliseconds since the
/// kernel's boot. Comparable only within one boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootMs(pub u64);

impl BootMs {
    /// This moment plus `ms` milliseconds.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Wall-clock time in milliseconds since 1970-01-01 UTC: for people and attribution, never for
/// decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WallMs(pub u64);

/// A store's random identity, drawn by `init`: 128 bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreUuid(pub u128);

impl fmt::Display for StoreUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
