//! One writer's work without its thread: commands in, one frame out, answers after the sync.
//!
//! [`Engine::turn`] takes a batch of commands in order. Each request is decided and applied, its
//! events become records of one frame; the frame is written and synced; only then does anybody hear
//! anything, refusals and reads included (protocol.md R15). When a write or sync fails everybody
//! waiting hears "outcome unknown" and the engine is poisoned: memory is ahead of the disk, and
//! only recovery may reconcile them.
//!
//! The thread around it is in [`local`](super::LocalFacility); tests drive the engine directly, so
//! that a run on the simulated disk repeats exactly.
#![forbid(unsafe_code)]

use super::CallError;
use super::RecoveryReport;
use super::Renewal;
use super::Reply;
use super::clock::Clock;
use super::clock::RandomStream;
use super::command::Command;
use super::command::Waiting;
use super::deadlines::Deadlines;
use super::deadlines::Due;
use super::options::BATCH_RECORDS_MAX;
use super::options::DEAF_MS_MIN;
use super::options::READY_LISTS_MAX;
use super::progress::Progress;
use super::reads;
use super::watch::Ring;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::record;
use crate::structure::Actor;
use crate::structure::Answer;
use crate::structure::Change;
use crate::structure::ClockFloor;
use crate::structure::ConnectorState;
use crate::structure::Context;
use crate::structure::Decision;
use crate::structure::Due as QuarantineDue;
use crate::structure::Event;
use crate::structure::Item;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::structure::Structure;
use crate::wal::Appender;
use crate::wal::StoreError;
use std::collections::VecDeque;
use std::sync::Arc;

/// Counters since the open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events stored.
    pub records: u64,
    /// Frames written, one sync each.
    pub frames: u64,
    /// Grants made.
    pub grants: u64,
}

/// A structure, the log it is written to, and the time that passes beside it.
pub struct Engine {
    structure: Structure,
    appender: Appender,
    deadlines: Deadlines,
    clock: Arc<dyn Clock>,
    random: RandomStream,
    ring: Arc<Ring>,
    progress: Arc<Progress>,
    report: RecoveryReport,
    counters: Counters,
    floor: ClockFloor,
    quarantine_ms: u32,
    quarantine_timer: bool,
    /// Frame times never run backwards within one open.
    last_boot: BootMs,
    last_wall: WallMs,
    /// The frame being made: its records, how many, and its events for watchers.
    payload: Vec<u8>,
    count: u32,
    made: Vec<(Lsn, Event)>,
    waiting: Vec<Waiting>,
    /// Reused between requests.
    events: Vec<Event>,
    awakened: Vec<u32>,
    poisoned: Option<String>,
}

/// What an open hands over to its engine.
pub(crate) struct Parts {
    pub(crate) structure: Structure,
    pub(crate) appender: Appender,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: RandomStream,
    pub(crate) ring: Arc<Ring>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) report: RecoveryReport,
    pub(crate) floor: ClockFloor,
    pub(crate) quarantine_ms: u32,
    pub(crate) quarantine_timer: bool,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            structure,
            appender,
            clock,
            random,
            ring,
            progress,
            report,
            floor,
            quarantine_ms,
            quarantine_timer,
        } = parts;
        let now = clock.boot_ms();
        let mut engine = Self {
            structure,
            appender,
            deadlines: Deadlines::default(),
            clock,
            random,
            ring,
            progress,
            report,
            counters: Counters::default(),
            floor,
            quarantine_ms,
            quarantine_timer,
            last_boot: BootMs(0),
            last_wall: WallMs(0),
            payload: Vec::new(),
            count: 0,
            made: Vec::new(),
            waiting: Vec::new(),
            events: Vec::new(),
            awakened: Vec::new(),
            poisoned: None,
        };
        engine.start_all_leases(now);
        engine.look_at_awakened(now);
        engine
    }

    /// Handles a batch of commands in order, as many frames as it takes, and answers all of them.
    /// What is due is handled after what waited.
    ///
    /// # Errors
    /// The first write or sync that failed; everybody of the batch has heard `StorageFailed`, and
    /// every later turn fails the same way.
    pub fn turn(&mut self, batch: &mut VecDeque<Command>) -> Result<(), StoreError> {
        let (mut now, mut wall) = self.times();
        while let Some(command) = batch.pop_front() {
            if self.count as usize >= BATCH_RECORDS_MAX {
                self.commit_or_fail(now, wall, batch)?;
                (now, wall) = self.times();
            }
            let command = match self.handle(command, now) {
                Ok(()) => continue,
                Err(does_not_fit) => does_not_fit,
            };
            // The frame is full: this request opens the next one.
            self.commit_or_fail(now, wall, batch)?;
            (now, wall) = self.times();
            if let Err(Command::Request(_, completer)) = self.handle(command, now) {
                drop(completer);
            }
        }
        self.expire(now);
        self.commit_or_fail(now, wall, batch)
    }

    /// When the engine wants its next turn even if nobody calls.
    #[must_use]
    pub fn next_due(&self) -> Option<BootMs> {
        self.deadlines.next()
    }

    /// Adds time in which nobody listened to every lease, ms.
    pub fn excuse(&mut self, ms: u64) {
        self.deadlines.excuse(ms);
    }

    /// The state. After a failed turn it is ahead of the disk and must not be shown.
    #[must_use]
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// The log.
    #[must_use]
    pub fn appender(&self) -> &Appender {
        &self.appender
    }

    /// Leaves the clean mark and gives the lock back.
    ///
    /// # Errors
    /// I/O; the store is then as after a crash.
    pub fn close(self) -> Result<(), StoreError> {
        let now = self.clock.boot_ms();
        self.appender.close(now)
    }

    /// Counters since the open.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What the open found.
    #[must_use]
    pub fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// Tells a command that nothing works any more.
    pub fn reject(&self, command: Command) {
        let error = match &self.poisoned {
            Some(reason) => CallError::StorageFailed { reason: reason.clone() },
            None => CallError::Gone,
        };
        command.refuse(&error);
    }

    fn times(&mut self) -> (BootMs, WallMs) {
        self.last_boot = self.last_boot.max(self.clock.boot_ms());
        self.last_wall = self.last_wall.max(self.clock.wall_ms());
        (self.last_boot, self.last_wall)
    }

    /// Decides and applies one command; its answer waits for the sync. A request whose events do
    /// not fit into this frame any more comes back untouched.
    fn handle(&mut self, command: Command, now: BootMs) -> Result<(), Command> {
        match command {
            Command::Request(request, completer) => match self.decide(&request, now) {
                Decided::Answer(answer) => self.waiting.push(Waiting::Reply(completer, answer)),
                Decided::DoesNotFit => return Err(Command::Request(request, completer)),
            },
            Command::Renew(actor, number, completer) => {
                let answer = self.renew(actor, number, now);
                self.waiting.push(Waiting::Renewal(completer, answer));
            }
            Command::Query(query, completer) => {
                let view = reads::View {
                    structure: &self.structure,
                    report: &self.report,
                    counters: self.counters,
                    history: self.appender.history(),
                    epoch: self.appender.epoch(),
                    open_first: self.appender.open_first(),
                    deadlines: &self.deadlines,
                };
                self.waiting.push(Waiting::Page(completer, view.page(&query)));
            }
            Command::Watch(completer) => {
                let last = self.structure.lsn();
                self.ring.enter(last);
                self.waiting.push(Waiting::Watch(completer, last));
            }
        }
        Ok(())
    }

    fn decide(&mut self, request: &Request, now: BootMs) -> Decided {
        let context = self.context(request, now);
        self.events.clear();
        let decision = match self.structure.decide(request, &context, &mut self.events) {
            Ok(decision) => decision,
            Err(refusal) => return Decided::Answer(Err(refusal.into())),
        };
        let needed: usize = self.events.iter().map(record::size_of).sum();
        let limit = self.appender.payload_max();
        if needed > limit {
            let refusal = Refusal::TooLarge { needed: saturated(needed), limit: saturated(limit) };
            return Decided::Answer(Err(refusal.into()));
        }
        if self.payload.len() + needed > limit {
            return Decided::DoesNotFit;
        }
        let first = self.next_lsn();
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.take(event, now);
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
        Decided::Answer(Ok(Reply { history: self.appender.history(), lsn, answer }))
    }

    fn context(&mut self, request: &Request, now: BootMs) -> Context {
        let deadline = match request {
            Request::CleanUp { name, .. } => {
                self.structure.connector(name).and_then(|status| self.deadlines.deadline(status.actor.slot))
            }
            _ => None,
        };
        Context {
            now,
            random: self.random.next_u64(),
            open_first: self.appender.open_first(),
            floor: self.floor,
            quarantine_ms: self.quarantine_ms,
            deadline,
        }
    }

    /// The lsn of the next event of the frame being made.
    fn next_lsn(&self) -> Lsn {
        Lsn(self.appender.next_lsn().0 + u64::from(self.count))
    }

    /// Applies one event and puts it into the frame.
    fn take(&mut self, event: &Event, now: BootMs) {
        let lsn = self.next_lsn();
        self.structure.apply(lsn, now, event);
        record::encode(event, &mut self.payload);
        self.count += 1;
        match &event.change {
            Change::Granted { .. } => self.counters.grants += 1,
            Change::Failed { connector } => self.deadlines.fail(*connector),
            Change::Disconnected { connector } | Change::CleanedUp { connector, .. } => {
                self.deadlines.forget(*connector);
            }
            _ => {}
        }
        if self.ring.is_watched() {
            self.made.push((lsn, event.clone()));
        }
    }

    /// Connect, attach and resume start the lease. It counts from the processing: the stack's own
    /// count began earlier, when it sent the request (protocol.md R1, R2).
    fn extend_lease(&mut self, answer: &Answer, now: BootMs) {
        let (Answer::Connected(actor) | Answer::Attached { actor, .. }) = answer else { return };
        let promise_ms = self.promise_ms(actor.slot);
        self.deadlines.start(actor.slot, actor.incarnation, promise_ms, false, now);
    }

    fn promise_ms(&self, slot: u32) -> u64 {
        self.structure.connector_at(slot).map_or(0, |view| view.promise_ms)
    }

    fn renew(&mut self, actor: Actor, number: u64, now: BootMs) -> Result<Renewal, CallError> {
        self.structure.may_act(actor, self.appender.open_first())?;
        let promise_ms = self.deadlines.renew(actor.slot, actor.incarnation, now);
        Ok(Renewal { number, promise_ms })
    }

    /// Handles everything that is due, as internal requests after all that waited.
    fn expire(&mut self, now: BootMs) {
        let mut lists = 0;
        while lists < READY_LISTS_MAX
            && (self.count as usize) < BATCH_RECORDS_MAX
            && let Some(due) = self.deadlines.take_due(now)
        {
            let (request, again) = match due {
                Due::Lease { slot, incarnation } => match self.structure.connector_at(slot).map(|view| view.name) {
                    Some(name) => (Request::MarkFailed { name, incarnation }, None),
                    None => continue,
                },
                Due::Quarantine { .. } if !self.quarantine_timer => continue,
                Due::Quarantine { list } => {
                    lists += 1;
                    (Request::EndQuarantine { list }, Some(list))
                }
            };
            let decided = self.decide(&request, now);
            if let (Decided::DoesNotFit, Due::Lease { slot, incarnation }) = (&decided, due) {
                // Next turn, in a frame of its own.
                self.deadlines.start(slot, incarnation, self.promise_ms(slot), false, now);
                return;
            }
            if let Some(list) = again {
                self.look_again(list, now, matches!(decided, Decided::DoesNotFit));
            }
        }
    }

    fn look_again(&mut self, list: u32, now: BootMs, at_once: bool) {
        let context = self.context(&Request::EndQuarantine { list }, now);
        match self.structure.quarantine_due(list, &context) {
            QuarantineDue::None => {}
            QuarantineDue::Now(_) if at_once => self.deadlines.look_at(list, now),
            QuarantineDue::Now(_) => self.deadlines.look_at(list, now.plus(1)),
            QuarantineDue::At(at) => self.deadlines.look_at(list, at),
        }
    }

    fn look_at_awakened(&mut self, now: BootMs) {
        let mut awakened = std::mem::take(&mut self.awakened);
        self.structure.take_awakened(&mut awakened);
        for list in awakened.drain(..) {
            self.look_again(list, now, false);
        }
        self.awakened = awakened;
    }

    /// At an open every promised length starts in full, for failed connectors too: renewals are not
    /// logged (protocol.md R1).
    fn start_all_leases(&mut self, now: BootMs) {
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

    fn commit_or_fail(&mut self, now: BootMs, wall: WallMs, batch: &mut VecDeque<Command>) -> Result<(), StoreError> {
        let done = self.commit(now, wall);
        if done.is_err() {
            for command in batch.drain(..) {
                self.reject(command);
            }
        }
        done
    }

    /// Writes and syncs the frame, then answers everybody who waited for it.
    fn commit(&mut self, now: BootMs, wall: WallMs) -> Result<(), StoreError> {
        if self.count > 0 {
            if let Err(error) = self.appender.append(&self.payload, self.count, wall, now) {
                self.poison(&error);
                return Err(error);
            }
            self.progress.note(&self.appender);
            self.counters.frames += 1;
            self.counters.records += u64::from(self.count);
            self.ring.publish(&mut self.made);
            self.payload.clear();
            self.count = 0;
            // A long sync is no time in which the facility listened: no lease pays for it.
            let took = self.clock.boot_ms().0.saturating_sub(now.0);
            if took > DEAF_MS_MIN {
                self.deadlines.excuse(took);
            }
        }
        self.waiting.drain(..).for_each(|waiting| waiting.answer(None));
        self.look_at_awakened(now);
        Ok(())
    }

    fn poison(&mut self, error: &StoreError) {
        self.appender.give_up();
        let reason = error.to_string();
        self.poisoned = Some(reason.clone());
        let unknown = CallError::StorageFailed { reason };
        self.waiting.drain(..).for_each(|waiting| waiting.answer(Some(&unknown)));
    }
}

enum Decided {
    Answer(Result<Reply, CallError>),
    DoesNotFit,
}

fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
