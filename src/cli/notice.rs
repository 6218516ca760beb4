//! What an operator must know before anything else: granting is stopped, the store is a copy, there
//! is no room. Each with what it means and the way out; `docs/operations.md` has a section for each.
#![forbid(unsafe_code)]

use super::output;
use super::size::counted;
use super::size::show_size;
use crate::disk::Disk;
use crate::disk::RealDisk;
use crate::facility::Inspected;
use crate::facility::Status;
use crate::structure::StopCause;
use crate::wal::Manifest;
use crate::wal::StopMark;
use crate::wal::constants::LOCK;
use crate::wal::constants::LOG_DIR;
use crate::wal::constants::SPARE;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// For programs: `copied`, `stopped`, `full` or `read-only`.
    pub(crate) state: &'static str,
    /// What it is and what it means.
    pub(crate) text: String,
    /// What to do.
    pub(crate) way_out: String,
}

/// Everything that there is to say of a store, the gravest first.
pub(crate) fn notices(dir: &Path, store: &Inspected) -> Vec<Notice> {
    let copied = copied(dir, &store.manifest);
    let stopped = match store.structure.stop() {
        Some(stop) => Some(stopped(dir, stop.cause, stop.since.0, stop.adopted)),
        // A backup says all that there is to say.
        None if store.manifest.lock_inode == 0 => None,
        None => marked(dir, store.manifest.stop),
    };
    copied.into_iter().chain(stopped).chain(no_room(dir, &store.manifest)).collect()
}

/// What a running service says of itself; `place` is how a command line names it.
pub(crate) fn of_status(place: &str, status: &Status) -> Vec<Notice> {
    let stop = status.stop.as_ref();
    let stopped = stop.map(|stop| stopped_at(place, stop.cause, stop.since.0, stop.adopted_ports));
    let full = status.storage.as_ref().map(|reason| Notice {
        state: "full",
        text: format!("STORAGE IS FULL, nothing new is granted: {reason}"),
        way_out: "make room on the service's file system: granting goes on by itself".to_owned(),
    });
    stopped.into_iter().chain(full).collect()
}

/// As lines above a view, with styles; empty if there is nothing to say.
pub(crate) fn banner(notices: &[Notice]) -> String {
    let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Yellow.into()));
    let mut text = String::new();
    for Notice { text: what, way_out, .. } in notices {
        let _ = writeln!(text, "{style}*** {what}{style:#}\n    {way_out}");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// As JSON.
pub(crate) fn json(notices: &[Notice]) -> Value {
    let notice = |notice: &Notice| json!({"state": notice.state, "text": notice.text, "way_out": notice.way_out});
    notices.iter().map(notice).collect()
}

/// Says on standard error what a store that was just opened is short of.
pub(crate) fn tell(dir: &Path, status: &Status, json: bool) {
    if let Some(stop) = &status.stop {
        let Notice { text, way_out, .. } = stopped(dir, stop.cause, stop.since.0, stop.adopted_ports);
        output::tell_warning(&format!("{text}; {way_out}"), json);
    }
    if let Some(reason) = &status.storage {
        let text = format!("STORAGE IS FULL, nothing new is granted until there is room: {reason}");
        output::tell_warning(&text, json);
    }
}

fn copied(dir: &Path, manifest: &Manifest) -> Option<Notice> {
    let inode = RealDisk.inode(&dir.join(LOCK)).ok()?;
    if inode == manifest.lock_inode {
        return None;
    }
    let (text, way_out) = if manifest.lock_inode == 0 {
        ("A BACKUP: nothing is written to it".to_owned(), format!("portplex store restore {} NEW-DIR", dir.display()))
    } else {
        (
            format!(
                "COPIED, MOVED OR RESTORED: LOCK has inode {inode}, MANIFEST notes {}; nothing is written to it",
                manifest.lock_inode
            ),
            format!("portplex store adopt {} --moved | --restored | --copy   (see its --help)", dir.display()),
        )
    };
    Some(Notice { state: "copied", text, way_out })
}

fn stopped(dir: &Path, cause: StopCause, since: u64, adopted: u32) -> Notice {
    stopped_at(&dir.display().to_string(), cause, since, adopted)
}

fn stopped_at(dir: &str, cause: StopCause, since: u64, adopted: u32) -> Notice {
    let reported = match adopted {
        0 => String::new(),
        ports => format!("; {} that stacks reported and the log had lost were adopted", counted(ports, "port")),
    };
    let adopting = if adopted > 0 { " --adopt-reported" } else { "" };
    let (why, way_out) = match cause {
        StopCause::PowerLoss => (
            "the machine went down, and the last frame may be lost",
            format!(
                "goes on by itself once every active connector has attached, after one lease at the latest; \
                 at once: portplex store resume {dir} --by WHO"
            ),
        ),
        StopCause::DataLost => (
            "a stack proved that this store lost acknowledged data",
            format!(
                "let every stack attach, look at connector list {dir}, then: portplex store resume {dir} --by WHO{adopting}"
            ),
        ),
        _ => (
            "this store was restored, and stacks may hold ports that it does not know",
            format!(
                "let every stack attach, or vouch for the dead (connector list {dir}), then: \
                 portplex store resume {dir} --by WHO{adopting}"
            ),
        ),
    };
    let text = format!("GRANTING IS STOPPED ({}) since lsn {since}: {why}{reported}", cause.name());
    Notice { state: "stopped", text, way_out }
}

/// A stop that MANIFEST notes and the log does not yet: the next open for writing puts it there.
fn marked(dir: &Path, mark: StopMark) -> Option<Notice> {
    let (cause, way_out) = match mark {
        StopMark::None => return None,
        StopMark::PowerLoss => (StopCause::PowerLoss, "open the store: it goes on by itself".to_owned()),
        StopMark::Restored => (
            StopCause::Restored,
            format!(
                "start the service: its wait begins with the first open, and ends with portplex store resume {} --by WHO",
                dir.display()
            ),
        ),
    };
    let text = format!("GRANTING IS STOPPED ({}) from the next open on", cause.name());
    Some(Notice { state: "stopped", text, way_out })
}

/// Whether the next segment can be made. A service that cannot grants nothing.
fn no_room(dir: &Path, manifest: &Manifest) -> Option<Notice> {
    let size = manifest.segment_size;
    let space = rustix::fs::statvfs(dir).ok()?;
    if space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        let text =
            format!("READ-ONLY: the file system of {} is mounted read-only; a service cannot open", dir.display());
        let way_out = "look in the kernel's log why, then mount it writable again".to_owned();
        return Some(Notice { state: "read-only", text, way_out });
    }
    let log = RealDisk.list(&dir.join(LOG_DIR)).ok()?;
    let spare = log.iter().find(|entry| entry.name == SPARE).map_or(0, |entry| entry.size);
    let left = space.f_bavail.saturating_mul(space.f_frsize);
    let needed = size.saturating_sub(spare);
    if left >= needed {
        return None;
    }
    let text = format!(
        "STORAGE IS FULL: {} are left, the next log file needs {}; a service grants nothing",
        show_size(left),
        show_size(needed)
    );
    let way_out = format!("make room on the file system of {}: granting goes on by itself", dir.display());
    Some(Notice { state: "full", text, way_out })
}
