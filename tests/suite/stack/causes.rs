//! For every cause a scene, which has that cause and no other.

use super::hand_out::with;
use super::memory::{Memory, Mode, QUARANTINE_MS};
use super::{dvipa, options, profile, start, take, target};
use portplex::ident::{HistoryId, Lsn};
use portplex::profile::Profile;
use portplex::stack::{Cause, Options, Refill, Stack, StackError};
use portplex::structure::{Policy, Request, StopCause};
use std::collections::BTreeSet;

type Scene = fn(&Memory) -> Result<(), StackError>;

/// What would help is in the name of the scene.
const SCENES: [(Cause, &str, Scene); 19] = [
    (Cause::ListFull, "another stack must give back, or the profile must allow more", |memory| {
        let (one, two) = (stack(memory, 1, narrow()), stack(memory, 2, narrow()));
        let _held = take(&one, 128);
        bind(&two, 0)
    }),
    (Cause::ListFull, "what rests elsewhere is nothing that it could have", |memory| {
        let (one, two, three) =
            (stack(memory, 1, narrow()), stack(memory, 2, narrow()), stack(memory, 3, profile(8_192, 8_319)));
        let _held = take(&one, 128);
        take(&three, 128).into_iter().for_each(|port| three.release(port));
        give_back(&three);
        bind(&two, 0)
    }),
    (Cause::InQuarantine, "time", |memory| {
        let (one, two) = (stack(memory, 1, narrow()), stack(memory, 2, narrow()));
        take(&one, 128).into_iter().for_each(|port| one.release(port));
        give_back(&one);
        bind(&two, 0)
    }),
    (Cause::InQuarantine, "time, though most is held", |memory| {
        let (one, two) = (stack(memory, 1, narrow()), stack(memory, 2, narrow()));
        let mut held = take(&one, 128);
        held.sort_unstable_by_key(|port| port.port);
        held.drain(64..).for_each(|port| one.release(port));
        give_back(&one);
        bind(&two, 0)
    }),
    (Cause::Excluded, "a profile that allows some port", |memory| bind(&stack(memory, 1, profile(2_100, 2_100)), 0)),
    (Cause::Excluded, "a profile that allows that port", |memory| bind(&stack(memory, 1, narrow()), 80)),
    (Cause::Excluded, "a stack that lets ports be named", |memory| {
        let deny = Options { deny_nonzero_port: true, ..options(memory, 0) };
        bind(&with(memory, narrow(), deny), 4_100)
    }),
    (Cause::OverQuota, "a higher quota", |memory| {
        let one = stack(memory, 1, narrow());
        set(memory, Policy { quota: 64, ..Policy::default() });
        let _held = take(&one, 64);
        bind(&one, 0)
    }),
    (Cause::OverQuota, "a stack that may hold more groups", |memory| {
        let refill = Refill { groups_max: 1, ..options(memory, 0).refill };
        let one = with(memory, narrow(), Options { refill, ..options(memory, 0) });
        let _held = take(&one, 64);
        bind(&one, 0)
    }),
    (Cause::Reserved, "a lower reserve", |memory| {
        let one = stack(memory, 1, narrow());
        let _held = take(&one, 64);
        set(memory, Policy { reserve: 1_023, ..Policy::default() });
        bind(&one, 0)
    }),
    (Cause::Overloaded, "asking later", |memory| {
        let one = stack(memory, 1, narrow());
        memory.set(Mode::Overloaded);
        bind(&one, 0)
    }),
    (Cause::Unreachable, "a facility that answers", |memory| {
        let one = stack(memory, 1, narrow());
        memory.set(Mode::Lost);
        bind(&one, 0)
    }),
    (Cause::LeaseOver, "an attach", |memory| {
        let one = with(memory, narrow(), Options { promise_ms: 1_000, ..options(memory, 0) });
        memory.pass(1_000);
        bind(&one, 0)
    }),
    (Cause::NotHosted, "the DVIPA defined again", |memory| {
        let one = stack(memory, 1, narrow());
        memory.operate(&Request::Delete { target: target() }).expect("an operator may");
        bind(&one, 0)
    }),
    (Cause::Stopped, "an operator", |memory| {
        let one = stack(memory, 1, narrow());
        let (cause, history, lsn) = (StopCause::DataLost, HistoryId(0), Lsn(0));
        memory.operate(&Request::Stop { cause, name: None, history, lsn }).expect("it may stop");
        bind(&one, 0)
    }),
    (Cause::Stopped, "room in the storage", |memory| {
        let one = stack(memory, 1, narrow());
        memory.set(Mode::Full);
        bind(&one, 0)
    }),
    (Cause::Fenced, "the life that came after this one", |memory| {
        let one = stack(memory, 1, narrow());
        let _next = start(memory, 1, 2, narrow(), 0);
        bind(&one, 0)
    }),
    (Cause::InUse, "whoever has it", |memory| {
        let one = stack(memory, 1, narrow());
        let held = take(&one, 1);
        bind(&one, held[0].port)
    }),
    (Cause::Other, "another destination", |memory| {
        let one = stack(memory, 1, narrow());
        one.connect(dvipa(), "[2001:db8::1]:443".parse().expect("an address")).map(drop)
    }),
];

fn narrow() -> Profile {
    profile(4_096, 4_223)
}

fn stack(memory: &Memory, number: u8, profile: Profile) -> Stack {
    start(memory, number, 1, profile, 0).0
}

fn bind(stack: &Stack, port: u16) -> Result<(), StackError> {
    stack.bind(dvipa(), port).map(|_| ())
}

fn give_back(stack: &Stack) {
    assert!(stack.give_back(0) > 0, "there is something to give back");
    stack.tick();
}

fn set(memory: &Memory, policy: Policy) {
    let policy = Policy { quarantine_ms: QUARANTINE_MS, ..policy };
    memory.operate(&Request::SetPolicy { target: target(), policy }).expect("an operator may");
}

#[test]
fn for_every_cause_a_scene_has_that_cause_and_no_other() {
    for (cause, help, scene) in SCENES {
        let error = scene(&Memory::new(1)).expect_err(help);
        assert_eq!(error.cause(), cause, "{help}: {error}");
    }
    let shown: BTreeSet<&str> = SCENES.iter().map(|(cause, ..)| cause.name()).collect();
    assert_eq!(shown, Cause::ALL.iter().map(|cause| cause.name()).collect(), "every cause has a scene");
}

#[test]
fn after_an_overload_the_next_group_is_fetched_ahead_again_without_anybody_waiting() {
    let memory = Memory::new(2);
    let (one, _) = start(&memory, 1, 1, profile(1_024, 65_535), 16);
    let mut bound = take(&one, 44);
    memory.set(Mode::Overloaded);
    bound.extend(take(&one, 8));
    memory.set(Mode::Well);
    bound.extend(take(&one, 10));
    assert_eq!(one.usage()[0].grants, 2, "fetched before the first was used up");
    assert_eq!(bound.len(), 62);
}
