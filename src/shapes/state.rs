//! A structure as people look at it: lists with their stacks, groups and counts, from plain items.
#![forbid(unsafe_code)]

use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::GroupNumber;
use crate::ident::Identity;
use crate::ident::Lsn;
use crate::ident::PORTS_PER_GROUP;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::StructureName;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::ConnectorState;
use crate::structure::Item;
use crate::structure::Policy;
use crate::structure::PortRange;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::str::FromStr;

/// Ports of one list: the whole 16-bit port space.
pub(crate) const PORTS_PER_LIST: u32 = GroupNumber::COUNT as u32 * PORTS_PER_GROUP as u32;

/// The whole structure.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) name: StructureName,
    pub(crate) lsn: Lsn,
    pub(crate) ranges: Vec<(Transport, PortRange)>,
    /// By slot.
    pub(crate) lists: Vec<List>,
    /// By slot; forgotten ones are left out.
    pub(crate) connectors: Vec<Connector>,
}

/// One list.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) slot: u32,
    pub(crate) target: Target,
    pub(crate) open: bool,
    pub(crate) policy: Policy,
    /// By slot of the membership.
    pub(crate) members: Vec<Member>,
    pub(crate) quarantine: Vec<Quarantined>,
}

/// One stack's part of a list.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) connector: ConnectorName,
    pub(crate) grants: Vec<Held>,
}

/// One grant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) lsn: Lsn,
    pub(crate) group: GroupNumber,
    pub(crate) mask: PortMask,
    /// Taken from a stack's report: its lsn is of a history that was lost.
    pub(crate) adopted: bool,
}

/// Ports in quarantine.
#[derive(Clone, Debug)]
pub(crate) struct Quarantined {
    pub(crate) group: GroupNumber,
    pub(crate) mask: PortMask,
    /// The lsn that ended the hold.
    pub(crate) lsn: Lsn,
    /// Who held them, if that is known.
    pub(crate) connector: Option<ConnectorName>,
}

/// One connector.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) slot: u32,
    pub(crate) name: ConnectorName,
    pub(crate) incarnation: u64,
    pub(crate) state: ConnectorState,
    pub(crate) identity: Identity,
    pub(crate) promise_ms: u64,
    /// Over all lists.
    pub(crate) lists: u32,
    pub(crate) grants: u32,
    pub(crate) ports: u32,
}

impl Connector {
    /// What every view says of it, as JSON.
    pub(crate) fn json(&self) -> Value {
        json!({
            "connector": self.name.as_str(),
            "incarnation": self.incarnation,
            "state": self.state.name(),
            "lists": self.lists,
            "grants": self.grants,
            "ports": self.ports,
            "promise_ms": self.promise_ms,
            "machine": format!("{:032x}", self.identity.machine.0),
            "boot": format!("{:032x}", self.identity.boot.0),
        })
    }
}

impl State {
    /// Puts items in canonical order together. What names an unknown number is left out:
    /// `store verify` is the verb that judges.
    pub(crate) fn new(items: impl IntoIterator<Item = Item>) -> Self {
        let mut state = Self::default();
        let mut list_places: BTreeMap<u32, usize> = BTreeMap::new();
        let mut connector_places: BTreeMap<u32, usize> = BTreeMap::new();
        // Those that are forgotten too.
        let mut names: BTreeMap<u32, ConnectorName> = BTreeMap::new();
        // Membership slot to (place of its list, place in the list, place of its connector).
        let mut member_places: BTreeMap<u32, (usize, usize, usize)> = BTreeMap::new();
        for item in items {
            match item {
                Item::Head { name, lsn } => (state.name, state.lsn) = (name, lsn),
                Item::Range { transport, range } => state.ranges.push((transport, range)),
                Item::Stop { .. } | Item::Set { .. } | Item::Window { .. } => {}
                Item::List { list, target, open, policy, .. } => {
                    list_places.insert(list, state.lists.len());
                    let (members, quarantine) = (Vec::new(), Vec::new());
                    state.lists.push(List { slot: list, target, open, policy, members, quarantine });
                }
                Item::Connector { connector, name, state: ConnectorState::Forgotten, .. } => {
                    names.insert(connector, name);
                }
                Item::Connector { connector, name, incarnation, state: now, identity, promise_ms, .. } => {
                    connector_places.insert(connector, state.connectors.len());
                    names.insert(connector, name.clone());
                    state.connectors.push(Connector {
                        slot: connector,
                        name,
                        incarnation: incarnation.0,
                        state: now,
                        identity,
                        promise_ms,
                        lists: 0,
                        grants: 0,
                        ports: 0,
                    });
                }
                Item::Member { member, connector, list, .. } => {
                    let (Some(&list), Some(&place)) = (list_places.get(&list), connector_places.get(&connector)) else {
                        continue;
                    };
                    let members = &mut state.lists[list].members;
                    member_places.insert(member, (list, members.len(), place));
                    members.push(Member { connector: state.connectors[place].name.clone(), grants: Vec::new() });
                    state.connectors[place].lists += 1;
                }
                Item::Grant { lsn, member, group, mask, number } => {
                    let Some(&(list, member, connector)) = member_places.get(&member) else { continue };
                    state.lists[list].members[member].grants.push(Held { lsn, group, mask, adopted: number == 0 });
                    state.connectors[connector].grants += 1;
                    state.connectors[connector].ports += mask.count();
                }
                Item::Quarantine { lsn, list, group, mask, connector, .. } => {
                    if let Some(&list) = list_places.get(&list) {
                        let connector = names.get(&connector).cloned();
                        state.lists[list].quarantine.push(Quarantined { group, mask, lsn, connector });
                    }
                }
            }
        }
        state
    }

    /// The ports of an explicit-bind pool: none while no range is in force.
    pub(crate) fn pool_ports(&self, transport: Transport) -> PortSet {
        let mut ports = PortSet::empty();
        for (_, range) in self.ranges.iter().filter(|(of, _)| *of == transport) {
            ports.insert_range(range.first, range.first.saturating_add(range.count.saturating_sub(1)));
        }
        ports
    }

    /// Keeps the lists that a person asked for.
    pub(crate) fn keep(&mut self, filter: &Filter) {
        self.lists.retain(|list| filter.takes(list.target));
    }
}

impl List {
    pub(crate) fn held(&self) -> u32 {
        self.members.iter().map(Member::ports).sum()
    }

    pub(crate) fn quarantined(&self) -> u32 {
        self.quarantine.iter().map(|ports| ports.mask.count()).sum()
    }

    /// Neither held nor in quarantine; a profile may still exclude them for a stack.
    pub(crate) fn free(&self) -> u32 {
        PORTS_PER_LIST.saturating_sub(self.held()).saturating_sub(self.quarantined())
    }

    /// Groups with a port held or in quarantine.
    pub(crate) fn groups_in_use(&self) -> u32 {
        let held = self.members.iter().flat_map(|member| member.grants.iter().map(|held| held.group));
        let mut groups: Vec<_> = held.chain(self.quarantine.iter().map(|ports| ports.group)).collect();
        groups.sort_unstable();
        groups.dedup();
        u32::try_from(groups.len()).unwrap_or(u32::MAX)
    }
}

impl Member {
    pub(crate) fn ports(&self) -> u32 {
        self.grants.iter().map(|held| held.mask.count()).sum()
    }
}

/// Which lists a person asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) dvipa: Option<DvipaFilter>,
    pub(crate) transport: Option<Transport>,
}

/// A DVIPA, or `ANY` for the explicit-bind pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DvipaFilter {
    One(Dvipa),
    Any,
}

impl FromStr for DvipaFilter {
    type Err = crate::ident::DvipaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("any") { Ok(Self::Any) } else { text.parse().map(Self::One) }
    }
}

impl Filter {
    fn takes(&self, target: Target) -> bool {
        let dvipa = match (self.dvipa, target) {
            (None, _) | (Some(DvipaFilter::Any), Target::Pool(_)) => true,
            (Some(DvipaFilter::One(asked)), Target::List(dvipa, _)) => asked == dvipa,
            _ => false,
        };
        dvipa && self.transport.is_none_or(|transport| transport == target.transport())
    }
}

/// `SYS1.TCPIP` as the origin's two columns: system and stack. A name without a dot is both.
pub(crate) fn system_and_stack(name: &ConnectorName) -> (&str, &str) {
    name.as_str().split_once('.').unwrap_or((name.as_str(), name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::sample::items;

    #[test]
    fn every_port_is_counted_where_it_is() {
        let state = State::new(items());
        assert_eq!(state.lists.len(), 2);
        assert_eq!(state.lists[0].held(), 64 + 8 + 8 + 1);
        assert_eq!(state.lists[0].quarantined(), 4);
        assert_eq!(state.lists[0].groups_in_use(), 4);
        let ports: Vec<u32> = state.connectors.iter().map(|connector| connector.ports).collect();
        assert_eq!(ports, [72, 9], "the forgotten connector is not shown");
        assert_eq!(state.connectors[0].lists, 2);
    }

    #[test]
    fn a_filter_keeps_what_was_asked_for_and_nothing_else() {
        let kept = |dvipa: Option<&str>, transport| {
            let mut state = State::new(items());
            state.keep(&Filter { dvipa: dvipa.map(|text| text.parse().expect("valid")), transport });
            state.lists.iter().map(|list| list.target.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(kept(None, None), ["10.1.1.1/tcp", "ANY/tcp"]);
        assert_eq!(kept(Some("::ffff:10.1.1.1"), None), ["10.1.1.1/tcp"]);
        assert_eq!(kept(Some("any"), None), ["ANY/tcp"]);
        assert_eq!(kept(Some("10.1.1.2"), None), Vec::<String>::new());
        assert_eq!(kept(None, Some(Transport::Udp)), Vec::<String>::new());
    }
}
