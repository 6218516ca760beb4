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

mod attaching;
mod deciding;
mod expiring;
mod measuring;
mod room;
mod stopping;

use super::CallError;
use super::Completer;
use super::RecoveryReport;
use super::Reply;
use super::admission::Admission;
use super::admission::Receipts;
use super::alarms::Alarms;
use super::clock::Clock;
use super::clock::RandomStream;
use super::command::Command;
use super::command::Waiting;
use super::deadlines::Deadlines;
use super::histories::Histories;
use super::meters::Meters;
use super::options::BATCH_RECORDS_MAX;
use super::options::DEAF_MS_MIN;
use super::progress::Progress;
use super::reads;
use super::tally;
use super::tally::Tally;
use super::tuning::Tuned;
use super::watch::Rings;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::ident::WallMs;
use crate::record::HistoryRow;
use crate::structure::ClockFloor;
use crate::structure::Event;
use crate::structure::Policy;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::structure::Structure;
use crate::wal::Appender;
use crate::wal::StoreError;
use deciding::Decided;
use room::Storage;
use std::collections::VecDeque;
use std::sync::Arc;
use stopping::Stopping;

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
    rings: Rings,
    progress: Arc<Progress>,
    report: RecoveryReport,
    counters: Counters,
    /// What is counted while a frame is made, and where it is shown.
    tally: Tally,
    meters: Arc<Meters>,
    floor: ClockFloor,
    quarantine_ms: u32,
    tuned: Arc<Tuned>,
    /// As of the beginning of this turn.
    policy: Policy,
    quarantine_timer: bool,
    store: StoreUuid,
    receipts: Receipts,
    admission: Admission,
    alarms: Arc<Alarms>,
    /// What the checkpoint remembers of histories that MANIFEST forgot.
    remembered: Vec<HistoryRow>,
    histories: Histories,
    stopping: Stopping,
    storage: Storage,
    file_system: String,
    /// The caller is trusted with what is internal elsewhere: tests that repeat exactly.
    trusts_caller: bool,
    /// Frame times never run backwards within one open.
    last_boot: BootMs,
    last_wall: WallMs,
    /// The frame being made: its records, how many, and its events for watchers.
    payload: Vec<u8>,
    count: u32,
    made: Vec<(Lsn, Event)>,
    acts: Vec<(Lsn, Event)>,
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
    pub(crate) rings: Rings,
    pub(crate) progress: Arc<Progress>,
    pub(crate) alarms: Arc<Alarms>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) report: RecoveryReport,
    pub(crate) remembered: Vec<HistoryRow>,
    pub(crate) floor: ClockFloor,
    pub(crate) quarantine_ms: u32,
    pub(crate) tuned: Arc<Tuned>,
    pub(crate) quarantine_timer: bool,
    pub(crate) file_system: String,
    pub(crate) serves_after_power_loss: bool,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        let manifest = parts.appender.keeper().manifest();
        let now = parts.clock.boot_ms();
        let mut engine = Self {
            structure: parts.structure,
            appender: parts.appender,
            deadlines: Deadlines::default(),
            clock: parts.clock,
            random: parts.random,
            rings: parts.rings,
            progress: parts.progress,
            report: parts.report,
            counters: Counters::default(),
            tally: Tally::default(),
            meters: parts.meters,
            floor: parts.floor,
            quarantine_ms: parts.quarantine_ms,
            policy: parts.tuned.now().policy,
            tuned: parts.tuned,
            quarantine_timer: parts.quarantine_timer,
            store: manifest.uuid,
            receipts: Receipts::new(manifest.receipt_key),
            admission: Admission::default(),
            alarms: parts.alarms,
            histories: Histories::new(&parts.remembered, &manifest),
            remembered: parts.remembered,
            stopping: Stopping { serves: parts.serves_after_power_loss, ..Stopping::default() },
            storage: Storage::new(manifest.segment_size),
            file_system: parts.file_system,
            trusts_caller: false,
            last_boot: BootMs(0),
            last_wall: WallMs(0),
            payload: Vec::new(),
            count: 0,
            made: Vec::new(),
            acts: Vec::new(),
            waiting: Vec::new(),
            events: Vec::new(),
            awakened: Vec::new(),
            poisoned: None,
        };
        engine.start_all_leases(now);
        engine.look_at_awakened(now);
        engine
    }

    /// Puts what the open found into the log before anybody is served.
    ///
    /// # Errors
    /// The write or sync that failed.
    pub(crate) fn start(&mut self) -> Result<(), StoreError> {
        let (now, wall) = self.times();
        self.note_stop(now)?;
        self.commit(now, wall)
    }

    /// Handles a batch of commands in order, as many frames as it takes, and answers all of them.
    /// What is due is handled after what waited.
    ///
    /// # Errors
    /// The first write or sync that failed; everybody of the batch has heard `StorageFailed`, and
    /// every later turn fails the same way.
    pub fn turn(&mut self, batch: &mut VecDeque<Command>) -> Result<(), StoreError> {
        let done = self.turn_through(batch);
        if let Err(error) = &done {
            self.poison(error);
            batch.drain(..).for_each(|command| self.reject(command));
        }
        done
    }

    fn turn_through(&mut self, batch: &mut VecDeque<Command>) -> Result<(), StoreError> {
        let (mut now, mut wall) = self.times();
        self.policy = self.tuned.now().policy;
        self.look_at_storage(now)?;
        self.note_stop(now)?;
        while let Some(command) = batch.pop_front() {
            if self.count as usize >= BATCH_RECORDS_MAX {
                self.commit(now, wall)?;
                (now, wall) = self.times();
            }
            let mut does_not_fit = self.handle(command, now, wall)?;
            while let Some(command) = does_not_fit {
                // The frame is full, or the request wants one of its own: it opens the next one.
                self.commit(now, wall)?;
                (now, wall) = self.times();
                does_not_fit = self.handle(command, now, wall)?;
            }
        }
        self.expire(now)?;
        self.look_at_stop(now)?;
        self.commit(now, wall)
    }

    /// Takes internal requests through the door too: for tests whose runs repeat.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn trust_caller(&mut self) {
        self.trusts_caller = true;
    }

    /// When the engine wants its next turn even if nobody calls.
    #[must_use]
    pub fn next_due(&self) -> Option<BootMs> {
        let stop = if self.waits_for_stacks() { self.stopping.look } else { None };
        [self.deadlines.next(), stop].into_iter().flatten().min()
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

    /// The command that waited longest in the batch that comes next was in the queue for so long, µs.
    pub(crate) fn note_wait(&mut self, us: u64) {
        self.tally.waited(us);
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

    /// From where quarantine counts for lsns of earlier boots.
    pub(crate) fn floor(&self) -> ClockFloor {
        self.floor
    }

    fn times(&mut self) -> (BootMs, WallMs) {
        self.last_boot = self.last_boot.max(self.clock.boot_ms());
        self.last_wall = self.last_wall.max(self.clock.wall_ms());
        (self.last_boot, self.last_wall)
    }

    /// Decides and applies one command; its answer waits for the sync. A command whose events do not
    /// fit into this frame any more comes back.
    fn handle(&mut self, command: Command, now: BootMs, wall: WallMs) -> Result<Option<Command>, StoreError> {
        let kind = tally::request_kind(&command);
        let waiting = match command {
            Command::Request(request, completer) => match self.request(&request, now, wall) {
                Ok(Decided::Answer(answer)) => Waiting::Reply(completer, answer),
                Ok(Decided::DoesNotFit) => return Ok(Some(Command::Request(request, completer))),
                Err(error) => return Err(unknown(completer, error)),
            },
            Command::Challenge(name, completer) => Waiting::Challenge(completer, self.challenge(&name, now)),
            Command::Report(name, challenge, grants, completer) => {
                let taken = self.admission.report(&name, challenge, grants, now);
                Waiting::Report(completer, taken.map_err(CallError::from))
            }
            Command::Attach(attach, presence, completer) => match self.attach(&attach, &presence, now) {
                Ok(Decided::Answer(answer)) => Waiting::Reply(completer, answer),
                Ok(Decided::DoesNotFit) => return Ok(Some(Command::Attach(attach, presence, completer))),
                Err(error) => return Err(unknown(completer, error)),
            },
            Command::Connect(introduction, presence, completer) => match self.connect(&introduction, &presence, now) {
                Ok(Decided::Answer(answer)) => Waiting::Reply(completer, answer),
                Ok(Decided::DoesNotFit) => return Ok(Some(Command::Connect(introduction, presence, completer))),
                Err(error) => return Err(unknown(completer, error)),
            },
            Command::Resume(resume, presence, completer) => match self.resume(&resume, &presence, now) {
                Ok(Decided::Answer(answer)) => Waiting::Reply(completer, answer),
                Ok(Decided::DoesNotFit) => return Ok(Some(Command::Resume(resume, presence, completer))),
                Err(error) => return Err(unknown(completer, error)),
            },
            Command::Renew(actor, number, completer) => Waiting::Renewal(completer, self.renew(actor, number, now)),
            Command::Query(query, completer) => {
                let context = self.context_to_read(now);
                let view = reads::View {
                    structure: &self.structure,
                    report: &self.report,
                    counters: self.counters,
                    history: self.appender.history(),
                    epoch: self.appender.epoch(),
                    open_first: self.appender.open_first(),
                    deadlines: &self.deadlines,
                    store: self.store,
                    context,
                    storage: self.storage.reason(),
                    file_system: &self.file_system,
                    alarms: &self.alarms,
                };
                Waiting::Page(completer, view.page(&query))
            }
            Command::Figures(from, completer) => Waiting::Figures(completer, self.figures(from, now)),
            Command::Watch(feed, completer) => {
                let last = self.structure.lsn();
                self.rings.of(feed).enter(last);
                Waiting::Watch(completer, last)
            }
        };
        self.tally.request(kind);
        if let Some(refusal) = waiting.refusal() {
            self.tally.refusal(refusal);
        }
        self.waiting.push(waiting);
        Ok(None)
    }

    /// A request through the door: what is internal is not for everybody.
    fn request(&mut self, request: &Request, now: BootMs, wall: WallMs) -> Result<Decided, StoreError> {
        match request {
            Request::Attach(_) | Request::Stop { .. } | Request::Adopt { .. } if !self.trusts_caller => {
                Ok(Decided::refused(Refusal::ChallengeNeeded))
            }
            Request::ResumeGrants { .. } => self.resume_grants(request, now, wall),
            request => self.decide(request, now),
        }
    }

    /// Writes and syncs the frame, then answers everybody who waited for it.
    fn commit(&mut self, now: BootMs, wall: WallMs) -> Result<(), StoreError> {
        if self.count > 0 {
            self.append(wall, now)?;
            self.progress.note(&self.appender);
            self.counters.frames += 1;
            self.counters.records += u64::from(self.count);
            self.rings.all.publish(&mut self.made);
            self.rings.acts.publish(&mut self.acts);
            self.payload.clear();
            self.count = 0;
            self.storage.frame_done();
            self.note_durable()?;
            // A long sync is no time in which the facility listened: no lease pays for it.
            let took = self.clock.boot_ms().0.saturating_sub(now.0);
            if took > DEAF_MS_MIN {
                self.deadlines.excuse(took);
            }
        }
        self.show();
        self.waiting.drain(..).for_each(|waiting| waiting.answer(None));
        self.look_at_awakened(now);
        Ok(())
    }

    fn poison(&mut self, error: &StoreError) {
        self.appender.give_up();
        let reason = self.poisoned.get_or_insert_with(|| error.to_string()).clone();
        let unknown = CallError::StorageFailed { reason };
        self.waiting.drain(..).for_each(|waiting| waiting.answer(Some(&unknown)));
    }
}

/// The storage failed while a request was decided: its outcome is unknown to the caller too.
fn unknown(completer: Completer<Reply>, error: StoreError) -> StoreError {
    completer.complete(Err(CallError::StorageFailed { reason: error.to_string() }));
    error
}
