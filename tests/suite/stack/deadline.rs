//! The lease that was promised, by the stack's own clock.

use super::hand_out::{resting, with};
use super::memory::{Memory, Mode, SLOW_MS};
use super::{dvipa, local, options, ports, take};
use portplex::facility::{Clock, SystemClock};
use portplex::ident::{BootId, BootMs, WallMs};
use portplex::stack::{Cause, Housekeeper, Options, Stack, StackError, State};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn promising(memory: &Memory) -> Stack {
    with(memory, resting(0, 1024, 65_535), Options { promise_ms: 30_000, ..options(memory, 16) })
}

#[test]
fn no_port_is_handed_out_after_the_promised_deadline() {
    let memory = Memory::new(1);
    let stack = promising(&memory);
    let deadline = memory.clock().boot_ms().plus(30_000);
    let bound = take(&stack, 10);
    memory.pass(29_999);
    let last = take(&stack, 1);
    memory.pass(1);
    memory.seen();
    for error in [
        stack.bind(dvipa(), 0).expect_err("the lease is over"),
        stack.bind(dvipa(), 5_000).expect_err("nor by its number"),
        stack.connect(dvipa(), "203.0.113.1:443".parse().expect("an address")).expect_err("nor for a connection"),
        stack.renew().expect_err("only an attach helps"),
    ] {
        assert_eq!((error.cause(), error), (Cause::LeaseOver, StackError::LeaseOver { until: deadline }));
    }
    assert_eq!((stack.state(), memory.seen()), (State::Expired, Vec::new()), "nothing is asked either");
    assert_eq!(stack.usage()[0].in_use, 11, "what is in use stays in use");
    // Without SYSPLEXPORTS there is no deadline.
    assert!(stack.bind("10.9.9.9".parse().expect("a DVIPA"), 0).is_ok());

    let adopted = stack.reattach(memory.door()).expect("the facility is there");
    assert_eq!((adopted.stopped.len(), adopted.grants.len(), stack.state()), (0, 0, State::Active));
    let more = take(&stack, 5);
    assert!(ports(&more).is_disjoint(&ports(&bound)) && ports(&more).is_disjoint(&ports(&last)));
}

/// The wait for the answer may outlast the lease.
#[test]
fn no_port_is_handed_out_whose_answer_comes_after_the_deadline() {
    for port in [0, 5_000] {
        let memory = Memory::new(1);
        let stack = promising(&memory);
        let deadline = memory.clock().boot_ms().plus(30_000);
        memory.pass(29_999);
        memory.set(Mode::Slow);
        assert_eq!(stack.bind(dvipa(), port), Err(StackError::LeaseOver { until: deadline }), "port {port}");
        memory.set(Mode::Well);
        stack.reattach(memory.door()).expect("the facility is there");
        assert!(stack.bind(dvipa(), port).is_ok(), "port {port}: the attach tells of it, and it is free");
    }
}

#[test]
fn a_renewal_counts_from_when_it_was_sent() {
    type Way = fn(&Stack, BootMs);
    let ways: [(&str, Way); 2] = [
        ("by word", |stack, sent| assert_eq!(stack.renew(), Ok(Some(sent.plus(30_000))))),
        // One sends it, the next one takes up the answer.
        ("by ticks", |stack, _| {
            stack.tick();
            stack.tick();
        }),
    ];
    for (way, renew) in ways {
        let memory = Memory::new(2);
        let stack = promising(&memory);
        memory.pass(20_000);
        let sent = memory.clock().boot_ms();
        memory.set(Mode::Slow);
        renew(&stack, sent);
        memory.set(Mode::Well);
        assert_eq!(memory.clock().boot_ms(), sent.plus(SLOW_MS), "{way}: it was asked once");
        memory.pass(29_999 - SLOW_MS);
        take(&stack, 1);
        memory.pass(1);
        assert_eq!(stack.bind(dvipa(), 0), Err(StackError::LeaseOver { until: sent.plus(30_000) }), "{way}");
    }
}

#[test]
fn a_renewal_without_its_answer_extends_nothing() {
    for mode in [Mode::WrongNumber, Mode::Lost] {
        let memory = Memory::new(3);
        let stack = promising(&memory);
        let deadline = memory.clock().boot_ms().plus(30_000);
        take(&stack, 1);
        memory.pass(15_000);
        memory.set(mode);
        // A tick renews at a third of the promise.
        stack.tick();
        stack.tick();
        memory.set(Mode::Well);
        memory.pass(15_000);
        stack.tick();
        assert_eq!(stack.state(), State::Expired, "{mode:?}");
        assert_eq!(stack.bind(dvipa(), 0), Err(StackError::LeaseOver { until: deadline }), "{mode:?}");
        assert_eq!(local().to_string(), "10.1.1.1");
    }
}

#[test]
fn ticks_renew_the_lease_for_ever() {
    let memory = Memory::new(4);
    let stack = promising(&memory);
    for _ in 0..100 {
        memory.pass(5_000);
        stack.tick();
        take(&stack, 1);
    }
    assert_eq!(stack.state(), State::Active);
    assert_eq!(stack.tick(), memory.clock().boot_ms().plus(100), "looked after ten times a second");
}

/// The machine's clock, and how often it was read.
#[derive(Debug)]
struct Counted {
    clock: SystemClock,
    reads: AtomicU64,
}

impl Clock for Counted {
    fn boot_ms(&self) -> BootMs {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.clock.boot_ms()
    }

    fn wall_ms(&self) -> WallMs {
        self.clock.wall_ms()
    }

    fn boot_id(&self) -> BootId {
        self.clock.boot_id()
    }
}

#[test]
fn a_housekeeper_keeps_a_stack_alive_and_ends_with_it() {
    let memory = Memory::new(5);
    let clock = Arc::new(Counted { clock: SystemClock::new(), reads: AtomicU64::new(0) });
    let promising = Options { promise_ms: 300, clock: clock.clone(), ..options(&memory, 16) };
    let stack = Arc::new(with(&memory, resting(0, 1024, 65_535), promising));
    let started = clock.boot_ms();
    let keeper = Housekeeper::start(&stack).expect("a thread");
    // Far beyond the promise, as the machine's clock says.
    while clock.boot_ms().0 < started.0 + 1_500 {
        std::thread::yield_now();
    }
    assert_eq!(stack.state(), State::Active);
    drop(keeper);
    let reads = clock.reads.load(Ordering::Relaxed);
    let until = SystemClock::new().boot_ms().0 + 400;
    while SystemClock::new().boot_ms().0 < until {
        std::thread::yield_now();
    }
    assert_eq!(clock.reads.load(Ordering::Relaxed), reads, "it has ended");
    assert!(matches!(stack.bind(dvipa(), 0), Err(StackError::LeaseOver { .. })), "and nobody renewed");
}
