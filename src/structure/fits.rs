//! Whether an event can be applied: for recovery, where events come from bytes and not from a
//! decision. An impossible event in a frame whose checksum holds is an error, never a panic.
#![forbid(unsafe_code)]

use super::Event;
use super::Structure;
use super::refusal::Operand;
use crate::ident::GroupNumber;
use crate::ident::Lsn;

/// Why an event cannot be applied to a structure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// Lsns only grow.
    #[error("lsn {found} is not above {last}, the last one applied")]
    LsnNotAbove {
        /// The last one applied.
        last: Lsn,
        /// The event's.
        found: Lsn,
    },
    /// A number that names nothing.
    #[error("the event names slot {slot} of the {what}, where nothing is")]
    NoSuch {
        /// What of.
        what: Operand,
        /// The slot.
        slot: u32,
    },
    /// A number that is taken, or that could not have been the next one.
    #[error("the event uses slot {slot} of the {what}, which cannot be used")]
    SlotUnusable {
        /// What of.
        what: Operand,
        /// The slot.
        slot: u32,
    },
    /// What the event names is not as it must be for such an event.
    #[error("what the event names of the {what}, slot {slot}, is not in a state for it")]
    WrongState {
        /// What of.
        what: Operand,
        /// The slot.
        slot: u32,
    },
    /// Ports granted that were not free.
    #[error("the event grants ports {mask:#018x} of group {group}, which are not free")]
    PortsNotFree {
        /// The group.
        group: GroupNumber,
        /// Those that are not free.
        mask: u64,
    },
    /// Ports given back that were not held under that token.
    #[error("the event gives back ports of group {group} that grant {grant} has not")]
    PortsNotHeld {
        /// The group.
        group: GroupNumber,
        /// The token.
        grant: Lsn,
    },
    /// An operand outside its documented range.
    #[error("the event's {what} is out of range")]
    OutOfRange {
        /// Which.
        what: Operand,
    },
    /// The request number does not fit the connector's window.
    #[error("request number {number} does not fit the connector's window")]
    Stamp {
        /// The number; 0 if there was none.
        number: u32,
    },
}

impl Structure {
    /// Whether [`apply`](Self::apply) can take this event at this lsn.
    ///
    /// # Errors
    /// [`Misfit`] says what is impossible about it.
    pub fn fits(&self, _lsn: Lsn, _event: &Event) -> Result<(), Misfit> {
        unimplemented!("follows")
    }
}
