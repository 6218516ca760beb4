//! `bind` to a named port, and what needs no facility at all.

use super::hand_out::with;
use super::memory::Memory;
use super::{dvipa, identity, local, name, options, profile, start, target};
use portplex::ident::Dvipa;
use portplex::profile::parse;
use portplex::stack::{Cause, Local, Options, Stack, StackError};
use std::collections::BTreeSet;

fn plain() -> Dvipa {
    "10.1.1.2".parse().expect("a DVIPA")
}

#[test]
fn a_distributed_port_binds_locally_on_every_target() {
    let memory = Memory::new(1);
    let stacks: Vec<Stack> = (1..=3).map(|number| start(&memory, number, 1, profile(1024, 65_535), 0).0).collect();
    memory.seen();
    let bound: Vec<_> = stacks.iter().map(|stack| stack.bind(dvipa(), 4035).expect("the daemon's")).collect();
    assert!(bound.iter().all(|port| (port.port, port.grant) == (4035, None)), "{bound:?}");
    assert_eq!(memory.seen(), [], "no claim");
    assert_eq!(memory.owner(target(), 4035), None);
}

#[test]
fn a_port_reserved_for_the_job_binds_locally() {
    let memory = Memory::new(2);
    let stacks: Vec<Stack> = (1..=2).map(|number| start(&memory, number, 1, profile(1024, 65_535), 0).0).collect();
    memory.seen();
    for stack in &stacks {
        assert_eq!(stack.bind_as("JOBA", dvipa(), 2100).expect("reserved for it").grant, None);
        for job in ["JOBB", ""] {
            assert_eq!(stack.bind_as(job, dvipa(), 2100), Err(StackError::Excluded { port: 2100 }), "{job:?}");
        }
    }
    assert_eq!(memory.seen(), []);
}

#[test]
fn a_port_of_an_own_group_binds_locally() {
    let memory = Memory::new(3);
    let (stack, _) = start(&memory, 1, 1, profile(4096, 4159), 0);
    let any = stack.bind(dvipa(), 0).expect("a port");
    let other = (4096..4160).find(|port| *port != any.port).expect("63 others");
    memory.seen();
    let named = stack.bind(dvipa(), other).expect("in hand");
    assert_eq!((named.port, named.grant), (other, any.grant));
    assert_eq!(stack.bind(dvipa(), any.port), Err(StackError::InUse { local: local(), port: any.port }));
    assert_eq!(memory.seen(), [], "nothing was asked");
    // What was named is not handed out as well.
    let rest: BTreeSet<u16> = (0..62).map(|_| stack.bind(dvipa(), 0).expect("in hand").port).collect();
    assert_eq!(rest.len(), 62);
    assert!(!rest.contains(&other) && !rest.contains(&any.port));
}

#[test]
fn another_port_is_claimed_and_refused_by_name_where_another_stack_holds_it() {
    let memory = Memory::new(4);
    let (one, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let (two, _) = start(&memory, 2, 1, profile(1024, 65_535), 0);
    let claimed = one.bind(dvipa(), 5000).expect("free");
    assert_eq!(memory.owner(target(), 5000), Some(name("SYS1")));
    assert_eq!(memory.owner(target(), 5001), None, "one port, not its group");
    let error = two.bind(dvipa(), 5000).expect_err("held by SYS1");
    let grant = claimed.grant.expect("claimed");
    assert_eq!(error, StackError::HeldBy { local: local(), port: 5000, holder: name("SYS1"), grant });
    assert_eq!(error.to_string(), format!("port 5000 of 10.1.1.1 is held by SYS1, grant {grant}"));
    assert_eq!(error.cause(), Cause::InUse);
}

#[test]
fn deny_nonzero_port_refuses_what_would_be_claimed_and_nothing_else() {
    let memory = Memory::new(5);
    let denying = Options { deny_nonzero_port: true, ..options(&memory, 0) };
    let stack = with(&memory, profile(4032, 4159), denying);
    let any = stack.bind(dvipa(), 0).expect("port 0 is not denied");
    memory.seen();
    let group = any.port / 64;
    let in_hand = (group * 64..group * 64 + 64).find(|port| ![any.port, 4035].contains(port)).expect("62 others");
    let elsewhere = if group == 63 { 4100 } else { 4040 };
    assert!(stack.bind(dvipa(), in_hand).is_ok(), "in hand");
    assert!(stack.bind(dvipa(), 4035).is_ok(), "distributed");
    assert!(stack.bind_as("JOBA", dvipa(), 2100).is_ok(), "reserved for the job");
    let denied = stack.bind(dvipa(), elsewhere).expect_err("it would be a claim");
    assert_eq!(denied, StackError::NonzeroDenied { local: local(), port: elsewhere });
    assert_eq!(memory.seen(), []);
    assert_eq!(memory.owner(target(), elsewhere), None);
}

#[test]
fn without_sysplexports_ports_are_the_stacks_own() {
    let memory = Memory::new(6);
    let (one, _) = start(&memory, 1, 1, profile(5000, 5019), 0);
    let (two, _) = start(&memory, 2, 1, profile(5000, 5019), 0);
    memory.seen();
    for stack in [&one, &two] {
        let named = stack.bind(plain(), 5007).expect("nobody has it on this stack");
        assert_eq!((named.local, named.grant), (Local::Address(plain()), None));
        assert!(matches!(stack.bind(plain(), 5007), Err(StackError::InUse { port: 5007, .. })));
        let rest: BTreeSet<u16> = (0..19).map(|_| stack.bind(plain(), 0).expect("its own").port).collect();
        assert_eq!(rest.len(), 19);
        assert!(!rest.contains(&5007));
        assert_eq!(stack.bind(plain(), 0), Err(StackError::OwnExhausted { ports: 20 }));
        stack.release(named);
        assert!(stack.bind(plain(), 5007).is_ok(), "it was released");
        assert!(
            stack.bind(plain(), 80).is_ok() && stack.bind(plain(), 81).is_ok(),
            "not ephemeral: the kernel's affair"
        );
    }
    assert_eq!(memory.seen(), [], "no facility is asked");
}

#[test]
fn own_ports_and_those_of_a_list_never_meet_on_one_stack() {
    let memory = Memory::new(7);
    let (profile, diagnostics) = parse(
        b"TCPCONFIG TIMEWAITINTERVAL 0 EPHEMERALPORTS 4096 4223
          VIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.1
          VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 80 DESTIP ALL ENDVIPADYNAMIC",
    );
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let (stack, _) =
        Stack::start(memory.door(), name("SYS1"), profile, identity(1, 1, 1), options(&memory, 0)).expect("it starts");
    // Ten own ports in each of the two groups, then the list is granted both.
    let mut own: Vec<_> = (0..70).map(|_| stack.bind_unspecified().expect("its own")).collect();
    let mut taken: BTreeSet<u16> = own.iter().map(|bound| bound.port).collect();
    let mut listed = Vec::new();
    while let Ok(bound) = stack.bind(dvipa(), 0) {
        assert!(taken.insert(bound.port), "port {} is bound to the unspecified address", bound.port);
        listed.push(bound);
    }
    assert_eq!(listed.len(), 128 - 70);
    assert!(stack.bind_unspecified().is_err(), "all the others are the list's now");
    // Nor does the stack take for itself what a list was granted before.
    let other = with(&Memory::new(8), stack.profile().as_ref().clone(), options(&memory, 0));
    let claimed = other.bind(dvipa(), 4_100).expect("a claim").port;
    let group = other.bind(dvipa(), 0).expect("from a group of the list").port / 64;
    let mut taken = BTreeSet::new();
    while let Ok(bound) = other.bind_unspecified() {
        assert!(taken.insert(bound.port));
    }
    assert!(!taken.contains(&claimed) && taken.iter().all(|port| port / 64 != group), "they are the list's");
    assert_eq!(taken.len(), if group == claimed / 64 { 64 } else { 63 });
    // One that comes back may be the list's, after a look.
    let back = own.pop().expect("70");
    let port = back.port;
    stack.release(back);
    stack.release(own.pop().expect("69"));
    stack.tick();
    stack.tick();
    let again = stack.bind(dvipa(), port).expect("in hand");
    assert_eq!(again.port, port);
    assert!(again.grant.is_some());
}
