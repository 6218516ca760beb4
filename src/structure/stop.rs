//! Granting stopped: why, since when, and when it may go on.
//!
//! Data may be lost: after a power loss perhaps, by a stack's proof, or because the store was
//! restored. Then nothing is granted, so that no port that a live kernel uses, and the log forgot,
//! goes to another stack (protocol.md R18, R19).
#![forbid(unsafe_code)]

use super::Context;
use super::Structure;
use super::connector::Connector;
use super::event::Change;
use super::item::ConnectorState;
use super::refusal::{Operand, Refusal};
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use serde::{Deserialize, Serialize};

/// Lsns that stacks name are below this: far beyond any log, and room for more above.
pub(super) const LSN_NAMED_MAX: Lsn = Lsn(1 << 62);
/// Shortest wait after a power loss, ms.
const POWER_LOSS_MS_MIN: u64 = 5_000;
/// How long a connector without a promise is waited for after a power loss, ms.
const NO_PROMISE_MS: u64 = 30_000;
/// Least allowance for the drift of two clocks, ms.
const DRIFT_MS_MIN: u64 = 100;

/// Why granting stopped, from the mildest to the gravest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StopCause {
    /// The power failed, and the storage may have lost what it said it had: granting goes on by
    /// itself once the stacks have attached without a proof of loss.
    PowerLoss,
    /// A stack proved that acknowledged data is lost.
    DataLost,
    /// The store was restored from a backup.
    Restored,
}

impl StopCause {
    /// As in JSON and displays.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PowerLoss => "power-loss",
            Self::DataLost => "data-lost",
            Self::Restored => "restored",
        }
    }

    /// Whether what stacks report is adopted under it (protocol.md R19).
    #[must_use]
    pub const fn adopts(self) -> bool {
        matches!(self, Self::DataLost | Self::Restored)
    }
}

/// That granting stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The gravest cause so far.
    pub cause: StopCause,
    /// The lsn of the event that brought this cause.
    pub since: Lsn,
    /// The boot clock at that event.
    pub from: BootMs,
    /// The highest lsn that a stack knows of, grants adopted included. Granting goes on above it.
    pub highest: Lsn,
    /// Ports adopted from the reports of stacks.
    pub adopted: u32,
}

/// How long the wait after a power loss goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Over: granting may go on.
    Over,
    /// Look again at this moment of the boot clock, and after each attach.
    Until(BootMs),
}

/// A promised lease with the allowance for drift, ms: 1 %, at least 100 ms. Saturates.
#[must_use]
pub fn with_drift(promise_ms: u64) -> u64 {
    promise_ms.saturating_add((promise_ms / 100).max(DRIFT_MS_MIN))
}

impl Structure {
    /// Whether granting is stopped, and why.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// The cause for which granting is stopped.
    pub(super) fn stop_cause(&self) -> Option<StopCause> {
        self.stop.map(|stop| stop.cause)
    }

    /// Whether granting is stopped for a cause under which reports are adopted.
    pub(super) fn adopts(&self) -> bool {
        self.stop.is_some_and(|stop| stop.cause.adopts())
    }

    /// Whether the store was restored: then nothing but attach is served (protocol.md R18).
    pub(super) fn is_restored(&self) -> bool {
        self.stop_cause() == Some(StopCause::Restored)
    }

    /// Connectors that have not attached since granting stopped, with `open_first` the first lsn of
    /// the present history. None, if it has not stopped.
    pub fn not_attached_since_stop(&self, open_first: Lsn) -> impl Iterator<Item = &ConnectorName> {
        self.unattached(open_first).map(|connector| &connector.name)
    }

    fn unattached(&self, open_first: Lsn) -> impl Iterator<Item = &Connector> {
        let since = match self.stop {
            None => Lsn::ZERO,
            // An attach to the present open came after the loss, before or after the proof.
            Some(stop) if stop.cause == StopCause::DataLost => stop.since.min(open_first),
            Some(stop) => stop.since,
        };
        let known = self.connectors.iter().map(|(_, connector)| connector);
        known.filter(move |known| known.state != ConnectorState::Forgotten && known.incarnation.0 < since.0)
    }

    /// How long the wait after a power loss goes on; `None` if granting is not stopped for that.
    ///
    /// It is over when every active connector has attached since, at least 5 s after it began; and
    /// at the latest when the longest lease of an active connector ran out, drift included, 30 s
    /// for one without a promise.
    ///
    /// No quarantine is added to the lease, unlike [`restored_window_end`](Self::restored_window_end).
    /// Only what one frame granted can be missing, and only if the disk lied about its sync. A stack
    /// that lives attaches within its lease and proves the loss, and then grants stop until an operator
    /// has looked. There remains the stack that opened connections from a grant of that very frame and
    /// never comes back: its group may be drawn, one of all that are wholly free, while remote sides
    /// remember it. Two more minutes of waiting for every stack that is gone would cost each power
    /// loss more than that is worth: a disk that lies is outside of what the storage promises.
    #[must_use]
    pub fn power_loss_wait(&self, context: &Context) -> Option<Wait> {
        let stop = self.stop.filter(|stop| stop.cause == StopCause::PowerLoss)?;
        let start = self.stop_start(&stop, context);
        let soonest = start.plus(POWER_LOSS_MS_MIN);
        if context.now < soonest {
            return Some(Wait::Until(soonest));
        }
        let active = self.connectors.iter().filter(|(_, known)| known.state == ConnectorState::Active);
        let lease = |known: &Connector| match known.promise_ms {
            0 => NO_PROMISE_MS,
            promised => with_drift(promised),
        };
        let latest = start.plus(active.map(|(_, known)| lease(known)).max().unwrap_or(0));
        let all_attached = self.unattached(context.open_first).all(|known| known.state != ConnectorState::Active);
        Some(if all_attached || context.now >= latest { Wait::Over } else { Wait::Until(latest) })
    }

    /// When the window of a restored store ends: until then only attach is served. It is the
    /// longest promise with drift and the longest quarantine together (protocol.md R18). `None` if
    /// the store was not restored.
    #[must_use]
    pub fn restored_window_end(&self, context: &Context) -> Option<BootMs> {
        let stop = self.stop.filter(|stop| stop.cause == StopCause::Restored)?;
        let known = self.connectors.iter().filter(|(_, known)| known.state != ConnectorState::Forgotten);
        let promise_ms = known.map(|(_, known)| with_drift(known.promise_ms)).max().unwrap_or(0);
        let set = self.lists.iter().map(|(_, list)| list.policy.quarantine_ms);
        let quarantine_ms = set.max().unwrap_or(0).max(context.quarantine_ms);
        Some(self.stop_start(&stop, context).plus(promise_ms).plus(u64::from(quarantine_ms)))
    }

    /// From when a stop counts: anew under another boot (protocol.md R22).
    fn stop_start(&self, stop: &Stop, context: &Context) -> BootMs {
        if stop.since >= context.floor.lsn { stop.from } else { context.floor.at }
    }

    pub(super) fn decide_stop(
        &self,
        cause: StopCause,
        name: Option<&ConnectorName>,
        history: HistoryId,
        lsn: Lsn,
    ) -> Result<Option<Change>, Refusal> {
        if lsn >= LSN_NAMED_MAX {
            return Err(Refusal::OutOfRange { what: Operand::Lsn });
        }
        let slot = |name| self.by_name.get(name).copied().ok_or(Refusal::UnknownConnector);
        let connector = name.map(slot).transpose()?;
        let begins = self.stop_begins(cause, connector);
        let known = !begins && self.stop.is_some_and(|stop| lsn <= stop.highest);
        Ok((!known).then_some(Change::Stopped { cause, connector, history, lsn }))
    }

    pub(super) fn decide_resume_grants(
        &self,
        by: Option<&ConnectorName>,
        adopt_reported: bool,
        context: &Context,
    ) -> Result<Option<Change>, Refusal> {
        let Some(stop) = self.stop else { return Ok(None) };
        if stop.cause.adopts() {
            if by.is_none() {
                return Err(Refusal::GrantsStopped { cause: stop.cause });
            }
            if stop.adopted > 0 && !adopt_reported {
                return Err(Refusal::AdoptedPending { ports: stop.adopted });
            }
        }
        if let Some(end) = self.restored_window_end(context)
            && context.now < end
        {
            return Err(Refusal::TooEarly { left_ms: end.0 - context.now.0 });
        }
        if stop.cause.adopts() {
            // What a stack lost that has not attached yet is known to nobody.
            let mut missing = self.unattached(context.open_first);
            if let Some(first) = missing.next() {
                let count = 1 + u32::try_from(missing.count()).expect("at most 65,536 connectors");
                return Err(Refusal::NotAllAttached { name: first.name.clone(), count });
            }
        }
        Ok(Some(Change::Resumed { by: by.cloned() }))
    }

    /// Whether a stop begins with this event, and is not only told again: for none or a milder one
    /// before. A store that is restored once more, from a copy made while it was stopped so, begins
    /// anew: who attached to the one before has not attached to this one.
    fn stop_begins(&self, cause: StopCause, connector: Option<u32>) -> bool {
        let restored = cause == StopCause::Restored && connector.is_none();
        restored || self.stop.is_none_or(|stop| cause > stop.cause)
    }

    /// Granting stops, or stops for a graver cause, or a stack knows of a higher lsn.
    pub(super) fn note_stop(&mut self, fresh: Stop, connector: Option<u32>) {
        let before = self.stop.unwrap_or(fresh);
        let (highest, adopted) = (fresh.highest.max(before.highest), before.adopted);
        let since = if self.stop_begins(fresh.cause, connector) { fresh } else { before };
        self.stop = Some(Stop { highest, adopted, ..since });
    }

    /// Granting goes on, and so does quarantine.
    pub(super) fn note_resumed(&mut self) {
        self.stop = None;
        let resting = self.lists.iter().filter(|(_, list)| !list.queue.is_empty());
        self.awakened.extend(resting.map(|(slot, _)| slot));
    }
}
