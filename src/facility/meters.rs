//! What the writer and the threads beside it show of themselves, and what a caller at the door adds.
//!
//! The writer stores, everybody reads; nobody waits for anybody.
#![forbid(unsafe_code)]

use super::tally::Shown;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shown by the parts of one open facility.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(super) shown: Shown,
    /// When the write and sync at work began, on the clock for durations; 0 = none is at work.
    sync_began_us: AtomicU64,
    queue_rejected: AtomicU64,
    checkpoints_made: AtomicU64,
    checkpoints_failed: AtomicU64,
    checkpoint_took_us: AtomicU64,
}

impl Meters {
    /// A write begins.
    pub(super) fn sync_begins(&self, at_us: u64) {
        self.sync_began_us.store(at_us.max(1), Ordering::Relaxed);
    }

    /// It is durable. One that failed never ends.
    pub(super) fn sync_ends(&self) {
        self.sync_began_us.store(0, Ordering::Relaxed);
    }

    pub(super) fn sync_pending_us(&self, now_us: u64) -> u64 {
        match self.sync_began_us.load(Ordering::Relaxed) {
            0 => 0,
            began => now_us.saturating_sub(began),
        }
    }

    /// A caller was turned away at a full queue.
    pub(super) fn rejected(&self) {
        self.queue_rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn queue_rejected(&self) -> u64 {
        self.queue_rejected.load(Ordering::Relaxed)
    }

    pub(super) fn checkpoint_made(&self, took_us: u64) {
        self.checkpoint_took_us.store(took_us, Ordering::Relaxed);
        self.checkpoints_made.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn checkpoint_failed(&self) {
        self.checkpoints_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Checkpoints made and failed, and how long the last one took, µs.
    pub(super) fn checkpoints(&self) -> (u64, u64, u64) {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        (read(&self.checkpoints_made), read(&self.checkpoints_failed), read(&self.checkpoint_took_us))
    }
}
