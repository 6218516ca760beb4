//! Runs a small world again and again, each time with its threads in another order, for tests.
//!
//! A failure prints the seed of the schedule that failed, or the schedule: `PORTPLEX_SEED` begins with that
//! seed, `PORTPLEX_SCHEDULE` (the printed text, or a file with it) runs that schedule alone.
//! `PORTPLEX_SCHEDULES` says by what the number of schedules is multiplied.
#![forbid(unsafe_code)]

use super::modelled::set_early_ends;
use shuttle::Config;
use shuttle::MaxSteps;
use shuttle::Runner;
use shuttle::rand::Rng;
use shuttle::scheduler::DfsScheduler;
use shuttle::scheduler::PctScheduler;
use shuttle::scheduler::RandomScheduler;
use shuttle::scheduler::ReplayScheduler;
use shuttle::scheduler::Scheduler;
use std::sync::Arc;

/// Stack of each modelled thread, bytes: recovery keeps whole blocks on it.
const STACK_SIZE: usize = 1 << 20;
/// A world that takes more steps goes round in a circle.
const STEPS_MAX: usize = 2_000_000;
/// Bugs that need so many changes of the running thread are found with a known probability (PCT).
const DEPTHS: [usize; 2] = [2, 4];

/// How far a world is explored.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Schedules drawn at random, and again as many by priorities that change.
    pub schedules: usize,
    /// How many waits with a limit may end early in each of them.
    pub early_ends: u32,
}

/// A number below `below`, by the schedule's choice: repeated with it.
#[must_use]
pub fn choose(below: usize) -> usize {
    shuttle::rand::thread_rng().gen_range(0..below)
}

/// Runs `world` under many schedules; panics as it does, or if its threads wait for each other for ever.
pub fn explore(name: &str, extent: Extent, world: impl Fn() + Send + Sync + 'static) {
    let world = Arc::new(world);
    let early_ends = extent.early_ends;
    if let Some(schedule) = schedule() {
        eprintln!("{name}: one schedule again");
        let mut scheduler = ReplayScheduler::new_from_encoded(&schedule);
        scheduler.set_allow_incomplete();
        run(scheduler, early_ends, &world);
        return;
    }
    let (seed, count) = (seed(), extent.schedules * factor());
    eprintln!("{name}: PORTPLEX_SEED={seed}");
    let mut done = run(RandomScheduler::new_from_seed(seed, count), early_ends, &world);
    for depth in DEPTHS {
        done += run(PctScheduler::new_from_seed(seed, depth, count.div_ceil(DEPTHS.len())), early_ends, &world);
    }
    eprintln!("{name}: {done} schedules");
}

/// Runs `world` under every schedule there is, up to `schedules_max`; whether that was all. The world may
/// [`choose`] nothing, and no wait ends early.
pub fn exhaust(name: &str, schedules_max: usize, world: impl Fn() + Send + Sync + 'static) -> bool {
    let schedules_max = schedules_max * factor();
    let done = run(DfsScheduler::new(Some(schedules_max), false), 0, &Arc::new(world));
    let is_all = done < schedules_max;
    eprintln!("{name}: {done} schedules, {}", if is_all { "all there are" } else { "not all there are" });
    is_all
}

fn run(scheduler: impl Scheduler + 'static, early_ends: u32, world: &Arc<impl Fn() + Send + Sync + 'static>) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK_SIZE;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    let world = Arc::clone(world);
    Runner::new(scheduler, config).run(move || {
        set_early_ends(early_ends);
        world();
    })
}

fn schedule() -> Option<String> {
    let given = std::env::var("PORTPLEX_SCHEDULE").ok()?;
    #[allow(clippy::disallowed_methods, reason = "what a person kept of a failed run, not a file of the store")]
    let read = std::fs::read_to_string(&given).ok();
    Some(read.unwrap_or(given).trim().to_owned())
}

fn seed() -> u64 {
    match std::env::var("PORTPLEX_SEED") {
        Ok(seed) => seed.parse().expect("PORTPLEX_SEED is a number"),
        Err(_) => getrandom::u64().expect("the operating system gives random numbers"),
    }
}

fn factor() -> usize {
    std::env::var("PORTPLEX_SCHEDULES").map_or(1, |factor| factor.parse().expect("PORTPLEX_SCHEDULES is a number"))
}
