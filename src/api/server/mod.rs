//! The server: facilities by structure name, behind unix sockets and loopback TCP.
//!
//! It has a runtime of its own. [`Server::start`] returns once every door is open; [`Running::stop`]
//! ends in order: no new call is taken, those that were are answered, then the streams end.
#![forbid(unsafe_code)]

mod accept;
mod calls;
mod stacks;
mod structures;
mod watching;

use super::Door;
use super::Limits;
use super::failure::Failure;
use super::limits;
use super::meters::ServiceMeters;
use super::v1;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Watch;
use crate::facility::WatchError;
use crate::ident::Lsn;
use crate::ident::StructureName;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use v1::stacks_server::StacksServer;
use v1::structures_server::StructuresServer;

/// Connections that were accepted and not yet taken over.
const ACCEPTED_MAX: usize = 64;
/// Longest text of a caller that is repeated to it.
const ECHO_MAX: usize = 64;

type WatchDoor = Arc<dyn Fn(Option<Lsn>) -> Result<Watch, WatchError> + Send + Sync>;

/// What is served, and how much of it at a time.
pub struct Server {
    hosted: BTreeMap<String, Hosted>,
    limits: Limits,
    http: axum::Router,
    meters: Arc<ServiceMeters>,
}

/// One structure.
#[derive(Clone)]
pub(super) struct Hosted {
    facility: Arc<dyn Facility>,
    watch: Option<WatchDoor>,
}

/// What every call can see.
pub(super) struct Shared {
    hosted: BTreeMap<String, Hosted>,
    limits: Limits,
    streams: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    meters: Arc<ServiceMeters>,
    stopping: watch::Receiver<bool>,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// TCP beyond loopback.
    #[error(
        "{address} is not loopback: there is no mutual TLS yet, and whoever reaches this port could take any port; listen on 127.0.0.1 or on a unix socket"
    )]
    NotLoopback {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The door does not open.
    #[error("{door}: cannot listen: {source}")]
    Door {
        /// Which.
        door: Door,
        /// Why.
        source: std::io::Error,
    },
    /// Another process listens on that socket.
    #[error("{}: another process listens on this socket: end it first, or take another path", path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is no thread or no poller for the runtime.
    #[error("the machine has no thread or no poller for the service: {source}")]
    NoRuntime {
        /// Why.
        source: std::io::Error,
    },
}

/// A server at work. Dropping it ends it at once, as a crash would.
#[derive(Debug)]
pub struct Running {
    runtime: Option<Runtime>,
    stopping: watch::Sender<bool>,
    served: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    doors: Vec<Door>,
    meters: Arc<ServiceMeters>,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every call that was taken was answered.
    All,
    /// The time was over first: some callers do not know the outcome.
    Cut,
}

impl Server {
    /// A server that hosts nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { hosted: BTreeMap::new(), limits, http: axum::Router::new(), meters: ServiceMeters::new() }
    }

    /// Hosts one more structure. It cannot be watched: see [`host_local`](Self::host_local).
    #[must_use]
    pub fn host(mut self, structure: StructureName, facility: Arc<dyn Facility>) -> Self {
        self.hosted.insert(structure.to_string(), Hosted { facility, watch: None });
        self
    }

    /// Hosts one more structure, on a store of this machine.
    #[must_use]
    pub fn host_local(mut self, structure: StructureName, facility: &Arc<LocalFacility>) -> Self {
        let watched = Arc::clone(facility);
        let door: WatchDoor = Arc::new(move |after| match after {
            None => watched.watch(),
            Some(after) => watched.watch_from(after),
        });
        let facility = Arc::clone(facility) as Arc<dyn Facility>;
        self.hosted.insert(structure.to_string(), Hosted { facility, watch: Some(door) });
        self
    }

    /// Answers other HTTP requests at the same doors.
    #[must_use]
    pub fn http(mut self, routes: axum::Router) -> Self {
        self.http = self.http.merge(routes);
        self
    }

    /// What the service counts of itself.
    #[must_use]
    pub fn meters(&self) -> Arc<ServiceMeters> {
        Arc::clone(&self.meters)
    }

    /// Opens every door and serves.
    ///
    /// # Errors
    /// [`ServeError`]; no door is open then.
    pub fn start(self, doors: &[Door]) -> Result<Running, ServeError> {
        let no_runtime = |source| ServeError::NoRuntime { source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("portplex-service")
            .enable_all()
            .build()
            .map_err(no_runtime)?;
        let (stopping, stopped) = watch::channel(false);
        let (accepted, connections) = mpsc::channel(ACCEPTED_MAX);
        let opened = {
            let _entered = runtime.enter();
            accept::open(doors, &accepted, &self.limits, &self.meters, &stopped)?
        };
        drop(accepted);
        let shared = Arc::new(Shared {
            hosted: self.hosted,
            streams: Arc::new(Semaphore::new(self.limits.streams_max.min(Semaphore::MAX_PERMITS))),
            watchers: Arc::new(Semaphore::new(self.limits.watchers_max.min(Semaphore::MAX_PERMITS))),
            limits: self.limits,
            meters: Arc::clone(&self.meters),
            stopping: stopped.clone(),
        });
        let served = runtime.spawn(serve(shared, self.http, connections, stopped));
        Ok(Running { runtime: Some(runtime), stopping, served, doors: opened, meters: self.meters })
    }
}

async fn serve(
    shared: Arc<Shared>,
    http: axum::Router,
    connections: mpsc::Receiver<std::io::Result<accept::Guarded>>,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let counted = shared.meters.layer();
    let stacks = StacksServer::new(stacks::Stacks(Arc::clone(&shared)))
        .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
    let structures = StructuresServer::new(structures::Structures(shared))
        .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<StacksServer<stacks::Stacks>>().await;
    reporter.set_serving::<StructuresServer<structures::Structures>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTOR)
        .build_v1()
        .expect("a test decodes the descriptor");
    let stop = async move {
        // A sender that is gone is a stop too.
        let _ = stopped.wait_for(|is_stopping| *is_stopping).await;
        reporter.set_not_serving::<StacksServer<stacks::Stacks>>().await;
        reporter.set_not_serving::<StructuresServer<structures::Structures>>().await;
    };
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(limits::KEEP_ALIVE_EVERY))
        .http2_keepalive_timeout(Some(limits::KEEP_ALIVE_PATIENCE))
        .http2_max_header_list_size(Some(limits::HEADER_BYTES_MAX))
        .http2_max_pending_accept_reset_streams(Some(limits::RESET_STREAMS_MAX))
        .max_concurrent_streams(Some(limits::CALLS_PER_CONNECTION_MAX))
        .accept_http1(true)
        .layer(counted)
        .add_routes(Routes::from(http))
        .add_service(health)
        .add_service(reflection)
        .add_service(stacks)
        .add_service(structures)
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), stop)
        .await
}

impl Running {
    /// The doors that are open, with the port that was given where 0 was asked for.
    #[must_use]
    pub fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// Ends in order, within that time: takes no new call, answers those that were taken, ends every
    /// stream and connection.
    pub fn stop(mut self, patience: Duration) -> Drained {
        let Some(runtime) = self.runtime.take() else { return Drained::All };
        self.meters.drain();
        // Nobody listens any more where it already ended.
        let _ = self.stopping.send(true);
        let ended = runtime.block_on(async { tokio::time::timeout(patience, &mut self.served).await });
        self.remove_sockets();
        runtime.shutdown_timeout(Duration::from_millis(500));
        if ended.is_ok() { Drained::All } else { Drained::Cut }
    }

    fn remove_sockets(&self) {
        for door in &self.doors {
            if let Door::Unix(path) = door {
                accept::remove_socket(path);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    pub(super) fn hosted(&self, structure: &str) -> Result<&Hosted, Failure> {
        let not_hosted = || Failure::NotHosted { structure: structure.chars().take(ECHO_MAX).collect() };
        self.hosted.get(structure).ok_or_else(not_hosted)
    }
}
