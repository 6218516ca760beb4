//! The embedded facility without its threads: each step is the caller's, so that a run on the
//! simulated disk and a set clock repeats exactly. For tests and fuzzing (feature `sim`).
#![forbid(unsafe_code)]

use super::CallError;
use super::Reply;
use super::Ticket;
use super::background;
use super::backup::BackupError;
use super::backup::BackupReport;
use super::checkpointer::Checkpointer;
use super::checkpointer::Error as CheckpointError;
use super::clock::Clock;
use super::command::Command;
use super::engine::Engine;
use super::error::OpenError;
use super::local::Machine;
use super::options::Options;
use super::recovery;
use super::watch::Rings;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::structure::Request;
use crate::structure::Structure;
use crate::wal::StoreError;
use crate::wal::pack::PackReport;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A facility that moves only when it is told to.
pub struct Stepper {
    engine: Engine,
    checkpointer: Checkpointer,
}

impl Stepper {
    /// Opens a store for writing.
    ///
    /// # Errors
    /// [`OpenError`]; the directory is then as it was, LOCK apart.
    pub fn open(machine: &Machine, dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let opened = recovery::open(machine, dir, options, Rings::default())?;
        let mut engine = opened.engine;
        engine.trust_caller();
        Ok(Self { engine, checkpointer: opened.checkpointer })
    }

    /// Hands in commands of any kind as one batch.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn work(&mut self, commands: impl IntoIterator<Item = Command>) -> Result<(), StoreError> {
        self.engine.turn(&mut commands.into_iter().collect())
    }

    /// Hands in requests as one batch, and gives their answers in order. An attach among them needs
    /// no challenge, and names no position.
    ///
    /// # Errors
    /// The write or sync that failed; every answer is then unknown.
    pub fn turn(&mut self, requests: Vec<Request>) -> Result<Vec<Result<Reply, CallError>>, StoreError> {
        let mut tickets = Vec::with_capacity(requests.len());
        let mut batch = requests
            .into_iter()
            .map(|request| {
                let (ticket, completer) = Ticket::pair();
                tickets.push(ticket);
                Command::Request(request, completer)
            })
            .collect();
        let done = self.engine.turn(&mut batch);
        done?;
        Ok(tickets.into_iter().map(Ticket::wait).collect())
    }

    /// The state; never to be looked at after a failed turn.
    #[must_use]
    pub fn structure(&self) -> &Structure {
        self.engine.structure()
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Makes a checkpoint of everything durable.
    ///
    /// # Errors
    /// As [`super::LocalFacility::checkpoint_now`].
    pub fn checkpoint(&self) -> Result<Lsn, CheckpointError> {
        self.checkpointer.run()
    }

    /// Packs what is due of the history.
    ///
    /// # Errors
    /// As [`super::LocalFacility::pack_now`].
    pub fn pack(&self) -> Result<Option<PackReport>, StoreError> {
        self.checkpointer.pack_next(&mut |_| true)
    }

    /// Copies the store as it is durable into `to`.
    ///
    /// # Errors
    /// As [`super::LocalFacility::backup`].
    pub fn backup(&self, to: &Path) -> Result<BackupReport, BackupError> {
        self.checkpointer.backup(to)
    }

    /// Fills the next slice of reserve or spare; whether there is more to do. On a full disk history
    /// yields, if it may.
    ///
    /// # Errors
    /// I/O; the log is not touched.
    pub fn fill_spare(&self) -> Result<bool, StoreError> {
        background::tend_once(&self.checkpointer, &self.engine.appender().spare())
    }

    /// When it wants a turn even if nobody asks.
    #[must_use]
    pub fn next_due(&self) -> Option<BootMs> {
        self.engine.next_due()
    }

    /// Makes the watermark durable.
    ///
    /// # Errors
    /// I/O; final.
    pub fn sync_watermark(&self) -> Result<(), StoreError> {
        self.engine.appender().watermark().sync()
    }

    /// Checkpoints what changed and leaves the clean mark.
    ///
    /// # Errors
    /// I/O.
    pub fn close(self) -> Result<(), StoreError> {
        self.checkpointer.run_at_close();
        self.engine.close()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct SetClock {
    boot: BootId,
    ms: AtomicU64,
}

impl SetClock {
    /// A clock of one kernel boot, at `ms` after it.
    #[must_use]
    pub fn new(boot: BootId, ms: u64) -> Self {
        Self { boot, ms: AtomicU64::new(ms) }
    }

    /// Lets time pass.
    pub fn advance(&self, ms: u64) {
        self.ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn boot_ms(&self) -> BootMs {
        BootMs(self.ms.load(Ordering::Relaxed))
    }

    fn wall_ms(&self) -> WallMs {
        WallMs(1_700_000_000_000 + self.ms.load(Ordering::Relaxed))
    }

    fn boot_id(&self) -> BootId {
        self.boot
    }
}
