//! What `serve` says: where the data is, what was recovered, where it listens, what to try next.
#![forbid(unsafe_code)]

use super::open::Opened;
use super::open::Store;
use crate::api::Door;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::size::counted;
use crate::facility::Closed;
use crate::facility::RecoveryReport;
use crate::facility::Status;
use serde_json::json;
use std::fmt::Write as _;

/// One object for each structure, or a few lines.
pub(super) fn serving(opened: &Opened, doors: &[Door], is_json: bool) -> Result<(), Failure> {
    let doors: Vec<String> = doors.iter().map(Door::to_string).collect();
    if is_json {
        for Store { data, status, .. } in &opened.stores {
            output::print_json(&json!({
                "serving": status.structure,
                "data": data.display().to_string(),
                "store": status.store.to_string(),
                "file_system": status.file_system,
                "recovery": status.recovery,
                "stopped": status.stop,
                "doors": doors,
            }))?;
        }
        return Ok(());
    }
    let mut text = format!("portplex {}\n", env!("CARGO_PKG_VERSION"));
    opened.stores.iter().for_each(|store| put_store(&mut text, store));
    for (data, _) in &opened.missing {
        let _ = writeln!(text, "  NOT OPEN   {}: see above", data.display());
    }
    for (place, door) in doors.iter().enumerate() {
        let label = if place == 0 { "listens on" } else { "and on" };
        let _ = writeln!(text, "  {label:<10} {door}");
    }
    if let Some(door) = doors.iter().find(|door| door.starts_with("http")) {
        let _ = writeln!(text, "  look at    {door}/ in a browser, or {door}/v1/structures");
    }
    let first = doors.first().map_or("", String::as_str);
    let proof = if first.starts_with("https://") { " --tls-ca CA --tls-cert CERTIFICATE --tls-key KEY" } else { "" };
    let which = match opened.stores.as_slice() {
        [_] | [] => String::new(),
        [store, ..] => format!(" --structure {}", store.name),
    };
    let _ = writeln!(text, "  try        portplex store status --service {first}{which}{proof}");
    let _ = writeln!(text, "             portplex log watch --service {first}{which}{proof}");
    if let Some(place) = first.strip_prefix("http://") {
        let _ = writeln!(text, "             grpcurl -plaintext {place} list");
    } else if let Some(place) = first.strip_prefix("https://") {
        let _ = writeln!(text, "             grpcurl -cacert CA -cert CERTIFICATE -key KEY {place} list");
    }
    let _ = writeln!(text, "  to end it  Ctrl-C, or kill {}", std::process::id());
    output::print(&text)
}

fn put_store(text: &mut String, store: &Store) {
    let Status { structure, file_system, connectors, lists, recovery, stop, .. } = &store.status;
    let _ =
        writeln!(text, "  structure  {structure}: {}, {}", counted(*connectors, "connector"), counted(*lists, "list"));
    let _ = writeln!(text, "  data       {} ({file_system})", store.data.display());
    let _ = writeln!(text, "  recovered  {}", recovered(recovery));
    if let Some(stop) = stop {
        let _ = writeln!(text, "  STOPPED    nothing is granted: {}", stop.cause.name());
    }
}

fn recovered(report: &RecoveryReport) -> String {
    let RecoveryReport { checkpoint_lsn, records, last_lsn, torn_bytes, took_us, .. } = report;
    let took = format!("{}.{} ms", took_us / 1_000, took_us % 1_000 / 100);
    if last_lsn.0 == 0 {
        return format!("nothing yet: the store is empty, opened in {took}");
    }
    let records = counted(*records, "record");
    let mut text = format!("up to lsn {last_lsn} in {took}: ");
    let _ = match checkpoint_lsn.0 {
        0 => write!(text, "{records} of the log"),
        lsn => write!(text, "the checkpoint at lsn {lsn} and {records} of the log"),
    };
    if *torn_bytes > 0 {
        let _ = write!(text, "; {torn_bytes} bytes of a frame that was never acknowledged were left out");
    }
    text
}

pub(super) fn ended(closed: &Closed, is_json: bool) -> Result<(), Failure> {
    let (records, frames) = (closed.counters.records, closed.counters.frames);
    if is_json {
        return output::print_json(&json!({
            "ended": "in order",
            "records": records,
            "frames": frames,
            "checkpoint_lsn": closed.checkpoint.map(|lsn| lsn.0),
        }));
    }
    let (records, frames) = (counted(records, "record"), counted(frames, "frame"));
    output::print(&format!("ended in order: {records} in {frames} since the start"))
}
