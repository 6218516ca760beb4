//! One workload, made by a seed: every kind of request, rotation, checkpoints, closes and kills.
//!
//! Equal seeds on equal disks give equal runs, byte for byte, until something fails. The calm run
//! notes the state after every turn; a run that fails says how many turns were acknowledged, and so
//! which states recovery may give.

use super::model::{Held, Model};
use super::plan::{DIR, Plan, Progress, QUARANTINE_MS, State, digest, list, machine, ports};
use crate::random::Random;
use portplex::disk::sim::SimDisk;
use portplex::facility::{self, CallError, Clock, Machine, Reply, SetClock, Stepper};
use portplex::ident::{BootId, ConnectorName, Identity, MachineId, PortMask, ProcessId, Target, Transport};
use portplex::structure::{Actor, Answer, Body, Introduction, Member, Policy, PortRange, Refusal, Request, Structure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

const STACKS: usize = 4;

/// Runs the plan on an empty simulated disk until it is done or fails.
pub(crate) fn run(disk: &SimDisk, plan: &Plan, note_states: bool) -> Progress {
    run_chosen(disk, plan, Random::new(plan.seed), note_states)
}

/// As [`run`], with choices that are not the seed's.
pub(crate) fn run_chosen(disk: &SimDisk, plan: &Plan, dice: Random, note_states: bool) -> Progress {
    let (machine, clock) = machine(disk, 1, 10_000);
    let place = Place { machine, clock, dir: PathBuf::from(DIR), sim: Some(disk.clone()) };
    live(World::new(place, *plan, dice, note_states))
}

/// Where a plan runs.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) machine: Machine,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) dir: PathBuf,
    /// The disk, if it is a simulated one.
    pub(crate) sim: Option<SimDisk>,
}

/// As [`run`], anywhere.
pub(crate) fn run_at(place: Place, plan: &Plan, note_states: bool) -> Progress {
    live(World::new(place, *plan, Random::new(plan.seed), note_states))
}

fn live(mut world: World) -> Progress {
    if let Err(error) = world.live() {
        world.progress.error = Some(error);
    }
    world.progress
}

#[derive(Clone)]
pub(crate) struct Stack {
    pub(crate) introduction: Introduction,
    /// The boot under which it last introduced itself.
    known_boot: BootId,
    pub(crate) actor: Option<Actor>,
    has_set: bool,
    pub(crate) members: BTreeMap<Target, Member>,
    number: u32,
    pub(crate) last: Option<Body>,
}

/// One request of a turn, before it has a number.
pub(crate) enum Ask {
    Operator(Request),
    Connect(usize),
    Attach(usize),
    Stack { stack: usize, body: Body, is_repeat: bool },
}

/// Everybody who uses the store, and what they know.
#[derive(Clone)]
pub(crate) struct World {
    pub(super) plan: Plan,
    pub(crate) place: Place,
    dice: Random,
    pub(crate) model: Model,
    pub(crate) stacks: Vec<Stack>,
    note_states: bool,
    pub(crate) progress: Progress,
}

impl World {
    pub(crate) fn new(place: Place, plan: Plan, dice: Random, note_states: bool) -> Self {
        let stacks = (0..STACKS).map(|number| Stack {
            introduction: Introduction {
                name: ConnectorName::new(&format!("SYS{number}.TCPIP")).expect("a name"),
                identity: Identity { machine: MachineId(number as u128 + 1), boot: BootId(100), process: ProcessId(1) },
                promise_ms: 0,
                enforced: false,
            },
            known_boot: BootId(0),
            actor: None,
            has_set: false,
            members: BTreeMap::new(),
            number: 0,
            last: None,
        });
        Self {
            plan,
            place,
            dice,
            model: Model { unsure: [list(2)].into(), ..Model::default() },
            stacks: stacks.collect(),
            note_states,
            progress: Progress::default(),
        }
    }

    fn live(&mut self) -> Result<(), String> {
        facility::init(&self.place.machine, &self.place.dir, &self.plan.options())
            .map_err(|error| error.to_string())?;
        self.progress.inited = true;
        let mut stepper = self.open()?;
        self.note(stepper.structure());
        for turn in 0..self.plan.turns {
            if turn == self.plan.close_at {
                stepper.close().map_err(|error| error.to_string())?;
                stepper = self.open()?;
            } else if turn == self.plan.kill_at {
                drop(stepper);
                stepper = self.open()?;
            } else if turn == self.plan.reboot_at {
                drop(stepper);
                self.reboot();
                stepper = self.open()?;
            }
            self.upkeep(turn, &stepper)?;
            let ms = self.dice.below(900);
            self.place.clock.advance(ms);
            self.turn(&mut stepper)?;
        }
        self.progress.segments = stepper.engine().appender().position().segment;
        if !self.plan.ends_closed {
            return Ok(());
        }
        stepper.close().map_err(|error| error.to_string())
    }

    pub(crate) fn open(&mut self) -> Result<Stepper, String> {
        Stepper::open(&self.place.machine, &self.place.dir, &self.plan.options()).map_err(|error| error.to_string())
    }

    pub(crate) fn note(&mut self, state: &Structure) {
        if !self.note_states {
            return;
        }
        let now = self.place.clock.boot_ms().0;
        let turn = self.progress.acked;
        let faults = self.model.faults(state, now);
        self.progress.faults.extend(faults.into_iter().map(|fault| format!("after turn {turn}: {fault}")));
        self.progress.states.push(State { digest: digest(state), model: self.model.clone(), now });
    }

    fn turn(&mut self, stepper: &mut Stepper) -> Result<(), String> {
        let asks = self.asks();
        self.take(&asks, stepper)
    }

    /// Hands in one batch and learns from its answers.
    pub(crate) fn take(&mut self, asks: &[Ask], stepper: &mut Stepper) -> Result<(), String> {
        let requests = asks.iter().map(|ask| self.request(ask)).collect();
        let frames = stepper.engine().counters().frames;
        self.progress.in_flight = true;
        let replies = match stepper.turn(requests) {
            Ok(replies) => replies,
            Err(error) => {
                // Applied before it was written: what it would have led to.
                self.progress.unsure = Some(digest(stepper.structure()));
                let late = stepper.turn(vec![Request::Define { target: list(9) }]);
                if late.is_ok_and(|replies| replies.iter().any(Result::is_ok)) {
                    self.progress.faults.push("a request was acknowledged after a failed write".into());
                }
                return Err(error.to_string());
            }
        };
        self.progress.in_flight = false;
        self.progress.acked += 1;
        if stepper.engine().counters().frames > frames + 1 {
            self.progress.faults.push("a turn took more than one frame: the workload is wrong".into());
        }
        for (ask, reply) in asks.iter().zip(replies) {
            if let Err(fault) = self.learn(ask, reply) {
                let turn = self.progress.acked;
                self.progress.faults.push(format!("turn {turn}: {fault}"));
            }
        }
        self.note(stepper.structure());
        Ok(())
    }

    fn asks(&mut self) -> Vec<Ask> {
        let mut asks = Vec::new();
        let operator = match self.dice.below(24) {
            0..=2 => Some(Request::Define { target: list(self.dice.below(3)) }),
            3 => Some(Request::Delete { target: list(2) }),
            4 => {
                let (quota, reserve) = (*self.dice.pick(&[0, 200, 640]), *self.dice.pick(&[0, 3]));
                let policy = Policy { quota, reserve, ..Policy::default() };
                Some(Request::SetPolicy { target: list(self.dice.below(3)), policy })
            }
            5 => {
                let range = *self.dice.pick(&[None, Some((2_000, 200)), Some((2_100, 300))]);
                let range = range.map(|(first, count)| PortRange { first, count });
                Some(Request::SetRange { transport: Transport::Tcp, range })
            }
            6 => self.connector().map(|(name, incarnation)| Request::MarkFailed { name, incarnation, by: None }),
            7..=8 => self.connector().map(|(name, incarnation)| {
                let by = ConnectorName::new("OPERATOR").expect("a name");
                Request::CleanUp { name, incarnation, by, boot_is_dead: true }
            }),
            _ => None,
        };
        asks.extend(operator.map(Ask::Operator));
        for stack in 0..STACKS {
            if self.dice.below(3) == 0 {
                continue;
            }
            let ask = self.ask_of(stack);
            let is_large = matches!(ask, Ask::Stack { body: Body::SetAllowable { .. }, .. });
            if is_large {
                return vec![ask];
            }
            asks.push(ask);
        }
        asks
    }

    /// A connector that is known, and its incarnation.
    fn connector(&mut self) -> Option<(ConnectorName, portplex::ident::Incarnation)> {
        let stack = self.dice.below(STACKS as u64) as usize;
        let name = self.stacks[stack].introduction.name.clone();
        let (incarnation, _) = *self.model.connectors.get(name.as_str())?;
        Some((name, portplex::ident::Incarnation(incarnation)))
    }

    fn ask_of(&mut self, number: usize) -> Ask {
        let roll = self.dice.below(100);
        let stack = &mut self.stacks[number];
        if stack.actor.is_none() {
            let known = self.model.connectors.contains_key(stack.introduction.name.as_str());
            return if known { Ask::Attach(number) } else { Ask::Connect(number) };
        }
        if roll < 4 {
            stack.introduction.identity.process.0 += 1;
            stack.introduction.identity.boot.0 += u128::from(roll % 2);
            return Ask::Attach(number);
        }
        if roll < 8
            && let Some(body) = stack.last.clone()
        {
            return Ask::Stack { stack: number, body, is_repeat: true };
        }
        let body = if roll < 10 && number == 3 {
            Body::Disconnect
        } else if !stack.has_set || roll < 11 {
            let (number, roll) = if self.plan.is_small { (2, 99) } else { (number, roll) };
            Body::SetAllowable { transport: Transport::Tcp, ports: ports(number, roll) }
        } else {
            self.body(number, roll)
        };
        Ask::Stack { stack: number, body, is_repeat: false }
    }

    fn body(&mut self, number: usize, roll: u64) -> Body {
        let stack = &self.stacks[number];
        let target = match self.dice.below(8) {
            7 => Target::Pool(Transport::Tcp),
            other => list(other % 3),
        };
        let Some(member) = stack.members.get(&target).copied() else { return Body::Join { target } };
        let name = stack.introduction.name.as_str();
        let held: Vec<_> = self.model.grants.iter().filter(|(_, held)| held.holder == name).collect();
        match roll {
            11..=50 => {
                let at_most = *self.dice.pick(&[1, 1, 2, 3, 24]);
                Body::Acquire { member, at_least: 1, at_most }
            }
            51..=65 => Body::Claim { member, port: (1_024 + self.dice.below(3_000)) as u16 },
            66..=69 => Body::Leave { member },
            _ if held.is_empty() => Body::Acquire { member, at_least: 1, at_most: 2 },
            _ => {
                let (lsn, held) = held[self.dice.below(held.len() as u64) as usize];
                let mask = match self.dice.below(3) {
                    0 => held.mask & self.dice.next(),
                    _ => held.mask,
                };
                let mask = PortMask(if mask == 0 { held.mask } else { mask });
                let member = stack.members.get(&held.target).copied().unwrap_or(member);
                let group = held.group.try_into().expect("a group");
                Body::Release { member, group, grant: portplex::ident::Lsn(*lsn), mask }
            }
        }
    }

    fn request(&mut self, ask: &Ask) -> Request {
        match ask {
            Ask::Operator(request) => request.clone(),
            Ask::Connect(stack) => Request::Connect(self.stacks[*stack].introduction.clone()),
            Ask::Attach(stack) => Request::Attach(self.stacks[*stack].introduction.clone()),
            Ask::Stack { stack, body, is_repeat } => {
                let stack = &mut self.stacks[*stack];
                stack.number += u32::from(!is_repeat);
                let actor = stack.actor.expect("only a stack with an actor asks");
                Request::Stack { actor, number: stack.number, lowest: stack.number, body: body.clone() }
            }
        }
    }

    fn learn(&mut self, ask: &Ask, reply: Result<Reply, CallError>) -> Result<(), String> {
        let reply = match reply {
            Ok(reply) => reply,
            Err(CallError::Refused(refusal)) => {
                self.refused(ask, &refusal);
                return Ok(());
            }
            Err(error) => return Err(format!("neither answered nor refused: {error}")),
        };
        let until = self.place.clock.boot_ms().0 + QUARANTINE_MS;
        match ask {
            Ask::Operator(request) => self.learn_operator(request, until),
            Ask::Connect(stack) | Ask::Attach(stack) => self.introduced(*stack, &reply.answer, until)?,
            Ask::Stack { stack, body, is_repeat } => self.learn_stack(*stack, body, *is_repeat, &reply, until)?,
        }
        if !matches!(ask, Ask::Stack { is_repeat: true, .. }) {
            self.model.lsn = self.model.lsn.max(reply.lsn.0);
        }
        Ok(())
    }

    fn refused(&mut self, ask: &Ask, refusal: &Refusal) {
        let Ask::Stack { stack, body, .. } = ask else { return };
        let stack = &mut self.stacks[*stack];
        match refusal {
            Refusal::MustAttach | Refusal::StaleIncarnation { .. } | Refusal::UnknownConnector => stack.actor = None,
            Refusal::NotJoined => {
                let is_gone = |gone: &Member| match body {
                    Body::Leave { member }
                    | Body::Acquire { member, .. }
                    | Body::Claim { member, .. }
                    | Body::Release { member, .. } => member == gone,
                    _ => false,
                };
                stack.members.retain(|_, member| !is_gone(member));
            }
            _ => {}
        }
    }

    fn learn_operator(&mut self, request: &Request, until: u64) {
        match request {
            Request::Define { target } if *target != list(2) => {
                self.model.defined.insert(*target);
            }
            Request::Delete { target } => {
                // It goes by itself when it is empty.
                self.model.defined.remove(target);
                self.model.unsure.insert(*target);
            }
            Request::MarkFailed { name, .. } => {
                if let Some(connector) = self.model.connectors.get_mut(name.as_str()) {
                    connector.1 = true;
                }
            }
            Request::CleanUp { name, .. } => {
                let boot = self.stack_of(name.as_str()).known_boot;
                self.model.release_all(name.as_str(), None, boot, until);
                self.model.connectors.remove(name.as_str());
                let stack = self.stack_of(name.as_str());
                (stack.actor, stack.has_set) = (None, false);
            }
            _ => {}
        }
    }

    fn stack_of(&mut self, name: &str) -> &mut Stack {
        let mut stacks = self.stacks.iter_mut();
        stacks.find(|stack| stack.introduction.name.as_str() == name).expect("a known stack")
    }

    fn introduced(&mut self, number: usize, answer: &Answer, until: u64) -> Result<(), String> {
        let stack = &mut self.stacks[number];
        let name = stack.introduction.name.as_str().to_owned();
        let boot = stack.introduction.identity.boot;
        let old_boot = std::mem::replace(&mut stack.known_boot, boot);
        (stack.number, stack.last) = (0, None);
        match answer {
            Answer::Connected(actor) => {
                (stack.actor, stack.has_set) = (Some(*actor), false);
                stack.members.clear();
                self.model.connectors.insert(name, (actor.incarnation.0, false));
                Ok(())
            }
            Answer::Attached { actor, memberships, grants, .. } => {
                stack.actor = Some(*actor);
                stack.members = memberships.iter().map(|one| (one.target, one.member)).collect();
                self.model.connectors.insert(name.clone(), (actor.incarnation.0, false));
                if boot != old_boot {
                    self.model.release_all(&name, None, old_boot, until);
                }
                let told: BTreeMap<u64, (Target, u16, u64)> = grants
                    .iter()
                    .map(|grant| (grant.lsn.0, (grant.target, grant.group.number(), grant.mask.0)))
                    .collect();
                let ours = self.model.grants.iter().filter(|(_, held)| held.holder == name);
                let known: BTreeMap<u64, (Target, u16, u64)> =
                    ours.map(|(lsn, held)| (*lsn, (held.target, held.group, held.mask))).collect();
                if told != known {
                    return Err(format!("{name} attached and was told {told:?}, it had {known:?}"));
                }
                Ok(())
            }
            other => Err(format!("an introduction was answered {other:?}")),
        }
    }

    fn learn_stack(
        &mut self,
        number: usize,
        body: &Body,
        is_repeat: bool,
        reply: &Reply,
        until: u64,
    ) -> Result<(), String> {
        let now = self.place.clock.boot_ms().0;
        let stack = &mut self.stacks[number];
        let (name, boot) = (stack.introduction.name.as_str().to_owned(), stack.known_boot);
        stack.last = Some(body.clone());
        match (body, &reply.answer) {
            (Body::Acquire { .. } | Body::Claim { .. }, Answer::Granted(grants)) => {
                for grant in grants {
                    let (target, group, mask) = (grant.target, grant.group.number(), grant.mask.0);
                    let held = Held { target, group, mask, holder: name.clone() };
                    if !is_repeat {
                        self.model.grant(grant.lsn.0, held, boot, now)?;
                    } else if self.model.grants.get(&grant.lsn.0) != Some(&held) {
                        return Err(format!("a repeat was answered with {held:?} under {}", grant.lsn));
                    }
                }
            }
            _ if is_repeat => {}
            (Body::Join { target }, Answer::Joined(membership)) => {
                stack.members.insert(*target, membership.member);
                self.model.members.insert((*target, name));
            }
            (Body::Leave { member }, Answer::Done) => {
                let left = stack.members.iter().find(|(_, ours)| *ours == member).map(|(target, _)| *target);
                stack.members.retain(|_, ours| ours != member);
                if let Some(left) = left {
                    self.model.release_all(&name, Some(left), boot, until);
                }
            }
            (Body::Release { grant, mask, .. }, Answer::Done) => self.model.release(grant.0, mask.0, boot, until),
            (Body::SetAllowable { .. }, Answer::Done) => stack.has_set = true,
            (Body::Disconnect, Answer::Done) => {
                (stack.actor, stack.has_set) = (None, false);
                self.model.release_all(&name, None, boot, until);
                self.model.connectors.remove(&name);
            }
            (body, answer) => return Err(format!("{body:?} was answered {answer:?}")),
        }
        Ok(())
    }
}
