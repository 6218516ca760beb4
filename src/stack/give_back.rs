//! Groups that go back to the facility: by word, because they are not needed, or because their list
//! is left.
#![forbid(unsafe_code)]

use super::Stack;
use super::StackError;
use super::core::{Core, Fetch, Health};
use super::leaving::Outcome;
use crate::facility::Pending;
use crate::ident::BootMs;
use crate::ident::PORTS_PER_GROUP;
use crate::ident::Target;
use std::sync::Arc;

/// Free groups beyond what is kept that are no surplus yet.
const HYSTERESIS_GROUPS: u32 = 2;

impl Stack {
    /// Gives whole idle groups back as long as `keep` free ports stay in hand per list; does not
    /// wait. Returns how many. While the facility is unreachable nothing is given back.
    ///
    /// A port that rests goes back with its group, to quarantine; should this stack be granted it
    /// again, it goes on resting.
    pub fn give_back(&self, keep: u32) -> u32 {
        let mut core = self.core.lock();
        let now = self.now();
        let mut given = 0;
        for target in core.targets() {
            core.look(target, now);
            given += core.give_back_idle(target, keep);
        }
        given
    }

    /// Gives back everything, used or not, and waits: the caller vouches that no socket uses any
    /// of it (protocol.md R10).
    ///
    /// # Errors
    /// [`StackError`]; what was not given back then is tried again after
    /// [`reattach`](Self::reattach).
    pub fn release_all(&self) -> Result<(), StackError> {
        let mut core = self.core.lock();
        core.ready()?;
        for target in core.targets() {
            let Some(list) = core.lists.get_mut(&target) else { continue };
            let parts = list.hand.give_up_all();
            core.give_back(target, &parts);
        }
        core.ready()?;
        let Core { leaving, connection, .. } = &mut *core;
        let waited = leaving.wait(connection);
        waited.map_err(|cause| core.fail(cause))
    }

    /// Gives back groups that were too many for [`Refill::idle_ms`](super::Refill::idle_ms).
    pub(super) fn give_back_surplus(&self, core: &mut Core, target: Target, now: BootMs) {
        let group = u32::from(PORTS_PER_GROUP);
        let Some(list) = core.lists.get_mut(&target).filter(|list| !list.is_left) else { return };
        let refill = self.refill(target);
        let keep = list.watermark(refill).saturating_mul(2).max(u32::from(refill.groups_min) * group);
        let enough = keep.saturating_add(HYSTERESIS_GROUPS * group);
        // The queue names every free port, so there is nothing to count while it is short.
        if list.hand.ports.free_count() <= enough || list.hand.counts().free <= enough {
            list.surplus = None;
            return;
        }
        let since = *list.surplus.get_or_insert(now);
        if now.0.saturating_sub(since.0) >= refill.idle_ms {
            list.surplus = None;
            list.at_once = 1;
            core.give_back_idle(target, keep);
        }
    }

    /// Gives back what is idle of the lists that are being left, and leaves those of which nothing is
    /// held. Their connections end by themselves: nothing is cut.
    pub(super) fn leave_lists(&self, core: &mut Core) {
        let now = self.now();
        let left: Vec<Target> = core.lists.iter().filter(|(_, list)| list.is_left).map(|(target, _)| *target).collect();
        if left.is_empty() || !matches!(core.health, Health::Active) {
            return;
        }
        let mut gone = false;
        for target in left {
            core.look(target, now);
            let Some(list) = core.lists.get_mut(&target) else { continue };
            let parts = list.hand.give_up_unused();
            core.give_back(target, &parts);
            gone |= core.leave(target);
        }
        if gone {
            let profile = Arc::clone(&self.view.load().profile);
            self.show(core, profile);
        }
    }
}

impl Core {
    pub(super) fn targets(&self) -> Vec<Target> {
        self.lists.keys().copied().collect()
    }

    fn give_back_idle(&mut self, target: Target, keep: u32) -> u32 {
        if !matches!(self.health, Health::Active) {
            return 0;
        }
        let Some(list) = self.lists.get_mut(&target) else { return 0 };
        let parts = list.hand.give_up_idle(keep);
        self.give_back(target, &parts);
        u32::try_from(parts.len()).unwrap_or(u32::MAX)
    }

    /// Leaves a list of which nothing is held or on its way back; true when that was answered.
    fn leave(&mut self, target: Target) -> bool {
        let Some(list) = self.lists.get_mut(&target) else { return false };
        let is_idle = list.hand.grant_count() == 0 && !self.leaving.has(target) && matches!(list.fetch, Fetch::None);
        if list.leave.is_none() && is_idle {
            list.leave = Some(self.connection.submit_leave(list.member));
        }
        let Some(answer) = list.leave.as_mut().and_then(Pending::try_take) else { return false };
        list.leave = None;
        match Outcome::of(answer) {
            Outcome::Over => self.lists.remove(&target).is_some(),
            Outcome::Again => false,
            Outcome::Unknown(cause) => {
                self.fail(cause);
                false
            }
        }
    }
}
