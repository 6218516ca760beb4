//! The part of the simulation that `cargo test` runs.

use super::{ALL_FAULTS, Plan, STEPS, prove, run};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn no_port_is_ever_used_twice_whatever_happens() {
    let (first, count) = (number("PORTPLEX_SEED", 1), number("PORTPLEX_SEEDS", 500));
    println!("PORTPLEX_SEED={first} PORTPLEX_SEEDS={count}");
    let (mut binds, mut crashes, mut ms, mut messages, mut refusals) = (0, 0, 0, 0, 0);
    for seed in first..first + count {
        let counters = prove(seed, STEPS).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        binds += counters.binds;
        crashes += counters.facility_crashes + counters.process_crashes + counters.reboots;
        ms += counters.simulated_ms;
        messages += counters.messages;
        refusals += counters.refusals;
    }
    println!(
        "simulation: {count} seeds, {binds} binds, {crashes} crashes, {messages} messages, {refusals} refusals, {} simulated minutes",
        ms / 60_000
    );
    assert!(binds > 50 * count && crashes > count, "the simulation works: {binds} binds, {crashes} crashes");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..6 {
        let plan = Plan { seed, steps: STEPS, faults: ALL_FAULTS };
        let (one, other) = (run(plan).expect("well"), run(plan).expect("well"));
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert_eq!(one.binds, other.binds, "seed {seed}");
    }
}
