//! What the facility is asked, answered by the real structure.
//!
//! The engine around it is modelled: `attach` does what `facility/engine/attaching.rs` does, in its
//! order, and `histories.rs` judges a position. Where a rule is off the request that the rule
//! forbids is made acceptable here, and only here.

use super::facts::name;
use super::histories::Seen;
use super::histories::has;
use super::histories::judge;
use super::rules::Off;
use super::rules::Scene;
use super::store::Work;
use super::store::target;
use super::world::Ask;
use super::world::Grant;
use super::world::PROMISE_MS;
use super::world::Ports;
use super::world::Process;
use super::world::Session;
use super::world::Span;
use portplex::ident::{
    BootId, ConnectorName, HistoryId, Identity, Incarnation, Lsn, MachineId, PortSet, ProcessId, Transport,
};
use portplex::structure::{
    Actor, Answer, Body, Change, ConnectorState, Decision, Event, Introduction, Member, Refusal, ReportedGrant,
    ReportedStatus, Request, Stamp, Standing, StopCause, Wait,
};

/// Numbers beyond any that a stack gives: for requests that only a missing rule lets through.
const BEYOND: u32 = 1_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Attach {
        from: Process,
        connects: bool,
        position: Option<(u8, u64)>,
        report: Vec<Grant>,
        histories: Vec<Span>,
    },
    Ask {
        session: Session,
        number: u32,
        lowest: u32,
        ask: Ask,
    },
    Renew {
        session: Session,
    },
    /// By its own deadline, or by an operator.
    MarkFailed {
        name: u8,
        by_operator: bool,
    },
    CleanUp {
        name: u8,
        incarnation: u64,
        boot_is_dead: bool,
    },
    EndQuarantine,
    Stop(StopCause),
    EndWait,
    ResumeGrants {
        first: u64,
    },
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Refused(Refusal),
    Nothing,
    Done,
    Attached {
        slot: u32,
        incarnation: u64,
        member: Option<(u32, u64)>,
        grants: Vec<Grant>,
        adopts: bool,
    },
    /// A grant, made by this request or by an earlier copy of it.
    Granted {
        grants: Vec<Grant>,
        is_fresh: bool,
    },
    GrantedAndGone,
    /// These tokens and ports are free now.
    Released(Vec<Grant>),
}

impl Operation {
    pub(super) fn act(&self, scene: &Scene, work: &mut Work) -> Reply {
        let done = match self {
            Self::Attach { from, connects, position, report, histories } => {
                attach(scene, work, *from, *connects, *position, report, histories)
            }
            Self::Ask { session, number, lowest, ask } => numbered(scene, work, session, *number, *lowest, *ask),
            Self::Renew { session } => {
                let actor = acting(scene, work, session);
                work.structure.may_act(actor, Lsn(work.when.open_first)).map(|()| Reply::Done)
            }
            Self::MarkFailed { name: of, by_operator } => {
                let Some(view) = work.structure.connector(&name(*of)) else { return Reply::Nothing };
                let by = by_operator.then(operator);
                let request = Request::MarkFailed { name: name(*of), incarnation: view.actor.incarnation, by };
                work.ask(&request).map(|(decision, _)| changed(decision))
            }
            Self::CleanUp { name, incarnation, boot_is_dead } => {
                clean_up(scene, work, *name, *incarnation, *boot_is_dead)
            }
            Self::EndQuarantine => match work.structure.list_by_target(target()) {
                Some(list) => work.ask(&Request::EndQuarantine { list }).map(|(decision, _)| changed(decision)),
                None => Ok(Reply::Nothing),
            },
            Self::Stop(cause) => {
                let request = Request::Stop { cause: *cause, name: None, history: HistoryId(0), lsn: Lsn::ZERO };
                work.ask(&request).map(|(decision, _)| changed(decision))
            }
            Self::EndWait => match work.structure.power_loss_wait(&work.context()) {
                Some(Wait::Over) => {
                    let request = Request::ResumeGrants { by: None, adopt_reported: false };
                    work.ask(&request).map(|(decision, _)| changed(decision))
                }
                Some(Wait::Until(_)) | None => Ok(Reply::Nothing),
            },
            Self::ResumeGrants { first } => resume_grants(scene, work, *first),
        };
        done.unwrap_or_else(Reply::Refused)
    }
}

fn changed(decision: Decision) -> Reply {
    if decision == Decision::Effect { Reply::Done } else { Reply::Nothing }
}

fn operator() -> ConnectorName {
    ConnectorName::new("OPERATOR").expect("a name")
}

/// An attach, as the engine does it: who may, what its position proves, what the log lost.
fn attach(
    scene: &Scene,
    work: &mut Work,
    from: Process,
    connects: bool,
    position: Option<(u8, u64)>,
    report: &[Grant],
    histories: &[Span],
) -> Result<Reply, Refusal> {
    let stack = scene.hosts[usize::from(from.kernel.host)].0;
    let identity = Identity {
        machine: MachineId(u128::from(from.kernel.host)),
        boot: BootId(from.kernel.id()),
        process: ProcessId(u64::from(from.number)),
    };
    let promise_ms = if scene.promises { PROMISE_MS } else { 0 };
    // Off: whoever promises says that it is enforced, and nobody does.
    let enforced = scene.enforced || scene.is_off(Off::R3Enforced);
    let mut introduction = Introduction { name: name(stack), identity, promise_ms, enforced };
    let known = match (work.structure.connector(&introduction.name), connects) {
        (None, false) => return Err(Refusal::UnknownConnector),
        (_, true) => {
            work.ask(&Request::Connect(introduction))?;
            return Ok(entered(work, stack));
        }
        (Some(known), false) => known,
    };
    if scene.is_off(Off::R5Machine) {
        introduction.identity.machine = known.identity.machine;
    }
    if scene.is_off(Off::R6Boot) {
        introduction.identity.boot = known.identity.boot;
    }
    let identity = introduction.identity;
    let request = Request::Attach(introduction);
    work.would(&request)?;
    let durable = work.structure.lsn().0;
    let since = work.structure.stop().map(|stop| stop.since.0);
    let seen = position.filter(|_| !scene.is_off(Off::R20Compares));
    let seen = seen.map(|(history, lsn)| judge(histories, history, lsn, durable, since));
    if let (Some(Seen::Lost { .. }), Some((history, lsn))) = (seen, position) {
        let history = HistoryId(u64::from(history));
        let stop = Request::Stop { cause: StopCause::DataLost, name: Some(name(stack)), history, lsn: Lsn(lsn) };
        work.ask(&stop)?;
    }
    let slot = known.actor.slot;
    let reported: Vec<ReportedGrant> = report.iter().map(|grant| as_reported(work, grant)).collect();
    let is_same = (known.identity.machine, known.identity.boot) == (identity.machine, identity.boot);
    let is_wanted = if is_same {
        Standing::of(reported.iter().copied()) != work.structure.standing(slot)
    } else {
        matches!(seen, Some(Seen::Lost { .. })) && !report.is_empty()
    };
    if is_wanted && !scene.is_off(Off::R19Adopts) {
        if !is_same {
            work.ask(&request)?;
        }
        let is_lost = |grant: &&ReportedGrant| {
            let was_kept = match seen {
                Some(Seen::Kept) => true,
                Some(Seen::Lost { common }) => grant.lsn.0 <= common && has(histories, grant.lsn.0, durable),
                None => has(histories, grant.lsn.0, durable),
            };
            !was_kept && matches!(work.structure.reported_status(slot, grant), ReportedStatus::Unknown)
        };
        let lost: Vec<ReportedGrant> = reported.iter().filter(is_lost).copied().collect();
        if !lost.is_empty() && seen.is_none() {
            return Err(Refusal::ReceiptBad);
        }
        work.ask(&Request::Adopt { name: name(stack), grants: lost })?;
    }
    work.ask(&request)?;
    if scene.is_off(Off::R7Unreported) && is_same {
        release_unreported(work, stack, report);
    }
    Ok(entered(work, stack))
}

fn as_reported(work: &Work, grant: &Grant) -> ReportedGrant {
    let (group, mask) = work.mask(grant.ports);
    ReportedGrant { lsn: Lsn(grant.lsn), target: target(), group, mask }
}

/// What a stack asks first in every incarnation: its allowable ports, and its list.
fn entered(work: &mut Work, stack: u8) -> Reply {
    let view = work.structure.connector(&name(stack)).expect("just attached");
    let (actor, mut ports) = (view.actor, PortSet::empty());
    work.port_numbers().iter().for_each(|port| ports.insert_range(*port, *port));
    let bodies = [Body::SetAllowable { transport: Transport::Tcp, ports }, Body::Join { target: target() }];
    for (number, body) in (1..).zip(bodies) {
        // A restored store serves neither; the stack asks again after its next attach.
        let _ = work.ask(&Request::Stack { actor, number, lowest: number, body });
    }
    let member = work.structure.member(actor.slot, target());
    Reply::Attached {
        slot: actor.slot,
        incarnation: actor.incarnation.0,
        member: member.map(|member| (member.slot, member.joined.0)),
        grants: held(work, stack),
        adopts: work.structure.stop().is_some_and(|stop| stop.cause.adopts()),
    }
}

/// What the structure has for a stack, as an attach is answered.
fn held(work: &Work, stack: u8) -> Vec<Grant> {
    super::facts::Facts::of(&work.structure, work.port_numbers()).names[usize::from(stack)]
        .as_ref()
        .map_or_else(Vec::new, |known| known.held.clone())
}

/// With R7 off: what is not reported is taken for given back.
fn release_unreported(work: &mut Work, stack: u8, report: &[Grant]) {
    let view = work.structure.connector(&name(stack)).expect("just attached");
    let missing = held(work, stack).into_iter().filter(|grant| !report.iter().any(|other| other.lsn == grant.lsn));
    for (number, grant) in (BEYOND..).zip(missing.collect::<Vec<_>>()) {
        let member = work.structure.member(view.actor.slot, target()).expect("it holds something");
        let body = release(work, member, &grant);
        work.ask(&Request::Stack { actor: view.actor, number, lowest: 1, body }).expect("what is held can be released");
    }
}

fn release(work: &Work, member: Member, grant: &Grant) -> Body {
    let (group, mask) = work.mask(grant.ports);
    Body::Release { member, group, grant: Lsn(grant.lsn), mask }
}

/// Who a request speaks for.
fn acting(scene: &Scene, work: &Work, session: &Session) -> Actor {
    let newest = work.structure.connector_at(session.slot).map(|view| view.actor);
    let asked = Actor { slot: session.slot, incarnation: Incarnation(session.incarnation) };
    newest.filter(|_| scene.is_off(Off::R11Facility)).unwrap_or(asked)
}

fn numbered(
    scene: &Scene,
    work: &mut Work,
    session: &Session,
    number: u32,
    lowest: u32,
    ask: Ask,
) -> Result<Reply, Refusal> {
    if scene.is_off(Off::R17Attach) {
        work.when.open_first = 0;
    }
    let actor = acting(scene, work, session);
    let own = session.member.map(|(slot, joined)| Member { slot, joined: Lsn(joined) });
    let newest = work.structure.member(session.slot, target()).filter(|_| scene.is_off(Off::R11Facility));
    let member = newest.or(own).unwrap_or(Member { slot: u32::MAX, joined: Lsn::ZERO });
    match ask {
        Ask::Acquire { .. } => {
            let body = Body::Acquire { member, at_least: 1, at_most: 1 };
            let mut asked = work.ask(&Request::Stack { actor, number, lowest, body: body.clone() });
            let is_gone = matches!(asked, Ok((_, Answer::GrantedAndGone)) | Err(Refusal::AlreadyAnswered { .. }));
            if is_gone && scene.is_off(Off::R14Outlives) {
                asked = work.ask(&Request::Stack { actor, number: number + BEYOND, lowest, body });
            }
            Ok(match asked? {
                (decision, Answer::Granted(grants)) => {
                    let grants = grants.iter().map(|grant| Grant {
                        lsn: grant.lsn.0,
                        ports: work.ports(grant.group, grant.mask),
                        number,
                    });
                    Reply::Granted { grants: grants.collect(), is_fresh: decision == Decision::Effect }
                }
                _ => Reply::GrantedAndGone,
            })
        }
        Ask::Release { lsn, ports } => {
            let named = Grant { lsn, ports, number };
            let stack = (0..2).find(|of| work.structure.connector(&name(*of)).is_some_and(|view| view.actor == actor));
            let held = stack.map_or_else(Vec::new, |stack| held(work, stack));
            let mut tokens = vec![named];
            if scene.is_off(Off::R9Token) {
                let overlapping = held.iter().filter(|grant| grant.ports.0 & ports.0 != 0);
                tokens = overlapping.map(|grant| Grant { ports: Ports(grant.ports.0 & ports.0), ..*grant }).collect();
            }
            let number = if scene.is_off(Off::R9Unnumbered) { fresh_number(work) } else { number };
            let mut released = Vec::new();
            for grant in tokens {
                let body = release(work, member, &grant);
                let (decision, _) = work.ask(&Request::Stack { actor, number, lowest: lowest.min(number), body })?;
                released.extend((decision == Decision::Effect).then_some(grant));
            }
            Ok(Reply::Released(released))
        }
    }
}

/// A number that nobody has presented: the lsn grows with every event.
fn fresh_number(work: &Work) -> u32 {
    BEYOND + u32::try_from(work.when.next_lsn & 0xFFF).expect("small")
}

fn clean_up(scene: &Scene, work: &mut Work, stack: u8, incarnation: u64, boot_is_dead: bool) -> Result<Reply, Refusal> {
    let mut incarnation = Incarnation(incarnation);
    if scene.is_off(Off::R8Incarnation) {
        let view = work.structure.connector(&name(stack)).ok_or(Refusal::UnknownConnector)?;
        incarnation = view.actor.incarnation;
        if view.state == ConnectorState::Active {
            work.ask(&Request::MarkFailed { name: name(stack), incarnation, by: Some(operator()) })?;
        }
    }
    let boot_is_dead = boot_is_dead || scene.is_off(Off::R8Statement);
    let request = Request::CleanUp { name: name(stack), incarnation, by: operator(), boot_is_dead };
    work.ask(&request).map(|(decision, _)| changed(decision))
}

/// An operator's word that granting goes on, in a new history that begins at `first`.
fn resume_grants(scene: &Scene, work: &mut Work, first: u64) -> Result<Reply, Refusal> {
    let request = Request::ResumeGrants { by: Some(operator()), adopt_reported: true };
    if work.structure.stop().is_none() {
        return Ok(Reply::Nothing);
    }
    match work.would(&request) {
        Err(Refusal::NotAllAttached { .. }) if scene.is_off(Off::R21Accounts) => {
            work.when.next_lsn = first;
            work.take(Event { stamp: Stamp::None, change: Change::Resumed { by: Some(operator()) } });
            Ok(Reply::Done)
        }
        Err(refusal) => Err(refusal),
        Ok(()) => {
            work.when.next_lsn = first;
            work.ask(&request).map(|(decision, _)| changed(decision))
        }
    }
}
