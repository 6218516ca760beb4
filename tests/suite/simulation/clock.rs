//! One clock for each kernel: its own boot, its own speed, and a wall time that jumps.

use portplex::facility::Clock;
use portplex::ident::{BootId, BootMs, WallMs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// True time, ms: what nobody in the simulated world can read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Time(Arc<AtomicU64>);

impl Time {
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

/// The clocks of one boot. The boot clock counts suspend and never jumps; it is slow or fast by up to
/// 500 parts in a million. Wall time jumps by up to an hour, back too.
#[derive(Debug)]
pub(crate) struct BootClock {
    pub(crate) time: Time,
    pub(crate) boot: u128,
    pub(crate) booted: u64,
    /// Parts in a million, 0 to 1,000; 500 is right.
    pub(crate) speed: u64,
}

impl Clock for BootClock {
    fn boot_ms(&self) -> BootMs {
        let up = self.time.now().saturating_sub(self.booted);
        BootMs(2_000 + up * (999_500 + self.speed) / 1_000_000)
    }

    fn wall_ms(&self) -> WallMs {
        let now = self.time.now();
        let jump = (now / 7_000).wrapping_mul(0x9e37_79b9_7f4a_7c15) % 7_200_000;
        WallMs(1_700_000_000_000 + now + jump)
    }

    fn boot_id(&self) -> BootId {
        BootId(self.boot)
    }
}
