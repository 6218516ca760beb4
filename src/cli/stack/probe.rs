//! Whether any socket of this kernel has a port: asked by binding to it.
//!
//! The kernel's tables do not list a socket that was bound and neither listens nor connects; a bind
//! meets it all the same, and one in TIME_WAIT too. So a bind that succeeds, without SO_REUSEADDR,
//! proves that no process of this network namespace uses the port (protocol.md R10). It is undone at
//! once. The address need not be this host's at the moment (IP_FREEBIND).
#![forbid(unsafe_code)]

use super::book::Place;
use crate::cli::kernel;
use crate::stack::Local;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether nobody has a socket there. What cannot be found out counts as used.
pub(super) fn is_free(place: &Place) -> bool {
    let all: &[IpAddr] = &[IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    match (place.source, place.local) {
        (Some(address), _) => is_free_at(address, place.port),
        (None, Local::Address(dvipa)) => is_free_at(dvipa.address(), place.port),
        (None, Local::Any) => all.iter().all(|address| is_free_at(*address, place.port)),
    }
}

/// Whether nobody has a socket on this port of an address, or on this port of all addresses.
pub(super) fn is_free_at(address: IpAddr, port: u16) -> bool {
    match bind(address, port) {
        Ok(()) => true,
        // A low port that this process may not bind: the tables are all there is to ask.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            kernel::sockets().is_ok_and(|sockets| !kernel::ports_in_use(&sockets, address).contains(&port))
        }
        // A kernel without IPv6 has no socket there either.
        Err(error) => error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()),
    }
}

fn bind(address: IpAddr, port: u16) -> io::Result<()> {
    let to = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    match address {
        IpAddr::V4(_) => socket.set_freebind_v4(true)?,
        IpAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.bind(&to.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 79, 3, 1));

    fn bound(reuse: bool) -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(reuse).unwrap();
        socket.bind(&SocketAddr::new(ADDRESS, 0).into()).unwrap();
        socket
    }

    fn port_of(socket: &Socket) -> u16 {
        socket.local_addr().unwrap().as_socket().unwrap().port()
    }

    #[test]
    fn a_socket_that_is_only_bound_is_seen_although_no_table_lists_it() {
        for reuse in [false, true] {
            let socket = bound(reuse);
            let port = port_of(&socket);
            assert!(!kernel::ports_in_use(&kernel::sockets().unwrap(), ADDRESS).contains(&port), "a table lists it");
            assert!(!is_free_at(ADDRESS, port));
            drop(socket);
            assert!(is_free_at(ADDRESS, port));
        }
    }

    #[test]
    fn a_port_counts_as_used_until_time_wait_is_over_and_where_all_addresses_have_it() {
        let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        let socket = bound(true);
        let port = port_of(&socket);
        socket.connect(&to.into()).unwrap();
        let (far, _) = listener.accept().unwrap();
        drop(socket);
        assert!(!is_free_at(ADDRESS, port), "this end closed first");
        drop(far);
        assert!(!is_free_at(ADDRESS, port), "TIME_WAIT is on this side");

        let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
        assert!(!is_free_at(ADDRESS, everywhere.local_addr().unwrap().port()));
    }

    #[test]
    fn an_address_that_is_not_this_hosts_can_be_asked_about() {
        assert!(is_free_at("192.0.2.77".parse().unwrap(), 40_000));
        assert!(is_free_at("2001:db8::77".parse().unwrap(), 40_000));
    }
}
