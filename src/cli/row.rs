//! The lines of `store dump`: a structure's items with names in the place of numbers.
//!
//! The keys are a contract with programs; new keys may come, none goes or changes its meaning.
#![forbid(unsafe_code)]

pub(crate) use crate::shapes::groups::Mask;

use crate::ident::ConnectorName;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::structure::ConnectorState;
use crate::structure::Item;
use crate::structure::Policy;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Row {
    Structure {
        name: String,
        epoch: u64,
        lsn: u64,
        /// Over every item, in hex.
        digest: String,
    },
    /// Nothing is granted at present.
    Stop {
        cause: &'static str,
        since: u64,
        /// The highest lsn that a stack knows of.
        highest: u64,
        adopted_ports: u32,
    },
    Range {
        transport: &'static str,
        first: u16,
        last: u16,
    },
    List {
        transport: &'static str,
        dvipa: String,
        state: &'static str,
        list: u32,
        created: u64,
        defined: bool,
    },
    Policy {
        transport: &'static str,
        dvipa: String,
        quota: u32,
        reserve: u16,
        quarantine_ms: u32,
        clean_up_ms: u64,
    },
    Connector {
        connector: String,
        incarnation: u64,
        state: &'static str,
        machine: String,
        boot: String,
        promise_ms: u64,
        enforced: bool,
        window_lowest: u32,
    },
    Allowable {
        connector: String,
        transport: &'static str,
        count: u32,
        ports: PortRanges,
    },
    Member {
        transport: &'static str,
        dvipa: String,
        connector: String,
        incarnation: u64,
        joined: u64,
    },
    Grant {
        lsn: u64,
        transport: &'static str,
        dvipa: String,
        group: u16,
        mask: Mask,
        connector: String,
        incarnation: u64,
    },
    Quarantine {
        lsn: u64,
        transport: &'static str,
        dvipa: String,
        group: u16,
        mask: Mask,
        connector: String,
    },
}

/// A port set as `[[first, last], …]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortRanges(pub(crate) PortSet);

impl Serialize for PortRanges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.ranges())
    }
}

/// Turns items into lines, one after the other, remembering the names it meets.
pub(crate) struct RowWriter {
    epoch: u64,
    digest: String,
    sets: BTreeMap<u32, PortSet>,
    lists: BTreeMap<u32, Target>,
    connectors: BTreeMap<u32, (ConnectorName, u64)>,
    members: BTreeMap<u32, (u32, u32)>,
}

impl RowWriter {
    /// The epoch is the store's; the digest is over all items, in hex.
    pub(crate) fn new(epoch: u64, digest: String) -> Self {
        let (lists, members) = (BTreeMap::new(), BTreeMap::new());
        Self { epoch, digest, sets: BTreeMap::new(), lists, connectors: BTreeMap::new(), members }
    }

    /// The lines of one item: none, one or a few. Items come in canonical order.
    pub(crate) fn rows(&mut self, item: &Item) -> Vec<Row> {
        match item {
            Item::Head { name, lsn } => {
                vec![Row::Structure {
                    name: name.to_string(),
                    epoch: self.epoch,
                    lsn: lsn.0,
                    digest: self.digest.clone(),
                }]
            }
            Item::Stop { cause, since, highest, adopted, .. } => {
                let (cause, since, highest) = (cause.name(), since.0, highest.0);
                vec![Row::Stop { cause, since, highest, adopted_ports: *adopted }]
            }
            Item::Range { transport, range } => {
                let last = range.first.saturating_add(range.count.saturating_sub(1));
                vec![Row::Range { transport: transport.name(), first: range.first, last }]
            }
            Item::Set { set, ports } => {
                self.sets.insert(*set, ports.clone());
                Vec::new()
            }
            Item::List { list, target, created, open, defined, policy } => {
                self.lists.insert(*list, *target);
                let (transport, dvipa) = (target.transport().name(), target.dvipa_text());
                let state = if *open { "open" } else { "closed" };
                let (created, defined) = (created.0, *defined);
                let mut rows = vec![Row::List { transport, dvipa, state, list: *list, created, defined }];
                rows.extend(policy_row(*target, *policy));
                rows
            }
            Item::Connector { connector, name, incarnation, .. } => {
                self.connectors.insert(*connector, (name.clone(), incarnation.0));
                self.connector_rows(item)
            }
            Item::Window { .. } => Vec::new(),
            Item::Member { member, connector, list, joined, .. } => {
                self.members.insert(*member, (*connector, *list));
                let (transport, dvipa) = self.list(*list);
                let (connector, incarnation) = self.connector(*connector);
                vec![Row::Member { transport, dvipa, connector, incarnation, joined: joined.0 }]
            }
            Item::Grant { lsn, member, group, mask, .. } => {
                let (connector, list) = self.members.get(member).copied().unwrap_or((u32::MAX, u32::MAX));
                let (transport, dvipa) = self.list(list);
                let (connector, incarnation) = self.connector(connector);
                let (lsn, group, mask) = (lsn.0, group.number(), Mask(*mask));
                vec![Row::Grant { lsn, transport, dvipa, group, mask, connector, incarnation }]
            }
            Item::Quarantine { lsn, list, group, mask, connector, .. } => {
                let (transport, dvipa) = self.list(*list);
                let (connector, _) = self.connector(*connector);
                let (lsn, group, mask) = (lsn.0, group.number(), Mask(*mask));
                vec![Row::Quarantine { lsn, transport, dvipa, group, mask, connector }]
            }
        }
    }

    fn connector_rows(&self, item: &Item) -> Vec<Row> {
        let Item::Connector { name, incarnation, state, identity, promise_ms, enforced, sets, window_lowest, .. } =
            item
        else {
            return Vec::new();
        };
        if *state == ConnectorState::Forgotten {
            return Vec::new();
        }
        let mut rows = vec![Row::Connector {
            connector: name.to_string(),
            incarnation: incarnation.0,
            state: state.name(),
            machine: format!("{:032x}", identity.machine.0),
            boot: format!("{:032x}", identity.boot.0),
            promise_ms: *promise_ms,
            enforced: *enforced,
            window_lowest: *window_lowest,
        }];
        for (transport, set) in crate::ident::Transport::ALL.into_iter().zip(sets) {
            if let Some(ports) = set.and_then(|set| self.sets.get(&set)) {
                let ports = PortRanges(ports.clone());
                let (connector, transport, count) = (name.to_string(), transport.name(), ports.0.count());
                rows.push(Row::Allowable { connector, transport, count, ports });
            }
        }
        rows
    }

    /// An item that names an unknown number is shown with `?`: `store verify` says what is wrong.
    fn list(&self, slot: u32) -> (&'static str, String) {
        match self.lists.get(&slot) {
            Some(target) => (target.transport().name(), target.dvipa_text()),
            None => ("?", "?".to_owned()),
        }
    }

    fn connector(&self, slot: u32) -> (String, u64) {
        match self.connectors.get(&slot) {
            Some((name, incarnation)) => (name.to_string(), *incarnation),
            None => ("?".to_owned(), 0),
        }
    }
}

fn policy_row(target: Target, policy: Policy) -> Option<Row> {
    let Policy { quota, reserve, quarantine_ms, clean_up_ms } = policy;
    let (transport, dvipa) = (target.transport().name(), target.dvipa_text());
    (policy != Policy::default()).then_some(Row::Policy {
        transport,
        dvipa,
        quota,
        reserve,
        quarantine_ms,
        clean_up_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::sample::items;

    #[test]
    fn the_lines_have_the_promised_keys_in_the_promised_order() {
        let mut writer = RowWriter::new(3, "ab".repeat(32));
        let lines: Vec<String> = items()
            .iter()
            .flat_map(|item| writer.rows(item))
            .map(|row| serde_json::to_string(&row).expect("plain data"))
            .collect();
        let of = |kind: &str| {
            let start = format!("{{\"kind\":\"{kind}\",");
            lines.iter().filter(|line| line.starts_with(&start)).map(String::as_str).collect::<Vec<_>>()
        };
        let digest = "ab".repeat(32);
        assert_eq!(
            of("structure"),
            [format!(r#"{{"kind":"structure","name":"EZBEPORT1121","epoch":3,"lsn":2097160,"digest":"{digest}"}}"#)]
        );
        assert_eq!(
            of("connector").first().map(|line| &line[..73]),
            Some(r#"{"kind":"connector","connector":"SYS1.TCPIP","incarnation":1,"state":"act"#)
        );
        assert_eq!(of("connector").len(), 2, "a forgotten connector is none");
        assert!(
            of("list")[0].starts_with(r#"{"kind":"list","transport":"tcp","dvipa":"10.1.1.1","state":"open""#),
            "{lines:#?}"
        );
        assert!(of("list")[1].starts_with(r#"{"kind":"list","transport":"tcp","dvipa":"ANY","state":"closed""#));
        assert!(
            of("member")[0]
                .starts_with(r#"{"kind":"member","transport":"tcp","dvipa":"10.1.1.1","connector":"SYS1.TCPIP""#)
        );
        assert_eq!(
            of("grant")[0],
            r#"{"kind":"grant","lsn":7,"transport":"tcp","dvipa":"10.1.1.1","group":700,"mask":"0xffffffffffffffff","connector":"SYS1.TCPIP","incarnation":1}"#
        );
        assert_eq!(
            of("quarantine")[0],
            r#"{"kind":"quarantine","lsn":9,"transport":"tcp","dvipa":"10.1.1.1","group":703,"mask":"0x00000000000000f0","connector":"SYS9.TCPIP"}"#
        );
        assert_eq!(
            of("policy"),
            [
                r#"{"kind":"policy","transport":"tcp","dvipa":"10.1.1.1","quota":4096,"reserve":2,"quarantine_ms":0,"clean_up_ms":0}"#
            ]
        );
        assert_eq!(of("range"), [r#"{"kind":"range","transport":"tcp","first":62000,"last":63023}"#]);
        assert_eq!(
            of("allowable")[0],
            r#"{"kind":"allowable","connector":"SYS1.TCPIP","transport":"tcp","count":64511,"ports":[[1024,8442],[8444,65535]]}"#
        );
    }
}
