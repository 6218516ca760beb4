//! Which connections are open: source, source port, destination. No two are alike.
//!
//! Sharded by source and destination, so that connections to different destinations seldom meet. A
//! connection that was closed rests like a port does before the same four numbers come again, one
//! to two times TIMEWAITINTERVAL.
#![forbid(unsafe_code)]

use super::bits::PortBits;
use super::shared::SharedPorts;
use crate::ident::Lsn;
use crate::ident::PortSet;
use crate::stack::order::Order;
use crate::threads::AtomicBool;
use crate::threads::Mutex;
use crate::threads::Ordering;
use crate::threads::RandomState;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

const SHARDS: usize = 64;

/// The two addresses of a connection, and the port at its far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::stack) struct Ends {
    pub(in crate::stack) source: IpAddr,
    pub(in crate::stack) destination: SocketAddr,
}

/// The connections of one hand.
#[derive(Debug)]
pub(super) struct Tuples {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    rests: AtomicBool,
}

#[derive(Debug)]
struct Shard {
    books: HashMap<Ends, Book>,
    open: u64,
    /// Which of the ports in use is tried first.
    order: Order,
}

/// The source ports that are connected between two ends.
#[derive(Debug, Default)]
struct Book {
    open: PortBits,
    /// Closed in this interval, and in the one before.
    closed: [PortBits; 2],
}

impl Tuples {
    pub(super) fn new(order: &Order) -> Self {
        let shard = |number| Mutex::new(Shard { books: HashMap::new(), open: 0, order: order.branch(number) });
        Self {
            shards: (0..SHARDS as u64).map(shard).collect(),
            hasher: RandomState::default(),
            rests: AtomicBool::new(false),
        }
    }

    /// Whether closed connections rest.
    pub(super) fn set_rests(&self, rests: bool) {
        self.rests.store(rests, Ordering::Relaxed);
    }

    fn shard(&self, ends: &Ends) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(ends) as usize % SHARDS]
    }

    /// Notes a connection from a port that the caller has for itself, and that has rested as a whole;
    /// false if there is one, or `is_here` says that the port was lost. It is asked where a loss cannot
    /// come between: [`forget`](Self::forget) runs after the port's word has changed.
    pub(super) fn open(&self, ends: Ends, port: u16, is_here: impl FnOnce() -> bool) -> bool {
        let mut shard = self.shard(&ends).lock();
        let book = shard.books.entry(ends).or_default();
        let opened = is_here() && book.open.insert(port);
        if opened {
            for closed in &mut book.closed {
                closed.remove(port);
            }
            shard.open += 1;
        }
        opened
    }

    /// Notes a connection from one of the shared ports, one that has none between these ends. `join`
    /// makes sure that the port stays, or says no.
    pub(super) fn reuse(
        &self,
        ends: Ends,
        shared: &SharedPorts,
        mut join: impl FnMut(u16) -> Option<Lsn>,
    ) -> Option<(u16, Lsn)> {
        let mut shard = self.shard(&ends).lock();
        let Shard { books, order, open } = &mut *shard;
        let start = order.below(SharedPorts::WORDS);
        let turn = order.below(64) as u32;
        let book = books.entry(ends).or_default();
        for at in (start..SharedPorts::WORDS).chain(0..start) {
            let mut candidates = shared.word(at);
            if candidates == 0 {
                continue;
            }
            candidates &= !(book.open.word(at) | book.closed[0].word(at) | book.closed[1].word(at));
            // From a random bit on, so that the port cannot be guessed from its group.
            candidates = candidates.rotate_right(turn);
            while candidates != 0 {
                let bit = (candidates.trailing_zeros() + turn) % 64;
                candidates &= candidates - 1;
                // A word has 64 ports, and there are 1,024 words.
                let port = (at * 64) as u16 + bit as u16;
                if let Some(grant) = join(port) {
                    book.open.insert(port);
                    *open += 1;
                    return Some((port, grant));
                }
            }
        }
        None
    }

    /// Takes a connection out; false if there is none, or `is_same` says that its port is not the
    /// same any more. `ended` runs before anybody else sees that it is gone.
    pub(super) fn close(&self, ends: Ends, port: u16, is_same: impl FnOnce() -> bool, ended: impl FnOnce()) -> bool {
        let mut shard = self.shard(&ends).lock();
        let Some(book) = shard.books.get_mut(&ends) else { return false };
        if !is_same() || !book.open.remove(port) {
            return false;
        }
        if self.rests.load(Ordering::Relaxed) {
            book.closed[0].insert(port);
        } else if book.is_empty() {
            shard.books.remove(&ends);
        }
        shard.open -= 1;
        ended();
        true
    }

    /// Forgets every connection of these ports: they are lost.
    pub(super) fn forget(&self, ports: &PortSet) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let mut gone = 0;
            shard.books.retain(|_, book| {
                gone += book.open.remove_all(ports);
                !book.is_empty()
            });
            shard.open -= gone;
        }
    }

    /// TIMEWAITINTERVAL has passed since the last turn.
    pub(super) fn turn(&self) {
        for shard in &self.shards {
            shard.lock().books.retain(|_, book| {
                book.closed.swap(0, 1);
                book.closed[0] = PortBits::default();
                !book.is_empty()
            });
        }
    }

    /// How many connections are open.
    pub(super) fn count(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().open).sum()
    }

    /// Up to `limit` connections of one shard after `after`, in order, and all of them of a shard
    /// before the next one's: `None` when there are no more.
    pub(super) fn rows(&self, shard: usize, after: Option<(Ends, u16)>, limit: usize) -> Option<Vec<(Ends, u16)>> {
        let shard = self.shards.get(shard)?.lock();
        let mut rows: Vec<(Ends, u16)> = shard
            .books
            .iter()
            .flat_map(|(ends, book)| book.open.iter().map(|port| (*ends, port)))
            .filter(|row| after.is_none_or(|after| *row > after))
            .collect();
        rows.sort_unstable();
        rows.truncate(limit);
        Some(rows)
    }
}

impl Book {
    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.closed.iter().all(PortBits::is_empty)
    }
}
