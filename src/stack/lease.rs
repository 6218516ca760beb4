//! The promised lease, counted by the stack's own clock from when it asked (protocol.md R2).
#![forbid(unsafe_code)]

use super::Stack;
use super::StackError;
use super::State;
use super::core::{Core, Health};
use crate::facility::CallError;
use crate::ident::BootMs;
use crate::threads::AtomicU64;
use crate::threads::Ordering;

/// A stack is looked after at least that often, ms.
const TICK_MS: u64 = 100;

/// Until when ports may be handed out.
#[derive(Debug)]
pub(super) struct Lease {
    promise_ms: u64,
    /// Boot clock, ms; `u64::MAX`: there is no promise.
    until: AtomicU64,
}

impl Lease {
    pub(super) fn new(promise_ms: u64) -> Self {
        Self { promise_ms, until: AtomicU64::new(u64::MAX) }
    }

    /// An attach or a renewal that was sent then was answered: the promise runs from there. A late
    /// answer never shortens it.
    pub(super) fn extend(&self, sent: BootMs, anew: bool) {
        if self.promise_ms > 0 {
            let until = sent.plus(self.promise_ms).0;
            if anew {
                self.until.store(until, Ordering::Release);
            } else {
                self.until.fetch_max(until, Ordering::AcqRel);
            }
        }
    }

    /// Until when it runs; `None` without a promise.
    pub(super) fn until(&self) -> Option<BootMs> {
        let until = self.until.load(Ordering::Acquire);
        (until != u64::MAX).then_some(BootMs(until))
    }

    /// The deadline, if it has passed.
    pub(super) fn over(&self, now: BootMs) -> Option<BootMs> {
        self.until().filter(|until| now >= *until)
    }

    /// How long until the next look at it, ms.
    pub(super) fn tick_ms(&self) -> u64 {
        if self.promise_ms > 0 { (self.promise_ms / 10).clamp(1, TICK_MS) } else { TICK_MS }
    }

    /// When a renewal is due that was last sent then: at a third of the promise.
    pub(super) fn is_renewal_due(&self, now: BootMs, sent: BootMs) -> bool {
        self.promise_ms > 0 && now.0.saturating_sub(sent.0) >= self.promise_ms / 3
    }
}

impl Stack {
    /// Whether ports may be handed out now. Reads the clock only where a deadline was promised.
    pub(super) fn in_time(&self) -> Result<(), StackError> {
        match self.lease.until() {
            Some(until) if self.now() >= until => Err(self.expire(&mut self.core.lock(), until)),
            _ => Ok(()),
        }
    }

    /// The same after a wait, when this stack may be over for other reasons too.
    pub(super) fn still_in_time(&self, core: &mut Core) -> Result<(), StackError> {
        core.alive()?;
        self.lease.over(self.now()).map_or(Ok(()), |until| Err(self.expire(core, until)))
    }

    /// The deadline has passed: this incarnation is over, only an attach brings the stack back
    /// (protocol.md R3). What is in use stays in use: no one who stops it was promised.
    pub(super) fn expire(&self, core: &mut Core, until: BootMs) -> StackError {
        if matches!(core.health, Health::Active | Health::Unreachable(_)) {
            core.connection.give_up();
            core.health = Health::Expired(until);
            self.arrived.notify_all();
        }
        core.alive().err().unwrap_or(StackError::LeaseOver { until })
    }

    /// Renews the promised lease and waits. Returns until when it runs, by the stack's own clock;
    /// `None` without a promise.
    ///
    /// # Errors
    /// [`StackError`]: the lease was not extended.
    pub fn renew(&self) -> Result<Option<BootMs>, StackError> {
        self.in_time()?;
        let sent = self.now();
        let connection = {
            let core = self.core.lock();
            core.ready()?;
            core.connection.clone()
        };
        let renewed = connection.renew(sent);
        let mut core = self.core.lock();
        if !core.connection.is_same(&connection) || core.state() == State::Expired {
            return Err(core.ready().err().unwrap_or(core.unreachable(CallError::Gone)));
        }
        match renewed {
            Ok(until) => {
                self.lease.extend(sent, false);
                core.renewed = sent;
                Ok(until)
            }
            Err(cause) => Err(core.fail(cause)),
        }
    }
}
