//! Groups of ports, masks within a group, and sets over the whole port space.
#![forbid(unsafe_code)]

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// How many ports one group holds. Fixed for ever: it is part of the storage format.
pub const PORTS_PER_GROUP: u16 = 64;

/// One group of 64 neighbouring ports, named by its place in the port space: group 3 is ports 192
/// to 255. 0 to 1,023.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct GroupNumber(u16);

impl From<GroupNumber> for u16 {
    fn from(group: GroupNumber) -> Self {
        group.0
    }
}

impl TryFrom<u16> for GroupNumber {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, String> {
        Self::new(number).ok_or_else(|| format!("there is no group {number}"))
    }
}

impl GroupNumber {
    /// One past the last group of the 16-bit port space.
    pub const COUNT: u16 = (65_536 / PORTS_PER_GROUP as u32) as u16;

    /// `None` when there is no such group.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The group that `port` is in.
    #[must_use]
    pub const fn of_port(port: u16) -> Self {
        Self(port / PORTS_PER_GROUP)
    }

    /// 0 to 1,023.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The number as a place in an array.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The first port of the group.
    #[must_use]
    pub const fn port_first(self) -> u16 {
        self.0 * PORTS_PER_GROUP
    }

    /// The last port of the group, inclusive: the top group ends at 65,535, which a half-open
    /// range of `u16` could not say.
    #[must_use]
    pub const fn port_last(self) -> u16 {
        self.port_first() + (PORTS_PER_GROUP - 1)
    }

    /// All groups in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }
}

const _: () = assert!(GroupNumber::COUNT == 1_024);

impl fmt::Display for GroupNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Some of the 64 ports of one group: bit `i` is port `group * 64 + i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortMask(pub u64);

impl PortMask {
    /// No port.
    pub const NONE: Self = Self(0);
    /// All 64 ports.
    pub const ALL: Self = Self(u64::MAX);

    /// The mask of `port` in its own group.
    #[must_use]
    pub const fn of_port(port: u16) -> Self {
        Self(1 << (port % PORTS_PER_GROUP))
    }

    /// How many ports.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether no port is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every port of `other` is in it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Ports in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Ports in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Ports of this one that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The ports as numbers, ascending, when the mask is of `group`.
    pub fn ports(self, group: GroupNumber) -> impl Iterator<Item = u16> {
        (0..PORTS_PER_GROUP).filter(move |bit| self.0 >> bit & 1 == 1).map(move |bit| group.port_first() + bit)
    }
}

impl fmt::Display for PortMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

/// A set of ports over the whole port space: one mask for each of the 1,024 groups (8 KiB). Copies
/// share their content until one of them changes.
#[derive(Clone, PartialEq, Eq)]
pub struct PortSet(Arc<[u64; GroupNumber::COUNT as usize]>);

impl PortSet {
    /// No port.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::new([0; GroupNumber::COUNT as usize]))
    }

    /// The set whose masks, by group, are `words`.
    #[must_use]
    pub fn from_words(words: [u64; GroupNumber::COUNT as usize]) -> Self {
        Self(Arc::new(words))
    }

    /// The masks, by group.
    #[must_use]
    pub fn words(&self) -> &[u64; GroupNumber::COUNT as usize] {
        &self.0
    }

    /// The set's ports in one group.
    #[must_use]
    pub fn mask(&self, group: GroupNumber) -> PortMask {
        PortMask(self.0[group.index()])
    }

    /// Whether `port` is in it.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.mask(GroupNumber::of_port(port)).contains(PortMask::of_port(port))
    }

    /// Puts every port from `first` to `last` (inclusive) in. Nothing happens if `last < first`.
    pub fn insert_range(&mut self, first: u16, last: u16) {
        let words = Arc::make_mut(&mut self.0);
        for port in first..=last {
            words[GroupNumber::of_port(port).index()] |= PortMask::of_port(port).0;
        }
    }

    /// Takes every port from `first` to `last` (inclusive) out.
    pub fn remove_range(&mut self, first: u16, last: u16) {
        let words = Arc::make_mut(&mut self.0);
        for port in first..=last {
            words[GroupNumber::of_port(port).index()] &= !PortMask::of_port(port).0;
        }
    }

    /// How many ports: 0 to 65,536.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The set as ranges (first, last inclusive), ascending.
    #[must_use]
    pub fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for port in (0..=u16::MAX).filter(|port| self.contains(*port)) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == port => *last = port,
                _ => ranges.push((port, port)),
            }
        }
        ranges
    }
}

impl Serialize for PortSet {
    /// 1,024 words in a row, without a length: always 8 KiB.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for word in self.0.iter() {
            tuple.serialize_element(word)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for PortSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = PortSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("1,024 masks of 64 bits")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<PortSet, A::Error> {
                let mut set = [0; GroupNumber::COUNT as usize];
                for (index, word) in set.iter_mut().enumerate() {
                    *word = words.next_element()?.ok_or_else(|| A::Error::invalid_length(index, &self))?;
                }
                Ok(PortSet::from_words(set))
            }
        }
        deserializer.deserialize_tuple(GroupNumber::COUNT as usize, Words)
    }
}

impl Default for PortSet {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ranges()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_tile_the_port_space() {
        let mut next = 0_u32;
        for group in GroupNumber::all() {
            assert_eq!(u32::from(group.port_first()), next);
            assert_eq!(GroupNumber::of_port(group.port_last()), group);
            next = u32::from(group.port_last()) + 1;
        }
        assert_eq!(next, 65_536);
        assert_eq!(GroupNumber::new(1_024), None);
    }

    #[test]
    fn a_port_set_is_its_ranges() {
        let mut set = PortSet::empty();
        set.insert_range(1_024, 65_535);
        set.remove_range(8_443, 8_443);
        set.remove_range(20_000, 20_063);
        assert_eq!(set.ranges(), [(1_024, 8_442), (8_444, 19_999), (20_064, 65_535)]);
        assert_eq!(set.count(), 64_512 - 65);
        assert!(set.contains(65_535) && !set.contains(8_443) && !set.contains(0));
        let mask = set.mask(GroupNumber::of_port(8_443));
        assert_eq!(mask, PortMask::ALL.without(PortMask::of_port(8_443)));
        assert_eq!(mask.ports(GroupNumber::of_port(8_443)).count(), 63);
    }
}
