//! The facility for people and programs: JSON under `/v1`, described by `/v1/openapi.json`, and a page
//! for people at `/`.
//!
//! It reads only. What it answers comes from a copy of each structure that follows the facility's
//! events beside the writer, from the first question until nobody asks any more: no answer takes the
//! writer's time, and each is exact as of the lsn that it names. Nothing undurable is ever in it.
#![forbid(unsafe_code)]

mod answer;
mod copy;
mod follow;
mod hosted;
mod page;
mod problem;
mod query;
mod rates;
mod reports;
mod times;
mod trend;
mod v1;
mod warnings;

pub use reports::{Report, Reports, Seen, Unexplained};

use crate::facility::LocalFacility;
use crate::ident::StructureName;
use axum::Router;
use hosted::Hosted;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::sync::watch;

/// Most answers that are being made at a time, on threads of their own.
pub const ANSWERS_MAX: usize = 8;
/// Most requests that wait for one of those; one more is answered 503.
pub const WAITING_MAX: usize = 256;
/// Most streams of events; one more is answered 503.
pub const STREAMS_MAX: usize = 64;
/// Most rows of one page of an answer.
pub const ROWS_MAX: u32 = 1_024;
/// Rows of one page unless a number is asked for.
pub const ROWS_DEFAULT: u32 = 100;
/// Events that are kept for streams that come back, and that a stream may be behind.
pub const EVENTS_KEPT: usize = 8_192;

/// What is served over HTTP, and the end of it.
#[derive(Debug)]
pub struct Web {
    /// To be put behind doors: see `Server::http`.
    pub routes: Router,
    /// To be dropped, or ended, before the doors are closed in order.
    pub ending: Ending,
}

/// Ends the streams of events, which do not end by themselves. Dropping it does so too.
#[derive(Debug)]
pub struct Ending(watch::Sender<bool>);

/// What every request sees.
pub(crate) struct Shared {
    hosted: BTreeMap<String, Arc<Hosted>>,
    answers: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    explanations: Arc<Semaphore>,
    ending: watch::Receiver<bool>,
}

impl Web {
    /// JSON and page for some structures of this process; nothing is said of profiles.
    #[must_use]
    pub fn new(hosted: Vec<(StructureName, Arc<LocalFacility>)>) -> Self {
        Self::of(hosted.into_iter().map(|(name, facility)| Hosted::new(name, facility, None)))
    }

    /// The same with what the profiles of each structure's stacks say, and explanations.
    #[must_use]
    pub fn with_reports(hosted: Vec<(StructureName, Arc<LocalFacility>, Arc<dyn Reports>)>) -> Self {
        Self::of(hosted.into_iter().map(|(name, facility, reports)| Hosted::new(name, facility, Some(reports))))
    }

    fn of(hosted: impl Iterator<Item = Hosted>) -> Self {
        let (sender, ending) = watch::channel(false);
        let named = hosted.map(|hosted| (hosted.name.to_string(), Arc::new(hosted)));
        let shared = Arc::new(Shared {
            hosted: named.collect(),
            answers: Arc::new(Semaphore::new(ANSWERS_MAX)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            explanations: Arc::new(Semaphore::new(1)),
            ending,
        });
        let routes = page::routes().merge(Router::new().nest("/v1", v1::routes(shared)));
        Self { routes, ending: Ending(sender) }
    }
}

impl Ending {
    /// Ends every stream of events.
    pub fn end(self) {
        // Nobody may listen any more.
        let _ = self.0.send(true);
    }
}
