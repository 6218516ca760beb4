//! What there is to explain from: a store, if there is one, and the profiles that were given.
#![forbid(unsafe_code)]

use super::profiles::Named;
use crate::cli::notice::Notice;
use crate::cli::state::State;
use crate::facility::Inspected;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;
use crate::ident::WallMs;
use crate::structure::ClockFloor;
use crate::structure::ConnectorView;
use crate::structure::Item;
use crate::structure::Structure;
use std::collections::BTreeMap;
use std::path::Path;

/// All of it.
pub(super) struct World<'a> {
    /// The store's directory, as typed.
    pub(super) dir: &'a Path,
    pub(super) stored: Option<Stored>,
    pub(super) profiles: Vec<Named>,
    /// Quarantine of lists without a policy of their own, ms.
    pub(super) quarantine_ms: u32,
    pub(super) now: Now,
}

/// The clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) wall: WallMs,
    pub(super) boot_ms: BootMs,
}

/// A store as its files are, or as the service that has it open knows it.
pub(super) struct Stored {
    pub(super) structure: Structure,
    /// Where the present kernel boot begins in the log, if it had the store open last.
    pub(super) floor: ClockFloor,
    pub(super) state: State,
    pub(super) notices: Vec<Notice>,
    /// What is in quarantine, each list in the order of its queue.
    pub(super) resting: BTreeMap<u32, Vec<Resting>>,
    /// The next number that a connector's request may have, by slot.
    pub(super) numbers: BTreeMap<u32, u32>,
    /// Allowable sets by slot, and which a connector has.
    sets: BTreeMap<u32, PortSet>,
    connector_sets: BTreeMap<u32, [Option<u32>; 2]>,
}

/// Ports in quarantine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resting {
    pub(super) lsn: Lsn,
    pub(super) group: GroupNumber,
    pub(super) mask: PortMask,
    /// The connector's slot.
    pub(super) connector: u32,
    pub(super) from: BootMs,
}

impl Stored {
    /// As its files are.
    pub(super) fn inspected(inspected: Inspected, boot: BootId, notices: Vec<Notice>) -> Self {
        let floor = inspected.clock_floor(boot);
        Self::new(inspected.structure, floor, notices)
    }

    pub(super) fn new(structure: Structure, floor: ClockFloor, notices: Vec<Notice>) -> Self {
        let state = State::new(structure.items());
        let mut resting: BTreeMap<u32, Vec<Resting>> = BTreeMap::new();
        let (mut numbers, mut sets, mut connector_sets) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for item in structure.items() {
            match item {
                Item::Quarantine { lsn, list, group, mask, connector, from, .. } => {
                    resting.entry(list).or_default().push(Resting { lsn, group, mask, connector, from });
                }
                Item::Connector { connector, window_lowest, sets: of_connector, .. } => {
                    numbers.insert(connector, window_lowest);
                    connector_sets.insert(connector, of_connector);
                }
                Item::Window { connector, number, .. } => {
                    let next = numbers.entry(connector).or_insert(1);
                    *next = number.saturating_add(1).max(*next);
                }
                Item::Set { set, ports } => drop(sets.insert(set, ports)),
                _ => {}
            }
        }
        Self { structure, floor, state, notices, resting, numbers, sets, connector_sets }
    }

    pub(super) const fn structure(&self) -> &Structure {
        &self.structure
    }

    /// The allowable ports that a connector's stack gave last.
    pub(super) fn allowable(&self, connector: u32, transport: Transport) -> Option<&PortSet> {
        let set = self.connector_sets.get(&connector)?[transport.index()]?;
        self.sets.get(&set)
    }

    /// The connectors that have joined a list, by slot.
    pub(super) fn members(&self, target: Target) -> impl Iterator<Item = ConnectorView> {
        let joined = move |view: &ConnectorView| self.structure().member(view.actor.slot, target).is_some();
        self.structure().connectors().filter(joined)
    }
}

impl World<'_> {
    /// The same with each profile given to the connector that it is of.
    pub(super) fn settled(mut self) -> Self {
        if let Some(stored) = &self.stored {
            let connectors: Vec<_> = stored.structure().connectors().map(|view| view.name).collect();
            self.profiles.iter_mut().for_each(|named| named.settle(&connectors));
        }
        self
    }

    /// The profile of a stack, if it was given.
    pub(super) fn profile_of(&self, name: &ConnectorName) -> Option<&Named> {
        self.profiles.iter().find(|named| named.name == *name)
    }

    /// Whether the DVIPA is known: it has a list, or a profile names it.
    pub(super) fn knows(&self, dvipa: Dvipa) -> bool {
        let has_list = |stored: &Stored| {
            Transport::ALL
                .iter()
                .any(|transport| stored.structure().list_by_target(Target::List(dvipa, *transport)).is_some())
        };
        self.stored.as_ref().is_some_and(has_list)
            || self.profiles.iter().any(|named| named.profile.dvipa(dvipa).is_some())
    }

    /// Every name that could be asked about: stacks, DVIPAs.
    pub(super) fn names(&self) -> (Vec<String>, Vec<String>) {
        let mut stacks: Vec<String> = self.profiles.iter().map(|named| named.name.to_string()).collect();
        let of_profiles = self.profiles.iter().flat_map(|named| &named.profile.dvipas);
        let mut dvipas: Vec<String> = of_profiles.map(|definition| definition.dvipa.to_string()).collect();
        if let Some(stored) = &self.stored {
            stacks.extend(stored.structure().connectors().map(|view| view.name.to_string()));
            dvipas.extend(stored.structure().lists().map(|list| list.target.dvipa_text()));
        }
        for names in [&mut stacks, &mut dvipas] {
            names.sort();
            names.dedup();
        }
        (stacks, dvipas)
    }

    /// A command about the store.
    pub(super) fn connector_command(&self, verb: &str, view: &ConnectorView, rest: &str) -> String {
        let (dir, name, incarnation) = (self.dir.display(), &view.name, view.actor.incarnation);
        format!("portplex connector {verb} {dir} {name} --incarnation {incarnation} --by WHO{rest}")
    }
}
