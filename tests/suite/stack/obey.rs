//! A data set for a running stack.

use super::hand_out::{resting, with};
use super::memory::{Memory, Mode};
use super::{dvipa, local, name, options, ports, take, target};
use portplex::ident::Dvipa;
use portplex::profile::parse;
use portplex::stack::{Local, Options, Refill, Stack, StackError};
use portplex::structure::{Body, Request};

fn stack(memory: &Memory) -> Stack {
    with(memory, resting(0, 4096, 8191), options(memory, 0))
}

/// The pair of the SYSPLEXPORTS text of the IP Configuration Guide.
const DELETE: &[u8] = b"VIPADYNAMIC VIPADISTRIBUTE DELETE 10.1.1.1 PORT 4035 DESTIP ALL ENDVIPADYNAMIC";
const DEFINE: &[u8] = b"VIPADYNAMIC VIPADISTRIBUTE DEFINE SYSPLEXPORTS 10.1.1.1 PORT 4035 DESTIP ALL ENDVIPADYNAMIC";

#[test]
fn ports_that_are_no_longer_allowed_are_handed_out_no_more() {
    let memory = Memory::new(1);
    let stack = stack(&memory);
    let mut bound = take(&stack, 10);
    let group = bound[0].port / 64 * 64;
    // Half of the group in hand is reserved, and some of that is in use.
    let data_set = format!("PORTRANGE {group} 32 TCP RESERVED");
    let obeyed = stack.obey(data_set.as_bytes());
    assert_eq!((obeyed.diagnostics.len(), obeyed.waiting), (0, None));
    let allowed = |port: u16| port >= group + 32;
    let kept = bound.iter().filter(|bound| !allowed(bound.port)).count();
    assert!(kept > 0, "some of those in use are reserved now");
    assert_eq!(memory.owner(target(), bound[0].port), Some(name("SYS1")), "nothing is revoked");
    let more = take(&stack, 32 - (10 - kept));
    assert!(more.iter().all(|bound| allowed(bound.port)), "the rest of the allowed half");
    // A reserved one that comes back is not handed out either, and neither by its number.
    let at = bound.iter().position(|bound| !allowed(bound.port)).expect("counted");
    let reserved = bound.swap_remove(at);
    let port = reserved.port;
    stack.release(reserved);
    assert_eq!(stack.bind(dvipa(), port), Err(StackError::Excluded { port }));
    let next = take(&stack, 64);
    assert!(next.iter().all(|bound| bound.port / 64 * 64 != group || allowed(bound.port)));
    // Allowed again, it is handed out again.
    let obeyed = stack.obey(format!("DELETE PORTRANGE {group} 32 TCP RESERVED").as_bytes());
    assert_eq!(obeyed.diagnostics, []);
    assert!(stack.bind(dvipa(), port).is_ok());
}

#[test]
fn a_larger_set_counts_for_the_next_group() {
    let memory = Memory::new(2);
    let stack = with(&memory, resting(0, 4096, 4159), options(&memory, 0));
    take(&stack, 64);
    assert!(matches!(stack.bind(dvipa(), 0), Err(StackError::NoPort { .. })));
    stack.obey(b"TCPCONFIG EPHEMERALPORTS 4096 4223");
    assert!((4160..4224).contains(&stack.bind(dvipa(), 0).expect("the facility was told").port));
}

#[test]
fn the_delete_then_define_pair_switches_sysplexports_on() {
    let memory = Memory::new(3);
    let (plain, diagnostics) = parse(
        b"VIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.1
          VIPADISTRIBUTE 10.1.1.1 PORT 4035 DESTIP ALL ENDVIPADYNAMIC",
    );
    assert_eq!(diagnostics, []);
    let stack = with(&memory, plain, options(&memory, 0));
    assert_eq!(stack.bind(dvipa(), 0).expect("its own").grant, None);

    // In one data set it fails, with the reason, and nothing changes.
    let both = [DELETE, DEFINE].join(&b'\n');
    let obeyed = stack.obey(&both);
    assert!(obeyed.diagnostics.iter().any(|diagnostic| diagnostic.to_string().contains("SYSPLEXPORTS")), "{obeyed:?}");
    assert_eq!((obeyed.joined.len(), stack.usage().len()), (0, 0));

    let stack = {
        let (plain, _) = parse(
            b"VIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.1
              VIPADISTRIBUTE 10.1.1.1 PORT 4035 DESTIP ALL ENDVIPADYNAMIC",
        );
        with(&memory, plain, options(&memory, 0))
    };
    assert_eq!(stack.obey(DELETE).diagnostics, []);
    let obeyed = stack.obey(DEFINE);
    assert_eq!((&obeyed.diagnostics[..], &obeyed.joined[..]), (&[][..], &[local()][..]));
    let bound = stack.bind(dvipa(), 0).expect("from the list");
    assert!(bound.grant.is_some());
    assert_eq!(memory.owner(target(), bound.port), Some(name("SYS1")));
}

#[test]
fn when_the_last_distribution_goes_the_list_is_left_and_nothing_is_cut() {
    let memory = Memory::new(4);
    let stack = stack(&memory);
    let mut bound = take(&stack, 70);
    let obeyed = stack.obey(DELETE);
    assert_eq!((&obeyed.diagnostics[..], &obeyed.left[..]), (&[][..], &[local()][..]));
    // What was idle went at once, what is in use stays.
    assert_eq!(memory.held(), 70);
    assert!(bound.iter().all(|bound| memory.owner(target(), bound.port) == Some(name("SYS1"))));
    assert!(stack.usage()[0].is_left);
    // From now on the address has ports of the stack's own, none of which the list has yet.
    let own = stack.bind(dvipa(), 0).expect("its own");
    assert_eq!(own.grant, None);
    assert!(!ports(&bound).contains(&own.port));
    // Port by port, as the connections end.
    let first = bound.pop().expect("70");
    let port = first.port;
    stack.release(first);
    stack.tick();
    assert_eq!((memory.owner(target(), port), memory.held()), (None, 69));
    assert!(memory.is_resting(target(), port), "to quarantine");
    memory.seen();
    bound.into_iter().for_each(|port| stack.release(port));
    stack.tick();
    stack.tick();
    assert_eq!((memory.held(), stack.usage().len()), (0, 0), "and then the list is left");
    let leaves = |request: &Request| matches!(request, Request::Stack { body: Body::Leave { .. }, .. });
    assert_eq!(memory.seen().iter().filter(|request| leaves(request)).count(), 1);
    memory.audit();
}

#[test]
fn a_list_that_is_being_left_can_be_joined_again() {
    let memory = Memory::new(5);
    let stack = stack(&memory);
    let bound = take(&stack, 3);
    stack.obey(DELETE);
    let obeyed = stack.obey(DEFINE);
    assert_eq!(obeyed.diagnostics, []);
    assert!(!stack.usage()[0].is_left);
    let more = take(&stack, 5);
    assert!(more.iter().all(|port| port.grant.is_some()) && ports(&more).is_disjoint(&ports(&bound)));

    // Left to the end, it is joined anew.
    stack.obey(DELETE);
    bound.into_iter().chain(more).for_each(|port| stack.release(port));
    stack.tick();
    stack.tick();
    assert_eq!(stack.usage().len(), 0);
    stack.obey(DEFINE);
    assert!(take(&stack, 1)[0].grant.is_some());
}

#[test]
fn what_the_facility_cannot_be_asked_for_now_is_made_up_for() {
    let memory = Memory::new(6);
    let stack = stack(&memory);
    let second: Dvipa = "10.1.1.2".parse().expect("a DVIPA");
    memory.set(Mode::Lost);
    let obeyed = stack.obey(
        b"VIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.2
          VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.2 PORT 80 DESTIP ALL ENDVIPADYNAMIC",
    );
    assert_eq!(obeyed.diagnostics, []);
    assert!(matches!(obeyed.waiting, Some(StackError::Unreachable { .. })));
    assert!(stack.profile().dvipa(second).is_some(), "the profile is in force all the same");
    assert!(matches!(stack.bind(second, 0), Err(StackError::Unreachable { .. })));
    memory.reopen();
    stack.reattach(memory.door()).expect("it is back");
    let bound = stack.bind(second, 0).expect("joined at the attach");
    assert_eq!(bound.local, Local::Address(second));
    assert!(bound.grant.is_some());
}

#[test]
fn a_stack_that_starts_with_a_list_it_needs_no_more_leaves_it() {
    let memory = Memory::new(7);
    let bound = {
        let stack = stack(&memory);
        let bound = take(&stack, 2);
        memory.reopen();
        bound
    };
    let (plain, _) = parse(b"VIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.1 ENDVIPADYNAMIC");
    let who = super::identity(1, 1, 2);
    let (stack, adopted) =
        Stack::start(memory.door(), name("SYS1"), plain, who, options(&memory, 0)).expect("it starts");
    assert_eq!(adopted.grants.len(), 1, "an earlier life's sockets may be there yet");
    stack.tick();
    assert_eq!(memory.held(), 64, "nothing goes before they were read");
    let mut in_use = portplex::ident::PortSet::empty();
    in_use.insert_range(bound[0].port, bound[0].port);
    let kept = stack.adopt(local(), &in_use).expect("adopted");
    assert_eq!(memory.held(), 1);
    kept.into_iter().for_each(|port| stack.release(port));
    stack.tick();
    stack.tick();
    assert_eq!((memory.held(), stack.usage().len()), (0, 0));
}

#[test]
fn a_shorter_rest_counts_from_now_on() {
    let memory = Memory::new(8);
    let refill = Refill { groups_max: 1, ..Refill::default() };
    let stack = with(&memory, resting(60, 4096, 4159), Options { refill, ..options(&memory, 0) });
    let mut bound = take(&stack, 64);
    stack.release(bound.pop().expect("64"));
    stack.tick();
    stack.obey(b"TCPCONFIG TIMEWAITINTERVAL 5");
    let second = bound.pop().expect("63");
    let port = second.port;
    stack.release(second);
    stack.tick();
    memory.pass(5_000);
    assert!(stack.bind(dvipa(), 0).is_err(), "the first one's rest began earlier, and lasts longer");
    memory.pass(55_000);
    assert!(take(&stack, 2).iter().any(|bound| bound.port == port));
}
