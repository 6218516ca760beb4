//! A stream of numbers from (seed, caller): the same on every machine and in every release.
#![forbid(unsafe_code)]

use crate::cli::splitmix;
use crate::ident::PortSet;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64, caller: u32) -> Self {
        let mut start = Self(seed);
        let mixed = start.next();
        Self(mixed ^ u64::from(caller).wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        splitmix::next(&mut self.0)
    }

    /// 0 to `end` - 1; `end` is at least 1. The bias is below 2^-32.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        let high = (u128::from(self.next()) * u128::from(end)) >> 64;
        u32::try_from(high).expect("below a u32")
    }

    /// True `percent` times in a hundred.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of a slice, `None` if it is empty.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let end = u32::try_from(of.len()).ok().filter(|end| *end > 0)?;
        of.get(self.below(end) as usize)
    }

    /// One of a few with weights, of which at least one is not 0.
    pub(crate) fn weighted<T: Copy>(&mut self, of: &[(u32, T)]) -> T {
        let mut place = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, what) in of {
            match place.checked_sub(*weight) {
                Some(left) => place = left,
                None => return *what,
            }
        }
        of[of.len() - 1].1
    }

    /// Some of the bits of a mask, at least one if it has any.
    pub(crate) fn part(&mut self, mask: u64) -> u64 {
        let part = mask & self.next();
        if part == 0 { mask & mask.wrapping_neg() } else { part }
    }

    /// `set` without a few short ranges.
    pub(crate) fn with_holes(&mut self, mut set: PortSet, first: u16, last: u16) -> PortSet {
        for _ in 0..self.below(4) {
            let length = u16::try_from(self.below(200)).expect("below 200");
            let span = u32::from(last - first);
            let start = first + u16::try_from(self.below(span.max(1))).expect("a span of ports");
            set.remove_range(start, start.saturating_add(length).min(last));
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_and_caller_alone() {
        let first = |seed, caller| Draw::new(seed, caller).next();
        assert_eq!(first(7, 0), first(7, 0));
        assert_ne!(first(7, 0), first(7, 1));
        assert_ne!(first(7, 0), first(8, 0));
        let mut draw = Draw::new(1, 0);
        assert_eq!(draw.part(0), 0);
        for _ in 0..1_000 {
            assert!(draw.below(3) < 3);
            assert_ne!(draw.part(0xf0) & 0xf0, 0);
            assert_eq!(draw.part(0xf0) & !0xf0, 0);
            assert_eq!(draw.weighted(&[(0, 'a'), (5, 'b'), (0, 'c')]), 'b');
        }
        assert_eq!(draw.pick::<u8>(&[]), None);
    }
}
