//! The long mode of the proofs.
//!
//! ```text
//! cargo run --release --features sim --example prove -- [HARNESS] [--minutes N] [--seed S]
//! ```
//!
//! `HARNESS` is `simulation`, `crash-states`, `io-faults` or `flips`; without one all run, one after the
//! other, each for its part of the time. Progress goes to standard error; counters come out as one JSON
//! object. It ends with 1 if anything is wrong, and says how to see it again.

// The tests of these modules are not built here, and their files are written on purpose.
#![allow(unused, clippy::disallowed_methods, clippy::type_complexity, clippy::unwrap_used, unreachable_pub)]

#[path = "../../tests/suite/crash/mod.rs"]
mod crash;
#[path = "../../tests/suite/random.rs"]
mod random;
#[path = "../../tests/suite/simulation/mod.rs"]
mod simulation;
#[path = "../../tests/suite/states/mod.rs"]
mod states;

use serde_json::{Map, Value};
use states::long::{Outcome, Tick, crash_states, flips, io_faults};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Tries to break promises for about this long from this seed.
type Harness = fn(Duration, u64, &Tick<'_>) -> Outcome;

const HARNESSES: [(&str, Harness); 4] =
    [("simulation", simulate), ("crash-states", crash_states), ("io-faults", io_faults), ("flips", flips)];

fn main() -> ExitCode {
    let (mut chosen, mut minutes, mut seed) = (Vec::new(), 45, 1);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|text| text.parse::<u64>().ok());
        match word.as_str() {
            "--minutes" => match number() {
                Some(number) => minutes = number,
                None => return usage(),
            },
            "--seed" => match number() {
                Some(number) => seed = number,
                None => return usage(),
            },
            _ => match HARNESSES.iter().find(|(name, _)| *name == word) {
                Some(harness) => chosen.push(*harness),
                None => return usage(),
            },
        }
    }
    if chosen.is_empty() {
        chosen = HARNESSES.to_vec();
    }
    let said = Mutex::new(Instant::now());
    let tick = |text: String| {
        let mut said = said.lock().expect("no panic");
        if said.elapsed() >= Duration::from_secs(10) {
            eprintln!("{text}");
            *said = Instant::now();
        }
    };
    let part = Duration::from_secs(60 * minutes / chosen.len() as u64);
    let (mut all, mut is_well) = (Map::new(), true);
    for (name, harness) in chosen {
        eprintln!("{name}: {} s from seed {seed}", part.as_secs());
        let Outcome { counters, faults } = harness(part, seed, &tick);
        all.extend(counters.into_iter().map(|(what, count)| (what, Value::from(count))));
        for fault in &faults {
            eprintln!("{fault}");
        }
        if !faults.is_empty() {
            is_well = false;
            let again = format!("cargo run --release --features sim --example prove -- {name} --seed {seed}");
            eprintln!("{name}: {} faults; again with: {again}", faults.len());
        }
    }
    println!("{}", Value::Object(all));
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    eprintln!("usage: prove [simulation | crash-states | io-faults | flips] [--minutes N] [--seed S]");
    ExitCode::from(2)
}

/// One seed after another until the time is over or one is not well.
fn simulate(time: Duration, first: u64, tick: &Tick<'_>) -> Outcome {
    let (start, mut faults, mut sum, mut seeds) = (Instant::now(), Vec::new(), simulation::Counters::default(), 0);
    for seed in first.. {
        if seeds > 0 && start.elapsed() >= time || !faults.is_empty() {
            break;
        }
        // One seed in eight is a long life.
        let steps = simulation::STEPS * if seed % 8 == 0 { 12 } else { 1 };
        let (did, done) = simulation::prove(seed, steps);
        faults.extend(
            done.err().map(|fault| format!("{fault}\n{steps} steps; the first of: prove -- simulation --seed {seed}")),
        );
        seeds += 1;
        sum.add(&did);
        tick(format!("{seeds} seeds, {} binds", sum.binds));
    }
    let counters = [
        ("simulation, seeds", seeds),
        ("simulation, simulated seconds", sum.simulated_ms / 1_000),
        ("simulation, messages", sum.messages),
        ("simulation, binds", sum.binds),
        ("simulation, refusals", sum.refusals),
        ("simulation, crashes of the facility", sum.facility_crashes),
        ("simulation, crashes of stacks", sum.process_crashes),
        ("simulation, machines that went down", sum.reboots),
        ("simulation, ports in use twice", sum.duplicates),
        ("simulation, ports used again too early", sum.early),
    ];
    Outcome { counters: counters.map(|(name, count)| (name.to_owned(), count)).to_vec(), faults }
}
