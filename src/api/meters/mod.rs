//! What the service counts of itself: connections, streams, calls. The facility counts its own work.
//!
//! Every number is one atomic; nothing here waits, allocates or takes a lock, but for the list of
//! methods that is made once. What is open is held as an [`Open`], so that it is counted down however it
//! ends.
#![forbid(unsafe_code)]

mod calls;
mod connections;
mod methods;

pub use calls::{CallsLayer, CountedBody, CountedCalls};
pub use connections::ConnectionCounts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// gRPC's codes, by number.
pub(crate) const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
pub(crate) const CODE_CANCELLED: usize = 1;
pub(crate) const CODE_UNKNOWN: usize = 2;

/// First steps of HTTP paths that are told apart; what is below one counts with it. The last one is all
/// others.
pub(crate) const HTTP_PATHS: [&str; 6] = ["/", "/healthz", "/readyz", "/metrics", "/v1", "other"];
/// Answers of HTTP that are told apart; 0 is all others.
pub(crate) const HTTP_STATUSES: [u16; 16] =
    [200, 204, 301, 304, 400, 401, 403, 404, 405, 406, 408, 413, 414, 429, 503, 0];

/// What kind of door a connection came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorKind {
    /// TCP.
    Tcp,
    /// A unix socket.
    Unix,
}

/// Why a connection was closed by the service before anything was served on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// As many as there may be.
    Limit,
    /// It began with silence.
    Silence,
    /// The TLS handshake failed.
    Tls,
    /// Its certificate, or its user, has no place here.
    Unknown,
}

/// What else a connection may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// There are as many as there may be.
    NoRoom,
    /// Its peer has as many as it may have.
    NoRoomForPeer,
    /// Accepting failed.
    AcceptFailed,
    /// The peer took nothing of what was written.
    SlowReader,
    /// It had its age.
    Aged,
}

/// Why the service itself refused a call: the facility never heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// The caller's role does not allow it.
    Role,
    /// Too many in too short a time.
    Rate,
    /// Too many at once: streams, watchers, calls of one stream.
    Limit,
    /// The stack has not attached on this stream.
    Stranger,
}

impl DoorKind {
    pub(crate) const ALL: [(Self, &'static str); 2] = [(Self::Tcp, "tcp"), (Self::Unix, "unix")];
}

impl Turned {
    pub(crate) const ALL: [(Self, &'static str); 4] =
        [(Self::Limit, "limit"), (Self::Silence, "silence"), (Self::Tls, "tls"), (Self::Unknown, "unknown")];
}

impl Barred {
    pub(crate) const ALL: [(Self, &'static str); 4] =
        [(Self::Role, "role"), (Self::Rate, "rate"), (Self::Limit, "limit"), (Self::Stranger, "stranger")];
}

/// The numbers of one service.
#[derive(Debug)]
pub struct ServiceMeters {
    is_draining: AtomicBool,
    open_connections: [AtomicU64; 2],
    connections: [AtomicU64; 2],
    turned: [AtomicU64; 4],
    fates: [AtomicU64; 5],
    barred: [AtomicU64; 4],
    streams: AtomicU64,
    watchers: AtomicU64,
    waiting: AtomicU64,
    calls: Vec<Method>,
    http: [[AtomicU64; HTTP_STATUSES.len()]; HTTP_PATHS.len()],
}

/// One method of gRPC.
#[derive(Debug)]
pub(crate) struct Method {
    /// `service/method`, or `other`.
    pub(crate) name: String,
    in_flight: AtomicU64,
    codes: [AtomicU64; CODES.len()],
}

/// Something that is counted as open until it is dropped.
#[derive(Debug)]
#[must_use = "it counts until it is dropped"]
pub struct Open {
    meters: Arc<ServiceMeters>,
    what: Opened,
}

#[derive(Clone, Copy, Debug)]
enum Opened {
    Connection(DoorKind),
    Stream,
    Watcher,
}

impl Default for ServiceMeters {
    fn default() -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        let names = methods::of_the_contract().into_iter().chain(methods::OTHERS.map(str::to_owned));
        let calls = names.map(|name| Method { name, in_flight: AtomicU64::new(0), codes: zeros() });
        Self {
            is_draining: AtomicBool::new(false),
            open_connections: Default::default(),
            connections: Default::default(),
            turned: Default::default(),
            fates: Default::default(),
            barred: Default::default(),
            streams: AtomicU64::new(0),
            watchers: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            calls: calls.collect(),
            http: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
        }
    }
}

impl ServiceMeters {
    /// All zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// A connection was accepted; it is open until what is returned is dropped.
    pub fn connection(self: &Arc<Self>, door: DoorKind) -> Open {
        self.connections[door as usize].fetch_add(1, Ordering::Relaxed);
        self.open(Opened::Connection(door))
    }

    /// A connection was closed before anything was served on it.
    pub fn turn_away(&self, why: Turned) {
        self.turned[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A call was refused by the service itself.
    pub fn bar(&self, why: Barred) {
        self.barred[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A stack's stream was opened; it stands until what is returned is dropped.
    pub fn stream(self: &Arc<Self>) -> Open {
        self.open(Opened::Stream)
    }

    /// A watcher's stream was opened; it stands until what is returned is dropped.
    pub fn watcher(self: &Arc<Self>) -> Open {
        self.open(Opened::Watcher)
    }

    /// So many calls more, on streams of stacks, wait for their answers.
    pub fn asked(&self, calls: usize) {
        self.waiting.fetch_add(calls as u64, Ordering::Relaxed);
    }

    /// So many calls have theirs, or gave up.
    pub fn answered(&self, calls: usize) {
        self.waiting.fetch_sub(calls as u64, Ordering::Relaxed);
    }

    /// From here on `/readyz` says no: the service ends.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Whether the service ends.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Counts every call that goes through it, by method and code, and every other HTTP request by path
    /// and status.
    #[must_use]
    pub fn layer(self: &Arc<Self>) -> CallsLayer {
        CallsLayer::new(Arc::clone(self))
    }

    fn open(self: &Arc<Self>, what: Opened) -> Open {
        self.opened(what).fetch_add(1, Ordering::Relaxed);
        Open { meters: Arc::clone(self), what }
    }

    fn opened(&self, what: Opened) -> &AtomicU64 {
        match what {
            Opened::Connection(door) => &self.open_connections[door as usize],
            Opened::Stream => &self.streams,
            Opened::Watcher => &self.watchers,
        }
    }

    /// Open connections and all that ever were, by door.
    pub(crate) fn connections(&self, door: DoorKind) -> (u64, u64) {
        (read(&self.open_connections[door as usize]), read(&self.connections[door as usize]))
    }

    pub(crate) fn turned(&self, why: Turned) -> u64 {
        read(&self.turned[why as usize])
    }

    pub(crate) fn barred(&self, why: Barred) -> u64 {
        read(&self.barred[why as usize])
    }

    /// Streams of stacks, watchers, and calls on streams without an answer.
    pub(crate) fn open_now(&self) -> [u64; 3] {
        [read(&self.streams), read(&self.watchers), read(&self.waiting)]
    }

    pub(crate) fn methods(&self) -> &[Method] {
        &self.calls
    }

    pub(crate) fn http(&self, path: usize, status: usize) -> u64 {
        read(&self.http[path][status])
    }

    fn count_http(&self, path: &str, status: u16) {
        let step = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let known = |path: &str| path.strip_prefix('/').is_some_and(|known| known == step);
        let path = HTTP_PATHS.iter().position(|path| known(path)).unwrap_or(HTTP_PATHS.len() - 1);
        let status = HTTP_STATUSES.iter().position(|known| *known == status).unwrap_or(HTTP_STATUSES.len() - 1);
        self.http[path][status].fetch_add(1, Ordering::Relaxed);
    }

    /// The place of a method by the path of its call; the last one for what is none of ours.
    fn method(&self, path: &str) -> usize {
        let name = path.trim_start_matches('/');
        self.calls.iter().position(|method| method.name == name).unwrap_or(self.calls.len() - 1)
    }

    fn call_begins(&self, method: usize) {
        self.calls[method].in_flight.fetch_add(1, Ordering::Relaxed);
    }

    fn call_ends(&self, method: usize, code: usize) {
        let method = &self.calls[method];
        method.in_flight.fetch_sub(1, Ordering::Relaxed);
        method.codes[code.min(CODES.len() - 1)].fetch_add(1, Ordering::Relaxed);
    }
}

impl Method {
    pub(crate) fn in_flight(&self) -> u64 {
        read(&self.in_flight)
    }

    pub(crate) fn ended(&self, code: usize) -> u64 {
        read(&self.codes[code])
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.meters.opened(self.what).fetch_sub(1, Ordering::Relaxed);
    }
}

fn read(value: &AtomicU64) -> u64 {
    value.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_counted_down_when_it_is_dropped() {
        let meters = ServiceMeters::new();
        let (first, second) = (meters.connection(DoorKind::Unix), meters.connection(DoorKind::Unix));
        let stream = meters.stream();
        assert_eq!(meters.connections(DoorKind::Unix), (2, 2));
        drop((first, stream));
        assert_eq!(meters.connections(DoorKind::Unix), (1, 2));
        assert_eq!(meters.connections(DoorKind::Tcp), (0, 0));
        assert_eq!(meters.open_now(), [0, 0, 0]);
        drop(second);
        assert_eq!(meters.connections(DoorKind::Unix), (0, 2));
    }

    #[test]
    fn paths_and_statuses_that_a_caller_makes_up_make_no_new_numbers() {
        let meters = ServiceMeters::new();
        for path in ["/", "/v1/structures/X", "/v1", "/metrics", "/metricsx", "/%2e", ""] {
            meters.count_http(path, 200);
        }
        meters.count_http("/healthz", 418);
        let at = |path: &str, status| {
            let path = HTTP_PATHS.iter().position(|known| *known == path).unwrap();
            meters.http(path, HTTP_STATUSES.iter().position(|known| *known == status).unwrap())
        };
        assert_eq!([at("/", 200), at("/v1", 200), at("/metrics", 200), at("other", 200)], [2, 2, 1, 2]);
        assert_eq!((at("/healthz", 0), at("/healthz", 200)), (1, 0));
        assert_eq!(meters.method("/portplex.v1.Nothing/Such"), meters.calls.len() - 1);
        assert_eq!(meters.calls[meters.method("/portplex.v1.Stacks/Calls")].name, "portplex.v1.Stacks/Calls");
    }
}
