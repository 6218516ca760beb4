//! The long mode of the proofs: `cargo run --release --features sim --example prove -- [--minutes N]
//! [--seed S]`. Runs one harness after the other, each for its part of the time, and says at the end
//! what they did, as text and as JSON.

#[allow(dead_code, reason = "shared with the tests")]
#[path = "../../tests/suite/random.rs"]
mod random;
#[path = "../../tests/suite/simulation/mod.rs"]
mod simulation;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What a harness did, by name.
type Counters = BTreeMap<&'static str, u64>;

/// One way of trying to break a promise.
struct Harness {
    name: &'static str,
    /// Runs for about this long from this seed; what was violated, with how to see it again.
    run: fn(Duration, u64) -> Result<Counters, String>,
}

const HARNESSES: &[Harness] = &[Harness { name: "simulation", run: simulate }];

fn main() -> ExitCode {
    let (mut minutes, mut seed) = (1, 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().and_then(|text| text.parse().ok());
        match (argument.as_str(), value) {
            ("--minutes", Some(value)) => minutes = value,
            ("--seed", Some(value)) => seed = value,
            _ => {
                eprintln!("usage: prove [--minutes N] [--seed S]");
                return ExitCode::from(2);
            }
        }
    }
    let part = Duration::from_secs(minutes * 60 / HARNESSES.len() as u64);
    let mut all = BTreeMap::new();
    for harness in HARNESSES {
        eprintln!("{}: {} s from seed {seed}", harness.name, part.as_secs());
        match (harness.run)(part, seed) {
            Ok(counters) => {
                for (what, count) in &counters {
                    println!("{}: {what} {count}", harness.name);
                }
                all.insert(harness.name, counters);
            }
            Err(fault) => {
                eprintln!("{}: {fault}", harness.name);
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{}", serde_json::json!(all));
    ExitCode::SUCCESS
}

fn simulate(budget: Duration, first: u64) -> Result<Counters, String> {
    let start = Instant::now();
    let mut all = Counters::new();
    let bar = indicatif::ProgressBar::new_spinner();
    for seed in first.. {
        if start.elapsed() >= budget {
            break;
        }
        // One seed in eight is a long life.
        let steps = simulation::STEPS * if seed % 8 == 0 { 12 } else { 1 };
        let did = simulation::prove(seed, steps).map_err(|fault| format!("seed {seed}, {steps} steps: {fault}"))?;
        let counts = [
            ("binds", did.binds),
            ("facility crashes", did.facility_crashes),
            ("messages", did.messages),
            ("process crashes", did.process_crashes),
            ("reboots", did.reboots),
            ("refusals", did.refusals),
            ("seeds", 1),
            ("simulated ms", did.simulated_ms),
        ];
        for (what, count) in counts {
            *all.entry(what).or_default() += count;
        }
        bar.set_message(format!("{} seeds, {} binds", all["seeds"], all["binds"]));
        bar.tick();
    }
    bar.finish_and_clear();
    // A violation ends the run before this line.
    all.insert("duplicates", 0);
    Ok(all)
}
