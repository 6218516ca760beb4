//! How fast a list fills up, from how many of its ports were in use in the last minutes.
#![forbid(unsafe_code)]

use crate::ident::BootMs;
use std::collections::BTreeMap;
use std::collections::VecDeque;

/// Time between two samples of a list, ms.
const SAMPLE_MS: u64 = 10_000;
/// Samples that are kept of a list: five minutes.
const SAMPLES: usize = 30;
/// Lists that are looked at; those that change first count.
const LISTS_MAX: usize = 4_096;
/// A shorter time says nothing, ms.
const SPAN_MS_MIN: u64 = 20_000;

/// Samples of lists that changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trends(BTreeMap<u32, VecDeque<(BootMs, u32)>>);

impl Trends {
    /// A list has so many ports in use now.
    pub(crate) fn note(&mut self, list: u32, now: BootMs, in_use: u32) {
        if self.0.len() >= LISTS_MAX && !self.0.contains_key(&list) {
            return;
        }
        let samples = self.0.entry(list).or_default();
        if samples.back().is_none_or(|(at, _)| now.0.saturating_sub(at.0) >= SAMPLE_MS) {
            samples.push_back((now, in_use));
        }
        while samples.len() > SAMPLES {
            samples.pop_front();
        }
    }

    /// Forgets samples that are too old to say anything.
    pub(crate) fn advance(&mut self, now: BootMs) {
        let oldest = now.0.saturating_sub(SAMPLE_MS * SAMPLES as u64);
        self.0.retain(|_, samples| {
            samples.retain(|(at, _)| at.0 >= oldest);
            !samples.is_empty()
        });
    }

    /// In how many ms the list is full if it goes on like that; `None` if it does not fill up, or not
    /// enough is known.
    pub(crate) fn full_in_ms(&self, list: u32, now: BootMs, in_use: u32, grantable: u32) -> Option<u64> {
        let (first, before) = *self.0.get(&list)?.front()?;
        let span = now.0.saturating_sub(first.0);
        let grown = u64::from(in_use.saturating_sub(before));
        if span < SPAN_MS_MIN || grown == 0 {
            return None;
        }
        Some(u64::from(grantable).saturating_mul(span) / grown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_fills_up_is_full_when_its_rate_says() {
        let mut trends = Trends::default();
        for step in 0..10 {
            trends.note(7, BootMs(step * 10_000), u32::try_from(step).expect("small") * 640);
        }
        // 640 ports in 10 s, 6,400 are left: 100 s.
        assert_eq!(trends.full_in_ms(7, BootMs(90_000), 9 * 640, 6_400), Some(100_000));
        assert_eq!(trends.full_in_ms(7, BootMs(90_000), 0, 6_400), None, "it grows no more");
        assert_eq!(trends.full_in_ms(8, BootMs(90_000), 640, 6_400), None);
        trends.advance(BootMs(3_600_000));
        assert_eq!(trends.full_in_ms(7, BootMs(3_600_000), 9 * 640, 6_400), None, "that is long ago");
    }

    #[test]
    fn memory_is_bounded_however_many_lists_change() {
        let mut trends = Trends::default();
        (0..10_000).for_each(|list| trends.note(list, BootMs(0), 1));
        (0..1_000).for_each(|step| trends.note(1, BootMs(step * SAMPLE_MS), 1));
        assert_eq!(trends.0.len(), LISTS_MAX);
        assert_eq!(trends.0[&1].len(), SAMPLES);
    }
}
