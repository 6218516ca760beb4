//! Events as they happen, as server-sent events: where the stream begins, then every event in order.
//!
//! `snapshot` names the lsn that is reached; what is read of the structure from then on is at least
//! that new. A stream that comes back with `Last-Event-ID` gets what it missed, as far as it is kept;
//! else, and when it falls behind, it is told `lagged` and reads the structure anew.
#![forbid(unsafe_code)]

use super::names;
use crate::ident::Lsn;
use crate::web::STREAMS_MAX;
use crate::web::Shared;
use crate::web::copy::Told;
use crate::web::follow::Subscription;
use crate::web::problem::Problem;
use crate::web::problem::echo;
use crate::web::query::Pairs;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::response::sse::Event;
use axum::response::sse::KeepAlive;
use axum::response::sse::Sse;
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::watch;

/// A stream without events says that often that it stands.
const ALIVE: Duration = Duration::from_secs(10);
/// With `detail=lsn`: at most one word in this time.
const CALM: Duration = Duration::from_millis(500);

/// What one stream stands at.
struct Stream {
    structure: String,
    waiting: VecDeque<Event>,
    live: broadcast::Receiver<Arc<Told>>,
    last: Lsn,
    /// Only that something happened.
    is_calm: bool,
    ending: watch::Receiver<bool>,
    over: bool,
    _room: OwnedSemaphorePermit,
}

pub(super) async fn stream(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = names(path)?;
    let hosted = Arc::clone(shared.hosted(&name)?);
    let pairs = Pairs::parse(&uri, &["detail"])?;
    let is_calm = match pairs.text("detail") {
        None | Some("events") => false,
        Some("lsn") => true,
        Some(other) => {
            let why = format!("{:?} is neither events nor lsn", echo(other));
            return Err(Problem::bad("query parameter detail", why));
        }
    };
    let after = last_event_id(&headers)?;
    let too_many = |_| Problem::TooManyStreams { max: STREAMS_MAX };
    let room = Arc::clone(&shared.streams).try_acquire_owned().map_err(too_many)?;
    // The copy is made now, so that there is something to follow.
    let reading = Arc::clone(&hosted);
    let begun = tokio::task::spawn_blocking(move || {
        let followed =
            reading.read(|view| Ok(view.copy.history)).and_then(|history| Ok((history, reading.followed()?)))?;
        Ok::<_, Problem>((followed.0, followed.1.subscribe(after)))
    });
    let (history, subscription) = begun.await.map_err(|_| Problem::Ending)??;
    let Subscription { live, before, reached, has_gap } = subscription;
    let mut waiting = VecDeque::with_capacity(before.len() + 2);
    let begins = if before.is_empty() { reached } else { after.unwrap_or(reached) };
    let snapshot = json!({"structure": name, "history": history.to_string(), "lsn": begins.0});
    waiting.push_back(named("snapshot", begins).data(snapshot.to_string()));
    if has_gap {
        waiting.push_back(lagged(&name, reached));
    }
    if !is_calm {
        waiting.extend(before.iter().map(|told| event(&name, told)));
    }
    let (ending, last) = (shared.ending.clone(), reached);
    let stream = Stream { structure: name, waiting, live, last, is_calm, ending, over: false, _room: room };
    let events = futures_util::stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<Event, Infallible>(event), stream))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Lsn>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(lsn) if digits => Ok(Some(Lsn(lsn))),
        _ if text.is_empty() && value.is_empty() => Ok(None),
        _ => Err(Problem::bad("Last-Event-ID", format!("{:?} is no lsn", echo(text)))),
    }
}

fn named(kind: &str, lsn: Lsn) -> Event {
    Event::default().event(kind).id(lsn.0.to_string())
}

fn lagged(structure: &str, lsn: Lsn) -> Event {
    named("lagged", lsn).data(json!({"structure": structure, "resume_from": lsn.0}).to_string())
}

fn event(structure: &str, told: &Told) -> Event {
    match &told.line {
        Some(line) => named("event", told.lsn).data(line),
        None => lagged(structure, told.lsn),
    }
}

impl Stream {
    /// The next thing to say; `None` is the end.
    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.waiting.pop_front() {
            return Some(event);
        }
        if self.over {
            return None;
        }
        let told = tokio::select! {
            told = self.live.recv() => Some(told),
            // A sender that is gone is an end too.
            _ = self.ending.wait_for(|is_ending| *is_ending) => None,
        };
        match told {
            Some(told) => Some(self.take(told).await),
            None => Some(self.end()),
        }
    }

    fn end(&mut self) -> Event {
        self.over = true;
        named("end", self.last).data(json!({"structure": self.structure, "lsn": self.last.0}).to_string())
    }

    async fn take(&mut self, told: Result<Arc<Told>, RecvError>) -> Event {
        let told = match told {
            Ok(told) => told,
            // What was missed is told by the lsn that the structure is read at, at least.
            Err(RecvError::Lagged(_)) => return lagged(&self.structure, self.last),
            Err(RecvError::Closed) => return self.end(),
        };
        self.last = self.last.max(told.lsn);
        if !self.is_calm {
            return event(&self.structure, &told);
        }
        tokio::time::sleep(CALM).await;
        loop {
            match self.live.try_recv() {
                Ok(told) => self.last = self.last.max(told.lsn),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        named("changed", self.last).data(json!({"structure": self.structure, "lsn": self.last.0}).to_string())
    }
}
