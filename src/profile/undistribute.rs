//! VIPADISTRIBUTE DELETE: takes distribution away, whole statements or parts of them.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Severity};
use super::parse::Parser;
use super::token::Token;
use super::vipa_model::{Destinations, DistMethod, Distribution};
use crate::ident::Dvipa;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Most DELETE statements of one data set that take only a part of what was defined: each compares
/// its ports with all of the DVIPA's.
pub const PARTIAL_DELETES_MAX: usize = 256;

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
        let deleted: BTreeSet<IpAddr> = destinations.addresses().collect();
        let mut found = false;
        let mut left = Vec::with_capacity(distributions.len());
        for distribution in distributions.drain(..) {
            self.steps += distribution.ports.len() as u64;
            match parts_left(&distribution, ports, destinations, &deleted) {
                Some(parts) => {
                    found = true;
                    left.extend(parts);
                }
                None => left.push(distribution),
            }
        }
        *distributions = left;
        if !found {
            let message = format!("{dvipa} has no such distribution to delete");
            let hint = "DELETE repeats address, PORT and DESTIP as they were defined";
            self.remarks.add(statement.place, Severity::Warning, Code::UnknownDistribution, message, hint);
        }
    }
}

/// What is left of a distribution: `None` if it is not touched. ALL meets ALL only, and HOTSTANDBY
/// loses all its targets or none, since any other number would not be HOTSTANDBY any more.
fn parts_left(
    distribution: &Distribution,
    ports: &[(u16, u16)],
    destinations: &Destinations,
    deleted: &BTreeSet<IpAddr>,
) -> Option<Vec<Distribution>> {
    if distribution.ports.is_empty() != ports.is_empty() {
        return None;
    }
    let (kept, hit) = split(&distribution.ports, ports);
    if hit.is_empty() && !ports.is_empty() {
        return None;
    }
    let targets_left = match (&distribution.destinations, destinations) {
        (Destinations::All, Destinations::All) => Vec::new(),
        (Destinations::Some(targets), Destinations::Some(_)) => {
            let left: Vec<_> = targets.iter().filter(|target| !deleted.contains(&target.address)).copied().collect();
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

type Ranges = Vec<(u16, u16)>;

/// Splits ranges into what is outside and what is inside of others, each in order.
fn split(ranges: &[(u16, u16)], others: &[(u16, u16)]) -> (Ranges, Ranges) {
    let mut others = others.to_vec();
    others.sort_unstable();
    let (mut outside, mut inside) = (Vec::new(), Vec::new());
    for (first, last) in ranges {
        let (mut next, last) = (u32::from(*first), u32::from(*last));
        for (from, to) in others.iter().map(|(from, to)| (u32::from(*from), u32::from(*to))) {
            if to < next || from > last {
                continue;
            }
            if from > next {
                outside.push((next, from - 1));
            }
            inside.push((from.max(next), to.min(last)));
            next = to.min(last) + 1;
        }
        if next <= last {
            outside.push((next, last));
        }
    }
    let ports = |ranges: Vec<(u32, u32)>| {
        let port = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        ranges.into_iter().map(|(first, last)| (port(first), port(last))).collect()
    };
    (ports(outside), ports(inside))
}

fn same_targets(a: &Destinations, b: &Destinations) -> bool {
    matches!(a, Destinations::All) == matches!(b, Destinations::All) && a.addresses().eq(b.addresses())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_split_at_every_edge() {
        let (outside, inside) = split(&[(10, 20), (30, 30), (40, 65_535)], &[(65_535, 65_535), (12, 15), (18, 30)]);
        assert_eq!(outside, [(10, 11), (16, 17), (40, 65_534)]);
        assert_eq!(inside, [(12, 15), (18, 20), (30, 30), (65_535, 65_535)]);
        assert_eq!(split(&[(1, 2)], &[]), (vec![(1, 2)], vec![]));
    }
}
