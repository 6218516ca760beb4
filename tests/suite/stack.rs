//! The stack: ports from its groups, through crashes of the facility and of itself.

mod binds;
mod causes;
mod connections;
mod deadline;
mod errors;
mod hand_out;
mod memory;
mod obey;
mod refill;
mod sources;
mod stopped;
mod sweep;
mod tuples;

use memory::{Memory, Mode, QUARANTINE_MS};
use parking_lot::Mutex;
use portplex::facility::CallError;
use portplex::ident::{BootId, ConnectorName, Dvipa, Identity, MachineId, PortSet, ProcessId, Target, Transport};
use portplex::profile::{Profile, parse};
use portplex::stack::{Adopted, BoundPort, Local, Options, Refill, Stack, StackError, State};
use portplex::structure::{Body, Refusal, Request};
use std::collections::BTreeSet;

const DVIPA: &str = "10.1.1.1";

/// Free, held, quarantined, excluded; of those held and quarantined what the asker might have.
fn exhausted(counts: [u32; 4], allowable_held: u32, allowable_quarantined: u32) -> Refusal {
    let [free, held, quarantined, excluded] = counts;
    Refusal::Exhausted { free, held, quarantined, excluded, allowable_held, allowable_quarantined }
}

fn dvipa() -> Dvipa {
    DVIPA.parse().expect("a DVIPA")
}

fn local() -> Local {
    Local::Address(dvipa())
}

fn target() -> Target {
    Target::List(dvipa(), Transport::Tcp)
}

fn name(text: &str) -> ConnectorName {
    ConnectorName::new(text).expect("a name")
}

/// A profile with the DVIPA distributed on port 4035, and these ports as source ports.
fn profile(first: u16, last: u16) -> Profile {
    let text = format!(
        "TCPCONFIG TIMEWAITINTERVAL 0 EPHEMERALPORTS {first} {last}
         VIPADYNAMIC VIPADEFINE 255.255.255.0 {DVIPA} 10.1.1.2
         VIPADISTRIBUTE SYSPLEXPORTS {DVIPA} PORT 4035 DESTIP ALL
         VIPADISTRIBUTE 10.1.1.2 PORT 80 DESTIP ALL ENDVIPADYNAMIC
         PORT 2100 TCP JOBA"
    );
    let (profile, diagnostics) = parse(text.as_bytes());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    profile
}

fn identity(machine: u128, boot: u128, process: u64) -> Identity {
    Identity { machine: MachineId(machine), boot: BootId(boot), process: ProcessId(process) }
}

/// The next group when fewer ports than that are left, one at a time.
fn options(memory: &Memory, low_ports: u32) -> Options {
    let refill = Refill { low_ports, at_once_max: 1, ..Refill::default() };
    Options { seed: [7; 32], refill, clock: memory.clock(), ..Options::default() }
}

fn start(memory: &Memory, stack: u8, process: u64, profile: Profile, low_ports: u32) -> (Stack, Adopted) {
    let who = identity(u128::from(stack), 1, process);
    let started = Stack::start(memory.door(), name(&format!("SYS{stack}")), profile, who, options(memory, low_ports));
    started.expect("the stack starts")
}

fn acquires(memory: &Memory) -> usize {
    let is_acquire = |request: &Request| matches!(request, Request::Stack { body: Body::Acquire { .. }, .. });
    memory.seen().into_iter().filter(is_acquire).count()
}

fn ports(bound: &[BoundPort]) -> BTreeSet<u16> {
    bound.iter().map(|bound| bound.port).collect()
}

fn take(stack: &Stack, count: usize) -> Vec<BoundPort> {
    (0..count).map(|_| stack.bind(dvipa(), 0).expect("a port")).collect()
}

#[test]
fn the_first_need_takes_a_group_and_the_group_serves_the_next_ones() {
    let memory = Memory::new(1);
    let (stack, adopted) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    assert_eq!(adopted, Adopted::default());
    assert_eq!(acquires(&memory), 0, "nothing is taken before the first need");
    let mut bound = take(&stack, 64);
    assert_eq!(acquires(&memory), 1);
    bound.extend(take(&stack, 1));
    assert_eq!(acquires(&memory), 1);
    assert_eq!(ports(&bound).len(), 65);
    assert!(bound.iter().all(|bound| memory.owner(target(), bound.port) == Some(name("SYS1"))));
    let usage = stack.usage()[0];
    assert_eq!((usage.grants, usage.ports, usage.in_use, usage.unadopted), (2, 128, 65, 0));
}

#[test]
fn the_next_group_is_fetched_before_the_last_is_used_up_and_nobody_waits() {
    let memory = Memory::new(2);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 16);
    let mut bound = take(&stack, 48);
    assert_eq!(acquires(&memory), 1);
    memory.set(Mode::Holding);
    bound.extend(take(&stack, 16));
    assert_eq!(acquires(&memory), 1, "one is outstanding, and only one");
    memory.let_go();
    bound.extend(take(&stack, 40));
    assert_eq!(acquires(&memory), 0);
    assert_eq!(ports(&bound).len(), 104);
}

#[test]
fn ports_come_in_a_keyed_order_and_one_just_returned_is_not_next() {
    let run = |seed: u8| {
        let memory = Memory::new(3);
        let options = Options { seed: [seed; 32], ..options(&memory, 0) };
        let who = identity(1, 1, 1);
        let (stack, _) =
            Stack::start(memory.door(), name("SYS1"), profile(1024, 65_535), who, options).expect("it starts");
        take(&stack, 64).iter().map(|bound| bound.port).collect::<Vec<u16>>()
    };
    assert_eq!(run(1), run(1));
    let (one, other) = (run(1), run(2));
    assert_eq!(BTreeSet::from_iter(&one), BTreeSet::from_iter(&other), "the same group");
    assert_ne!(one, other, "in another order");
    let steps = one.windows(2).filter(|pair| pair[0] + 1 == pair[1]).count();
    assert!(steps < 16, "{steps} of 63 steps go to the next port");

    let memory = Memory::new(3);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let mut bound = take(&stack, 60);
    for _ in 0..500 {
        let back = bound.pop().expect("bound");
        let port = back.port;
        stack.release(back);
        let next = stack.bind(dvipa(), 0).expect("a port");
        assert_ne!(next.port, port);
        bound.push(next);
    }
    assert_eq!(ports(&bound).len(), 60);
}

#[test]
fn a_distributed_or_reserved_port_is_nobodys_source_port() {
    let memory = Memory::new(4);
    let (stack, _) = start(&memory, 1, 1, profile(4032, 4095), 0);
    let bound = take(&stack, 63);
    assert!(!ports(&bound).contains(&4035));
    assert!(matches!(stack.bind(dvipa(), 0), Err(StackError::NoPort { .. })));
    assert_eq!(stack.bind(dvipa(), 4035), Ok(BoundPort { local: local(), port: 4035, grant: None }));

    let (stack, _) = start(&memory, 2, 1, profile(2048, 2111), 0);
    assert_eq!(ports(&take(&stack, 63)).len(), 63);
    assert_eq!(stack.bind(dvipa(), 2100), Err(StackError::Excluded { port: 2100 }));
    assert_eq!(stack.bind_as("JOBB", dvipa(), 2100), Err(StackError::Excluded { port: 2100 }));
    assert_eq!(stack.bind_as("joba", dvipa(), 2100).map(|bound| bound.grant), Ok(None));
}

#[test]
fn a_named_port_is_claimed_unless_it_is_in_hand() {
    let memory = Memory::new(5);
    let (one, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let (two, _) = start(&memory, 2, 1, profile(1024, 65_535), 0);
    let first = one.bind(dvipa(), 5000).expect("free");
    assert!(first.grant.is_some());
    assert_eq!(one.bind(dvipa(), 5000), Err(StackError::InUse { local: local(), port: 5000 }));
    let grant = first.grant.expect("claimed");
    let held = StackError::HeldBy { local: local(), port: 5000, holder: name("SYS1"), grant };
    assert_eq!(two.bind(dvipa(), 5000), Err(held));
    memory.seen();
    one.release(first);
    let again = one.bind(dvipa(), 5000).expect("in hand");
    assert_eq!(memory.seen(), [], "it was in hand");
    one.release(again);
    assert_eq!(one.give_back(0), 1);
    assert!(matches!(two.bind(dvipa(), 5000), Err(StackError::Refused(Refusal::PortQuarantined { .. }))));
    memory.pass(u64::from(QUARANTINE_MS));
    assert!(two.bind(dvipa(), 5000).is_ok());
    assert_eq!(two.bind(dvipa(), 1023), Err(StackError::Excluded { port: 1023 }));
}

#[test]
fn an_error_names_its_cause() {
    let memory = Memory::new(6);
    let (one, _) = start(&memory, 1, 1, profile(5056, 5119), 0);
    let (two, _) = start(&memory, 2, 1, profile(5056, 5119), 0);
    let plain: Dvipa = "10.1.1.2".parse().expect("a DVIPA");
    assert_eq!(
        one.adopt(Local::Address(plain), &PortSet::empty()),
        Err(StackError::NotSysplexPorts { local: Local::Address(plain) })
    );
    let bound = take(&one, 1);
    let back = bound[0].port;
    let full = two.bind(dvipa(), 0).expect_err("the only group is held");
    let why = exhausted([0, 64, 0, 65_472], 64, 0);
    assert_eq!(full, StackError::NoPort { local: local(), why, in_use: 0, resting: 0 });
    assert_eq!(two.state(), State::Active, "a refusal is no fault");

    memory.set(Mode::Lost);
    assert_eq!(two.bind(dvipa(), 0), Err(StackError::Unreachable { cause: CallError::Gone, until: None }));
    assert_eq!(two.state(), State::Unreachable);
    assert_eq!(take(&one, 63).len(), 63, "what is in hand can be used");
    assert_eq!(one.state(), State::Active, "nothing was asked");

    memory.set(Mode::Well);
    let (newer, adopted) = start(&memory, 1, 2, profile(5056, 5119), 0);
    assert_eq!(adopted.grants.len(), 1);
    for port in bound {
        one.release(port);
    }
    assert_eq!(one.give_back(0), 0, "63 ports are in use");
    assert_eq!(
        one.bind(dvipa(), 5060).map(|_| ()).map_err(|error| matches!(error, StackError::InUse { .. })),
        Err(true)
    );
    let _rest = one.bind(dvipa(), back).expect("the one port in hand");
    assert_eq!(one.bind(dvipa(), 0), Err(StackError::Fenced));
    assert_eq!((one.state(), one.usage()[0].ports), (State::Fenced, 0));
    assert_eq!(one.reattach(memory.door()), Err(StackError::Fenced), "never again");
    assert_eq!(newer.state(), State::Active);
}

#[test]
fn whole_idle_groups_go_back_and_are_never_used_again() {
    let memory = Memory::new(7);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let mut bound = take(&stack, 192);
    let busy = bound.pop().expect("bound");
    for port in bound {
        stack.release(port);
    }
    assert_eq!(stack.give_back(128), 0, "191 ports are free, of which a group is 64");
    assert_eq!(stack.give_back(127), 1);
    assert_eq!(stack.give_back(64), 0, "127 are left");
    assert_eq!(stack.give_back(0), 1);
    let usage = stack.usage()[0];
    assert_eq!((usage.grants, usage.ports, usage.in_use), (1, 64, 1));
    assert_eq!(memory.owner(target(), busy.port), Some(name("SYS1")));
    let kept = take(&stack, 62);
    assert!(kept.iter().all(|port| port.grant == busy.grant), "all but the one just returned");
    stack.release_all().expect("all go back");
    assert!(kept.iter().all(|port| memory.owner(target(), port.port).is_none()));
    assert_eq!((stack.usage()[0].ports, stack.releases_outstanding()), (0, 0));
    for port in kept {
        stack.release(port);
    }
    assert_eq!(stack.usage()[0].ports, 0, "a port given back does not return to the hand");
}

#[test]
fn a_release_turned_down_for_want_of_room_is_sent_again() {
    let memory = Memory::new(8);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let port = take(&stack, 1).remove(0);
    let number = port.port;
    stack.release(port);
    memory.set(Mode::Overloaded);
    assert_eq!(stack.give_back(0), 1);
    assert_eq!(memory.owner(target(), number), Some(name("SYS1")));
    assert_eq!((stack.releases_outstanding(), stack.usage()[0].ports), (1, 0));
    memory.set(Mode::Well);
    stack.give_back(0);
    stack.give_back(0);
    assert_eq!(stack.releases_outstanding(), 0);
    assert_eq!(memory.owner(target(), number), None);
}

#[test]
fn an_attach_settles_what_was_outstanding() {
    for mode in [Mode::Lost, Mode::Deaf] {
        let memory = Memory::new(9);
        let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
        let mut bound = take(&stack, 64);
        let in_use = bound.split_off(32);
        memory.set(mode);
        assert!(matches!(stack.bind(dvipa(), 0), Err(StackError::Unreachable { .. })), "{mode:?}");
        for port in bound {
            stack.release(port);
        }
        let still = take(&stack, 31);
        assert_eq!(ports(&still).len(), 31, "{mode:?}: the hand goes on serving");
        assert!(stack.reattach(memory.door()).is_err(), "{mode:?}");
        assert_eq!(stack.state(), State::Unreachable);

        memory.reopen();
        let adopted = stack.reattach(memory.door()).expect("it is back");
        assert_eq!(adopted, Adopted::default(), "{mode:?}: a lost answer is no earlier life");
        let groups = if mode == Mode::Deaf { 2 } else { 1 };
        let usage = stack.usage()[0];
        assert_eq!((usage.grants, usage.in_use), (groups, 63), "{mode:?}");
        memory.seen();
        let more = take(&stack, 1);
        assert_eq!(acquires(&memory), if mode == Mode::Deaf { 0 } else { 1 }, "{mode:?}: no second grant");
        assert!(ports(&in_use).is_disjoint(&ports(&more)) && ports(&still).is_disjoint(&ports(&more)));
        memory.audit();
    }
}

#[test]
fn a_release_whose_answer_was_lost_arrives_after_the_attach() {
    for mode in [Mode::Lost, Mode::Deaf] {
        let memory = Memory::new(10);
        let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
        let bound = take(&stack, 1).remove(0);
        let port = bound.port;
        stack.release(bound);
        memory.set(mode);
        assert_eq!(stack.give_back(0), 1);
        stack.give_back(0);
        assert_eq!(stack.state(), State::Unreachable);
        assert!(stack.bind(dvipa(), 0).is_err(), "{mode:?}: a port on its way back is not used");
        memory.reopen();
        let adopted = stack.reattach(memory.door()).expect("it is back");
        assert_eq!(adopted, Adopted::default(), "{mode:?}");
        assert_eq!(memory.owner(target(), port), None, "{mode:?}");
        assert_eq!(stack.usage()[0].ports, 0);
    }
}

#[test]
fn what_an_earlier_life_held_waits_for_the_kernels_sockets() {
    let memory = Memory::new(11);
    let (before, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let bound = take(&before, 100);
    drop(before);
    let (stack, adopted) = start(&memory, 1, 2, profile(1024, 65_535), 0);
    assert_eq!(adopted.grants.len(), 2);
    assert_eq!(stack.usage()[0].unadopted, 128);
    let fresh = take(&stack, 10);
    assert!(ports(&fresh).is_disjoint(&ports(&bound)), "none is handed out before the sockets were read");
    assert_eq!(stack.bind(dvipa(), bound[0].port), Err(StackError::InUse { local: local(), port: bound[0].port }));

    let mut in_use = PortSet::empty();
    in_use.insert_range(bound[0].port, bound[0].port);
    in_use.insert_range(fresh[0].port, fresh[0].port);
    let kept = stack.adopt(local(), &in_use).expect("adopted");
    assert_eq!(ports(&kept), BTreeSet::from([bound[0].port]), "a new port is no part of the old ones");
    let usage = stack.usage()[0];
    assert_eq!((usage.grants, usage.ports, usage.in_use, usage.unadopted), (2, 65, 11, 0));
    assert_eq!(memory.owner(target(), bound[0].port), Some(name("SYS1")));
    assert_eq!(memory.owner(target(), bound[1].port), None);
    for port in kept {
        stack.release(port);
    }
    assert_eq!(stack.give_back(0), 1, "told free, it goes back with its grant");
    assert_eq!(memory.owner(target(), bound[0].port), None);
    assert!(stack.adopt(local(), &in_use).expect("nothing is left").is_empty());
}

#[test]
fn ports_that_are_ours_no_longer_are_reported() {
    let memory = Memory::new(12);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let bound = take(&stack, 3);
    let incarnation = match memory.operate(&Request::Attach(portplex::structure::Introduction {
        name: name("SYS1"),
        identity: identity(1, 2, 9),
        promise_ms: 0,
        enforced: false,
    })) {
        Ok(reply) => reply.lsn,
        Err(refusal) => panic!("{refusal}"),
    };
    assert!(incarnation.0 > 0);
    // Another boot of the machine took the name: everything went to quarantine, and this boot is
    // the late one. It comes back under the boot id it had.
    assert_eq!(stack.give_back(0), 0);
    let adopted = stack.reattach(memory.door()).expect("the facility cannot tell which boot is dead");
    assert_eq!(ports(&bound), adopted.stopped.iter().map(|(_, port)| *port).collect());
    assert_eq!(stack.usage()[0].ports, 0);
    for port in bound {
        stack.release(port);
    }
    assert_eq!(stack.usage()[0].ports, 0);
    assert!(stack.bind(dvipa(), 0).is_ok(), "it joined its list again");
}

#[test]
fn threads_never_get_one_port_twice() {
    let memory = Memory::new(13);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 16);
    let all: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    for turn in 0..400 {
                        mine.push(stack.bind(dvipa(), 0).expect("a port"));
                        if turn % 3 == 0 {
                            stack.release(mine.swap_remove(turn / 3 % mine.len()));
                        }
                    }
                    mine
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).map(|bound| bound.port).collect()
    });
    assert_eq!(all.len(), BTreeSet::from_iter(&all).len());
    assert_eq!(stack.usage()[0].in_use as usize, all.len());
}

#[test]
fn a_stack_that_ends_leaves_nothing() {
    let memory = Memory::new(14);
    let (stack, _) = start(&memory, 1, 1, profile(1024, 65_535), 0);
    let bound = take(&stack, 5);
    stack.disconnect().expect("it ends");
    assert!(bound.iter().all(|port| memory.owner(target(), port.port).is_none()));
    assert!(matches!(stack.bind(dvipa(), 0), Err(StackError::Unreachable { .. })));
    stack.reattach(memory.door()).expect("it may connect anew");
    assert!(stack.bind(dvipa(), 0).is_ok());
}
