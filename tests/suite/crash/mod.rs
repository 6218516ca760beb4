//! Crashes, lost power, bad disks and flipped bits: what was acknowledged survives all of them.
//!
//! One seeded workload runs on the simulated disk, against a model that is told nothing but the
//! answers. Each test lets something else go wrong with it.

mod checkpoint_flips;
mod flips;
mod flips_binary;
mod io_faults;
pub(crate) mod judge;
mod model;
pub(crate) mod plan;
mod sweep;
pub(crate) mod workload;

use std::io::Write;

/// Says something that `cargo test` shows also when the test passes.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The seed: `PORTPLEX_SEED`, or the given one.
pub(crate) fn seed_or(default: u64) -> u64 {
    match std::env::var("PORTPLEX_SEED") {
        Ok(text) => text.parse().expect("PORTPLEX_SEED is a number"),
        Err(_) => default,
    }
}

/// Runs `work` for every number below `count` on as many threads as there are cores, in no
/// particular order, until `is_enough` says that enough went wrong.
pub(crate) fn for_each_until(count: u64, is_enough: impl Fn() -> bool + Sync, work: impl Fn(u64) + Sync) {
    let next = std::sync::atomic::AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number >= count || is_enough() {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}

/// As [`for_each_until`], to the end.
pub(crate) fn for_each_below(count: u64, work: impl Fn(u64) + Sync) {
    for_each_until(count, || false, work);
}
