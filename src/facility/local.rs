//! The embedded facility: a door, a bounded queue, one writer thread, and beside it one thread that
//! fills the spare segment and one that makes checkpoints.
//!
//! Async code stops at this door: everything below is synchronous, and nothing below runs on the
//! caller's thread.
#![forbid(unsafe_code)]

use super::AttachRequest;
use super::Attached;
use super::Belief;
use super::CallError;
use super::Challenge;
use super::Completer;
use super::Connection;
use super::Facility;
use super::Page;
use super::Presence;
use super::Query;
use super::RecoveryReport;
use super::Renewal;
use super::Reply;
use super::Ticket;
use super::background;
use super::background::Upkeep;
use super::backup::BackupError;
use super::backup::BackupReport;
use super::checkpointer;
use super::checkpointer::Checkpointer;
use super::clock::Clock;
use super::clock::SystemClock;
use super::command::Command;
use super::engine::Counters;
use super::engine::Engine;
use super::error::OpenError;
use super::measured::Measured;
use super::options::DEAF_MS_MIN;
use super::options::Options;
use super::queue::Queue;
use super::queue::Rejected;
use super::queue::Taken;
use super::readings::LogFiles;
use super::recovery;
use super::tuning::Tuning;
use super::watch::Feed;
use super::watch::Rings;
use super::watch::Watch;
use super::watch::WatchError;
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::SledStore;
use crate::disk::Disk;
use crate::disk::RealDisk;
use crate::ident::ConnectorName;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::structure::Actor;
use crate::structure::ClockFloor;
use crate::structure::Introduction;
use crate::structure::Refusal;
use crate::structure::ReportedGrant;
use crate::structure::Request;
use crate::threads::thread;
use crate::threads::thread::JoinHandle;
use crate::wal::Manifest;
use crate::wal::StoreError;
use crate::wal::pack::PackReport;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The writer looks at the time at least this often, so that a suspended machine's timers are
/// noticed.
const PATIENCE_MAX: Duration = Duration::from_secs(1);
/// The watermark is synced once the queue was empty for so long.
const WATERMARK_IDLE: Duration = Duration::from_millis(50);

/// What a facility runs on: replaced by tests.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// Where checkpoints are kept.
    pub checkpoints: Arc<dyn CheckpointStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn real() -> Self {
        Self {
            disk: Arc::new(RealDisk),
            checkpoints: Arc::new(SledStore::default()),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

/// A structure on a directory of this machine.
///
/// Dropping it without [`close`](Self::close) is a crash as far as the store is concerned: nothing
/// acknowledged is lost, and the next open recovers.
#[derive(Debug)]
pub struct LocalFacility {
    pub(super) queue: Arc<Queue<Command>>,
    pub(super) rings: Rings,
    pub(super) measured: Measured,
    report: RecoveryReport,
    pub(super) floor: ClockFloor,
    pub(super) checkpointer: Arc<Checkpointer>,
    writer: Option<JoinHandle<(Engine, Result<(), StoreError>)>>,
    upkeep: Option<Upkeep>,
}

/// What a close did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Counters since the open.
    pub counters: Counters,
    /// The lsn of the checkpoint made, if one was.
    pub checkpoint: Option<Lsn>,
}

impl LocalFacility {
    /// Opens the store in `dir`; see [`Options`] for making one.
    ///
    /// # Errors
    /// [`OpenError`]; the directory is then as it was, LOCK apart.
    pub fn open(dir: impl AsRef<Path>, options: &Options) -> Result<Self, OpenError> {
        Self::open_on(&Machine::real(), dir.as_ref(), options)
    }

    /// Opens a store on a machine that is handed in.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(machine: &Machine, dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let rings = Rings::default();
        let opened = recovery::open(machine, dir, options, rings.clone())?;
        let (engine, checkpointer) = (opened.engine, Arc::new(opened.checkpointer));
        let queue = Arc::new(Queue::new(checkpointer.tuned.now().queue_length));
        let (report, floor) = (engine.report().clone(), engine.floor());
        let measured = Measured::of(&engine, Arc::clone(&machine.clock));
        let upkeep = background::start(&engine, &checkpointer)?;
        let writer = {
            let (queue, rings, clock) = (Arc::clone(&queue), rings.clone(), Arc::clone(&machine.clock));
            let work = move || write_on(engine, &queue, &rings, &*clock);
            let thread = thread::Builder::new().name("portplex-writer".into());
            thread.spawn(work).map_err(|source| OpenError::NoThread { source })?
        };
        let (writer, upkeep) = (Some(writer), Some(upkeep));
        Ok(Self { queue, rings, measured, report, floor, checkpointer, writer, upkeep })
    }

    /// Takes over other options while it is open: each counts from the next time it is looked at.
    pub fn tune(&self, tuning: Tuning) {
        self.checkpointer.tuned.set(tuning);
        self.queue.limit(self.checkpointer.tuned.now().queue_length);
    }

    /// The history being written: the one that this open started, or one that began when granting was
    /// resumed.
    #[must_use]
    pub fn history(&self) -> HistoryId {
        self.checkpointer.progress().history()
    }

    /// What the open found and took.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.report
    }

    /// Creates a connector and gives its numbered handle.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    pub fn connect(self: &Arc<Self>, introduction: Introduction) -> Result<Connection, CallError> {
        Connection::connect(Arc::clone(self) as Arc<dyn Facility>, introduction)
    }

    /// Takes the next incarnation of a connector that exists, with all that the structure has for it:
    /// for a stack that believes nothing, as one whose process just started. Any other names what it
    /// knows, with [`Connection::attach`].
    ///
    /// # Errors
    /// As [`Connection::attach`].
    pub fn attach(self: &Arc<Self>, introduction: Introduction) -> Result<(Connection, Attached), CallError> {
        Connection::attach(Arc::clone(self) as Arc<dyn Facility>, introduction, &Belief::default())
    }

    /// Whether the writer stopped because a write or sync failed. The process should exit then; the
    /// next open recovers.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.writer.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Makes a checkpoint of everything durable, and returns its lsn.
    ///
    /// # Errors
    /// [`checkpointer::Error`]; the service goes on without it.
    pub fn checkpoint_now(&self) -> Result<Lsn, checkpointer::Error> {
        self.checkpointer.run()
    }

    /// Packs what is due of the history, as it is done beside the service anyway: `None` if nothing is.
    ///
    /// # Errors
    /// [`StoreError`]; the service goes on, and nothing is lost.
    pub fn pack_now(&self) -> Result<Option<PackReport>, StoreError> {
        self.checkpointer.pack_next(&mut |_| true)
    }

    /// Copies the store as it is durable now into `to`, which is made if it is missing and must be
    /// empty, while everybody goes on; then opens the copy and compares its content. The copy is put
    /// back with [`restore`](super::restore).
    ///
    /// # Errors
    /// [`BackupError`]; `to` is then no store, or not one to be relied on.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<BackupReport, BackupError> {
        self.checkpointer.backup(to.as_ref())
    }

    /// Starts watching: a snapshot, then every later event in order.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn watch(&self) -> Result<Watch, WatchError> {
        self.enter_watch(None)
    }

    /// Resumes watching after an lsn that was delivered before.
    ///
    /// # Errors
    /// [`WatchError`]; `Unreadable` where the log does not reach back that far.
    pub fn watch_from(&self, after: Lsn) -> Result<Watch, WatchError> {
        self.enter_watch(Some(after))
    }

    /// Watches from now on, without a snapshot, what people ask about: every event but grants, releases,
    /// ends of quarantine and allowable sets. Costs a busy store nothing to speak of.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn watch_acts(&self) -> Result<Watch, WatchError> {
        self.enter_feed(Feed::Acts, Lsn::ZERO)
    }

    /// Reads the log beside the writer: `read` gets the store's directory, what MANIFEST lists and the last
    /// durable lsn. One reader at a time; nobody else waits for it, and the files of what is listed stay until it
    /// is done.
    pub fn beside_writer<T>(&self, read: impl FnOnce(&Path, &Manifest, Lsn) -> T) -> T {
        self.checkpointer.beside_writer(read)
    }

    /// What the log consists of, as MANIFEST lists it. Waits for no writer and no disk; `None` while a
    /// change of MANIFEST is being written.
    #[must_use]
    pub fn log_files(&self) -> Option<LogFiles> {
        self.checkpointer.log_files()
    }

    /// The lsn of the newest checkpoint; 0 = none.
    #[must_use]
    pub fn checkpoint_lsn(&self) -> Lsn {
        self.checkpointer.newest()
    }

    fn enter_feed(&self, feed: Feed, last: Lsn) -> Result<Watch, WatchError> {
        let (ticket, completer) = Ticket::pair();
        self.hand_in(Command::Watch(feed, completer));
        let entered = ticket.wait().map_err(|_| WatchError::Closed { last })?;
        // From here on the ring keeps everything after `entered`: leaving is the watch's drop.
        Ok(Watch::new(Arc::clone(self.rings.of(feed)), entered))
    }

    fn enter_watch(&self, after: Option<Lsn>) -> Result<Watch, WatchError> {
        let mut watch = self.enter_feed(Feed::All, after.unwrap_or(Lsn::ZERO))?;
        match after {
            None => watch.start_with(self.checkpointer.rebuild()),
            Some(after) => watch.resume_with(after, self.checkpointer.events_after(after)),
        }?;
        Ok(watch)
    }

    /// Turns callers away, answers all that wait, makes a checkpoint of what changed, and leaves
    /// the clean mark.
    ///
    /// # Errors
    /// The write or sync that failed, now or before.
    pub fn close(mut self) -> Result<Closed, StoreError> {
        self.queue.close();
        if let Some(upkeep) = self.upkeep.take() {
            upkeep.stop();
        }
        let Some(writer) = self.writer.take() else { return Ok(Closed::default()) };
        let (engine, done) = joined(writer);
        self.rings.close();
        done?;
        let checkpoint = self.checkpointer.run_at_close();
        let counters = engine.counters();
        engine.close()?;
        Ok(Closed { counters, checkpoint })
    }

    fn hand_in(&self, command: Command) {
        match self.queue.push(command, || self.measured.now_us()) {
            Ok(()) => {}
            Err(Rejected::Full(command)) => {
                self.measured.rejected();
                command.refuse(&CallError::Refused(Refusal::Overloaded));
            }
            Err(Rejected::Closed(command)) => command.refuse(&CallError::Gone),
        }
    }
}

impl Facility for LocalFacility {
    fn submit(&self, request: Request) -> Ticket<Reply> {
        self.ticket(|completer| Command::Request(request, completer))
    }

    fn challenge(&self, name: &ConnectorName) -> Ticket<Challenge> {
        self.ticket(|completer| Command::Challenge(name.clone(), completer))
    }

    fn report(&self, name: &ConnectorName, challenge: Challenge, grants: Vec<ReportedGrant>) -> Ticket<()> {
        self.ticket(|completer| Command::Report(name.clone(), challenge, grants, completer))
    }

    fn attach(&self, attach: AttachRequest, presence: Presence) -> Ticket<Reply> {
        self.ticket(|completer| Command::Attach(Box::new(attach), presence, completer))
    }

    fn connect(&self, introduction: Introduction, presence: Presence) -> Ticket<Reply> {
        self.ticket(|completer| Command::Connect(introduction, presence, completer))
    }

    fn resume(&self, resume: Request, presence: Presence) -> Ticket<Reply> {
        self.ticket(|completer| Command::Resume(resume, presence, completer))
    }

    fn renew(&self, actor: Actor, number: u64) -> Ticket<Renewal> {
        self.ticket(|completer| Command::Renew(actor, number, completer))
    }

    fn query(&self, query: Query) -> Ticket<Page> {
        self.ticket(|completer| Command::Query(query, completer))
    }
}

impl LocalFacility {
    pub(super) fn ticket<T>(&self, command: impl FnOnce(Completer<T>) -> Command) -> Ticket<T> {
        let (ticket, completer) = Ticket::pair();
        self.hand_in(command(completer));
        ticket
    }
}

impl Drop for LocalFacility {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        self.queue.abandon();
        if let Some(upkeep) = self.upkeep.take() {
            upkeep.stop();
        }
        drop(joined(writer));
        self.rings.close();
    }
}

fn joined(writer: JoinHandle<(Engine, Result<(), StoreError>)>) -> (Engine, Result<(), StoreError>) {
    match writer.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The writer thread: takes what waits, handles it, until the queue is closed or the storage fails.
fn write_on(
    mut engine: Engine,
    queue: &Queue<Command>,
    rings: &Rings,
    clock: &dyn Clock,
) -> (Engine, Result<(), StoreError>) {
    let mut batch = VecDeque::new();
    loop {
        let now = clock.boot_ms();
        let mut patience = PATIENCE_MAX;
        if let Some(due) = engine.next_due() {
            patience = patience.min(Duration::from_millis(due.0.saturating_sub(now.0)));
        }
        if engine.appender().watermark().is_behind() {
            patience = patience.min(WATERMARK_IDLE);
        }
        let taken = queue.take_all(&mut batch, patience);
        let waited = clock.boot_ms().0.saturating_sub(now.0);
        let overslept = waited.saturating_sub(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
        if overslept > DEAF_MS_MIN {
            engine.excuse(overslept);
        }
        if taken == Taken::Closed {
            return (engine, Ok(()));
        }
        if let Taken::Some { since_us } = taken {
            engine.note_wait(clock.measured_us().saturating_sub(since_us));
        }
        let mut done = engine.turn(&mut batch);
        if done.is_ok() && taken == Taken::Idle && engine.appender().watermark().is_behind() {
            done = engine.appender().watermark().sync();
        }
        if let Err(error) = done {
            queue.close();
            while let Taken::Some { .. } = queue.take_all(&mut batch, Duration::ZERO) {
                batch.drain(..).for_each(|command| engine.reject(command));
            }
            rings.close();
            return (engine, Err(error));
        }
    }
}
