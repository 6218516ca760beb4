//! Granting stopped, and how it goes on: by itself after a power loss, else by an operator's word.
#![forbid(unsafe_code)]

use super::Engine;
use super::deciding::Decided;
use crate::ident::BootMs;
use crate::structure::Change;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::structure::StopCause;
use crate::structure::Wait;
use crate::wal::StoreError;

impl Engine {
    /// What MANIFEST says of this open becomes an event of the log.
    pub(crate) fn note_stop(&mut self, _now: BootMs) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether granting is stopped because the power failed.
    pub(super) fn waits_for_stacks(&self) -> bool {
        self.structure.stop().is_some_and(|stop| stop.cause == StopCause::PowerLoss)
    }

    /// Ends the wait after a power loss when it is over.
    pub(super) fn look_at_stop(&mut self, now: BootMs) -> Result<(), StoreError> {
        if !self.waits_for_stacks() || self.stop_look.is_some_and(|at| now < at) {
            return Ok(());
        }
        let request = Request::ResumeGrants { by: None, adopt_reported: false };
        let context = self.context(&request, now);
        match self.structure.power_loss_wait(&context) {
            Some(Wait::Until(at)) => self.stop_look = Some(at),
            Some(Wait::Over) => {
                if let Decided::DoesNotFit = self.decide(&request, now) {
                    self.stop_look = Some(now);
                }
            }
            None => {}
        }
        Ok(())
    }

    /// An operator's word that granting goes on.
    pub(super) fn resume_grants(&mut self, request: &Request, now: BootMs) -> Result<Decided, StoreError> {
        Ok(match request {
            Request::ResumeGrants { by: None, .. } if !self.trusts_caller => match self.structure.stop() {
                Some(stop) => Decided::refused(Refusal::GrantsStopped { cause: stop.cause }),
                None => self.decide(request, now),
            },
            request => self.decide(request, now),
        })
    }

    /// What an operator should see of an event that has to do with it.
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
