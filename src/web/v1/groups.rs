//! The map of one list: a sign for each of its 1,024 groups, and those in use in full.
#![forbid(unsafe_code)]

use super::head;
use super::list_of;
use super::names;
use super::tag;
use super::time;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::Target;
use crate::ident::WallMs;
use crate::shapes::groups;
use crate::shapes::groups::Mask;
use crate::shapes::groups::Used;
use crate::shapes::map::Cell;
use crate::shapes::map::Map;
use crate::shapes::state::List;
use crate::shapes::state::State as Shape;
use crate::web::Shared;
use crate::web::answer::Answer;
use crate::web::hosted::View;
use crate::web::problem::Problem;
use crate::web::query;
use crate::web::query::PageAsked;
use crate::web::query::Pairs;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Stacks that the legend names.
const LEGEND_MAX: usize = 1_024;

pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (structure, dvipa, transport) = names(path)?;
    let hosted = Arc::clone(shared.hosted(&structure)?);
    let target = query::list(&dvipa, &transport)?;
    let page = Pairs::parse(&uri, &["from", "limit"])?.page()?;
    let make = move || {
        let (mut body, tag, lsns) = hosted.read(|view| shown(view, target, page))?;
        let times = hosted.times.of(&hosted.facility, &lsns);
        if let Some(groups) = body["groups"].as_array_mut() {
            groups.iter_mut().for_each(|group| fill(group, &times));
        }
        Ok(Answer { body, tag })
    };
    shared.answer(&headers, make).await
}

/// All of it but the times, and the records whose times are wanted.
fn shown(view: &View<'_>, target: Target, page: PageAsked) -> Result<(Value, Option<String>, BTreeSet<Lsn>), Problem> {
    let (structure, slot) = (&view.copy.structure, list_of(view, target)?.list);
    let shape = Shape::new(structure.items_of(&BTreeSet::from([slot])));
    let Some(list) = shape.lists.first() else {
        return Err(Problem::UnknownList { target: target.to_string() });
    };
    let mut map = Map::of_list(list);
    if let Target::Pool(transport) = target {
        let ports = shape.pool_ports(transport);
        map.keep(|group| ports.mask(group));
    }
    let mut body = head(view);
    body["dvipa"] = json!(target.dvipa_text());
    body["transport"] = json!(target.transport().name());
    body["list"] = json!(slot);
    body["state"] = json!(if list.open { "open" } else { "closed" });
    body["held"] = json!(list.held());
    body["quarantined"] = json!(list.quarantined());
    body["signs"] = json!(map.cells.iter().map(|cell| cell.sign()).collect::<String>());
    body["stacks"] = legend(&map);
    body["stacks_left_out"] = json!(map.stacks.len().saturating_sub(LEGEND_MAX));
    let used = groups::used(list);
    let mut wanted = used.into_iter().filter(|(group, _)| u32::from(group.number()) >= page.from);
    let ends = ends(view, list);
    let mut lsns = BTreeSet::new();
    let rows: Vec<Value> = wanted
        .by_ref()
        .take(page.limit as usize)
        .map(|(group, used)| {
            lsns.extend(used.holders.iter().filter(|holder| !holder.adopted).map(|holder| holder.lsn));
            lsns.extend(used.quarantine.iter().map(|resting| resting.lsn));
            row(group, &used, &ends)
        })
        .collect();
    body["groups"] = rows.into();
    body["next"] = json!(wanted.next().map(|(group, _)| group.number()));
    Ok((body, tag(view), lsns))
}

fn legend(map: &Map) -> Value {
    let line = |(stack, of): (usize, &crate::shapes::map::Stack)| {
        let sign = Cell::Held { stack, whole: true }.sign();
        json!({"sign": sign, "connector": of.name, "groups": of.groups, "ports": of.ports})
    };
    map.stacks.iter().enumerate().take(LEGEND_MAX).map(line).collect()
}

/// When quarantine ends, wall time, by the lsn that began it. Empty while none ends.
fn ends(view: &View<'_>, list: &List) -> BTreeMap<Lsn, WallMs> {
    let clocks = view.clocks;
    let ends = view.copy.structure.quarantine_ends(list.slot, clocks.floor, clocks.quarantine_ms);
    let wall = |end: crate::ident::BootMs| WallMs(clocks.wall.0.saturating_add(end.0).saturating_sub(clocks.boot.0));
    ends.into_iter().flatten().map(|(lsn, end)| (lsn, wall(end))).collect()
}

fn row(group: GroupNumber, used: &Used<'_>, ends: &BTreeMap<Lsn, WallMs>) -> Value {
    let mut row = used.json(group);
    if let Some(holders) = row["holders"].as_array_mut() {
        for (shown, holder) in holders.iter_mut().zip(&used.holders) {
            shown["adopted"] = json!(holder.adopted);
            shown["since"] = Value::Null;
        }
    }
    let resting = |resting: &&crate::shapes::state::Quarantined| {
        json!({
            "connector": resting.connector.as_ref().map(crate::ident::ConnectorName::as_str),
            "lsn": resting.lsn.0,
            "mask": Mask(resting.mask),
            "since": Value::Null,
            "ends": ends.get(&resting.lsn).map(|end| time(*end)),
        })
    };
    row["quarantine"] = used.quarantine.iter().map(resting).collect();
    row
}

/// Puts the times in that are known.
fn fill(group: &mut Value, times: &BTreeMap<Lsn, WallMs>) {
    for key in ["holders", "quarantine"] {
        for row in group[key].as_array_mut().into_iter().flatten() {
            let is_adopted = row["adopted"] == true;
            let known = row["lsn"].as_u64().and_then(|lsn| times.get(&Lsn(lsn))).filter(|_| !is_adopted);
            row["since"] = known.map_or(Value::Null, |wall| time(*wall));
        }
    }
}
