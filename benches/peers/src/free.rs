//! Which groups are free, in memory: what a careful user keeps beside a store of keys and values, so
//! that a take does not search it. The store has the truth, and this can be made again from it.

use crate::work::{DVIPAS, GROUP_END, GROUP_FIRST};
use std::collections::BTreeSet;

pub struct Free(Vec<BTreeSet<u16>>);

impl Free {
    pub fn all() -> Self {
        Self((0..DVIPAS).map(|_| (GROUP_FIRST..GROUP_END).collect()).collect())
    }

    pub fn take(&mut self, dvipa: u16) -> u16 {
        self.0[usize::from(dvipa)].pop_first().expect("fewer callers than groups")
    }

    pub fn give(&mut self, dvipa: u16, group: u16) {
        assert!(self.0[usize::from(dvipa)].insert(group), "it was held");
    }
}

/// The key of a group: ordered by DVIPA.
pub fn key(dvipa: u16, group: u16) -> [u8; 4] {
    (u32::from(dvipa) << 16 | u32::from(group)).to_be_bytes()
}
