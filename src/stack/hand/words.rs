//! One word per port: where it is, and under which grant. What decides who has a port.
//!
//! Queues elsewhere name ports that may be free; a port changes hands only by its word, in one
//! compare-and-swap, so a stale or doubled name in a queue gives nothing to anybody.
#![forbid(unsafe_code)]

use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PORTS_PER_GROUP;
use crate::threads::AtomicU64;
use crate::threads::Ordering;
use std::sync::OnceLock;

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
    /// Connections that a port has open, and of which grant they are: whoever was overtaken by the loss of
    /// a port and its next grant counts nothing.
    connections: [AtomicU64; PORTS_PER_GROUP as usize],
}

/// One port's word and the number of its connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    word: &'a AtomicU64,
    connections: &'a AtomicU64,
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
        Self { words: [const { AtomicU64::new(0) }; 64], connections: [const { AtomicU64::new(0) }; 64] }
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

    /// The port has no connection, and is counted for this grant from now on. With the stack's lock.
    pub(super) fn reset_connections(self, grant: Lsn) {
        self.connections.store(count_of(grant, 0), Ordering::Release);
    }

    /// The first connection of a port that was just taken under this grant; false if it was lost meanwhile.
    pub(super) fn begin(self, grant: Lsn) -> bool {
        let (none, one) = (count_of(grant, 0), count_of(grant, 1));
        self.connections.compare_exchange(none, one, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// One more connection of a port that has some under this grant; false if it has none.
    pub(super) fn join(self, grant: Lsn) -> bool {
        self.count(grant, |count| (count > 0).then_some(count + 1)).is_some()
    }

    /// One more connection of a port whose socket is the caller's.
    pub(super) fn add(self, grant: Lsn) {
        self.count(grant, |count| Some(count + 1));
    }

    /// One connection less; true if it was the last. Those of a port that was lost are counted no more.
    pub(super) fn end(self, grant: Lsn) -> bool {
        self.count(grant, |count| count.checked_sub(1)) == Some(1)
    }

    /// Connections under this grant.
    pub(super) fn connections(self, grant: Lsn) -> u32 {
        let counted = self.connections.load(Ordering::Acquire);
        if is_of(counted, grant) { counted as u32 } else { 0 }
    }

    /// Changes the count of this grant: what it was.
    fn count(self, grant: Lsn, change: impl Fn(u32) -> Option<u32>) -> Option<u32> {
        let changed = |counted: u64| {
            let count = is_of(counted, grant).then_some(counted as u32)?;
            change(count).map(|count| count_of(grant, count))
        };
        let before = self.connections.fetch_update(Ordering::AcqRel, Ordering::Acquire, changed);
        before.ok().map(|counted| counted as u32)
    }
}

/// A count with the low half of its grant's lsn: two grants of one port whose lsns are 2^32 apart never
/// meet in the moment between two steps of one thread.
fn count_of(grant: Lsn, count: u32) -> u64 {
    (grant.0 << 32) | u64::from(count)
}

fn is_of(counted: u64, grant: Lsn) -> bool {
    counted >> 32 == grant.0 & u64::from(u32::MAX)
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
        let (words, rounds) = (Words::new(), if cfg!(miri) { 2 } else { 400 });
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
        word.reset_connections(Lsn(3));
        assert!(!word.join(Lsn(3)));
        assert!(word.begin(Lsn(3)));
        assert!(word.join(Lsn(3)));
        assert_eq!((word.connections(Lsn(3)), word.connections(Lsn(4))), (2, 0));
        assert!(!word.end(Lsn(3)));
        assert!(word.end(Lsn(3)));
        assert!(!word.join(Lsn(3)));
        // Granted anew: who comes late with the old grant changes nothing.
        word.reset_connections(Lsn(4));
        assert!(!word.begin(Lsn(3)) && word.begin(Lsn(4)));
        word.add(Lsn(3));
        assert!(!word.end(Lsn(3)));
        assert_eq!(word.connections(Lsn(4)), 1);
    }
}
