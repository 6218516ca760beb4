//! The JSON interface: paths, and what they have in common. `openapi.json` describes every one.
#![forbid(unsafe_code)]

mod connectors;
mod events;
mod groups;
mod lists;
mod port;
mod profiles;
mod status;
mod structures;

use super::Shared;
use super::hosted::View;
use super::problem::Problem;
use super::problem::echo;
use super::reports::Report;
use crate::ident::Target;
use crate::ident::WallMs;
use crate::shapes::wall::rfc3339;
use crate::structure::ListView;
use axum::Router;
use axum::extract::OriginalUri;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::MethodRouter;
use axum::routing::get;
use serde_json::{Value, json};
use std::sync::Arc;

const DESCRIPTION: &str = include_str!("openapi.json");

/// Every path, below `/v1`.
fn table() -> Vec<(&'static str, MethodRouter<Arc<Shared>>)> {
    let display = profiles::display;
    vec![
        ("/openapi.json", get(openapi)),
        ("/structures", get(structures::all)),
        ("/structures/{structure}", get(structures::one)),
        ("/structures/{structure}/status", get(status::status)),
        ("/structures/{structure}/warnings", get(status::warnings)),
        ("/structures/{structure}/ranges", get(structures::ranges)),
        ("/structures/{structure}/lists", get(lists::page)),
        ("/structures/{structure}/lists/{dvipa}/{transport}", get(lists::one)),
        ("/structures/{structure}/lists/{dvipa}/{transport}/groups", get(groups::page)),
        ("/structures/{structure}/lists/{dvipa}/{transport}/ports/{port}", get(port::owner)),
        ("/structures/{structure}/connectors", get(connectors::page)),
        ("/structures/{structure}/connectors/{connector}", get(connectors::one)),
        ("/structures/{structure}/events", get(events::stream)),
        ("/structures/{structure}/explain", get(profiles::explain)),
        ("/structures/{structure}/profiles", get(profiles::all)),
        ("/structures/{structure}/profiles/vipadcfg", display(Report::Vipadcfg)),
        ("/structures/{structure}/profiles/vipadyn", display(Report::Vipadyn)),
        ("/structures/{structure}/profiles/portlist", display(Report::Portlist)),
        ("/structures/{structure}/profiles/ports", display(Report::Ports)),
        ("/structures/{structure}/profiles/vdpt", display(Report::Vdpt)),
        ("/structures/{structure}/profiles/vcrt", display(Report::Vcrt)),
        ("/structures/{structure}/profiles/conn", display(Report::Conn)),
    ]
}

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    let paths = table().into_iter().fold(Router::new(), |router, (path, method)| router.route(path, method));
    paths.fallback(nothing).method_not_allowed_fallback(wrong_method).with_state(shared)
}

async fn openapi(uri: Uri) -> Result<Response, Problem> {
    super::query::Pairs::parse(&uri, &[])?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, DESCRIPTION).into_response())
}

async fn nothing(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::UnknownPath { path: echo(uri.path()) }
}

async fn wrong_method(method: Method) -> Problem {
    Problem::Method { method: echo(method.as_str()) }
}

/// Names in a path, as they are written there.
fn names<T>(path: Result<Path<T>, PathRejection>) -> Result<T, Problem> {
    path.map(|Path(names)| names).map_err(|rejection| Problem::bad("path", rejection.body_text()))
}

/// What every answer begins with: which structure, and as of when.
fn head(view: &View<'_>) -> Value {
    let structure = &view.copy.structure;
    json!({
        "structure": structure.name().to_string(),
        "history": view.copy.history.to_string(),
        "lsn": structure.lsn().0,
    })
}

/// The same tag, the same state.
fn tag(view: &View<'_>) -> Option<String> {
    Some(format!("{}-{}", view.copy.history, view.copy.structure.lsn().0))
}

fn list_of(view: &View<'_>, target: Target) -> Result<ListView, Problem> {
    let structure = &view.copy.structure;
    let found = structure.list_by_target(target).and_then(|slot| structure.list_at(slot));
    found.ok_or_else(|| Problem::UnknownList { target: target.to_string() })
}

fn time(wall: WallMs) -> Value {
    Value::from(rfc3339(wall))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_path_is_described_and_every_description_has_a_path() {
        let described: Value = serde_json::from_str(DESCRIPTION).expect("JSON");
        let paths = described["paths"].as_object().expect("paths");
        let described: BTreeSet<String> = paths.keys().cloned().collect();
        let there: BTreeSet<String> = table().into_iter().map(|(path, _)| path.to_owned()).collect();
        assert_eq!(described, there);
        for (path, item) in paths {
            let methods: Vec<&String> = item.as_object().expect("methods").keys().collect();
            assert_eq!(methods, ["get"], "{path} reads only");
        }
    }
}
