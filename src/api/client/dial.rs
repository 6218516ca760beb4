//! One try to reach the service: plain, by a unix socket, or with mutual TLS, and why it failed.
#![forbid(unsafe_code)]

use super::RemoteError;
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
    pub(super) fn explain(&self, door: &Door, tls: Option<&ClientTls>) -> Option<RemoteError> {
        let error = self.broken.lock().take()?;
        let reason = tls?.explain(&error)?;
        Some(RemoteError::Certificates { door: door.to_string(), reason })
    }
}

/// Connects. The files of certificates are read anew each time.
pub(super) async fn dial(door: &Door, tls: Option<&ClientTls>) -> Result<Dialled, RemoteError> {
    let unreachable = |reason: String| RemoteError::Unreachable { door: door.to_string(), reason };
    let broken = Broken::default();
    let (host, port) = match door {
        Door::Tls(address) => (address.ip().to_string(), address.port()),
        Door::TlsName { host, port } => (host.trim_end_matches('.').to_owned(), *port),
        plain @ (Door::Tcp(_) | Door::Unix(_)) => {
            let failed = |error| unreachable(chain(&error));
            let endpoint = Endpoint::from_shared(plain.to_string()).map_err(failed)?;
            let channel = tuned(endpoint).connect_timeout(CONNECT_PATIENCE).connect().await;
            return Ok(Dialled { channel: channel.map_err(failed)?, broken });
        }
    };
    let certificates = |reason: String| RemoteError::Certificates { door: door.to_string(), reason };
    let none = "an https:// door needs certificates: this client's own, its key, and the CA of the service";
    let tls = tls.ok_or_else(|| certificates(none.to_owned()))?;
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
    let stream = dialled.map_err(|error| match tls.explain(&error) {
        Some(reason) => certificates(reason),
        None => unreachable(error.to_string()),
    })?;
    let noted = Noted { stream, broken: Arc::clone(&broken) };
    // The connection is made: the place in the endpoint is only what requests say of themselves.
    let endpoint = Endpoint::from_shared(format!("http://{}", authority(&host, port)));
    let endpoint = tuned(endpoint.map_err(|error| unreachable(chain(&error)))?);
    let mut noted = Some(TokioIo::new(noted));
    let connector = tower::service_fn(move |_| {
        let stream = noted.take().ok_or(io::Error::from(io::ErrorKind::NotConnected));
        std::future::ready(stream)
    });
    let channel = endpoint.connect_with_connector(connector).await;
    let channel = channel.map_err(|error| {
        let reason = broken.lock().take().and_then(|error| tls.explain(&error));
        reason.map_or_else(|| unreachable(chain(&error)), certificates)
    })?;
    Ok(Dialled { channel, broken })
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
}

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
        noted.note(written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let noted = self.get_mut();
        let flushed = Pin::new(&mut noted.stream).poll_flush(context);
        noted.note(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let noted = self.get_mut();
        let shut = Pin::new(&mut noted.stream).poll_shutdown(context);
        noted.note(shut)
    }
}
