//! One word per port: where it is, and under which grant. What decides who has a port.
//!
//! Queues elsewhere name ports that may be free; a port changes hands only by its word, in one
//! compare-and-swap, so a stale or doubled name in a queue gives nothing to anybody.
#![forbid(unsafe_code)]

use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PORTS_PER_GROUP;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Where a port of a hand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) enum Place {
    /// Not in this hand.
    Nowhere,
    /// Free: it is in the queue of free ports.
    Free,
    /// Returned, and not to be handed out before its rest is over.
    Resting,
    /// In use by one socket that was bound to it.
    Used,
    /// In use by connections, each to another destination.
    Shared,
    /// In the hand and not handed out: unread, frozen, distributed, or no longer allowable.
    Kept,
}

const PLACES: [Place; 6] = [Place::Nowhere, Place::Free, Place::Resting, Place::Used, Place::Shared, Place::Kept];

/// Bits of a word below the grant's lsn. An lsn of 2^61 is reached after 2^41 opens of one store.
const PLACE_BITS: u32 = 3;

/// The words of one hand. A group's are made when it is first held and stay.
#[derive(Debug)]
pub(super) struct Words(Box<[OnceLock<Box<Block>>]>);

#[derive(Debug)]
struct Block {
    words: [AtomicU64; PORTS_PER_GROUP as usize],
    /// Connections that a port has open.
    connections: [AtomicU32; PORTS_PER_GROUP as usize],
}

/// One port's word and the number of its connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    word: &'a AtomicU64,
    connections: &'a AtomicU32,
}

impl Words {
    pub(super) fn new() -> Self {
        Self((0..GroupNumber::COUNT).map(|_| OnceLock::new()).collect())
    }

    /// The word of a port; `None` if its group was never held.
    pub(super) fn get(&self, port: u16) -> Option<Word<'_>> {
        self.0[GroupNumber::of_port(port).index()].get().map(|block| block.word(port))
    }

    /// The word of a port, made if it is not there.
    pub(super) fn make(&self, port: u16) -> Word<'_> {
        self.0[GroupNumber::of_port(port).index()].get_or_init(Box::default).word(port)
    }

    /// Where a port is, and under which grant.
    pub(super) fn look(&self, port: u16) -> (Place, Lsn) {
        self.get(port).map_or((Place::Nowhere, Lsn(0)), Word::look)
    }
}

impl Block {
    fn word(&self, port: u16) -> Word<'_> {
        let at = usize::from(port % PORTS_PER_GROUP);
        Word { word: &self.words[at], connections: &self.connections[at] }
    }
}

impl Default for Block {
    fn default() -> Self {
        Self { words: [const { AtomicU64::new(0) }; 64], connections: [const { AtomicU32::new(0) }; 64] }
    }
}

impl Word<'_> {
    pub(super) fn look(self) -> (Place, Lsn) {
        unpack(self.word.load(Ordering::Acquire))
    }

    /// Moves the port under this grant from one place to another; false if it is not there.
    pub(super) fn change(self, grant: Lsn, from: Place, to: Place) -> bool {
        self.word.compare_exchange(pack(from, grant), pack(to, grant), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes the port from one place, whatever its grant, which it returns.
    pub(super) fn take(self, from: Place, to: Place) -> Option<Lsn> {
        let (place, grant) = self.look();
        (place == from && self.change(grant, from, to)).then_some(grant)
    }

    /// The port is lost, whoever has it: where it was, to the moment.
    pub(super) fn lose(self) -> Place {
        unpack(self.word.swap(pack(Place::Nowhere, Lsn(0)), Ordering::AcqRel)).0
    }

    /// Puts the port somewhere. Only with the stack's lock, and only from where nobody without it may
    /// move it: `Nowhere`, `Kept` and `Resting`.
    pub(super) fn put(self, grant: Lsn, place: Place) {
        self.word.store(pack(place, grant), Ordering::Release);
    }

    /// Sets the number of connections: of a port that was just taken.
    pub(super) fn set_connections(self, count: u32) {
        self.connections.store(count, Ordering::Release);
    }

    /// One more connection of a port that has some; false if it has none.
    pub(super) fn join(self) -> bool {
        self.connections
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count > 0).then_some(count + 1))
            .is_ok()
    }

    /// One more connection of a port whose socket is the caller's.
    pub(super) fn add(self) {
        self.connections.fetch_add(1, Ordering::AcqRel);
    }

    /// One connection less; true if it was the last. Those of a port that was lost are counted no more.
    pub(super) fn end(self) -> bool {
        let before = self.connections.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| count.checked_sub(1));
        before == Ok(1)
    }

    pub(super) fn connections(self) -> u32 {
        self.connections.load(Ordering::Acquire)
    }
}

fn pack(place: Place, grant: Lsn) -> u64 {
    (grant.0 << PLACE_BITS) | place as u64
}

fn unpack(word: u64) -> (Place, Lsn) {
    let place = word & ((1 << PLACE_BITS) - 1);
    (PLACES.get(place as usize).copied().unwrap_or(Place::Nowhere), Lsn(word >> PLACE_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_moves_only_from_where_it_is_and_under_its_own_grant() {
        let words = Words::new();
        assert_eq!(words.look(700), (Place::Nowhere, Lsn(0)));
        assert!(words.get(700).is_none());
        let word = words.make(700);
        word.put(Lsn(7), Place::Free);
        assert!(!word.change(Lsn(8), Place::Free, Place::Used), "another grant");
        assert!(!word.change(Lsn(7), Place::Used, Place::Free), "another place");
        assert_eq!(word.take(Place::Free, Place::Used), Some(Lsn(7)));
        assert_eq!(word.take(Place::Free, Place::Used), None);
        assert_eq!(words.look(700), (Place::Used, Lsn(7)));
        assert_eq!(words.look(701), (Place::Nowhere, Lsn(0)), "its neighbour");
        for place in PLACES {
            assert_eq!(unpack(pack(place, Lsn((1 << 61) - 1))), (place, Lsn((1 << 61) - 1)));
        }
    }

    #[test]
    fn of_several_threads_that_want_a_port_one_gets_it() {
        let (words, rounds) = (Words::new(), 400);
        let barrier = std::sync::Barrier::new(4);
        let taken: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut taken = 0;
                        for _ in 0..rounds {
                            if barrier.wait().is_leader() {
                                (0..64).for_each(|port| words.make(port).put(Lsn(1), Place::Free));
                            }
                            barrier.wait();
                            let mine = |port: &u16| words.make(*port).take(Place::Free, Place::Used).is_some();
                            taken += (0..64).filter(mine).count();
                        }
                        taken
                    })
                })
                .collect();
            takers.into_iter().map(|taker| taker.join().expect("no panic")).sum()
        });
        assert_eq!(taken, 64 * rounds);
    }

    #[test]
    fn nobody_joins_a_port_whose_last_connection_has_ended() {
        let words = Words::new();
        let word = words.make(9);
        assert!(!word.join());
        word.set_connections(1);
        assert!(word.join());
        assert!(!word.end());
        assert!(word.end());
        assert!(!word.join());
    }
}
