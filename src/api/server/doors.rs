//! Doors: listening, and as many connections as there may be.
#![forbid(unsafe_code)]

use super::ServeError;
use super::connection;
use super::connection::Served;
use super::room::Full;
use super::room::Whose;
use crate::api::Door;
use crate::api::access::audit;
use crate::api::meters::Fate;
use crate::api::meters::Turned;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;

/// How long accepting rests after it failed: out of file descriptors, mostly …
const REST_MIN: Duration = Duration::from_millis(20);
/// … and again twice as long, up to this.
const REST_MAX: Duration = Duration::from_secs(1);

/// A door that is open.
pub(super) struct Opened {
    listener: Listener,
    pub(super) door: Door,
}

enum Listener {
    Tcp(TcpListener),
    Tls(TcpListener),
    Unix(UnixListener),
}

/// A connection that was taken, with who is known to be on the other end.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Tls(TcpStream, SocketAddr),
    Unix(UnixStream, u32),
}

/// Opens every door, or none. Within a runtime.
pub(super) fn open(doors: &[Door], has_tls: bool, is_for_others: bool) -> Result<Vec<Opened>, ServeError> {
    let mut opened: Vec<Opened> = Vec::new();
    for door in doors {
        match listen(door, has_tls, is_for_others) {
            Ok(listening) => opened.push(listening),
            Err(error) => {
                remove_sockets(opened.iter().map(|opened| &opened.door));
                return Err(error);
            }
        }
    }
    Ok(opened)
}

fn listen(door: &Door, has_tls: bool, is_for_others: bool) -> Result<Opened, ServeError> {
    let failed = |source| ServeError::Door { door: door.clone(), source };
    match door {
        Door::Tcp(address) if !address.ip().is_loopback() => Err(ServeError::NotLoopback { address: *address }),
        Door::Tls(_) | Door::TlsName { .. } if !has_tls => Err(ServeError::NoCertificates { door: door.clone() }),
        Door::TlsName { .. } => Err(ServeError::NotAnAddress { door: door.clone() }),
        Door::Tcp(address) => {
            let (listener, bound) = bind(*address).map_err(failed)?;
            Ok(Opened { listener: Listener::Tcp(listener), door: Door::Tcp(bound) })
        }
        Door::Tls(address) => {
            let (listener, bound) = bind(*address).map_err(failed)?;
            Ok(Opened { listener: Listener::Tls(listener), door: Door::Tls(bound) })
        }
        Door::Unix(path) => {
            match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => return Err(ServeError::SocketInUse { path: path.clone() }),
                // What a process that was killed left behind: nobody listens.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => remove_socket(path),
                Err(_) => {}
            }
            let listener = UnixListener::bind(path).map_err(failed)?;
            // Who comes before that is asked for its uid all the same.
            let mode = if is_for_others { 0o666 } else { 0o600 };
            rustix::fs::chmod(path, rustix::fs::Mode::from_raw_mode(mode)).map_err(|error| failed(error.into()))?;
            Ok(Opened { listener: Listener::Unix(listener), door: door.clone() })
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    Ok((TcpListener::from_std(listener)?, bound))
}

pub(super) fn remove_sockets<'a>(doors: impl Iterator<Item = &'a Door>) {
    for door in doors {
        if let Door::Unix(path) = door {
            remove_socket(path);
        }
    }
}

/// Removes a socket, and nothing that is not one.
fn remove_socket(path: &Path) {
    use std::os::unix::fs::FileTypeExt;
    if path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket()) {
        // One that stays is in the way of the next start, which says so.
        let _ = rustix::fs::unlink(path);
    }
}

/// Takes connections until the service stops. `alive` goes with the last of them.
pub(super) async fn accept(opened: Opened, served: Arc<Served>, alive: mpsc::Sender<()>) {
    let mut stopping = served.stopping.clone();
    let mut rest = REST_MIN;
    loop {
        let accepted = tokio::select! {
            accepted = opened.listener.next() => accepted,
            _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if served.meters.meet(Fate::AcceptFailed).is_power_of_two() {
                    tracing::warn!(door = %opened.door, %error, rest_ms = rest.as_millis(), "accepting failed");
                }
                tokio::time::sleep(rest).await;
                rest = (rest * 2).min(REST_MAX);
                continue;
            }
        };
        rest = REST_MIN;
        // Without room it is dropped, and with that closed.
        let place = match served.room.take(accepted.whose()) {
            Ok(place) => place,
            Err(full) => {
                refused(&served, &accepted, full);
                continue;
            }
        };
        tokio::spawn(connection::serve(accepted, Arc::clone(&served), place, alive.clone()));
    }
}

/// Not a line for each: who is refused a thousand times is told of eleven times.
fn refused(served: &Served, accepted: &Accepted, full: Full) {
    served.meters.turn_away(Turned::Limit);
    let (count, reason) = match full {
        Full::All => (served.meters.meet(Fate::NoRoom), "no room for more connections"),
        Full::Peer => (served.meters.meet(Fate::NoRoomForPeer), "no room for more connections of this peer"),
    };
    if count.is_power_of_two() {
        audit::refused(accepted, format_args!("{reason} ({count} so far)"));
    }
}

impl Accepted {
    /// Root and the service's own uid are people who mend things, and plain loopback is all one address.
    fn whose(&self) -> Option<Whose> {
        match self {
            Self::Tcp(..) => None,
            Self::Tls(_, from) => Some(Whose::of(from.ip())),
            Self::Unix(_, uid) if *uid == 0 || *uid == rustix::process::geteuid().as_raw() => None,
            Self::Unix(_, uid) => Some(Whose::Uid(*uid)),
        }
    }
}

impl std::fmt::Display for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(_, from) | Self::Tls(_, from) => from.fmt(f),
            Self::Unix(_, uid) => write!(f, "uid {uid}"),
        }
    }
}

impl Listener {
    async fn next(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => tcp(listener).await.map(|(stream, from)| Accepted::Tcp(stream, from)),
            Self::Tls(listener) => tcp(listener).await.map(|(stream, from)| Accepted::Tls(stream, from)),
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok(Accepted::Unix(stream, uid))
            }
        }
    }
}

async fn tcp(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, from) = listener.accept().await?;
    // A peer that is gone already is noticed by who serves it.
    let _ = stream.set_nodelay(true);
    Ok((stream, from))
}
