//! HTTP for those who watch over the service: `/healthz`, `/readyz`, `/metrics`.
//!
//! All three answer while a sync hangs: what the writer would have to tell is left out then, and said to
//! be missing. Only so many are worked on at a time; who asks too often is told so.
#![forbid(unsafe_code)]

mod exposition;
mod families;
mod process;
mod readiness;
mod service;
mod structure;

use super::meters::ServiceMeters;
use crate::facility::LocalFacility;
use crate::ident::StructureName;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use exposition::Exposition;
use futures_util::future::join_all;
use readiness::Readiness;
use std::sync::Arc;
use std::time::Duration;
use structure::Figures;
use tokio::sync::Semaphore;

/// Requests of each of the two that ask the writers that may be at work or wait.
const WAITING_MAX: usize = 8;
/// How long one waits for those before it.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// What the three answer from.
struct Watched {
    hosted: Vec<(StructureName, Arc<LocalFacility>)>,
    meters: Arc<ServiceMeters>,
    scrapes: Turns,
    looks: Turns,
}

/// One at a time, and a few that wait.
struct Turns {
    waiting: Semaphore,
    at_work: Semaphore,
}

/// `/healthz`, `/readyz` and `/metrics` of what is hosted, for [`Server::http`](super::Server::http);
/// `meters` are that server's ([`Server::meters`](super::Server::meters)).
pub fn routes(hosted: Vec<(StructureName, Arc<LocalFacility>)>, meters: Arc<ServiceMeters>) -> Router {
    let watched = Watched { hosted, meters, scrapes: Turns::new(), looks: Turns::new() };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(watched))
}

impl Turns {
    fn new() -> Self {
        Self { waiting: Semaphore::new(WAITING_MAX), at_work: Semaphore::new(1) }
    }

    /// Does the work when it is its turn; `None` if too many are before it.
    async fn take<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let _waiting = self.waiting.try_acquire().ok()?;
        let turn = tokio::time::timeout(TURN_PATIENCE, self.at_work.acquire()).await;
        let _turn = turn.ok()?.ok()?;
        Some(work.await)
    }
}

/// The process lives and answers.
async fn healthz() -> Response {
    told(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".to_owned())
}

async fn readyz(State(watched): State<Arc<Watched>>, headers: HeaderMap) -> Response {
    let found = watched.looks.take(Readiness::find(&watched.hosted, &watched.meters)).await;
    let Some(found) = found else { return too_many() };
    let status = if found.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut answer = if wants_json(&headers) {
        told(status, "application/json", format!("{}\n", found.to_json()))
    } else {
        told(status, "text/plain; charset=utf-8", found.to_text())
    };
    answer.headers_mut().insert(header::VARY, header::HeaderValue::from_static("accept"));
    answer
}

async fn metrics(State(watched): State<Arc<Watched>>) -> Response {
    let Some(text) = watched.scrapes.take(scrape(&watched)).await else { return too_many() };
    match text {
        Some(text) => told(StatusCode::OK, exposition::CONTENT_TYPE, text),
        None => told(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "the metrics could not be written\n".to_owned()),
    }
}

async fn scrape(watched: &Watched) -> Option<String> {
    let mut exposition = Exposition::new();
    // All at once: one disk that hangs keeps the others' figures from nobody.
    let figures = join_all(watched.hosted.iter().map(|(_, facility)| Figures::of(facility))).await;
    for ((name, facility), figures) in watched.hosted.iter().zip(&figures) {
        structure::add(&mut exposition, &name.to_string(), facility, figures.as_ref());
    }
    service::add(&mut exposition, &watched.meters);
    // Files of the kernel, and a text of perhaps a megabyte: not on a thread that others wait for.
    let written = tokio::task::spawn_blocking(move || {
        process::add(&mut exposition);
        exposition.into_text().ok()
    });
    written.await.ok().flatten()
}

fn too_many() -> Response {
    let mut answer =
        told(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "too many ask at once: try again later\n".to_owned());
    answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    answer
}

fn told(status: StatusCode, kind: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// Whether JSON is named before anything that is text.
fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|value| value.split(',')).map(|kind| kind.split(';').next().unwrap_or("").trim());
    kinds.find(|kind| ["application/json", "text/plain", "text/*", "*/*"].contains(kind)) == Some("application/json")
}
