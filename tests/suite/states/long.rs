//! The long mode of crash states, I/O faults and flips: each as one function that is given a time and a
//! seed, and answers with counters.

use super::{Bounds, run};
use crate::crash::{flips, io_faults};
use std::time::{Duration, Instant};

/// What came of a harness.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Names in plain words, and how many.
    pub(crate) counters: Vec<(String, u64)>,
    /// What must never be; empty if all is well.
    pub(crate) faults: Vec<String>,
}

/// Told from time to time: what is done, in words.
pub(crate) type Tick<'a> = dyn Fn(String) + Sync + 'a;

/// Words of one letter with recoveries crashed three deep, of two letters two deep, of three letters one
/// deep; then words of four by chance until the time is over. The seed chooses those.
pub(crate) fn crash_states(time: Duration, seed: u64, tick: &Tick<'_>) -> Outcome {
    let bounds =
        Bounds { length: 3, depth: [2, 3, 2, 1, 1], deep_every: 1, sampled: u64::from(u32::MAX), time: Some(time) };
    let report = run(&bounds, seed, &|words, _, counters| {
        if words % 16 == 0 {
            tick(format!("{words} words, {} crash states, {} opened", counters.all_states(), counters.opened));
        }
    });
    let counters = report.counters;
    let all = report.words - bounds.sampled;
    let mut named = vec![
        ("crash states".to_owned(), counters.all_states()),
        ("crash states, images opened".to_owned(), counters.opened),
        ("crash states, sequences of requests".to_owned(), counters.words),
        ("crash states, sequences up to 3 left out for want of time".to_owned(), all.saturating_sub(counters.words)),
        ("crash states, crash points".to_owned(), counters.moments),
        ("crash states, recovered stores gone on with".to_owned(), counters.gone_on),
        (
            "crash states, a second and core".to_owned(),
            (counters.all_states() as f64 / report.used.as_secs_f64()) as u64,
        ),
    ];
    let depths = counters.states.iter().enumerate();
    named.extend(depths.map(|(depth, states)| (format!("crash states with {depth} crashes in recoveries"), *states)));
    Outcome { counters: named, faults: report.faults }
}

/// Every call, every fault, once and for ever, for one seed after another until the time is over.
pub(crate) fn io_faults(time: Duration, seed: u64, tick: &Tick<'_>) -> Outcome {
    let (start, mut outcome, mut next) = (Instant::now(), Outcome::default(), seed);
    let (mut cases, mut seeds) = (0, 0);
    while outcome.faults.is_empty() && (seeds == 0 || start.elapsed() < time) {
        let report = io_faults::sweep(next, &|done, of| {
            if done % 1_000 == 0 {
                tick(format!("seed {next}: {done} of {of} I/O faults"));
            }
        });
        (cases, seeds, next) = (cases + report.cases, seeds + 1, next + 1);
        outcome.faults = report.faults;
    }
    outcome.counters = vec![("I/O faults".to_owned(), cases), ("I/O faults, seeds".to_owned(), seeds)];
    outcome
}

/// Every bit of two stores, for one seed after another until the time is over.
pub(crate) fn flips(time: Duration, seed: u64, tick: &Tick<'_>) -> Outcome {
    let (start, mut outcome, mut next) = (Instant::now(), Outcome::default(), seed);
    let (mut bits, mut stores) = (0, 0);
    while outcome.faults.is_empty() && (stores == 0 || start.elapsed() < time) {
        for flipped in [flips::closed(next), flips::killed(next)] {
            (bits, stores) = (bits + flipped.bits, stores + 1);
            outcome.faults.extend(flipped.faults);
            tick(format!("seed {next}: {bits} bits flipped"));
        }
        next += 1;
    }
    outcome.counters = vec![("bits flipped".to_owned(), bits), ("bits flipped, stores".to_owned(), stores)];
    outcome
}
