//! What happens because time passed: leases that ran out, quarantine that is over.
#![forbid(unsafe_code)]

use super::Engine;
use super::deciding::Decided;
use crate::facility::deadlines::Due;
use crate::facility::options::BATCH_RECORDS_MAX;
use crate::facility::options::READY_LISTS_MAX;
use crate::facility::options::RETRY_MS;
use crate::ident::BootMs;
use crate::structure::ConnectorState;
use crate::structure::Due as QuarantineDue;
use crate::structure::Item;
use crate::structure::Request;
use crate::wal::StoreError;

impl Engine {
    /// Handles everything that is due, as internal requests after all that waited.
    pub(super) fn expire(&mut self, now: BootMs) -> Result<(), StoreError> {
        let mut lists = 0;
        while lists < READY_LISTS_MAX
            && (self.count as usize) < BATCH_RECORDS_MAX
            && let Some(due) = self.deadlines.take_due(now)
        {
            let (request, again) = match due {
                Due::Lease { slot, incarnation } => match self.structure.connector_at(slot).map(|view| view.name) {
                    Some(name) => (Request::MarkFailed { name, incarnation, by: None }, None),
                    None => continue,
                },
                Due::Quarantine { .. } if !self.quarantine_timer => continue,
                Due::Quarantine { list } => {
                    lists += 1;
                    (Request::EndQuarantine { list }, Some(list))
                }
            };
            let decided = self.decide(&request, now)?;
            let is_done = matches!(decided, Decided::Answer(Ok(_)));
            if let (false, Due::Lease { slot, incarnation }) = (is_done, due) {
                // In a frame of its own, or when there is room.
                self.deadlines.start(slot, incarnation, self.promise_ms(slot), false, now);
                return Ok(());
            }
            if let Some(list) = again {
                let retry_ms = match decided {
                    Decided::DoesNotFit => 0,
                    Decided::Answer(Ok(_)) => 1,
                    Decided::Answer(Err(_)) => RETRY_MS,
                };
                self.look_again(list, now, retry_ms);
            }
        }
        Ok(())
    }

    fn look_again(&mut self, list: u32, now: BootMs, retry_ms: u64) {
        let context = self.context(&Request::EndQuarantine { list }, now);
        match self.structure.quarantine_due(list, &context) {
            QuarantineDue::None => {}
            QuarantineDue::Now(_) => self.deadlines.look_at(list, now.plus(retry_ms)),
            QuarantineDue::At(at) => self.deadlines.look_at(list, at),
        }
    }

    pub(super) fn look_at_awakened(&mut self, now: BootMs) {
        let mut awakened = std::mem::take(&mut self.awakened);
        self.structure.take_awakened(&mut awakened);
        for list in awakened.drain(..) {
            self.look_again(list, now, 1);
        }
        self.awakened = awakened;
    }

    /// At an open every promised length starts in full, for failed connectors too: renewals are not
    /// logged (protocol.md R1).
    pub(super) fn start_all_leases(&mut self, now: BootMs) {
        let connectors: Vec<_> = self
            .structure
            .items()
            .filter_map(|item| match item {
                Item::Connector { connector, incarnation, state, promise_ms, .. }
                    if state != ConnectorState::Forgotten =>
                {
                    Some((connector, incarnation, promise_ms, state == ConnectorState::FailedPersistent))
                }
                _ => None,
            })
            .collect();
        for (slot, incarnation, promise_ms, failed) in connectors {
            self.deadlines.start(slot, incarnation, promise_ms, failed, now);
        }
    }
}
