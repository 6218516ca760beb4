//! VIPADISTRIBUTE DELETE: takes distribution away, whole statements or parts of them.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Severity};
use super::distribute::{DISTRIBUTIONS_MAX, OPERANDS_MAX};
use super::parse::Parser;
use super::token::Token;
use super::vipa_model::{Destination, Destinations, DistMethod, Distribution};
use crate::ident::Dvipa;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Most DELETE statements of one data set that take only a part of what was defined: each compares
/// its ports with all of the DVIPA's.
pub const PARTIAL_DELETES_MAX: usize = 32;

impl Parser<'_> {
    /// Takes `ports` × `destinations` away from what is distributed.
    pub(super) fn undistribute(
        &mut self,
        statement: &Token<'_>,
        dvipa: Dvipa,
        ports: &[(u16, u16)],
        destinations: &Destinations,
    ) {
        let Some(entry) = self.dvipas.get_mut(&dvipa) else { return };
        let distributions = &mut entry.definition.distributions;
        self.steps += distributions.len() as u64;
        let same = |found: &Distribution| found.ports == ports && same_targets(&found.destinations, destinations);
        if let Some(at) = distributions.iter().position(same) {
            distributions.remove(at);
            return;
        }
        if self.partial_deletes >= PARTIAL_DELETES_MAX {
            let message = format!("more than {PARTIAL_DELETES_MAX} statements that delete a part, not carried out");
            let hint = "delete whole VIPADISTRIBUTE statements: repeat PORT and DESTIP as they were defined";
            self.remarks.add(statement.place, Severity::Error, Code::TooMany, message, hint);
            return;
        }
        self.partial_deletes += 1;
        let deleted = Deleted::new(ports, destinations);
        let (mut found, mut too_many) = (false, false);
        let mut left = Vec::with_capacity(distributions.len());
        for distribution in distributions.iter() {
            match deleted.parts_left(distribution) {
                Some(parts) => {
                    found = true;
                    too_many |= parts.iter().any(|part| part.ports.len() > OPERANDS_MAX);
                    self.steps += parts.iter().map(|part| part.ports.len() as u64).sum::<u64>();
                    left.extend(parts);
                }
                None => left.push(distribution.clone()),
            }
            self.steps += distribution.ports.len() as u64;
        }
        if too_many || left.len() > DISTRIBUTIONS_MAX {
            let message = format!("{dvipa}: what this would leave is in too many pieces, not carried out");
            let hint = "delete whole VIPADISTRIBUTE statements, and define again what is to stay";
            self.remarks.add(statement.place, Severity::Error, Code::TooMany, message, hint);
            return;
        }
        *distributions = left;
        if !found {
            let message = format!("{dvipa} has no such distribution to delete");
            let hint = "DELETE repeats address, PORT and DESTIP as they were defined";
            self.remarks.add(statement.place, Severity::Warning, Code::UnknownDistribution, message, hint);
        }
    }
}

/// What a DELETE names.
struct Deleted<'a> {
    /// Disjoint, ascending.
    ports: Vec<(u16, u16)>,
    destinations: &'a Destinations,
    addresses: BTreeSet<IpAddr>,
}

impl<'a> Deleted<'a> {
    fn new(ports: &[(u16, u16)], destinations: &'a Destinations) -> Self {
        let mut ports = ports.to_vec();
        ports.sort_unstable();
        Self { ports, destinations, addresses: destinations.addresses().collect() }
    }

    /// What is left of a distribution: `None` if it is not touched. ALL meets ALL only, and HOTSTANDBY
    /// loses all its targets or none, since any other number would not be HOTSTANDBY any more.
    fn parts_left(&self, distribution: &Distribution) -> Option<Vec<Distribution>> {
        if distribution.ports.is_empty() != self.ports.is_empty() {
            return None;
        }
        let (kept, hit) = self.split(&distribution.ports);
        if hit.is_empty() && !self.ports.is_empty() {
            return None;
        }
        let targets_left = match (&distribution.destinations, self.destinations) {
            (Destinations::All, Destinations::All) => Vec::new(),
            (Destinations::Some(targets), Destinations::Some(_)) => {
                let stays = |target: &&Destination| !self.addresses.contains(&target.address);
                let left: Vec<Destination> = targets.iter().filter(stays).copied().collect();
                let whole = left.is_empty();
                if left.len() == targets.len() || (distribution.method == DistMethod::HotStandby && !whole) {
                    return None;
                }
                left
            }
            _ => return None,
        };
        let mut parts = Vec::new();
        if !kept.is_empty() {
            parts.push(Distribution { ports: kept, ..distribution.clone() });
        }
        if !targets_left.is_empty() {
            let destinations = Destinations::Some(targets_left);
            parts.push(Distribution { ports: hit, destinations, ..distribution.clone() });
        }
        Some(parts)
    }

    /// Splits disjoint ranges into what is outside and what is inside of the deleted ones, each in
    /// order.
    fn split(&self, ranges: &[(u16, u16)]) -> (Ranges, Ranges) {
        let (mut outside, mut inside) = (Ranges::new(), Ranges::new());
        for (first, last) in ranges.iter().copied() {
            let start = self.ports.partition_point(|(_, to)| *to < first);
            let mut next = Some(first);
            for (from, to) in self.ports[start..].iter().take_while(|(from, _)| *from <= last) {
                if let Some(open) = next.filter(|open| open < from) {
                    outside.push((open, from - 1));
                }
                inside.push((first.max(*from), last.min(*to)));
                next = to.checked_add(1);
            }
            if let Some(open) = next.filter(|open| *open <= last) {
                outside.push((open, last));
            }
        }
        (outside, inside)
    }
}

type Ranges = Vec<(u16, u16)>;

fn same_targets(a: &Destinations, b: &Destinations) -> bool {
    matches!(a, Destinations::All) == matches!(b, Destinations::All) && a.addresses().eq(b.addresses())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_split_at_every_edge() {
        let all = Destinations::All;
        let deleted = Deleted::new(&[(65_535, 65_535), (12, 15), (18, 30)], &all);
        let (outside, inside) = deleted.split(&[(10, 20), (30, 30), (40, 65_535)]);
        assert_eq!(outside, [(10, 11), (16, 17), (40, 65_534)]);
        assert_eq!(inside, [(12, 15), (18, 20), (30, 30), (65_535, 65_535)]);
        assert_eq!(Deleted::new(&[], &all).split(&[(1, 2)]), (vec![(1, 2)], vec![]));
        let every = Deleted::new(&[(1, 65_535)], &all);
        assert_eq!(every.split(&[(7, 9), (1, 2)]), (vec![], vec![(7, 9), (1, 2)]));
    }
}
