//! How many connections a stack should have opened by now, and how many should be open.
#![forbid(unsafe_code)]

/// One stack's tide.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tide {
    /// Connections of the stack over the planned time.
    pub(super) connections: u64,
    /// The planned time, µs, at least 1.
    pub(super) planned_us: u64,
    /// Open connections at high tide.
    pub(super) high: usize,
    /// From one high tide to the next, µs, a multiple of 10.
    pub(super) period_us: u64,
    /// Where in its period it begins, µs.
    pub(super) shift_us: u64,
    /// When the load began.
    pub(super) began_us: u64,
}

impl Tide {
    /// Connections due: grows on at the same pace when the run takes longer than planned.
    pub(super) fn due(&self, now_us: u64) -> u64 {
        let since_us = u128::from(now_us.saturating_sub(self.began_us));
        let due = since_us * u128::from(self.connections) / u128::from(self.planned_us.max(1));
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// How many may be open, and whether that number falls: up in a straight line for six tenths of
    /// the period, down for three, and nothing at all at the end, when whole groups are idle.
    pub(super) fn level(&self, now_us: u64) -> (usize, bool) {
        let tenth_us = (self.period_us / 10).max(1);
        let at_us = (now_us + self.shift_us) % (10 * tenth_us);
        let high = self.high as u64;
        let (level, falling) = match at_us / tenth_us {
            0..6 => (high * at_us / (6 * tenth_us), false),
            6..9 => (high * (9 * tenth_us - at_us) / (3 * tenth_us), true),
            _ => (0, true),
        };
        (usize::try_from(level).unwrap_or(usize::MAX), falling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tide_comes_and_goes_and_the_pace_is_even() {
        let tide = Tide {
            connections: 4_000,
            planned_us: 10_000_000,
            high: 300,
            period_us: 1_600_000,
            shift_us: 0,
            began_us: 0,
        };
        assert_eq!([0, 5_000_000, 10_000_000, 20_000_000].map(|at| tide.due(at)), [0, 2_000, 4_000, 8_000]);
        assert_eq!(tide.level(0), (0, false));
        assert_eq!(tide.level(480_000), (150, false));
        assert_eq!(tide.level(960_000), (300, true));
        assert_eq!(tide.level(1_200_000), (150, true));
        assert_eq!(tide.level(1_500_000), (0, true));
        assert_eq!(tide.level(1_600_000), (0, false));
        let levels: Vec<usize> = (0..3_200_000).step_by(10_000).map(|at| tide.level(at).0).collect();
        assert!(levels.iter().all(|level| *level <= 300));
        assert!(levels.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 8), "no jumps");
    }
}
