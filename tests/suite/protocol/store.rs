//! The real structure behind every state of the model: `decide` and `apply` themselves, each step
//! done once and remembered.
//!
//! A state names a node; a node is a structure by its items, with the frame of events that made it
//! from the node before. Structures are large, so only some are kept: the others are made again by
//! applying events, as recovery does.

use super::facts::Facts;
use super::rules::Scene;
use super::world::Ports;
use super::world::QUARANTINE_MS;
use portplex::ident::{BootMs, GroupNumber, Lsn, PortMask, StructureName, Target, Transport};
use portplex::structure::{Answer, ClockFloor, Context, Decision, Event, Item, Refusal, Request, Structure};
use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::Hash;

/// How many structures are kept as they are.
const KEPT: usize = 6_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(pub(super) u32);

/// What a decision needs besides the structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct When {
    pub(super) now: u64,
    pub(super) open_first: u64,
    pub(super) floor: (u64, u64),
    pub(super) next_lsn: u64,
    pub(super) deadline: Option<u64>,
    pub(super) has_quarantine: bool,
}

struct Node {
    parent: NodeId,
    frame: Vec<(Lsn, BootMs, Event)>,
    facts: Facts,
    structure: Option<Structure>,
}

/// What an operation came to.
#[derive(Clone, Debug)]
pub(super) struct Made<T> {
    pub(super) node: NodeId,
    pub(super) next_lsn: u64,
    pub(super) value: T,
}

/// All structures of one run, and every step that was made once.
pub(super) struct Store<O, T> {
    nodes: Vec<Node>,
    known: HashMap<u128, NodeId>,
    memo: HashMap<(NodeId, O, When), Made<T>>,
    kept: VecDeque<NodeId>,
    ports: Vec<u16>,
}

/// A structure that an operation works on: the frame being made.
pub(super) struct Work {
    pub(super) structure: Structure,
    pub(super) when: When,
    frame: Vec<(Lsn, BootMs, Event)>,
    ports: Vec<u16>,
}

impl<O: Clone + Eq + Hash, T: Clone> Store<O, T> {
    pub(super) const FIRST: NodeId = NodeId(0);

    pub(super) fn new(scene: &Scene) -> Self {
        let structure = Structure::new(StructureName::default());
        let facts = Facts::of(&structure, &scene.ports);
        let known = HashMap::from([(digest(&structure), Self::FIRST)]);
        let first = Node { parent: Self::FIRST, frame: Vec::new(), facts, structure: Some(structure) };
        Self { nodes: vec![first], known, memo: HashMap::new(), kept: VecDeque::new(), ports: scene.ports.clone() }
    }

    pub(super) fn facts(&self, node: NodeId) -> &Facts {
        &self.nodes[node.0 as usize].facts
    }

    /// How many different structures there were, and how many operations.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.nodes.len(), self.memo.len())
    }

    /// Does an operation, or remembers what came of it.
    pub(super) fn run(&mut self, node: NodeId, operation: O, when: When, act: impl FnOnce(&mut Work) -> T) -> Made<T> {
        let key = (node, operation, when);
        if let Some(made) = self.memo.get(&key) {
            return made.clone();
        }
        let mut work = Work { structure: self.structure(node), when, frame: Vec::new(), ports: self.ports.clone() };
        let value = act(&mut work);
        let next_lsn = work.when.next_lsn;
        let made = Made { node: self.intern(node, work), next_lsn, value };
        self.memo.insert(key, made.clone());
        made
    }

    fn intern(&mut self, parent: NodeId, work: Work) -> NodeId {
        if work.frame.is_empty() {
            return parent;
        }
        let digest = digest(&work.structure);
        if let Some(node) = self.known.get(&digest) {
            return *node;
        }
        let node = NodeId(u32::try_from(self.nodes.len()).expect("fewer nodes than memory"));
        let facts = Facts::of(&work.structure, &self.ports);
        self.nodes.push(Node { parent, frame: work.frame, facts, structure: Some(work.structure) });
        self.known.insert(digest, node);
        self.kept.push_back(node);
        if self.kept.len() > KEPT {
            let oldest = self.kept.pop_front().expect("not empty");
            self.nodes[oldest.0 as usize].structure = None;
        }
        node
    }

    /// A node's structure, made again from the nearest one that is kept.
    fn structure(&self, node: NodeId) -> Structure {
        let (mut path, mut at) = (Vec::new(), node);
        let mut structure = loop {
            let found = &self.nodes[at.0 as usize];
            match &found.structure {
                Some(structure) => break structure.clone(),
                None => path.push(at),
            }
            at = found.parent;
        };
        for node in path.into_iter().rev() {
            for (lsn, at, event) in &self.nodes[node.0 as usize].frame {
                structure.apply(*lsn, *at, event);
            }
        }
        structure
    }
}

impl Work {
    pub(super) fn context(&self) -> Context {
        let When { now, open_first, floor, deadline, has_quarantine, .. } = self.when;
        Context {
            now: BootMs(now),
            random: 0,
            open_first: Lsn(open_first),
            floor: ClockFloor { lsn: Lsn(floor.0), at: BootMs(floor.1) },
            quarantine_ms: if has_quarantine { QUARANTINE_MS } else { 0 },
            deadline: deadline.map(BootMs),
        }
    }

    /// Decides and applies, as the engine does.
    pub(super) fn ask(&mut self, request: &Request) -> Result<(Decision, Answer), Refusal> {
        let (context, mut events) = (self.context(), Vec::new());
        let decision = self.structure.decide(request, &context, &mut events)?;
        let first = Lsn(self.when.next_lsn);
        let count = u32::try_from(events.len()).expect("few");
        events.into_iter().for_each(|event| self.take(event));
        Ok((decision, self.structure.answer(request, &decision, first, count)))
    }

    /// What a request would come to.
    pub(super) fn would(&self, request: &Request) -> Result<(), Refusal> {
        self.structure.decide(request, &self.context(), &mut Vec::new()).map(|_| ())
    }

    /// Applies one event, decided or not.
    pub(super) fn take(&mut self, event: Event) {
        let (lsn, at) = (Lsn(self.when.next_lsn), BootMs(self.when.now));
        self.structure.apply(lsn, at, &event);
        self.frame.push((lsn, at, event));
        self.when.next_lsn += 1;
    }

    /// The ports of the list.
    pub(super) fn port_numbers(&self) -> &[u16] {
        &self.ports
    }

    /// Group and mask of some ports, all of one group.
    pub(super) fn mask(&self, ports: Ports) -> (GroupNumber, PortMask) {
        let named = (0..).zip(&self.ports).filter(|(place, _)| ports.0 >> place & 1 == 1).map(|(_, port)| *port);
        let (mut group, mut mask) = (GroupNumber::of_port(self.ports[0]), PortMask::NONE);
        for port in named {
            group = GroupNumber::of_port(port);
            mask = mask.or(PortMask::of_port(port));
        }
        (group, mask)
    }

    pub(super) fn ports(&self, group: GroupNumber, mask: PortMask) -> Ports {
        ports_of(&self.ports, group, mask)
    }
}

/// The one list of the model.
pub(super) fn target() -> Target {
    Target::List("10.0.0.1".parse().expect("an address"), Transport::Tcp)
}

pub(super) fn ports_of(all: &[u16], group: GroupNumber, mask: PortMask) -> Ports {
    let has = |port: u16| GroupNumber::of_port(port) == group && mask.contains(PortMask::of_port(port));
    Ports(all.iter().enumerate().fold(0, |bits, (place, port)| bits | u8::from(has(*port)) << place))
}

/// All that a structure is, in short. Its allowable sets never change in a run.
fn digest(structure: &Structure) -> u128 {
    let mut hasher = blake3::Hasher::new();
    for item in structure.items().filter(|item| !matches!(item, Item::Set { .. })) {
        hasher.update(&bincode::serialize(&item).expect("items are plain"));
    }
    u128::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("32 bytes"))
}
