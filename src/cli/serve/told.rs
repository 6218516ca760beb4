//! What `serve` says: where the data is, what was recovered, where it listens, what to try next.
#![forbid(unsafe_code)]

use crate::api::Door;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::facility::Closed;
use crate::facility::RecoveryReport;
use crate::facility::Status;
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn serving(data: &Path, status: &Status, doors: &[Door], is_json: bool) -> Result<(), Failure> {
    let doors: Vec<String> = doors.iter().map(Door::to_string).collect();
    if is_json {
        return output::print_json(&json!({
            "serving": status.structure,
            "data": data.display().to_string(),
            "store": status.store.to_string(),
            "file_system": status.file_system,
            "recovery": status.recovery,
            "stopped": status.stop,
            "doors": doors,
        }));
    }
    let Status { structure, file_system, connectors, lists, recovery, .. } = status;
    let mut text = format!("portplex {}: structure {structure}\n", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(text, "  data       {} ({file_system}), {connectors} connectors, {lists} lists", data.display());
    let _ = writeln!(text, "  recovered  {}", recovered(recovery));
    if let Some(stop) = &status.stop {
        let _ = writeln!(text, "  STOPPED    nothing is granted: {}", stop.cause.name());
    }
    for (place, door) in doors.iter().enumerate() {
        let label = if place == 0 { "listens on" } else { "and on" };
        let _ = writeln!(text, "  {label:<10} {door}");
    }
    if let Some(door) = doors.iter().find(|door| door.starts_with("http")) {
        let _ = writeln!(text, "  look at    {door}/ in a browser, or {door}/v1/structures");
    }
    let first = doors.first().map_or("", String::as_str);
    let _ = writeln!(text, "  try        grpcurl -plaintext {} list", first.trim_start_matches("http://"));
    output::print(&text)
}

fn recovered(report: &RecoveryReport) -> String {
    let RecoveryReport { checkpoint_lsn, records, last_lsn, torn_bytes, took_us, .. } = report;
    let mut text = format!("up to lsn {last_lsn} in {}.{} ms: ", took_us / 1_000, took_us % 1_000 / 100);
    let _ = match checkpoint_lsn.0 {
        0 => write!(text, "{records} records of the log"),
        lsn => write!(text, "the checkpoint at lsn {lsn} and {records} records of the log"),
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
    output::print(&format!("ended in order: {records} records in {frames} frames since the start"))
}
