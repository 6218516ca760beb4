//! Room for connections: in all, and for each peer.
#![forbid(unsafe_code)]

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

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
    all: Arc<Semaphore>,
    per_peer_max: usize,
    peers: Mutex<BTreeMap<Whose, usize>>,
}

/// A place that one connection has until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    whose: Option<Whose>,
    _permit: OwnedSemaphorePermit,
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    All,
    Peer,
}

impl Room {
    pub(super) fn new(max: usize, per_peer_max: usize) -> Self {
        let all = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self { all, per_peer_max, peers: Mutex::new(BTreeMap::new()) }
    }

    /// Takes a place; without `whose` only the places in all count.
    pub(super) fn take(self: &Arc<Self>, whose: Option<Whose>) -> Result<Place, Full> {
        let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::All)?;
        if let Some(whose) = whose {
            let mut peers = self.peers.lock();
            let taken = peers.get(&whose).copied().unwrap_or(0);
            if taken >= self.per_peer_max {
                return Err(Full::Peer);
            }
            peers.insert(whose, taken + 1);
        }
        Ok(Place { room: Arc::clone(self), whose, _permit: permit })
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

    #[test]
    fn room_is_counted_for_all_and_for_each_and_comes_back() {
        let room = Arc::new(Room::new(3, 2));
        let of = |text: &str| Some(Whose::of(text.parse().unwrap()));
        let one = room.take(of("10.0.0.1")).unwrap();
        let _two = room.take(of("::ffff:10.0.0.1")).unwrap();
        assert_eq!(room.take(of("10.0.0.1")).unwrap_err(), Full::Peer);
        let _three = room.take(of("10.0.0.2")).unwrap();
        assert_eq!(room.take(of("10.0.0.3")).unwrap_err(), Full::All);
        drop(one);
        room.take(of("10.0.0.1")).unwrap();
        assert_eq!(room.all.available_permits(), 1);
        assert_eq!(room.peers.lock().len(), 2, "nobody is kept who has no connection");
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
