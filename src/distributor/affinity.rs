//! Timed affinities: a client comes back to the stack where it was.
//!
//! The key is client, DVIPA and port. The timer runs only while the client has no connection there;
//! a new connection stops it (IP Configuration Guide, timed affinities). An affinity ends with its
//! time, with its stack, or when that stack stops listening on the port.
#![forbid(unsafe_code)]

use super::decision::Flow;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Port and client; the DVIPA is that of the books.
pub(super) type Key = (u16, IpAddr);

/// The affinity that a connection would count for.
pub(super) const fn key(flow: &Flow) -> Key {
    (flow.port, flow.peer.ip())
}

/// The affinities of one DVIPA.
#[derive(Clone, Debug, Default)]
pub(super) struct Affinities {
    by_key: BTreeMap<Key, Affinity>,
    /// When the timers that run end.
    due: BTreeSet<(BootMs, Key)>,
    serial: u64,
}

/// One affinity.
#[derive(Clone, Debug)]
pub(super) struct Affinity {
    pub(super) stack: ConnectorName,
    /// Its connections carry it, so that one of an earlier affinity does not count.
    pub(super) serial: u64,
    pub(super) count: u32,
    pub(super) seconds: u16,
    /// When it ends, while nothing is open.
    pub(super) until: Option<BootMs>,
}

impl Affinities {
    /// Forgets those whose time is over: they end at that moment, not after it.
    pub(super) fn expire(&mut self, now: BootMs) {
        while let Some((until, key)) = self.due.first().copied().filter(|(until, _)| *until <= now) {
            self.due.remove(&(until, key));
            self.by_key.remove(&key);
        }
    }

    pub(super) fn find(&self, key: Key) -> Option<&Affinity> {
        self.by_key.get(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Affinity)> {
        self.by_key.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// A connection of the client opened on `stack`: its affinity is there from now on.
    pub(super) fn open(&mut self, key: Key, stack: &ConnectorName, seconds: u16) -> u64 {
        if self.by_key.get(&key).is_none_or(|affinity| affinity.stack != *stack) {
            self.remove(key);
            self.serial += 1;
            let (stack, serial) = (stack.clone(), self.serial);
            self.by_key.insert(key, Affinity { stack, serial, count: 0, seconds, until: None });
        }
        let Some(affinity) = self.by_key.get_mut(&key) else { return 0 };
        if let Some(until) = affinity.until.take() {
            self.due.remove(&(until, key));
        }
        affinity.count += 1;
        affinity.seconds = seconds;
        affinity.serial
    }

    /// A connection that counted under `serial` ended.
    pub(super) fn close(&mut self, now: BootMs, key: Key, serial: u64) {
        let Some(affinity) = self.by_key.get_mut(&key).filter(|affinity| affinity.serial == serial) else { return };
        affinity.count = affinity.count.saturating_sub(1);
        if affinity.count == 0 {
            let until = now.plus(u64::from(affinity.seconds) * 1_000);
            affinity.until = Some(until);
            self.due.insert((until, key));
        }
    }

    /// Takes up an affinity without a connection, with what is left of its time.
    pub(super) fn resume(&mut self, key: Key, stack: &ConnectorName, seconds: u16, until: BootMs) {
        if !self.by_key.contains_key(&key) {
            self.serial += 1;
            let (stack, serial) = (stack.clone(), self.serial);
            self.by_key.insert(key, Affinity { stack, serial, count: 0, seconds, until: Some(until) });
            self.due.insert((until, key));
        }
    }

    /// A stack stopped listening on a port, or on all of them.
    pub(super) fn remove_of(&mut self, stack: &ConnectorName, port: Option<u16>) {
        const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        const LAST: IpAddr = IpAddr::V6(Ipv6Addr::from_bits(u128::MAX));
        let (low, high) = port.map_or((0, u16::MAX), |port| (port, port));
        let of_ports = self.by_key.range((low, FIRST)..=(high, LAST));
        let keys: Vec<Key> = of_ports.filter(|(_, affinity)| affinity.stack == *stack).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.remove(key));
    }

    fn remove(&mut self, key: Key) {
        if let Some(Affinity { until: Some(until), .. }) = self.by_key.remove(&key) {
            self.due.remove(&(until, key));
        }
    }
}
