//! How often a stack may attach and how fast it may take groups; beyond that it is told when to come
//! again. Without a number in [`Limits`] there is no limit.
#![forbid(unsafe_code)]

use crate::api::Limits;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use governor::Quota;
use governor::RateLimiter;
use governor::clock::Clock;
use governor::clock::DefaultClock;
use governor::middleware::NoOpMiddleware;
use governor::state::InMemoryState;
use governor::state::NotKeyed;
use governor::state::keyed::DashMapStateStore;
use parking_lot::RwLock;
use std::num::NonZeroU32;

/// Names that are remembered before those that have long been idle are forgotten.
const NAMES_MAX: usize = 65_536;

type Each = RateLimiter<ConnectorName, DashMapStateStore<ConnectorName>, DefaultClock, NoOpMiddleware>;
type Total = RateLimiter<NotKeyed, InMemoryState, DefaultClock, NoOpMiddleware>;

/// Every rate of one service.
pub(crate) struct Rates {
    attaches: RwLock<Rate>,
    groups: RwLock<Rate>,
}

/// Come again after so many ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooFast {
    pub(crate) retry_after_ms: u32,
}

struct Rate {
    each: Option<Each>,
    total: Option<Total>,
    clock: DefaultClock,
}

impl Rates {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { attaches: RwLock::new(Rate::of_attaches(limits)), groups: RwLock::new(Rate::of_groups(limits)) }
    }

    /// Puts other rates in force. One that changed begins as after a pause, one that did not goes on.
    pub(crate) fn set(&self, before: &Limits, limits: &Limits) {
        let attaches = |limits: &Limits| (limits.attaches_per_minute, limits.attaches_per_minute_total);
        if attaches(before) != attaches(limits) {
            *self.attaches.write() = Rate::of_attaches(limits);
        }
        let groups = |limits: &Limits| (limits.groups_per_second, limits.groups_per_second_total);
        if groups(before) != groups(limits) {
            *self.groups.write() = Rate::of_groups(limits);
        }
    }

    /// One more attach or connect under that name.
    pub(crate) fn attach(&self, name: &ConnectorName) -> Result<(), TooFast> {
        self.attaches.read().take(name, 1)
    }

    /// So many more groups for that name.
    pub(crate) fn groups(&self, name: &ConnectorName, groups: u32) -> Result<(), TooFast> {
        self.groups.read().take(name, groups)
    }
}

/// `count` in so many seconds, `burst` of them at once after a pause.
fn quota(count: u32, seconds: u64, burst: u32) -> Option<Quota> {
    let (count, burst) = (NonZeroU32::new(count)?, NonZeroU32::new(burst)?);
    let nanos = seconds.saturating_mul(1_000_000_000) / u64::from(count.get());
    Some(Quota::with_period(std::time::Duration::from_nanos(nanos.max(1)))?.allow_burst(burst))
}

impl Rate {
    fn of_attaches(limits: &Limits) -> Self {
        let minute = |per_minute| quota(per_minute, 60, per_minute);
        Self::new(minute(limits.attaches_per_minute), minute(limits.attaches_per_minute_total))
    }

    fn of_groups(limits: &Limits) -> Self {
        let second = |per_second: u32| quota(per_second, 1, per_second.max(u32::from(GroupNumber::COUNT)));
        Self::new(second(limits.groups_per_second), second(limits.groups_per_second_total))
    }

    fn new(each: Option<Quota>, total: Option<Quota>) -> Self {
        Self {
            each: each.map(RateLimiter::dashmap),
            total: total.map(RateLimiter::direct),
            clock: DefaultClock::default(),
        }
    }

    fn take(&self, name: &ConnectorName, count: u32) -> Result<(), TooFast> {
        let Some(count) = NonZeroU32::new(count) else { return Ok(()) };
        if let Some(each) = &self.each {
            if each.len() > NAMES_MAX {
                each.retain_recent();
            }
            self.answer(each.check_key_n(name, count))?;
        }
        match &self.total {
            Some(total) => self.answer(total.check_n(count)),
            None => Ok(()),
        }
    }

    /// More than the burst at once never comes: that is left to the structure's own limits.
    fn answer<E>(
        &self,
        taken: Result<Result<(), governor::NotUntil<E>>, governor::InsufficientCapacity>,
    ) -> Result<(), TooFast>
    where
        E: governor::clock::Reference,
        DefaultClock: Clock<Instant = E>,
    {
        let Ok(Err(not_until)) = taken else { return Ok(()) };
        let wait = not_until.wait_time_from(self.clock.now()).as_millis();
        Err(TooFast { retry_after_ms: u32::try_from(wait).unwrap_or(u32::MAX).max(1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ConnectorName {
        ConnectorName::new(text).unwrap()
    }

    #[test]
    fn one_stack_that_attaches_too_often_is_told_when_and_the_others_are_not() {
        let limits = Limits { attaches_per_minute: 3, ..Limits::default() };
        let rates = Rates::new(&limits);
        for _ in 0..3 {
            rates.attach(&name("A")).unwrap();
        }
        let TooFast { retry_after_ms } = rates.attach(&name("A")).unwrap_err();
        assert!((1..=20_000).contains(&retry_after_ms), "{retry_after_ms}");
        rates.attach(&name("B")).unwrap();
    }

    #[test]
    fn all_stacks_together_have_a_rate_too_and_none_is_no_limit() {
        let limits = Limits { groups_per_second_total: 10, ..Limits::default() };
        let rates = Rates::new(&limits);
        rates.groups(&name("A"), 1_024).unwrap();
        assert!(rates.groups(&name("B"), 1_024).is_err());
        let none = Limits { groups_per_second: 0, groups_per_second_total: 0, ..Limits::default() };
        let rates = Rates::new(&none);
        for _ in 0..10_000 {
            rates.groups(&name("A"), 1_024).unwrap();
        }
    }

    #[test]
    fn another_rate_counts_at_once_and_one_that_stays_goes_on() {
        let few = Limits { attaches_per_minute: 2, groups_per_second: 1, ..Limits::default() };
        let rates = Rates::new(&few);
        rates.groups(&name("A"), 1_024).unwrap();
        rates.attach(&name("A")).unwrap();
        rates.attach(&name("A")).unwrap();
        rates.attach(&name("A")).unwrap_err();
        let more = Limits { attaches_per_minute: 4, ..few };
        rates.set(&few, &more);
        for _ in 0..4 {
            rates.attach(&name("A")).unwrap();
        }
        rates.attach(&name("A")).unwrap_err();
        rates.groups(&name("A"), 1_024).unwrap_err();
    }
}
