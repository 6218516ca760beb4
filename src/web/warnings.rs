//! What an operator should heed, the gravest first: each with what it means and the way out.
#![forbid(unsafe_code)]

use super::hosted::View;
use crate::facility::Status;
use crate::structure::ConnectorState;
use crate::structure::ListView;
use crate::structure::StopCause;
use serde_json::{Value, json};
use std::cmp::Reverse;

/// Warnings that are told.
const WARNINGS_MAX: usize = 100;
/// Lists that are looked at: those with the most ports in use.
const LISTS_MAX: usize = 4_096;
/// Under so many percent of what could be granted a list is nearly exhausted.
const PERCENT_LOW: u64 = 10;
/// A list that is full within this time if it goes on like that, ms.
const FULL_SOON_MS: u64 = 60 * 60 * 1_000;
/// A shorter quarantine may be over before the remote side has forgotten, ms.
const QUARANTINE_SHORT_MS: u32 = 60_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Somebody is refused now.
    Critical,
    /// Somebody will be, or waits for an operator.
    Warning,
    /// To be known.
    Note,
}

/// One thing to heed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) level: Level,
    /// For programs.
    pub(crate) code: &'static str,
    /// What it is about: a list, a connector, or nothing of these.
    pub(crate) subject: Option<String>,
    pub(crate) text: String,
    pub(crate) way_out: String,
}

impl Warning {
    pub(crate) fn json(&self) -> Value {
        let level = match self.level {
            Level::Critical => "critical",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        json!({
            "level": level,
            "code": self.code,
            "subject": self.subject,
            "text": self.text,
            "way_out": self.way_out,
        })
    }
}

/// The first 100, and how many more there are.
pub(crate) fn all(view: &View<'_>, status: &Status) -> (Vec<Warning>, usize) {
    let mut warnings: Vec<Warning> = stopped(status).into_iter().chain(full(status)).collect();
    warnings.extend(failed(view));
    warnings.extend(lists(view));
    warnings.sort_by_key(|warning| warning.level);
    let left_out = warnings.len().saturating_sub(WARNINGS_MAX);
    warnings.truncate(WARNINGS_MAX);
    (warnings, left_out)
}

fn stopped(status: &Status) -> Option<Warning> {
    let stop = status.stop.as_ref()?;
    let (why, way_out) = match stop.cause {
        StopCause::PowerLoss => (
            "the machine went down, and the last frame may be lost",
            "It goes on by itself once every active connector has attached, after one lease at the latest.",
        ),
        StopCause::DataLost => (
            "a stack proved that this store lost acknowledged data",
            "Let every stack attach, then resume granting: portplex store resume --help.",
        ),
        _ => (
            "this store was restored, and stacks may hold ports that it does not know",
            "Let every stack attach, or vouch for the dead, then resume granting: portplex store resume --help.",
        ),
    };
    let adopted = match stop.adopted_ports {
        0 => String::new(),
        ports => format!(" {ports} ports that stacks reported and the log had lost were adopted."),
    };
    let waiting = match stop.waiting_for.len() {
        0 => String::new(),
        _ => {
            let names: Vec<&str> = stop.waiting_for.iter().map(crate::ident::ConnectorName::as_str).collect();
            format!(" Not attached yet: {}.", names.join(", "))
        }
    };
    Some(Warning {
        level: Level::Critical,
        code: "granting-stopped",
        subject: None,
        text: format!("Granting is stopped ({}) since lsn {}: {why}.{adopted}{waiting}", stop.cause.name(), stop.since),
        way_out: way_out.to_owned(),
    })
}

fn full(status: &Status) -> Option<Warning> {
    let reason = status.storage.as_ref()?;
    Some(Warning {
        level: Level::Critical,
        code: "storage-full",
        subject: None,
        text: format!("The storage is full, nothing new is granted: {reason}."),
        way_out: "Make room on the file system of the store: granting goes on by itself.".to_owned(),
    })
}

fn failed<'a>(view: &'a View<'_>) -> impl Iterator<Item = Warning> + 'a {
    let failed = view.copy.structure.connectors().filter(|known| known.state == ConnectorState::FailedPersistent);
    failed.map(|known| Warning {
        level: Level::Warning,
        code: "failed-persistent",
        subject: Some(known.name.to_string()),
        text: format!(
            "{} is failed-persistent: its stack is gone, {} ports are kept for it.",
            known.name, known.held_ports
        ),
        way_out:
            "It gets them back when it attaches. If its machine is gone for good, clean it up: portplex connector \
                  clean-up --help."
                .to_owned(),
    })
}

fn lists(view: &View<'_>) -> Vec<Warning> {
    let mut busy: Vec<ListView> = view.copy.structure.lists().collect();
    busy.sort_by_key(|list| Reverse(in_use(list)));
    busy.truncate(LISTS_MAX);
    busy.iter().flat_map(|list| [exhaustion(view, list), short(view, list)]).flatten().collect()
}

const fn in_use(list: &ListView) -> u32 {
    list.held_ports + list.quarantined_ports
}

/// Little is left, or it goes fast. Of an open list: a closed one grants nothing anyway.
fn exhaustion(view: &View<'_>, list: &ListView) -> Option<Warning> {
    let room = view.copy.structure.room(list.list).filter(|_| list.open)?;
    let (left, of) = (u64::from(room.grantable), u64::from(room.grantable_max));
    let target = list.target;
    let counts = format!(
        "{} held, {} in quarantine, {left} of {of} can still be granted",
        list.held_ports, list.quarantined_ports
    );
    let way_out =
        "Add a DVIPA, widen EPHEMERALPORTS, or find who holds too much; a quota keeps one stack from taking all.";
    let warning = |level, code, text| Warning {
        level,
        code,
        subject: Some(target.to_string()),
        text,
        way_out: way_out.to_owned(),
    };
    if of == 0 || in_use(list) == 0 {
        return None;
    }
    if left == 0 {
        let text = format!("{target} is exhausted: {counts}.");
        return Some(warning(Level::Critical, "exhausted", text));
    }
    let soon = view.copy.trends.full_in_ms(list.list, view.clocks.boot, in_use(list), room.grantable);
    match soon.filter(|ms| *ms < FULL_SOON_MS) {
        Some(ms) => {
            let minutes = ms.div_ceil(60_000);
            let text = format!("{target} is exhausted in about {minutes} min if it goes on like this: {counts}.");
            Some(warning(Level::Warning, "exhaustion-near", text))
        }
        None if left * 100 < of * PERCENT_LOW => {
            Some(warning(Level::Warning, "nearly-exhausted", format!("{target} is nearly exhausted: {counts}.")))
        }
        None => None,
    }
}

fn short(view: &View<'_>, list: &ListView) -> Option<Warning> {
    let length = if list.policy.quarantine_ms == 0 { view.clocks.quarantine_ms } else { list.policy.quarantine_ms };
    (list.policy.quarantine_ms != 0 && length < QUARANTINE_SHORT_MS).then(|| Warning {
        level: Level::Note,
        code: "short-quarantine",
        subject: Some(list.target.to_string()),
        text: format!(
            "{} has a quarantine of {length} ms: the remote side may remember a connection for longer.",
            list.target
        ),
        way_out: "Set it to 60 s at least, 120 s is safe.".to_owned(),
    })
}
