//! Three stacks with different profiles on one structure, under random trouble: no port is ever in
//! the hands of two, and nothing is lost for good.

use super::memory::{Memory, Mode, QUARANTINE_MS};
use super::{dvipa, identity, local, name, options, target};
use crate::random::Random;
use portplex::ident::{PortSet, Transport};
use portplex::profile::{Profile, parse, sample};
use portplex::stack::{Adopted, BoundPort, Stack, StackError, State};
use std::collections::BTreeMap;

/// Turns of one run, and runs.
const TURNS: u32 = 1_500;
const RUNS: u64 = 12;

/// One stack and the sockets of its kernel, which outlive its process.
struct Host {
    number: u8,
    process: u64,
    profile: Profile,
    allowable: PortSet,
    stack: Stack,
    sockets: Vec<BoundPort>,
}

impl Host {
    fn start(memory: &Memory, number: u8, process: u64, profile: Profile, sockets: Vec<BoundPort>) -> Self {
        let who = identity(u128::from(number), 1, process);
        let name = name(&format!("SYS{number}"));
        let started = Stack::start(memory.door(), name, profile.clone(), who, options(memory, 16));
        let (stack, adopted) = started.expect("the facility is well");
        assert!(adopted.stopped.is_empty());
        let allowable = profile.allowable(Transport::Tcp);
        let mut host = Self { number, process, profile, allowable, stack, sockets };
        host.adopt();
        host
    }

    /// Reads the kernel's sockets: those of an earlier process stay until they are closed.
    fn adopt(&mut self) {
        let mut in_use = PortSet::empty();
        for socket in &self.sockets {
            in_use.insert_range(socket.port, socket.port);
        }
        let kept = self.stack.adopt(local(), &in_use).expect("it is a DVIPA of this stack");
        let kept: BTreeMap<u16, BoundPort> = kept.into_iter().map(|bound| (bound.port, bound)).collect();
        self.sockets.retain(|socket| !kept.contains_key(&socket.port));
        self.sockets.extend(kept.into_values());
    }

    fn reattach(&mut self, memory: &Memory) {
        let Adopted { grants, stopped, .. } = self.stack.reattach(memory.door()).expect("the facility is well");
        assert_eq!(stopped, [], "nobody cleaned up");
        assert_eq!(grants, [], "no earlier life");
    }
}

/// Every socket's port is its own stack's, and of no other.
fn check(memory: &Memory, hosts: &[Host], turn: u32) {
    let mut users = BTreeMap::new();
    for host in hosts {
        let expected = Some(name(&format!("SYS{}", host.number)));
        for socket in &host.sockets {
            let other = users.insert(socket.port, host.number);
            assert_eq!(other, None, "turn {turn}: port {} is in use on two stacks or twice", socket.port);
            assert_eq!(memory.owner(target(), socket.port), expected, "turn {turn}: port {}", socket.port);
            assert!(host.allowable.contains(socket.port), "turn {turn}: port {}", socket.port);
        }
    }
    if turn.is_multiple_of(16) {
        memory.audit();
    }
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let memory = Memory::new(seed);
    let mut hosts: Vec<Host> = sample()
        .into_iter()
        .zip(1..)
        .map(|((_, text), number)| Host::start(&memory, number, 1, parse(text.as_bytes()).0, Vec::new()))
        .collect();
    let mut binds = 0_u32;
    for turn in 0..TURNS {
        let host = &mut hosts[usize::try_from(random.below(3)).expect("below 3")];
        match random.below(100) {
            0..50 => {
                // This test has one thread: a claim would wait for its answer for ever.
                let patient = memory.mode() != Mode::Holding;
                let named = if patient && random.below(8) == 0 {
                    3_000 + u16::try_from(random.below(64)).expect("small")
                } else {
                    0
                };
                match host.stack.bind(dvipa(), named) {
                    Ok(bound) => {
                        binds += 1;
                        host.sockets.push(bound);
                    }
                    Err(
                        StackError::Refused(_)
                        | StackError::InUse { .. }
                        | StackError::HeldBy { .. }
                        | StackError::Excluded { .. },
                    ) if named > 0 => {}
                    Err(StackError::Unreachable { .. }) => assert_eq!(host.stack.state(), State::Unreachable),
                    Err(error) => panic!("turn {turn}: {error}"),
                }
            }
            50..75 => {
                let close = random.below(1 + host.sockets.len() as u64 / 2);
                for _ in 0..close {
                    let at = usize::try_from(random.below(host.sockets.len() as u64)).expect("an index");
                    let bound = host.sockets.swap_remove(at);
                    host.stack.release(bound);
                }
            }
            75..85 => {
                let keep = u32::try_from(random.below(130)).expect("small");
                host.stack.give_back(keep);
            }
            85..88 => memory.pass(random.below(u64::from(QUARANTINE_MS))),
            88..91 => memory.set([Mode::Lost, Mode::Deaf, Mode::Holding, Mode::Overloaded][turn as usize % 4]),
            91..94 => memory.let_go(),
            _ => {
                memory.reopen();
                for host in &mut hosts {
                    host.reattach(&memory);
                }
                if random.below(3) == 0 {
                    let host = hosts.remove(0);
                    // The process dies, its kernel and its sockets live on.
                    let Host { number, process, profile, stack, sockets, .. } = host;
                    drop(stack);
                    hosts.push(Host::start(&memory, number, process + 1, profile, sockets));
                }
            }
        }
        // Nobody may wait for an answer that is held back: this test has one thread.
        if hosts.iter().any(|host| host.stack.usage()[0].free < 2) {
            memory.let_go();
            memory.set(Mode::Well);
        }
        check(&memory, &hosts, turn);
    }
    assert!(binds > 200, "{binds} binds");

    memory.reopen();
    for host in &mut hosts {
        host.reattach(&memory);
        for bound in host.sockets.drain(..) {
            host.stack.release(bound);
        }
        host.stack.release_all().expect("all go back");
    }
    memory.pass(10 * u64::from(QUARANTINE_MS));
    for port in (1..=u16::MAX).step_by(7) {
        assert_eq!(memory.owner(target(), port), None, "port {port} has leaked");
    }
    for host in &hosts {
        assert_eq!(host.stack.usage()[0].ports, 0);
    }
}

#[test]
fn no_port_is_in_two_hands_whatever_happens_to_the_facility() {
    let given = std::env::var("PORTPLEX_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = given.map_or(1..RUNS + 1, |seed: u64| seed..seed + 1);
    for seed in seeds {
        println!("PORTPLEX_SEED={seed}");
        run(seed);
    }
}
