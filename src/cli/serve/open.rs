//! Opening and closing the stores of a service, all at the same time.
#![forbid(unsafe_code)]

use super::LOOK;
use super::line::Line;
use crate::api::Door;
use crate::api::ServeError;
use crate::cli::config::Config;
use crate::cli::config::StructureConfig;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::size::counted;
use crate::cli::source;
use crate::facility::Closed;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Status;
use crate::ident::StructureName;
use crate::wal::StoreError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long the last of the service's threads may need to let go of a store.
const LET_GO: Duration = Duration::from_secs(2);

/// A store that is open.
pub(super) struct Store {
    pub(super) name: StructureName,
    pub(super) data: PathBuf,
    pub(super) facility: Arc<LocalFacility>,
    /// As it was opened.
    pub(super) status: Status,
}

/// Every store of the service.
pub(super) struct Opened {
    pub(super) stores: Vec<Store>,
    /// Optional ones that could not be opened: where, and why.
    pub(super) missing: Vec<(PathBuf, String)>,
}

/// Doors that are refused whatever else there is: before anything is made or opened.
pub(super) fn refuse_doors(config: &Config) -> Result<(), Failure> {
    for door in &config.listen {
        if let Door::Tcp(address) = door
            && !address.ip().is_loopback()
        {
            return Err(super::refused(ServeError::NotLoopback { address: *address }));
        }
    }
    Ok(())
}

/// Opens all of them at the same time. One that cannot be opened is the end of the start, unless it is
/// optional; without any there is nothing to serve.
pub(super) fn all(config: &Config, json: bool) -> Result<Opened, Failure> {
    for structure in &config.structures {
        source::advise(&structure.data, json);
    }
    let results: Vec<Result<Store, Failure>> = std::thread::scope(|scope| {
        let open = |structure| scope.spawn(move || open(structure, config.init));
        let threads: Vec<_> = config.structures.iter().map(open).collect();
        threads.into_iter().map(joined).collect()
    });
    let mut opened = Opened { stores: Vec::new(), missing: Vec::new() };
    let mut failed = None;
    for (structure, result) in config.structures.iter().zip(results) {
        match result {
            Ok(store) => opened.take(store, json),
            Err(failure) if structure.optional => opened.miss(structure, &failure, json),
            // The first one is the process's; the others are said.
            Err(failure) if failed.is_none() => failed = Some(failure),
            Err(failure) => output::tell_warning(&failure.to_string(), json),
        }
    }
    opened.refuse_twins(&mut failed);
    if failed.is_none() && opened.stores.is_empty() {
        failed = Some(Failure::told(Exit::Refused, "no structure could be opened: there is nothing to serve"));
    }
    let Some(failure) = failed else { return Ok(opened) };
    Line::of("open-failed").error(failure.to_string());
    opened.close(json)?;
    Err(failure)
}

fn open(structure: &StructureConfig, create: bool) -> Result<Store, Failure> {
    let facility = Arc::new(LocalFacility::open(&structure.data, &structure.options(create))?);
    let status = facility.status()?;
    let name = status.structure.parse().map_err(|_| Failure::told(Exit::Bug, "the store has no valid name"))?;
    Ok(Store { name, data: structure.data.clone(), facility, status })
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Opened {
    fn take(&mut self, store: Store, json: bool) {
        let (name, recovery) = (store.name.to_string(), &store.status.recovery);
        let line = Line { lsn: Some(recovery.last_lsn.0), ..Line::about("opened", &name) };
        let took_ms = recovery.took_us / 1_000;
        line.tell_start(format!(
            "{} is open: {} replayed above the checkpoint at lsn {}, {} torn, in {took_ms} ms",
            store.data.display(),
            counted(recovery.records, "record"),
            recovery.checkpoint_lsn,
            counted(recovery.torn_bytes, "byte"),
        ));
        for warning in &recovery.warnings {
            Line::about("open-warning", &name).warn(warning);
            output::tell_warning(warning, json);
        }
        if let Some(stop) = &store.status.stop {
            Line::about("granting-stopped", &name).error(format!("nothing is granted: {}", stop.cause.name()));
        }
        self.stores.push(store);
    }

    fn miss(&mut self, structure: &StructureConfig, failure: &Failure, json: bool) {
        let text = format!("{failure}; it is optional, the service starts without it");
        Line::of("open-failed").error(&text);
        output::tell_warning(&text, json);
        self.missing.push((structure.data.clone(), failure.to_string()));
    }

    /// Two directories that hold a structure of the same name.
    fn refuse_twins(&self, failed: &mut Option<Failure>) {
        for (place, store) in self.stores.iter().enumerate() {
            let twin = self.stores[..place].iter().find(|other| other.name == store.name);
            if let Some(twin) = twin.filter(|_| failed.is_none()) {
                *failed = Some(Failure::told(
                    Exit::Refused,
                    format!("{} and {} both hold structure {}", twin.data.display(), store.data.display(), store.name),
                ));
            }
        }
    }

    /// Whether a write or sync of one failed: the process ends then, and the next start recovers.
    pub(super) fn is_failed(&self) -> bool {
        self.stores.iter().any(|store| store.facility.is_failed())
    }

    /// In one line.
    pub(super) fn summary(&self) -> String {
        let names: Vec<String> = self.stores.iter().map(|store| store.name.to_string()).collect();
        match self.missing.len() {
            0 => format!("serving {}", names.join(", ")),
            missing => format!("serving {}; {} not open", names.join(", "), counted(missing as u64, "structure")),
        }
    }

    /// Closes them all at the same time; the first failure is told.
    pub(super) fn close(self, json: bool) -> Result<Closed, Failure> {
        let close = |store: Store| {
            let name = store.name.to_string();
            match close(store.facility, json) {
                Ok(closed) => {
                    let line = Line { lsn: closed.checkpoint.map(|lsn| lsn.0), ..Line::about("closed", &name) };
                    line.info(format!("{} is closed", store.data.display()));
                    Ok(closed)
                }
                Err(error) => {
                    Line::about("storage-failed", &name).error(error.to_string());
                    Err(error)
                }
            }
        };
        let results: Vec<Result<Closed, StoreError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = self.stores.into_iter().map(|store| scope.spawn(|| close(store))).collect();
            threads.into_iter().map(joined).collect()
        });
        let mut all = Closed::default();
        for closed in results {
            let closed = closed?;
            all.counters.records += closed.counters.records;
            all.counters.frames += closed.counters.frames;
            all.counters.grants += closed.counters.grants;
            all.checkpoint = all.checkpoint.max(closed.checkpoint);
        }
        Ok(all)
    }
}

/// Closes a store once nobody uses it any more.
fn close(mut facility: Arc<LocalFacility>, json: bool) -> Result<Closed, StoreError> {
    let mut left = LET_GO;
    loop {
        facility = match Arc::try_unwrap(facility) {
            Ok(facility) => return facility.close(),
            Err(shared) if left.is_zero() => {
                // What it leaves is what a crash leaves: nothing acknowledged is lost.
                drop(shared);
                output::tell_warning("the store was not closed: the next open recovers it", json);
                return Ok(Closed::default());
            }
            Err(shared) => shared,
        };
        std::thread::sleep(LOOK);
        left = left.saturating_sub(LOOK);
    }
}
