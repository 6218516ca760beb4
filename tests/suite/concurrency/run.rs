//! Threads, choices and repetition: the model checker's, or the system's.

#[cfg(feature = "shuttle")]
pub(super) use portplex::threads::{Extent, Mutex, choose, explore, thread};

#[cfg(not(feature = "shuttle"))]
pub(super) use parking_lot::Mutex;
#[cfg(not(feature = "shuttle"))]
pub(super) use plain::{Extent, choose, explore};
#[cfg(not(feature = "shuttle"))]
pub(super) use std::thread;

#[cfg(not(feature = "shuttle"))]
mod plain {
    use crate::requirements;
    use std::cell::Cell;

    /// Of so many schedules of the model checker one run is done here.
    const SHARE: usize = 20;

    thread_local! {
        static RANDOM: Cell<u64> = const { Cell::new(0) };
    }

    /// How often a world is run; waits end early when they do.
    pub(in super::super) struct Extent {
        pub(in super::super) schedules: usize,
        #[allow(dead_code, reason = "for the model checker")]
        pub(in super::super) early_ends: u32,
    }

    /// A number below `below`: made on the world's first thread.
    pub(in super::super) fn choose(below: usize) -> usize {
        let mixed = RANDOM.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        RANDOM.set(mixed);
        usize::try_from(mixed >> 33).expect("31 bits") % below
    }

    /// Runs `world` some times, as the system's threads happen to go.
    pub(in super::super) fn explore(name: &str, extent: Extent, world: impl Fn() + Send + Sync + 'static) {
        RANDOM.set(requirements::seed(name));
        (0..extent.schedules.div_ceil(SHARE)).for_each(|_| world());
    }
}
