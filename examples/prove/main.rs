//! The long mode of the proofs.
//!
//! ```text
//! cargo run --release --features sim --example prove -- [HARNESS] [--minutes N] [--seeds N] [--seed S] [--threads N]
//! ```
//!
//! `HARNESS` is `simulation`, `crash-states`, `io-faults`, `flips` or `model`; without one all run, one
//! after the other, each for its part of the minutes. `--seeds` ends the simulation after so many, and
//! `--threads` is how many of its seeds run at once; the crash states always use every core. Progress
//! goes to standard error; the last line of standard output is all counters as one JSON object. It ends
//! with 1 if anything is wrong, and says how to see it again.

// The tests of these modules are not built here, and their files are written on purpose.
#![allow(unused, clippy::disallowed_methods, clippy::type_complexity, clippy::unwrap_used, unreachable_pub)]

#[path = "../../tests/suite/crash/mod.rs"]
mod crash;
#[path = "../../tests/suite/protocol/mod.rs"]
mod protocol;
#[path = "../../tests/suite/random.rs"]
mod random;
#[path = "../../tests/suite/simulation/mod.rs"]
mod simulation;
#[path = "../../tests/suite/states/mod.rs"]
mod states;

use serde_json::{Map, Value};
use simulation::long::{Budget, simulate};
use states::long::{Outcome, Tick, crash_states, flips, io_faults};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Without a word about it.
const MINUTES: u64 = 45;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Tries to break promises within a budget, from this seed.
type Harness = fn(&Budget, u64, &Tick<'_>) -> Outcome;

const HARNESSES: [(&str, Harness); 5] = [
    ("simulation", simulate),
    ("crash-states", |budget, seed, tick| crash_states(time_of(budget), seed, tick)),
    ("io-faults", |budget, seed, tick| io_faults(time_of(budget), seed, tick)),
    ("flips", |budget, seed, tick| flips(time_of(budget), seed, tick)),
    ("model", |budget, _, tick| protocol::long::explore_all(time_of(budget), tick)),
];

fn time_of(budget: &Budget) -> Duration {
    budget.time.unwrap_or(Duration::from_secs(60 * MINUTES))
}

/// What the words ask for.
struct Asked {
    chosen: Vec<(&'static str, Harness)>,
    minutes: Option<u64>,
    seeds: Option<u64>,
    seed: u64,
    threads: usize,
}

fn main() -> ExitCode {
    let Some(asked) = asked() else {
        let names: Vec<&str> = HARNESSES.iter().map(|(name, _)| *name).collect();
        eprintln!("usage: prove [{}] [--minutes N] [--seeds N] [--seed S] [--threads N]", names.join(" | "));
        return ExitCode::from(2);
    };
    let said = Mutex::new(Instant::now());
    let tick = |text: String| {
        let mut said = said.lock().expect("no panic");
        if said.elapsed() >= TELL_EVERY {
            eprintln!("{text}");
            *said = Instant::now();
        }
    };
    // A number of seeds alone takes what time it takes.
    let minutes = asked.minutes.or(if asked.seeds.is_some() { None } else { Some(MINUTES) });
    let time = minutes.map(|minutes| Duration::from_secs(60 * minutes / asked.chosen.len() as u64));
    let budget = Budget { time, seeds: asked.seeds, threads: asked.threads };
    let (mut all, mut is_well) = (Map::new(), true);
    for (name, harness) in asked.chosen {
        eprintln!("{name}: from seed {}, {budget:?}", asked.seed);
        let Outcome { counters, faults } = harness(&budget, asked.seed, &tick);
        all.extend(counters.into_iter().map(|(what, count)| (what, Value::from(count))));
        for fault in &faults {
            eprintln!("{fault}");
        }
        if !faults.is_empty() {
            is_well = false;
            eprintln!("{name}: {} faults; all again with: prove -- {name} --seed {}", faults.len(), asked.seed);
        }
    }
    println!("{}", Value::Object(all));
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `None` if the words make no sense.
fn asked() -> Option<Asked> {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let mut asked = Asked { chosen: Vec::new(), minutes: None, seeds: None, seed: 1, threads };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next()?.parse::<u64>().ok();
        match word.as_str() {
            "--minutes" => asked.minutes = Some(number()?),
            "--seeds" => asked.seeds = Some(number()?),
            "--seed" => asked.seed = number()?,
            "--threads" => asked.threads = usize::try_from(number()?).ok().filter(|threads| *threads > 0)?,
            _ => asked.chosen.push(*HARNESSES.iter().find(|(name, _)| *name == word)?),
        }
    }
    if asked.chosen.is_empty() {
        asked.chosen = HARNESSES.to_vec();
    }
    Some(asked)
}
