//! Two queues of port numbers, both bounded and both growing by doubling: free ports, filled under
//! the stack's lock and emptied by anybody; returned ports, filled by anybody and emptied under the
//! lock. Neither waits, and neither allocates but when it grows, which happens under the lock.
//!
//! A number in a queue is a hint and no more: the port's word decides. Whoever still looks at a
//! queue that was outgrown therefore does no harm.
#![forbid(unsafe_code)]

use crate::threads::AtomicU16;
use crate::threads::AtomicU64;
use crate::threads::AtomicUsize;
use crate::threads::Ordering;
use std::sync::OnceLock;

/// Slots of the smallest queue, as a power of two: few where a model checker goes through every order of
/// events, so that queues grow under its eyes.
const SMALLEST: usize = if cfg!(feature = "shuttle") { 1 } else { 10 };

/// Sizes: 1,024 to 131,072 slots, twice the ports there are.
const SIZES: usize = 8;

/// A queue that was made, and those that it outgrew.
#[derive(Debug)]
struct Sizes<T> {
    made: [OnceLock<Box<T>>; SIZES],
    current: AtomicUsize,
}

/// A place on a cache line of its own: what one thread writes does not slow down another.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Apart(AtomicU64);

#[derive(Debug)]
struct Slots {
    head: Apart,
    tail: Apart,
    slots: Box<[AtomicU16]>,
}

impl Slots {
    fn of_size(size: usize) -> Box<Self> {
        let slots = (0..1_usize << (SMALLEST + size)).map(|_| AtomicU16::new(0)).collect();
        Box::new(Self { head: Apart::default(), tail: Apart::default(), slots })
    }

    fn slot(&self, at: u64) -> &AtomicU16 {
        // The length is a power of two, and far below 2^32.
        &self.slots[at as usize & (self.slots.len() - 1)]
    }

    fn is_full(&self, head: u64, tail: u64) -> bool {
        tail.wrapping_sub(head) >= self.slots.len() as u64
    }
}

impl Sizes<Slots> {
    fn new() -> Self {
        let sizes = Self { made: [const { OnceLock::new() }; SIZES], current: AtomicUsize::new(0) };
        sizes.get(0);
        sizes
    }

    fn get(&self, size: usize) -> &Slots {
        self.made[size].get_or_init(|| Slots::of_size(size))
    }

    fn current(&self) -> &Slots {
        self.get(self.current.load(Ordering::Acquire))
    }

    /// False if there is no larger one.
    fn grow(&self) -> bool {
        let next = self.current.load(Ordering::Acquire) + 1;
        if next < SIZES {
            self.get(next);
            self.current.store(next, Ordering::Release);
        }
        next < SIZES
    }
}

/// Ports that can be handed out.
#[derive(Debug)]
pub(super) struct FreeQueue(Sizes<Slots>);

impl FreeQueue {
    pub(super) fn new() -> Self {
        Self(Sizes::new())
    }

    /// The port that is longest in the queue. Any thread.
    pub(super) fn pop(&self) -> Option<u16> {
        let queue = self.0.current();
        let mut head = queue.head.0.load(Ordering::Acquire);
        loop {
            if head == queue.tail.0.load(Ordering::Acquire) {
                return None;
            }
            // If somebody else takes this slot first it may be written anew: then the exchange fails.
            let port = queue.slot(head).load(Ordering::Relaxed);
            match queue.head.0.compare_exchange_weak(head, head + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(port),
                Err(now) => head = now,
            }
        }
    }

    /// Adds a port. Under the lock.
    pub(super) fn push(&self, port: u16) {
        loop {
            let queue = self.0.current();
            let tail = queue.tail.0.load(Ordering::Relaxed);
            if !queue.is_full(queue.head.0.load(Ordering::Acquire), tail) {
                queue.slot(tail).store(port, Ordering::Relaxed);
                queue.tail.0.store(tail + 1, Ordering::Release);
                return;
            }
            let waiting: Vec<u16> = std::iter::from_fn(|| self.pop()).collect();
            if !self.0.grow() {
                // Twice as many names as there are ports: doubles, of which one is enough.
                let mut waiting = waiting;
                let mut seen = vec![false; 1 << 16];
                waiting.retain(|port| !std::mem::replace(&mut seen[usize::from(*port)], true));
                waiting.into_iter().for_each(|port| self.push(port));
            } else {
                waiting.into_iter().for_each(|port| self.push(port));
            }
        }
    }

    /// How many numbers are in the queue.
    pub(super) fn len(&self) -> u32 {
        let queue = self.0.current();
        let head = queue.head.0.load(Ordering::Relaxed);
        let length = queue.tail.0.load(Ordering::Relaxed).saturating_sub(head);
        u32::try_from(length).unwrap_or(u32::MAX)
    }
}

/// Ports that came back.
#[derive(Debug)]
pub(super) struct ReturnedQueue(Sizes<Slots>);

impl ReturnedQueue {
    pub(super) fn new() -> Self {
        Self(Sizes::new())
    }

    /// Adds a port, not 0; false if there is no room: then the queue must be emptied first. Any thread.
    pub(super) fn push(&self, port: u16) -> bool {
        let queue = self.0.current();
        let mut tail = queue.tail.0.load(Ordering::Relaxed);
        loop {
            if queue.is_full(queue.head.0.load(Ordering::Acquire), tail) {
                return false;
            }
            match queue.tail.0.compare_exchange_weak(tail, tail + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => tail = now,
            }
        }
        queue.slot(tail).store(port, Ordering::Release);
        true
    }

    /// Takes all that is there. Under the lock. A port whose number is being written stays for the
    /// next time.
    pub(super) fn drain(&self, mut take: impl FnMut(u16)) {
        for queue in self.0.made.iter().filter_map(OnceLock::get) {
            let mut head = queue.head.0.load(Ordering::Relaxed);
            loop {
                let port = queue.slot(head).load(Ordering::Acquire);
                if port == 0 {
                    break;
                }
                queue.slot(head).store(0, Ordering::Relaxed);
                head += 1;
                queue.head.0.store(head, Ordering::Release);
                take(port);
            }
        }
    }

    /// Makes room for more. Under the lock.
    pub(super) fn grow(&self) {
        self.0.grow();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_queue_keeps_the_order_and_grows() {
        let queue = FreeQueue::new();
        for port in 1..=40_000 {
            queue.push(port);
        }
        assert_eq!(queue.len(), 40_000);
        assert!((1..=40_000).all(|port| queue.pop() == Some(port)));
        assert_eq!((queue.pop(), queue.len()), (None, 0));
    }

    #[test]
    fn names_beyond_all_ports_are_doubles_and_go() {
        let queue = FreeQueue::new();
        for _ in 0..3 {
            for port in 1..=u16::MAX {
                queue.push(port);
            }
        }
        let mut counts = BTreeMap::<u16, u32>::new();
        while let Some(port) = queue.pop() {
            *counts.entry(port).or_default() += 1;
        }
        assert_eq!(counts.len(), 65_535, "every port is there");
    }

    #[test]
    fn every_port_that_was_returned_is_drained_once() {
        let queue = ReturnedQueue::new();
        let mut drained = Vec::new();
        let mut pushed = 0_u32;
        for port in 1..=10_000_u16 {
            if !queue.push(port) {
                queue.grow();
                assert!(queue.push(port), "there is room now");
            }
            pushed += 1;
        }
        queue.drain(|port| drained.push(port));
        drained.sort_unstable();
        assert_eq!(pushed, 10_000);
        assert!(drained.iter().copied().eq(1..=10_000));
        queue.drain(|port| panic!("{port} a second time"));
    }

    #[test]
    fn threads_get_every_free_port_once_and_lose_no_returned_one() {
        let ports: u16 = if cfg!(miri) { 300 } else { 60_000 };
        let (free, returned, done) = (FreeQueue::new(), ReturnedQueue::new(), AtomicBool::new(false));
        let mut taken = Vec::new();
        std::thread::scope(|scope| {
            let takers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let mut mine = Vec::new();
                        loop {
                            let over = done.load(Ordering::Acquire);
                            while let Some(port) = free.pop() {
                                mine.push(port);
                                while !returned.push(port) {
                                    std::thread::yield_now();
                                }
                            }
                            if over {
                                break mine;
                            }
                        }
                    })
                })
                .collect();
            let mut back = Vec::new();
            for port in 1..=ports {
                free.push(port);
                if port % 500 == 0 {
                    returned.drain(|port| back.push(port));
                }
            }
            while back.len() < usize::from(ports) {
                returned.drain(|port| back.push(port));
            }
            done.store(true, Ordering::Release);
            taken.extend(takers.into_iter().flat_map(|taker| taker.join().expect("no panic")));
            back.sort_unstable();
            assert!(back.iter().copied().eq(1..=ports));
        });
        taken.sort_unstable();
        assert!(taken.iter().copied().eq(1..=ports));
    }
}
