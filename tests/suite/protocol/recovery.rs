//! L1: when faults stop, a free or reclaimable port can be had.
//!
//! From a state that the checker met one fair run is made, without faults and with as much of
//! everything as it takes: what is under way arrives, every stack attaches, operators do their part,
//! holders give back, and the first stack asks. It must be given a port.

use super::Protocol;
use super::rules::Budget;
use super::step::Step;
use super::world::Agent;
use super::world::Message;
use super::world::World;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;

/// Steps of one fair run.
const STEPS_MAX: usize = 1_000;
/// How many of a run that leads nowhere are printed.
const STEPS_TOLD: usize = 24;
/// Much of everything.
const MUCH: u8 = 60;
/// What is done only because nothing else helped.
const LITTLE: u8 = 6;

/// Whether a fair run from this state ends with a port for the first stack. Only one state of so
/// many is asked, the same ones in every run.
pub(super) fn is_possible(protocol: &Protocol, world: &World) -> bool {
    if protocol.scene.recovers == 0 || world.violation.is_some() || !is_picked(protocol, world) {
        return true;
    }
    let mut world = world.clone();
    world.left = Budget {
        ticks: MUCH,
        attaches: MUCH,
        at_will: LITTLE,
        acquires: MUCH,
        releases: MUCH,
        marks: LITTLE,
        orders: LITTLE,
        resumes: MUCH,
        ..Budget::default()
    };
    let (mut asked, mut taken) = (None, Vec::new());
    for _ in 0..STEPS_MAX {
        if world.violation.is_some() {
            // The safety property meets it on its own way.
            return true;
        }
        if world.hosts[0].agents.iter().any(|agent| agent.session.is_some() && !agent.hand.is_empty()) {
            return true;
        }
        let at = (world.node(), world.now);
        let mut steps = Vec::new();
        world.steps(protocol, &mut steps);
        steps.retain(|step| is_fair(protocol, &world, step));
        // Asking again helps only where something has changed.
        steps.retain(|step| asked != Some(at) || !matches!(step, Step::Acquire(_)));
        steps.sort_by_key(order);
        let Some((step, next)) = steps.iter().find_map(|step| Some((step, world.after(protocol, step)?))) else {
            break;
        };
        taken.push(step.clone());
        if matches!(step, Step::Acquire(_)) {
            asked = Some(at);
        }
        world = next;
    }
    println!("  a fair run ends without a port after {} steps, the last of them:", taken.len());
    taken.iter().rev().take(STEPS_TOLD).rev().for_each(|step| println!("    {step:?}"));
    false
}

/// Whether the structure has a grant for a stack that is attached, and knows nothing of it, while
/// nothing is under way that could tell.
pub(super) fn is_forgotten(protocol: &Protocol, world: &World) -> bool {
    let mut agents = world.hosts.iter().filter_map(|host| host.agents.last());
    is_silent(world) && agents.any(|agent| is_ignorant(protocol, world, agent))
}

fn is_ignorant(protocol: &Protocol, world: &World, agent: &Agent) -> bool {
    let facts = world.facts(protocol);
    let known = facts.names[usize::from(protocol.name_of(agent.process))].as_ref();
    let newest = known.filter(|known| agent.session.is_some_and(|own| own.incarnation == known.incarnation));
    let knows = |lsn: u64| agent.hand.iter().chain(&agent.leaving).any(|grant| grant.lsn == lsn);
    newest.is_some_and(|known| known.held.iter().any(|grant| !knows(grant.lsn)))
}

fn is_picked(protocol: &Protocol, world: &World) -> bool {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish().is_multiple_of(protocol.scene.recovers)
}

/// What happens when no fault does, and helps.
fn is_fair(protocol: &Protocol, world: &World, step: &Step) -> bool {
    match step {
        Step::Attach(process) => {
            let agents = world.hosts.iter().flat_map(|host| &host.agents);
            let mut own = agents.filter(|agent| agent.process == *process);
            own.any(|agent| {
                let must = agent.session.is_none_or(|session| session.history != world.history());
                // A grant that its holder does not know of is found by the holder's next attach.
                must || (is_silent(world) && is_ignorant(protocol, world, agent))
            })
        }
        Step::Release(process, ..) => process.kernel.host != 0 && is_empty_handed(world),
        Step::Acquire(process) => process.kernel.host == 0,
        Step::OperatorOrdersCleanUp { boot_is_dead, .. } => *boot_is_dead,
        Step::OperatorMarksFailed(name) => is_silent(world) && *name != protocol.scene.hosts[0].0,
        // Time is waited for where something waits for it.
        Step::Tick => {
            let facts = world.facts(protocol);
            facts.rests || facts.stop.is_some()
        }
        Step::KernelBoots(_) | Step::AgentDies(_) | Step::AgentPauses(_) | Step::MachineSuspends(_) => false,
        _ => true,
    }
}

/// Nothing is under way.
fn is_silent(world: &World) -> bool {
    world.network.is_empty()
}

/// The first stack is attached, has nothing, and nothing is on its way.
fn is_empty_handed(world: &World) -> bool {
    is_silent(world) && world.hosts[0].agents.iter().any(|agent| agent.session.is_some() && agent.hand.is_empty())
}

/// What comes first in a fair run.
fn order(step: &Step) -> u8 {
    match step {
        Step::MachineWakes(_) | Step::AgentGoesOn(_) => 0,
        Step::Deliver(Message::CleanUp { .. }) => 2,
        Step::Deliver(_) => 1,
        Step::FacilitySyncs | Step::WaitEnds | Step::QuarantineEnds => 3,
        Step::Release(..) => 4,
        Step::OperatorResumes => 5,
        Step::LeaseRunsOut(_) | Step::CleanUpAtDeadline(_) => 6,
        Step::Acquire(_) => 7,
        Step::Attach(_) | Step::OperatorOrdersCleanUp { .. } => 8,
        Step::OperatorMarksFailed(_) => 9,
        Step::Tick => 10,
        _ => 11,
    }
}
