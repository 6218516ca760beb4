//! The whole system in one thread: real stacks, the real facility, a simulated disk and network, and
//! everything that goes wrong, out of one seed.
//!
//! A violation says the seed and the command that repeats it, and which kinds of faults it needs.
//! `PORTPLEX_SEED` is the first seed, `PORTPLEX_SEEDS` how many, `PORTPLEX_STEPS` how long each is.
//!
//! What is not simulated: a disk that lies about its syncs, and a copy of a store that is put back
//! without being declared (protocol.md R20): both are outside of what is promised, and would only show
//! that. A kernel that enforces the deadline (R3): the stacks here promise one and do not enforce it,
//! as the product's do not, so a clean-up always needs the word that the boot is dead. A pause of a
//! process and a suspend of its machine are the same here: the boot clock goes on, nobody runs.

mod clock;
mod counters;
mod host;
mod kernels;
#[cfg(not(test))]
pub(crate) mod long;
mod net;
#[cfg(test)]
mod tests;
mod world;

pub(crate) use counters::Counters;
pub(crate) use world::run;

/// How long a run of `cargo test` is, steps.
pub(crate) const STEPS: u32 = 250;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) steps: u32,
    /// Kinds of faults: bit 0 the network, 1 the facility, 2 processes, 3 machines, 4 operators and intruders,
    /// 5 a store that is put back from a backup.
    pub(crate) faults: u32,
}

/// All kinds of faults.
pub(crate) const ALL_FAULTS: u32 = 0b11_1111;

/// Runs a seed; what it did, and what was violated, with how to see it again.
pub(crate) fn prove(seed: u64, steps: u32) -> (Counters, Result<(), String>) {
    let plan = Plan { seed, steps, faults: ALL_FAULTS };
    let (counters, done) = run(plan);
    let done = done.map_err(|fault| {
        let smaller = shrink(plan);
        let steps = if steps == STEPS { String::new() } else { format!(" PORTPLEX_STEPS={steps}") };
        format!(
            "seed {seed}: {fault}\n{plan:?}; with fewer faults and steps it is enough to run {smaller:?}\n\
             PORTPLEX_SEED={seed} PORTPLEX_SEEDS=1{steps} cargo test --test suite simulation::tests::no_port"
        )
    });
    (counters, done)
}

/// The same seed with fewer kinds of faults and fewer steps, as long as something is violated.
fn shrink(plan: Plan) -> Plan {
    let mut best = plan;
    for kind in 0..u32::BITS - ALL_FAULTS.leading_zeros() {
        let less = Plan { faults: best.faults & !(1 << kind), ..best };
        if less.faults != best.faults && run(less).1.is_err() {
            best = less;
        }
    }
    while best.steps > 8 && run(Plan { steps: best.steps * 3 / 4, ..best }).1.is_err() {
        best.steps = best.steps * 3 / 4;
    }
    best
}
