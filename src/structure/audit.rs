//! Everything that must hold, computed again from scratch.
#![forbid(unsafe_code)]

use super::Structure;
use super::bits::Bits;
use super::connector::Connector;
use super::holdings::Cell;
use super::item::ConnectorState;
use super::list::List;
use super::stop::LSN_NAMED_MAX;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::Target;
use crate::ident::Transport;
use std::collections::BTreeMap;
use std::fmt;

/// Something that must hold and does not: a bug, or damage that passed every checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule.
    pub rule: &'static str,
    /// Where, with numbers.
    pub place: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.place)
    }
}

/// Collects faults; goes on after each.
#[derive(Default)]
struct Findings {
    faults: Vec<Fault>,
    /// Places in quarantine queues, by connector.
    resting: BTreeMap<u32, u32>,
    /// Ports held, by membership.
    held: BTreeMap<u32, u32>,
    /// Tokens of grants that requests made.
    tokens: Vec<Lsn>,
    grants: usize,
    mixed: usize,
}

impl Findings {
    fn check(&mut self, holds: bool, rule: &'static str, place: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(Fault { rule, place: place() });
        }
    }
}

impl Structure {
    /// Checks every invariant, counter and summary against the plain facts.
    ///
    /// # Errors
    /// All faults found.
    pub fn audit(&self) -> Result<(), Vec<Fault>> {
        let mut findings = Findings::default();
        for (slot, list) in self.lists.iter() {
            self.audit_list(slot, list, &mut findings);
        }
        for (slot, connector) in self.connectors.iter() {
            self.audit_connector(slot, connector, &mut findings);
        }
        self.audit_members(&mut findings);
        self.audit_names(&mut findings);
        self.audit_sets(&mut findings);
        self.audit_pools(&mut findings);
        self.audit_totals(&mut findings);
        if let Some(stop) = self.stop {
            let given = Lsn::ZERO < stop.since && stop.since <= self.lsn && stop.highest < LSN_NAMED_MAX;
            findings.check(given, "granting was stopped by an event", || format!("{stop:?}"));
        }
        if findings.faults.is_empty() { Ok(()) } else { Err(findings.faults) }
    }

    fn audit_list(&self, slot: u32, list: &List, findings: &mut Findings) {
        let (mut held_ports, mut resting_ports, mut grants) = (0, 0, 0);
        let mut resting = vec![0_u64; usize::from(GroupNumber::COUNT)];
        let mut before = Lsn::ZERO;
        for place in &list.queue {
            let group = place.group;
            let named = || format!("list {slot}, group {group}, lsn {}", place.lsn);
            let mask = &mut resting[group.index()];
            findings.check(place.mask != 0 && *mask & place.mask == 0, "a port is in quarantine once", named);
            findings.check(before <= place.lsn, "quarantine is ordered by lsn", named);
            let known = place.lsn <= self.lsn && place.boot_since < place.lsn;
            findings.check(known, "quarantine begins with an event of its connector's boot", named);
            findings.check(self.connectors.get(place.connector).is_some(), "quarantine names a connector", named);
            *mask |= place.mask;
            before = place.lsn;
            *findings.resting.entry(place.connector).or_default() += 1;
        }
        let (mut whole_free, mut some_free) = (Bits::NONE, Bits::NONE);
        let idle = list.cells.is_none() && list.queue.is_empty();
        if idle {
            (whole_free, some_free) = (Bits::ALL, Bits::ALL);
        }
        for group in GroupNumber::all().filter(|_| !idle) {
            let named = || format!("list {slot}, group {group}");
            let (mut held, mut count, mut before) = (0_u64, 0_usize, Lsn::ZERO);
            for grant in self.holdings.grants(list, group) {
                findings.check(grant.mask != 0, "a grant has a port", named);
                findings.check(held & grant.mask == 0, "a port is held by one grant", named);
                findings.check(grant.group == group, "a grant is found under its group", named);
                findings.check(before < grant.lsn, "grants are ordered by lsn", named);
                let (adopted, highest) = (grant.number == 0, self.stop.map_or(Lsn::ZERO, |stop| stop.highest));
                let known = grant.lsn <= if adopted { self.lsn.max(highest) } else { self.lsn };
                findings.check(known, "a token is an lsn that was given", named);
                let joined = self.members.get(grant.member);
                let fits = joined.is_some_and(|joined| joined.list == slot && (adopted || joined.joined < grant.lsn));
                findings.check(fits, "a grant's holder is a member", named);
                held |= grant.mask;
                before = grant.lsn;
                count += 1;
                findings.tokens.extend((!adopted).then_some(grant.lsn));
                findings.grants += 1;
                *findings.held.entry(grant.member).or_default() += grant.mask.count_ones();
            }
            let resting = resting[group.index()];
            findings.check(held & resting == 0, "no port is held and in quarantine", named);
            let masks = self.holdings.masks(list, group);
            let same = (masks.held, masks.quarantined) == (held, resting);
            findings.check(same, "a group's masks are those of its grants and quarantine", named);
            let cell = list.cell(group);
            let right = match cell {
                Cell::Free => held | resting == 0,
                Cell::Sole(_) => count == 1 && resting == 0,
                Cell::Quarantined => count == 0 && resting == u64::MAX,
                Cell::Mixed(_) => count > 1 || (resting != 0 && (count > 0 || resting != u64::MAX)),
            };
            findings.check(right, "a group's cell has the form for its masks", named);
            findings.mixed += usize::from(matches!(cell, Cell::Mixed(_)));
            whole_free.set(group, held | resting == 0);
            some_free.set(group, held | resting != u64::MAX);
            held_ports += held.count_ones();
            resting_ports += resting.count_ones();
            grants += u32::try_from(count).expect("at most 64");
        }
        let named = || format!("list {slot}");
        let counters = (list.held, list.quarantined, list.grants);
        findings.check(counters == (held_ports, resting_ports, grants), "a list's counters are right", named);
        let same = (&list.whole_free, &list.some_free) == (&whole_free, &some_free);
        findings.check(same, "a list's summaries are right", named);
        findings.check(list.cells.is_some() == list.in_use(), "cells exist while a list is in use", named);
        findings.check(!list.is_over(), "a list that nothing keeps is gone", named);
        findings.check(list.created <= self.lsn, "a list was created by an event", named);
        findings.check(list.policy.is_valid(), "a policy is within its ranges", named);
        findings.check(list.open || !list.defined, "a closed list is not defined", named);
    }

    fn audit_connector(&self, slot: u32, connector: &Connector, findings: &mut Findings) {
        let named = || format!("connector {slot}, {}", connector.name);
        let resting = findings.resting.get(&slot).copied().unwrap_or(0);
        findings.check(connector.resting == resting, "a connector's places in quarantine are counted", named);
        let held: u32 = connector.members.values().filter_map(|member| findings.held.get(member)).sum();
        findings.check(connector.held == held, "a connector's ports are counted", named);
        let ordered = connector.boot_since.0 <= connector.incarnation.0 && connector.incarnation.0 <= self.lsn.0;
        findings.check(ordered, "an incarnation is the lsn of an event", named);
        if connector.state == ConnectorState::Forgotten {
            let bare = connector.members.is_empty()
                && connector.sets == [None; 2]
                && (connector.window.places(), connector.window.lowest()) == (0, 1);
            findings.check(bare && resting > 0, "a forgotten connector is a name for its quarantine", named);
        } else {
            let known = self.by_name.get(&connector.name) == Some(&slot);
            findings.check(known, "a connector is found by its name", named);
        }
        let executed = connector.window.iter().count();
        findings.check(executed == connector.window.executed() as usize, "a window's requests are counted", named);
        let small = connector.window.places() <= u64::from(super::retry::WINDOW_NUMBERS_MAX);
        findings.check(small, "a window is at most 16,384 numbers wide", named);
        for (number, executed) in connector.window.iter() {
            let last = executed.first.0.checked_add(u64::from(executed.count.get()) - 1);
            let fits = connector.incarnation.0 < executed.first.0 && last.is_some_and(|last| last <= self.lsn.0);
            findings.check(fits, "a request's events are of its incarnation", || {
                format!("connector {slot}, request {number}")
            });
        }
    }

    fn audit_members(&self, findings: &mut Findings) {
        for (slot, joined) in self.members.iter() {
            let named = || format!("member {slot}");
            let held = findings.held.get(&slot).copied().unwrap_or(0);
            findings.check(joined.held == held, "a member's ports are counted", named);
            let list = self.lists.get(joined.list);
            let in_list = list.is_some_and(|list| list.members.contains(&slot) && list.created <= joined.joined);
            findings.check(in_list, "a member is in its list", named);
            let connector = self.connectors.get(joined.connector);
            let of_connector = connector.is_some_and(|connector| {
                connector.members.get(&joined.list) == Some(&slot) && connector.boot_since < joined.joined
            });
            findings.check(of_connector, "a member is its connector's", named);
            findings.check(joined.joined <= self.lsn, "a join is an event", named);
        }
        let in_lists: usize = self.lists.iter().map(|(_, list)| list.members.len()).sum();
        let of_connectors: usize = self.connectors.iter().map(|(_, connector)| connector.members.len()).sum();
        let count = self.members.count() as usize;
        findings.check((in_lists, of_connectors) == (count, count), "every membership is counted", || {
            format!("{count} members, {in_lists} in lists, {of_connectors} of connectors")
        });
    }

    fn audit_names(&self, findings: &mut Findings) {
        let known = self.connectors.iter().filter(|(_, known)| known.state != ConnectorState::Forgotten).count();
        let sizes = (self.by_name.len(), self.by_target.len(), self.by_content.len());
        let counts = (known, self.lists.count() as usize, self.sets.count() as usize);
        findings.check(sizes == counts, "every name has one holder", || format!("{sizes:?}, not {counts:?}"));
        for (slot, list) in self.lists.iter() {
            let found = self.by_target.get(&list.target) == Some(&slot);
            findings.check(found, "a list is found by its target", || format!("list {slot}"));
        }
        let slabs = [
            self.connectors.is_consistent(),
            self.lists.is_consistent(),
            self.members.is_consistent(),
            self.sets.is_consistent(),
        ];
        findings.check(slabs == [true; 4], "vacant slots are known", || format!("{slabs:?}"));
    }

    fn audit_sets(&self, findings: &mut Findings) {
        let mut uses = BTreeMap::<u32, u32>::new();
        for set in self.connectors.iter().flat_map(|(_, connector)| connector.sets).flatten() {
            *uses.entry(set).or_default() += 1;
        }
        for (slot, set) in self.sets.iter() {
            let named = || format!("set {slot}");
            findings.check(uses.get(&slot) == Some(&set.uses), "a set's uses are counted", named);
            let digest = super::retry::content_digest(set.ports.words());
            let right = digest == set.digest && self.by_content.get(&digest) == Some(&slot);
            findings.check(right, "a set is found by its content", named);
            let summaries = super::bits::summaries(set.ports.words());
            findings.check(summaries == (set.whole, set.some), "a set's summaries are right", named);
            findings.check(!set.ports.contains(0), "port 0 is never allowable", named);
        }
    }

    fn audit_pools(&self, findings: &mut Findings) {
        for transport in Transport::ALL {
            let counted = self.count_pool(transport);
            let place = || transport.to_string();
            findings.check(counted == self.pools[transport.index()], "use of the pool is counted", place);
            let list = self.by_target.get(&Target::Pool(transport)).map(|list| &self.lists[*list]);
            let (Some(pool), Some(list)) = (counted, list) else { continue };
            for group in GroupNumber::all() {
                let shared = pool.used.mask(group) & !self.holdings.masks(list, group).free();
                findings.check(shared == 0, "no port is in use in the pool and in a list", || {
                    format!("{transport}, group {group}")
                });
            }
        }
    }

    fn audit_totals(&self, findings: &mut Findings) {
        let (live, mixed) = self.holdings.live();
        let found = (findings.grants, findings.mixed);
        findings.check((live as usize, mixed) == found, "no grant is lost from sight", || {
            format!("{live} grants and {mixed} cells with masks, found {found:?}")
        });
        findings.tokens.sort_unstable();
        let twice = findings.tokens.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        findings.check(twice.is_none(), "a token is of one grant", || format!("lsn {twice:?}"));
        let places: u64 = self.connectors.iter().map(|(_, connector)| connector.window.places()).sum();
        findings.check(places == self.window_places, "places in windows are counted", || {
            format!("{} noted, {places} found", self.window_places)
        });
    }
}
