//! The long mode of the simulation: one seed after another on every core.

use super::{Counters, STEPS, prove};
use crate::states::long::{Outcome, Tick};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One seed in so many is a long life.
const LONG_EVERY: u64 = 8;
/// How much longer that is.
const LONGER: u32 = 12;

/// How much is run: both ends count, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) time: Option<Duration>,
    pub(crate) seeds: Option<u64>,
    pub(crate) threads: usize,
}

/// Runs seeds from `first` on until the budget is used up, or one is not well.
pub(crate) fn simulate(budget: &Budget, first: u64, tick: &Tick<'_>) -> Outcome {
    let start = Instant::now();
    let next = AtomicU64::new(first);
    let end = budget.seeds.map_or(u64::MAX, |seeds| first.saturating_add(seeds));
    let all = Mutex::new((Counters::default(), Vec::new()));
    let is_over = || budget.time.is_some_and(|time| start.elapsed() >= time);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || seed > first && is_over() {
                return;
            }
            let steps = if seed.is_multiple_of(LONG_EVERY) { STEPS * LONGER } else { STEPS };
            let (did, done) = prove(seed, steps);
            let mut all = all.lock().expect("no panic");
            let (sum, faults) = &mut *all;
            sum.add(&did);
            if let Err(fault) = done {
                faults.push(fault);
                // No further seed is begun.
                next.store(end, Ordering::Relaxed);
            }
            let (seeds, years) = (sum.seeds, sum.simulated_ms as f64 / 31_557_600_000.0);
            let said =
                format!("{seeds} seeds, {} binds, {} messages, {years:.3} simulated years", sum.binds, sum.posts.sent);
            drop(all);
            tick(said);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..budget.threads {
            scope.spawn(work);
        }
    });
    let (sum, faults) = all.into_inner().expect("no panic");
    let mut counters = sum.named();
    counters.push(("simulation, violations".to_owned(), faults.len() as u64));
    Outcome { counters, faults }
}
