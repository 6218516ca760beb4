//! The facility as a whole: its counters, its rates, what is wrong, what to heed.
#![forbid(unsafe_code)]

use super::head;
use super::names;
use super::time;
use crate::facility::CallError;
use crate::facility::Facility;
use crate::facility::Status;
use crate::facility::StopView;
use crate::structure::Refusal;
use crate::web::Shared;
use crate::web::answer::Answer;
use crate::web::problem::Problem;
use crate::web::query::Pairs;
use crate::web::warnings;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn status(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let hosted = Arc::clone(shared.hosted(&names(path)?)?);
    Pairs::parse(&uri, &[])?;
    let make = move || {
        let status = hosted.facility.status().map_err(unanswered)?;
        let size = hosted.facility.size_bytes();
        hosted.read(|view| {
            let mut body = head(view);
            tell(&mut body, &status);
            body["size_bytes"] = json!(size);
            body["quarantine_ms"] = json!(view.clocks.quarantine_ms);
            body["time"] = time(view.clocks.wall);
            body["rates"] = view.copy.rates.json();
            Ok(Answer::fresh(body))
        })
    };
    shared.answer(&headers, make).await
}

pub(super) async fn warnings(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let hosted = Arc::clone(shared.hosted(&names(path)?)?);
    Pairs::parse(&uri, &[])?;
    let make = move || {
        let status = hosted.facility.status().map_err(unanswered)?;
        hosted.read(|view| {
            let mut body = head(view);
            let (warnings, left_out) = warnings::all(view, &status);
            body["warnings"] = warnings.iter().map(warnings::Warning::json).collect();
            body["left_out"] = json!(left_out);
            Ok(Answer::fresh(body))
        })
    };
    shared.answer(&headers, make).await
}

/// Why the facility did not answer a read.
pub(super) fn unanswered(error: CallError) -> Problem {
    match error {
        CallError::Refused(Refusal::Overloaded) => Problem::Overloaded,
        _ => Problem::Ending,
    }
}

fn tell(body: &mut Value, status: &Status) {
    let alarm = |alarm: &crate::facility::Alarm| json!({"time": time(alarm.wall_ms), "text": alarm.text});
    let recovery = &status.recovery;
    body["store"] = json!(status.store.to_string());
    body["epoch"] = json!(status.epoch);
    body["records"] = json!(status.records);
    body["frames"] = json!(status.frames);
    body["grants"] = json!(status.grants);
    body["connectors"] = json!(status.connectors);
    body["lists"] = json!(status.lists);
    body["granting"] = json!(status.stop.is_none() && status.storage.is_none());
    body["stop"] = status.stop.as_ref().map_or(Value::Null, stop);
    body["storage_full"] = json!(status.storage);
    body["file_system"] = json!(status.file_system);
    body["alarms"] = status.alarms.iter().map(alarm).collect();
    body["recovery"] = json!({
        "checkpoint_lsn": recovery.checkpoint_lsn.0,
        "records": recovery.records,
        "last_lsn": recovery.last_lsn.0,
        "torn_bytes": recovery.torn_bytes,
        "frame_mended": recovery.frame_mended,
        "took_us": recovery.took_us,
        "warnings": recovery.warnings,
    });
}

fn stop(stop: &StopView) -> Value {
    json!({
        "cause": stop.cause.name(),
        "since": stop.since.0,
        "adopted_ports": stop.adopted_ports,
        "waiting_for": stop.waiting_for.iter().map(crate::ident::ConnectorName::as_str).collect::<Vec<_>>(),
        "left_ms": stop.left_ms,
    })
}
