//! Granting stopped, and how it goes on: by itself after a power loss, else by an operator's word.
#![forbid(unsafe_code)]

use super::Engine;
use super::deciding::Decided;
use crate::facility::histories::Histories;
use crate::facility::options::RETRY_MS;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::record;
use crate::structure::Change;
use crate::structure::ConnectorState;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::structure::StopCause;
use crate::structure::Wait;
use crate::wal::StopMark;
use crate::wal::StoreError;

/// What a stop needs of the engine besides the structure.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    /// MANIFEST's mark of this open is an event of the log, or need not be.
    pub(super) is_noted: bool,
    /// When the wait after a power loss is looked at again; `None`: at once.
    pub(super) look: Option<BootMs>,
    /// Nobody is waited for after a power loss.
    pub(super) serves: bool,
    /// MANIFEST's mark goes once the frame being made is durable.
    pub(super) clears: bool,
}

impl Engine {
    /// What MANIFEST says of this open becomes an event of the log, before anything else is decided.
    pub(super) fn note_stop(&mut self, now: BootMs) -> Result<(), StoreError> {
        if self.stopping.is_noted {
            return Ok(());
        }
        let cause = match self.appender.stop() {
            StopMark::None => None,
            StopMark::Restored => Some(StopCause::Restored),
            StopMark::PowerLoss if self.is_nobody_to_wait_for() => {
                // A mark that stays is only looked at again.
                unless_full(self.appender.clear_stop())?;
                None
            }
            StopMark::PowerLoss => Some(StopCause::PowerLoss),
        };
        let known = self.structure.stop().map(|stop| stop.cause);
        // A backup may have been taken while its store was a restored one itself: who attached to that
        // has not attached to this one, so it is always told.
        let is_news = |cause: &StopCause| *cause == StopCause::Restored || known.is_none_or(|known| known < *cause);
        self.stopping.is_noted = match cause.filter(is_news) {
            None => true,
            Some(cause) => {
                let stop = Request::Stop { cause, name: None, history: HistoryId(0), lsn: Lsn::ZERO };
                let is_noted = matches!(self.decide(&stop, now)?, Decided::Answer(Ok(_)));
                // Told once is enough: the next open goes on with the same window.
                self.stopping.clears = is_noted && cause == StopCause::Restored;
                is_noted
            }
        };
        Ok(())
    }

    /// The frame is durable: what it says need not stand in MANIFEST any more. For want of room it
    /// stands a while longer.
    pub(super) fn note_durable(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.stopping.clears) {
            self.stopping.clears = !unless_full(self.appender.clear_stop())?;
        }
        Ok(())
    }

    fn is_nobody_to_wait_for(&self) -> bool {
        let is_active = self.structure.connectors().any(|view| view.state == ConnectorState::Active);
        self.structure.stop().is_none() && (self.stopping.serves || !is_active)
    }

    /// Whether granting is stopped because the power failed.
    pub(super) fn waits_for_stacks(&self) -> bool {
        self.structure.stop().is_some_and(|stop| stop.cause == StopCause::PowerLoss)
    }

    /// Ends the wait after a power loss when it is over.
    pub(super) fn look_at_stop(&mut self, now: BootMs) -> Result<(), StoreError> {
        if !self.waits_for_stacks() || !self.stopping.is_noted || self.stopping.look.is_some_and(|at| now < at) {
            return Ok(());
        }
        let request = Request::ResumeGrants { by: None, adopt_reported: false };
        let context = self.context_to_read(now);
        if let (Some(Wait::Until(at)), false) = (self.structure.power_loss_wait(&context), self.stopping.serves) {
            self.stopping.look = Some(at);
            return Ok(());
        }
        let is_cleared = unless_full(self.appender.clear_stop())?;
        self.stopping.look = match is_cleared.then(|| self.decide(&request, now)).transpose()? {
            Some(Decided::Answer(Ok(_))) => None,
            Some(Decided::DoesNotFit) => Some(now),
            Some(Decided::Answer(Err(_))) | None => Some(now.plus(RETRY_MS)),
        };
        Ok(())
    }

    /// An operator's word that granting goes on. Where data was lost it goes on in a new history,
    /// above every lsn that a stack named: nothing is ever granted under one that somebody knows, and
    /// every stack attaches again.
    pub(super) fn resume_grants(
        &mut self,
        request: &Request,
        now: BootMs,
        wall: WallMs,
    ) -> Result<Decided, StoreError> {
        let Some(stop) = self.structure.stop() else { return self.decide(request, now) };
        if let Request::ResumeGrants { by: None, .. } = request {
            // Only the facility itself ends a wait.
            return Ok(Decided::refused(Refusal::GrantsStopped { cause: stop.cause }));
        }
        let context = self.context_to_read(now);
        self.events.clear();
        if let Err(refusal) = self.structure.decide(request, &context, &mut self.events) {
            return Ok(Decided::refused(refusal));
        }
        if self.count > 0 {
            return Ok(Decided::DoesNotFit);
        }
        let needed: usize = self.events.iter().map(record::size_of).sum();
        let has_room = self.stopping.is_noted && (needed <= self.frame_limit() || self.makes_room(needed, now)?);
        let is_begun = has_room && self.end_doubt(stop.cause, stop.highest, now, wall)?;
        if is_begun { self.decide(request, now) } else { Ok(Decided::refused(Refusal::StorageFull)) }
    }

    /// Ends what MANIFEST says; false if it found no room. A crash before the event that follows leaves
    /// granting stopped by the log.
    fn end_doubt(&mut self, cause: StopCause, highest: Lsn, now: BootMs, wall: WallMs) -> Result<bool, StoreError> {
        if !cause.adopts() {
            // Every stack that is attached has proven that it knows of no loss.
            return unless_full(self.appender.clear_stop());
        }
        let id = HistoryId(self.random.next_u64());
        if !unless_full(self.appender.begin_history(id, highest, now, wall))? {
            return Ok(false);
        }
        self.histories = Histories::new(&self.remembered, &self.appender.keeper().manifest());
        self.admission.void_all();
        self.progress.note(&self.appender);
        Ok(true)
    }

    /// What an operator should see of an event that has to do with a stop.
    pub(super) fn raise(&self, change: &Change) {
        let text = match change {
            Change::Stopped { cause, connector: None, .. } => {
                format!("nothing is granted: {}", cause.name())
            }
            Change::Stopped { cause, connector: Some(slot), history, lsn } => {
                let name = self.structure.connector_name(*slot).map_or("?", |name| name.as_str());
                format!(
                    "nothing is granted ({}): {name} knows lsn {lsn} of history {history}, which this store lost",
                    cause.name()
                )
            }
            Change::Revoked { member, group, grant, mask } => {
                let name = self.structure.member_of(*member).map_or("?", |(_, name, _)| name.as_str());
                format!(
                    "{name} lost {} ports of group {group}, grant {grant}: another stack proved a younger grant",
                    mask.count()
                )
            }
            Change::Resumed { by: Some(by) } => format!("granting goes on, by the word of {by}"),
            Change::Resumed { by: None } => "granting goes on: the wait after the power loss is over".to_owned(),
            _ => return,
        };
        self.alarms.raise(text);
    }
}

/// Whether it was done; want of room is no failure.
fn unless_full(done: Result<(), StoreError>) -> Result<bool, StoreError> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.is_full() => Ok(false),
        Err(error) => Err(error),
    }
}
