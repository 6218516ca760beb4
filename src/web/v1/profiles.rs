//! What profiles say of a structure's stacks, and why things are as they are.
#![forbid(unsafe_code)]

use super::head;
use super::names;
use super::status::unanswered;
use crate::facility::Facility;
use crate::ident::ConnectorName;
use crate::ident::Transport;
use crate::structure::Structure;
use crate::web::Shared;
use crate::web::answer::Answer;
use crate::web::hosted::Hosted;
use crate::web::problem::Problem;
use crate::web::problem::echo;
use crate::web::query::Pairs;
use crate::web::reports::Report;
use crate::web::reports::Reports;
use crate::web::reports::Seen;
use crate::web::reports::Unexplained;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::MethodRouter;
use axum::routing::get;
use serde_json::{Value, json};
use std::sync::Arc;

/// Longest text that is asked about.
const WHAT_LENGTH_MAX: usize = 128;
/// Where no profile is configured.
const HINT: &str = "no profile is configured for this structure: the key profiles of its [[structure]] names them, or \
                    --profile [NAME=]FILE of portplex serve";

pub(super) async fn all(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let hosted = Arc::clone(shared.hosted(&names(path)?)?);
    Pairs::parse(&uri, &[])?;
    let make = move || {
        let profiles = reports(&hosted)?.profiles();
        let hint = is_empty(&profiles).then_some(HINT);
        Ok(Answer::fresh(json!({"structure": hosted.name.to_string(), "profiles": profiles, "hint": hint})))
    };
    shared.answer(&headers, make).await
}

/// The path of one display.
pub(super) fn display(report: Report) -> MethodRouter<Arc<Shared>> {
    get(
        move |State(shared): State<Arc<Shared>>,
              path: Result<Path<String>, PathRejection>,
              uri: Uri,
              headers: HeaderMap| async move {
            let hosted = Arc::clone(shared.hosted(&names(path)?)?);
            let pairs = Pairs::parse(&uri, &["stack"])?;
            let stack = pairs.text("stack").map(stack_named).transpose()?;
            shared.answer(&headers, move || displayed(&hosted, report, stack.as_ref()).map(Answer::fresh)).await
        },
    )
}

fn displayed(hosted: &Hosted, report: Report, stack: Option<&ConnectorName>) -> Result<Value, Problem> {
    let reports = reports(hosted)?;
    let status = hosted.facility.status().map_err(unanswered)?;
    let range = match report {
        Report::Ports => hosted.read(|view| Ok(view.copy.structure.range(Transport::Tcp)))?,
        _ => None,
    };
    let mut body = reports.display(report, &status, range);
    let profiles = reports.profiles();
    if is_empty(&profiles) {
        body["hint"] = json!(HINT);
    }
    if let Some(stack) = stack {
        let is_of = |row: &Value| row["stack"] == stack.as_str();
        if !profiles.as_array().is_some_and(|rows| rows.iter().any(is_of)) {
            return Err(Problem::UnknownStack { name: stack.to_string() });
        }
        keep(&mut body, is_of);
    }
    Ok(body)
}

/// Only what is said of one stack; a DVIPA of which nothing is said goes.
fn keep(body: &mut Value, is_of: impl Fn(&Value) -> bool) {
    if let Some(stacks) = body.get_mut("stacks").and_then(Value::as_array_mut) {
        stacks.retain(&is_of);
    }
    if let Some(dvipas) = body.get_mut("dvipas").and_then(Value::as_array_mut) {
        dvipas.retain_mut(|dvipa| {
            let stacks = dvipa.get_mut("stacks").and_then(Value::as_array_mut);
            stacks.is_some_and(|stacks| {
                stacks.retain(&is_of);
                !stacks.is_empty()
            })
        });
    }
}

pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let hosted = Arc::clone(shared.hosted(&names(path)?)?);
    let pairs = Pairs::parse(&uri, &["what", "transport"])?;
    let bad_what = |why: &str| Problem::bad("query parameter what", why);
    let what = pairs.text("what").ok_or_else(|| bad_what("it is missing: say which port, stack or DVIPA"))?.to_owned();
    if what.len() > WHAT_LENGTH_MAX {
        return Err(bad_what("no port, stack or DVIPA has so long a name"));
    }
    let transport = match pairs.text("transport") {
        None => None,
        Some("tcp") => Some(Transport::Tcp),
        Some("udp") => Some(Transport::Udp),
        Some(other) => return Err(Problem::bad("transport", format!("{:?} is neither tcp nor udp", echo(other)))),
    };
    // Each makes a copy of the structure: one at a time, and those that wait take no other answer's thread.
    let waiting = Arc::clone(&shared.waiting).try_acquire_owned().map_err(|_| Problem::Overloaded)?;
    let turn = Arc::clone(&shared.explanations).acquire_owned().await.map_err(|_| Problem::Ending)?;
    drop(waiting);
    let make = move || {
        let _turn = turn;
        explained(&hosted, &what, transport).map(Answer::fresh)
    };
    shared.answer(&headers, make).await
}

fn explained(hosted: &Hosted, what: &str, transport: Option<Transport>) -> Result<Value, Problem> {
    let reports = reports(hosted)?;
    let status = hosted.facility.status().map_err(unanswered)?;
    let (mut body, seen) = hosted.read(|view| {
        let structure = Structure::import(view.copy.structure.items());
        let structure = structure.map_err(|error| Problem::NotReady { why: error.to_string() })?;
        Ok((head(view), Seen { structure, clocks: view.clocks, status }))
    })?;
    let answer = reports.explain(&hosted.facility, seen, what, transport).map_err(|error| match error {
        Unexplained::NotUnderstood { text } => Problem::bad("query parameter what", text),
        Unexplained::Unknown { text } => Problem::UnknownName { text },
    })?;
    if let (Some(body), Value::Object(answer)) = (body.as_object_mut(), answer) {
        body.extend(answer);
    }
    Ok(body)
}

fn reports(hosted: &Hosted) -> Result<&dyn Reports, Problem> {
    hosted.reports.as_deref().ok_or(Problem::NoReports)
}

fn is_empty(rows: &Value) -> bool {
    rows.as_array().is_none_or(Vec::is_empty)
}

fn stack_named(text: &str) -> Result<ConnectorName, Problem> {
    ConnectorName::new(text).map_err(|error| Problem::bad("query parameter stack", error))
}
