//! Running the checker over one configuration, and telling what it found.

use super::Protocol;
use super::recovery;
use super::rules::Scene;
use super::step::Step;
use super::world::Violation;
use super::world::World;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::time::{Duration, Instant};

const SAFE: &str = "nothing is used twice, lost, freed by a stranger or granted twice";
const RECOVERS: &str = "when faults stop a port can be had";
const KNOWN: &str = "what a stack holds it knows of, once nothing is under way";
/// A configuration that has more states than that is too large for its time.
const STATES_MAX: usize = 40_000_000;

/// What an exploration came to.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) states: usize,
    /// Whether every state was visited.
    pub(super) is_exhausted: bool,
    pub(super) violation: Option<Violation>,
    /// Whether a state was met from which no port can be had any more.
    pub(super) is_stuck: bool,
    /// Whether a grant was met that its stack does not know of.
    pub(super) is_forgotten: bool,
    pub(super) trace: Vec<Step>,
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::start(self)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        world.steps(self, steps);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        world.after(self, &step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SAFE, |protocol: &Protocol, world: &World| {
                protocol.is_told(SAFE) || !protocol.tells(SAFE, world.violation.is_some())
            }),
            Property::always(RECOVERS, |protocol: &Protocol, world: &World| {
                protocol.is_told(RECOVERS) || !protocol.tells(RECOVERS, !recovery::is_possible(protocol, world))
            }),
            Property::always(KNOWN, |protocol: &Protocol, world: &World| {
                let is_asked = protocol.scene.knows && !protocol.is_told(KNOWN);
                !is_asked || !protocol.tells(KNOWN, recovery::is_forgotten(protocol, world))
            }),
        ]
    }
}

impl Protocol {
    /// Whether a property was found to fail. The checker would go on to the end of its block and keep
    /// the last failure: the first one is the one with the shortest way.
    fn is_told(&self, property: &'static str) -> bool {
        self.told.lock().contains(property)
    }

    fn tells(&self, property: &'static str, fails: bool) -> bool {
        if fails {
            self.told.lock().insert(property);
        }
        fails
    }
}

/// Visits every state of a configuration, breadth first, until a property fails. Prints what was
/// visited, and of a failure the shortest way to it.
pub(super) fn explore(scene: Scene) -> Found {
    let found = explore_within(scene, None);
    assert!(found.is_exhausted, "too large to be exhausted");
    found
}

/// The same for about this long.
pub(super) fn explore_within(scene: Scene, time: Option<Duration>) -> Found {
    let (name, off) = (scene.name, scene.off.clone());
    let begun = Instant::now();
    let checker = Protocol::new(scene).checker().finish_when(HasDiscoveries::AnyFailures);
    let mut checker = checker.threads(1).target_state_count(STATES_MAX);
    if let Some(time) = time {
        checker = checker.timeout(time);
    }
    let checker = checker.spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let seconds = begun.elapsed().as_secs_f64();
    let (structures, operations) = checker.model().store().counts();
    println!(
        "{name}{}: {states} states, depth {depth}, {structures} structures, {operations} operations, {:.1} s, {:.0} states/s",
        if off.is_empty() { String::new() } else { format!(" without {off:?}") },
        seconds,
        states as f64 / seconds
    );
    let is_late = time.is_some_and(|time| begun.elapsed() >= time);
    let is_exhausted = checker.state_count() < STATES_MAX && !is_late;
    let mut found =
        Found { states, is_exhausted, violation: None, is_stuck: false, is_forgotten: false, trace: Vec::new() };
    for property in [SAFE, RECOVERS, KNOWN] {
        let Some(path) = checker.discovery(property) else { continue };
        let last = path.last_state().clone();
        found.violation = found.violation.or(last.violation);
        found.is_stuck |= property == RECOVERS;
        found.is_forgotten |= property == KNOWN;
        found.trace = path.into_actions();
        println!("  {property}: not so, after {} steps ({:?})", found.trace.len(), last.violation);
        for (number, step) in (1..).zip(&found.trace) {
            println!("  {number:>3}. {step:?}");
        }
    }
    found
}
