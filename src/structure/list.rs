//! One list: one DVIPA's ports of one transport, and who has joined.
#![forbid(unsafe_code)]

use super::bits::Bits;
use super::holdings::Cell;
use super::request::Policy;
use crate::ident::BootMs;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::Target;
use std::collections::BTreeSet;
use std::collections::VecDeque;

/// One list. Its cells exist only while a port is held or in quarantine.
#[cfg_attr(any(test, feature = "sim"), derive(Clone))]
#[derive(Debug)]
pub(super) struct List {
    pub(super) target: Target,
    pub(super) created: Lsn,
    /// False once deleted.
    pub(super) open: bool,
    /// Whether `define` spoke for it: then it stays without members.
    pub(super) defined: bool,
    pub(super) policy: Policy,
    /// Memberships, by slot.
    pub(super) members: BTreeSet<u32>,
    pub(super) cells: Option<Box<[Cell; GroupNumber::COUNT as usize]>>,
    /// Groups of which every port is free.
    pub(super) whole_free: Bits,
    /// Groups of which some port is free.
    pub(super) some_free: Bits,
    /// Ports held.
    pub(super) held: u32,
    /// Ports in quarantine.
    pub(super) quarantined: u32,
    /// Grants.
    pub(super) grants: u32,
    /// What is in quarantine, by lsn.
    pub(super) queue: VecDeque<Resting>,
}

/// Ports of one group in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resting {
    /// The lsn that ended the hold.
    pub(super) lsn: Lsn,
    pub(super) mask: u64,
    /// Quarantine counts from here.
    pub(super) from: BootMs,
    /// The holder's boot, as the lsn at which it was first seen.
    pub(super) boot_since: Lsn,
    /// The holder's slot.
    pub(super) connector: u32,
    pub(super) group: GroupNumber,
}

/// One connector's membership in one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) connector: u32,
    pub(super) list: u32,
    /// The lsn of the join.
    pub(super) joined: Lsn,
    /// The whole group it got last here.
    pub(super) last_group: Option<GroupNumber>,
    /// Ports held.
    pub(super) held: u32,
}

impl List {
    pub(super) fn new(target: Target, created: Lsn) -> Self {
        Self {
            target,
            created,
            open: true,
            defined: false,
            policy: Policy::default(),
            members: BTreeSet::new(),
            cells: None,
            whole_free: Bits::ALL,
            some_free: Bits::ALL,
            held: 0,
            quarantined: 0,
            grants: 0,
            queue: VecDeque::new(),
        }
    }

    /// Whether any port is held or in quarantine.
    pub(super) fn in_use(&self) -> bool {
        self.held + self.quarantined > 0
    }

    /// Whether nothing keeps it: a closed one stays while it is in use, one made by join alone also
    /// while it has members.
    pub(super) fn is_over(&self) -> bool {
        !self.in_use() && (!self.open || (!self.defined && self.members.is_empty()))
    }

    pub(super) fn cell(&self, group: GroupNumber) -> Cell {
        self.cells.as_ref().map_or(Cell::Free, |cells| cells[group.index()])
    }

    /// Notes a group's cell and summaries.
    pub(super) fn set_cell(&mut self, group: GroupNumber, cell: Cell, free: u64) {
        let cells = self.cells.get_or_insert_with(|| Box::new([Cell::Free; GroupNumber::COUNT as usize]));
        cells[group.index()] = cell;
        self.whole_free.set(group, free == u64::MAX);
        self.some_free.set(group, free != 0);
    }

    /// Every port is free again.
    pub(super) fn become_free(&mut self) {
        self.cells = None;
        self.whole_free = Bits::ALL;
        self.some_free = Bits::ALL;
    }
}
