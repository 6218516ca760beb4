//! What became of connections, as the service's meters have it.
#![forbid(unsafe_code)]

use super::Barred;
use super::DoorKind;
use super::Fate;
use super::ServiceMeters;
use super::Turned;
use super::read;
use std::sync::atomic::Ordering;

/// What became of connections since the service began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Taken, and past the handshake where there is one.
    pub accepted: u64,
    /// Of those, open now.
    pub open: u64,
    /// Closed at once: no room for any more.
    pub no_room: u64,
    /// Closed at once: no room for more of that peer.
    pub no_room_for_peer: u64,
    /// Accepting failed, for want of file descriptors mostly.
    pub accept_failed: u64,
    /// The handshake of TLS failed, or took too long.
    pub handshakes_failed: u64,
    /// Closed because they began with silence.
    pub silent: u64,
    /// Closed because the peer took nothing of what was written.
    pub slow_readers: u64,
    /// Ended in order for their age.
    pub aged: u64,
    /// Requests and connections that were refused for who asked.
    pub denied: u64,
    /// Attaches and acquires that were refused for their rate.
    pub too_fast: u64,
}

impl ServiceMeters {
    /// One more connection has met this; how many have.
    pub(crate) fn meet(&self, fate: Fate) -> u64 {
        self.fates[fate as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What became of connections so far.
    #[must_use]
    pub fn connection_counts(&self) -> ConnectionCounts {
        let of = |fate: Fate| read(&self.fates[fate as usize]);
        let (open, accepted) = DoorKind::ALL
            .map(|(door, _)| self.connections(door))
            .into_iter()
            .fold((0, 0), |(open, accepted), (now, ever)| (open + now, accepted + ever));
        ConnectionCounts {
            accepted,
            open,
            no_room: of(Fate::NoRoom),
            no_room_for_peer: of(Fate::NoRoomForPeer),
            accept_failed: of(Fate::AcceptFailed),
            handshakes_failed: self.turned(Turned::Tls),
            silent: self.turned(Turned::Silence),
            slow_readers: of(Fate::SlowReader),
            aged: of(Fate::Aged),
            denied: self.barred(Barred::Role) + self.turned(Turned::Unknown),
            too_fast: self.barred(Barred::Rate),
        }
    }
}
