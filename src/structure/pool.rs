//! The explicit-bind pool against the lists of the same transport: no port is in use in both
//! (invariant 8).
//!
//! The counts cost 256 KiB and time at every grant, so they exist only while a range is in force
//! or the pool has a list.
#![forbid(unsafe_code)]

use super::Structure;
use super::bits::Ports;
use super::request::PortRange;
use crate::ident::GroupNumber;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;

/// Who uses which port of one transport.
#[cfg_attr(any(test, feature = "sim"), derive(Clone))]
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PoolUse {
    /// The range in force: what the pool may give.
    pub(super) range: Ports,
    /// Ports of the range, and those held or in quarantine in the pool: what no list may give.
    pub(super) barred: Ports,
    /// Ports that some list has in use: what the pool may not give.
    pub(super) used: Ports,
    /// By how many lists each port is used.
    counts: Box<[u32]>,
}

impl PoolUse {
    fn new(range: Option<PortRange>) -> Self {
        let mut fresh = Self {
            range: Ports::default(),
            barred: Ports::default(),
            used: Ports::default(),
            counts: vec![0; 65_536].into_boxed_slice(),
        };
        let mut ports = PortSet::empty();
        if let Some(range) = range {
            ports.insert_range(range.first, range.first + (range.count - 1));
        }
        for group in GroupNumber::all() {
            fresh.range.set_mask(group, ports.mask(group).0);
            fresh.barred.set_mask(group, ports.mask(group).0);
        }
        fresh
    }

    /// Free ports of a list of `target` came into use.
    fn taken(&mut self, target: Target, group: GroupNumber, mask: u64) {
        match target {
            Target::Pool(_) => self.barred.set_mask(group, self.barred.mask(group) | mask),
            Target::List(..) => {
                PortMask(mask).ports(group).for_each(|port| self.counts[usize::from(port)] += 1);
                self.used.set_mask(group, self.used.mask(group) | mask);
            }
        }
    }

    /// Ports of a list of `target` are free again.
    fn freed(&mut self, target: Target, group: GroupNumber, mask: u64) {
        match target {
            Target::Pool(_) => {
                let barred = self.barred.mask(group) & !mask | self.range.mask(group);
                self.barred.set_mask(group, barred);
            }
            Target::List(..) => {
                let mut unused = 0;
                for port in PortMask(mask).ports(group) {
                    let count = &mut self.counts[usize::from(port)];
                    *count -= 1;
                    unused |= if *count == 0 { PortMask::of_port(port).0 } else { 0 };
                }
                self.used.set_mask(group, self.used.mask(group) & !unused);
            }
        }
    }
}

impl PortRange {
    /// Whether it is within 1 to 65,535 and not empty.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.first >= 1 && self.count >= 1 && self.first.checked_add(self.count - 1).is_some()
    }
}

impl Structure {
    pub(super) fn note_taken(&mut self, target: Target, group: GroupNumber, mask: u64) {
        if let Some(pool) = &mut self.pools[target.transport().index()] {
            pool.taken(target, group, mask);
        }
    }

    pub(super) fn note_freed(&mut self, target: Target, group: GroupNumber, mask: u64) {
        if let Some(pool) = &mut self.pools[target.transport().index()] {
            pool.freed(target, group, mask);
        }
    }

    /// Builds what is known of a transport's pool anew, after its range or its list came or went.
    pub(super) fn rebuild_pool(&mut self, transport: Transport) {
        self.pools[transport.index()] = self.count_pool(transport);
    }

    /// What must be known of a transport's pool, counted from the lists.
    pub(super) fn count_pool(&self, transport: Transport) -> Option<Box<PoolUse>> {
        let range = self.ranges[transport.index()];
        if range.is_none() && !self.by_target.contains_key(&Target::Pool(transport)) {
            return None;
        }
        let mut pool = PoolUse::new(range);
        for (_, list) in self.lists.iter().filter(|(_, list)| list.target.transport() == transport && list.in_use()) {
            for group in GroupNumber::all() {
                let in_use = !self.holdings.masks(list, group).free();
                if in_use != 0 {
                    pool.taken(list.target, group, in_use);
                }
            }
        }
        Some(Box::new(pool))
    }
}
