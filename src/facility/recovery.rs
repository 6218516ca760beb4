//! From a directory to a structure: survey, checkpoint, replay, and for a writer the new history.
//!
//! Recovery repeats events through `apply`; it never asks `decide` again. Everything up to the last
//! step only reads, so a refused open leaves the directory as it was, LOCK apart.
#![forbid(unsafe_code)]

use super::RecoveryReport;
use super::alarms::Alarms;
use super::checkpointer::Checkpointer;
use super::clock::RandomStream;
use super::engine::Engine;
use super::engine::Parts;
use super::error::OpenError;
use super::local::Machine;
use super::meters::Meters;
use super::options::AfterPowerLoss;
use super::options::Options;
use super::watch::Rings;
use crate::checkpoint;
use crate::checkpoint::FileProof;
use crate::checkpoint::Proof;
use crate::disk::Advice;
use crate::disk::LockMode;
use crate::disk::advice::Kind;
use crate::ident::BootId;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::ident::WallMs;
use crate::record;
use crate::record::HistoryRow;
use crate::structure::ClockFloor;
use crate::structure::Event;
use crate::structure::Structure;
use crate::wal;
use crate::wal::Appender;
use crate::wal::CheckpointEntry;
use crate::wal::Creation;
use crate::wal::FileEntry;
use crate::wal::FrameInfo;
use crate::wal::HistoryEntry;
use crate::wal::Manifest;
use crate::wal::OpenStamp;
use crate::wal::Operation;
use crate::wal::Replayed;
use crate::wal::Seeds;
use crate::wal::StoreError;
use crate::wal::Survey;
use std::path::Path;
use std::sync::Arc;

/// An engine ready to serve, and what makes its checkpoints.
pub(crate) struct Opened {
    pub(crate) engine: Engine,
    pub(crate) checkpointer: Checkpointer,
}

/// What a state was built from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Base {
    /// The checkpoint's generation; `None`: from the first record.
    pub(crate) generation: Option<u64>,
    /// The histories that it remembers.
    pub(crate) histories: Vec<HistoryRow>,
    /// Why newer checkpoints were not believed.
    pub(crate) warnings: Vec<String>,
    /// Records replayed above it.
    pub(crate) replayed: u64,
}

/// A store as its files are, without opening it for writing.
#[derive(Debug)]
pub struct Inspected {
    /// The state that an open would give.
    pub structure: Structure,
    /// What MANIFEST says.
    pub manifest: Manifest,
    /// What was found.
    pub report: RecoveryReport,
    /// Histories that only a checkpoint remembers.
    remembered: Vec<HistoryRow>,
}

impl Inspected {
    /// Where that kernel boot begins in the log, if it had the store open last: from there on times of
    /// the log are of its clock.
    #[must_use]
    pub fn clock_floor(&self, boot: BootId) -> ClockFloor {
        clock_floor(&self.remembered, &self.manifest, boot)
    }
}

/// Makes an empty store in `dir`, which is created if it does not exist.
///
/// # Errors
/// [`OpenError::Store`]: `AlreadyAStore`, or what failed.
pub fn init(machine: &Machine, dir: &Path, options: &Options) -> Result<(), OpenError> {
    check_place(machine, dir, options)?;
    let seeds = draw_seeds(&mut RandomStream::new(options.seed));
    let creation = Creation { structure: options.structure.unwrap_or_default(), segment_size: options.segment_size };
    wal::init(&*machine.disk, dir, &creation, &seeds)?;
    Ok(())
}

/// Draws what makes a store that store.
pub(crate) fn draw_seeds(random: &mut RandomStream) -> Seeds {
    let mut receipt_key = [0; 32];
    receipt_key.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&random.next_u64().to_le_bytes()));
    Seeds { uuid: StoreUuid(random.next_u128()), receipt_key }
}

/// Refuses a place for a new store, before anything is made there.
pub(crate) fn check_place(machine: &Machine, dir: &Path, options: &Options) -> Result<(), OpenError> {
    let place = if machine.disk.list(dir).is_ok() { Some(dir) } else { dir.parent() };
    match place.filter(|place| machine.disk.file_system(place).is_ok()) {
        Some(place) => check_file_system(machine, place, options).map(drop),
        None => Ok(()),
    }
}

/// What the data directory is on, in words.
fn check_file_system(machine: &Machine, dir: &Path, options: &Options) -> Result<String, OpenError> {
    let failed =
        |source| OpenError::from(StoreError::Io { path: dir.to_path_buf(), operation: Operation::Open, source });
    let advice = Advice::of(machine.disk.file_system(dir).map_err(failed)?);
    if advice.kind == Kind::Network && !options.allow_network {
        return Err(OpenError::NetworkFileSystem { dir: dir.to_path_buf(), name: advice.name });
    }
    Ok(if advice.text.is_empty() { advice.name.to_owned() } else { format!("{}: {}", advice.name, advice.text) })
}

/// Reads the store in `dir` as an open would find it and changes no byte. Writers are kept out
/// meanwhile.
///
/// # Errors
/// [`OpenError`]; a store that a writer has open is `Locked`.
pub fn inspect(machine: &Machine, dir: &Path) -> Result<Inspected, OpenError> {
    let _lock = wal::lock(&*machine.disk, dir, LockMode::Shared)?;
    let start = machine.clock.boot_ms();
    let Recovered { structure, survey, replayed, base } = recover(machine, dir)?;
    let took_us = machine.clock.boot_ms().0.saturating_sub(start.0) * 1_000;
    let report = report(&structure, &survey, &replayed, &base, took_us);
    Ok(Inspected { structure, manifest: survey.manifest, report, remembered: base.histories })
}

/// Opens the store in `dir` for writing.
pub(crate) fn open(machine: &Machine, dir: &Path, options: &Options, rings: Rings) -> Result<Opened, OpenError> {
    let start = machine.clock.boot_ms();
    if options.create {
        match init(machine, dir, options) {
            Ok(()) | Err(OpenError::Store(StoreError::AlreadyAStore { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    let lock = wal::lock(&*machine.disk, dir, LockMode::Exclusive)?;
    let file_system = check_file_system(machine, dir, options)?;
    let Recovered { structure, survey, replayed, base } = recover(machine, dir)?;
    if let Some(expected) = options.structure {
        let found = survey.manifest.structure;
        if found != expected {
            return Err(StoreError::OtherStructure { dir: dir.to_path_buf(), found, expected }.into());
        }
    }
    let mut random = RandomStream::new(options.seed.map(|seed| seed ^ structure.lsn().0));
    let stamp = OpenStamp {
        history: crate::ident::HistoryId(random.next_u64()),
        boot: machine.clock.boot_id(),
        boot_ms: machine.clock.boot_ms(),
        wall: machine.clock.wall_ms(),
        wait_after_power_loss: options.after_power_loss == AfterPowerLoss::Wait,
    };
    let mut report = report(&structure, &survey, &replayed, &base, 0);
    let unchecked = log_bytes_above(&survey.manifest, base_lsn(&survey.manifest, &base));
    let appender = Appender::begin(Arc::clone(&machine.disk), dir, survey, replayed, stamp, lock)?;
    // What a crash left of a checkpoint that was never listed is only space: the open counts already.
    let listed: Vec<u64> = appender.keeper().manifest().checkpoints.iter().map(|entry| entry.generation).collect();
    let _ = checkpoint::sweep(&*machine.disk, &dir.join(wal::constants::CHECKPOINT_DIR), &listed);
    let floor = clock_floor(&base.histories, &appender.keeper().manifest(), stamp.boot);
    report.took_us = machine.clock.boot_ms().0.saturating_sub(start.0) * 1_000;
    let alarms = Arc::new(Alarms::new(Arc::clone(&machine.clock)));
    let meters = Arc::new(Meters::default());
    let checkpointer = Checkpointer::new(machine, dir.to_path_buf(), options, &appender, unchecked, &alarms, &meters);
    let quarantine_ms = u32::try_from(options.quarantine.as_millis()).unwrap_or(u32::MAX);
    let clock = Arc::clone(&machine.clock);
    let quarantine_timer = options.quarantine_timer;
    let progress = checkpointer.progress();
    let remembered = base.histories;
    let parts = Parts {
        structure,
        appender,
        clock,
        random,
        rings,
        progress,
        alarms,
        meters,
        report,
        remembered,
        floor,
        quarantine_ms,
        tuned: Arc::clone(&checkpointer.tuned),
        quarantine_timer,
        file_system,
        serves_after_power_loss: options.after_power_loss == AfterPowerLoss::Serve,
    };
    let mut engine = Engine::new(parts);
    engine.start()?;
    Ok(Opened { engine, checkpointer })
}

pub(crate) struct Recovered {
    pub(crate) structure: Structure,
    pub(crate) survey: Survey,
    pub(crate) replayed: Replayed,
    base: Base,
}

pub(crate) fn recover(machine: &Machine, dir: &Path) -> Result<Recovered, OpenError> {
    let disk = &*machine.disk;
    let survey = wal::survey(disk, dir)?;
    let (mut structure, mut base) = load_base(machine, dir, &survey.manifest)?;
    let from = structure.lsn();
    let replayed = wal::replay(disk, dir, &survey, from, &mut |frame, payload| {
        base.replayed += u64::from(frame.count);
        replay_frame(&mut structure, frame, payload)
    })?;
    if let Err(faults) = structure.audit() {
        let faults = faults.iter().map(ToString::to_string).collect();
        return Err(OpenError::AuditFailed { dir: dir.to_path_buf(), lsn: structure.lsn(), faults });
    }
    Ok(Recovered { structure, survey, replayed, base })
}

/// The newest checkpoint that can be believed, or an empty structure if the log reaches back to the
/// first record.
pub(crate) fn load_base(machine: &Machine, dir: &Path, manifest: &Manifest) -> Result<(Structure, Base), OpenError> {
    let mut warnings = Vec::new();
    let ckpt_dir = dir.join(wal::constants::CHECKPOINT_DIR);
    for entry in manifest.checkpoints.iter().rev() {
        let loaded = checkpoint::load(&*machine.disk, &*machine.checkpoints, &ckpt_dir, &entry.into());
        let reason = match loaded {
            Ok(loaded) => match Structure::import(loaded.items()) {
                Ok(structure) => {
                    let histories = loaded.histories().to_vec();
                    return Ok((
                        structure,
                        Base { generation: Some(entry.generation), histories, warnings, replayed: 0 },
                    ));
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        warnings.push(format!("checkpoint {} at lsn {} is not believed: {reason}", entry.generation, entry.lsn));
    }
    if manifest.retired.lsn == Lsn::ZERO {
        return Ok((Structure::new(manifest.structure), Base { warnings, ..Base::default() }));
    }
    let log_first = manifest.retired.lsn.next();
    Err(OpenError::NoUsableCheckpoint { dir: dir.to_path_buf(), log_first, reasons: warnings })
}

/// Applies the records of a frame above the structure's lsn. A record that does not decode, or an
/// event that is impossible, is corruption: the frame's checksum held.
pub(crate) fn replay_frame(structure: &mut Structure, frame: &FrameInfo, payload: &[u8]) -> Result<(), StoreError> {
    each_event(frame, payload, &mut |lsn, event| {
        if lsn <= structure.lsn() {
            return Ok(());
        }
        structure.fits(lsn, &event).map_err(|misfit| frame.corrupt(lsn, misfit))?;
        structure.apply(lsn, frame.boot, &event);
        Ok(())
    })
}

/// Decodes the records of a frame.
pub(crate) fn each_event(
    frame: &FrameInfo,
    payload: &[u8],
    sink: &mut dyn FnMut(Lsn, Event) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut lsn = frame.first;
    for event in record::Records::new(payload, frame.count) {
        sink(lsn, event.map_err(|error| frame.corrupt(lsn, error))?)?;
        lsn = lsn.next();
    }
    Ok(())
}

/// Where the present boot begins: quarantine goes on counting over restarts under one boot, and
/// starts again in full at the first open under another (protocol.md R22).
fn clock_floor(remembered: &[HistoryRow], manifest: &Manifest, boot: BootId) -> ClockFloor {
    let mut floor = ClockFloor::default();
    let listed = manifest.histories.iter().map(history_row);
    let first_listed = manifest.histories.first().map_or(Lsn(u64::MAX), |history| history.first);
    let remembered = remembered.iter().filter(|row| row.first < first_listed).cloned();
    for row in remembered.chain(listed) {
        if row.boot != boot {
            floor = ClockFloor::default();
        } else if floor == ClockFloor::default() {
            floor = ClockFloor { lsn: row.first, at: row.boot_ms };
        }
    }
    floor
}

/// Bytes of sealed segments above an lsn: what a checkpoint would save the next open.
fn log_bytes_above(manifest: &Manifest, lsn: Lsn) -> u64 {
    let seals = manifest.segments.iter().filter_map(|segment| segment.sealed);
    seals.filter(|seal| seal.end.lsn > lsn).map(|seal| seal.offset).sum()
}

fn base_lsn(manifest: &Manifest, base: &Base) -> Lsn {
    let entry = manifest.checkpoints.iter().find(|entry| Some(entry.generation) == base.generation);
    entry.map_or(Lsn::ZERO, |entry| entry.lsn)
}

fn report(structure: &Structure, survey: &Survey, replayed: &Replayed, base: &Base, took_us: u64) -> RecoveryReport {
    RecoveryReport {
        checkpoint_lsn: base_lsn(&survey.manifest, base),
        records: base.replayed,
        last_lsn: structure.lsn(),
        torn_bytes: replayed.torn_bytes,
        frame_mended: replayed.above.is_some(),
        took_us,
        warnings: [survey.warnings.clone(), base.warnings.clone(), replayed.warnings.clone()].concat(),
    }
}

/// A history as a checkpoint remembers it.
pub(crate) fn history_row(history: &HistoryEntry) -> HistoryRow {
    HistoryRow {
        id: history.id,
        first: history.first,
        boot: history.boot,
        boot_ms: history.boot_ms,
        wall_ms: history.wall,
        epoch: history.epoch,
        end: history.end,
    }
}

/// A proof as MANIFEST keeps it.
pub(crate) fn entry(proof: &Proof, wall: WallMs) -> CheckpointEntry {
    let files =
        proof.files.iter().map(|file| FileEntry { path: file.path.clone(), size: file.size, digest: file.digest });
    CheckpointEntry {
        generation: proof.generation,
        lsn: proof.lsn,
        count: proof.count,
        digest: proof.digest,
        wall,
        files: files.collect(),
    }
}

impl From<&CheckpointEntry> for Proof {
    /// What MANIFEST says that a checkpoint must be.
    fn from(entry: &CheckpointEntry) -> Self {
        let files =
            entry.files.iter().map(|file| FileProof { path: file.path.clone(), size: file.size, digest: file.digest });
        Self {
            generation: entry.generation,
            lsn: entry.lsn,
            count: entry.count,
            digest: entry.digest,
            files: files.collect(),
        }
    }
}
