//! The face of a hand that needs no lock: taking a free port, sharing one, giving one back.
#![forbid(unsafe_code)]

use super::ring::{FreeQueue, ReturnedQueue};
use super::shared::SharedPorts;
use super::tuples::{Ends, Tuples};
use super::words::{Place, Words};
use crate::ident::Lsn;
use crate::stack::order::Order;
use crate::threads::AtomicBool;
use crate::threads::AtomicU32;
use crate::threads::Ordering;

/// The ports of one hand.
#[derive(Debug)]
pub(in crate::stack) struct Ports {
    pub(super) words: Words,
    pub(super) free: FreeQueue,
    pub(super) returned: ReturnedQueue,
    pub(super) tuples: Tuples,
    shared: SharedPorts,
    /// Fewer free ports than this: the refill should look.
    low: AtomicU32,
    /// Fewer free ports than this: a new connection shares a port if it can.
    share_below: AtomicU32,
    /// What comes back goes back to the facility at once: the list is being left.
    closing: AtomicBool,
}

/// What came of giving a port back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) enum Given {
    /// It was not in use under that grant.
    NotHere,
    /// It is back, or will be when its last connection ends.
    Back,
    /// It is back, and whoever has the lock must take it in.
    Look,
}

impl Ports {
    pub(super) fn new(order: &Order) -> Self {
        Self {
            words: Words::new(),
            free: FreeQueue::new(),
            returned: ReturnedQueue::new(),
            tuples: Tuples::new(order),
            shared: SharedPorts::default(),
            low: AtomicU32::new(0),
            share_below: AtomicU32::new(0),
            closing: AtomicBool::new(false),
        }
    }

    /// Takes a free port for one socket.
    pub(in crate::stack) fn take(&self) -> Option<(u16, Lsn)> {
        self.take_for(Place::Used)
    }

    fn take_for(&self, place: Place) -> Option<(u16, Lsn)> {
        loop {
            let port = self.free.pop()?;
            // A name may be stale: the port was given back, or taken by its number.
            if let Some(grant) = self.words.get(port).and_then(|word| word.take(Place::Free, place)) {
                return Some((port, grant));
            }
        }
    }

    /// Gives back a port that one socket had.
    pub(in crate::stack) fn give(&self, port: u16, grant: Lsn) -> Given {
        let Some(word) = self.words.get(port) else { return Given::NotHere };
        if word.connections(grant) == 0 {
            return if word.change(grant, Place::Used, Place::Resting) { self.back(port) } else { Given::NotHere };
        }
        // It has a connection yet, whose end brings it back. It is not among the shared ports.
        if !word.change(grant, Place::Used, Place::Shared) {
            return Given::NotHere;
        }
        if word.connections(grant) == 0 && word.change(grant, Place::Shared, Place::Resting) {
            return self.back(port);
        }
        Given::Back
    }

    fn back(&self, port: u16) -> Given {
        let mut must_look = self.closing.load(Ordering::Acquire);
        // Without room the lock's holder makes some; the port's word says that it rests meanwhile.
        must_look |= !self.returned.push(port);
        if must_look { Given::Look } else { Given::Back }
    }

    /// Opens a connection from a free port.
    pub(in crate::stack) fn connect(&self, ends: Ends) -> Option<(u16, Lsn)> {
        loop {
            let (port, grant) = self.take_for(Place::Shared)?;
            let word = self.words.get(port)?;
            let is_here = || word.look() == (Place::Shared, grant);
            if word.begin(grant) && self.tuples.open(ends, port, is_here) {
                self.shared.insert(port);
                return Some((port, grant));
            }
            // The port's socket of an earlier life has this connection yet: not this port. Or it was lost
            // meanwhile: then nothing is left to be changed.
            word.end(grant);
            word.change(grant, Place::Shared, Place::Kept);
        }
    }

    /// Opens a connection from a port that has others, to other destinations.
    pub(in crate::stack) fn connect_shared(&self, ends: Ends) -> Option<(u16, Lsn)> {
        self.tuples.reuse(ends, &self.shared, |port| {
            let word = self.words.get(port)?;
            let (_, grant) = word.look();
            if !word.join(grant) {
                return None;
            }
            if word.look() == (Place::Shared, grant) {
                return Some(grant);
            }
            // It is one socket's, or was lost meanwhile, and its connections with it.
            word.end(grant);
            None
        })
    }

    /// Opens a connection from a port that one socket has. False if there is that connection.
    pub(in crate::stack) fn connect_from(&self, ends: Ends, port: u16, grant: Lsn) -> bool {
        let Some(word) = self.words.get(port).filter(|word| word.look() == (Place::Used, grant)) else { return false };
        let opened = self.tuples.open(ends, port, || word.look() == (Place::Used, grant));
        if opened {
            word.add(grant);
        }
        opened
    }

    /// Ends a connection.
    pub(in crate::stack) fn close(&self, ends: Ends, port: u16, grant: Lsn) -> Given {
        let Some(word) = self.words.get(port) else { return Given::NotHere };
        let is_same = || matches!(word.look(), (Place::Used | Place::Shared, of) if of == grant);
        let mut was_last = false;
        if !self.tuples.close(ends, port, is_same, || was_last = word.end(grant)) {
            return Given::NotHere;
        }
        if was_last && word.look() == (Place::Shared, grant) {
            self.shared.remove(port);
            if word.change(grant, Place::Shared, Place::Resting) {
                return self.back(port);
            }
        }
        Given::Back
    }

    /// Free ports, about.
    pub(in crate::stack) fn free_count(&self) -> u32 {
        self.free.len()
    }

    /// Whether the refill should look.
    pub(in crate::stack) fn is_low(&self) -> bool {
        self.free.len() < self.low.load(Ordering::Relaxed)
    }

    /// Whether a new connection should share a port if it can.
    pub(in crate::stack) fn is_scarce(&self) -> bool {
        self.free.len() < self.share_below.load(Ordering::Relaxed)
    }

    pub(in crate::stack) fn set_low(&self, ports: u32) {
        self.low.store(ports, Ordering::Relaxed);
    }

    pub(in crate::stack) fn set_share_below(&self, ports: u32) {
        self.share_below.store(ports, Ordering::Relaxed);
    }

    pub(in crate::stack) fn set_closing(&self, closing: bool) {
        self.closing.store(closing, Ordering::Release);
    }

    /// The port is lost: none of its connections is counted any more.
    pub(super) fn unshare(&self, port: u16) {
        self.shared.remove(port);
        if let Some(word) = self.words.get(port) {
            word.reset_connections(Lsn(0));
        }
    }

    /// Where a port is.
    pub(in crate::stack) fn look(&self, port: u16) -> (Place, Lsn) {
        self.words.look(port)
    }

    /// How many connections are open.
    pub(in crate::stack) fn connection_count(&self) -> u64 {
        self.tuples.count()
    }

    /// Connections of one of the shards, a page at a time; `None` after the last shard.
    pub(in crate::stack) fn connections(
        &self,
        shard: usize,
        after: Option<(Ends, u16)>,
        limit: usize,
    ) -> Option<Vec<(Ends, u16)>> {
        self.tuples.rows(shard, after, limit)
    }
}
