//! Doors: listening, and as many connections as there may be.
#![forbid(unsafe_code)]

use super::ServeError;
use crate::api::Door;
use crate::api::DoorKind;
use crate::api::Limits;
use crate::api::Open;
use crate::api::ServiceMeters;
use crate::api::Turned;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Sleep;
use tonic::transport::server::Connected;

/// How long accepting rests after it failed: out of file descriptors, mostly.
const REST: Duration = Duration::from_millis(50);
/// Length of HTTP/2's connection preface (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

/// A connection that counts until it is dropped, and that fails if it begins with silence.
pub(super) struct Guarded {
    stream: Stream,
    _room: OwnedSemaphorePermit,
    _counted: Open,
    meters: Arc<ServiceMeters>,
    /// Bytes still to come of those that every client sends first, and until when.
    preface: usize,
    silence: Option<Pin<Box<Sleep>>>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Opens every door, then begins to accept. Within a runtime.
pub(super) fn open(
    doors: &[Door],
    accepted: &mpsc::Sender<io::Result<Guarded>>,
    limits: &Limits,
    meters: &Arc<ServiceMeters>,
    stopping: &watch::Receiver<bool>,
) -> Result<Vec<Door>, ServeError> {
    let room = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let mut listeners = Vec::new();
    let mut opened = Vec::new();
    for door in doors {
        match listen(door) {
            Ok((listener, door)) => {
                listeners.push(listener);
                opened.push(door);
            }
            Err(error) => {
                opened.iter().for_each(|door| {
                    if let Door::Unix(path) = door {
                        remove_socket(path);
                    }
                });
                return Err(error);
            }
        }
    }
    for listener in listeners {
        let (room, meters) = (Arc::clone(&room), Arc::clone(meters));
        tokio::spawn(accept(listener, accepted.clone(), room, limits.silence_max, meters, stopping.clone()));
    }
    Ok(opened)
}

fn listen(door: &Door) -> Result<(Listener, Door), ServeError> {
    let failed = |source| ServeError::Door { door: door.clone(), source };
    match door {
        Door::Tcp(address) if !address.ip().is_loopback() => Err(ServeError::NotLoopback { address: *address }),
        Door::Tcp(address) => {
            let listener = std::net::TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            Ok((Listener::Tcp(TcpListener::from_std(listener).map_err(failed)?), Door::Tcp(bound)))
        }
        Door::Unix(path) => {
            match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => return Err(ServeError::SocketInUse { path: path.clone() }),
                // What a process that was killed left behind: nobody listens.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => remove_socket(path),
                Err(_) => {}
            }
            let listener = UnixListener::bind(path).map_err(failed)?;
            Ok((Listener::Unix(listener), door.clone()))
        }
    }
}

/// Removes a socket, and nothing that is not one.
pub(super) fn remove_socket(path: &Path) {
    use std::os::unix::fs::FileTypeExt;
    if path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket()) {
        // One that stays is in the way of the next start, which says so.
        let _ = rustix::fs::unlink(path);
    }
}

async fn accept(
    listener: Listener,
    accepted: mpsc::Sender<io::Result<Guarded>>,
    room: Arc<Semaphore>,
    silence_max: Duration,
    meters: Arc<ServiceMeters>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let stream = tokio::select! {
            stream = listener.next() => stream,
            _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
        };
        let Ok(stream) = stream else {
            tokio::time::sleep(REST).await;
            continue;
        };
        // Without room it is dropped, and with that closed.
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            meters.turn_away(Turned::Limit);
            continue;
        };
        let silence = Some(Box::pin(tokio::time::sleep(silence_max)));
        let (counted, meters) = (meters.connection(stream.kind()), Arc::clone(&meters));
        let guarded = Guarded { stream, _room: permit, _counted: counted, meters, preface: PREFACE_BYTES, silence };
        if accepted.send(Ok(guarded)).await.is_err() {
            return;
        }
    }
}

impl Listener {
    async fn next(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

impl Stream {
    fn kind(&self) -> DoorKind {
        match self {
            Self::Tcp(_) => DoorKind::Tcp,
            Self::Unix(_) => DoorKind::Unix,
        }
    }
}

impl Connected for Guarded {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let guarded = self.get_mut();
        let before = into.filled().len();
        let read = match &mut guarded.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, into),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, into),
        };
        let Some(silence) = &mut guarded.silence else { return read };
        guarded.preface = guarded.preface.saturating_sub(into.filled().len() - before);
        if guarded.preface == 0 {
            guarded.silence = None;
        } else if read.is_pending() && silence.as_mut().poll(context).is_ready() {
            guarded.meters.turn_away(Turned::Silence);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
