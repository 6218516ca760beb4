//! What a store must hold, from the lines of `store exercise` alone.
//!
//! It shares no code with the structure: ports are bits of masks here, and everything known comes
//! from what was told. A request without an answer may have had its effect or not; the next `store
//! dump` settles it, and every row that no line explains is a fault.

use serde_json::Value;
use std::collections::BTreeMap;

/// A list: transport and address, as the lines name them.
pub(crate) type List = (String, String);

/// One grant that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) list: List,
    pub(crate) connector: String,
    pub(crate) group: u64,
    pub(crate) mask: u64,
}

/// Grants by lsn.
pub(crate) type Grants = BTreeMap<u64, Held>;

/// What was told so far, over all runs on one store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    grants: Grants,
    /// The highest lsn that an answer named.
    lsn: u64,
    epoch: u64,
    pub(crate) counts: Counts,
}

/// How much was told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) ok: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
    pub(crate) grants: u64,
    /// Requests without an answer that turned out to have had an effect.
    pub(crate) settled: u64,
}

/// What one run left open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    asked: BTreeMap<u64, Value>,
}

impl Model {
    /// Takes the lines of one run. A line without its end was not told.
    pub(crate) fn learn(&mut self, output: &str) -> Result<Run, String> {
        let mut run = Run::default();
        for line in output.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let told: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
            self.line(&mut run, &told).map_err(|fault| format!("{fault}: {line}"))?;
        }
        Ok(run)
    }

    fn line(&mut self, run: &mut Run, told: &Value) -> Result<(), String> {
        if told["ask"].is_string() {
            let before = run.asked.insert(number(told, "request")?, told.clone());
            return if before.is_some() { Err("a request number came twice".into()) } else { Ok(()) };
        }
        if told["ok"].is_string() {
            let ask = run.asked.remove(&number(told, "request")?).ok_or("nobody asked for it")?;
            self.counts.ok += 1;
            self.lsn = self.lsn.max(number(told, "lsn")?);
            return self.done(&ask, told);
        }
        if told["refused"].is_string() {
            self.counts.refused += 1;
            return run.asked.remove(&number(told, "request")?).map(drop).ok_or("nobody asked for it".into());
        }
        self.counts.unknown += u64::from(told["unknown"].is_string());
        Ok(())
    }

    fn done(&mut self, ask: &Value, told: &Value) -> Result<(), String> {
        let kind = text(ask, "ask")?;
        match kind.as_str() {
            "acquire" | "claim" => {
                for grant in told["grants"].as_array().ok_or("no grants")? {
                    self.counts.grants += 1;
                    let held = Held {
                        list: list(ask)?,
                        connector: text(ask, "connector")?,
                        group: number(grant, "group")?,
                        mask: mask(grant)?,
                    };
                    if self.grants.insert(number(grant, "lsn")?, held).is_some() {
                        return Err("an lsn was granted twice".into());
                    }
                }
            }
            "release" => {
                let lsn = number(ask, "grant")?;
                let held = self.grants.get_mut(&lsn).ok_or("a grant was released that nobody held")?;
                held.mask &= !mask(ask)?;
                if held.mask == 0 {
                    self.grants.remove(&lsn);
                }
            }
            "attach" => self.compare_attached(&text(ask, "connector")?, told)?,
            _ => self.grants.retain(|_, held| !ends(ask, held)),
        }
        Ok(())
    }

    /// An attach is answered with every grant of the connector, and no other.
    fn compare_attached(&self, connector: &str, told: &Value) -> Result<(), String> {
        let mut holds = Grants::new();
        for grant in told["holds"].as_array().ok_or("an attach without holds")? {
            let (group, mask) = (number(grant, "group")?, mask(grant)?);
            let held = Held { list: list(grant)?, connector: connector.to_owned(), group, mask };
            holds.insert(number(grant, "lsn")?, held);
        }
        let expected = self.grants.iter().filter(|(_, held)| held.connector == connector);
        let expected: Grants = expected.map(|(lsn, held)| (*lsn, held.clone())).collect();
        if holds == expected { Ok(()) } else { Err(format!("{connector} attached and was told other grants")) }
    }

    /// Compares with `store dump` after a run, and takes over what the open requests turned out to
    /// have done. Every fault is one line.
    pub(crate) fn compare(&mut self, run: &Run, dump: &str) -> Result<(), Vec<String>> {
        let state = State::read(dump).map_err(|fault| vec![fault])?;
        let mut faults = state.overlaps();
        if state.lsn < self.lsn {
            faults.push(format!("lsn {} was acknowledged, the store ends at {}", self.lsn, state.lsn));
        }
        if state.epoch < self.epoch {
            faults.push(format!("epoch {} went back to {}", self.epoch, state.epoch));
        }
        for (lsn, held) in &self.grants {
            let maybe = run.asked.values().map(|ask| may_end(ask, *lsn, held)).fold(0, |all, mask| all | mask);
            let there = state.grants.get(lsn);
            let left = there.map_or(0, |there| there.mask);
            if let Some(there) = there
                && (&there.list, &there.connector, there.group) != (&held.list, &held.connector, held.group)
            {
                faults.push(format!("grant {lsn} was {held:?}, the store has {there:?}"));
            }
            if held.mask & !maybe & !left != 0 {
                faults.push(format!("grant {lsn} {held:?} was acknowledged, the store has {there:?}"));
            }
            if left & !held.mask != 0 {
                faults.push(format!("grant {lsn} {held:?} was partly released, the store has {there:?}"));
            }
            self.counts.settled += u64::from(left != held.mask);
        }
        let mut open: Vec<(u64, &Value)> = run.asked.values().map(|ask| (may_make(ask), ask)).collect();
        for (lsn, there) in state.grants.iter().filter(|(lsn, _)| !self.grants.contains_key(lsn)) {
            match open.iter_mut().find(|(left, ask)| *left > 0 && explains(ask, there)) {
                Some((left, _)) => *left -= 1,
                None => faults.push(format!("grant {lsn} {there:?} is in the store and nobody was told or asked")),
            }
            self.counts.settled += 1;
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        (self.grants, self.lsn, self.epoch) = (state.grants, self.lsn.max(state.lsn), state.epoch);
        Ok(())
    }

    /// How many grants are held.
    pub(crate) fn held(&self) -> usize {
        self.grants.len()
    }
}

/// What `store dump` shows.
#[derive(Debug, Default)]
struct State {
    grants: Grants,
    quarantine: Vec<(u64, Held)>,
    lsn: u64,
    epoch: u64,
}

impl State {
    fn read(dump: &str) -> Result<Self, String> {
        let mut state = Self::default();
        for line in dump.lines() {
            let row: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
            match row["kind"].as_str() {
                Some("structure") => (state.lsn, state.epoch) = (number(&row, "lsn")?, number(&row, "epoch")?),
                Some(kind @ ("grant" | "quarantine")) => {
                    let held = Held {
                        list: list(&row)?,
                        connector: text(&row, "connector")?,
                        group: number(&row, "group")?,
                        mask: mask(&row)?,
                    };
                    let lsn = number(&row, "lsn")?;
                    if kind == "quarantine" {
                        state.quarantine.push((lsn, held));
                    } else if state.grants.insert(lsn, held).is_some() {
                        return Err(format!("two grants with lsn {lsn}"));
                    }
                }
                Some(_) => {}
                None => return Err(format!("a row without a kind: {line}")),
            }
        }
        if state.epoch == 0 && !state.grants.is_empty() {
            return Err("grants without a structure's row".into());
        }
        Ok(state)
    }

    /// Every port that is in use twice: by two grants, or held and in quarantine, or in two quarantines;
    /// on one list, or on a list and in the explicit-bind pool of the same transport.
    fn overlaps(&self) -> Vec<String> {
        let mut used: BTreeMap<(&List, u64), u64> = BTreeMap::new();
        let mut by_pool: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        let mut faults = Vec::new();
        let all = || self.grants.iter().chain(self.quarantine.iter().map(|(lsn, held)| (lsn, held)));
        for (lsn, held) in all() {
            let before = used.entry((&held.list, held.group)).or_default();
            if *before & held.mask != 0 {
                faults.push(format!("ports {:#018x} of {held:?}, lsn {lsn}, are in use twice", *before & held.mask));
            }
            *before |= held.mask;
            if held.list.1 == "ANY" {
                *by_pool.entry((&held.list.0, held.group)).or_default() |= held.mask;
            }
        }
        for (lsn, held) in all().filter(|(_, held)| held.list.1 != "ANY") {
            let taken = by_pool.get(&(held.list.0.as_str(), held.group)).copied().unwrap_or(0);
            if taken & held.mask != 0 {
                faults.push(format!("ports {:#018x} of {held:?}, lsn {lsn}, are in the pool too", taken & held.mask));
            }
        }
        faults
    }
}

/// Whether a done request, not a release, ended a whole hold.
fn ends(ask: &Value, held: &Held) -> bool {
    let is_of_connector = ask["connector"].as_str() == Some(&held.connector);
    match ask["ask"].as_str() {
        Some("leave") => is_of_connector && list(ask).is_ok_and(|list| list == held.list),
        Some("disconnect" | "clean-up") => is_of_connector,
        _ => false,
    }
}

/// The ports of a grant that an open request may have given back.
fn may_end(ask: &Value, lsn: u64, held: &Held) -> u64 {
    if ask["ask"] == "release" && ask["grant"].as_u64() == Some(lsn) {
        return mask(ask).unwrap_or(0);
    }
    if ends(ask, held) { held.mask } else { 0 }
}

/// How many grants an open request may have made.
fn may_make(ask: &Value) -> u64 {
    match ask["ask"].as_str() {
        Some("acquire") => ask["groups"].as_u64().unwrap_or(0),
        Some("claim") => 1,
        _ => 0,
    }
}

fn explains(ask: &Value, there: &Held) -> bool {
    let is_asker = ask["connector"].as_str() == Some(&there.connector);
    let is_list = list(ask).is_ok_and(|list| list == there.list);
    let is_port = match ask["port"].as_u64() {
        Some(port) => there.group == port / 64 && there.mask == 1 << (port % 64),
        None => true,
    };
    is_asker && is_list && is_port
}

fn list(value: &Value) -> Result<List, String> {
    Ok((text(value, "transport")?, text(value, "dvipa")?))
}

fn text(value: &Value, key: &str) -> Result<String, String> {
    value[key].as_str().map(str::to_owned).ok_or_else(|| format!("no {key} in {value}"))
}

fn number(value: &Value, key: &str) -> Result<u64, String> {
    value[key].as_u64().ok_or_else(|| format!("no {key} in {value}"))
}

fn mask(value: &Value) -> Result<u64, String> {
    let digits = text(value, "mask")?;
    let bare = digits.strip_prefix("0x").filter(|bare| bare.len() == 16);
    bare.and_then(|bare| u64::from_str_radix(bare, 16).ok()).ok_or_else(|| format!("no mask: {digits}"))
}
