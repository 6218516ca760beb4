//! The groups of one list that are in use, and as JSON.
#![forbid(unsafe_code)]

use super::state::Held;
use super::state::List;
use super::state::Quarantined;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A mask as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask(pub(crate) PortMask);

impl Serialize for Mask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// One group with a port held or in quarantine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used<'a> {
    /// Who holds ports of it: stacks in the order of their memberships.
    pub(crate) holders: Vec<Holder<'a>>,
    pub(crate) quarantine: Vec<&'a Quarantined>,
}

/// One grant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder<'a> {
    pub(crate) connector: &'a ConnectorName,
    pub(crate) lsn: Lsn,
    pub(crate) mask: PortMask,
    /// Taken from a stack's report: its lsn is of a history that was lost.
    pub(crate) adopted: bool,
}

/// The groups of a list that are in use, by number.
pub(crate) fn used(list: &List) -> BTreeMap<GroupNumber, Used<'_>> {
    let mut groups: BTreeMap<GroupNumber, Used<'_>> = BTreeMap::new();
    for member in &list.members {
        for held in &member.grants {
            let Held { lsn, group, mask, adopted } = *held;
            let holder = Holder { connector: &member.connector, lsn, mask, adopted };
            groups.entry(group).or_default().holders.push(holder);
        }
    }
    for ports in &list.quarantine {
        groups.entry(ports.group).or_default().quarantine.push(ports);
    }
    groups
}

impl Holder<'_> {
    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        json!({"connector": self.connector.as_str(), "lsn": self.lsn.0, "mask": Mask(self.mask)})
    }
}

impl Used<'_> {
    /// As JSON.
    pub(crate) fn json(&self, group: GroupNumber) -> Value {
        let quarantined = self.quarantine.iter().fold(PortMask::NONE, |all, ports| all.or(ports.mask));
        json!({
            "group": group.number(),
            "first": group.port_first(),
            "last": group.port_last(),
            "holders": self.holders.iter().map(Holder::json).collect::<Vec<_>>(),
            "quarantined": Mask(quarantined),
        })
    }
}

/// Every group in use as JSON.
pub(crate) fn groups_json(list: &List) -> Vec<Value> {
    used(list).into_iter().map(|(group, used)| used.json(group)).collect()
}
