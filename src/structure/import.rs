//! A structure from its items, believing nothing.
#![forbid(unsafe_code)]

use super::Structure;
use super::audit::Fault;
use super::item::Item;

/// Why items make no structure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The first item is not the head, or there is a second one.
    #[error("the head must be the first item and the only one of its kind")]
    Head,
    /// An item that is out of the canonical order, or there twice.
    #[error("item {place} is out of order or there twice")]
    Order {
        /// Its place, counted from 0.
        place: u64,
    },
    /// An item that names what is not there, overlaps another one or has a number out of range.
    #[error("item {place} is impossible: {fault}")]
    Impossible {
        /// Its place, counted from 0.
        place: u64,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Every item is possible, but the whole is not.
    #[error("the items contradict each other: {first} ({count} faults)")]
    Audit {
        /// The first fault.
        first: Fault,
        /// How many.
        count: usize,
    },
}

impl Structure {
    /// The structure whose items, in canonical order, these are.
    ///
    /// # Errors
    /// [`ImportError`] says which item is wrong and why.
    pub fn import(_items: impl Iterator<Item = Item>) -> Result<Self, ImportError> {
        unimplemented!("follows")
    }
}
