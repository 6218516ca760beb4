//! Room on the disk: what a frame may have, and what is refused when there is none.
//!
//! Nothing is ever applied before there is room for it. Without a ready spare, and with none to be
//! had, what takes something is refused first; what gives back goes on in what the tail has left.
//! A full disk ends nothing: room is looked for again every second.
#![forbid(unsafe_code)]

use super::Engine;
use crate::facility::options::RETRY_MS;
use crate::ident::BootMs;
use crate::wal::StoreError;

/// What is known of the room there is.
#[derive(Debug)]
pub(super) struct Storage {
    segment_size: u64,
    /// Why nothing may be taken; `None`: there is room.
    full: Option<String>,
    /// When a full disk is tried again.
    retry: BootMs,
    /// Most bytes of payload in the frame being made, once it was asked for.
    limit: Option<usize>,
}

impl Storage {
    pub(super) const fn new(segment_size: u64) -> Self {
        Self { segment_size, full: None, retry: BootMs(0), limit: None }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// Why the storage is full.
    pub(super) fn reason(&self) -> Option<&str> {
        self.full.as_deref()
    }

    /// The frame was written: the next one has another limit.
    pub(super) const fn frame_done(&mut self) {
        self.limit = None;
    }
}

impl Engine {
    /// Finds out whether there is room, once a turn.
    pub(super) fn look_at_storage(&mut self, now: BootMs) -> Result<(), StoreError> {
        let spare = self.appender.spare();
        if spare.is_ready() && spare.has_reserve() {
            self.has_room();
            return Ok(());
        }
        // The threads beside fill it in time, unless they cannot.
        let is_near_end = self.appender.position().offset > self.storage.segment_size / 4 * 3;
        let is_small = self.appender.room() < self.appender.payload_max();
        let is_wanted = self.storage.is_full() || is_near_end || is_small || spare.full().is_some();
        if !is_wanted || now < self.storage.retry {
            return Ok(());
        }
        match self.prepare(now) {
            // The tail does without: whoever needs more finds out.
            Err(error) if !self.appender.is_given_up() => {
                drop(error);
                Ok(())
            }
            done => done,
        }
    }

    /// Most bytes of payload that the frame being made may have.
    pub(super) fn frame_limit(&mut self) -> usize {
        *self.storage.limit.get_or_insert_with(|| self.appender.room())
    }

    /// Whether there is room for an empty frame with so many bytes, after all.
    ///
    /// # Errors
    /// What failed for another reason than want of room: final.
    pub(super) fn makes_room(&mut self, needed: usize, now: BootMs) -> Result<bool, StoreError> {
        if !self.storage.is_full() || now >= self.storage.retry {
            self.prepare(now)?;
        }
        self.storage.limit = None;
        Ok(needed <= self.frame_limit())
    }

    fn prepare(&mut self, now: BootMs) -> Result<(), StoreError> {
        match self.appender.prepare() {
            Ok(()) => self.has_room(),
            Err(error) if error.is_full() => self.is_full(error.to_string(), now),
            Err(error) => {
                self.storage.retry = now.plus(RETRY_MS);
                return Err(error);
            }
        }
        Ok(())
    }

    fn is_full(&mut self, reason: String, now: BootMs) {
        if !self.storage.is_full() {
            self.alarms.raise(format!("the storage is full, nothing new is granted: {reason}"));
        }
        self.storage.full = Some(reason);
        self.storage.retry = now.plus(RETRY_MS);
    }

    fn has_room(&mut self) {
        if self.storage.full.take().is_some() {
            self.storage.limit = None;
            self.alarms.raise("there is room in the storage again");
        }
    }
}
