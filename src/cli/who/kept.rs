//! Which holds are kept: the newest ones, or those of one moment with the ones before and after it.
//! Memory is bounded by the limit, whatever the log has.
#![forbid(unsafe_code)]

use super::hold::Hold;
use crate::ident::WallMs;
use std::collections::VecDeque;

/// Holds, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    at: Option<WallMs>,
    limit: usize,
    pub(super) holds: VecDeque<Hold>,
    /// Whether there were older ones that are not kept.
    has_more: bool,
    /// The last one that ended before the moment.
    pub(super) before: Option<Hold>,
    /// The first one that began after the moment.
    pub(super) after: Option<Hold>,
}

impl Kept {
    pub(super) fn new(at: Option<WallMs>, limit: usize) -> Self {
        Self { at, limit, holds: VecDeque::new(), has_more: false, before: None, after: None }
    }

    /// Takes a hold; they come in order.
    pub(super) fn keep(&mut self, hold: Hold) {
        match self.at {
            Some(at) if hold.ends_before(at) => self.before = Some(hold),
            Some(at) if !hold.begins_by(at) => {
                self.after.get_or_insert(hold);
            }
            _ => {
                self.holds.push_back(hold);
                if self.holds.len() > self.limit {
                    self.holds.pop_front();
                    self.has_more = true;
                }
            }
        }
    }

    /// Whether there were more than are kept.
    pub(super) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Every hold that is kept.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Hold> {
        self.before.iter_mut().chain(&mut self.holds).chain(&mut self.after)
    }
}
