//! Following a port over records that are not read, because it is known that none of them is about it.
#![forbid(unsafe_code)]

use super::hold::Hold;
use super::hold::Moment;
use super::track::Port;
use super::track::Tracker;
use crate::ident::HistoryId;
use crate::ident::WallMs;
use crate::wal::FrameInfo;

impl Tracker {
    /// Goes on behind records that were not read, because none of them is about the port: the last of
    /// them, and how the times of the log stood there.
    pub(super) fn pass(&mut self, history: HistoryId, at: Moment, wall: WallMs, since_ms: u64) {
        self.stand(history, wall, since_ms);
        self.first.get_or_insert(at);
        self.last = Some(at);
    }

    /// Goes on behind a frame that is not about the port.
    pub(super) fn pass_frame(&mut self, frame: &FrameInfo) {
        let _ = self.moment(frame, frame.last());
    }

    /// How the times of the log stand at the next record; no history began since the last one.
    pub(super) const fn stand(&mut self, history: HistoryId, wall: WallMs, since_ms: u64) {
        self.clock.history = Some(history);
        (self.clock.wall, self.clock.since_ms) = (wall, since_ms);
    }

    /// What comes from here on is behind all that is asked for; only lost records are noted.
    pub(super) const fn end_here(&mut self) {
        self.is_done = true;
    }

    pub(super) const fn is_held(&self) -> bool {
        matches!(self.port, Port::Held(_))
    }

    pub(super) const fn is_resting(&self) -> bool {
        matches!(self.port, Port::Resting(_))
    }
}

impl Port {
    pub(super) fn hold_mut(&mut self) -> Option<&mut Hold> {
        match self {
            Self::Held(hold) | Self::Resting(hold) => Some(hold),
            Self::Free | Self::Unknown { .. } => None,
        }
    }
}
