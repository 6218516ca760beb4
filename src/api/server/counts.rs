//! What became of connections, in numbers.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of connections since the service began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Taken.
    pub accepted: u64,
    /// Open now.
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

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: AtomicU64,
    pub(super) closed: AtomicU64,
    pub(super) no_room: AtomicU64,
    pub(super) no_room_for_peer: AtomicU64,
    pub(super) accept_failed: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    pub(super) silent: AtomicU64,
    pub(super) slow_readers: AtomicU64,
    pub(super) aged: AtomicU64,
    pub(super) denied: AtomicU64,
    pub(super) too_fast: AtomicU64,
}

impl Counts {
    /// One more; how many there are with it.
    pub(super) fn add(&self, which: impl Fn(&Self) -> &AtomicU64) -> u64 {
        which(self).fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn read(&self) -> ConnectionCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // In this order: a connection that ends in between is counted as open, not as less than none.
        let closed = of(&self.closed);
        let accepted = of(&self.accepted);
        ConnectionCounts {
            accepted,
            open: accepted.saturating_sub(closed),
            no_room: of(&self.no_room),
            no_room_for_peer: of(&self.no_room_for_peer),
            accept_failed: of(&self.accept_failed),
            handshakes_failed: of(&self.handshakes_failed),
            silent: of(&self.silent),
            slow_readers: of(&self.slow_readers),
            aged: of(&self.aged),
            denied: of(&self.denied),
            too_fast: of(&self.too_fast),
        }
    }
}
