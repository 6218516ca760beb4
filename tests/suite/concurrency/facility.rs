//! The embedded facility: its queue, its group commit, a sync that fails, a shutdown, requests that are given
//! up. Whatever is shown to anybody is held against what a power cut at that moment would have left.

use super::run::{Extent, choose, explore, thread};
use super::store::{Shown, Store, list, stack, structure_on};
use portplex::disk::sim::{Fault, Loss};
use portplex::facility::{CallError, Connection, Facility, LocalFacility, Presence, Query, Reply, Ticket, WatchError};
use portplex::ident::{Lsn, PortSet, Transport};
use portplex::structure::{Answer, Body, Item, PortOwner, Refusal, Request};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EIO: i32 = 5;
const SCHEDULES: usize = 100;
const CALLERS: usize = 3;

/// What one caller heard.
#[derive(Default)]
struct Heard {
    shown: Vec<Shown>,
    failed: bool,
}

impl Heard {
    /// An answer came, of any kind.
    fn note(&mut self, store: &Store, what: &str, answer: Result<Lsn, CallError>) -> bool {
        match answer {
            Ok(lsn) => self.shown.push(store.shown(what, lsn)),
            Err(CallError::Refused(Refusal::ConnectorExists { .. })) => {
                // It tells of somebody else's connect.
                self.shown.push(store.shown(format!("{what}, refused"), Lsn(1)));
            }
            Err(CallError::Refused(Refusal::Overloaded)) => return false,
            Err(CallError::StorageFailed { .. } | CallError::Gone) => self.failed = true,
            Err(other) => panic!("{what}: {other}"),
        }
        true
    }
}

/// Defines a list of its own, tries for a name that all want, reads; some answers are given up.
fn call(store: &Store, facility: &LocalFacility, number: usize, gives_up: bool) -> Heard {
    let mut heard = Heard::default();
    let define = facility.submit(Request::Define { target: list(number) });
    let connect = facility.connect(stack("SYS1"), Presence::none());
    let status = facility.query(Query::Status);
    if gives_up {
        drop(define);
    } else {
        let lsn = define.wait().map(|reply| reply.lsn);
        heard.note(store, "define", lsn);
    }
    let connected = connect.wait();
    if let Err(CallError::Refused(Refusal::ConnectorExists { .. })) = &connected {
        let image = store.shown("who is told that a name is taken", Lsn::ZERO).disk;
        let known = structure_on(&image).connector(&stack("SYS1").name).is_some();
        assert!(known, "a refusal told of a connect that was not durable");
    }
    heard.note(store, "connect", connected.map(|reply| reply.lsn));
    heard.note(store, "status", status.wait().map(|page| page.lsn));
    heard
}

fn callers(store: &Arc<Store>, facility: &Arc<LocalFacility>) -> Vec<thread::JoinHandle<Heard>> {
    let call = |number| {
        let (store, facility, gives_up) = (Arc::clone(store), Arc::clone(facility), choose(3) == 0);
        thread::spawn(move || call(&store, &facility, number, gives_up))
    };
    (0..CALLERS).map(call).collect()
}

fn heard(callers: Vec<thread::JoinHandle<Heard>>) -> Vec<Heard> {
    callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
}

fn assert_all_was_durable(heard: &[Heard]) {
    heard.iter().flat_map(|heard| &heard.shown).for_each(Shown::assert_was_durable);
}

#[test]
fn everybody_is_answered_once_what_is_shown_is_durable_first() {
    let world = || {
        let store = Arc::new(Store::new());
        let queue_length = [2, 64][choose(2)];
        let facility = Arc::new(store.open(queue_length));
        let heard = heard(callers(&store, &facility));
        assert!(heard.iter().all(|heard| !heard.failed));
        let facility = Arc::into_inner(facility).expect("nobody else has it");
        let closed = facility.close().expect("closes");
        assert!(closed.counters.frames <= closed.counters.records);
        assert_all_was_durable(&heard);
        // Who gave an answer up did not give the request up.
        let structure = structure_on(&store.disk.after_power_cut(&Loss::Everything));
        let defined = (0..CALLERS).filter(|number| structure.owner(list(*number), 5_000) != PortOwner::NoList);
        assert!(queue_length == 2 || defined.count() == CALLERS);
        structure.audit().expect("every invariant holds");
    };
    explore("answers", Extent { schedules: SCHEDULES, early_ends: 0 }, world);
    explore("answers, idle threads", Extent { schedules: SCHEDULES, early_ends: 4 }, world);
}

#[test]
fn after_a_failed_write_or_sync_everybody_hears_it_and_nothing_is_acknowledged_any_more() {
    explore("failed storage", Extent { schedules: SCHEDULES * 2, early_ends: 2 }, || {
        let store = Arc::new(Store::new());
        let facility = Arc::new(store.open(64));
        let fault = [Fault::SyncMarkedClean { errno: EIO }, Fault::ShortWrite { kept: 512, errno: EIO }][choose(2)];
        store.disk.fail_at(store.disk.calls() + choose(12) as u64, fault);
        let failed = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..CALLERS)
            .map(|number| {
                let (store, facility, failed) = (Arc::clone(&store), Arc::clone(&facility), Arc::clone(&failed));
                thread::spawn(move || {
                    let mut heard = Heard::default();
                    for turn in 0..2 {
                        let knew = failed.load(Ordering::SeqCst);
                        let target = list(number * 2 + turn);
                        let answer = facility.submit(Request::Define { target }).wait().map(|reply| reply.lsn);
                        assert!(!knew || answer.is_err(), "answered after the storage had failed");
                        heard.note(&store, "define", answer);
                        failed.fetch_or(heard.failed, Ordering::SeqCst);
                    }
                    heard
                })
            })
            .collect();
        let heard = heard(callers);
        let failed = failed.load(Ordering::SeqCst);
        let closed = Arc::into_inner(facility).expect("nobody else has it").close();
        assert!(!failed || closed.is_err(), "a store that failed is not closed as if it had not");
        assert_all_was_durable(&heard);
        let acknowledged = heard.iter().flat_map(|heard| &heard.shown).map(|shown| shown.lsn).max();
        let loss = [Loss::Everything, Loss::Nothing, Loss::Random(1)][choose(3)];
        let structure = structure_on(&store.disk.after_power_cut(&loss));
        assert!(acknowledged.is_none_or(|lsn| structure.lsn() >= lsn), "what was acknowledged survives");
        structure.audit().expect("every invariant holds");
    });
}

#[test]
fn a_shutdown_answers_all_who_wait_and_a_crash_tells_them() {
    explore("shutdown", Extent { schedules: SCHEDULES, early_ends: 1 }, || {
        let store = Arc::new(Store::new());
        let facility = store.open(64);
        let tickets: Vec<Ticket<Reply>> =
            (0..CALLERS).map(|number| facility.submit(Request::Define { target: list(number) })).collect();
        let waiting: Vec<_> = tickets
            .into_iter()
            .map(|ticket| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    let mut heard = Heard::default();
                    heard.note(&store, "define", ticket.wait().map(|reply| reply.lsn));
                    heard
                })
            })
            .collect();
        let is_closed = choose(2) == 0;
        if is_closed {
            facility.close().expect("closes");
        } else {
            drop(facility);
        }
        let heard = heard(waiting);
        assert!(!is_closed || heard.iter().all(|heard| !heard.failed), "a close serves what waits");
        assert_all_was_durable(&heard);
    });
}

#[test]
fn a_request_that_is_given_up_has_its_one_effect_and_a_repeat_has_no_second() {
    explore("given up", Extent { schedules: SCHEDULES, early_ends: 0 }, || {
        let store = Arc::new(Store::new());
        let facility = Arc::new(store.open(64));
        let connection = facility.connect(stack("SYS1")).expect("connects");
        let mut ports = PortSet::empty();
        ports.insert_range(1_024, 65_535);
        connection.set_allowable(Transport::Tcp, ports).expect("set");
        let member = connection.join(list(0)).expect("joins").value.member;
        let asking: Vec<_> = (0..CALLERS)
            .map(|asking| {
                let (facility, connection) = (Arc::clone(&facility), connection.clone());
                thread::spawn(move || {
                    let mut pending = connection.submit_acquire(member, 1, 1);
                    let number = pending.number();
                    match asking {
                        // Given up at once, after a look, or not at all; then asked again.
                        0 => drop(pending),
                        1 => drop(pending.try_take()),
                        _ => drop(pending.wait().expect("granted")),
                    }
                    repeat(&facility, &connection, number, Body::Acquire { member, at_least: 1, at_most: 1 })
                })
            })
            .collect();
        let told: Vec<Option<Lsn>> = asking.into_iter().map(|asking| asking.join().expect("no panic")).collect();
        let held: Vec<Lsn> = facility.list().expect("lists").iter().filter_map(grant_of).collect();
        assert_eq!(held.len(), CALLERS, "one grant for each number, however often it came");
        assert!(told.into_iter().flatten().all(|grant| held.contains(&grant)), "and each was told of its own");
    });
}

/// Asks again under a number that was used, as after a lost answer: which grant it got. Where the answer
/// was given up, a later request may have said that the number comes no more.
fn repeat(facility: &LocalFacility, connection: &Connection, number: u32, body: Body) -> Option<Lsn> {
    let request = Request::Stack { actor: connection.actor(), number, lowest: 1, body };
    match facility.submit(request).wait() {
        Ok(Reply { answer: Answer::Granted(grants), .. }) => Some(grants[0].lsn),
        Err(CallError::Refused(Refusal::AlreadyAnswered { .. })) => None,
        other => panic!("{other:?}"),
    }
}

fn grant_of(item: &Item) -> Option<Lsn> {
    if let Item::Grant { lsn, .. } = item { Some(*lsn) } else { None }
}

#[test]
fn a_watcher_hears_each_event_after_it_came_once_and_in_order_and_then_the_end() {
    explore("watch", Extent { schedules: SCHEDULES, early_ends: 0 }, || {
        let store = Arc::new(Store::new());
        let facility = Arc::new(store.open(64));
        let defining = thread::spawn({
            let facility = Arc::clone(&facility);
            move || [0, 1].map(|number| facility.define(list(number)).expect("defined").lsn)
        });
        let watching = thread::spawn({
            let (store, facility) = (Arc::clone(&store), Arc::clone(&facility));
            move || {
                let mut watch = facility.watch_acts().expect("watches");
                let entered = watch.last();
                drop(facility);
                let mut shown = Vec::new();
                loop {
                    match watch.next(Duration::from_secs(60)) {
                        Ok(Some((lsn, _))) => shown.push(store.shown("watched", lsn)),
                        Ok(None) => {}
                        Err(WatchError::Closed { .. }) => return (entered, shown),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
        let defined = defining.join().expect("no panic");
        // Its watcher has no part in the facility once it entered.
        let mut facility = facility;
        let facility = loop {
            match Arc::try_unwrap(facility) {
                Ok(alone) => break alone,
                Err(shared) => facility = shared,
            }
            thread::yield_now();
        };
        facility.close().expect("closes");
        let (entered, shown) = watching.join().expect("no panic");
        let expected: Vec<Lsn> = defined.into_iter().filter(|lsn| *lsn > entered).collect();
        assert_eq!(shown.iter().map(|shown| shown.lsn).collect::<Vec<_>>(), expected);
        shown.iter().for_each(Shown::assert_was_durable);
    });
}
