//! Making an answer: on a thread of its own, a bounded number at a time, with the lsn as its tag.
#![forbid(unsafe_code)]

use super::Shared;
use super::hosted::Hosted;
use super::problem::Problem;
use super::problem::echo;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use serde_json::Value;
use std::sync::Arc;

/// What a question comes to.
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// The same tag, the same state: what is asked for again under it need not be sent.
    pub(crate) tag: Option<String>,
}

impl Answer {
    /// One that depends on more than the lsn.
    pub(crate) const fn fresh(body: Value) -> Self {
        Self { body, tag: None }
    }
}

impl Shared {
    pub(crate) fn hosted(&self, name: &str) -> Result<&Arc<Hosted>, Problem> {
        self.hosted.get(name).ok_or_else(|| Problem::UnknownStructure { name: echo(name) })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Hosted>> {
        self.hosted.values()
    }

    /// Has an answer made by `make`, which may block.
    pub(crate) async fn answer(
        &self,
        headers: &HeaderMap,
        make: impl FnOnce() -> Result<Answer, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Problem::Overloaded)?;
        let working = Arc::clone(&self.answers).acquire_owned().await.map_err(|_| Problem::Ending)?;
        drop(waiting);
        let made = tokio::task::spawn_blocking(move || {
            let made = make().map(|answer| (answer.body.to_string(), answer.tag));
            drop(working);
            made
        });
        let (body, tag) = made.await.map_err(|_| Problem::Ending)??;
        Ok(response(headers, body, tag.as_deref()))
    }
}

fn response(asked: &HeaderMap, body: String, tag: Option<&str>) -> Response {
    let tag = tag.and_then(|tag| HeaderValue::from_str(&format!("W/\"{tag}\"")).ok());
    let is_known = tag.as_ref().is_some_and(|tag| is_same(asked, tag));
    let mut response = Response::new(if is_known { Body::empty() } else { Body::from(body) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(tag) = tag {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Whether the caller has what the tag names. Weak comparison (RFC 9110, 13.1.2).
fn is_same(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let weak = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let Ok(mine) = tag.to_str().map(weak) else { return false };
    let given = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|value| value.trim() == "*" || weak(value) == mine)
}
