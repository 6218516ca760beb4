//! How a run starts, and the configurations that show one rule each.

use super::Protocol;
use super::rules::Begun;
use super::rules::Budget;
use super::rules::ONE_GROUP;
use super::rules::Scene;
use super::rules::TWO_GROUPS;
use super::store::Store;
use super::world::Facility;
use super::world::Host;
use super::world::Message;
use super::world::Ports;
use super::world::Span;
use super::world::World;

impl World {
    /// Every stack that is there at the start is attached, and holds nothing.
    pub(super) fn start(protocol: &Protocol) -> Self {
        let scene = &protocol.scene;
        let first = Store::<super::Operation, super::Reply>::FIRST;
        let host =
            || Host { boot: 0, suspended: None, uses: Ports(0), deadline: None, processes: 0, agents: Vec::new() };
        let facility = Facility {
            node: first,
            durable: first,
            before: first,
            histories: vec![Span { id: 1, first: 1, end: 0 }],
            ids: 1,
            open_first: 1,
            next_lsn: 1,
            ahead: 0,
            floor: (0, 0),
            challenges: [0; 2],
            issued: 0,
            leases: [None; 2],
            copy: None,
            made: Vec::new(),
        };
        let mut world = Self {
            now: 0,
            hosts: scene.hosts.iter().map(|_| host()).collect(),
            facility,
            network: Vec::new(),
            remembered: Vec::new(),
            granted: Vec::new(),
            cleaned: [false; 2],
            betrayed: false,
            left: scene.budget.clone(),
            violation: None,
        };
        for (number, _) in (0..).zip(&scene.hosts) {
            world.start_agent(number);
        }
        world.attach_all(protocol);
        if scene.opened {
            world.facility.durable = world.facility.node;
            world.back_up();
            world.open(protocol, None);
            world.attach_all(protocol);
        }
        world.facility.durable = world.facility.node;
        world.facility.before = world.facility.node;
        scene.begun.iter().for_each(|begun| world.begin(protocol, *begun));
        world
    }

    fn begin(&mut self, protocol: &Protocol, begun: Begun) {
        match begun {
            Begun::Granted(host) | Begun::GrantedUnheard(host) => {
                let process = self.hosts[usize::from(host)].agents[0].process;
                self.send_acquire(process);
                let request = self.network.pop().expect("just sent");
                self.facility_takes(protocol, request);
                if begun == Begun::Granted(host) {
                    let answer = self.network.pop().expect("just answered");
                    self.stack_takes(protocol, answer);
                }
            }
            Begun::AttachedAgain(host) => self.attach_host(protocol, host),
            Begun::Restored => self.restore(protocol),
        }
    }

    fn attach_all(&mut self, protocol: &Protocol) {
        for (number, (_, is_attached)) in (0..).zip(&protocol.scene.hosts) {
            if *is_attached {
                self.attach_host(protocol, number);
            }
        }
    }

    fn attach_host(&mut self, protocol: &Protocol, number: u8) {
        let agent = self.hosts[usize::from(number)].agents[0].process;
        self.send_attach(protocol, agent);
        while let Some(message) = self.network.pop() {
            match message {
                Message::Attached { .. } => self.stack_takes(protocol, message),
                message => self.facility_takes(protocol, message),
            }
        }
        assert!(self.hosts[usize::from(number)].agents[0].session.is_some(), "attached at the start");
        self.facility.durable = self.facility.node;
    }
}

fn scene(name: &'static str, budget: Budget) -> Scene {
    Scene { budget, ..Scene::new(name) }
}

/// Stacks promise a lease, and their kernels keep it.
fn enforced(name: &'static str, budget: Budget) -> Scene {
    Scene { promises: true, enforced: true, ..scene(name, budget) }
}

/// The same, and the first stack holds the port.
fn granted(name: &'static str, budget: Budget) -> Scene {
    Scene { begun: vec![Begun::Granted(0)], ..enforced(name, budget) }
}

fn budget() -> Budget {
    Budget::default()
}

pub(super) fn renewed_before_an_open() -> Scene {
    granted("renewed before an open", Budget { acquires: 1, renewals: 1, opens: 1, ticks: 3, attaches: 1, ..budget() })
}

pub(super) fn late_answers() -> Scene {
    granted("late answers", Budget { acquires: 1, renewals: 1, ticks: 3, attaches: 1, ..budget() })
}

pub(super) fn nobody_enforces() -> Scene {
    let budget = Budget { acquires: 1, ticks: 3, attaches: 1, ..budget() };
    Scene { enforced: false, ..granted("nobody enforces", budget) }
}

pub(super) fn suspended() -> Scene {
    granted("suspended", Budget { acquires: 1, suspends: 1, ticks: 3, attaches: 1, ..budget() })
}

pub(super) fn deadline_with_an_answer_under_way() -> Scene {
    enforced("deadline with an answer under way", Budget { acquires: 2, ticks: 3, attaches: 1, ..budget() })
}

pub(super) fn late_attach() -> Scene {
    let budget = Budget { acquires: 2, boots: 1, attaches: 2, at_will: 2, ticks: 1, ..budget() };
    scene("late attach", budget)
}

pub(super) fn two_machines_with_one_name() -> Scene {
    let budget = Budget { acquires: 2, attaches: 1, ticks: 1, ..budget() };
    Scene { hosts: vec![(0, true), (1, true), (0, false)], ..scene("two machines with one name", budget) }
}

pub(super) fn machine_comes_back() -> Scene {
    scene("machine comes back", Budget { acquires: 2, boots: 1, attaches: 1, ticks: 1, ..budget() })
}

pub(super) fn agent_comes_back() -> Scene {
    scene("agent comes back", Budget { acquires: 2, deaths: 1, attaches: 1, ticks: 1, ..budget() })
}

pub(super) fn late_clean_up() -> Scene {
    let budget = Budget { acquires: 2, boots: 1, orders: 1, marks: 1, attaches: 1, ticks: 1, ..budget() };
    scene("late clean-up", budget)
}

pub(super) fn seems_idle() -> Scene {
    scene("seems idle", Budget { acquires: 2, marks: 1, orders: 1, ticks: 1, ..budget() })
}

pub(super) fn part_release_doubled() -> Scene {
    let budget = Budget { acquires: 2, parts: 1, doubles: 1, ticks: 1, ..budget() };
    Scene { ports: ONE_GROUP.to_vec(), hand_max: 2, ..scene("part release doubled", budget) }
}

pub(super) fn given_back() -> Scene {
    scene("given back", Budget { acquires: 2, releases: 1, ticks: 1, ..budget() })
}

pub(super) fn late_release() -> Scene {
    scene("late release", Budget { acquires: 2, releases: 1, deaths: 1, attaches: 1, ticks: 1, ..budget() })
}

pub(super) fn attach_overtakes_an_answer() -> Scene {
    let budget = Budget { acquires: 2, attaches: 1, at_will: 1, releases: 1, ticks: 1, ..budget() };
    scene("attach overtakes an answer", budget)
}

pub(super) fn attach_settles() -> Scene {
    let budget = Budget { acquires: 2, attaches: 1, at_will: 1, ..budget() };
    Scene { ports: TWO_GROUPS.to_vec(), ..scene("attach settles", budget) }
}

pub(super) fn asked_again() -> Scene {
    scene("asked again", Budget { acquires: 2, retries: 1, releases: 1, ticks: 1, ..budget() })
}

pub(super) fn asked_again_answered_at_once() -> Scene {
    let budget = Budget { acquires: 2, doubles: 1, releases: 1, ticks: 1, ..budget() };
    Scene { answers_at_once: true, ..scene("asked again, answered at once", budget) }
}

pub(super) fn facility_dies() -> Scene {
    scene("facility dies", Budget { acquires: 2, opens: 1, attaches: 1, ..budget() })
}

pub(super) fn agent_paused() -> Scene {
    scene("agent paused", Budget { acquires: 2, pauses: 1, attaches: 1, releases: 1, ticks: 1, ..budget() })
}

pub(super) fn restored_with_a_late_answer() -> Scene {
    let budget = Budget { acquires: 2, resumes: 1, attaches: 3, ticks: 2, ..budget() };
    // Incarnations are lsns: this one comes again after the restore.
    let begun = vec![Begun::AttachedAgain(1), Begun::GrantedUnheard(1), Begun::Restored];
    Scene { opened: true, begun, ..scene("restored with a late answer", budget) }
}

pub(super) fn restored_and_an_agent_that_forgot() -> Scene {
    let budget = Budget { acquires: 2, deaths: 1, restores: 1, attaches: 2, ..budget() };
    Scene { opened: true, ..scene("restored, and an agent that forgot", budget) }
}

pub(super) fn restored() -> Scene {
    let budget = Budget { acquires: 1, resumes: 1, attaches: 3, ticks: 2, ..budget() };
    Scene { opened: true, begun: vec![Begun::Granted(1), Begun::Restored], ..scene("restored", budget) }
}

pub(super) fn restored_unsaid() -> Scene {
    let budget = Budget { acquires: 2, restores: 1, attaches: 2, ..budget() };
    Scene { opened: true, ..scene("restored, and nobody says so", budget) }
}

pub(super) fn moved() -> Scene {
    scene("moved", Budget { acquires: 2, releases: 1, moves: 1, attaches: 1, ticks: 1, ..budget() })
}

pub(super) fn nobody_enforces_and_an_operator() -> Scene {
    let budget = Budget { acquires: 1, ticks: 3, attaches: 1, orders: 1, ..budget() };
    Scene { enforced: false, ..granted("nobody enforces, and an operator", budget) }
}

/// A request that is refused and comes once more.
pub(super) fn refused_and_doubled() -> Scene {
    let budget = Budget { acquires: 2, releases: 1, doubles: 1, ticks: 1, ..budget() };
    Scene { knows: true, ..scene("refused, and doubled", budget) }
}

/// The same without the double.
pub(super) fn refused() -> Scene {
    let budget = Budget { acquires: 3, releases: 1, ticks: 1, ..budget() };
    Scene { knows: true, ..scene("refused", budget) }
}

/// An operator who does not wait for the stacks after a power loss.
pub(super) fn hasty_operator() -> Scene {
    granted("hasty operator", Budget { acquires: 1, tails: 1, resumes: 1, attaches: 1, ..budget() })
}

/// A stack that does not come back after a power loss, and a wait that lasts its lease.
pub(super) fn missing_after_a_power_loss() -> Scene {
    let budget = Budget { acquires: 1, tails: 1, attaches: 1, ticks: 2, ..budget() };
    granted("missing after a power loss", budget)
}

/// How long a configuration may be: `PORTPLEX_LONG=1` takes the long ones too.
pub(super) fn is_long() -> bool {
    std::env::var("PORTPLEX_LONG").is_ok_and(|value| value == "1")
}

/// Configurations with every rule on, for safety and for what can be had afterwards.
pub(super) fn wide() -> Vec<Scene> {
    let network = Budget { acquires: 2, releases: 1, retries: 1, doubles: 1, ticks: 1, ..budget() };
    let tail = Budget { acquires: 2, tails: 1, attaches: 2, ticks: 1, ..budget() };
    let lease = Budget { acquires: 1, renewals: 1, ticks: 3, attaches: 1, ..budget() };
    let boots = Budget { acquires: 2, boots: 1, marks: 1, orders: 1, attaches: 1, ticks: 1, ..budget() };
    let mut scenes = vec![
        scene("wide: network", network),
        enforced("wide: lost tail", tail),
        granted("wide: leases", lease),
        scene("wide: boots", boots),
    ];
    if is_long() {
        scenes.extend(long());
    }
    recovering(scenes)
}

/// The wide configurations and the long ones.
#[cfg(not(test))]
pub(super) fn all() -> Vec<Scene> {
    let mut scenes = wide();
    if !is_long() {
        scenes.extend(recovering(long()));
    }
    scenes
}

/// Of two machines with one name one is turned away for good: nothing is promised to it.
fn recovering(scenes: Vec<Scene>) -> Vec<Scene> {
    let recovers = |scene: &Scene| if scene.hosts.len() > 2 { 0 } else { 16 };
    scenes.into_iter().map(|scene| Scene { recovers: recovers(&scene), ..scene }).collect()
}

fn long() -> Vec<Scene> {
    let network = Budget { acquires: 2, releases: 1, doubles: 1, attaches: 1, at_will: 1, ticks: 1, ..budget() };
    let groups = Budget { acquires: 3, releases: 1, doubles: 1, ticks: 1, ..budget() };
    let crashes = Budget { acquires: 2, releases: 1, opens: 1, deaths: 1, attaches: 2, ticks: 1, ..budget() };
    let leases = Budget { acquires: 1, suspends: 1, opens: 1, attaches: 1, ticks: 3, ..budget() };
    let restored = Budget { acquires: 2, restores: 1, resumes: 1, attaches: 3, ticks: 2, ..budget() };
    let twins = Budget { acquires: 2, boots: 1, attaches: 2, marks: 1, orders: 1, ticks: 1, ..budget() };
    vec![
        Scene { ports: TWO_GROUPS.to_vec(), hand_max: 2, ..scene("long: two groups", groups) },
        Scene { hosts: vec![(0, true), (1, true), (0, false)], ..scene("long: one name twice", twins) },
        granted("long: leases", leases),
        scene("long: crashes", crashes),
        scene("long: network", network),
        Scene { opened: true, begun: vec![Begun::Granted(1)], ..scene("long: restored", restored) },
    ]
}
