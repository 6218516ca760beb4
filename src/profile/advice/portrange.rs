//! `_RSE_PORTRANGE`: at odds with SYSPLEXPORTS, but for one way round.
#![forbid(unsafe_code)]

use super::{Advice, EXPLORER, Rule, View};
use crate::profile::diagnostic::Severity;

const RESTRICTING: &str = "IBM Explorer for z/OS, \"Restricting port selection\"";

impl View<'_> {
    /// The ranges of the known way round: one for each system, disjoint, and reserved on all. Empty
    /// where it is not complete.
    pub(super) fn way_round(&self) -> Vec<(u16, u16)> {
        let ranges: Vec<(u16, u16)> = self.environments.iter().filter_map(|env| env.port_range()?).collect();
        let complete = ranges.len() == self.environments.len() && ranges.len() >= self.system_count().max(2);
        let whole =
            complete && self.overlaps().is_empty() && ranges.iter().all(|range| self.reserved_everywhere(*range));
        if whole { ranges } else { Vec::new() }
    }

    fn system_count(&self) -> usize {
        let mut systems: Vec<&str> = self.subjects.iter().map(|subject| subject.system).collect();
        systems.sort_unstable();
        systems.dedup();
        systems.len()
    }

    /// Whether every port of a range is reserved for some job on every stack.
    fn reserved_everywhere(&self, (first, last): (u16, u16)) -> bool {
        self.reserved.iter().all(|reserved| (first..=last).all(|port| reserved.contains(port)))
    }

    /// Pairs of environment files whose ranges overlap.
    fn overlaps(&self) -> Vec<(usize, usize)> {
        let range = |at: usize| self.environments[at].port_range().flatten();
        let mut pairs = Vec::new();
        for second in 0..self.environments.len() {
            for first in 0..second {
                if let (Some(a), Some(b)) = (range(first), range(second))
                    && a.0 <= b.1
                    && b.0 <= a.1
                {
                    pairs.push((first, second));
                }
            }
        }
        pairs
    }

    pub(super) fn rse_portrange(&self, advice: &mut Vec<Advice>) {
        let set: Vec<String> =
            self.environments.iter().filter(|env| env.port_range().is_some()).map(|env| env.name.clone()).collect();
        if set.is_empty() {
            return;
        }
        for env in self.environments.iter().filter(|env| env.port_range() == Some(None)) {
            advice.push(Advice {
                rule: Rule::RsePortrange,
                severity: Severity::Error,
                profiles: vec![env.name.clone()],
                why: "_RSE_PORTRANGE cannot be read: it is first-end, where end is one above the last port".to_owned(),
                source: RESTRICTING,
            });
        }
        if self.of_daemon().any(|placed| placed.definition.sysplexports) {
            self.with_sysplexports(&set, advice);
        }
        for (first, second) in self.overlaps() {
            let [first, second] = [first, second].map(|at| &self.environments[at]);
            advice.push(Advice {
                rule: Rule::RsePortrangeOverlap,
                severity: Severity::Error,
                profiles: vec![first.name.clone(), second.name.clone()],
                why:
                    "_RSE_PORTRANGE of both systems overlap: workers on both can bind the same port of the DVIPA, and \
                      the client's second connection can reach the wrong one; give each system a range of its own"
                        .to_owned(),
                source: RESTRICTING,
            });
        }
        for env in self.environments {
            let Some(range) = env.port_range().flatten() else { continue };
            let open =
                self.with_reserved().filter(|(_, reserved)| !(range.0..=range.1).all(|port| reserved.contains(port)));
            let mut profiles = vec![env.name.clone()];
            profiles.extend(open.map(|(subject, _)| subject.name.to_owned()));
            if profiles.len() > 1 {
                advice.push(Advice {
                    rule: Rule::RsePortrangeUnreserved,
                    severity: Severity::Warning,
                    profiles,
                    why: format!(
                        "ports {} to {} of _RSE_PORTRANGE are not all reserved for the workers' job: other programs \
                         can take them; reserve each system's range on all systems with PORTRANGE",
                        range.0, range.1
                    ),
                    source: RESTRICTING,
                });
            }
        }
    }

    fn with_sysplexports(&self, set: &[String], advice: &mut Vec<Advice>) {
        let (severity, why, source) = if self.way_round().is_empty() {
            let why = "_RSE_PORTRANGE is set, but with SYSPLEXPORTS the stack chooses the workers' ports: take it out; \
                       if a firewall needs known ports, either narrow EPHEMERALPORTS of TCPCONFIG, or give each \
                       system a range of its own that meets no other, and reserve all of them for the job on all \
                       systems (with the fix of APAR PM63379)";
            (Severity::Error, why, EXPLORER)
        } else {
            let why = "_RSE_PORTRANGE is set with SYSPLEXPORTS, with disjoint ranges that are reserved on all systems: \
                       the known way through a firewall; it needs the fix of APAR PM63379";
            (Severity::Note, why, RESTRICTING)
        };
        advice.push(Advice { rule: Rule::RsePortrange, severity, profiles: set.to_vec(), why: why.to_owned(), source });
    }
}
