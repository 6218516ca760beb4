//! When groups are asked for, and when they go back.

use super::hand_out::{resting, with};
use super::memory::{Memory, Mode};
use super::{acquires, dvipa, options, ports, take};
use portplex::stack::{Options, Refill, Stack, StackError};
use portplex::structure::{Body, Request};

fn stack(memory: &Memory, refill: Refill) -> Stack {
    with(memory, resting(0, 1024, 65_535), Options { refill, ..options(memory, 0) })
}

/// Most groups of each acquire since the last look.
fn sizes(memory: &Memory) -> Vec<u16> {
    let size = |request: Request| match request {
        Request::Stack { body: Body::Acquire { at_least: 1, at_most, .. }, .. } => Some(at_most),
        _ => None,
    };
    memory.seen().into_iter().filter_map(size).collect()
}

#[test]
fn the_first_need_takes_a_group_and_the_next_ones_are_served_locally() {
    let memory = Memory::new(1);
    let stack = stack(&memory, Refill { low_ports: 0, ..Refill::default() });
    stack.tick();
    assert!(sizes(&memory).is_empty(), "nothing is taken before the first need");
    let bound = take(&stack, 64);
    assert_eq!(sizes(&memory), [1]);
    assert_eq!(ports(&bound).len(), 64);
}

#[test]
fn the_next_group_comes_before_the_last_is_used_up() {
    let memory = Memory::new(2);
    let stack = stack(&memory, Refill::default());
    take(&stack, 48);
    assert_eq!(acquires(&memory), 1);
    memory.set(Mode::Holding);
    take(&stack, 16);
    assert_eq!(acquires(&memory), 1, "one is outstanding, and only one");
    memory.let_go();
    take(&stack, 30);
    assert_eq!(acquires(&memory), 0, "it was there when it was needed");
}

#[test]
fn fetches_that_follow_each_other_double_up_to_a_limit() {
    let memory = Memory::new(3);
    let stack = stack(&memory, Refill { at_once_max: 8, ..Refill::default() });
    take(&stack, 2_500);
    let under_load = sizes(&memory);
    assert_eq!(under_load[..6], [1, 1, 2, 4, 8, 8], "{under_load:?}");
    assert!(under_load.iter().all(|size| *size <= 8));
    memory.pass(1_000);
    take(&stack, 600);
    let later = sizes(&memory);
    memory.pass(1_000);
    take(&stack, 600);
    assert!(later.len() < 5 && sizes(&memory).contains(&1), "and begin anew when there was a pause");
}

#[test]
fn idle_groups_go_back_with_hysteresis() {
    let memory = Memory::new(4);
    let stack = stack(&memory, Refill { idle_ms: 10_000, at_once_max: 1, ..Refill::default() });
    let mut bound = take(&stack, 64 * 6);
    stack.tick();
    let held = stack.usage()[0].ports;
    bound.drain(..64 * 5).for_each(|port| stack.release(port));
    for passed_ms in [0, 9_999] {
        memory.pass(passed_ms);
        stack.tick();
        assert_eq!(stack.usage()[0].ports, held, "not before they were idle for a while");
    }
    // A need in between begins the wait anew.
    let port = stack.bind(dvipa(), 0).expect("in hand");
    stack.release(port);
    memory.pass(1);
    stack.tick();
    stack.tick();
    let usage = stack.usage()[0];
    assert!(usage.ports < held, "{usage:?}");
    assert!(usage.free + usage.resting >= 32, "twice the watermark stays: {usage:?}");
    assert_eq!(memory.held(), usage.ports);
    // Two groups too many are no surplus: nothing goes to and fro.
    let now = stack.usage()[0].ports;
    for _ in 0..20 {
        memory.pass(10_000);
        stack.tick();
    }
    assert_eq!(stack.usage()[0].ports, now);
    assert_eq!(bound.len(), 64);
}

#[test]
fn no_more_groups_than_allowed() {
    let memory = Memory::new(5);
    let stack = stack(&memory, Refill { groups_max: 3, ..Refill::default() });
    let bound = take(&stack, 192);
    assert_eq!(ports(&bound).len(), 192);
    let error = stack.bind(dvipa(), 0).expect_err("three groups");
    assert_eq!(error, StackError::AtMaximum { local: super::local(), groups_max: 3, in_use: 192, resting: 0 });
    assert_eq!(memory.held(), 192);
}

#[test]
fn one_list_may_have_limits_of_its_own() {
    let memory = Memory::new(7);
    let narrow = Refill { groups_max: 1, ..Refill::default() };
    let refill_of = [(super::target(), narrow)].into();
    let stack = with(&memory, resting(0, 1024, 65_535), Options { refill_of, ..options(&memory, 16) });
    take(&stack, 64);
    assert!(matches!(stack.bind(dvipa(), 0), Err(StackError::AtMaximum { groups_max: 1, .. })));
}

#[test]
fn idle_groups_go_back_from_a_stack_that_had_all_it_may_have() {
    let memory = Memory::new(8);
    let stack = stack(&memory, Refill { groups_max: 6, idle_ms: 1_000, at_once_max: 1, ..Refill::default() });
    let mut bound = take(&stack, 64 * 6);
    bound.drain(..64 * 5).for_each(|port| stack.release(port));
    for _ in 0..3 {
        stack.tick();
        memory.pass(1_000);
    }
    let usage = stack.usage()[0];
    assert!(usage.grants < 6, "{usage:?}");
    assert!(usage.free + usage.resting >= 32, "twice the watermark stays: {usage:?}");
}

#[test]
fn as_many_groups_as_wanted_are_kept() {
    let memory = Memory::new(6);
    let stack = stack(&memory, Refill { groups_min: 3, idle_ms: 1_000, ..Refill::default() });
    for _ in 0..6 {
        stack.tick();
    }
    let ports_kept = stack.usage()[0].ports;
    assert!((192..=320).contains(&ports_kept), "{ports_kept}");
    for _ in 0..6 {
        memory.pass(1_000);
        stack.tick();
    }
    assert!(stack.usage()[0].ports >= 192, "they do not go back");
}
