//! Room for connections: in all, and for each peer.
#![forbid(unsafe_code)]

use super::live::Live;
use super::live::Seat;
use super::live::Seats;
use crate::api::Limits;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Whose connections are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// Of a machine; in IPv6 of a network of 64 bits, of which one machine has every address.
    Address(IpAddr),
    Uid(u32),
}

impl Whose {
    pub(super) fn of(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        })
    }
}

#[derive(Debug)]
pub(super) struct Room {
    all: Arc<Seats>,
    live: Arc<Live>,
    peers: Mutex<BTreeMap<Whose, usize>>,
}

/// A place that one connection has until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    whose: Option<Whose>,
    _seat: Seat,
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    All,
    Peer,
}

impl Room {
    pub(super) fn new(live: Arc<Live>) -> Self {
        Self { all: Arc::default(), live, peers: Mutex::new(BTreeMap::new()) }
    }

    /// Takes a place; without `whose` only the places in all count.
    pub(super) fn take(self: &Arc<Self>, whose: Option<Whose>) -> Result<Place, Full> {
        let Limits { connections_max, connections_per_peer_max, .. } = self.live.limits();
        let seat = self.all.take(connections_max).ok_or(Full::All)?;
        if let Some(whose) = whose {
            let mut peers = self.peers.lock();
            let taken = peers.get(&whose).copied().unwrap_or(0);
            if taken >= connections_per_peer_max {
                return Err(Full::Peer);
            }
            peers.insert(whose, taken + 1);
        }
        Ok(Place { room: Arc::clone(self), whose, _seat: seat })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(whose) = self.whose else { return };
        let mut peers = self.room.peers.lock();
        if let Some(taken) = peers.get_mut(&whose) {
            *taken -= 1;
            if *taken == 0 {
                peers.remove(&whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn room_is_counted_for_all_and_for_each_and_comes_back() {
        let limits = Limits { connections_max: 3, connections_per_peer_max: 2, ..Limits::default() };
        let live = Arc::new(Live::new(limits, Duration::ZERO));
        let room = Arc::new(Room::new(Arc::clone(&live)));
        let of = |text: &str| Some(Whose::of(text.parse().unwrap()));
        let one = room.take(of("10.0.0.1")).unwrap();
        let _two = room.take(of("::ffff:10.0.0.1")).unwrap();
        assert_eq!(room.take(of("10.0.0.1")).unwrap_err(), Full::Peer);
        let _three = room.take(of("10.0.0.2")).unwrap();
        assert_eq!(room.take(of("10.0.0.3")).unwrap_err(), Full::All);
        drop(one);
        room.take(of("10.0.0.1")).unwrap();
        assert_eq!(room.all.taken(), 2);
        assert_eq!(room.peers.lock().len(), 2, "nobody is kept who has no connection");
        live.set(Limits { connections_max: 1, ..limits }, Duration::ZERO);
        assert_eq!(room.take(of("10.0.0.3")).unwrap_err(), Full::All, "two are there, and stay");
        live.set(Limits { connections_max: 3, connections_per_peer_max: 1, ..limits }, Duration::ZERO);
        assert_eq!(room.take(of("10.0.0.1")).unwrap_err(), Full::Peer);
        room.take(of("10.0.0.3")).unwrap();
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
