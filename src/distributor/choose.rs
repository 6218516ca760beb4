//! The distribution methods: one target of those that are ready.
//!
//! Whatever the method, a target of effective weight 0 gets nothing while another has more; if all
//! have 0, all count alike, because somebody must serve (IP Configuration Guide, net weight). But a
//! target of health 0 is probed now and then: who is sent nothing cannot show that it is well again.
#![forbid(unsafe_code)]

use super::rule::Standby;
use crate::ident::ConnectorName;
use crate::profile::DistMethod;
use crate::profile::Part;
use std::collections::BTreeMap;

/// A target that is ready, in the order of the statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) stack: &'a ConnectorName,
    pub(super) part: Part,
    /// Effective weight: the method's weight times health in percent, 0 to 9,900.
    pub(super) weight: u32,
    /// Connections of this port that it has.
    pub(super) active: u32,
    pub(super) healthy: bool,
}

/// Whose turn it is on one port.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn {
    /// Round robin: who was last.
    last: Option<ConnectorName>,
    /// Weighted round robin: what each target is owed; the sum is 0.
    credits: BTreeMap<ConnectorName, i64>,
    /// Hot standby: who gets everything now.
    active: Option<ConnectorName>,
    /// Connections since the last probe, while a target of health 0 gets none.
    since_probe: u32,
    /// Which such target was probed last.
    probed: Option<ConnectorName>,
}

impl Turn {
    /// Picks one; `None` only if there is none.
    pub(super) fn choose(
        &mut self,
        method: DistMethod,
        standby: Standby,
        candidates: &[Candidate<'_>],
    ) -> Option<ConnectorName> {
        let picked = match method {
            DistMethod::HotStandby => self.standby(standby, candidates),
            _ => {
                let fit = fit(candidates);
                match method {
                    DistMethod::RoundRobin => self.next_in_turn(&fit),
                    DistMethod::WeightedActive => least_active(&fit),
                    _ => self.in_proportion(&fit),
                }
            }
        };
        picked.cloned()
    }

    /// Every so many connections (`every`; 0 = never) one goes to a target of health 0, each in turn,
    /// to see whether it is back; not where one target has everything, or where all are that ill.
    pub(super) fn probe(
        &mut self,
        method: DistMethod,
        every: u32,
        candidates: &[Candidate<'_>],
    ) -> Option<ConnectorName> {
        let (well, ill): (Vec<&Candidate<'_>>, Vec<_>) = candidates.iter().partition(|candidate| candidate.healthy);
        if method == DistMethod::HotStandby || every == 0 || well.is_empty() || ill.is_empty() {
            self.since_probe = 0;
            return None;
        }
        self.since_probe += 1;
        if self.since_probe < every {
            return None;
        }
        self.since_probe = 0;
        let mut ring: Vec<&ConnectorName> = ill.iter().map(|candidate| candidate.stack).collect();
        ring.sort_unstable();
        self.probed = next_of(&ring, self.probed.as_ref()).cloned();
        self.probed.clone()
    }

    /// Who gets everything under HOTSTANDBY.
    pub(super) const fn active(&self) -> Option<&ConnectorName> {
        self.active.as_ref()
    }

    /// One connection to each target in turn, whatever it has to do (ROUNDROBIN).
    fn next_in_turn<'a>(&mut self, fit: &[Candidate<'a>]) -> Option<&'a ConnectorName> {
        let mut ring: Vec<&ConnectorName> = fit.iter().map(|candidate| candidate.stack).collect();
        ring.sort_unstable();
        let picked = next_of(&ring, self.last.as_ref())?;
        self.last = Some(picked.clone());
        Some(picked)
    }

    /// Shares in proportion to the weights (BASEWLM, SERVERWLM, TARGCONTROLLED): of as many
    /// connections as the weights have in sum, each target gets exactly its weight, spread out.
    fn in_proportion<'a>(&mut self, fit: &[Candidate<'a>]) -> Option<&'a ConnectorName> {
        self.credits.retain(|stack, _| fit.iter().any(|candidate| candidate.stack == stack));
        let mut best: Option<(&ConnectorName, i64)> = None;
        for candidate in fit {
            let credit = self.credits.entry(candidate.stack.clone()).or_default();
            *credit += i64::from(candidate.weight);
            if best.is_none_or(|(_, most)| *credit > most) {
                best = Some((candidate.stack, *credit));
            }
        }
        let (picked, _) = best?;
        let sum: i64 = fit.iter().map(|candidate| i64::from(candidate.weight)).sum();
        *self.credits.get_mut(picked)? -= sum;
        Some(picked)
    }

    /// The preferred target while it can be used, else the highest backup (HOTSTANDBY).
    fn standby<'a>(&mut self, switches: Standby, candidates: &[Candidate<'a>]) -> Option<&'a ConnectorName> {
        let usable = |candidate: &&Candidate<'a>| !switches.health_switch || candidate.healthy;
        let mut able: Vec<&Candidate<'a>> = candidates.iter().filter(usable).collect();
        if able.is_empty() {
            // Ill ones are better than none.
            able = candidates.iter().collect();
        }
        let current = able.iter().find(|candidate| Some(candidate.stack) == self.active.as_ref());
        let preferred = able.iter().find(|candidate| candidate.part == Part::Preferred);
        let picked = match (current, preferred) {
            (_, Some(preferred)) if switches.auto_switch_back || current.is_none() => Some(preferred),
            (Some(current), _) => Some(current),
            (None, _) => able.iter().rev().max_by_key(|candidate| rank(candidate.part)),
        };
        let picked = picked?.stack;
        self.active = Some(picked.clone());
        Some(picked)
    }
}

/// Whose turn it is after `last`, in a ring in order.
fn next_of<'a>(ring: &[&'a ConnectorName], last: Option<&ConnectorName>) -> Option<&'a ConnectorName> {
    let after = |stack: &&&ConnectorName| last.is_none_or(|last| **stack > last);
    ring.iter().find(after).or(ring.first()).copied()
}

/// The target that would have the fewest active connections for its weight (WEIGHTEDACTIVE).
fn least_active<'a>(fit: &[Candidate<'a>]) -> Option<&'a ConnectorName> {
    let would_have = |candidate: &Candidate<'_>| u64::from(candidate.active) + 1;
    let mut best: Option<&Candidate<'a>> = None;
    for candidate in fit {
        // Cross-multiplied: a fraction each, no division.
        let fewer = |best: &Candidate<'_>| {
            would_have(candidate) * u64::from(best.weight) < would_have(best) * u64::from(candidate.weight)
        };
        if best.is_none_or(fewer) {
            best = Some(candidate);
        }
    }
    best.map(|candidate| candidate.stack)
}

/// Those with a weight; if none has one, all, alike.
fn fit<'a>(candidates: &[Candidate<'a>]) -> Vec<Candidate<'a>> {
    if candidates.iter().all(|candidate| candidate.weight == 0) {
        return candidates.iter().map(|candidate| Candidate { weight: 1, ..*candidate }).collect();
    }
    candidates.iter().filter(|candidate| candidate.weight > 0).copied().collect()
}

const fn rank(part: Part) -> u8 {
    match part {
        Part::Backup(rank) => rank,
        Part::Preferred | Part::Weight(_) => 0,
    }
}
