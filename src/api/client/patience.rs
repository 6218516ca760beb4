//! What is not asked again yet: the service was overloaded, and said when to come again.
//!
//! Until then a call of the same kind by the same stack is refused `Overloaded` here, and not sent.
//! So neither the stack, which knows of no wire, nor a program that asks again and again adds to the
//! load. Renewals, reads and what comes before an attach are never held back: they are how a stack
//! keeps what it has. Up to half of the time is added at random, so that many clients of one service
//! do not come back in step.
#![forbid(unsafe_code)]

use crate::api::v1;
use crate::facility::random_u64;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use v1::call_error::Why;
use v1::request::What as Requested;
use v1::stack_call::What;
use v1::stack_request::Body;

/// Kinds of calls that are remembered before those that may be asked again are forgotten.
const KINDS_MAX: usize = 1_024;

/// Nothing is held back for longer, whatever a service says, but for what is added at random: its limits may
/// be others by then.
const WAIT_MS_MAX: u64 = 60_000;

/// Calls that are held back together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Acquires and claims of the connector in that slot.
    Groups(u32),
    /// All else that it asks.
    Others(u32),
    /// Attaches and connects under that name.
    Entering(String),
}

/// When which calls may be made again.
#[derive(Debug, Default)]
pub(super) struct Patience {
    not_before: BTreeMap<Kind, Instant>,
    /// The last refusal that said so, whatever it was for.
    last: Option<Instant>,
}

impl Kind {
    /// The kind of a call; `None`: it is never held back.
    pub(super) fn of(what: &What) -> Option<Self> {
        let of_introduction = |introduction: &Option<v1::Introduction>| {
            introduction.as_ref().map(|introduction| Self::Entering(introduction.name.clone()))
        };
        match what {
            What::Submit(v1::Request { what: Some(Requested::Stack(request)) }) => {
                let slot = request.actor.as_ref().map_or(0, |actor| actor.slot);
                Some(match &request.body {
                    Some(Body::Acquire(_) | Body::Claim(_)) => Self::Groups(slot),
                    _ => Self::Others(slot),
                })
            }
            What::Attach(attach) => of_introduction(&attach.introduction),
            What::Connect(connect) => of_introduction(&connect.introduction),
            _ => None,
        }
    }
}

impl Patience {
    /// Whether a call of this kind would come too early.
    pub(super) fn is_early(&self, kind: Option<&Kind>, now: Instant) -> bool {
        kind.and_then(|kind| self.not_before.get(kind)).is_some_and(|at| now < *at)
    }

    /// Takes a refusal in that names a time.
    pub(super) fn heed(&mut self, kind: Option<Kind>, error: &v1::CallError, now: Instant) {
        let wait_ms = u64::from(error.retry_after_ms).min(WAIT_MS_MAX);
        if wait_ms == 0 {
            return;
        }
        let at = now + Duration::from_millis(wait_ms + random_u64() % (wait_ms / 2 + 1));
        self.last = Some(at);
        let is_overload = matches!(&error.why, Some(Why::Refused(refusal))
            if refusal.code() == v1::RefusalCode::Overloaded);
        let Some(kind) = kind.filter(|_| is_overload) else { return };
        if self.not_before.len() >= KINDS_MAX {
            self.not_before.retain(|_, at| now < *at);
        }
        if self.not_before.len() < KINDS_MAX {
            self.not_before.insert(kind, at);
        }
    }

    /// How long the last refusal that named a time asks to wait still.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.last.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure::Refusal;

    fn told(refusal: &Refusal, retry_after_ms: u32) -> v1::CallError {
        v1::CallError { why: Some(Why::Refused(refusal.into())), retry_after_ms }
    }

    #[test]
    fn only_what_was_overloaded_waits_at_least_as_long_as_was_said_and_at_most_half_more() {
        let (now, mut patience) = (Instant::now(), Patience::default());
        let (groups, others) = (Kind::Groups(1), Kind::Others(1));
        patience.heed(Some(groups.clone()), &told(&Refusal::Overloaded, 1_000), now);
        let after = |ms| now + Duration::from_millis(ms);
        assert!(patience.is_early(Some(&groups), after(999)));
        assert!(!patience.is_early(Some(&groups), after(1_501)));
        for free in [None, Some(&others), Some(&Kind::Groups(2)), Some(&Kind::Entering("A".to_owned()))] {
            assert!(!patience.is_early(free, now), "{free:?}");
        }
        let left = patience.left(now).as_millis();
        assert!((1_000..=1_500).contains(&left), "{left}");
        patience.heed(Some(others.clone()), &told(&Refusal::Overloaded, u32::MAX), now);
        assert!(patience.is_early(Some(&others), after(59_999)) && !patience.is_early(Some(&others), after(90_001)));
    }

    #[test]
    fn other_refusals_hold_nothing_back_though_they_say_when() {
        let (now, mut patience) = (Instant::now(), Patience::default());
        patience.heed(Some(Kind::Groups(1)), &told(&Refusal::StorageFull, 1_000), now);
        assert!(!patience.is_early(Some(&Kind::Groups(1)), now));
        assert!(patience.left(now) >= Duration::from_secs(1));
        patience.heed(Some(Kind::Groups(1)), &told(&Refusal::Overloaded, 0), now);
        assert!(!patience.is_early(Some(&Kind::Groups(1)), now));
    }

    #[test]
    fn clients_that_were_refused_together_do_not_come_back_together() {
        let now = Instant::now();
        let left = |_| {
            let mut patience = Patience::default();
            patience.heed(None, &told(&Refusal::Overloaded, 60_000), now);
            patience.left(now)
        };
        let lefts: std::collections::BTreeSet<Duration> = (0..32).map(left).collect();
        assert!(lefts.len() > 8, "{lefts:?}");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (now, mut patience) = (Instant::now(), Patience::default());
        for slot in 0..3 * u32::try_from(KINDS_MAX).unwrap() {
            patience.heed(Some(Kind::Groups(slot)), &told(&Refusal::Overloaded, 1_000), now);
        }
        assert_eq!(patience.not_before.len(), KINDS_MAX);
        let later = now + Duration::from_secs(2);
        patience.heed(Some(Kind::Others(7)), &told(&Refusal::Overloaded, 1_000), later);
        assert_eq!(patience.not_before.len(), 1);
    }
}
