//! A map of the 1,024 groups of one list: who is on which.
#![forbid(unsafe_code)]

use super::state::List;
use crate::ident::GroupNumber;
use crate::ident::PortMask;

/// What one group shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Nobody holds a port of it.
    #[default]
    Free,
    /// One stack, named by its place in the legend, holds all of it, or some.
    Held {
        /// Place in [`Map::stacks`].
        stack: usize,
        /// All 64 ports.
        whole: bool,
    },
    /// Two or more stacks hold disjoint parts.
    Shared,
    /// No port is held, some are in quarantine.
    Quarantine,
    /// No stack may have a port of it: reserved by every profile, or outside the pool's range.
    Excluded,
}

/// One line of the legend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    /// Its name.
    pub(crate) name: String,
    /// Groups in which it holds ports.
    pub(crate) groups: u32,
    /// Ports it holds.
    pub(crate) ports: u32,
}

/// The groups of one list and who is on them.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    /// By group.
    pub(crate) cells: Vec<Cell>,
    /// In the order of their letters.
    pub(crate) stacks: Vec<Stack>,
}

impl Map {
    /// A map on which everything is free.
    pub(crate) fn new(stacks: Vec<Stack>) -> Self {
        Self { cells: vec![Cell::Free; usize::from(GroupNumber::COUNT)], stacks }
    }

    /// The map of a list.
    pub(crate) fn of_list(list: &List) -> Self {
        let mut map = Self::new(Vec::with_capacity(list.members.len()));
        for ports in &list.quarantine {
            map.cells[ports.group.index()] = Cell::Quarantine;
        }
        for (stack, member) in list.members.iter().enumerate() {
            let mut mine = vec![0_u64; usize::from(GroupNumber::COUNT)];
            for held in &member.grants {
                mine[held.group.index()] |= held.mask.0;
            }
            for (cell, mask) in map.cells.iter_mut().zip(&mine).filter(|(_, mask)| **mask != 0) {
                *cell = match *cell {
                    Cell::Held { .. } | Cell::Shared => Cell::Shared,
                    _ => Cell::Held { stack, whole: *mask == u64::MAX },
                };
            }
            let groups = mine.iter().filter(|mask| **mask != 0).count();
            map.stacks.push(Stack {
                name: member.connector.to_string(),
                groups: u32::try_from(groups).unwrap_or(u32::MAX),
                ports: member.ports(),
            });
        }
        map
    }

    /// Only these ports can be granted: free groups without any of them are not shown as free.
    pub(crate) fn keep(&mut self, allowed: impl Fn(GroupNumber) -> PortMask) {
        for (cell, group) in self.cells.iter_mut().zip(GroupNumber::all()) {
            if *cell == Cell::Free && allowed(group).is_empty() {
                *cell = Cell::Excluded;
            }
        }
    }
}

impl Cell {
    /// One character: a letter is a stack, capital where it holds all 64 ports of the group and small
    /// where it holds some; stacks beyond the letters share one sign.
    pub(crate) fn sign(self) -> char {
        match self {
            Self::Free => '.',
            Self::Excluded => ' ',
            Self::Shared => '+',
            Self::Quarantine => '~',
            Self::Held { stack, whole } => {
                let letter =
                    u8::try_from(stack).ok().filter(|place| *place < 26).map_or('#', |place| char::from(b'A' + place));
                if whole { letter } else { letter.to_ascii_lowercase() }
            }
        }
    }
}
