//! What the clients know: a model of the structure that learns from answers only.
//!
//! It shares no code with the structure. `faults` compares it with a state that was recovered.

use portplex::ident::{BootId, Target};
use portplex::structure::{ConnectorState, Item, Structure};
use std::collections::{BTreeMap, BTreeSet};

/// A grant as its answer told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) target: Target,
    pub(crate) group: u16,
    pub(crate) mask: u64,
    pub(crate) holder: String,
}

/// Ports that were given back.
#[derive(Clone, Debug)]
pub(crate) struct Resting {
    pub(crate) target: Target,
    pub(crate) group: u16,
    pub(crate) mask: u64,
    pub(crate) by: (String, BootId),
    /// Boot clock, ms: not to be given to others before this.
    pub(crate) until: u64,
}

/// Everything that was acknowledged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// By lsn.
    pub(crate) grants: BTreeMap<u64, Held>,
    pub(crate) resting: Vec<Resting>,
    /// Incarnation, and whether it is failed-persistent.
    pub(crate) connectors: BTreeMap<String, (u64, bool)>,
    pub(crate) members: BTreeSet<(Target, String)>,
    pub(crate) defined: BTreeSet<Target>,
    /// Lists that come and go by themselves: their members are not compared.
    pub(crate) unsure: BTreeSet<Target>,
    /// The highest lsn of any answer.
    pub(crate) lsn: u64,
}

impl Model {
    /// Takes a grant in; faults if it takes what others have or may not have yet.
    pub(crate) fn grant(&mut self, lsn: u64, held: Held, boot: BootId, now: u64) -> Result<(), String> {
        for (other, there) in &self.grants {
            if there.target == held.target && there.group == held.group && there.mask & held.mask != 0 {
                return Err(format!("{held:?} was granted under {lsn} while {there:?} is held under {other}"));
            }
        }
        let by = (held.holder.clone(), boot);
        for rest in &mut self.resting {
            if rest.target == held.target && rest.group == held.group && rest.mask & held.mask != 0 {
                if rest.until > now && rest.by != by {
                    return Err(format!("{held:?} was granted at {now} ms, and {rest:?} is in quarantine"));
                }
                rest.mask &= !held.mask;
            }
        }
        self.resting.retain(|rest| rest.mask != 0);
        if lsn <= self.lsn && self.lsn != 0 && self.grants.contains_key(&lsn) {
            return Err(format!("token {lsn} was granted twice"));
        }
        self.grants.insert(lsn, held);
        Ok(())
    }

    /// Ports of one grant are given back.
    pub(crate) fn release(&mut self, lsn: u64, mask: u64, boot: BootId, until: u64) {
        let Some(held) = self.grants.get_mut(&lsn) else { return };
        let given = held.mask & mask;
        held.mask &= !mask;
        let rest =
            Resting { target: held.target, group: held.group, mask: given, by: (held.holder.clone(), boot), until };
        if held.mask == 0 {
            self.grants.remove(&lsn);
        }
        self.resting.push(rest);
    }

    /// Everything of a holder is given back, in one list or in all.
    pub(crate) fn release_all(&mut self, holder: &str, target: Option<Target>, boot: BootId, until: u64) {
        let ours = |held: &Held| held.holder == holder && target.is_none_or(|target| held.target == target);
        let lsns: Vec<u64> = self.grants.iter().filter(|(_, held)| ours(held)).map(|(lsn, _)| *lsn).collect();
        for lsn in lsns {
            self.release(lsn, u64::MAX, boot, until);
        }
        self.members.retain(|(list, name)| name != holder || target.is_some_and(|target| target != *list));
    }

    /// What a state has that was never acknowledged, or lacks. `now` is the boot clock.
    pub(crate) fn faults(&self, state: &Structure, now: u64) -> Vec<String> {
        let seen = Seen::of(state);
        let mut faults = Vec::new();
        let mut differ = |what: &str, expected: String, found: String| {
            if expected != found {
                faults.push(format!("{what}: acknowledged {expected}, recovered {found}"));
            }
        };
        for lsn in self.grants.keys().chain(seen.grants.keys()).collect::<BTreeSet<_>>() {
            let (expected, found) = (self.grants.get(lsn), seen.grants.get(lsn));
            differ(&format!("grant {lsn}"), format!("{expected:?}"), format!("{found:?}"));
        }
        differ("connectors", format!("{:?}", self.connectors), format!("{:?}", seen.connectors));
        let sure = |members: &BTreeSet<(Target, String)>| {
            let members = members.iter().filter(|(target, _)| !self.unsure.contains(target));
            format!("{:?}", members.collect::<Vec<_>>())
        };
        differ("members", sure(&self.members), sure(&seen.members));
        for target in &self.defined {
            differ(&format!("list {target}"), "Some(true)".into(), format!("{:?}", seen.lists.get(target)));
        }
        let mut rested: BTreeMap<(Target, u16), u64> = BTreeMap::new();
        for rest in &self.resting {
            *rested.entry((rest.target, rest.group)).or_default() |= rest.mask;
            let there = seen.resting.get(&(rest.target, rest.group)).copied().unwrap_or(0);
            if rest.until > now && there & rest.mask != rest.mask {
                faults.push(format!("{rest:?} left quarantine before its time, at {now} ms"));
            }
        }
        for (place, mask) in &seen.resting {
            if mask & !rested.get(place).copied().unwrap_or(0) != 0 {
                faults.push(format!("{place:?}: ports {mask:#x} are in quarantine, and were never given back"));
            }
        }
        faults
    }
}

/// A state in the model's words.
#[derive(Debug, Default)]
struct Seen {
    grants: BTreeMap<u64, Held>,
    resting: BTreeMap<(Target, u16), u64>,
    connectors: BTreeMap<String, (u64, bool)>,
    members: BTreeSet<(Target, String)>,
    lists: BTreeMap<Target, bool>,
}

impl Seen {
    fn of(state: &Structure) -> Self {
        let mut seen = Self::default();
        let (mut targets, mut names, mut members) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for item in state.items() {
            match item {
                Item::List { list, target, open, .. } => {
                    targets.insert(list, target);
                    seen.lists.insert(target, open);
                }
                Item::Connector { connector, name, incarnation, state, .. } => {
                    names.insert(connector, name.as_str().to_owned());
                    let failed = state == ConnectorState::FailedPersistent;
                    if state != ConnectorState::Forgotten {
                        seen.connectors.insert(name.as_str().to_owned(), (incarnation.0, failed));
                    }
                }
                Item::Member { member, connector, list, .. } => {
                    members.insert(member, (targets[&list], names[&connector].clone()));
                    seen.members.insert((targets[&list], names[&connector].clone()));
                }
                Item::Grant { lsn, member, group, mask, .. } => {
                    let (target, holder) = members[&member].clone();
                    seen.grants.insert(lsn.0, Held { target, group: group.number(), mask: mask.0, holder });
                }
                Item::Quarantine { list, group, mask, .. } => {
                    *seen.resting.entry((targets[&list], group.number())).or_default() |= mask.0;
                }
                Item::Head { .. } | Item::Stop { .. } | Item::Range { .. } | Item::Set { .. } | Item::Window { .. } => {
                }
            }
        }
        seen
    }
}
