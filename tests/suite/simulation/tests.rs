//! The part of the simulation that `cargo test` runs.

use super::{ALL_FAULTS, Counters, Plan, STEPS, prove, run};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn no_port_is_ever_used_twice_whatever_happens() {
    let (first, count) = (number("PORTPLEX_SEED", 1), number("PORTPLEX_SEEDS", 500));
    println!("PORTPLEX_SEED={first} PORTPLEX_SEEDS={count}");
    let steps = u32::try_from(number("PORTPLEX_STEPS", STEPS.into())).expect("a number of steps");
    let mut all = Counters::default();
    for seed in first..first + count {
        let (counters, done) = prove(seed, steps);
        done.unwrap_or_else(|fault| panic!("{fault}"));
        all.add(&counters);
    }
    let crashes = all.facility_crashes + all.process_crashes + all.reboots;
    println!("simulation: {count} seeds, {crashes} crashes, {all:?}");
    // One seed alone may be a quiet one.
    let worked = all.binds > 50 * count && crashes > count && all.connections > count && all.restores > count / 5;
    assert!(worked || count < 50, "the simulation works: {all:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 2, 3, 6, 31, 90, 335, 471] {
        let plan = Plan { seed, steps: STEPS, faults: ALL_FAULTS };
        let ((one, well), (other, _)) = (run(plan), run(plan));
        assert_eq!(well, Ok(()), "seed {seed}");
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert_eq!(one.binds, other.binds, "seed {seed}");
    }
}
