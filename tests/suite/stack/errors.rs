//! Errors name the cause, and carry the numbers.

use super::hand_out::with;
use super::memory::{Memory, Mode, QUARANTINE_MS};
use super::{dvipa, name, options, profile, start, take, target};
use portplex::facility::CallError;
use portplex::stack::{Cause, Options, StackError};
use portplex::structure::{Policy, Request, StopCause};

#[test]
fn every_error_names_its_cause_with_numbers() {
    let memory = Memory::new(1);
    let (one, _) = start(&memory, 1, 1, profile(4096, 4223), 0);
    let (two, _) = start(&memory, 2, 1, profile(4096, 4223), 0);
    let told = |error: StackError| (error.cause(), error.to_string());
    let bound = take(&one, 128);
    let (cause, text) = told(two.bind(dvipa(), 0).expect_err("SYS1 has all"));
    assert_eq!(
        (cause, text.as_str()),
        (
            Cause::ListFull,
            "10.1.1.1: no port: list full: 128 ports held, 0 in quarantine, 65408 free but excluded for this stack, \
             0 free and allowable; this stack has 0 in use and 0 resting"
        )
    );
    bound.into_iter().for_each(|port| one.release(port));
    assert_eq!(one.give_back(0), 2);
    one.tick();
    let (cause, text) = told(two.bind(dvipa(), 0).expect_err("all rest"));
    assert_eq!(cause, Cause::InQuarantine);
    assert!(text.contains("0 ports held, 128 in quarantine"), "{text}");
    memory.pass(u64::from(QUARANTINE_MS));

    let policy = Policy { quota: 64, quarantine_ms: QUARANTINE_MS, ..Policy::default() };
    memory.operate(&Request::SetPolicy { target: target(), policy }).expect("an operator may");
    let _bound = take(&two, 64);
    let (cause, text) = told(two.bind(dvipa(), 0).expect_err("64 is the quota"));
    assert_eq!(cause, Cause::OverQuota);
    assert!(text.contains("64 of 64 ports held") && text.ends_with("64 in use and 0 resting"), "{text}");

    memory.operate(&Request::SetPolicy { target: target(), policy: Policy { reserve: 2, ..policy } }).expect("it may");
    memory
        .operate(&Request::SetPolicy { target: target(), policy: Policy { reserve: 1_023, quota: 0, ..policy } })
        .expect("it may");
    let (cause, text) = told(two.bind(dvipa(), 0).expect_err("the reserve is for others"));
    assert_eq!(cause, Cause::Reserved);
    assert!(text.contains("reserve of 1023"), "{text}");
    memory.operate(&Request::Delete { target: target() }).expect("an operator may");
    let (cause, text) = told(two.bind(dvipa(), 0).expect_err("closed"));
    assert_eq!(cause, Cause::NotHosted);
    assert!(text.contains("its DVIPA was deleted"), "{text}");

    assert_eq!(told(two.bind(dvipa(), 80).expect_err("not ephemeral")).0, Cause::Excluded);
    let stop = Request::Stop {
        cause: StopCause::DataLost,
        name: None,
        history: portplex::ident::HistoryId(0),
        lsn: portplex::ident::Lsn(0),
    };
    memory.operate(&stop).expect("it may stop");
    assert_eq!(told(two.bind(dvipa(), 0).expect_err("stopped")).0, Cause::Stopped);
}

#[test]
fn an_unreachable_facility_is_named_with_the_deadline() {
    let memory = Memory::new(2);
    let stack = with(&memory, profile(4096, 4223), Options { promise_ms: 30_000, ..options(&memory, 0) });
    memory.pass(1_000);
    stack.renew().expect("renewed");
    let until = memory.clock().boot_ms().plus(30_000);
    memory.set(Mode::Lost);
    let error = stack.bind(dvipa(), 0).expect_err("nothing in hand");
    assert_eq!(error, StackError::Unreachable { cause: CallError::Gone, until: Some(until) });
    assert!(error.to_string().contains(&format!("its lease runs until boot clock {} ms", until.0)), "{error}");
    assert_eq!(error.cause(), Cause::Unreachable);
    assert_eq!(memory.owner(target(), 4096), None);
    let _ = name("SYS1");
}
