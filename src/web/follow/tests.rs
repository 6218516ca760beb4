//! A copy that fell behind, and one that nobody asked: each is made anew, exact.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "tests wait for conditions")]

use super::EVENTS_KEPT;
use super::Followed;
use super::IDLE_MS;
use super::Unreadable;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Machine;
use crate::facility::Options;
use crate::facility::SetClock;
use crate::facility::WATCH_EVENTS_MAX;
use crate::ident::BootId;
use crate::ident::Lsn;
use crate::ident::StructureName;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Item;
use crate::structure::Policy;
use crate::structure::Request;
use crate::web::hosted::Hosted;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(120);

fn open(dir: &Path, clock: &Arc<SetClock>) -> Arc<LocalFacility> {
    let clock = Arc::clone(clock) as _;
    let options = Options { create: true, quarantine_timer: false, ..Options::default() };
    Arc::new(LocalFacility::open_on(&Machine { clock, ..Machine::real() }, dir, &options).expect("opens"))
}

/// Changes a list's policy until so many events have happened: many at a time, for each frame is a sync.
fn churn(facility: &LocalFacility, events: usize) {
    let target = Target::List("10.1.1.1".parse().expect("valid"), Transport::Tcp);
    facility.define(target).expect("defined");
    let until = facility.durable().0 + events as u64;
    while facility.durable().0 < until {
        // Never the policy that is in force already.
        let base = u32::try_from(facility.durable().0).expect("a young store");
        let set = |more| Request::SetPolicy { target, policy: Policy { quota: base + more, ..Policy::default() } };
        let tickets: Vec<_> = (1..=10_000.min(events as u32)).map(|more| facility.submit(set(more))).collect();
        tickets.into_iter().for_each(|ticket| drop(ticket.wait().expect("set")));
    }
}

/// Everything in the copy, once it has all that is durable.
fn copied(followed: &Followed, facility: &LocalFacility) -> Vec<Item> {
    let until = Instant::now() + SOON;
    loop {
        match followed.at_least(facility.durable()) {
            Ok(copy) => return copy.as_ref().expect("there is one").structure.items().collect(),
            Err(Unreadable::Idle) => panic!("somebody asks"),
            Err(Unreadable::Problem(problem)) => assert!(Instant::now() < until, "{problem}"),
        }
    }
}

fn as_it_is(facility: &LocalFacility) -> Vec<Item> {
    let mut watch = facility.watch().expect("watched");
    watch.snapshot().expect("begins with one").items().collect()
}

#[test]
fn a_copy_that_fell_too_far_behind_is_made_anew_and_streams_hear_of_the_gap() {
    let dir = TempDir::new().expect("a directory");
    let facility = open(&dir.path().join("store"), &Arc::new(SetClock::new(BootId(1), 1_000)));
    let followed = Followed::start(&facility).expect("begun");
    let reading = followed.at_least(facility.durable()).ok().expect("reached");
    let mut stream = followed.subscribe(None);
    let before = stream.reached;
    // Whoever reads the copy holds up its thread.
    churn(&facility, WATCH_EVENTS_MAX + EVENTS_KEPT);
    drop(reading);
    assert!(copied(&followed, &facility) == as_it_is(&facility), "the copy is exact again");
    assert!(followed.subscribe(Some(before)).has_gap, "what came in between is not kept");
    let mut told = std::iter::from_fn(|| stream.live.try_recv().ok());
    assert!(told.any(|told| told.line.is_none() && told.lsn > before), "a stream that stands hears of it");
    assert!(!followed.is_over());
}

#[test]
fn a_copy_that_nobody_asks_for_goes_and_the_next_question_has_a_new_one() {
    let dir = TempDir::new().expect("a directory");
    let clock = Arc::new(SetClock::new(BootId(1), 1_000));
    let facility = open(&dir.path().join("store"), &clock);
    let hosted = Hosted::new(StructureName::default(), Arc::clone(&facility), None);
    let lsn = || hosted.read(|view| Ok(view.copy.structure.lsn())).expect("read");
    assert_eq!(lsn(), facility.durable());
    let first = hosted.followed().expect("it stands");
    clock.advance(IDLE_MS);
    churn(&facility, 1);
    assert_eq!(lsn(), facility.durable(), "asked in time");
    assert!(Arc::ptr_eq(&first, &hosted.followed().expect("it stands")), "the same copy still");
    clock.advance(IDLE_MS + 1);
    let until = Instant::now() + SOON;
    while !first.is_over() {
        assert!(Instant::now() < until, "nobody asks, and it is still kept");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(first.copy.read().is_none(), "its memory is free");
    churn(&facility, 1);
    assert_eq!(lsn(), facility.durable());
    let second = hosted.followed().expect("it stands");
    assert!(!Arc::ptr_eq(&first, &second), "a new copy");
    assert!(copied(&second, &facility) == as_it_is(&facility));
    assert!(facility.durable() > Lsn::ZERO);
}
