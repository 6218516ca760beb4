//! What happened in a run, and the JSON that says so.
#![forbid(unsafe_code)]

use super::checker::Findings;
use super::settings::{QUARANTINE, Settings};
use super::worker::Tally;
use crate::cli::state::State;
use crate::facility::Status;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::structure::StopCause;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// One run.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) settings: Settings,
    /// Ports that sockets of others had before the run.
    pub(super) foreign: Vec<u16>,
    /// Whether the store was there before.
    pub(super) found: bool,
    pub(super) seed: u64,
    /// How long the load took.
    pub(super) seconds: f64,
    /// Each stack and what it did, in the order of their letters.
    pub(super) stacks: Vec<(ConnectorName, Tally)>,
    /// The facility's state at the end, every connection still open.
    pub(super) state: State,
    /// What the facility said of itself then.
    pub(super) status: Option<Status>,
    pub(super) recoveries: Vec<Recovery>,
    pub(super) findings: Findings,
    /// Holds and binds that the checker looked at.
    pub(super) looked_at: (u64, u64),
    /// Whether somebody ended it early.
    pub(super) interrupted: bool,
}

/// One crash and what came after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recovery {
    /// When it was killed, ms after the load began.
    pub(super) at_ms: u64,
    /// From spawning the process to serving, ms.
    pub(super) ms: f64,
    /// From the kill until every stack had attached, ms.
    pub(super) attached_ms: f64,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_s = self.at_ms as f64 / 1e3;
        let Self { ms, attached_ms, .. } = self;
        write!(
            f,
            "{at_s:>6.2} s  killed with SIGKILL; serving {ms:.1} ms after it was started again, \
             every stack attached {attached_ms:.1} ms after the kill"
        )
    }
}

/// Groups and ports of one stack at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) groups: u64,
    pub(super) ports: u64,
}

impl Outcome {
    pub(super) fn connections(&self) -> u64 {
        self.stacks.iter().map(|(_, tally)| tally.connections).sum()
    }

    pub(super) fn per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.connections() as f64 / self.seconds } else { 0.0 }
    }

    /// Opened while the facility was dead.
    pub(super) fn while_down(&self) -> u64 {
        self.stacks.iter().map(|(_, tally)| tally.while_down).sum()
    }

    /// What a stack holds at the end, in all lists.
    pub(super) fn held(&self, name: &ConnectorName) -> Held {
        let mut held = Held::default();
        for member in self.state.lists.iter().flat_map(|list| &list.members).filter(|member| member.connector == *name)
        {
            let groups: BTreeSet<GroupNumber> = member.grants.iter().map(|grant| grant.group).collect();
            held.groups += groups.len() as u64;
            held.ports += member.grants.iter().map(|grant| u64::from(grant.mask.count())).sum::<u64>();
        }
        held
    }

    /// Why nothing was granted at the end, if it was so.
    pub(super) fn stopped(&self) -> Option<StopCause> {
        self.status.as_ref()?.stop.as_ref().map(|stop| stop.cause)
    }

    /// What the facility raised since its last start.
    pub(super) fn alarms(&self) -> Vec<&str> {
        let alarms = self.status.iter().flat_map(|status| &status.alarms);
        alarms.map(|alarm| alarm.text.as_str()).collect()
    }

    /// As one JSON object.
    pub(super) fn json(&self) -> Value {
        let stack = |(name, tally): &(ConnectorName, Tally)| {
            let held = self.held(name);
            json!({
                "name": name,
                "connections": tally.connections,
                "groups": held.groups,
                "ports": held.ports,
                "while_down": tally.while_down,
                "adopted_groups": tally.adopted_groups,
                "adopted_given_back": tally.adopted_given_back,
                "given_back": tally.given_back,
                "claims": tally.claims,
                "claims_refused": tally.claims_refused,
                "foreign_met": tally.foreign_met,
            })
        };
        let recovery = |recovery: &Recovery| json!({"at_ms": recovery.at_ms, "ms": round(recovery.ms), "attached_ms": round(recovery.attached_ms)});
        let stand_ins = self.settings.stand_ins.iter();
        json!({
            "structure": self.settings.structure,
            "data": self.settings.data.display().to_string(),
            "found": self.found,
            "stacks": self.stacks.iter().map(stack).collect::<Vec<_>>(),
            "connections": self.connections(),
            "connections_while_down": self.while_down(),
            "connections_per_second": round(self.per_second()),
            "seconds": round(self.seconds),
            "crashes": self.recoveries.len(),
            "recoveries": self.recoveries.iter().map(recovery).collect::<Vec<_>>(),
            "duplicates": self.findings.duplicates(),
            "findings": {
                "overlaps": self.findings.overlaps,
                "early": self.findings.early,
                "own_in_use": self.findings.own_in_use,
                "unheld": self.findings.unheld,
                "released_in_use": self.findings.released_in_use,
                "lost": self.findings.lost,
                "texts": self.findings.texts,
            },
            "checked": {"holds": self.looked_at.0, "binds": self.looked_at.1},
            "quarantine_ms": QUARANTINE.as_millis() as u64,
            "stopped": self.stopped().map(StopCause::name),
            "storage_full": self.status.as_ref().and_then(|status| status.storage.as_ref()),
            "alarms": self.alarms(),
            "stand_ins": stand_ins.map(|(dvipa, address)| json!({"dvipa": dvipa, "address": address})).collect::<Vec<_>>(),
            "foreign_ports": self.foreign,
            "remarks": self.settings.remarks,
            "seed": self.seed,
            "interrupted": self.interrupted,
        })
    }
}

fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
