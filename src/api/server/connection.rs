//! One connection from its first byte to its last: who it is, HTTP/1 or HTTP/2, every limit, its end.
#![forbid(unsafe_code)]

use super::doors::Accepted;
use super::gate;
use super::gate::Gate;
use super::guard::Guarded;
use super::live::Live;
use super::room::Place;
use super::room::Room;
use crate::api::Limits;
use crate::api::access::Access;
use crate::api::access::CertificateFacts;
use crate::api::access::Denied;
use crate::api::access::How;
use crate::api::access::Peer;
use crate::api::access::TlsDoor;
use crate::api::access::WITH_NAMES;
use crate::api::access::audit;
use crate::api::access::shown_refused;
use crate::api::limits;
use crate::api::meters::DoorKind;
use crate::api::meters::Fate;
use crate::api::meters::ServiceMeters;
use crate::api::meters::Turned;
use crate::facility::random_u64;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use parking_lot::RwLock;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

/// What every connection can see.
pub(super) struct Served {
    /// What new connections are answered by.
    pub(super) routes: RwLock<axum::Router>,
    pub(super) live: Arc<Live>,
    pub(super) access: Access,
    pub(super) tls: Option<Arc<TlsDoor>>,
    pub(super) room: Arc<Room>,
    pub(super) meters: Arc<ServiceMeters>,
    pub(super) stopping: watch::Receiver<bool>,
}

/// How HTTP is spoken: every limit that a peer could try.
fn http(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_max)
        .max_buf_size(limits::HTTP1_BUFFER_BYTES_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits::KEEP_ALIVE_EVERY)
        .keep_alive_timeout(limits::KEEP_ALIVE_PATIENCE)
        .max_concurrent_streams(limits.calls_per_connection_max)
        .max_pending_accept_reset_streams(limits::RESET_STREAMS_MAX)
        .max_local_error_reset_streams(limits::FAULTY_STREAMS_MAX)
        .max_header_list_size(limits::HEADER_BYTES_MAX)
        .max_frame_size(limits::FRAME_BYTES_MAX)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(limits::SEND_BUFFER_BYTES_MAX);
    http
}

/// Serves a connection until it ends.
pub(super) async fn serve(accepted: Accepted, served: Arc<Served>, place: Place, alive: mpsc::Sender<()>) {
    let meters = &served.meters;
    match accepted {
        Accepted::Tcp(stream, from) => {
            let _counted = meters.connection(DoorKind::Tcp);
            let peer = Peer { role: served.access.loopback, name: None, how: How::Loopback(from) };
            converse(&served, stream, Ok(peer)).await;
        }
        Accepted::Unix(stream, uid) => {
            let _counted = meters.connection(DoorKind::Unix);
            let peer = served.access.uids.peer(uid);
            if let Err(denied) = &peer {
                meters.turn_away(Turned::Unknown);
                audit::denied(denied);
            }
            converse(&served, stream, peer).await;
        }
        Accepted::Tls(stream, from) => match handshake(&served, stream, from).await {
            Ok((stream, peer)) => {
                let _counted = meters.connection(DoorKind::Tcp);
                converse(&served, stream, Ok(peer)).await;
            }
            Err(Refused { reason, stream }) => {
                meters.turn_away(Turned::Tls);
                audit::refused(from, reason);
                if let Some(stream) = stream {
                    part(&served, stream).await;
                }
            }
        },
    }
    // In this order: who waits for the last connection finds its place free.
    drop(place);
    drop(alive);
}

/// Why a handshake did not succeed.
struct Refused {
    reason: String,
    /// Where the peer was told so.
    stream: Option<TcpStream>,
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self { reason, stream: None }
    }
}

/// Both sides prove who they are, in time.
async fn handshake(
    served: &Served,
    stream: TcpStream,
    from: SocketAddr,
) -> Result<(TlsStream<TcpStream>, Peer), Refused> {
    let door = served.tls.as_ref().ok_or("there are no certificates".to_owned())?;
    let mut stopping = served.stopping.clone();
    let shaken = WITH_NAMES.scope(RefCell::new(None), async {
        let shaken = door.acceptor().accept(stream).into_fallible().await;
        shaken.map_err(|(error, stream)| {
            let reason = shown_refused(&error, WITH_NAMES.with(RefCell::take));
            Refused { reason, stream: Some(stream) }
        })
    });
    let stream = tokio::select! {
        shaken = shaken => shaken?,
        () = tokio::time::sleep(served.live.limits().handshake_max) => return Err("no handshake in time".to_owned().into()),
        _ = stopping.wait_for(|is_stopping| *is_stopping) => return Err("the service ends".to_owned().into()),
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = certificate.ok_or("it sent no certificate".to_owned())?;
    let facts = CertificateFacts::of(certificate).map_err(|error| error.to_string())?;
    let (role, name) = facts.role.map_err(|error| error.to_string())?;
    Ok((stream, Peer { role, name: Some(name), how: How::Certificate(from) }))
}

/// Lets a refused peer read why. In TLS 1.3 it is already writing when it is refused, and a connection that
/// is closed with something unread is reset, which can take the reason away from it (as RFC 9112, 9.6 says
/// of HTTP). So this side's end is said first, and what still comes is thrown away until the peer goes.
async fn part(served: &Served, mut stream: TcpStream) {
    let mut stopping = served.stopping.clone();
    let read_off = async {
        if stream.shutdown().await.is_ok() {
            let mut room = [0; 1_024];
            while matches!(stream.read(&mut room).await, Ok(1..)) {}
        }
    };
    tokio::select! {
        () = read_off => {}
        () = tokio::time::sleep(limits::PARTING_MAX) => {}
        _ = stopping.wait_for(|is_stopping| *is_stopping) => {}
    }
}

/// Answers requests until the peer goes, the service stops, or the connection has its age.
async fn converse<S>(served: &Served, stream: S, peer: Result<Peer, Denied>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // A reload counts for the connections that come after it.
    let limits = served.live.limits();
    let Limits { silence_max, write_max, age_grace, connection_age_max, .. } = limits;
    let (ending, ended) = watch::channel(false);
    let gate = Arc::new(Gate::new(served.routes.read().clone(), peer, ended, Arc::clone(&served.meters)));
    let answer = hyper::service::service_fn(move |request| gate::answer(Arc::clone(&gate), request));
    let guarded = Guarded::new(stream, silence_max, write_max, Arc::clone(&served.meters));
    let http = http(&limits);
    let mut connection = pin!(http.serve_connection(TokioIo::new(guarded), answer));
    let mut stopping = served.stopping.clone();
    let is_aged = tokio::select! {
        // Whatever ended it, there is nobody left to be told.
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|is_stopping| *is_stopping) => false,
        () = aged(connection_age_max) => true,
    };
    // Streams end once what was taken is answered, and nothing new is taken.
    let _ = ending.send(true);
    connection.as_mut().graceful_shutdown();
    if is_aged {
        served.meters.meet(Fate::Aged);
        let _ = tokio::time::timeout(age_grace, connection).await;
    } else {
        // The stop has a patience of its own.
        let _: Result<(), Box<dyn std::error::Error + Send + Sync>> = connection.await;
    }
}

/// Nine to eleven tenths of it, so that connections that began together do not end together.
async fn aged(age: Duration) {
    if age.is_zero() {
        return std::future::pending().await;
    }
    let tenth = age / 10;
    let share = u32::try_from(random_u64() % 201).unwrap_or(0);
    tokio::time::sleep(age - tenth + tenth * share / 100).await;
}
