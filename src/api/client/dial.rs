//! One try to reach the service: plain, by a unix socket, or with mutual TLS, and why it failed.
#![forbid(unsafe_code)]

use super::RemoteError;
use super::line::Line;
use crate::api::Door;
use crate::api::access::ClientTls;
use crate::api::limits;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

/// How long one try to connect may take, with its handshake.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// A connection, and what broke it.
pub(super) struct Dialled {
    pub(super) channel: Channel,
    broken: Broken,
}

/// The error that TLS met, once it has.
type Broken = Arc<Mutex<Option<io::Error>>>;

impl Dialled {
    /// Why it broke, if TLS knows.
    pub(super) fn explain(&self, line: &Line) -> Option<RemoteError> {
        let error = self.broken.lock().take()?;
        let reason = line.tls.as_ref()?.explain(&error)?;
        Some(RemoteError::Certificates { door: line.door.to_string(), reason })
    }
}

/// Connects. The files of certificates are read anew each time.
pub(super) async fn dial(line: &Line) -> Result<Dialled, RemoteError> {
    let broken = Broken::default();
    let (host, port) = match &line.door {
        Door::Tls(address) => (address.ip().to_string(), address.port()),
        Door::TlsName { host, port } => (host.trim_end_matches('.').to_owned(), *port),
        plain @ (Door::Tcp(_) | Door::Unix(_)) => {
            let unreachable = |error| line.unreachable(chain(&error));
            let endpoint = Endpoint::from_shared(plain.to_string()).map_err(unreachable)?;
            let channel = tuned(endpoint).connect_timeout(CONNECT_PATIENCE).connect().await;
            return Ok(Dialled { channel: channel.map_err(unreachable)?, broken });
        }
    };
    let door = || line.door.to_string();
    let certificates = |reason: String| RemoteError::Certificates { door: door(), reason };
    let none = "an https:// door needs certificates: this client's own, its key, and the CA of the service";
    let tls = line.tls.as_ref().ok_or_else(|| certificates(none.to_owned()))?;
    let proof = tls.read().map_err(|error| certificates(error.to_string()))?;
    let name = tls.server_name.clone().unwrap_or_else(|| host.clone());
    let wrong_name = format!("{name:?} is neither a DNS name nor an address");
    let name = ServerName::try_from(name).map_err(|_| certificates(wrong_name))?;
    let dialled = tokio::time::timeout(CONNECT_PATIENCE, async {
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        proof.connector.connect(name, stream).await
    });
    let dialled = dialled.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = dialled.map_err(|error| explained(line, tls, &error))?;
    let noted = Noted { stream, broken: Arc::clone(&broken) };
    // The connection is made: the place in the endpoint is only what requests say of themselves.
    let endpoint = Endpoint::from_shared(format!("http://{}", authority(&host, port)));
    let endpoint = tuned(endpoint.map_err(|error| line.unreachable(chain(&error)))?);
    let mut noted = Some(TokioIo::new(noted));
    let connector = tower::service_fn(move |_| {
        let stream = noted.take().ok_or(io::Error::from(io::ErrorKind::NotConnected));
        std::future::ready(stream)
    });
    let channel = endpoint.connect_with_connector(connector).await;
    let channel = channel.map_err(|error| {
        let reason = broken.lock().take().and_then(|error| tls.explain(&error));
        reason.map_or_else(|| line.unreachable(chain(&error)), certificates)
    })?;
    Ok(Dialled { channel, broken })
}

fn explained(line: &Line, tls: &ClientTls, error: &io::Error) -> RemoteError {
    match tls.explain(error) {
        Some(reason) => RemoteError::Certificates { door: line.door.to_string(), reason },
        None => line.unreachable(error),
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .tcp_nodelay(true)
        .http2_keep_alive_interval(limits::KEEP_ALIVE_EVERY)
        .keep_alive_timeout(limits::KEEP_ALIVE_PATIENCE)
        .keep_alive_while_idle(true)
}

/// An error with all that is behind it: the outermost says only that something failed.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Keeps the error that breaks a connection: what is built on it tells less.
struct Noted {
    stream: TlsStream<TcpStream>,
    broken: Broken,
}

impl Noted {
    fn note<T>(&self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &done {
            let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<tokio_rustls::rustls::Error>());
            if let Some(tls) = tls {
                self.broken.lock().get_or_insert_with(|| io::Error::new(error.kind(), tls.clone()));
            }
        }
        done
    }

    /// As [`note`](Self::note), of something written. Who is refused may still be writing when the other
    /// side has gone: why it went is among the last that it sent, and nobody would read it any more.
    fn note_written<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(done, Poll::Ready(Err(_))) {
            let mut room = [0; 1_024];
            for _ in 0..LAST_READS_MAX {
                let mut into = ReadBuf::new(&mut room);
                let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, &mut into) else { break };
                let is_last = read.is_err() || into.filled().is_empty();
                let _ = self.note(Poll::Ready(read));
                if is_last {
                    break;
                }
            }
        }
        self.note(done)
    }
}

/// How often it is read once more.
const LAST_READS_MAX: usize = 64;

impl AsyncRead for Noted {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let noted = self.get_mut();
        let read = Pin::new(&mut noted.stream).poll_read(context, into);
        noted.note(read)
    }
}

impl AsyncWrite for Noted {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let noted = self.get_mut();
        let written = Pin::new(&mut noted.stream).poll_write(context, bytes);
        noted.note_written(context, written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let noted = self.get_mut();
        let flushed = Pin::new(&mut noted.stream).poll_flush(context);
        noted.note_written(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let noted = self.get_mut();
        let shut = Pin::new(&mut noted.stream).poll_shutdown(context);
        noted.note_written(context, shut)
    }
}
