//! Random trouble: stacks come and go, programs listen and stop, operators quiesce and deactivate,
//! clients connect.
//! A model that is too plain to be wrong says what may happen.

use super::{dvipa, name, profile};
use crate::random::Random;
use portplex::distributor::{Decision, Flow, JobName, Load, Move, NoListener, Options, Scope, Server, Status};
use portplex::distributor::{Syn, Sysplex, SysplexError, Why};
use portplex::ident::{BootMs, ConnectorName};
use portplex::profile::Profile;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

const STACKS: u8 = 4;
const TURNS: u32 = 4_000;
const RUNS: u64 = 12;
/// Five with a rule each, three without.
const PORTS: [u16; 8] = [80, 81, 82, 83, 84, 9000, 9001, 9002];

fn profiles(moveable: &str) -> Vec<(ConnectorName, Profile)> {
    let stack = |number: u8| {
        let claim = match number {
            1 => format!("VIPADEFINE MOVEABLE {moveable}"),
            _ => format!("VIPABACKUP {} MOVEABLE {moveable}", number * 10),
        };
        let text = format!(
            "IPCONFIG SYSPLEXROUTING DYNAMICXCF 192.168.10.{number} 255.255.255.0 1
             VIPADYNAMIC {claim} 255.255.255.0 10.1.1.1
             VIPADISTRIBUTE SYSPLEXPORTS DISTMETHOD ROUNDROBIN TIMEDAFFINITY 2 10.1.1.1 PORT 80 DESTIP ALL
             VIPADISTRIBUTE DISTMETHOD BASEWLM 10.1.1.1 PORT 81 DESTIP ALL
             VIPADISTRIBUTE DISTMETHOD WEIGHTEDACTIVE 10.1.1.1 PORT 82
               DESTIP 192.168.10.2 WEIGHT 1 192.168.10.3 WEIGHT 50
             VIPADISTRIBUTE DISTMETHOD HOTSTANDBY 10.1.1.1 PORT 83
               DESTIP 192.168.10.4 PREFERRED 192.168.10.1 BACKUP 1 192.168.10.2 BACKUP 9
             VIPADISTRIBUTE DISTMETHOD SERVERWLM OPTLOCAL 4 TIMEDAFFINITY 1 10.1.1.1 PORT 84 DESTIP ALL
             ENDVIPADYNAMIC"
        );
        (name(&format!("SYS{number}")), profile(&text))
    };
    (1..=STACKS).map(stack).collect()
}

/// Which stacks a port's rule names; `None` for a port without a rule.
fn targets(port: u16) -> Option<&'static [&'static str]> {
    match port {
        80 | 81 | 84 => Some(&["SYS1", "SYS2", "SYS3", "SYS4"]),
        82 => Some(&["SYS2", "SYS3"]),
        83 => Some(&["SYS1", "SYS2", "SYS4"]),
        _ => None,
    }
}

#[derive(Default)]
struct Model {
    present: BTreeSet<ConnectorName>,
    ready: BTreeMap<(ConnectorName, Server), u16>,
    quiesced: BTreeSet<(ConnectorName, Scope)>,
    deactivated: BTreeSet<ConnectorName>,
    connections: BTreeMap<Flow, ConnectorName>,
}

impl Model {
    /// How many programs of a stack listen on a port.
    fn ready(&self, stack: &ConnectorName, port: u16) -> u16 {
        let here = |((of, server), _): &(&(ConnectorName, Server), &u16)| of == stack && server.port == port;
        self.ready.iter().filter(here).map(|(_, ready)| *ready).sum()
    }

    fn listens(&self, stack: &ConnectorName, port: u16) -> bool {
        self.ready(stack, port) > 0
    }

    /// Each job that listens there is quiesced, by whichever words.
    fn is_quiesced(&self, stack: &ConnectorName, port: u16) -> bool {
        let said = |scope| self.quiesced.contains(&(stack.clone(), scope));
        let by_job = |job: &JobName| said(Scope::Job(job.clone())) || said(Scope::PortOfJob(port, job.clone()));
        let mut here = self.ready.keys().filter(|(of, server)| of == stack && server.port == port);
        here.all(|(_, server)| {
            said(Scope::Target) || said(Scope::Port(port)) || server.job.as_ref().is_some_and(by_job)
        })
    }

    /// Who is what, as far as a plain rule can say it.
    fn check_chain(&self, sysplex: &Sysplex, what: &str) {
        let owner = sysplex.owner(dvipa());
        let may_have = |stack: &ConnectorName| self.present.contains(stack) && !self.deactivated.contains(stack);
        // Each stack of this sysplex makes the DVIPA if nobody has it.
        assert_eq!(owner.is_some(), self.present.iter().any(may_have), "{what}: somebody has it if anybody may");
        assert!(owner.is_none_or(may_have), "{what}: {owner:?} has it");
        let standings = sysplex.standings(dvipa());
        for standing in &standings {
            let is_off = matches!(standing.status, Some(Status::Deactivated | Status::Quiescing));
            assert_eq!(is_off, self.deactivated.contains(&standing.stack), "{what}: {standing:?}");
            let gives_up = matches!(standing.status, Some(Status::Moving | Status::Quiescing));
            let has_connections = self.connections.values().any(|stack| *stack == standing.stack);
            assert!(!gives_up || has_connections && owner.is_some(), "{what}: {standing:?}");
        }
        assert_eq!(standings.len(), self.present.len(), "{what}");
    }

    /// The stacks that a new connection may go to.
    fn candidates(&self, port: u16) -> BTreeSet<ConnectorName> {
        let listening = self.present.iter().filter(|stack| self.listens(stack, port));
        let may = |stack: &&ConnectorName| {
            targets(port).is_none_or(|targets| targets.contains(&stack.as_str()) && !self.is_quiesced(stack, port))
        };
        listening.filter(may).cloned().collect()
    }

    fn check(&self, sysplex: &Sysplex, what: &str) {
        sysplex.audit().unwrap_or_else(|fault| panic!("{what}: {fault}"));
        let mut counts: BTreeMap<(u16, &ConnectorName), u32> = BTreeMap::new();
        for (flow, stack) in &self.connections {
            *counts.entry((flow.port, stack)).or_default() += 1;
            assert!(sysplex.books(stack, dvipa()).is_some_and(|books| books.has(flow)), "{what}: {flow} of {stack}");
        }
        self.check_chain(sysplex, what);
        let Some(distributor) = sysplex.distributor(dvipa()) else { return };
        assert!(distributor.connections().eq(&self.connections), "{what}: the routing table");
        for stack in &self.present {
            for port in PORTS {
                let count = counts.get(&(port, stack)).copied().unwrap_or_default();
                assert_eq!(distributor.active(port, stack), count, "{what}: {stack} on {port}");
                assert_eq!(distributor.ready(port, stack), self.ready(stack, port), "{what}: {stack} on {port}");
            }
        }
    }

    /// What a decision about a request must be.
    fn judge(&mut self, flow: Flow, decision: &Decision, has_owner: bool, what: &str) {
        let candidates = self.candidates(flow.port);
        match decision {
            Decision::Forward { stack, why: Why::Known, .. } => {
                assert_eq!(self.connections.get(&flow), Some(stack), "{what}: it changed its stack");
            }
            Decision::Forward { stack, why, .. } => {
                assert!(!self.connections.contains_key(&flow), "{what}: it was {why} and not known");
                assert!(self.listens(stack, flow.port), "{what}: {stack} is not ready");
                let is_loyal = *why == Why::Affinity && [80, 84].contains(&flow.port);
                assert!(is_loyal || candidates.contains(stack), "{what}: {stack} may not have it ({why})");
                self.connections.insert(flow, stack.clone());
            }
            Decision::Drop(cause) | Decision::Reset(cause) => {
                assert!(!has_owner || !self.connections.contains_key(&flow), "{what}: it was known, and {cause}");
                assert!(!has_owner || candidates.is_empty(), "{what}: {candidates:?} could take it, and {cause}");
            }
        }
    }
}

#[test]
fn a_connection_keeps_its_stack_and_nothing_goes_where_nobody_listens() {
    let mut random = Random::seeded(0x0d15_7a1b);
    let (mut moves, mut quiescing, mut probes) = ([0; 5], 0, 0);
    for run in 0..RUNS {
        let profiles = profiles(if run % 2 == 0 { "IMMEDIATE" } else { "WHENIDLE" });
        let no_listener = if run % 3 == 0 { NoListener::Reset } else { NoListener::Drop };
        let probe_every = [0, 3, 64][run as usize % 3];
        let mut sysplex = Sysplex::new(Options { no_listener, probe_every, ..Options::default() });
        let (mut model, mut now) = (Model::default(), 1_000);
        for turn in 0..TURNS {
            let (stack, profile) = &profiles[random.below(u64::from(STACKS)) as usize];
            let port = PORTS[random.below(PORTS.len() as u64) as usize];
            let peer = SocketAddr::from(([198, 51, 100, random.below(9) as u8 + 1], 50_000 + random.below(4) as u16));
            let (flow, at) = (Flow { peer, dvipa: dvipa(), port }, BootMs(now));
            let action = random.below(100);
            let what = format!("run {run} turn {turn} action {action}: {stack}, {flow}");
            let is_there = model.present.contains(stack);
            let done: Result<(), SysplexError> = match action {
                0..=3 if !is_there => {
                    let moved = sysplex.join(at, stack.clone(), profile).expect("it is not there");
                    count(&mut moves, moved.into_iter().map(|(_, moved)| moved));
                    model.present.insert(stack.clone());
                    Ok(())
                }
                4 if is_there => {
                    let moved = sysplex.leave(at, stack).expect("it is there");
                    count(&mut moves, moved.into_iter().map(|(_, moved)| moved));
                    model.present.remove(stack);
                    model.ready.retain(|(of, _), _| of != stack);
                    model.quiesced.retain(|(of, _)| of != stack);
                    model.deactivated.remove(stack);
                    model.connections.retain(|_, of| of != stack);
                    Ok(())
                }
                5..=24 if is_there => {
                    let ready = random.below(3) as u16;
                    let server = Server { port, job: some_job(&mut random) };
                    model.ready.insert((stack.clone(), server.clone()), ready);
                    model.ready.retain(|_, ready| *ready > 0);
                    sysplex.listen(at, stack, dvipa(), server, ready)
                }
                25..=27 if is_there => {
                    let scope = some_scope(&mut random, port);
                    model.quiesced.insert((stack.clone(), scope.clone()));
                    sysplex.set_quiesced(at, stack, &scope, true)
                }
                28..=32 if is_there => {
                    let scope = some_scope(&mut random, port);
                    model.quiesced.remove(&(stack.clone(), scope.clone()));
                    sysplex.set_quiesced(at, stack, &scope, false)
                }
                33..=36 if is_there => {
                    let load = Load {
                        weight: (random.below(4) > 0).then(|| random.below(65) as u8),
                        health_percent: [0, 50, 100, 100][random.below(4) as usize],
                    };
                    sysplex.set_load(stack, (random.below(2) == 0).then_some((dvipa(), port)), load)
                }
                37..=40 if is_there => match sysplex.connect(at, stack, flow) {
                    Err(SysplexError::Collision(collision)) => {
                        assert_eq!(model.connections.get(&flow), Some(&collision.holder), "{what}");
                        assert_ne!(collision.holder, *stack, "{what}");
                        Ok(())
                    }
                    done => {
                        let holder = model.connections.entry(flow).or_insert_with(|| stack.clone());
                        assert_eq!(holder, stack, "{what}: the 4-tuple was another stack's");
                        done
                    }
                },
                41..=43 if is_there => {
                    let was_off = !model.deactivated.insert(stack.clone());
                    match sysplex.deactivate(at, stack, dvipa()) {
                        Err(SysplexError::Deactivated { .. }) => assert!(was_off, "{what}"),
                        moved => {
                            assert!(!was_off, "{what}");
                            count(&mut moves, moved.expect("it is configured"));
                            let is_quiescing = sysplex.succession(dvipa()).and_then(|chain| chain.status(stack));
                            quiescing += u32::from(is_quiescing == Some(Status::Quiescing));
                        }
                    }
                    Ok(())
                }
                44..=47 if is_there => {
                    let was_off = model.deactivated.remove(stack);
                    match sysplex.reactivate(at, stack, dvipa()) {
                        Err(SysplexError::NotDeactivated { .. }) => assert!(!was_off, "{what}"),
                        moved => {
                            assert!(was_off, "{what}");
                            count(&mut moves, moved.expect("it is configured"));
                        }
                    }
                    Ok(())
                }
                48..=64 => {
                    count(&mut moves, sysplex.close(at, flow));
                    model.connections.remove(&flow);
                    Ok(())
                }
                65..=69 => {
                    now += random.below(3_000);
                    Ok(())
                }
                _ => {
                    let from = (random.below(4) == 0).then(|| stack.clone());
                    let has_owner = sysplex.owner(dvipa()).is_some();
                    let decision = sysplex.arrive(at, &Syn { flow, from });
                    model.judge(flow, &decision, has_owner, &what);
                    if let Decision::Forward { why: Why::Probe, .. } = decision {
                        assert!(probe_every > 0 && ![83, 9000, 9001, 9002].contains(&port), "{what}: a probe");
                        probes += 1;
                    }
                    Ok(())
                }
            };
            done.unwrap_or_else(|error| panic!("{what}: {error}"));
            model.check(&sysplex, &what);
        }
    }
    assert!(moves.iter().all(|count| *count > 0), "each kind of move was seen: {moves:?}");
    assert!(quiescing > 0, "a stack was deactivated while it had connections");
    assert!(probes > 0, "an ill target was probed");
}

/// A job, or none that is known.
fn some_job(random: &mut Random) -> Option<JobName> {
    let jobs = [None, Some("HTTPA"), Some("HTTPB")];
    jobs[random.below(3) as usize].map(|job| JobName::new(job).expect("a job name"))
}

fn some_scope(random: &mut Random, port: u16) -> Scope {
    match (random.below(2) == 0, some_job(random)) {
        (false, None) => Scope::Target,
        (true, None) => Scope::Port(port),
        (true, Some(job)) => Scope::PortOfJob(port, job),
        (false, Some(job)) => Scope::Job(job),
    }
}

fn count(moves: &mut [u32; 5], moved: impl IntoIterator<Item = Move>) {
    for moved in moved {
        let kind = match moved {
            Move::Created { .. } => 0,
            Move::TakenOver { .. } => 1,
            Move::TakenBack { .. } => 2,
            Move::Waits { .. } => 3,
            Move::Lost { .. } => 4,
        };
        moves[kind] += 1;
    }
}
