//! The server: facilities by structure name, behind unix sockets, loopback TCP, and TCP with mutual TLS.
//!
//! It has a runtime of its own. [`Server::start`] returns once every door is open; [`Running::stop`]
//! ends in order: no new call is taken, those that were are answered, then the streams end.
#![forbid(unsafe_code)]

mod calls;
mod connection;
mod doors;
mod gate;
mod guard;
mod judge;
mod live;
mod operations;
mod room;
mod stacks;
mod structures;
mod watching;

use super::Door;
use super::Limits;
use super::Operations;
use super::access::Access;
use super::access::Reloaded;
use super::access::TlsDoor;
use super::access::TlsError;
use super::access::rates::Rates;
use super::failure::Failure;
use super::limits;
use super::meters::ConnectionCounts;
use super::meters::ServiceMeters;
use super::v1;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Watch;
use crate::facility::WatchError;
use crate::ident::Lsn;
use crate::ident::StructureName;
use connection::Served;
use futures_util::FutureExt;
use live::Live;
use live::Seats;
use parking_lot::RwLock;
use room::Room;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tonic::service::Routes;
use v1::operations_server::OperationsServer;
use v1::stacks_server::StacksServer;
use v1::structures_server::StructuresServer;

/// Longest text of a caller that is repeated to it.
const ECHO_MAX: usize = 64;

type WatchDoor = Arc<dyn Fn(Option<Lsn>) -> Result<Watch, WatchError> + Send + Sync>;

/// What is served, and how much of it at a time.
pub struct Server {
    hosted: BTreeMap<String, Hosted>,
    limits: Limits,
    access: Access,
    lease: Duration,
    http: axum::Router,
    meters: Arc<ServiceMeters>,
}

/// One structure.
#[derive(Clone)]
pub(super) struct Hosted {
    facility: Arc<dyn Facility>,
    watch: Option<WatchDoor>,
    operations: Option<Arc<dyn Operations>>,
}

/// What every call can see.
pub(super) struct Shared {
    hosted: BTreeMap<String, Hosted>,
    live: Arc<Live>,
    streams: Arc<Seats>,
    watchers: Arc<Seats>,
    rates: Rates,
    meters: Arc<ServiceMeters>,
    operations: Arc<Semaphore>,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// TCP beyond loopback.
    #[error(
        "{address} is not loopback: whoever reaches a plain port could take any port of any stack; listen with certificates (--tls-cert, --tls-key, --tls-client-ca), on 127.0.0.1, or on a unix socket"
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
    /// A door with TLS, and no certificates.
    #[error("{door}: there are no certificates for it: give the service's own, its key, and the CA of its clients")]
    NoCertificates {
        /// Which.
        door: Door,
    },
    /// A door that only a client can use.
    #[error("{door}: a service listens on an address, not on a name")]
    NotAnAddress {
        /// Which.
        door: Door,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no thread or no poller for the runtime.
    #[error("the machine has no thread or no poller for the service: {source}")]
    NoRuntime {
        /// Why.
        source: std::io::Error,
    },
}

/// A server at work. Dropping it ends it at once, as a crash would.
pub struct Running {
    runtime: Option<Runtime>,
    stopping: watch::Sender<bool>,
    /// Ends when the last door and the last connection have.
    last: mpsc::Receiver<()>,
    doors: Vec<Door>,
    tls: Option<Arc<TlsDoor>>,
    meters: Arc<ServiceMeters>,
    http: axum::Router,
    shared: Arc<Shared>,
    served: Arc<Served>,
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
        let (access, lease, meters) = (Access::default(), Duration::ZERO, ServiceMeters::new());
        Self { hosted: BTreeMap::new(), limits, access, lease, http: axum::Router::new(), meters }
    }

    /// Says who may come in; without it, [`Access::default`].
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Asks stacks to promise a lease of that length, unless they are told another; zero: none.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Hosts one more structure. It cannot be watched: see [`host_local`](Self::host_local).
    #[must_use]
    pub fn host(mut self, structure: StructureName, facility: Arc<dyn Facility>) -> Self {
        self.hosted.insert(structure.to_string(), Hosted { facility, watch: None, operations: None });
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
        self.hosted.insert(structure.to_string(), Hosted { facility, watch: Some(door), operations: None });
        self
    }

    /// Lets operators work on the store of a structure that is hosted, as a whole.
    #[must_use]
    pub fn operate(mut self, structure: StructureName, operations: Arc<dyn Operations>) -> Self {
        if let Some(hosted) = self.hosted.get_mut(&structure.to_string()) {
            hosted.operations = Some(operations);
        }
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
        let Self { hosted, limits, access, lease, http, meters } = self;
        let tls = access.tls.clone().map(TlsDoor::open).transpose()?.map(Arc::new);
        let (stopping, stopped) = watch::channel(false);
        let (alive, last) = mpsc::channel(1);
        let entered = runtime.enter();
        let opened = doors::open(doors, tls.is_some(), access.uids.has_others())?;
        let doors = opened.iter().map(|opened| opened.door.clone()).collect();
        let live = Arc::new(Live::new(limits, lease));
        let shared = Arc::new(Shared {
            hosted,
            streams: Arc::default(),
            watchers: Arc::default(),
            operations: Arc::new(Semaphore::new(limits::OPERATIONS_MAX)),
            rates: Rates::new(&limits),
            meters: Arc::clone(&meters),
            live: Arc::clone(&live),
        });
        let served = Arc::new(Served {
            routes: RwLock::new(routes(Arc::clone(&shared), http.clone(), stopped.clone())),
            room: Arc::new(Room::new(Arc::clone(&live))),
            tls: tls.clone(),
            meters: Arc::clone(&meters),
            stopping: stopped,
            live,
            access,
        });
        for opened in opened {
            tokio::spawn(doors::accept(opened, Arc::clone(&served), alive.clone()));
        }
        drop(entered);
        Ok(Running { runtime: Some(runtime), stopping, last, doors, tls, meters, http, shared, served })
    }
}

/// Everything that is answered: gRPC, its health and reflection, and the other routes. Within a runtime.
fn routes(shared: Arc<Shared>, http: axum::Router, mut stopped: watch::Receiver<bool>) -> axum::Router {
    let Limits { call_bytes_max, stream_call_bytes_max, .. } = shared.live.limits();
    let counted = shared.meters.layer();
    let stacks = StacksServer::new(stacks::Stacks(Arc::clone(&shared)))
        .max_decoding_message_size(stream_call_bytes_max)
        .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
    let operations = OperationsServer::new(operations::Operations(Arc::clone(&shared)))
        .max_decoding_message_size(call_bytes_max)
        .max_encoding_message_size(limits::WHO_BYTES_MAX);
    let structures = StructuresServer::new(structures::Structures(shared))
        .max_decoding_message_size(call_bytes_max)
        .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTOR)
        .build_v1()
        .expect("a test decodes the descriptor");
    // Nobody else has it yet: all are done at once.
    let _ = reporter.set_serving::<StacksServer<stacks::Stacks>>().now_or_never();
    let _ = reporter.set_serving::<StructuresServer<structures::Structures>>().now_or_never();
    let _ = reporter.set_serving::<OperationsServer<operations::Operations>>().now_or_never();
    tokio::spawn(async move {
        // A sender that is gone is a stop too.
        let _ = stopped.wait_for(|is_stopping| *is_stopping).await;
        reporter.set_not_serving::<StacksServer<stacks::Stacks>>().await;
        reporter.set_not_serving::<StructuresServer<structures::Structures>>().await;
        reporter.set_not_serving::<OperationsServer<operations::Operations>>().await;
    });
    Routes::from(http.layer(axum::extract::DefaultBodyLimit::max(call_bytes_max)))
        .add_service(health.max_decoding_message_size(call_bytes_max))
        .add_service(reflection.max_decoding_message_size(call_bytes_max))
        .add_service(stacks)
        .add_service(structures)
        .add_service(operations)
        .prepare()
        .into_axum_router()
        .layer(counted)
}

impl Running {
    /// The doors that are open, with the port that was given where 0 was asked for.
    #[must_use]
    pub fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// What became of connections so far.
    #[must_use]
    pub fn connections(&self) -> ConnectionCounts {
        self.meters.connection_counts()
    }

    /// Reads the certificates' files anew, for the connections that begin from now on.
    ///
    /// # Errors
    /// [`TlsError`]; what was in force stays in force.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        let certificate = self.tls.as_ref().map(|door| door.reload()).transpose()?;
        Ok(Reloaded { certificate })
    }

    /// Puts other limits, and another lease, in force: rates and numbers of streams, watchers and connections
    /// at once, all else for the connections and streams that begin from now on. Nobody's connection is cut.
    pub fn limit(&self, limits: Limits, lease: Duration) {
        let before = self.shared.live.set(limits, lease);
        self.shared.rates.set(&before, &limits);
        let bytes = |limits: Limits| (limits.call_bytes_max, limits.stream_call_bytes_max);
        if let Some(runtime) = self.runtime.as_ref().filter(|_| bytes(before) != bytes(limits)) {
            let _entered = runtime.enter();
            let made = routes(Arc::clone(&self.shared), self.http.clone(), self.served.stopping.clone());
            *self.served.routes.write() = made;
        }
    }

    /// Ends in order, within that time: takes no new call, answers those that were taken, ends every
    /// stream and connection.
    pub fn stop(mut self, patience: Duration) -> Drained {
        let Some(runtime) = self.runtime.take() else { return Drained::All };
        self.meters.drain();
        // Nobody listens any more where it already ended.
        let _ = self.stopping.send(true);
        let ended = runtime.block_on(async { tokio::time::timeout(patience, self.last.recv()).await });
        doors::remove_sockets(self.doors.iter());
        runtime.shutdown_timeout(Duration::from_millis(500));
        if ended.is_ok() { Drained::All } else { Drained::Cut }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("doors", &self.doors).finish_non_exhaustive()
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
