//! One real TCP connection from a stack's port, and how it ends without blocking the port.
//!
//! Both ends are in the same thread: the connect completes in the listener's backlog, so that the
//! accept after it never waits. The listener's end closes first: TIME_WAIT is then on its side,
//! and the source port is free as soon as this end is closed.

use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Longer than any loopback exchange takes on a machine that still runs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Both ends of one connection.
#[derive(Debug)]
pub(super) struct Pair {
    near: TcpStream,
    far: TcpStream,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum OpenError {
    /// `EADDRINUSE` on bind: a socket has the port.
    InUse,
    /// Anything else, and what was tried.
    Failed(&'static str, io::Error),
}

/// A listener on loopback that one stack connects to.
///
/// # Errors
/// What the system says.
pub(super) fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

impl Pair {
    /// Binds (`address`, `port`), connects to the listener and sends one byte there and back.
    pub(super) fn open(address: IpAddr, port: u16, listener: &TcpListener) -> Result<Self, OpenError> {
        let failed = |what| move |error| OpenError::Failed(what, error);
        let to = listener.local_addr().map_err(failed("its listener has no address"))?;
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP));
        let socket = socket.map_err(failed("no socket can be opened"))?;
        match socket.bind(&SocketAddr::new(address, port).into()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(OpenError::InUse),
            Err(error) => return Err(OpenError::Failed("a stand-in address cannot be bound", error)),
        }
        socket.connect(&to.into()).map_err(failed("the listener on loopback cannot be reached"))?;
        let near = TcpStream::from(socket);
        let far = accept(listener, SocketAddr::new(address, port)).map_err(failed("a connection did not arrive"))?;
        let mut pair = Self { near, far };
        pair.exchange().map_err(failed("a byte did not make it there and back"))?;
        Ok(pair)
    }

    fn exchange(&mut self) -> io::Result<()> {
        self.near.set_read_timeout(Some(PATIENCE))?;
        self.far.set_read_timeout(Some(PATIENCE))?;
        let mut byte = [0; 1];
        self.near.write_all(b"?")?;
        self.far.read_exact(&mut byte)?;
        self.far.write_all(b"!")?;
        self.near.read_exact(&mut byte)
    }

    /// Closes the listener's end, waits until that has arrived, closes this end.
    pub(super) fn close(self) {
        let Self { mut near, far } = self;
        drop(far);
        // The end of the stream; or an error, after which there is nothing to wait for either.
        let _ = near.read(&mut [0; 1]);
    }
}

/// The connection from `peer`; a stranger's is dropped.
fn accept(listener: &TcpListener, peer: SocketAddr) -> io::Result<TcpStream> {
    loop {
        match listener.accept() {
            Ok((stream, from)) if from == peer => return Ok(stream),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 31, 5));

    #[test]
    fn a_port_is_free_as_soon_as_the_listener_closed_first() {
        let listener = listen().unwrap();
        for _ in 0..200 {
            Pair::open(ADDRESS, 5_000, &listener).expect("free again").close();
        }
    }

    #[test]
    fn a_port_with_a_socket_is_in_use() {
        let listener = listen().unwrap();
        let first = Pair::open(ADDRESS, 5_001, &listener).expect("free");
        assert!(matches!(Pair::open(ADDRESS, 5_001, &listener), Err(OpenError::InUse)));
        first.close();
        Pair::open(ADDRESS, 5_001, &listener).expect("free again").close();
    }
}
