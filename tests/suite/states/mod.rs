//! Bounded exhaustive crash states: every short sequence of requests, crashed everywhere, with every
//! choice of what is lost, and crashed again in its recoveries.
//!
//! `cargo test` tries all words of one and two letters and some of three, by chance; of one letter, and of
//! one word in nine of two, recoveries are crashed too. The long mode (`long`, run by
//! `examples/prove`) crashes recoveries of words of one letter three deep, of two letters two
//! deep, of three letters one deep, and goes on with words of four by chance.

mod explore;
#[cfg(not(test))]
pub(crate) mod long;
mod words;

use crate::crash::{say, seed_or};
use crate::random::Random;
use explore::{Counters, Explorer};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use words::{BASES, Base, LETTERS, Letter};

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Words up to this length are tried, all of them.
    pub(crate) length: usize,
    /// Crashes in recoveries, of words up to each length.
    pub(crate) depth: [usize; 5],
    /// Of the longest words only one in so many has its recoveries crashed.
    pub(crate) deep_every: u64,
    /// How many longer words are tried by chance; they have one letter more.
    pub(crate) sampled: u64,
    /// When to stop; what was not tried then is told.
    pub(crate) time: Option<Duration>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) counters: Counters,
    /// Words there were to try.
    pub(crate) words: u64,
    pub(crate) faults: Vec<String>,
    pub(crate) took: Duration,
    /// Processor time, of all cores.
    pub(crate) used: Duration,
}

/// The word with a number: all of one letter first, then of two, and so on.
fn word(number: u64, bounds: &Bounds, dice: &mut Random) -> (usize, Vec<Letter>) {
    let base = (number % BASES as u64) as usize;
    let (mut number, mut count) = (number / BASES as u64, LETTERS.len() as u64);
    for length in 1..=bounds.length {
        if number < count {
            let letter = |place: u32| LETTERS[(number / (LETTERS.len() as u64).pow(place)) as usize % LETTERS.len()];
            return (base, (0..length as u32).map(letter).collect());
        }
        number -= count;
        count *= LETTERS.len() as u64;
    }
    (base, (0..=bounds.length).map(|_| *dice.pick(&LETTERS)).collect())
}

/// How many words there are.
fn words_of(bounds: &Bounds) -> u64 {
    let all: u64 = (1..=bounds.length as u32).map(|length| (LETTERS.len() as u64).pow(length)).sum();
    all * BASES as u64 + bounds.sampled
}

/// Tries everything within the bounds, on all cores. `tick` is told how many words are done, of how many.
pub(crate) fn run(bounds: &Bounds, random_seed: u64, tick: &(dyn Fn(u64, u64, &Counters) + Sync)) -> Report {
    let (start, used) = (Instant::now(), processor_time());
    let words = words_of(bounds);
    let (bases, first) = match words::bases() {
        Ok(made) => made,
        Err(error) => return Report { faults: vec![error], ..Report::default() },
    };
    let (next, total) = (AtomicU64::new(0), Mutex::new(Report { words, ..Report::default() }));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (next, total, bases, first) = (&next, &total, &bases, &first);
            scope.spawn(move || {
                let mut explorers: Vec<Explorer> = (0..4).map(Explorer::new).collect();
                if thread == 0 {
                    explorers[bounds.depth[0]].word(first, &|| "the making of the store".to_owned());
                }
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let is_late = bounds.time.is_some_and(|time| start.elapsed() > time);
                    if number >= words || is_late || total.lock().expect("no panic").faults.len() >= 5 {
                        break;
                    }
                    try_word(number, bounds, random_seed, bases, &mut explorers);
                    let mut total = total.lock().expect("no panic");
                    for explorer in &mut explorers {
                        total.counters.add(&std::mem::take(&mut explorer.counters));
                        total.faults.append(&mut explorer.faults);
                    }
                    tick(number + 1, words, &total.counters);
                }
                let mut total = total.lock().expect("no panic");
                for explorer in &mut explorers {
                    total.counters.add(&explorer.counters);
                    total.faults.append(&mut explorer.faults);
                }
            });
        }
    });
    let mut report = total.into_inner().expect("no panic");
    report.took = start.elapsed();
    report.used = processor_time().saturating_sub(used);
    report
}

fn try_word(number: u64, bounds: &Bounds, random_seed: u64, bases: &[Base], explorers: &mut [Explorer]) {
    let mut dice = Random::new(random_seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (base, letters) = word(number, bounds, &mut dice);
    let is_deep =
        letters.len() < bounds.length || number % bounds.deep_every == number / BASES as u64 % bounds.deep_every;
    let explorer = &mut explorers[if is_deep { bounds.depth[letters.len()] } else { 0 }];
    let name = || format!("seed {random_seed}, word {number} from store {base}: {letters:?}");
    match words::run(&bases[base], &letters) {
        Ok(done) => explorer.word(&done, &name),
        Err(error) => explorer.faults.push(format!("{}: {error}", name())),
    }
}

/// Processor time of this process so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

impl Report {
    /// Some lines for people.
    pub(crate) fn text(&self) -> String {
        let Counters { words, moments, states, opened, gone_on } = self.counters;
        let (took, used) = (self.took.as_secs_f64(), self.used.as_secs_f64());
        format!(
            "crash states: {} of {} words, {moments} moments, {} states ({} in words, {:?} in recoveries by depth), \
             {opened} opened, {gone_on} gone on with; {took:.1} s, {used:.1} s of a core, {:.0} states and {:.0} opens \
             a second and core",
            words,
            self.words + 1,
            self.counters.all_states(),
            states[0],
            &states[1..],
            self.counters.all_states() as f64 / used,
            opened as f64 / used,
        )
    }
}

#[test]
fn every_crash_of_every_short_sequence_leaves_what_was_acknowledged() {
    let bounds = Bounds { length: 2, depth: [1, 1, 1, 0, 0], deep_every: 9, sampled: 600, time: None };
    let seed = seed_or(1);
    let report = run(&bounds, seed, &|_, _, _| {});
    say(&format!("seed {seed}: {}", report.text()));
    assert!(report.faults.is_empty(), "{:#?}", report.faults);
    assert!(report.counters.all_states() >= 1_000_000, "at least a million states: {:?}", report.counters);
}
