//! Room on the disk: what a frame may have, and what is refused when there is none.
#![forbid(unsafe_code)]

use super::Engine;
use crate::ident::BootMs;

/// What is known of the room there is.
#[derive(Debug)]
pub(super) struct Storage {
    /// Why nothing may be taken; `None`: there is room.
    full: Option<String>,
}

impl Storage {
    pub(super) const fn new(_segment_size: u64) -> Self {
        Self { full: None }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// Why the storage is full.
    pub(super) fn reason(&self) -> Option<&str> {
        self.full.as_deref()
    }

    /// The frame was written: the next one has another limit.
    pub(super) fn frame_done(&mut self) {}
}

impl Engine {
    pub(super) fn look_at_storage(&mut self, _now: BootMs) {}

    /// Most bytes of payload that the frame being made may have.
    pub(super) fn frame_limit(&mut self) -> usize {
        self.appender.payload_max()
    }

    /// Whether there is room for an empty frame with so many bytes, after all.
    pub(super) fn makes_room(&mut self, _needed: usize, _now: BootMs) -> bool {
        false
    }
}
