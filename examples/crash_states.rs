//! The long mode of crash states, I/O faults and flips.
//!
//! ```text
//! cargo run --release --features sim --example crash_states -- [HARNESS] [--minutes N] [--seed S]
//! ```
//!
//! `HARNESS` is `crash-states` (the default), `io-faults` or `flips`. Progress goes to standard error;
//! counters come out as one JSON object. It ends with 1 if anything is wrong, and says how to see it again.

// The tests of these modules are not built here, and their files are written on purpose.
#![allow(unused, clippy::disallowed_methods, clippy::type_complexity, clippy::unwrap_used, unreachable_pub)]

#[path = "../tests/suite/crash/mod.rs"]
mod crash;
#[path = "../tests/suite/random.rs"]
mod random;
#[path = "../tests/suite/states/mod.rs"]
mod states;

use states::long::{Outcome, crash_states, flips, io_faults};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let (mut harness, mut minutes, mut seed) = ("crash-states".to_owned(), 45, 1);
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
            "crash-states" | "io-faults" | "flips" => harness = word,
            _ => return usage(),
        }
    }
    let said = Mutex::new(Instant::now());
    let tick = |text: String| {
        let mut said = said.lock().expect("no panic");
        if said.elapsed() >= Duration::from_secs(10) {
            eprintln!("{text}");
            *said = Instant::now();
        }
    };
    let time = Duration::from_secs(60 * minutes);
    let Outcome { counters, faults } = match harness.as_str() {
        "io-faults" => io_faults(time, seed, &tick),
        "flips" => flips(time, seed, &tick),
        _ => crash_states(time, seed, &tick),
    };
    let counters: serde_json::Map<String, serde_json::Value> =
        counters.into_iter().map(|(name, count)| (name, count.into())).collect();
    println!("{}", serde_json::Value::Object(counters));
    for fault in &faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() {
        return ExitCode::SUCCESS;
    }
    let again = format!("cargo run --release --features sim --example crash_states -- {harness} --seed {seed}");
    eprintln!("{} faults; again with: {again}", faults.len());
    ExitCode::FAILURE
}

fn usage() -> ExitCode {
    eprintln!("usage: crash_states [crash-states | io-faults | flips] [--minutes N] [--seed S]");
    ExitCode::from(2)
}
