//! The z/OS Explorer pattern with the real structure: what `examples/explorer.rs` shows, and what
//! becomes of it when systems fail.

use super::explorer::{Outcome, run};
use super::{dvipa, name, profile};
use portplex::distributor::{Flow, Move, Options, Syn, Sysplex};
use portplex::facility::{self, Facility as _, LocalFacility};
use portplex::ident::{BootId, BootMs, ConnectorName, Identity, MachineId, ProcessId, Target, Transport};
use portplex::profile::{Profile, sample};
use portplex::stack::{self, Stack};
use portplex::structure::PortOwner;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

#[test]
fn every_client_reaches_its_own_thread_with_sysplexports_and_not_without() {
    let mut shown = Vec::new();
    let Outcome { with, without, clients } = run(&mut shown).expect("the example runs");
    let shown = String::from_utf8(shown).expect("text");
    assert_eq!((with, clients), (30, 30), "{shown}");
    assert!(without < clients / 2, "{shown}");
    assert_eq!(shown.matches("another client's thread").count(), 2, "{shown}");
    assert_eq!(shown.matches("answers go there").count(), 2, "{shown}");
    assert!(shown.lines().all(|line| line.len() <= 100), "{shown}");
}

/// The stacks of the sample sysplex on one store, and their routing.
struct World {
    facility: Arc<LocalFacility>,
    sysplex: Sysplex,
    stacks: Vec<(ConnectorName, Profile, Option<Stack>)>,
    clients: u32,
}

impl World {
    fn start(dir: &std::path::Path) -> Self {
        let mut world = Self::idle(dir);
        (0..world.stacks.len()).for_each(|number| drop(world.join(number, 1)));
        world
    }

    /// The stacks have not started yet.
    fn idle(dir: &std::path::Path) -> Self {
        let options = facility::Options { create: true, seed: Some(3), ..facility::Options::default() };
        let facility = Arc::new(LocalFacility::open(dir, &options).expect("a store"));
        let mut world = Self { facility, sysplex: Sysplex::new(Options::default()), stacks: Vec::new(), clients: 0 };
        world.stacks.extend(sample().into_iter().map(|(stack, text)| (name(stack), profile(text), None)));
        world
    }

    fn join(&mut self, number: usize, process: u64) -> Vec<Move> {
        let (name, profile, stack) = &mut self.stacks[number];
        let machine = MachineId(number as u128 + 1);
        let identity = Identity { machine, boot: BootId(u128::from(process)), process: ProcessId(process) };
        let options = stack::Options { seed: [7; 32], ..stack::Options::default() };
        let started = Stack::start(self.facility.clone(), name.clone(), profile.clone(), identity, options);
        *stack = Some(started.expect("the stack starts").0);
        let moves = self.sysplex.join(BootMs(0), name.clone(), profile).expect("it is not there");
        self.sysplex.listen(BootMs(0), name, dvipa(), 4035, 1).expect("it has joined");
        moves.into_iter().map(|(_, moved)| moved).collect()
    }

    fn fail(&mut self, number: usize) -> Vec<Move> {
        let (name, _, stack) = &mut self.stacks[number];
        drop(stack.take());
        let moves = self.sysplex.leave(BootMs(0), name).expect("it was there");
        moves.into_iter().map(|(_, moved)| moved).collect()
    }

    fn connect(&mut self, port: u16) -> Option<ConnectorName> {
        self.clients += 1;
        let peer = SocketAddr::new(Ipv4Addr::from(0x0a80_0000 + self.clients).into(), 50_000);
        let syn = Syn { flow: Flow { peer, dvipa: dvipa(), port }, from: None };
        self.sysplex.arrive(BootMs(0), &syn).stack().cloned()
    }

    /// A client connects to the daemon, and a thread of that system listens on a port of its own.
    fn session(&mut self) -> (usize, u16) {
        let stack = self.connect(4035).expect("a daemon is ready");
        let number = self.stacks.iter().position(|(name, _, _)| *name == stack).expect("it is one of them");
        let bound = self.stacks[number].2.as_ref().expect("it is up").bind(dvipa(), 0).expect("a port");
        self.sysplex.listen(BootMs(0), &stack, dvipa(), bound.port, 1).expect("it has joined");
        (number, bound.port)
    }

    fn comes_back(&mut self, (number, port): (usize, u16)) -> bool {
        self.connect(port).as_ref() == Some(&self.stacks[number].0)
    }
}

#[test]
fn waiting_threads_are_found_after_takeover_and_takeback() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut world = World::start(dir.path());
    // SERVERWLM without weights: in turn.
    let mut sessions: Vec<(usize, u16)> = (0..30).map(|_| world.session()).collect();
    let mut ports: Vec<u16> = sessions.iter().map(|(_, port)| *port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 30, "no port twice");

    let moved = world.fail(0);
    assert_eq!(moved, [Move::TakenOver { from: name("SYS1.TCPIP"), by: name("SYS2.TCPIP") }]);
    sessions.extend((0..10).map(|_| world.session()));
    let (lost, kept): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|(number, _)| *number == 0);
    assert_eq!((lost.len(), kept.len()), (10, 30));
    assert!(lost.iter().all(|(_, port)| world.connect(*port).is_none()), "nobody listens there now");
    assert!(kept[..15].iter().all(|session| world.comes_back(*session)));

    let moved = world.join(0, 2);
    assert_eq!(moved, [Move::TakenBack { from: name("SYS2.TCPIP"), by: name("SYS1.TCPIP") }]);
    assert!(kept[15..].iter().all(|session| world.comes_back(*session)), "learnt again");
    world.sysplex.audit().expect("the books agree");

    let fresh: Vec<(usize, u16)> = (0..12).map(|_| world.session()).collect();
    assert!(fresh.iter().all(|(_, port)| !ports.contains(port)), "a failed stack's ports are kept for it");
    assert!(fresh.into_iter().all(|session| world.comes_back(session)));
}

#[test]
fn the_first_stack_that_starts_makes_the_list_and_each_has_a_part_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut world = World::idle(dir.path());
    let list = Target::List(dvipa(), Transport::Tcp);
    let owner = |world: &World, port| world.facility.owner(list, port).expect("answered");
    assert_eq!(owner(&world, 8_200), PortOwner::NoList);
    world.join(0, 1);
    assert_eq!(owner(&world, 8_200), PortOwner::Free, "it is there as soon as the profile was processed");
    (1..world.stacks.len()).for_each(|number| drop(world.join(number, 1)));
    let is_free = |port: &u16| owner(&world, *port) == PortOwner::Free;
    assert!((1..=u16::MAX).all(|port| is_free(&port)), "nobody has asked for a port");

    let sessions: Vec<(usize, u16)> = (0..world.stacks.len()).map(|_| world.session()).collect();
    let mut groups = Vec::new();
    for (number, port) in sessions {
        let PortOwner::Held { connector, group, .. } = owner(&world, port) else { panic!("{port} is nobody's") };
        assert_eq!(connector, world.stacks[number].0);
        groups.push(group);
    }
    groups.sort_unstable();
    groups.dedup();
    assert_eq!(groups.len(), world.stacks.len(), "a group for each stack");
    let udp = Target::List(dvipa(), Transport::Udp);
    assert_eq!(world.facility.owner(udp, 8_200).expect("answered"), PortOwner::NoList, "only TCP unless asked for");
}
