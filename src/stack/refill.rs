//! When the next group is asked for: before the last one is used up, and more at once under load.
//!
//! One acquire per list is outstanding. While fetches follow each other within a second they double,
//! up to a limit; the watermark grows with them. A group fetched ahead that is refused is not asked
//! for again before one was got: the last ports of a list are for those who have none.
#![forbid(unsafe_code)]

use super::Refill;
use super::Stack;
use super::StackError;
use super::core::{Core, Fetch, Health, List};
use super::hand::Ports;
use super::view::local_of;
use crate::facility::CallError;
use crate::facility::Pending;
use crate::ident::BootMs;
use crate::ident::Target;
use crate::structure::Grant;
use crate::structure::Refusal;
use crate::threads::MutexGuard;

/// Fetches that follow each other within this time double, ms.
const LOAD_MS: u64 = 1_000;

/// Most groups of one request (design.md, limits).
const AT_ONCE_MAX: u16 = 1_024;

impl List {
    /// Groups were got: the next time more at once, if this was soon after the last time.
    pub(super) fn got(&mut self, now: BootMs) {
        let soon = self.fetched.is_some_and(|fetched| now.0.saturating_sub(fetched.0) < LOAD_MS);
        self.at_once = if soon { self.at_once.saturating_mul(2) } else { 1 };
        self.fetched = Some(now);
        self.surplus = None;
    }

    /// Groups to ask for now; 0 = it has as many as it may.
    fn wanted(&self, refill: Refill) -> u16 {
        let at_once = self.at_once(refill);
        match u32::from(refill.groups_max) {
            0 => at_once,
            most => at_once.min(u16::try_from(most.saturating_sub(self.hand.grant_count())).unwrap_or(u16::MAX)),
        }
    }

    fn at_once(&self, refill: Refill) -> u16 {
        self.at_once.min(refill.at_once_max.clamp(1, AT_ONCE_MAX))
    }

    /// Whether it has fewer groups than are kept, needed or not.
    pub(super) fn is_below_minimum(&self, refill: Refill) -> bool {
        self.hand.grant_count() < u32::from(refill.groups_min)
    }

    /// Fewer free ports than this, and the next groups are fetched.
    pub(super) fn watermark(&self, refill: Refill) -> u32 {
        refill.low_ports.saturating_mul(u32::from(self.at_once(refill)))
    }

    /// Tells the fast path when to ask for more, and when to share.
    pub(super) fn set_watermarks(&self, refill: Refill) {
        let low = match self.fetch {
            _ if self.is_left || self.wanted(refill) == 0 => 0,
            Fetch::None if !self.fetch_refused => self.watermark(refill),
            // The answer may be there: it is taken up before the ports run out.
            Fetch::Ahead(_) => self.watermark(refill) / 2,
            Fetch::None | Fetch::Awaited => 0,
        };
        self.hand.ports.set_low(low);
        self.hand.ports.set_share_below(if refill.share { refill.low_ports.max(1) } else { 0 });
    }
}

impl Stack {
    /// The fast path found few ports: fetches more in the background, unless somebody else has the
    /// lock and so is at it.
    pub(super) fn refill_soon(&self, target: Target) {
        if let Some(mut core) = self.core.try_lock() {
            let now = self.now();
            core.look(target, now);
            self.fetch_ahead(&mut core, target);
        }
    }

    /// Fetches the next groups in the background if few ports are left.
    pub(super) fn fetch_ahead(&self, core: &mut Core, target: Target) {
        let can = core.stopped.is_none() && matches!(core.health, Health::Active);
        let Some(list) = core.lists.get_mut(&target) else { return };
        let refill = self.refill(target);
        let wanted = list.wanted(refill);
        let is_low = list.hand.ports.free_count() < list.watermark(refill) || list.is_below_minimum(refill);
        let idle = matches!(list.fetch, Fetch::None) && !list.fetch_refused && !list.is_left;
        if can && is_low && idle && wanted > 0 {
            let pending = core.connection.submit_acquire(list.member, 1, wanted);
            core.outstanding.insert(pending.number());
            list.fetch = Fetch::Ahead(pending);
        }
        list.set_watermarks(refill);
    }

    /// Takes a port of a list with `take`; fetches a group and waits for it if there is none.
    pub(super) fn wait_for<T>(&self, target: Target, take: impl Fn(&Ports) -> Option<T>) -> Result<T, StackError> {
        self.enter_if_needed(target)?;
        let mut core = self.core.lock();
        let mut failures = None;
        loop {
            self.still_in_time(&mut core)?;
            core.look(target, self.now());
            core.alive()?;
            let not_served = StackError::NotSysplexPorts { local: local_of(target) };
            let Some(list) = core.lists.get_mut(&target).filter(|list| !list.is_left) else { return Err(not_served) };
            if let Some(taken) = take(&list.hand.ports) {
                self.fetch_ahead(&mut core, target);
                return Ok(taken);
            }
            let met = *failures.get_or_insert(list.failures);
            if let Some(failure) = list.failure.clone().filter(|_| met != list.failures) {
                return Err(failure);
            }
            let wanted = list.wanted(self.refill(target));
            let member = list.member;
            match std::mem::replace(&mut list.fetch, Fetch::Awaited) {
                Fetch::Awaited => self.arrived.wait(&mut core),
                Fetch::Ahead(pending) => self.await_groups(&mut core, target, pending)?,
                Fetch::None => {
                    let refused = match core.ready() {
                        Ok(()) if wanted > 0 => None,
                        Ok(()) => Some(core.at_maximum(target, self.refill(target).groups_max)),
                        Err(error) => Some(error),
                    };
                    if let Some(error) = refused {
                        if let Some(list) = core.lists.get_mut(&target) {
                            list.fetch = Fetch::None;
                        }
                        return Err(error);
                    }
                    let pending = core.connection.submit_acquire(member, 1, wanted);
                    core.outstanding.insert(pending.number());
                    self.await_groups(&mut core, target, pending)?;
                }
            }
        }
    }

    /// Waits for an acquire without the lock, then takes its answer up. An attach meanwhile has
    /// settled it.
    fn await_groups(
        &self,
        core: &mut MutexGuard<'_, Core>,
        target: Target,
        pending: Pending<Vec<Grant>>,
    ) -> Result<(), StackError> {
        let (number, connection) = (pending.number(), core.connection.clone());
        let answer = MutexGuard::unlocked(core, || pending.wait());
        if !core.connection.is_same(&connection) {
            return Ok(());
        }
        let taken = if core.connection.is_over() {
            // An attach is under way, and will tell.
            Err(core.ready().err().unwrap_or(core.unreachable(CallError::Gone)))
        } else {
            core.granted(target, number, answer.map(|answered| answered.value), self.now())
        };
        let taken = taken.map_err(|error| core.shortage(target, error));
        if let Some(list) = core.lists.get_mut(&target) {
            list.fetch = Fetch::None;
            if let Err(error) = &taken {
                list.failures += 1;
                list.failure = Some(error.clone());
            }
        }
        self.arrived.notify_all();
        taken
    }
}

impl Core {
    /// A refusal for want of ports, with this stack's own numbers.
    fn shortage(&self, target: Target, error: StackError) -> StackError {
        match error {
            StackError::Refused(
                why @ (Refusal::Exhausted { .. } | Refusal::QuotaExceeded { .. } | Refusal::Reserved { .. }),
            ) => {
                let counts = self.lists.get(&target).map(|list| list.hand.counts()).unwrap_or_default();
                let (in_use, resting) = (counts.in_use, counts.resting);
                StackError::NoPort { local: local_of(target), why, in_use, resting }
            }
            error => error,
        }
    }

    fn at_maximum(&self, target: Target, groups_max: u16) -> StackError {
        let counts = self.lists.get(&target).map(|list| list.hand.counts()).unwrap_or_default();
        let (in_use, resting) = (counts.in_use, counts.resting);
        StackError::AtMaximum { local: local_of(target), groups_max, in_use, resting }
    }
}
