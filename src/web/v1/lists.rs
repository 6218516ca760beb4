//! Lists: a page of them, or one.
#![forbid(unsafe_code)]

use super::head;
use super::list_of;
use super::names;
use super::tag;
use crate::shapes::lists::list_json;
use crate::shapes::state::State as Shape;
use crate::structure::ListView;
use crate::web::Shared;
use crate::web::answer::Answer;
use crate::web::hosted::View;
use crate::web::problem::Problem;
use crate::web::problem::echo;
use crate::web::query;
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

/// Memberships that one page shows: it ends early with more, after one list at least.
const STACKS_MAX: u32 = 8_192;

/// Which lists.
struct Wanted {
    /// The inner one: none, for an address that has no list.
    dvipa: Option<Option<String>>,
    transport: Option<String>,
    open: Option<bool>,
}

impl Wanted {
    fn parse(pairs: &Pairs) -> Result<Self, Problem> {
        let transport = pairs.text("transport");
        let open = match pairs.text("state") {
            None => None,
            Some("open") => Some(true),
            Some("closed") => Some(false),
            Some(other) => {
                return Err(Problem::bad(
                    "query parameter state",
                    format!("{:?} is neither open nor closed", echo(other)),
                ));
            }
        };
        let named = |dvipa| query::target(dvipa, transport.unwrap_or("tcp"));
        // A transport that is none is refused, whether an address is given or not.
        named("ANY")?;
        let dvipa = pairs.text("dvipa").map(named).transpose()?;
        let dvipa = dvipa.map(|target| target.map(|target| target.dvipa_text()));
        Ok(Self { dvipa, transport: transport.map(str::to_owned), open })
    }

    fn takes(&self, list: &ListView) -> bool {
        self.dvipa.as_ref().is_none_or(|dvipa| dvipa.as_ref().is_some_and(|dvipa| list.target.dvipa_text() == *dvipa))
            && self.transport.as_ref().is_none_or(|transport| list.target.transport().name() == transport)
            && self.open.is_none_or(|open| list.open == open)
    }
}

pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let hosted = Arc::clone(shared.hosted(&names(path)?)?);
    let pairs = Pairs::parse(&uri, &["from", "limit", "dvipa", "transport", "state"])?;
    let (page, wanted) = (pairs.page()?, Wanted::parse(&pairs)?);
    let make = move || {
        hosted.read(|view| {
            let lists = view.copy.structure.lists().filter(|list| list.list >= page.from && wanted.takes(list));
            let (mut shown, mut stacks, mut next) = (BTreeSet::new(), 0, None);
            for list in lists {
                stacks += list.members;
                if shown.len() >= page.limit as usize || (stacks > STACKS_MAX && !shown.is_empty()) {
                    next = Some(list.list);
                    break;
                }
                shown.insert(list.list);
            }
            let mut body = head(view);
            body["lists"] = rows(view, &shown).into();
            body["next"] = json!(next);
            Ok(Answer { body, tag: None })
        })
    };
    shared.answer(&headers, make).await
}

pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (structure, dvipa, transport) = names(path)?;
    let hosted = Arc::clone(shared.hosted(&structure)?);
    let target = query::list(&dvipa, &transport)?;
    Pairs::parse(&uri, &[])?;
    let make = move || {
        hosted.read(|view| {
            let list = list_of(view, target)?;
            let mut body = head(view);
            for row in rows(view, &BTreeSet::from([list.list])) {
                if let (Some(body), Value::Object(row)) = (body.as_object_mut(), row) {
                    body.extend(row);
                }
            }
            Ok(Answer { body, tag: tag(view) })
        })
    };
    shared.answer(&headers, make).await
}

/// Lists as rows, by slot.
fn rows(view: &View<'_>, slots: &BTreeSet<u32>) -> Vec<Value> {
    let structure = &view.copy.structure;
    let shape = Shape::new(structure.items_of(slots));
    let row = |list: &crate::shapes::state::List| {
        let mut row = list_json(list);
        let room = structure.room(list.slot);
        row["grantable"] = json!(room.map(|room| room.grantable));
        row["grantable_max"] = json!(room.map(|room| room.grantable_max));
        row
    };
    shape.lists.iter().map(row).collect()
}
