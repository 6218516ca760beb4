//! Who has one port.
#![forbid(unsafe_code)]

use super::head;
use super::list_of;
use super::names;
use super::tag;
use super::time;
use crate::ident::BootMs;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::structure::PortOwner;
use crate::web::Shared;
use crate::web::answer::Answer;
use crate::web::problem::Problem;
use crate::web::query;
use crate::web::query::Pairs;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::response::Response;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) async fn owner(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (structure, dvipa, transport, port) = names(path)?;
    let hosted = Arc::clone(shared.hosted(&structure)?);
    let (target, port) = (query::list(&dvipa, &transport)?, query::port(&port)?);
    Pairs::parse(&uri, &[])?;
    let make = move || {
        let (mut body, tag, since) = hosted.read(|view| {
            let list = list_of(view, target)?;
            let structure = &view.copy.structure;
            let mut body = head(view);
            body["dvipa"] = json!(target.dvipa_text());
            body["transport"] = json!(target.transport().name());
            body["port"] = json!(port);
            body["group"] = json!(GroupNumber::of_port(port).number());
            let (mut since, mut ends) = (None, None);
            let (state, holder) = match structure.owner(target, port) {
                PortOwner::Held { connector, incarnation, grant, .. } => {
                    since = Some(grant);
                    ("held", Some((connector, Some(incarnation), grant)))
                }
                PortOwner::Quarantined { connector, since: lsn } => {
                    since = Some(lsn);
                    let clocks = view.clocks;
                    let all = structure.quarantine_ends(list.list, clocks.floor, clocks.quarantine_ms);
                    let wall = |end: BootMs| WallMs(clocks.wall.0.saturating_add(end.0).saturating_sub(clocks.boot.0));
                    ends = all.into_iter().flatten().find(|(at, _)| *at == lsn).map(|(_, end)| time(wall(end)));
                    ("quarantined", Some((connector, None, lsn)))
                }
                PortOwner::Free | PortOwner::NoList => ("free", None),
            };
            body["state"] = json!(state);
            body["connector"] = json!(holder.as_ref().map(|(connector, ..)| connector.as_str()));
            body["incarnation"] = json!(holder.as_ref().and_then(|(_, incarnation, _)| *incarnation).map(|is| is.0));
            body["since_lsn"] = json!(holder.as_ref().map(|(.., lsn)| lsn.0));
            body["ends"] = json!(ends);
            Ok((body, tag(view), since))
        })?;
        let lsns: BTreeSet<Lsn> = since.into_iter().collect();
        let times = hosted.times.of(&hosted.facility, &lsns);
        body["since"] = json!(lsns.first().and_then(|lsn| times.get(lsn)).map(|wall| time(*wall)));
        Ok(Answer { body, tag })
    };
    shared.answer(&headers, make).await
}
