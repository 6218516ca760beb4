//! Keeps a stack attached: the first time, and again whenever the facility was away or the lease ran
//! out. Says so when that changes, and ends only where another process must be started, or nobody.
#![forbid(unsafe_code)]

use super::agent::Agent;
use super::agent::local_of;
use super::book::{Given, Place};
use super::probe;
use super::told::Told;
use crate::api::RemoteError;
use crate::api::RemoteFacility;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::facility::Facility;
use crate::ident::ConnectorName;
use crate::ident::Identity;
use crate::ident::PortSet;
use crate::profile::Profile;
use crate::stack::Adopted;
use crate::stack::Housekeeper;
use crate::stack::Local;
use crate::stack::Options;
use crate::stack::Stack;
use crate::stack::StackError;
use crate::stack::State;
use crate::structure::Refusal;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often it is looked whether the stack is attached.
const LOOK: Duration = Duration::from_millis(50);

/// From one try to the next, where a try was answered, at least.
const PAUSE: Duration = Duration::from_millis(500);

/// Longest lease that is promised, ms: a day, as for the one that is typed.
const PROMISE_MS_MAX: u64 = 86_400_000;

/// How a facility is connected to; it waits a few seconds at most.
pub(super) type Connect = Box<dyn Fn() -> Result<RemoteFacility, RemoteError> + Send>;

/// What the first attach needs.
pub(super) struct Setup {
    pub(super) connect: Connect,
    pub(super) name: ConnectorName,
    pub(super) profile: Profile,
    pub(super) identity: Identity,
    /// The lease that was typed; `None`: the service's.
    pub(super) promise_ms: Option<u64>,
    pub(super) options: Options,
}

/// Works until the stack cannot go on in this process.
pub(super) fn keep(agent: &Arc<Agent>, setup: &Setup, told: Told) -> Failure {
    match begin(agent, setup, told) {
        Ok((facility, stack, housekeeper)) => {
            let ended = watch(agent, &facility, &stack, told);
            drop(housekeeper);
            ended
        }
        Err(failure) => failure,
    }
}

/// Attaches for the first time, however long that takes.
fn begin(
    agent: &Arc<Agent>,
    setup: &Setup,
    told: Told,
) -> Result<(Arc<RemoteFacility>, Arc<Stack>, Housekeeper), Failure> {
    let facility = loop {
        match (setup.connect)() {
            Ok(facility) => break Arc::new(facility),
            Err(error) if !may_change(&error) => return Err(Failure::told(Exit::Refused, error.to_string())),
            Err(error) => {
                unreachable(agent, told, &error.to_string());
                thread::sleep(PAUSE);
            }
        }
    };
    loop {
        let Setup { name, profile, identity, promise_ms, options, .. } = setup;
        let promise_ms = promise_ms.unwrap_or_else(|| facility.lease_asked_ms().min(PROMISE_MS_MAX));
        let options = Options { promise_ms, ..options.clone() };
        let door = Arc::clone(&facility) as Arc<dyn Facility>;
        match Stack::start(door, name.clone(), profile.clone(), *identity, options) {
            Ok((stack, adopted)) => {
                let stack = Arc::new(stack);
                let housekeeper = Housekeeper::start(&stack).map_err(|error| cannot(&error))?;
                let kept = adopt(agent, &stack, &adopted).map_err(|error| cannot(&error))?;
                agent.note(true, None);
                agent.began(stack.clone());
                told.attached(agent, adopted.grants.len(), kept);
                return Ok((facility, stack, housekeeper));
            }
            Err(error) if passes(&error) => {
                // A service that lets nobody of this name in ends the stream, and says why there.
                if let Err(error) = facility.wait_connected(Duration::ZERO)
                    && !may_change(&error)
                {
                    return Err(Failure::told(Exit::Refused, error.to_string()));
                }
                unreachable(agent, told, &error.to_string());
            }
            Err(error) => return Err(cannot(&error)),
        }
        pause(&facility);
    }
}

/// Until the next try: not before the service wants it.
fn pause(facility: &RemoteFacility) {
    thread::sleep(facility.retry_after().max(PAUSE));
}

/// Whether a service that said this at the first try may say otherwise later, without anybody's doing here.
fn may_change(error: &RemoteError) -> bool {
    !matches!(error, RemoteError::NotHosted { .. } | RemoteError::Denied { .. } | RemoteError::Certificates { .. })
}

/// Whether another try may be answered otherwise, without anybody's doing.
fn passes(error: &StackError) -> bool {
    matches!(
        error,
        StackError::Unreachable { .. }
            | StackError::LeaseOver { .. }
            | StackError::Refused(
                Refusal::Overloaded
                    | Refusal::StorageFull
                    | Refusal::MustAttach
                    | Refusal::ChallengeNeeded
                    | Refusal::ReportNeeded
                    // The connection of the process before this one may not have been missed yet.
                    | Refusal::StillConnected { .. }
            )
    )
}

fn cannot(error: &StackError) -> Failure {
    Failure::told(Exit::Refused, error.to_string())
}

fn unreachable(agent: &Agent, told: Told, reason: &str) {
    if agent.note(false, Some(reason.to_owned())) {
        told.changed("unreachable", &format!("the facility is not reached, it is tried again: {reason}"));
    }
}

/// Looks after an attached stack until it is fenced.
fn watch(agent: &Arc<Agent>, facility: &Arc<RemoteFacility>, stack: &Arc<Stack>, told: Told) -> Failure {
    let (mut before, mut was_connected) = (stack.state(), true);
    loop {
        thread::sleep(LOOK);
        let connected = facility.is_connected();
        if connected && !was_connected && matches!(stack.state(), State::Active | State::Stopped(_)) {
            // Nothing failed while the stream was away: whether this life still counts, a renewal tells.
            let _ = stack.renew();
        }
        was_connected = connected;
        let state = stack.state();
        if state != before {
            before = state;
            say(state, told);
        }
        match state {
            State::Fenced => return cannot(&StackError::Fenced),
            State::Active | State::Stopped(_) if connected => {
                if agent.note(true, None) {
                    told.changed("reachable", "the facility is reached again");
                }
            }
            State::Active | State::Stopped(_) => is_away(agent, facility, told),
            State::Unreachable | State::Expired if connected => {
                match stack.reattach(Arc::clone(facility) as Arc<dyn Facility>) {
                    Ok(adopted) => {
                        before = stack.state();
                        agent.note(true, None);
                        match adopt(agent, stack, &adopted) {
                            Ok(kept) => told.attached(agent, adopted.grants.len(), kept),
                            Err(error) => return cannot(&error),
                        }
                        if !adopted.stopped.is_empty() {
                            let count = adopted.stopped.len();
                            let line = format!(
                                "{count} ports in use here are this stack's no longer, another may have them: the \
                                 connections of their programs were ended, see `lost` in the status"
                            );
                            told.changed("lost", &line);
                        }
                    }
                    Err(error) if passes(&error) => {
                        unreachable(agent, told, &error.to_string());
                        pause(facility);
                    }
                    Err(error) => return cannot(&error),
                }
            }
            State::Unreachable | State::Expired => is_away(agent, facility, told),
        }
    }
}

fn is_away(agent: &Agent, facility: &RemoteFacility, told: Told) {
    if let Err(error) = facility.wait_connected(LOOK) {
        unreachable(agent, told, &error.to_string());
    }
}

fn say(state: State, told: Told) {
    match state {
        State::Expired => told.changed(
            "lease-over",
            "the lease ran out before it was renewed: nothing is handed out until the stack has attached again; what \
             is in use may be used",
        ),
        State::Stopped(cause) => {
            told.changed("stopped", &format!("nothing is granted to anybody ({}): an operator must act", cause.name()));
        }
        State::Active => told.changed("active", "groups can be had"),
        State::Unreachable | State::Fenced => {}
    }
}

/// Reads the kernel's sockets on what an earlier life left: ports with a socket are kept until that is
/// gone, the others go back. Returns how many are kept.
fn adopt(agent: &Agent, stack: &Stack, adopted: &Adopted) -> Result<usize, StackError> {
    agent.lose(&adopted.stopped);
    let locals: BTreeSet<Local> = adopted.grants.iter().map(|grant| local_of(grant.target)).collect();
    let mut kept = 0;
    for local in locals {
        let mut in_use = PortSet::empty();
        for grant in adopted.grants.iter().filter(|grant| local_of(grant.target) == local) {
            for port in grant.mask.ports(grant.group) {
                if !probe::is_free(&Place { local, port, source: None }) {
                    in_use.insert_range(port, port);
                }
            }
        }
        for bound in stack.adopt(local, &in_use)? {
            kept += 1;
            // Where the book is full its socket is there all the same: it stays in use, for good.
            let _ = agent.book.keep(Given::Bound(bound), agent.now());
        }
    }
    Ok(kept)
}
