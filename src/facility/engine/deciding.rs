//! One request: decided, applied, put into the frame.
#![forbid(unsafe_code)]

use super::Engine;
use crate::facility::CallError;
use crate::facility::Receipt;
use crate::facility::Renewal;
use crate::facility::Reply;
use crate::facility::watch::is_act;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::Lsn;
use crate::ident::Target;
use crate::record;
use crate::structure::Actor;
use crate::structure::Answer;
use crate::structure::Change;
use crate::structure::Context;
use crate::structure::Decision;
use crate::structure::Event;
use crate::structure::Policy;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::structure::Stamp;
use crate::wal::StoreError;

/// What came of a request.
#[derive(Debug)]
pub(super) enum Decided {
    /// An answer, to be given when the frame is durable.
    Answer(Result<Reply, CallError>),
    /// Nothing was done: it needs the next frame.
    DoesNotFit,
}

impl Decided {
    pub(super) fn refused(refusal: Refusal) -> Self {
        Self::Answer(Err(refusal.into()))
    }
}

impl Engine {
    pub(super) fn decide(&mut self, request: &Request, now: BootMs) -> Result<Decided, StoreError> {
        let context = self.context(request, now);
        self.events.clear();
        let decision = match self.structure.decide(request, &context, &mut self.events) {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Decided::refused(refusal)),
        };
        if let Some(decided) = self.has_no_room(request, now)? {
            return Ok(decided);
        }
        let first = self.next_lsn();
        let policy = self.first_policy();
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.take(event, now);
        }
        if let Some(policy) = &policy {
            self.take(policy, now);
        }
        let count = saturated(events.len());
        self.events = events;
        let lsn = match decision {
            Decision::Effect => Lsn(first.0 + u64::from(count) - 1),
            Decision::NoEffect => self.structure.lsn(),
            Decision::Repeat { first, count } => Lsn(first.0 + u64::from(count) - 1),
        };
        let answer = self.structure.answer(request, &decision, first, count);
        self.extend_lease(&answer, now);
        let reply = self.reply(self.asker(request), lsn, answer);
        Ok(Decided::Answer(Ok(reply)))
    }

    /// Whether the events just decided find no room; nothing of them is applied then.
    fn has_no_room(&mut self, request: &Request, now: BootMs) -> Result<Option<Decided>, StoreError> {
        if self.events.is_empty() {
            return Ok(None);
        }
        let needed: usize = self.events.iter().chain(&self.first_policy()).map(record::size_of).sum();
        let limit = self.appender.payload_max();
        if needed > limit {
            let refusal = Refusal::TooLarge { needed: saturated(needed), limit: saturated(limit) };
            return Ok(Some(Decided::refused(refusal)));
        }
        // Nothing is decided before the log says why nothing may be granted.
        let is_too_soon = !self.stopping.is_noted && !matches!(request, Request::Stop { .. });
        if is_too_soon || self.storage.is_full() && self.uses_more(request) {
            return Ok(Some(Decided::refused(Refusal::StorageFull)));
        }
        if self.payload.len() + needed <= self.frame_limit() {
            return Ok(None);
        }
        if self.count > 0 {
            return Ok(Some(Decided::DoesNotFit));
        }
        let has_room = self.makes_room(needed, now)?;
        let is_refused = !has_room || self.storage.is_full() && self.uses_more(request);
        Ok(is_refused.then(|| Decided::refused(Refusal::StorageFull)))
    }

    /// The policy that a list begins with, if the events just decided make one: in the same frame.
    fn first_policy(&self) -> Option<Event> {
        if self.policy == Policy::default() {
            return None;
        }
        let made = |event: &Event| match event.change {
            Change::Defined { list, target: Target::List(..) }
            | Change::Joined { list, target: Target::List(..), .. } => {
                self.structure.list_target(list).is_none().then_some(list)
            }
            _ => None,
        };
        let list = self.events.iter().find_map(made)?;
        Some(Event { stamp: Stamp::None, change: Change::PolicySet { list, policy: self.policy } })
    }

    /// Whether the events just decided are of the kind that a full disk ends first: those that take
    /// something. What gives back goes on as long as it fits.
    fn uses_more(&self, request: &Request) -> bool {
        let uses_more = |event: &Event| match &event.change {
            Change::Granted { .. } | Change::Defined { .. } | Change::Connected { .. } | Change::SetStored { .. } => {
                true
            }
            Change::Joined { list, .. } => self.structure.list_target(*list).is_none(),
            _ => false,
        };
        !matches!(request, Request::Adopt { .. }) && self.events.iter().any(uses_more)
    }

    /// An answer with its place in history; for a stack with the receipt for that place.
    pub(super) fn reply(&self, stack: Option<&ConnectorName>, lsn: Lsn, answer: Answer) -> Reply {
        let history = self.appender.history();
        let receipt = stack.map_or(Receipt::default(), |name| self.receipts.give(name, history, lsn));
        Reply { store: self.store, history, lsn, receipt, answer }
    }

    /// The stack that asks, if it is one.
    fn asker<'a>(&'a self, request: &'a Request) -> Option<&'a ConnectorName> {
        match request {
            Request::Stack { actor, .. } => self.structure.connector_name(actor.slot),
            Request::Connect(introduction) | Request::Attach(introduction) => Some(&introduction.name),
            Request::Resume { name, .. } => Some(name),
            _ => None,
        }
    }

    pub(super) fn context(&mut self, request: &Request, now: BootMs) -> Context {
        let deadline = match request {
            Request::CleanUp { name, .. } => {
                self.structure.connector(name).and_then(|status| self.deadlines.deadline(status.actor.slot))
            }
            _ => None,
        };
        Context { random: self.random.next_u64(), deadline, ..self.context_to_read(now) }
    }

    /// The context of what chooses nothing: no random number is drawn for it.
    pub(super) fn context_to_read(&self, now: BootMs) -> Context {
        Context {
            now,
            random: 0,
            open_first: self.appender.open_first(),
            floor: self.floor,
            quarantine_ms: self.quarantine_ms,
            deadline: None,
        }
    }

    /// The lsn of the next event of the frame being made.
    fn next_lsn(&self) -> Lsn {
        Lsn(self.appender.next_lsn().0 + u64::from(self.count))
    }

    /// Applies one event and puts it into the frame.
    fn take(&mut self, event: &Event, now: BootMs) {
        let lsn = self.next_lsn();
        self.notice(&event.change);
        self.structure.apply(lsn, now, event);
        record::encode(event, &mut self.payload);
        self.count += 1;
        if self.rings.all.is_watched() {
            self.made.push((lsn, event.clone()));
        }
        if self.rings.acts.is_watched() && is_act(&event.change) {
            self.acts.push((lsn, event.clone()));
        }
    }

    /// What else an event means, before it is applied.
    fn notice(&mut self, change: &Change) {
        match change {
            Change::Granted { .. } => self.counters.grants += 1,
            Change::Connected { .. } | Change::Attached { .. } => self.stopping.look = None,
            Change::Failed { connector, .. } => {
                self.deadlines.fail(*connector);
                self.stopping.look = None;
            }
            Change::Disconnected { connector } | Change::CleanedUp { connector, .. } => {
                self.deadlines.forget(*connector);
                let name = self.structure.connector_name(*connector);
                self.admission.forget(*connector, name);
                self.stopping.look = None;
            }
            Change::Stopped { .. } | Change::Revoked { .. } | Change::Resumed { .. } => {
                self.stopping.look = None;
                self.raise(change);
            }
            _ => {}
        }
    }

    /// Connect, attach and resume start the lease. It counts from the processing: the stack's own
    /// count began earlier, when it sent the request (protocol.md R1, R2).
    fn extend_lease(&mut self, answer: &Answer, now: BootMs) {
        let (Answer::Connected(actor) | Answer::Attached { actor, .. }) = answer else { return };
        let promise_ms = self.promise_ms(actor.slot);
        self.deadlines.start(actor.slot, actor.incarnation, promise_ms, false, now);
    }

    pub(super) fn promise_ms(&self, slot: u32) -> u64 {
        self.structure.connector_at(slot).map_or(0, |view| view.promise_ms)
    }

    pub(super) fn renew(&mut self, actor: Actor, number: u64, now: BootMs) -> Result<Renewal, CallError> {
        self.structure.may_act(actor, self.appender.open_first())?;
        let promise_ms = self.deadlines.renew(actor.slot, actor.incarnation, now);
        Ok(Renewal { number, promise_ms })
    }
}

fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
