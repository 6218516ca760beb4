//! Everything that must hold, computed again from scratch.
#![forbid(unsafe_code)]

use super::Structure;
use std::fmt;

/// Something that must hold and does not: a bug, or damage that passed every checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule.
    pub rule: &'static str,
    /// Where, with numbers.
    pub place: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.place)
    }
}

impl Structure {
    /// Checks every invariant, counter and summary against the plain facts.
    ///
    /// # Errors
    /// All faults found.
    pub fn audit(&self) -> Result<(), Vec<Fault>> {
        unimplemented!("follows")
    }
}
