//! The reservations while they are read: who has which port, and what excludes what.
#![forbid(unsafe_code)]

use super::model::Reservation;
use super::model::User;
use crate::ident::Transport;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::Ipv6Addr;

/// Most entries of PORT and PORTRANGE that are kept.
pub const RESERVATIONS_MAX: usize = 131_072;

/// What makes two entries the same: transport, PORTRANGE or PORT, first, last, user, BIND address.
type Key = (Transport, bool, u16, u16, User, Option<IpAddr>);

/// PORT and PORTRANGE entries in order; all that is asked costs a logarithm.
#[derive(Default)]
pub(super) struct Book {
    entries: Vec<Option<Reservation>>,
    count: usize,
    keys: BTreeMap<Key, usize>,
    /// PORT: each port with its entries, by transport.
    ports: [BTreeMap<u16, BTreeSet<usize>>; 2],
    /// PORTRANGE: first port with last port and entry, by transport.
    ranges: [BTreeMap<u16, (u16, usize)>; 2],
}

/// What became of an entry.
pub(super) enum Entered {
    Taken,
    /// This earlier one excludes it.
    Excluded {
        line: u32,
        data_set: u16,
    },
    /// There are too many.
    Full,
}

impl Book {
    /// The entries that earlier data sets came to.
    pub(super) fn new(entries: Vec<Reservation>) -> Self {
        let mut book = Self::default();
        for entry in entries {
            book.push(entry);
        }
        book
    }

    pub(super) fn into_entries(self) -> Vec<Reservation> {
        self.entries.into_iter().flatten().collect()
    }

    /// Takes an entry. The same one again replaces what was said, a PORTRANGE only one of an earlier
    /// data set.
    pub(super) fn enter(&mut self, entry: Reservation) -> Entered {
        if let Some(at) = self.keys.get(&key_of(&entry)).copied() {
            let kept = &mut self.entries[at];
            let same_data_set = kept.as_ref().is_some_and(|kept| kept.data_set == entry.data_set);
            if !(entry.from_range && same_data_set) {
                *kept = Some(entry);
                return Entered::Taken;
            }
        }
        if let Some(earlier) = self.conflict(&entry).and_then(|at| self.entries[at].as_ref()) {
            return Entered::Excluded { line: earlier.line, data_set: earlier.data_set };
        }
        if self.count >= RESERVATIONS_MAX {
            return Entered::Full;
        }
        self.push(entry);
        Entered::Taken
    }

    /// An entry that excludes this one. PORT may name a port several times, for several jobs;
    /// everything else may be named once.
    fn conflict(&self, entry: &Reservation) -> Option<usize> {
        let index = entry.transport.index();
        let before = self.ranges[index].range(..=entry.last).next_back();
        let range = before.filter(|(_, (last, _))| *last >= entry.first).map(|(_, (_, at))| *at);
        let port = || self.ports[index].range(entry.first..=entry.last).find_map(|(_, at)| at.first().copied());
        range.or_else(|| if entry.from_range { port() } else { None })
    }

    fn push(&mut self, entry: Reservation) {
        let (at, index) = (self.entries.len(), entry.transport.index());
        if entry.from_range {
            self.ranges[index].insert(entry.first, (entry.last, at));
        } else {
            self.ports[index].entry(entry.first).or_default().insert(at);
        }
        self.keys.insert(key_of(&entry), at);
        self.entries.push(Some(entry));
        self.count += 1;
    }

    /// Takes an entry out, whatever its BIND address and options; `false` if there is none.
    pub(super) fn remove(&mut self, entry: &Reservation) -> bool {
        let (transport, from_range, first, last) = (entry.transport, entry.from_range, entry.first, entry.last);
        let with = |bind| (transport, from_range, first, last, entry.user.clone(), bind);
        let all = with(None)..=with(Some(IpAddr::V6(Ipv6Addr::from(u128::MAX))));
        let found: Vec<Key> = self.keys.range(all).map(|(key, _)| key.clone()).collect();
        for key in &found {
            let Some(at) = self.keys.remove(key) else { continue };
            self.entries[at] = None;
            self.count -= 1;
            if from_range {
                self.ranges[transport.index()].remove(&first);
            } else if let Some(of_port) = self.ports[transport.index()].get_mut(&first) {
                of_port.remove(&at);
            }
        }
        !found.is_empty()
    }
}

fn key_of(entry: &Reservation) -> Key {
    (entry.transport, entry.from_range, entry.first, entry.last, entry.user.clone(), entry.bind)
}
