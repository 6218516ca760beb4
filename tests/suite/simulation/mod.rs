//! The whole system in one thread: real stacks, the real facility, a simulated disk and network, and
//! everything that goes wrong, out of one seed.
//!
//! A violation says the seed and the command that repeats it, and which kinds of faults it needs.
//! `PORTPLEX_SEED` is the first seed, `PORTPLEX_SEEDS` how many.

mod clock;
mod host;
mod kernels;
mod net;
mod world;

pub(crate) use world::{ALL_FAULTS, Counters, Plan, run};

/// How long a run of `cargo test` is, steps.
pub(crate) const STEPS: u32 = 250;

/// Runs a seed; what it did, and what was violated, with how to see it again.
pub(crate) fn prove(seed: u64, steps: u32) -> (Counters, Result<(), String>) {
    let plan = Plan { seed, steps, faults: ALL_FAULTS };
    let (counters, done) = run(plan);
    let done = done.map_err(|fault| {
        let smaller = shrink(plan);
        format!(
            "seed {seed}: {fault}\nwith fewer faults and steps: {smaller:?}\n\
             PORTPLEX_SEED={seed} PORTPLEX_SEEDS=1 cargo test --test suite simulation::"
        )
    });
    (counters, done)
}

/// The same seed with fewer kinds of faults and fewer steps, as long as something is violated.
fn shrink(plan: Plan) -> Plan {
    let mut best = plan;
    for kind in 0..5 {
        let less = Plan { faults: best.faults & !(1 << kind), ..best };
        if run(less).1.is_err() {
            best = less;
        }
    }
    while best.steps > 8 && run(Plan { steps: best.steps * 3 / 4, ..best }).1.is_err() {
        best.steps = best.steps * 3 / 4;
    }
    best
}

#[cfg(test)]
mod tests;
