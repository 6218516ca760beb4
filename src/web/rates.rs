//! How much happened lately: events counted in steps of five seconds, for the last five minutes.
#![forbid(unsafe_code)]

use crate::ident::BootMs;
use crate::structure::Change;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Length of a step, ms.
pub(crate) const STEP_MS: u64 = 5_000;
/// Steps that are kept.
const STEPS: usize = 60;

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) events: u64,
    pub(crate) grants: u64,
    pub(crate) ports_granted: u64,
    pub(crate) releases: u64,
}

/// The counts of the last steps, the oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    /// Number of the newest step: the boot clock over its length.
    newest: u64,
    steps: VecDeque<Counted>,
}

impl Rates {
    /// Nothing has been seen before `now`.
    pub(crate) fn new(now: BootMs) -> Self {
        Self { newest: now.0 / STEP_MS, steps: VecDeque::from([Counted::default()]) }
    }

    /// Time passed.
    pub(crate) fn advance(&mut self, now: BootMs) {
        let step = now.0 / STEP_MS;
        let passed = usize::try_from(step.saturating_sub(self.newest)).unwrap_or(usize::MAX).min(STEPS);
        self.steps.extend(std::iter::repeat_n(Counted::default(), passed));
        self.newest = self.newest.max(step);
        while self.steps.len() > STEPS {
            self.steps.pop_front();
        }
    }

    /// An event was seen.
    pub(crate) fn count(&mut self, change: &Change) {
        let Some(step) = self.steps.back_mut() else { return };
        step.events += 1;
        match change {
            Change::Granted { mask, .. } => {
                step.grants += 1;
                step.ports_granted += u64::from(mask.count());
            }
            Change::Released { .. } => step.releases += 1,
            _ => {}
        }
    }

    /// As JSON. The newest step is not over yet.
    pub(crate) fn json(&self) -> Value {
        let of = |count: fn(&Counted) -> u64| self.steps.iter().map(count).collect::<Vec<_>>();
        json!({
            "step_ms": STEP_MS,
            "events": of(|step| step.events),
            "grants": of(|step| step.grants),
            "ports_granted": of(|step| step.ports_granted),
            "releases": of(|step| step.releases),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::GroupNumber;
    use crate::ident::PortMask;

    #[test]
    fn a_step_counts_what_came_in_it_and_old_steps_go() {
        let grant = Change::Granted { member: 0, group: GroupNumber::of_port(0), mask: PortMask(7) };
        let mut rates = Rates::new(BootMs(12_000));
        rates.count(&grant);
        rates.advance(BootMs(16_000));
        rates.count(&grant);
        rates.count(&grant);
        rates.count(&Change::Left { member: 0 });
        let json = rates.json();
        assert_eq!(json["grants"], json!([1, 2]));
        assert_eq!(json["events"], json!([1, 3]));
        assert_eq!(json["ports_granted"], json!([3, 6]));
        rates.advance(BootMs(u64::MAX));
        let json = rates.json();
        assert_eq!(json["grants"].as_array().map(Vec::len), Some(STEPS));
        assert!(json["grants"].as_array().is_some_and(|steps| steps.iter().all(|step| *step == 0)));
    }
}
