//! What was found, as text and as JSON.
#![forbid(unsafe_code)]

use super::hold::Hold;
use super::hold::Moment;
use super::hold::Way;
use super::track::Lost;
use super::track::Port;
use super::track::Tracker;
use super::track::Unknown;
use crate::cli::log::rfc3339;
use crate::cli::size::counted;
use crate::ident::Transport;
use crate::ident::WallMs;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The times of the log stood still for at least so long: it is said.
const STOOD_MS_MIN: u64 = 1_000;

/// What the log tells of one port.
pub(super) struct Found {
    /// The port, as it is written.
    pub(super) what: String,
    pub(super) transport: Transport,
    pub(super) at: Option<WallMs>,
    /// At the end of the log.
    pub(super) now: Port,
    pub(super) tracker: Tracker,
}

/// The port at the moment asked about.
enum State<'a> {
    Held(Vec<&'a Hold>),
    Quarantined(&'a Hold),
    Free,
    Unknown(Why),
}

/// Why something is not known.
enum Why {
    /// It is older than the log.
    Older,
    /// The log speaks of stacks that it does not name.
    Unnamed(Unknown),
}

impl Found {
    fn state(&self) -> State<'_> {
        let tracker = &self.tracker;
        let Some(at) = self.at else {
            return match &self.now {
                Port::Held(hold) => State::Held(vec![hold]),
                Port::Resting(hold) => State::Quarantined(hold),
                Port::Free => State::Free,
                Port::Unknown { .. } => match tracker.unknown.last() {
                    Some(unknown) if unknown.until.wall.is_some() => State::Unknown(Why::Unnamed(*unknown)),
                    _ => State::Unknown(Why::Older),
                },
            };
        };
        if tracker.first.and_then(|first| first.wall).is_none_or(|first| at < first) {
            return State::Unknown(Why::Older);
        }
        let held: Vec<&Hold> = tracker.kept.holds.iter().rev().collect();
        if !held.is_empty() {
            return State::Held(held);
        }
        let begins_by = |from: Option<Moment>| from.and_then(|from| from.wall).is_none_or(|from| from <= at);
        let within =
            |unknown: &&Unknown| begins_by(unknown.from) && unknown.until.wall.is_some_and(|until| until >= at);
        if let Some(unknown) = tracker.unknown.iter().find(within) {
            return State::Unknown(Why::Unnamed(*unknown));
        }
        match &tracker.kept.before {
            Some(hold) if hold.rests_at(at) && !tracker.is_unsure_after(hold) => State::Quarantined(hold),
            _ => State::Free,
        }
    }

    fn port(&self) -> String {
        if self.transport == Transport::Tcp { self.what.clone() } else { format!("{} ({})", self.what, self.transport) }
    }

    fn answer(&self, state: &State<'_>) -> String {
        let port = self.port();
        let (then, is_then) = match self.at {
            Some(at) => (format!(" at {}", rfc3339(at)), true),
            None => (String::new(), false),
        };
        let was = if is_then { "was" } else { "is" };
        match state {
            State::Held(holds) => {
                let names: Vec<String> = holds.iter().rev().map(|hold| name(hold)).collect();
                format!("{port} {was} held by {}{then}.", names.join(", then by "))
            }
            State::Quarantined(hold) => {
                format!("Nobody {} {port}{then}: it {was} in quarantine after {}.", held(is_then), name(hold))
            }
            State::Free => format!("Nobody {} {port}{then}.", held(is_then)),
            State::Unknown(why) => {
                let why = match (why, self.tracker.first) {
                    (Why::Older, Some(first)) => format!("the oldest record that is kept is of {}", shown(&first)),
                    (Why::Older, None) => "the log has no record".to_owned(),
                    (Why::Unnamed(unknown), _) => format!(
                        "up to {} the log has records of stacks that it does not name, whose beginning was retired",
                        shown(&unknown.until)
                    ),
                };
                format!("It is not known who {} {port}{then}: {why}.", held(is_then))
            }
        }
    }

    /// What limits the answer.
    fn notes(&self) -> Vec<String> {
        let tracker = &self.tracker;
        let mut notes = Vec::new();
        let last_wall = tracker.last.and_then(|last| last.wall);
        if let (Some(at), Some(last)) = (self.at, &tracker.last)
            && last_wall.is_some_and(|last| at > last)
        {
            notes.push(format!("The log ends before that, at {}: this is what was so at its end.", shown(last)));
        }
        let concerns = |lost: &&Lost| match self.at {
            None => true,
            Some(at) => {
                let after = lost.after.and_then(|after| after.wall).is_none_or(|after| after <= at);
                after && lost.until.wall.is_some_and(|until| at <= until)
            }
        };
        for lost in tracker.lost.iter().filter(concerns) {
            let after = lost.after.map_or_else(|| "its beginning".to_owned(), |after| shown(&after));
            notes.push(format!(
                "Between {after} and {} records may be missing ({}): what was granted and given back meanwhile is not in \
                 this log.",
                shown(&lost.until),
                lost.cause.name()
            ));
        }
        if self.at.is_none() {
            for unknown in &tracker.unknown {
                let from = unknown.from.map_or_else(|| "The beginning of the log".to_owned(), |from| shown(&from));
                notes.push(format!(
                    "{from} to {}: not known, the log has records of stacks that it does not name, whose beginning was \
                     retired.",
                    shown(&unknown.until)
                ));
            }
            if let Some(first) = tracker.first {
                notes.push(format!(
                    "The oldest record that is kept is of {}: what was before is unknown.",
                    shown(&first)
                ));
            }
            let more = tracker.kept.total - tracker.kept.holds.len() as u64;
            if more > 0 {
                notes.push(format!("{} before these: --limit shows more.", counted(more, "hold")));
            }
        }
        notes
    }

    pub(super) fn text(&self) -> String {
        let state = self.state();
        let mut text = format!("{}\n", self.answer(&state));
        let kept = &self.tracker.kept;
        for hold in kept.holds.iter().rev() {
            let _ = write!(text, "\n{}", self.hold_text(hold));
        }
        let around = [("Before that", &kept.before), ("After that", &kept.after)];
        for (when, hold) in around.into_iter().filter(|_| !matches!(state, State::Held(_))) {
            if let Some(hold) = hold {
                let _ = write!(text, "\n{when}:\n{}", self.hold_text(hold));
            }
        }
        let notes = self.notes();
        if !notes.is_empty() {
            text.push('\n');
        }
        for note in notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }

    fn hold_text(&self, hold: &Hold) -> String {
        let mut text = format!("{}\n", who(hold));
        let ports = ports(hold);
        let _ = match (&hold.from, hold.adopted, hold.grant) {
            (Some(from), true, Some(grant)) => {
                writeln!(text, "  from   {}: adopted as the stack reported it, token {grant}; {ports}", shown(from))
            }
            (Some(from), ..) => writeln!(text, "  from   {}: granted; {ports}", shown(from)),
            (None, ..) => writeln!(text, "  from   before the oldest record that is kept"),
        };
        if let Some((failed, by)) = &hold.failed {
            let by = by.as_ref().map_or_else(|| "its lease ran out".to_owned(), |by| format!("by the word of {by}"));
            let _ = writeln!(text, "  since  {}: failed-persistent, {by}", shown(failed));
        }
        match &hold.until {
            Some(end) => {
                let _ = writeln!(text, "  until  {}: {}", shown(&end.at), way_text(&end.way));
                if let Some(ready) = &hold.ready {
                    let _ = writeln!(text, "  then in quarantine until {}", shown(ready));
                }
            }
            None => {
                let last = self.tracker.last.map_or_else(|| "its last record".to_owned(), |last| shown(&last));
                let _ = writeln!(text, "  until  the end of the log at least, {last}");
            }
        }
        text
    }

    /// In one word, and in one sentence.
    pub(super) fn state_and_answer(&self) -> (&'static str, String) {
        let state = self.state();
        let name = match &state {
            State::Held(_) => "held",
            State::Quarantined(_) => "quarantined",
            State::Free => "free",
            State::Unknown(_) => "unknown",
        };
        (name, self.answer(&state))
    }

    pub(super) fn json(&self) -> Value {
        let tracker = &self.tracker;
        let (name, answer) = self.state_and_answer();
        let holders: Vec<Value> = tracker.kept.holds.iter().rev().map(hold_json).collect();
        let unknown: Vec<Value> = tracker
            .unknown
            .iter()
            .map(|unknown| json!({"from": moment(unknown.from.as_ref()), "until": moment(Some(&unknown.until))}))
            .collect();
        let lost: Vec<Value> = tracker
            .lost
            .iter()
            .map(|lost| {
                json!({
                    "cause": lost.cause.name(),
                    "after": moment(lost.after.as_ref()),
                    "until": moment(Some(&lost.until)),
                })
            })
            .collect();
        json!({
            "what": self.what,
            "transport": self.transport.name(),
            "at": self.at.map(rfc3339),
            "at_ms": self.at.map(|at| at.0),
            "state": name,
            "answer": answer,
            "holders": holders,
            "total": tracker.kept.total,
            "before": tracker.kept.before.as_ref().map(hold_json),
            "after": tracker.kept.after.as_ref().map(hold_json),
            "unknown": unknown,
            "lost": lost,
            "log": {"first": moment(tracker.first.as_ref()), "last": moment(tracker.last.as_ref())},
            "notes": self.notes(),
        })
    }
}

const fn held(is_then: bool) -> &'static str {
    if is_then { "held" } else { "holds" }
}

fn name(hold: &Hold) -> String {
    match &hold.holder.name {
        Some(name) => name.to_string(),
        None => format!("connector number {}, whose name is no longer in the log", hold.holder.slot),
    }
}

/// Name, incarnation, machine and boot.
fn who(hold: &Hold) -> String {
    let mut text = name(hold);
    match (hold.holder.incarnation, hold.newest) {
        (Some(first), Some(last)) if first != last => {
            let _ = write!(text, ", incarnation {first}, in the end {last}");
        }
        (Some(incarnation), _) => drop(write!(text, ", incarnation {incarnation}")),
        (None, Some(last)) => drop(write!(text, ", in the end incarnation {last}")),
        (None, None) => {}
    }
    if let Some(identity) = &hold.holder.identity {
        let _ = write!(text, "\n  machine {:032x}, boot {:032x}", identity.machine.0, identity.boot.0);
    }
    text
}

fn ports(hold: &Hold) -> String {
    let group = hold.group;
    let count = counted(hold.mask.count(), "port");
    format!("{count} of group {} (ports {}-{})", group.number(), group.port_first(), group.port_last())
}

fn way_text(way: &Way) -> String {
    match way {
        Way::Released => "the stack gave it back".to_owned(),
        Way::Left => "the stack left the list".to_owned(),
        Way::Disconnected => "the stack disconnected".to_owned(),
        Way::BootChanged => "the stack came back under another boot".to_owned(),
        Way::CleanedUp { by, boot_is_dead } => {
            let vouched = if *boot_is_dead { ", who stated that its boot is dead" } else { "" };
            format!("cleaned up by the word of {by}{vouched}")
        }
        Way::Revoked => "another stack proved a younger grant".to_owned(),
        Way::NotKept => "it ended, and how is no longer in the log".to_owned(),
        Way::Unsure => "or later; whether the stack came back under another boot is no longer in the log".to_owned(),
    }
}

/// `2026-11-22T08:22:01.123Z (lsn 7)`.
fn shown(moment: &Moment) -> String {
    let Moment { lsn, wall, stood_ms } = moment;
    match wall {
        Some(wall) if *stood_ms >= STOOD_MS_MIN => {
            let stood_s = stood_ms / 1_000;
            format!("{} (lsn {lsn}; the clock was set back, true time about {stood_s} s later)", rfc3339(*wall))
        }
        Some(wall) => format!("{} (lsn {lsn})", rfc3339(*wall)),
        None => format!("a time that is no longer in the log (lsn {lsn})"),
    }
}

fn moment(moment: Option<&Moment>) -> Value {
    let Some(Moment { lsn, wall, stood_ms }) = moment else { return Value::Null };
    json!({"lsn": lsn.0, "wall": wall.map(rfc3339), "wall_ms": wall.map(|wall| wall.0), "stood_ms": stood_ms})
}

fn hold_json(hold: &Hold) -> Value {
    let until = hold.until.as_ref().map(|end| {
        let mut until = moment(Some(&end.at));
        until["how"] = end.way.name().into();
        if let Way::CleanedUp { by, boot_is_dead } = &end.way {
            until["by"] = by.as_str().into();
            until["boot_is_dead"] = (*boot_is_dead).into();
        }
        until
    });
    let failed = hold.failed.as_ref().map(|(at, by)| {
        let mut failed = moment(Some(at));
        failed["by"] = by.as_ref().map(|by| by.as_str().to_owned()).into();
        failed
    });
    let identity = hold.holder.identity;
    json!({
        "connector": hold.holder.name.as_ref().map(|name| name.as_str().to_owned()),
        "connector_number": hold.holder.slot,
        "incarnation": hold.holder.incarnation.map(|lsn| lsn.0),
        "newest_incarnation": hold.newest.map(|lsn| lsn.0),
        "machine": identity.map(|identity| format!("{:032x}", identity.machine.0)),
        "boot": identity.map(|identity| format!("{:032x}", identity.boot.0)),
        "grant": hold.grant.map(|lsn| lsn.0),
        "group": hold.group.number(),
        "first": hold.group.port_first(),
        "last": hold.group.port_last(),
        "mask": hold.mask.to_string(),
        "adopted": hold.adopted,
        "from": moment(hold.from.as_ref()),
        "failed": failed,
        "until": until,
        "quarantine_until": moment(hold.ready.as_ref()),
    })
}
