//! One bit for each of the 1,024 groups, and port sets with two such summaries: what the choice of
//! a group reads instead of masks.
//!
//! The cost of a choice is counted in words visited. [`visit`] counts them in unit tests and is
//! nothing otherwise.
#![forbid(unsafe_code)]

use crate::ident::GroupNumber;

const WORDS: usize = GroupNumber::COUNT as usize / 64;

/// A mask of ports for each group.
pub(super) type Masks = [u64; GroupNumber::COUNT as usize];

/// One bit per group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bits([u64; WORDS]);

impl Bits {
    pub(super) const NONE: Self = Self([0; WORDS]);
    pub(super) const ALL: Self = Self([u64::MAX; WORDS]);

    pub(super) fn has(&self, group: GroupNumber) -> bool {
        visit(1);
        self.0[group.index() / 64] >> (group.index() % 64) & 1 == 1
    }

    pub(super) fn set(&mut self, group: GroupNumber, value: bool) {
        let bit = 1 << (group.index() % 64);
        let word = &mut self.0[group.index() / 64];
        *word = if value { *word | bit } else { *word & !bit };
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        visit(WORDS);
        Self(std::array::from_fn(|place| self.0[place] & other.0[place]))
    }

    pub(super) fn without(&self, other: &Self) -> Self {
        visit(WORDS);
        Self(std::array::from_fn(|place| self.0[place] & !other.0[place]))
    }

    pub(super) fn count(&self) -> u32 {
        visit(WORDS);
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The group of the set bit before which `rank` others are set.
    pub(super) fn select(&self, mut rank: u32) -> Option<GroupNumber> {
        visit(WORDS);
        for (place, word) in (0_u16..).zip(self.0) {
            let count = word.count_ones();
            if rank < count {
                let without_lower = (0..rank).fold(word, |rest, _| rest & (rest - 1));
                let bit = u16::try_from(without_lower.trailing_zeros()).expect("a bit of a word");
                return GroupNumber::new(place * 64 + bit);
            }
            rank -= count;
        }
        None
    }

    /// The first set bit from `start` on, going round once.
    pub(super) fn next_from(&self, start: GroupNumber) -> Option<GroupNumber> {
        let (first, shift) = (start.index() / 64, start.index() % 64);
        for step in 0..=WORDS {
            visit(1);
            let place = (first + step) % WORDS;
            let mut word = self.0[place];
            if step == 0 {
                word &= u64::MAX << shift;
            } else if step == WORDS {
                word &= !(u64::MAX << shift);
            }
            if word != 0 {
                let number = place * 64 + word.trailing_zeros() as usize;
                return GroupNumber::new(u16::try_from(number).expect("1,024 groups"));
            }
        }
        None
    }
}

/// A set of ports, read only: its masks and, of each group, whether all and whether some of its
/// ports are in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortsView<'a> {
    pub(super) masks: &'a Masks,
    pub(super) whole: &'a Bits,
    pub(super) some: &'a Bits,
}

/// A set of ports that changes, with its summaries.
#[cfg_attr(any(test, feature = "sim"), derive(Clone))]
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ports {
    masks: Box<Masks>,
    whole: Bits,
    some: Bits,
}

impl Default for Ports {
    fn default() -> Self {
        Self { masks: Box::new([0; GroupNumber::COUNT as usize]), whole: Bits::NONE, some: Bits::NONE }
    }
}

impl Ports {
    pub(super) fn mask(&self, group: GroupNumber) -> u64 {
        self.masks[group.index()]
    }

    pub(super) fn set_mask(&mut self, group: GroupNumber, mask: u64) {
        self.masks[group.index()] = mask;
        self.whole.set(group, mask == u64::MAX);
        self.some.set(group, mask != 0);
    }

    pub(super) fn view(&self) -> PortsView<'_> {
        PortsView { masks: &self.masks, whole: &self.whole, some: &self.some }
    }
}

/// The summaries of masks: whole, some.
pub(super) fn summaries(masks: &Masks) -> (Bits, Bits) {
    let (mut whole, mut some) = (Bits::NONE, Bits::NONE);
    for (group, mask) in GroupNumber::all().zip(masks) {
        whole.set(group, *mask == u64::MAX);
        some.set(group, *mask != 0);
    }
    (whole, some)
}

#[cfg(test)]
thread_local! {
    static VISITED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts words visited, in unit tests.
#[inline]
pub(super) fn visit(_words: usize) {
    #[cfg(test)]
    VISITED.with(|visited| visited.set(visited.get() + _words));
}

/// Words visited by this thread since the last call.
#[cfg(test)]
pub(super) fn take_visited() -> usize {
    VISITED.with(|visited| visited.replace(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(number: u16) -> GroupNumber {
        GroupNumber::new(number).unwrap()
    }

    #[test]
    fn select_and_next_agree_with_a_plain_list() {
        let members = [0, 1, 63, 64, 500, 511, 512, 1_000, 1_023];
        let mut bits = Bits::NONE;
        members.iter().for_each(|number| bits.set(group(*number), true));
        assert_eq!(bits.count() as usize, members.len());
        for (rank, number) in (0..).zip(members) {
            assert_eq!(bits.select(rank), Some(group(number)));
        }
        assert_eq!(bits.select(9), None);
        for start in GroupNumber::all() {
            let plain = members.iter().find(|number| **number >= start.number()).unwrap_or(&0);
            assert_eq!(bits.next_from(start), Some(group(*plain)), "from {start}");
        }
        let mut one = Bits::NONE;
        one.set(group(70), true);
        assert_eq!(one.next_from(group(71)), Some(group(70)));
        assert_eq!(one.next_from(group(70)), Some(group(70)));
        assert_eq!(Bits::NONE.next_from(group(9)), None);
        assert_eq!(Bits::ALL.without(&one).count(), 1_023);
        assert_eq!(Bits::ALL.and(&one), one);
    }
}
