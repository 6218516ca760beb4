//! Which structures are hosted, one as a whole, and the explicit-bind ranges in force.
#![forbid(unsafe_code)]

use super::head;
use super::names;
use super::tag;
use crate::facility::Facility;
use crate::ident::GroupNumber;
use crate::ident::Transport;
use crate::structure::ConnectorState;
use crate::structure::PortRange;
use crate::structure::Structure;
use crate::web::Shared;
use crate::web::answer::Answer;
use crate::web::problem::Problem;
use crate::web::query::Pairs;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn all(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    Pairs::parse(&uri, &[])?;
    let hosted: Vec<_> = shared.all().cloned().collect();
    let make = move || {
        let one = |hosted: &Arc<crate::web::hosted::Hosted>| json!({"structure": hosted.name.to_string(), "failed": hosted.facility.is_failed()});
        Ok(Answer::fresh(json!({"structures": hosted.iter().map(one).collect::<Vec<_>>()})))
    };
    shared.answer(&headers, make).await
}

pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let hosted = Arc::clone(shared.hosted(&names(path)?)?);
    Pairs::parse(&uri, &[])?;
    let make = move || {
        let status = hosted.facility.status().map_err(super::status::unanswered)?;
        let size = hosted.facility.size_bytes();
        hosted.read(|view| {
            let structure = &view.copy.structure;
            let (mut held, mut quarantined, mut groups, mut lists) = (0_u64, 0_u64, 0_u64, 0_u64);
            for list in structure.lists() {
                held += u64::from(list.held_ports);
                quarantined += u64::from(list.quarantined_ports);
                groups += u64::from(structure.groups_in_use(list.list));
                lists += 1;
            }
            let (mut active, mut failed) = (0_u32, 0_u32);
            for connector in structure.connectors() {
                match connector.state {
                    ConnectorState::Active => active += 1,
                    _ => failed += 1,
                }
            }
            let mut body = head(view);
            body["store"] = json!(status.store.to_string());
            body["epoch"] = json!(status.epoch);
            body["size_bytes"] = json!(size);
            body["lists"] = json!(lists);
            body["connectors"] = json!({"active": active, "failed_persistent": failed});
            body["groups_in_use"] = json!(groups);
            body["groups_max"] = json!(lists * u64::from(GroupNumber::COUNT));
            body["held"] = json!(held);
            body["quarantined"] = json!(quarantined);
            body["ranges"] = ranges_of(structure);
            Ok(Answer::fresh(body))
        })
    };
    shared.answer(&headers, make).await
}

pub(super) async fn ranges(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let hosted = Arc::clone(shared.hosted(&names(path)?)?);
    Pairs::parse(&uri, &[])?;
    let make = move || {
        hosted.read(|view| {
            let mut body = head(view);
            body["ranges"] = ranges_of(&view.copy.structure);
            Ok(Answer { body, tag: tag(view) })
        })
    };
    shared.answer(&headers, make).await
}

fn ranges_of(structure: &Structure) -> Value {
    let of = |transport: Transport| structure.range(transport).map(|range| (transport, range));
    let shown = |(transport, PortRange { first, count }): (Transport, PortRange)| {
        let last = first.saturating_add(count.saturating_sub(1));
        json!({"transport": transport.name(), "first": first, "last": last, "count": count})
    };
    Transport::ALL.into_iter().filter_map(of).map(shown).collect()
}
