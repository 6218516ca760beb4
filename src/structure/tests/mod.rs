//! The rules, one test each, and the rig that they share.
#![forbid(unsafe_code)]

mod adopt;
mod attach;
mod choice;
mod cost;
mod figures;
mod lists;
mod parts;
mod pool;
mod ports;
mod quarantine;
mod restore;
mod retry;
mod stop;

use super::*;
use crate::ident::BootId;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::MachineId;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::ProcessId;
use crate::ident::Transport;

/// Free, held, quarantined, excluded; of those held and quarantined what the asker might have.
fn exhausted(counts: [u32; 4], allowable_held: u32, allowable_quarantined: u32) -> Refusal {
    let [free, held, quarantined, excluded] = counts;
    Refusal::Exhausted { free, held, quarantined, excluded, allowable_held, allowable_quarantined }
}

/// A structure, its clock, and a copy that was only ever shown the events.
pub(super) struct Rig {
    pub(super) structure: Structure,
    pub(super) replayed: Structure,
    pub(super) context: Context,
    pub(super) numbers: BTreeMap<u32, u32>,
    /// The events of the last request.
    pub(super) events: Vec<Event>,
    /// Whether every step is audited.
    pub(super) careful: bool,
}

/// A stack that has attached and joined.
#[derive(Clone, Copy)]
pub(super) struct Stack {
    pub(super) actor: Actor,
    pub(super) member: Member,
}

pub(super) fn list(last: u8) -> Target {
    Target::List(format!("10.1.1.{last}").parse().unwrap(), Transport::Tcp)
}

pub(super) fn group(number: u16) -> GroupNumber {
    GroupNumber::new(number).unwrap()
}

pub(super) fn name(text: &str) -> ConnectorName {
    ConnectorName::new(text).unwrap()
}

pub(super) fn introduction(stack: &str, machine: u128, boot: u128) -> Introduction {
    let identity = Identity { machine: MachineId(machine), boot: BootId(boot), process: ProcessId(7) };
    Introduction { name: name(stack), identity, promise_ms: 30_000, enforced: false }
}

/// Ports 1,024 to 65,535.
pub(super) fn ephemeral() -> PortSet {
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 65_535);
    ports
}

impl Rig {
    pub(super) fn new() -> Self {
        let context = Context {
            now: BootMs(1_000),
            random: 1,
            open_first: Lsn(1),
            floor: ClockFloor { lsn: Lsn(1), at: BootMs(0) },
            quarantine_ms: 120_000,
            deadline: None,
        };
        let (structure, replayed) =
            (Structure::new(StructureName::default()), Structure::new(StructureName::default()));
        Self { structure, replayed, context, numbers: BTreeMap::new(), events: Vec::new(), careful: true }
    }

    /// Decides, applies to both, answers; audits and compares.
    pub(super) fn ask(&mut self, request: Request) -> Result<Answer, Refusal> {
        self.ask_as(&request).map(|(answer, _)| answer)
    }

    pub(super) fn ask_as(&mut self, request: &Request) -> Result<(Answer, Decision), Refusal> {
        self.context.random = self.context.random.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
        self.events.clear();
        let decision = self.structure.decide(request, &self.context, &mut self.events)?;
        let first = self.structure.lsn().next();
        let mut lsn = first;
        for event in &self.events {
            assert_eq!(self.replayed.fits(lsn, event), Ok(()));
            self.structure.apply(lsn, self.context.now, event);
            self.replayed.apply(lsn, self.context.now, event);
            lsn = lsn.next();
        }
        if self.careful {
            assert_eq!(self.structure.audit(), Ok(()));
            assert!(self.structure == self.replayed);
        }
        let count = u32::try_from(self.events.len()).unwrap();
        Ok((self.structure.answer(request, &decision, first, count), decision))
    }

    /// A request of a stack under its next number.
    pub(super) fn stack(&mut self, actor: Actor, body: Body) -> Result<Answer, Refusal> {
        let number = self.numbers.get(&actor.slot).copied().unwrap_or(0) + 1;
        let answer = self.ask(Request::Stack { actor, number, lowest: number, body });
        if answer.is_ok() {
            self.numbers.insert(actor.slot, number);
        }
        answer
    }

    pub(super) fn connect(&mut self, stack: &str, machine: u128) -> Actor {
        let answer = self.ask(Request::Connect(introduction(stack, machine, 1)));
        let Ok(Answer::Connected(actor)) = answer else { panic!("{answer:?}") };
        self.numbers.remove(&actor.slot);
        actor
    }

    pub(super) fn attach(&mut self, stack: &str, machine: u128, boot: u128) -> Result<Attached, Refusal> {
        match self.ask(Request::Attach(introduction(stack, machine, boot)))? {
            Answer::Attached { actor, memberships, grants, .. } => {
                self.numbers.remove(&actor.slot);
                Ok(Attached { actor, memberships, grants })
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn join(&mut self, actor: Actor, target: Target) -> Member {
        let answer = self.stack(actor, Body::Join { target });
        let Ok(Answer::Joined(membership)) = answer else { panic!("{answer:?}") };
        membership.member
    }

    /// Connects, gives an allowable set of all ephemeral ports, joins a list.
    pub(super) fn ready(&mut self, stack: &str, target: Target) -> Stack {
        let machine = stack.bytes().fold(0, |sum, byte| sum * 256 + u128::from(byte));
        let actor = self.connect(stack, machine);
        self.allow(actor, ephemeral());
        Stack { actor, member: self.join(actor, target) }
    }

    pub(super) fn allow(&mut self, actor: Actor, ports: PortSet) {
        let body = Body::SetAllowable { transport: Transport::Tcp, ports };
        assert_eq!(self.stack(actor, body), Ok(Answer::Done));
    }

    pub(super) fn acquire(&mut self, stack: Stack, at_least: u16, at_most: u16) -> Result<Vec<Grant>, Refusal> {
        let answer = self.stack(stack.actor, Body::Acquire { member: stack.member, at_least, at_most })?;
        let Answer::Granted(grants) = answer else { panic!("{answer:?}") };
        Ok(grants)
    }

    pub(super) fn claim(&mut self, stack: Stack, port: u16) -> Result<Grant, Refusal> {
        let answer = self.stack(stack.actor, Body::Claim { member: stack.member, port })?;
        let Answer::Granted(grants) = answer else { panic!("{answer:?}") };
        Ok(grants[0])
    }

    pub(super) fn release(&mut self, stack: Stack, grant: Grant, mask: PortMask) -> Result<Answer, Refusal> {
        let Grant { lsn, group, .. } = grant;
        self.stack(stack.actor, Body::Release { member: stack.member, group, grant: lsn, mask })
    }

    pub(super) fn fail(&mut self, stack: &str, incarnation: Incarnation) {
        let request = Request::MarkFailed { name: name(stack), incarnation, by: None };
        assert_eq!(self.ask(request), Ok(Answer::Done));
    }

    pub(super) fn clean_up(&mut self, stack: &str, incarnation: Incarnation) -> Result<Answer, Refusal> {
        let (name, by) = (name(stack), name("OPERATOR"));
        self.ask(Request::CleanUp { name, incarnation, by, boot_is_dead: true })
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.context.now = self.context.now.plus(ms);
    }

    pub(super) fn end_quarantine(&mut self, target: Target) {
        let list = self.structure.list_by_target(target).unwrap();
        assert_eq!(self.ask(Request::EndQuarantine { list }), Ok(Answer::Done));
    }

    pub(super) fn policy(&mut self, target: Target, policy: Policy) {
        assert_eq!(self.ask(Request::SetPolicy { target, policy }), Ok(Answer::Done));
    }

    /// Held and quarantined ports of a list.
    pub(super) fn in_use(&self, target: Target) -> (u32, u32) {
        let list = self.structure.lists().find(|list| list.target == target).unwrap();
        (list.held_ports, list.quarantined_ports)
    }
}

/// What an attach was answered.
#[derive(Debug, PartialEq)]
pub(super) struct Attached {
    pub(super) actor: Actor,
    pub(super) memberships: Vec<Membership>,
    pub(super) grants: Vec<Grant>,
}
