//! When, and what, the run itself does by chance.
#![forbid(unsafe_code)]

pub(super) use crate::cli::splitmix::next;

/// `count` moments between `from_us` and `to_us`, one in each of as many equal parts, and never
/// at the edges of a part, so that each crash meets a sysplex that works again.
pub(super) fn moments(state: &mut u64, count: u32, from_us: u64, to_us: u64) -> Vec<u64> {
    let part_us = to_us.saturating_sub(from_us) / u64::from(count.max(1));
    let moment = |part: u32| {
        let within_us = part_us / 8 + next(state) % (part_us * 3 / 4).max(1);
        from_us + u64::from(part) * part_us + within_us
    };
    (0..count).map(moment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crash_has_its_own_part_of_the_run() {
        for seed in 0..100 {
            let moments = moments(&mut seed.clone(), 5, 600_000, 9_200_000);
            assert!(moments.windows(2).all(|pair| pair[1] - pair[0] > 200_000), "seed {seed}: {moments:?}");
            assert!(moments.iter().all(|moment| (600_000..9_200_000).contains(moment)), "seed {seed}: {moments:?}");
        }
        assert!(moments(&mut 1, 0, 5, 5).is_empty());
        assert_eq!(moments(&mut 1, 2, 5, 5).len(), 2);
    }
}
