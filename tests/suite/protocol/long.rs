//! The long mode of the model: the wide and the long configurations with every rule on.

use super::check::explore_within;
use super::scenes;
use crate::states::long::{Outcome, Tick};
use std::time::{Duration, Instant};

/// Exhausts one configuration after another until all are, or the time is over.
pub(crate) fn explore_all(time: Duration, tick: &Tick<'_>) -> Outcome {
    let (start, mut outcome) = (Instant::now(), Outcome::default());
    let (mut states, mut done, mut cut) = (0, 0, 0);
    for scene in scenes::all() {
        let left = time.saturating_sub(start.elapsed());
        let name = scene.name;
        if done > 0 && left.is_zero() {
            cut += 1;
            continue;
        }
        tick(format!("{name}: {states} states so far"));
        let found = explore_within(scene, Some(left));
        states += found.states as u64;
        if found.violation.is_some() || found.is_stuck {
            outcome.faults.push(format!("{name}: {:?} after {:?}", found.violation, found.trace));
        }
        if found.is_exhausted { done += 1 } else { cut += 1 }
    }
    outcome.counters = vec![
        ("model, states".to_owned(), states),
        ("model, configurations exhausted".to_owned(), done),
        ("model, configurations cut short for want of time".to_owned(), cut),
    ];
    outcome
}
