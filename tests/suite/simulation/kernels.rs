//! What the simulated kernels see, and who may not have met: the checker. It knows nothing of groups,
//! masks, grants or quarantine lists: only sockets, when they were opened and when they were closed.
//!
//! Invariants of the catalogue of faults that are checked here: I1 and I2 (no two kernels, a
//! quarantine apart), I10 (tokens grow). In `world.rs`: I3, I4 and I5 (what is in use is held, by who
//! uses it), I22's cause of every refusal. In `host.rs`: I8 (an open after a crash is never refused),
//! I16 (the audit). In `world/calm.rs`: I16 (all is free again) and I21 (all can be had again). In
//! `tests.rs`: I20. I11, I12 and I13 have no check of their own: broken, they end in I1, I3 or I16,
//! as the named bugs show. Not here: I6, I7, I9, I14, I15, I18 and I19 are of single images, calls
//! and processes, and crash states, I/O faults, flips and kills check them; I17's reserved ports and
//! I22's quota are the plain model's.

use std::collections::{BTreeMap, BTreeSet};

/// A port of one local address: which DVIPA, or [`POOL`], and which port.
pub(crate) type Place = (usize, u16);

/// The explicit-bind pool. Its ports are used on every address.
pub(crate) const POOL: usize = 2;

/// One boot of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kernel {
    pub(crate) machine: u128,
    pub(crate) boot: u128,
}

/// A port in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket {
    pub(crate) kernel: Kernel,
    pub(crate) slot: usize,
    since: u64,
    /// Connections that share it; 0: one socket is bound to it.
    shared: u32,
}

/// The sockets of all kernels.
#[derive(Debug)]
pub(crate) struct Kernels {
    /// How long the remote side remembers a port, true ms; less what two clocks may drift.
    remembered_ms: u64,
    open: BTreeMap<Place, Socket>,
    last: BTreeMap<Place, (Kernel, u64)>,
    /// The newest token under which a port was used.
    tokens: BTreeMap<Place, (Kernel, u64)>,
    /// Open connections: source, and far end.
    tuples: BTreeSet<(Place, u64)>,
    pub(crate) binds: u64,
    pub(crate) connections: u64,
    pub(crate) duplicates: u64,
    pub(crate) early: u64,
    pub(crate) faults: Vec<String>,
}

impl Kernels {
    pub(crate) fn new(quarantine_ms: u64) -> Self {
        let remembered_ms = quarantine_ms - quarantine_ms / 500;
        Self {
            remembered_ms,
            open: BTreeMap::new(),
            last: BTreeMap::new(),
            tokens: BTreeMap::new(),
            tuples: BTreeSet::new(),
            binds: 0,
            connections: 0,
            duplicates: 0,
            early: 0,
            faults: Vec::new(),
        }
    }

    /// A socket was bound.
    pub(crate) fn bind(&mut self, kernel: Kernel, slot: usize, place: Place, token: u64, now: u64) {
        self.binds += 1;
        if let Some(other) = self.meets(place) {
            self.duplicates += 1;
            self.faults.push(format!("P1, I1: {place:?} is bound by {kernel:?} at {now} ms and in use: {other:?}"));
        }
        if let Some((other, end)) = self.last.get(&place)
            && *other != kernel
            && now < end + self.remembered_ms
        {
            self.early += 1;
            let ago = now - end;
            self.faults
                .push(format!("R22, I2: {place:?} is bound by {kernel:?} at {now} ms, {other:?} left {ago} ms ago"));
        }
        if let Some((other, before)) = self.tokens.get(&place)
            && *other != kernel
            && token <= *before
        {
            self.faults.push(format!("I10: {place:?} came to {kernel:?} under {token}, {other:?} had {before}"));
        }
        self.tokens.insert(place, (kernel, token));
        self.open.insert(place, Socket { kernel, slot, since: now, shared: 0 });
    }

    /// Who has a port already: on this address, or on any if one of the two is of the pool.
    fn meets(&self, (of, port): Place) -> Option<Socket> {
        let others = if of == POOL { 0..POOL + 1 } else { of..of + 1 };
        let pool = if of == POOL { None } else { self.open.get(&(POOL, port)) };
        others.into_iter().find_map(|other| self.open.get(&(other, port))).or(pool).copied()
    }

    /// A connection was opened from a port that nobody had, or that connections of this stack share.
    pub(crate) fn connect(&mut self, kernel: Kernel, slot: usize, place: Place, far: u64, token: u64, now: u64) {
        self.connections += 1;
        if !self.tuples.insert((place, far)) {
            self.duplicates += 1;
            self.faults.push(format!("P1, I1: {place:?} to {far} is opened a second time by {kernel:?} at {now} ms"));
        }
        match self.open.get_mut(&place) {
            Some(socket) if socket.kernel == kernel && socket.shared > 0 => socket.shared += 1,
            _ => {
                self.bind(kernel, slot, place, token, now);
                self.open.get_mut(&place).expect("just bound").shared = 1;
            }
        }
    }

    /// A connection was closed; with the last one its port.
    pub(crate) fn disconnect(&mut self, kernel: Kernel, place: Place, far: u64, now: u64) {
        self.tuples.remove(&(place, far));
        match self.open.get_mut(&place) {
            Some(socket) if socket.kernel == kernel && socket.shared > 1 => socket.shared -= 1,
            _ => self.close(kernel, place, now),
        }
    }

    /// The agent of a socket died: from now on its port is used as a whole, whatever connections it has.
    pub(crate) fn orphan(&mut self, kernel: Kernel, place: Place) {
        if let Some(socket) = self.open.get_mut(&place).filter(|socket| socket.kernel == kernel) {
            socket.shared = 0;
            self.tuples.retain(|(other, _)| *other != place);
        }
    }

    /// The last connection of a socket was closed, or its kernel went.
    pub(crate) fn close(&mut self, kernel: Kernel, place: Place, now: u64) {
        match self.open.get(&place) {
            Some(socket) if socket.kernel == kernel => {
                debug_assert!(socket.since <= now);
                self.open.remove(&place);
                self.tuples.retain(|(other, _)| *other != place);
                self.last.insert(place, (kernel, now));
            }
            // Somebody else's by now: that was a fault when it was bound.
            _ => {}
        }
    }

    /// An older state was put back: a token of the part that is lost is known to nobody, unless who has
    /// it reports it (protocol.md R20).
    pub(crate) fn forget_tokens(&mut self) {
        self.tokens.retain(|place, _| self.open.contains_key(place));
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = (Place, Socket)> {
        self.open.iter().map(|(place, socket)| (*place, *socket))
    }
}
