//! What runs did, in numbers.

use super::net::Posts;
use portplex::ident::{GroupNumber, Lsn, PortMask, Target};
use portplex::stack::Observer;
use portplex::structure::Grant;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one run did, or several.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) seeds: u64,
    pub(crate) steps: u64,
    pub(crate) simulated_ms: u64,
    pub(crate) posts: Posts,
    /// Grants that stacks took up, and parts of grants that they gave back.
    pub(crate) grants: u64,
    pub(crate) releases: u64,
    pub(crate) binds: u64,
    pub(crate) connections: u64,
    /// Backups that were put back.
    pub(crate) restores: u64,
    pub(crate) facility_crashes: u64,
    /// Crashes of the facility that took the power with them.
    pub(crate) power_losses: u64,
    pub(crate) process_crashes: u64,
    pub(crate) reboots: u64,
    pub(crate) refusals: u64,
    /// Sockets that met another one on their port, as the checker of the kernels counts them.
    pub(crate) duplicates: u64,
    /// Ports that another kernel had before the remote side forgot them.
    pub(crate) early: u64,
    pub(crate) trace: u64,
}

impl Counters {
    /// Adds what another run did.
    pub(crate) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.simulated_ms += other.simulated_ms;
        self.posts.add(&other.posts);
        self.grants += other.grants;
        self.releases += other.releases;
        self.binds += other.binds;
        self.connections += other.connections;
        self.restores += other.restores;
        self.facility_crashes += other.facility_crashes;
        self.power_losses += other.power_losses;
        self.process_crashes += other.process_crashes;
        self.reboots += other.reboots;
        self.refusals += other.refusals;
        self.duplicates += other.duplicates;
        self.early += other.early;
    }

    /// Every number with its name in plain words.
    #[cfg(not(test))]
    pub(crate) fn named(&self) -> Vec<(String, u64)> {
        let Posts { sent, dropped, doubled, delayed, .. } = self.posts;
        let named = [
            ("seeds", self.seeds),
            ("steps", self.steps),
            ("simulated seconds", self.simulated_ms / 1_000),
            ("messages sent", sent),
            ("messages lost", dropped),
            ("messages doubled", doubled),
            ("messages delayed", delayed),
            ("grants", self.grants),
            ("releases", self.releases),
            ("ports taken into use", self.binds),
            ("connections", self.connections),
            ("backups put back", self.restores),
            ("refusals", self.refusals),
            ("crashes of the facility", self.facility_crashes),
            ("power losses of the facility", self.power_losses),
            ("crashes of stacks", self.process_crashes),
            ("machines that went down", self.reboots),
            ("ports in use twice", self.duplicates),
            ("ports used again too early", self.early),
        ];
        named.map(|(name, count)| (format!("simulation, {name}"), count)).to_vec()
    }
}

/// Counts what stacks are granted and give back.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    grants: AtomicU64,
    releases: AtomicU64,
}

impl Watch {
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.grants.load(Ordering::Relaxed), self.releases.load(Ordering::Relaxed))
    }
}

impl Observer for Watch {
    fn granted(&self, _: &Grant) {
        self.grants.fetch_add(1, Ordering::Relaxed);
    }

    fn releasing(&self, _: Target, _: GroupNumber, _: Lsn, _: PortMask) {
        self.releases.fetch_add(1, Ordering::Relaxed);
    }

    fn stopped(&self, _: Target, _: GroupNumber, _: Lsn, _: PortMask) {}
}
