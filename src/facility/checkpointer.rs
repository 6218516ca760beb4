//! Makes checkpoints from the log, beside the writer and never from its memory.
//!
//! A checkpoint is the generation before it plus the durable log since: what the writer has in
//! memory is not looked at, so a bug there cannot get into a checkpoint unseen, and no caller ever
//! waits for one. Everything up to the durable lsn may be read while the writer appends: no durable
//! byte is ever written again.
#![forbid(unsafe_code)]

use super::alarms::Alarms;
use super::backup;
use super::backup::BackupError;
use super::backup::BackupReport;
use super::clock::Clock;
use super::error::OpenError;
use super::local::Machine;
use super::meters::Meters;
use super::options::Options;
use super::pins::Pins;
use super::progress::Progress;
use super::readings::CheckpointReadings;
use super::readings::LogFiles;
use super::recovery;
use super::recovery::Base;
use super::tuning::Tuned;
use crate::checkpoint;
use crate::checkpoint::CheckpointError;
use crate::disk::Disk;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::record::HistoryRow;
use crate::structure::Event;
use crate::structure::Structure;
use crate::threads::Mutex;
use crate::threads::MutexGuard;
use crate::wal;
use crate::wal::Appender;
use crate::wal::Manifest;
use crate::wal::ManifestKeeper;
use crate::wal::SegmentEntry;
use crate::wal::StoreError;
use std::collections::VecDeque;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Segments may not pile up, however short each life was: a crash loop must not make recovery slow.
const SEGMENTS_MAX: usize = 64;

/// Why no checkpoint was made. The service goes on; the log still has everything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log or the checkpoint before could not be read.
    #[error("cannot read what the checkpoint is made of: {0}")]
    Read(#[from] OpenError),
    /// It could not be written or did not prove whole.
    #[error("the checkpoint could not be made: {0}")]
    Write(#[from] CheckpointError),
    /// MANIFEST could not be changed.
    #[error("the checkpoint could not be noted: {0}")]
    Note(#[from] StoreError),
}

/// What makes checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    pub(super) machine: Machine,
    pub(super) dir: PathBuf,
    pub(super) keeper: Arc<ManifestKeeper>,
    pub(super) options: Options,
    pub(super) tuned: Arc<Tuned>,
    /// One at a time; also held where log and checkpoints are read for a short time, so that nothing is
    /// retired then.
    pub(super) work: Mutex<()>,
    /// Files that stay for those who read for long.
    pub(super) pins: Pins,
    /// One of those at a time: together they would have no bound in memory.
    reading: Mutex<()>,
    /// Only one makes a pack at a time: two would write the same file.
    pub(super) packing: Mutex<()>,
    /// How far the log may be read.
    progress: Arc<Progress>,
    pub(super) alarms: Arc<Alarms>,
    meters: Arc<Meters>,
    /// Bytes of log above the newest checkpoint when this life began.
    unchecked: u64,
    /// `logged` and the boot clock when the last checkpoint was made.
    last: Mutex<Last>,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
enum Made {
    New(Lsn),
    NothingNew(Lsn),
}

#[derive(Clone, Copy, Debug)]
struct Last {
    lsn: Lsn,
    logged: u64,
    at: BootMs,
}

impl Checkpointer {
    /// `unchecked` = bytes of log above the newest checkpoint, from lives before this one.
    pub(crate) fn new(
        machine: &Machine,
        dir: PathBuf,
        options: &Options,
        appender: &Appender,
        unchecked: u64,
        alarms: &Arc<Alarms>,
        meters: &Arc<Meters>,
    ) -> Self {
        let keeper = appender.keeper();
        let newest = keeper.manifest().checkpoints.last().map(|entry| (entry.lsn, entry.wall));
        let (now, wall) = (machine.clock.boot_ms(), machine.clock.wall_ms());
        let age = newest.map_or(0, |(_, made)| wall.0.saturating_sub(made.0));
        let last =
            Last { lsn: newest.map_or(Lsn::ZERO, |(lsn, _)| lsn), logged: 0, at: BootMs(now.0.saturating_sub(age)) };
        Self {
            machine: machine.clone(),
            dir,
            keeper,
            options: options.clone(),
            tuned: Arc::new(Tuned::new(options)),
            work: Mutex::new(()),
            pins: Pins::default(),
            reading: Mutex::new(()),
            packing: Mutex::new(()),
            progress: Arc::new(Progress::new(appender)),
            alarms: Arc::clone(alarms),
            meters: Arc::clone(meters),
            unchecked,
            last: Mutex::new(last),
        }
    }

    /// What the writer tells its progress to.
    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Bytes of log above the newest checkpoint of this open's start, written since included.
    pub(crate) fn logged(&self) -> u64 {
        self.unchecked + self.progress.appended_bytes()
    }

    /// How many bytes of log make one due.
    pub(crate) fn log_bytes_due(&self) -> u64 {
        self.tuned.now().checkpoint_log_bytes
    }

    /// Whether one is due.
    pub(crate) fn is_due(&self) -> bool {
        let last = *self.last.lock();
        if self.durable() <= last.lsn {
            return false;
        }
        let log_bytes = self.logged().saturating_sub(last.logged);
        let age_ms = self.machine.clock.boot_ms().0.saturating_sub(last.at.0);
        let tuning = self.tuned.now();
        log_bytes >= tuning.checkpoint_log_bytes
            || u128::from(age_ms) >= tuning.checkpoint_interval.as_millis()
            || self.keeper.look(|manifest| segments_above(manifest, last.lsn)) > SEGMENTS_MAX
    }

    /// Makes a checkpoint of everything durable, and retires what no longer needs to be kept.
    pub(crate) fn run(&self) -> Result<Lsn, Error> {
        let _working = self.work.lock();
        let began = self.machine.clock.measured_us();
        let done = self.make();
        match &done {
            Ok(Made::New(_)) => self.meters.checkpoint_made(self.machine.clock.measured_us().saturating_sub(began)),
            Ok(Made::NothingNew(_)) => {}
            Err(_) => self.meters.checkpoint_failed(),
        }
        done.map(|(Made::New(lsn) | Made::NothingNew(lsn))| lsn)
    }

    fn make(&self) -> Result<Made, Error> {
        let logged = self.logged();
        let up_to = self.durable();
        let manifest = self.keeper.manifest();
        if let Some(newest) = manifest.checkpoints.last()
            && newest.lsn >= up_to
        {
            return Ok(Made::NothingNew(newest.lsn));
        }
        let (structure, base) = self.read(&manifest, up_to)?;
        let lsn = structure.lsn();
        let generation = manifest.checkpoints.last().map_or(1, |entry| entry.generation + 1);
        let histories = histories_of(&base, &manifest);
        let disk = &*self.machine.disk;
        let ckpt_dir = self.dir.join(wal::constants::CHECKPOINT_DIR);
        let mut items = structure.items();
        let store = &*self.machine.checkpoints;
        let proof = checkpoint::write(disk, store, &ckpt_dir, generation, &mut items, &histories, lsn)?;
        drop(items);
        drop(structure);
        let wall = self.machine.clock.wall_ms();
        self.keeper.change(|manifest| {
            // Only what this one was built from stays beside it: that one was read back whole.
            manifest.checkpoints.retain(|entry| Some(entry.generation) == base.generation);
            manifest.checkpoints.push(recovery::entry(&proof, wall));
        })?;
        *self.last.lock() = Last { lsn, logged, at: self.machine.clock.boot_ms() };
        let mut kept: Vec<u64> = self.keeper.manifest().checkpoints.iter().map(|entry| entry.generation).collect();
        kept.extend(self.pins.generations());
        checkpoint::sweep(disk, &ckpt_dir, &kept)?;
        self.retire()?;
        Ok(Made::New(lsn))
    }

    /// The last one, at close: only if something changed. A failure costs replay time, never a
    /// grant, so it is not the close's.
    pub(crate) fn run_at_close(&self) -> Option<Lsn> {
        if !self.options.checkpoint_at_close || self.durable() <= self.last.lock().lsn {
            return None;
        }
        self.run().ok()
    }

    /// What was made, and what the newest one lacks. `newest` as MANIFEST lists it.
    pub(crate) fn readings(&self, newest: CheckpointReadings) -> CheckpointReadings {
        let last = *self.last.lock();
        let (made, failed, took_us) = self.meters.checkpoints();
        let is_behind = self.durable() > last.lsn;
        let behind_ms = self.machine.clock.boot_ms().0.saturating_sub(last.at.0);
        let behind_bytes = self.logged().saturating_sub(last.logged);
        CheckpointReadings {
            made,
            failed,
            took_us,
            behind_ms: if is_behind { behind_ms } else { 0 },
            behind_bytes: if is_behind { behind_bytes } else { 0 },
            ..newest
        }
    }

    /// The structure as of the durable lsn.
    pub(crate) fn rebuild(&self) -> Result<Structure, OpenError> {
        let _working = self.work.lock();
        self.read(&self.keeper.manifest(), self.durable()).map(|(structure, _)| structure)
    }

    /// Every durable event after an lsn, from the log.
    pub(crate) fn events_after(&self, after: Lsn) -> Result<VecDeque<(Lsn, Event)>, OpenError> {
        let _working = self.work.lock();
        let mut events = VecDeque::new();
        let manifest = self.keeper.manifest();
        wal::read_durable(&*self.machine.disk, &self.dir, &manifest, after, self.durable(), &mut |frame, payload| {
            recovery::each_event(frame, payload, &mut |lsn, event| {
                if lsn > after {
                    events.push_back((lsn, event));
                }
                Ok(())
            })
        })?;
        Ok(events)
    }

    /// Hands the durable log to a reader, one after the other. Checkpoints, packing and retirement go on
    /// meanwhile; the files that `read` is told of stay until it is done.
    pub(crate) fn beside_writer<T>(&self, read: impl FnOnce(&Path, &Manifest, Lsn) -> T) -> T {
        let _reading = self.reading.lock();
        // In this order: what the manifest seals is durable.
        let (_pin, manifest) = self.pins.pin(self.disk(), || {
            let manifest = self.keeper.manifest();
            let generations = manifest.checkpoints.iter().map(|entry| entry.generation).collect();
            (manifest, generations)
        });
        read(&self.dir, &manifest, self.durable())
    }

    /// Tells an operator something.
    pub(crate) fn raise(&self, text: String) {
        self.alarms.raise(text);
    }

    /// What the log consists of, unless MANIFEST is just being changed.
    pub(crate) fn log_files(&self) -> Option<LogFiles> {
        self.keeper.try_look(|manifest| LogFiles {
            segment: manifest.segments.last().map_or(0, |segment| segment.number),
            first: manifest.segments.last().map_or(Lsn::ZERO, |segment| segment.first),
            pack: manifest.packs.last().map(|pack| (pack.first_segment, pack.last_segment, pack.size)),
        })
    }

    /// The lsn of the newest checkpoint; 0 = none.
    pub(crate) fn newest(&self) -> Lsn {
        self.last.lock().lsn
    }

    /// Keeps checkpoints and retirement off, if that can be had within `patience`.
    pub(super) fn try_work(&self, patience: Duration) -> Option<MutexGuard<'_, ()>> {
        self.work.try_lock_for(patience)
    }

    /// What may be read beside the writer: the files, and up to where.
    pub(super) fn readable(&self) -> (Manifest, Lsn) {
        (self.keeper.manifest(), self.durable())
    }

    pub(super) fn look<T>(&self, see: impl FnOnce(&Manifest) -> T) -> T {
        self.keeper.look(see)
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.machine.disk
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.machine.clock
    }

    pub(super) fn quarantine_ms(&self) -> u32 {
        u32::try_from(self.options.quarantine.as_millis()).unwrap_or(u32::MAX)
    }

    fn durable(&self) -> Lsn {
        self.progress.durable()
    }

    fn read(&self, manifest: &Manifest, up_to: Lsn) -> Result<(Structure, Base), OpenError> {
        let (mut structure, base) = recovery::load_base(&self.machine, &self.dir, manifest)?;
        let (disk, from) = (&*self.machine.disk, structure.lsn());
        wal::read_durable(disk, &self.dir, manifest, from, up_to, &mut |frame, payload| {
            recovery::replay_frame(&mut structure, frame, payload)
        })?;
        Ok((structure, base))
    }

    /// On a full disk: history that no recovery needs goes before its time.
    pub(crate) fn yield_history(&self) -> Result<(), StoreError> {
        if !self.tuned.now().history_yields {
            return Ok(());
        }
        let _working = self.work.lock();
        let nothing = wal::Retention { age_max_ms: 0, size_max: 0 };
        let now = self.machine.clock.wall_ms();
        let retired = self.retire_down_to(&nothing, now)?;
        if !retired.is_nothing() {
            let wal::Retired { packs, segments, bytes } = retired;
            let what = format!("{packs} packs and {segments} segments of history went, {bytes} bytes");
            self.alarms.raise(format!("the storage is full: {what}"));
        }
        Ok(())
    }

    /// Copies the store as it is durable into `to`, beside the writer, and proves the copy: see
    /// [`LocalFacility::backup`](super::LocalFacility::backup).
    pub(crate) fn backup(&self, to: &Path) -> Result<BackupReport, BackupError> {
        let _working = self.work.lock();
        let start = self.machine.clock.boot_ms();
        // In this order: what the manifest seals is durable.
        let manifest = self.keeper.manifest();
        let durable = self.durable();
        let lsn = wal::copy_store(&*self.machine.disk, &self.dir, to, &manifest, durable)?;
        let (structure, _) = self.read(&manifest, lsn)?;
        let content = backup::prove(&self.machine, to, &structure)?;
        let took_ms = self.machine.clock.boot_ms().0.saturating_sub(start.0);
        Ok(BackupReport { lsn: structure.lsn(), content, took_ms })
    }

    fn retire(&self) -> Result<(), StoreError> {
        let tuning = self.tuned.now();
        let limits = wal::Retention {
            age_max_ms: u64::try_from(tuning.history_age.as_millis()).unwrap_or(u64::MAX),
            size_max: tuning.history_bytes,
        };
        self.retire_down_to(&limits, self.machine.clock.wall_ms()).map(drop)
    }

    fn retire_down_to(&self, limits: &wal::Retention, now: WallMs) -> Result<wal::Retired, StoreError> {
        wal::retire_by(&self.dir, &self.keeper, limits, now, &mut |path| self.pins.remove(self.disk(), path))
    }
}

fn segments_above(manifest: &Manifest, lsn: Lsn) -> usize {
    let is_above = |segment: &&SegmentEntry| segment.sealed.is_none_or(|seal| seal.end.lsn > lsn);
    manifest.segments.iter().filter(is_above).count()
}

/// The histories that a checkpoint remembers: those of the one before it, and every one that
/// MANIFEST may forget once this one is listed.
fn histories_of(base: &Base, manifest: &Manifest) -> Vec<HistoryRow> {
    let mut rows = base.histories.clone();
    for history in &manifest.histories {
        if rows.last().is_none_or(|row| row.epoch < history.epoch) {
            // One that kept no record was replaced by the next, which starts at the same lsn.
            rows.retain(|row| row.first < history.first);
            rows.push(recovery::history_row(history));
        } else if let Some(row) = rows.iter_mut().find(|row| row.epoch == history.epoch) {
            // It was the youngest then; where it ended is known by now.
            row.end = history.end;
        }
    }
    rows
}
