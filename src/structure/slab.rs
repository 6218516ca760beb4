//! Numbered slots: values are found by number, and the lowest free number is used next.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::ops::Index;
use std::ops::IndexMut;

/// Values by slot. Slots are as few as can be: the last one is never vacant, so that two slabs
/// with the same values in the same slots behave alike, whatever was in them before.
#[cfg_attr(any(test, feature = "sim"), derive(Clone))]
#[derive(Debug)]
pub(super) struct Slab<T> {
    cells: Vec<Option<T>>,
    gaps: BTreeSet<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { cells: Vec::new(), gaps: BTreeSet::new() }
    }
}

impl<T> Slab<T> {
    /// How many values there are.
    pub(super) fn count(&self) -> u32 {
        self.slots() - u32::try_from(self.gaps.len()).expect("fewer gaps than slots")
    }

    /// One past the highest slot in use.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.cells.len()).expect("slots are numbered with 32 bits")
    }

    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        self.cells.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.cells.get_mut(slot as usize)?.as_mut()
    }

    /// The lowest vacant slot.
    pub(super) fn next_free(&self) -> u32 {
        self.nth_free(0)
    }

    /// The vacant slot that is used when `nth` others were used before it.
    pub(super) fn nth_free(&self, nth: u32) -> u32 {
        let gaps = u32::try_from(self.gaps.len()).expect("fewer gaps than slots");
        match self.gaps.iter().nth(nth as usize) {
            Some(gap) => *gap,
            None => self.slots().saturating_add(nth - gaps),
        }
    }

    /// Whether an event may use this slot for a new value: vacant, and not beyond the first slot
    /// that was never used.
    pub(super) fn can_take(&self, slot: u32) -> bool {
        slot == self.slots() || self.gaps.contains(&slot)
    }

    /// Puts a value into a vacant slot; slots skipped on the way become gaps.
    pub(super) fn insert(&mut self, slot: u32, value: T) {
        while self.slots() <= slot {
            self.gaps.insert(self.slots());
            self.cells.push(None);
        }
        assert!(self.gaps.remove(&slot), "slot {slot} is taken");
        self.cells[slot as usize] = Some(value);
    }

    pub(super) fn remove(&mut self, slot: u32) -> T {
        let value = self.cells[slot as usize].take().expect("only a value that is there is removed");
        self.gaps.insert(slot);
        while let Some(None) = self.cells.last() {
            self.cells.pop();
            self.gaps.remove(&self.slots());
        }
        value
    }

    /// The values in slot order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.cells).filter_map(|(slot, cell)| Some((slot, cell.as_ref()?)))
    }

    /// Whether the gaps are exactly the vacant slots, for the audit.
    pub(super) fn is_consistent(&self) -> bool {
        let vacant = (0..).zip(&self.cells).filter(|(_, cell)| cell.is_none()).map(|(slot, _)| slot);
        self.gaps.iter().copied().eq(vacant) && !matches!(self.cells.last(), Some(None))
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        self.get(slot).expect("what a slot in the state names is there")
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        self.get_mut(slot).expect("what a slot in the state names is there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_next_and_the_last_slot_is_never_vacant() {
        let mut slab = Slab::default();
        for value in ["a", "b", "c", "d"] {
            slab.insert(slab.next_free(), value);
        }
        slab.remove(1);
        slab.remove(2);
        assert_eq!((slab.next_free(), slab.count()), (1, 2));
        assert!(slab.can_take(2) && slab.can_take(4) && !slab.can_take(0) && !slab.can_take(5));
        slab.remove(3);
        assert_eq!((slab.next_free(), slab.count()), (1, 1));
        assert!(slab.can_take(1) && !slab.can_take(2) && slab.is_consistent());
        slab.insert(5, "f");
        assert_eq!((slab.next_free(), slab.count()), (1, 2));
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(0, &"a"), (5, &"f")]);
        assert!(slab.is_consistent() && slab.get(3).is_none());
    }
}
