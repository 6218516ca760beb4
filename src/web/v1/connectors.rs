//! Connectors: a page of them, or one with the lists that it has joined.
#![forbid(unsafe_code)]

use super::head;
use super::names;
use crate::facility::Facility;
use crate::ident::ConnectorName;
use crate::shapes::state::Connector;
use crate::structure::ConnectorState;
use crate::structure::ConnectorView;
use crate::web::Shared;
use crate::web::answer::Answer;
use crate::web::hosted::View;
use crate::web::problem::Problem;
use crate::web::problem::echo;
use crate::web::query::Pairs;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let hosted = Arc::clone(shared.hosted(&names(path)?)?);
    let pairs = Pairs::parse(&uri, &["from", "limit", "state"])?;
    let page = pairs.page()?;
    let state = match pairs.text("state") {
        None => None,
        Some("active") => Some(ConnectorState::Active),
        Some("failed-persistent") => Some(ConnectorState::FailedPersistent),
        Some(other) => {
            let why = format!("{:?} is neither active nor failed-persistent", echo(other));
            return Err(Problem::bad("query parameter state", why));
        }
    };
    let make = move || {
        hosted.read(|view| {
            let wanted =
                |known: &ConnectorView| known.actor.slot >= page.from && state.is_none_or(|state| known.state == state);
            let mut known = view.copy.structure.connectors().filter(wanted);
            let shown: Vec<ConnectorView> = known.by_ref().take(page.limit as usize).collect();
            let mut body = head(view);
            body["next"] = json!(known.next().map(|next| next.actor.slot));
            body["connectors"] = rows(view, shown).into();
            Ok(Answer::fresh(body))
        })
    };
    shared.answer(&headers, make).await
}

pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (structure, connector) = names(path)?;
    let hosted = Arc::clone(shared.hosted(&structure)?);
    let name = ConnectorName::new(&connector).map_err(|error| Problem::bad("connector", error))?;
    let page = Pairs::parse(&uri, &["from", "limit"])?.page()?;
    let make = move || {
        let unknown = || Problem::UnknownConnector { name: name.to_string() };
        let status = hosted.facility.connector(&name).map_err(super::status::unanswered)?;
        hosted.read(|view| {
            let structure = &view.copy.structure;
            let known = structure.connector(&name).ok_or_else(unknown)?;
            let slot = known.actor.slot;
            let incarnation = known.actor.incarnation;
            let mut body = head(view);
            for row in rows(view, vec![known]) {
                if let (Some(body), Value::Object(row)) = (body.as_object_mut(), row) {
                    body.extend(row);
                }
            }
            // What was told of another incarnation is not of this one.
            let status = status.as_ref().filter(|status| status.actor.incarnation == incarnation);
            body["attached"] = json!(status.map(|status| status.attached));
            let lease = status.and_then(|status| status.lease_until);
            body["lease_left_ms"] = json!(lease.map(|until| until.0.saturating_sub(view.clocks.boot.0)));
            let mut joined = structure.lists_of(slot).filter(|(list, _)| *list >= page.from);
            let of = |(list, ports): (u32, u32)| {
                let target = structure.list_target(list)?;
                let (dvipa, transport) = (target.dvipa_text(), target.transport().name());
                Some(json!({"list": list, "dvipa": dvipa, "transport": transport, "ports": ports}))
            };
            body["joined"] = joined.by_ref().take(page.limit as usize).filter_map(of).collect();
            body["next"] = json!(joined.next().map(|(list, _)| list));
            Ok(Answer::fresh(body))
        })
    };
    shared.answer(&headers, make).await
}

fn rows(view: &View<'_>, connectors: Vec<ConnectorView>) -> Vec<Value> {
    let slots: BTreeSet<u32> = connectors.iter().map(|known| known.actor.slot).collect();
    let holdings = view.copy.structure.holdings_of(&slots);
    let row = |known: ConnectorView| {
        let (slot, enforced) = (known.actor.slot, known.enforced);
        let holding = holdings.get(&slot).copied().unwrap_or_default();
        let shape = Connector {
            slot,
            name: known.name,
            incarnation: known.actor.incarnation.0,
            state: known.state,
            identity: known.identity,
            promise_ms: known.promise_ms,
            lists: holding.lists,
            grants: holding.grants,
            ports: holding.ports,
        };
        let mut row = shape.json();
        row["id"] = json!(slot);
        row["enforced"] = json!(enforced);
        row
    };
    connectors.into_iter().map(row).collect()
}
