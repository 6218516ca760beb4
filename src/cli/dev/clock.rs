//! The one clock of a run: microseconds since it began, from one monotonic base, so that times
//! that different threads note can be compared.

use std::time::Instant;

/// A base that everything in one run counts from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    /// Starts at 0.
    #[allow(clippy::disallowed_methods, reason = "the checker's time base; it decides nothing in the facility")]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since the start.
    pub(super) fn now_us(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
