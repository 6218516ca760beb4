//! The hand-out under contention, in every order of events that a model checker finds: no port is with two
//! at once, and none is lost. The queues are tiny here, so that they grow in the middle of it.
#![forbid(unsafe_code)]

use super::Ends;
use super::Given;
use super::Hand;
use super::Picked;
use super::Place;
use super::Ports;
use super::ring::FreeQueue;
use super::ring::ReturnedQueue;
use super::words::Words;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::ident::Transport;
use crate::stack::order::Order;
use crate::structure::Grant;
use crate::structure::Member;
use crate::threads::Extent;
use crate::threads::Mutex;
use crate::threads::choose;
use crate::threads::exhaust;
use crate::threads::explore;
use crate::threads::thread;
use std::collections::BTreeSet;
use std::sync::Arc;

const SCHEDULES: usize = 400;
const EXTENT: Extent = Extent { schedules: SCHEDULES, early_ends: 0 };
const GROUP: u16 = 20;
const FIRST: u16 = GROUP * 64;
const NOW: BootMs = BootMs(1);

fn order() -> Order {
    Order::new(&[7; 32], &ConnectorName::new("SYS1").expect("a name"))
}

fn grant(lsn: u64, mask: u64) -> Grant {
    Grant {
        lsn: Lsn(lsn),
        member: Member { slot: 0, joined: Lsn(1) },
        target: Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp),
        group: GroupNumber::new(GROUP).expect("a group"),
        mask: PortMask(mask),
        number: 1,
    }
}

fn ends(last: u8) -> Ends {
    Ends { source: "10.1.1.1".parse().expect("an address"), destination: ([203, 0, 113, last], 443).into() }
}

/// Who has which port, beside the hand: without a scheduling point of its own.
#[derive(Default)]
struct Owners(std::sync::Mutex<BTreeSet<u16>>);

impl Owners {
    fn has(&self, port: u16) {
        assert!(self.0.lock().expect("no panic").insert(port), "{port} is with two");
    }

    fn gives(&self, port: u16) {
        assert!(self.0.lock().expect("no panic").remove(&port));
    }

    fn is_with_anybody(&self, port: u16) -> bool {
        self.0.lock().expect("no panic").contains(&port)
    }
}

#[test]
fn of_two_that_want_a_port_and_one_that_loses_it_at_most_one_has_it() {
    let is_all = exhaust("one word", 500_000, || {
        let words = Arc::new(Words::new());
        words.make(FIRST).put(Lsn(1), Place::Free);
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let words = Arc::clone(&words);
                thread::spawn(move || words.make(FIRST).take(Place::Free, Place::Used).is_some())
            })
            .collect();
        let was = words.make(FIRST).lose();
        let taken = takers.into_iter().map(|taker| taker.join().expect("no panic"));
        let taken = taken.filter(|taken| *taken).count();
        assert!(taken <= 1, "with two");
        let expected = if was == Place::Used { 1 } else { 0 };
        assert_eq!(taken, expected, "who loses it knows whether somebody had it");
        assert_eq!(words.look(FIRST), (Place::Nowhere, Lsn(0)));
    });
    assert!(is_all);
}

#[test]
fn nobody_joins_a_port_after_its_last_connection_in_any_order() {
    let is_all = exhaust("connections of one word", 500_000, || {
        let words = Arc::new(Words::new());
        words.make(FIRST).reset_connections(Lsn(1));
        assert!(words.make(FIRST).begin(Lsn(1)));
        let joining = thread::spawn({
            let words = Arc::clone(&words);
            move || words.make(FIRST).join(Lsn(1))
        });
        let was_last = words.make(FIRST).end(Lsn(1));
        let joined = joining.join().expect("no panic");
        assert_ne!(was_last, joined, "either the last one has ended or another one has joined");
        assert_eq!(words.make(FIRST).connections(Lsn(1)), u32::from(joined));
    });
    assert!(is_all);
}

#[test]
fn each_free_port_is_popped_once_also_while_the_queue_grows() {
    explore("free queue", EXTENT, || {
        let free = Arc::new(FreeQueue::new());
        let poppers: Vec<_> = (0..2)
            .map(|_| {
                let free = Arc::clone(&free);
                thread::spawn(move || (0..3).filter_map(|_| free.pop()).collect::<Vec<u16>>())
            })
            .collect();
        (1..=5).for_each(|port| free.push(port));
        let mut popped: Vec<u16> = poppers.into_iter().flat_map(|popper| popper.join().expect("no panic")).collect();
        popped.extend(std::iter::from_fn(|| free.pop()));
        let distinct: BTreeSet<u16> = popped.iter().copied().collect();
        // A name may come twice, out of a queue that was outgrown meanwhile; none may be missing.
        assert!(distinct.iter().copied().eq(1..=5), "{popped:?}");
    });
}

#[test]
fn each_returned_port_is_drained_once_also_while_the_queue_grows() {
    explore("returned queue", EXTENT, || {
        let returned = Arc::new(ReturnedQueue::new());
        let pushers: Vec<_> = [[1, 2], [3, 4]]
            .into_iter()
            .map(|ports| {
                let returned = Arc::clone(&returned);
                thread::spawn(move || ports.map(|port| (port, returned.push(port))))
            })
            .collect();
        let mut drained = Vec::new();
        returned.drain(|port| drained.push(port));
        returned.grow();
        returned.drain(|port| drained.push(port));
        let pushed = pushers.into_iter().flat_map(|pusher| pusher.join().expect("no panic"));
        let pushed: BTreeSet<u16> = pushed.filter(|(_, is_in)| *is_in).map(|(port, _)| port).collect();
        returned.drain(|port| drained.push(port));
        drained.sort_unstable();
        assert!(drained.iter().copied().eq(pushed), "{drained:?}");
    });
}

/// A hand with a lock, as the stack has it, and its lock-free face.
struct Held {
    hand: Mutex<Hand>,
    ports: Arc<Ports>,
    owners: Owners,
    /// Ports that went back to the facility.
    gone: std::sync::Mutex<BTreeSet<u16>>,
}

impl Held {
    fn new(mask: u64, rest_ms: u64) -> Arc<Self> {
        let mut hand = Hand::new(order());
        hand.set_rest(rest_ms);
        hand.take_up(&grant(1, mask), PortMask::NONE, false);
        let ports = Arc::clone(&hand.ports);
        Arc::new(Self { hand: Mutex::new(hand), ports, owners: Owners::default(), gone: std::sync::Mutex::default() })
    }

    fn take(&self) -> Option<(u16, Lsn)> {
        let taken = self.ports.take()?;
        self.owners.has(taken.0);
        assert!(!self.gone.lock().expect("no panic").contains(&taken.0), "{} went back", taken.0);
        Some(taken)
    }

    fn give(&self, port: u16, grant: Lsn) {
        self.owners.gives(port);
        match self.ports.give(port, grant) {
            Given::NotHere => panic!("{port} was in use"),
            Given::Back => {}
            Given::Look => self.hand.lock().came_back(NOW, port),
        }
    }

    fn go(&self, parts: &[super::Part]) {
        for part in parts {
            for port in part.mask.ports(part.group) {
                assert!(!self.owners.is_with_anybody(port), "{port} goes back while it is used");
                self.gone.lock().expect("no panic").insert(port);
            }
        }
    }

    /// Everything is free, resting or gone once all was given back.
    fn assert_none_is_lost(&self, count: usize) {
        let mut hand = self.hand.lock();
        hand.look(NOW);
        let counts = hand.counts();
        let gone = self.gone.lock().expect("no panic").len();
        assert_eq!(counts.in_use, 0);
        assert_eq!((counts.free + counts.resting) as usize + gone, count, "{counts:?}");
        // What the words call free can be taken, each once.
        let taken: BTreeSet<u16> = std::iter::from_fn(|| self.ports.take()).map(|(port, _)| port).collect();
        assert_eq!(taken.len(), counts.free as usize, "a free port is in the queue");
    }
}

#[test]
fn ports_taken_and_given_by_several_while_the_lock_is_busy_are_with_one_and_not_lost() {
    explore("take and give", EXTENT, || {
        let held = Held::new(0b111, 0);
        let users: Vec<_> = (0..2)
            .map(|_| {
                let held = Arc::clone(&held);
                thread::spawn(move || {
                    for _ in 0..2 {
                        if let Some((port, grant)) = held.take() {
                            held.give(port, grant);
                        }
                    }
                })
            })
            .collect();
        held.hand.lock().look(NOW);
        users.into_iter().for_each(|user| user.join().expect("no panic"));
        held.assert_none_is_lost(3);
    });
}

#[test]
fn a_port_that_goes_back_is_with_nobody_and_one_in_use_does_not_go() {
    explore("give up", EXTENT, || {
        let held = Held::new(0b11, 0);
        let users: Vec<_> = (0..2)
            .map(|_| {
                let held = Arc::clone(&held);
                thread::spawn(move || {
                    if let Some((port, grant)) = held.take() {
                        held.give(port, grant);
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            let mut hand = held.hand.lock();
            let parts = if choose(2) == 0 { hand.give_up_idle(0) } else { hand.give_up_unused() };
            held.go(&parts);
        }
        users.into_iter().for_each(|user| user.join().expect("no panic"));
        held.assert_none_is_lost(2);
    });
}

#[test]
fn a_named_port_is_picked_by_its_number_or_taken_from_the_queue_but_not_both() {
    explore("pick", EXTENT, || {
        let held = Held::new(0b11, 0);
        let user = thread::spawn({
            let held = Arc::clone(&held);
            move || {
                let (port, grant) = held.take()?;
                held.give(port, grant);
                Some(())
            }
        });
        let picked = held.hand.lock().pick(FIRST);
        if let Picked::Taken(grant) = picked {
            held.owners.has(FIRST);
            held.give(FIRST, grant);
        }
        user.join().expect("no panic");
        held.assert_none_is_lost(2);
    });
}

#[test]
fn no_two_connections_are_alike_and_the_last_one_brings_its_port_back() {
    explore("connections", EXTENT, || {
        let held = Held::new(0b11, 0);
        let open = Arc::new(Owners::default());
        let users: Vec<_> = (0..3)
            .map(|user: u8| {
                let (held, open) = (Arc::clone(&held), Arc::clone(&open));
                thread::spawn(move || {
                    // Two of the three have one destination: their source ports must differ.
                    let ends = ends(user / 2);
                    let opened = held.ports.connect_shared(ends).or_else(|| held.ports.connect(ends));
                    let Some((port, grant)) = opened else { return };
                    let tuple = u16::from(user / 2) * 64 + port % 64;
                    open.has(tuple);
                    open.gives(tuple);
                    match held.ports.close(ends, port, grant) {
                        Given::NotHere => panic!("{port} had this connection"),
                        Given::Back => {}
                        Given::Look => held.hand.lock().came_back(NOW, port),
                    }
                })
            })
            .collect();
        users.into_iter().for_each(|user| user.join().expect("no panic"));
        assert_eq!(held.ports.connection_count(), 0);
        held.assert_none_is_lost(2);
    });
}

#[test]
fn a_socket_and_its_connection_end_in_any_order_and_the_port_is_back_once() {
    let world = || {
        let held = Held::new(0b1, 0);
        let (port, grant) = held.take().expect("free");
        assert!(held.ports.connect_from(ends(1), port, grant));
        let closing = thread::spawn({
            let held = Arc::clone(&held);
            move || held.ports.close(ends(1), port, grant)
        });
        held.give(port, grant);
        assert_ne!(closing.join().expect("no panic"), Given::NotHere);
        let mut back = Vec::new();
        held.ports.returned.drain(|port| back.push(port));
        assert_eq!((held.ports.look(port), back), ((Place::Resting, grant), vec![port]));
    };
    explore("socket and connection", EXTENT, world);
}

#[test]
fn ports_that_are_lost_while_they_are_used_are_nobodys_and_their_connections_are_gone() {
    explore("loss", EXTENT, || {
        let held = Held::new(0b11, 0);
        let users: Vec<_> = (0..2)
            .map(|user: u8| {
                let held = Arc::clone(&held);
                thread::spawn(move || {
                    let ends = ends(user);
                    let opened = held.ports.connect_shared(ends).or_else(|| held.ports.connect(ends));
                    let Some((port, grant)) = opened else { return };
                    // Back, or it was lost meanwhile.
                    if held.ports.close(ends, port, grant) == Given::Look {
                        held.hand.lock().came_back(NOW, port);
                    }
                })
            })
            .collect();
        held.hand.lock().give_up_all();
        users.into_iter().for_each(|user| user.join().expect("no panic"));
        let hand = held.hand.lock();
        assert_eq!(hand.counts().ports, 0);
        for port in [FIRST, FIRST + 1] {
            assert_eq!(held.ports.look(port).0, Place::Nowhere, "{port}");
        }
        assert!(held.take().is_none(), "nothing of it is handed out");
        assert_eq!(held.ports.connection_count(), 0, "no connection of it is remembered");
    });
}

#[test]
fn a_port_that_is_lost_and_granted_anew_has_the_connections_of_its_new_grant_alone() {
    explore("loss and another grant", EXTENT, || {
        let held = Held::new(0b1, 0);
        let early = thread::spawn({
            let held = Arc::clone(&held);
            move || {
                if let Some((port, grant)) = held.ports.connect(ends(1)) {
                    held.ports.close(ends(1), port, grant);
                }
            }
        });
        {
            let mut hand = held.hand.lock();
            hand.give_up_all();
            hand.take_up(&grant(2, 0b1), PortMask::NONE, false);
        }
        let opened = held.ports.connect(ends(2));
        let shared = opened.and_then(|_| held.ports.connect_shared(ends(3)));
        early.join().expect("no panic");
        let count = usize::from(opened.is_some()) + usize::from(shared.is_some());
        assert_eq!(held.ports.connection_count(), count as u64, "those that were opened under the new grant");
        for (ends, opened) in [(ends(2), opened), (ends(3), shared)] {
            let Some((port, grant)) = opened else { continue };
            assert_eq!(held.ports.look(port), (Place::Shared, Lsn(2)), "in use until the last one has ended");
            assert_ne!(held.ports.close(ends, port, grant), Given::NotHere);
        }
        if opened.is_some() {
            assert_eq!(held.ports.look(FIRST), (Place::Resting, Lsn(2)), "back with the last one");
        }
    });
}
