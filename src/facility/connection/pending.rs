//! Requests that were handed in by a [`Connection`](super::Connection) and wait for their answer.
#![forbid(unsafe_code)]

use super::Session;
use crate::facility::CallError;
use crate::facility::Renewal;
use crate::facility::Reply;
use crate::facility::Ticket;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::structure::Answer;
use std::fmt;
use std::sync::Arc;

/// An answer with its place in history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered<T> {
    /// The highest lsn that the request caused; without an effect, that of the newest event it saw.
    pub lsn: Lsn,
    /// What came of it.
    pub value: T,
}

/// A request that was handed in. Dropping it unanswered gives the answer up, never the request: a
/// grant that it brings is then heard of only at the next attach.
pub struct Pending<T> {
    pub(super) session: Arc<Session>,
    pub(super) ticket: Option<Ticket<Reply>>,
    pub(super) number: u32,
    pub(super) read: fn(Answer) -> Option<T>,
}

/// A renewal that was handed in.
#[derive(Debug)]
pub struct PendingRenewal {
    pub(super) ticket: Ticket<Renewal>,
    pub(super) number: u64,
    pub(super) sent: BootMs,
}

impl<T> Pending<T> {
    /// The request's number within its incarnation: grants name it.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::Gone`] also if the answer was taken before.
    pub fn wait(mut self) -> Result<Answered<T>, CallError> {
        let ticket = self.ticket.take().ok_or(CallError::Gone)?;
        self.read(ticket.wait())
    }

    /// The answer if it is there; at most once.
    pub fn try_take(&mut self) -> Option<Result<Answered<T>, CallError>> {
        let answer = self.ticket.as_ref()?.try_take()?;
        self.ticket = None;
        Some(self.read(answer))
    }

    fn read(&self, answer: Result<Reply, CallError>) -> Result<Answered<T>, CallError> {
        let reply = self.session.settle(self.number, answer)?;
        let value = (self.read)(reply.answer).ok_or(CallError::WrongAnswer)?;
        Ok(Answered { lsn: reply.lsn, value })
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.session.numbering.lock().unanswered.remove(&self.number);
        }
    }
}

impl PendingRenewal {
    /// Waits: until when the lease runs, `None` without a promise.
    ///
    /// # Errors
    /// [`CallError`]; an answer to another renewal extends nothing.
    pub fn wait(self) -> Result<Option<BootMs>, CallError> {
        let Self { ticket, number, sent } = self;
        runs_until(ticket.wait(), number, sent)
    }

    /// As [`wait`](Self::wait), if the answer is there; at most once.
    pub fn try_take(&self) -> Option<Result<Option<BootMs>, CallError>> {
        Some(runs_until(self.ticket.try_take()?, self.number, self.sent))
    }

    /// When it was sent, by the stack's boot clock.
    #[must_use]
    pub fn sent(&self) -> BootMs {
        self.sent
    }
}

fn runs_until(answer: Result<Renewal, CallError>, number: u64, sent: BootMs) -> Result<Option<BootMs>, CallError> {
    let renewal = answer?;
    if renewal.number != number {
        return Err(CallError::WrongAnswer);
    }
    Ok((renewal.promise_ms > 0).then(|| sent.plus(renewal.promise_ms)))
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("number", &self.number).finish_non_exhaustive()
    }
}
