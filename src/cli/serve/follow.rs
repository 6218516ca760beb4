//! From the events of a store to lines of the log: a thread for each structure.
//!
//! It takes what the facility offers to everybody, its feed of acts and its status: nothing below this
//! knows of a log.
#![forbid(unsafe_code)]

use super::line::Line;
use super::open::Opened;
use crate::cli::log::Names;
use crate::facility::Alarm;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::LogFiles;
use crate::facility::Query;
use crate::facility::Rows;
use crate::facility::Status;
use crate::facility::Watch;
use crate::facility::WatchError;
use crate::ident::ConnectorName;
use crate::ident::Lsn;
use crate::ident::Target;
use crate::shapes;
use crate::structure::Change;
use crate::structure::Event;
use crate::structure::Item;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long it waits for an event before it looks at the status.
const PATIENCE: Duration = Duration::from_millis(250);

/// The threads.
pub(super) struct Followers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Followers {
    pub(super) fn start(opened: &Opened) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for store in &opened.stores {
            let (name, facility, stop) = (store.name.to_string(), Arc::clone(&store.facility), Arc::clone(&stop));
            let status = store.status.clone();
            let work = move || follow(&name, &facility, &stop, status);
            match std::thread::Builder::new().name("portplex-log".to_owned()).spawn(work) {
                Ok(thread) => threads.push(thread),
                Err(error) => Line::of("log-failed").error(format!("no thread for the log of events: {error}")),
            }
        }
        Self { stop, threads }
    }

    /// Tells what has happened up to now, and ends.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            // What it panicked about was told by the panic.
            let _ = thread.join();
        }
    }
}

fn follow(structure: &str, facility: &LocalFacility, stop: &AtomicBool, opened: Status) {
    let files = facility.log_files();
    let mut seen =
        Seen { storage: opened.storage, alarms: opened.alarms, checkpoint: facility.checkpoint_lsn(), files };
    'watch: loop {
        // Grants are many: they are looked at only where each of them is written.
        let is_tracing = Line::is_tracing();
        let watched = if is_tracing { facility.watch_from(facility.readings().durable) } else { facility.watch_acts() };
        let Ok(mut watch) = watched else { return };
        // After the watch began: what it brings is newer, or known already and the same.
        let mut names = Names::of_items(named(facility).into_iter());
        loop {
            let is_last = stop.load(Ordering::SeqCst);
            match next(&mut watch, if is_last { Duration::ZERO } else { PATIENCE }) {
                Next::Event(lsn, event) => {
                    names.learn(lsn, &event);
                    tell(structure, lsn, &event, &names);
                    continue;
                }
                Next::Nothing => {
                    seen.look(structure, facility);
                    if is_tracing != Line::is_tracing() && !is_last {
                        continue 'watch;
                    }
                }
                Next::Lagged => {
                    Line::about("log-lagged", structure).warn(
                        "events came faster than they could be told: some are missing here, none in the store's log",
                    );
                    continue 'watch;
                }
                Next::Over => return,
            }
            if is_last {
                return;
            }
        }
    }
}

enum Next {
    Event(Lsn, Event),
    Nothing,
    Lagged,
    Over,
}

fn next(watch: &mut Watch, patience: Duration) -> Next {
    match watch.next(patience) {
        Ok(Some((lsn, event))) => Next::Event(lsn, event),
        Ok(None) => Next::Nothing,
        Err(WatchError::Lagged { .. }) => Next::Lagged,
        Err(_) => Next::Over,
    }
}

/// What has a name: the items that come before the grants.
fn named(facility: &LocalFacility) -> Vec<Item> {
    let (mut all, mut from) = (Vec::new(), Some(0));
    while let Some(start) = from {
        let Ok(page) = facility.query(Query::Items { from: start }).wait() else { break };
        let Rows::Items { items, next } = page.rows else { break };
        let has_grants = items.iter().any(|item| matches!(item, Item::Grant { .. } | Item::Quarantine { .. }));
        all.extend(items);
        from = next.filter(|_| !has_grants);
    }
    all
}

/// What was looked at last.
struct Seen {
    storage: Option<String>,
    alarms: Vec<Alarm>,
    checkpoint: Lsn,
    files: Option<LogFiles>,
}

impl Seen {
    fn look(&mut self, structure: &str, facility: &LocalFacility) {
        let checkpoint = facility.checkpoint_lsn();
        if checkpoint != self.checkpoint {
            self.checkpoint = checkpoint;
            let line = Line { lsn: Some(checkpoint.0), ..Line::about("checkpoint", structure) };
            line.info(format!("a checkpoint up to lsn {checkpoint} was made and proven"));
        }
        if let Some(files) = facility.log_files()
            && let Some(before) = self.files.replace(files)
        {
            tell_files(structure, &before, &files);
        }
        let Ok(status) = facility.status() else { return };
        match (&self.storage, &status.storage) {
            (None, Some(reason)) => {
                Line::about("storage-full", structure).error(format!("nothing new is granted: {reason}"));
            }
            (Some(_), None) => Line::about("storage-free", structure).info("there is room again: granting goes on"),
            _ => {}
        }
        self.storage = status.storage;
        let known = self.alarms.last().and_then(|last| status.alarms.iter().rposition(|alarm| alarm == last));
        for alarm in status.alarms.iter().skip(known.map_or(0, |place| place + 1)) {
            Line::about("alarm", structure).warn(&alarm.text);
        }
        self.alarms = status.alarms;
    }
}

/// What became of the log's files. Several changes between two looks are one line.
fn tell_files(structure: &str, before: &LogFiles, files: &LogFiles) {
    if files.segment != before.segment {
        let line = Line { lsn: Some(files.first.0), ..Line::about("segment", structure) };
        line.info(format!("segment {} is written, from lsn {} on: the one before is full", files.segment, files.first));
    }
    if let Some((first, last, size)) = files.pack.filter(|_| files.pack != before.pack) {
        Line::about("packed", structure)
            .info(format!("segments {first} to {last} are packed as history, in {size} bytes"));
    }
}

/// One event as one line.
fn tell(structure: &str, lsn: Lsn, event: &Event, names: &Names) {
    let line = |event: &'static str| Line { lsn: Some(lsn.0), ..Line::about(event, structure) };
    let stack = |event: &'static str, slot: u32| {
        let (name, incarnation) = names.connector(slot).map_or((None, None), |(name, at)| (Some(name), Some(at.0)));
        let who = name.map_or_else(|| format!("connector number {slot}"), ToString::to_string);
        (Line { connector: name.map(ToString::to_string), incarnation, ..line(event) }, who)
    };
    let list = |event: &'static str, target: Option<Target>| Line {
        dvipa: target.map(|target| target.dvipa_text()),
        transport: target.map(|target| target.transport().name()),
        ..line(event)
    };
    let shown = |target: Option<Target>| target.map_or_else(|| "a list".to_owned(), |target| target.to_string());
    match &event.change {
        Change::Connected { connector, promise_ms, .. } => {
            let (line, who) = stack("connected", *connector);
            line.info(format!("{who} connected, {}", promised(*promise_ms)));
        }
        Change::Attached { connector, promise_ms, .. } => {
            let (line, who) = stack("attached", *connector);
            line.info(format!("{who} attached, {}", promised(*promise_ms)));
        }
        Change::Disconnected { connector } => {
            let (line, who) = stack("disconnected", *connector);
            line.info(format!("{who} disconnected: what it held is in quarantine"));
        }
        Change::Failed { connector, by: None } => {
            let (line, who) = stack("expired", *connector);
            line.warn(format!("the lease of {who} ran out: it is failed-persistent, its ports are kept for it"));
        }
        Change::Failed { connector, by: Some(by) } => {
            let (line, who) = stack("marked-failed", *connector);
            by_word(line, by)
                .warn(format!("{who} is failed-persistent by the word of {by}, its ports are kept for it"));
        }
        Change::CleanedUp { connector, by, boot_is_dead, .. } => {
            let (line, who) = stack("cleaned-up", *connector);
            let vouched = if *boot_is_dead { ", who stated that its boot is dead" } else { "" };
            by_word(line, by)
                .warn(format!("{who} was cleaned up by the word of {by}{vouched}: what it held is in quarantine"));
        }
        Change::Defined { target, .. } => {
            list("defined", Some(*target)).info(format!("{target} is defined"));
        }
        Change::Deleted { list: slot } => {
            let target = names.list(*slot);
            list("deleted", target).info(format!("{} is closed: it goes when it is empty", shown(target)));
        }
        Change::PolicySet { list: slot, policy } => {
            let target = names.list(*slot);
            list("policy-set", target).info(format!(
                "{} has a quota of {}, a reserve of {} and a quarantine of {} ms (0: none, none, the store's)",
                shown(target),
                policy.quota,
                policy.reserve,
                policy.quarantine_ms
            ));
        }
        Change::RangeSet { transport, range } => {
            let line = Line { transport: Some(transport.name()), ..line("range-set") };
            line.info(match range {
                Some(range) => format!("the explicit-bind range has {} ports from {} on", range.count, range.first),
                None => "there is no explicit-bind range any more".to_owned(),
            });
        }
        Change::Joined { connector, target, .. } => {
            let (of, who) = stack("joined", *connector);
            Line { dvipa: Some(target.dvipa_text()), transport: Some(target.transport().name()), ..of }
                .debug(format!("{who} joined {target}"));
        }
        Change::Left { member } => {
            let (connector, slot) = names.member(*member).unzip();
            let target = slot.and_then(|slot| names.list(slot));
            let who = connector.and_then(|slot| names.connector(slot)).map(|(name, _)| name.to_string());
            Line { connector: who.clone(), ..list("left", target) }.debug(format!(
                "{} left {}",
                who.as_deref().unwrap_or("a stack"),
                shown(target)
            ));
        }
        Change::Stopped { cause, connector, .. } => {
            let line = match connector {
                Some(slot) => stack("granting-stopped", *slot).0,
                None => line("granting-stopped"),
            };
            line.error(format!("nothing is granted: {}", cause.name()));
        }
        Change::Resumed { by } => {
            let whose = by.as_ref().map_or_else(|| "by itself".to_owned(), |by| format!("by the word of {by}"));
            Line { by: by.as_ref().map(ToString::to_string), ..line("granting-resumed") }
                .warn(format!("granting goes on, {whose}"));
        }
        // Ports come and go: who had one when is for `portplex who`, and for who wants every line.
        change if Line::is_tracing() => {
            let fields = shapes::event::fields(event, names).into_iter();
            let words: Vec<String> = fields.map(|(key, value)| format!("{key} {value}")).collect();
            line(shapes::event::name(change)).trace(words.join(", "));
        }
        _ => {}
    }
}

fn by_word(line: Line, by: &ConnectorName) -> Line {
    Line { by: Some(by.to_string()), ..line }
}

fn promised(promise_ms: u64) -> String {
    if promise_ms == 0 { "without a lease".to_owned() } else { format!("with a lease of {promise_ms} ms") }
}
