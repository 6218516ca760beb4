//! Stacks on the service: the same scenario as in one process, and one with the service killed.

use super::{Kind, SOON, Service, name, structure};
use parking_lot::Mutex;
use portplex::facility::{Facility, LocalFacility};
use portplex::ident::{BootId, Dvipa, Identity, MachineId, ProcessId, Target, Transport};
use portplex::profile::{Profile, parse};
use portplex::stack::{BoundPort, Options, Refill, Stack, StackError};
use portplex::structure::{PortOwner, Refusal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const DVIPA: &str = "10.1.1.1";

fn dvipa() -> Dvipa {
    DVIPA.parse().expect("a DVIPA")
}

fn profile() -> Profile {
    let text = format!(
        "TCPCONFIG TIMEWAITINTERVAL 0 EPHEMERALPORTS 1024 65535
         VIPADYNAMIC VIPADEFINE 255.255.255.0 {DVIPA}
         VIPADISTRIBUTE SYSPLEXPORTS {DVIPA} PORT 4035 DESTIP ALL ENDVIPADYNAMIC"
    );
    let (profile, diagnostics) = parse(text.as_bytes());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    profile
}

fn start(facility: Arc<dyn Facility>, stack: &str, process: u64) -> Stack {
    let identity = Identity { machine: MachineId(1), boot: BootId(1), process: ProcessId(process) };
    let refill = Refill { low_ports: 0, at_once_max: 1, ..Refill::default() };
    let options = Options { seed: [7; 32], refill, ..Options::default() };
    Stack::start(facility, name(stack), profile(), identity, options).expect("the stack starts").0
}

/// Two stacks take, claim, collide, give back. All that a caller can see of it.
fn scenario(one: Arc<dyn Facility>, two: Arc<dyn Facility>) -> Vec<String> {
    let mut seen = Vec::new();
    let mut see = |what: &str, said: &dyn std::fmt::Debug| seen.push(format!("{what}: {said:?}"));
    let (a, b) = (start(Arc::clone(&one), "A", 1), start(two, "B", 2));
    let take = |stack: &Stack| (0..100).map(|_| stack.bind(dvipa(), 0).expect("a port")).collect::<Vec<BoundPort>>();
    let (mut of_a, of_b) = (take(&a), take(&b));
    let ports = |bound: &[BoundPort]| bound.iter().map(|bound| bound.port).collect::<BTreeSet<u16>>();
    assert!(ports(&of_a).is_disjoint(&ports(&of_b)));
    see("a", &ports(&of_a));
    see("b", &ports(&of_b));
    see("claim", &a.bind(dvipa(), 40_000));
    see("held", &b.bind(dvipa(), 40_000));
    see("excluded", &b.bind(dvipa(), 1_000));
    see("distributed", &b.bind(dvipa(), 4_035));
    for back in of_a.drain(..) {
        a.release(back);
    }
    see("given back", &a.give_back(0));
    eventually_none_outstanding(&a);
    let owner = one.owner(Target::List(dvipa(), Transport::Tcp), 40_000).expect("answered");
    assert!(matches!(owner, PortOwner::Held { .. }), "{owner:?}");
    let usage = (a.usage(), b.usage());
    see("usage", &usage);
    let status = one.status().expect("answered");
    see("status", &(status.connectors, status.lists, status.grants, status.stop));
    let connector = one.connector(&name("B")).expect("answered").expect("there");
    see("connector", &(connector.held_ports, connector.attached));
    see("nobody", &one.connector(&name("C")).expect("answered"));
    let refused = one.clean_up(&name("B"), connector.actor.incarnation, &name("OPERATOR"), true);
    see("clean-up", &refused.map(|reply| reply.answer));
    see("disconnect", &b.disconnect());
    seen
}

fn eventually_none_outstanding(stack: &Stack) {
    super::eventually("releases are answered", || {
        stack.tick();
        stack.releases_outstanding() == 0
    });
}

#[test]
fn a_stack_sees_the_same_on_a_service_as_in_its_own_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = portplex::facility::Options { create: true, seed: Some(7), ..Default::default() };
    let local = Arc::new(LocalFacility::open(dir.path().join("local"), &options).expect("opens"));
    let here = scenario(Arc::clone(&local) as Arc<dyn Facility>, local);
    for kind in [Kind::Unix, Kind::Tcp] {
        let dir = tempfile::tempdir().expect("a directory");
        let service = Service::start(dir.path(), kind);
        let there = scenario(service.remote(), service.remote());
        assert_eq!(here, there, "{kind:?}");
        // What is read from outside is what the store has.
        let remote = service.remote();
        assert_eq!(remote.list().expect("read"), service.facility().list().expect("read"));
    }
}

/// What all stacks have in use: one port twice is what must never be.
#[derive(Default)]
struct InUse {
    by_port: Mutex<BTreeMap<u16, usize>>,
    bound: AtomicUsize,
}

impl InUse {
    fn bind(&self, stack: usize, port: u16) {
        let before = self.by_port.lock().insert(port, stack);
        assert_eq!(before, None, "port {port} is in the hands of {stack} and of another one");
        self.bound.fetch_add(1, Ordering::Relaxed);
    }

    fn release(&self, port: u16) {
        self.by_port.lock().remove(&port).expect("in use");
    }
}

/// Binds and releases until told to stop; attaches again whenever the service was away.
fn work(service: &Mutex<Service>, in_use: &InUse, stop: &AtomicBool, place: usize) -> usize {
    let remote = service.lock().remote();
    let stack = start(Arc::clone(&remote) as Arc<dyn Facility>, &format!("SYS{place}"), place as u64);
    let (mut held, mut reattached) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        match stack.bind(dvipa(), 0) {
            Ok(bound) => {
                in_use.bind(place, bound.port);
                held.push(bound);
            }
            Err(StackError::Unreachable { .. } | StackError::Refused(Refusal::MustAttach)) => {
                let _ = remote.wait_connected(SOON);
                if stack.reattach(Arc::clone(&remote) as Arc<dyn Facility>).is_ok() {
                    reattached += 1;
                }
            }
            Err(StackError::NoPort { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        if held.len() >= 300 {
            for bound in held.drain(..200) {
                in_use.release(bound.port);
                stack.release(bound);
            }
            stack.give_back(1);
            stack.tick();
        }
    }
    // What is still held is held in the store, and by this stack.
    super::eventually("attached in the end", || {
        let _ = remote.wait_connected(SOON);
        stack.reattach(Arc::clone(&remote) as Arc<dyn Facility>).is_ok()
    });
    for bound in &held {
        let owner = remote.owner(Target::List(dvipa(), Transport::Tcp), bound.port).expect("answered");
        let own = name(&format!("SYS{place}"));
        assert!(matches!(&owner, PortOwner::Held { connector, .. } if *connector == own), "{owner:?}");
    }
    reattached
}

fn survives_kills(kind: Kind) {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Mutex::new(Service::start(dir.path(), kind));
    let (in_use, stop) = (InUse::default(), AtomicBool::new(false));
    let reattached: usize = std::thread::scope(|scope| {
        let working: Vec<_> = (1..=3)
            .map(|place| {
                scope.spawn({
                    let (service, in_use, stop) = (&service, &in_use, &stop);
                    move || work(service, in_use, stop, place)
                })
            })
            .collect();
        for _ in 0..4 {
            let before = in_use.bound.load(Ordering::Relaxed);
            let until = Instant::now() + SOON;
            while in_use.bound.load(Ordering::Relaxed) < before + 1_500 {
                assert!(Instant::now() < until, "no progress: {}", in_use.bound.load(Ordering::Relaxed));
                std::thread::sleep(Duration::from_millis(1));
            }
            let mut service = service.lock();
            service.kill();
            service.open();
        }
        stop.store(true, Ordering::Relaxed);
        working.into_iter().map(|work| work.join().expect("no port twice")).sum()
    });
    assert!(reattached >= 4, "the stacks were away: {reattached}");
    let service = service.into_inner();
    let faults = service.facility().status().expect("answered");
    assert_eq!((faults.structure, faults.connectors), (structure().to_string(), 3));
}

#[test]
fn no_port_is_given_twice_while_the_service_is_killed_behind_a_unix_socket() {
    survives_kills(Kind::Unix);
}

#[test]
fn no_port_is_given_twice_while_the_service_is_killed_behind_tcp() {
    survives_kills(Kind::Tcp);
}
