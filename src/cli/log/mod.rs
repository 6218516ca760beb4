//! `portplex log`: the log of a store, record by record; changes no byte.
#![forbid(unsafe_code)]

mod dump;
mod shape;
mod verify;

pub(crate) use crate::shapes::names::Names;
pub(crate) use crate::shapes::wall;
pub(crate) use crate::shapes::wall::rfc3339;

use super::exit::Exit;
use super::exit::Failure;
use super::store::OfflineArgs;
use crate::disk::Disk;
use crate::disk::LockGuard;
use crate::disk::LockMode;
use crate::facility::Machine;
use crate::ident::Lsn;
use crate::record;
use crate::structure::Event;
use crate::wal;
use crate::wal::FrameInfo;
use crate::wal::Manifest;
use crate::wal::Replayed;
use crate::wal::StoreError;
use crate::wal::Survey;
use std::path::Path;
use std::sync::Arc;

/// Print and check the log of a store.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    verb: LogVerb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum LogVerb {
    /// Print every record with its lsn and time: who got which port, and when
    #[command(after_long_help = dump::EXAMPLES)]
    Dump(OfflineArgs),
    /// Read every segment from its first byte to its end and check all of it
    #[command(after_long_help = verify::EXAMPLES)]
    Verify(OfflineArgs),
}

impl LogArgs {
    pub(crate) fn is_json(&self) -> bool {
        match &self.verb {
            LogVerb::Dump(args) | LogVerb::Verify(args) => args.json,
        }
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        match &self.verb {
            LogVerb::Dump(args) => dump::run(args),
            LogVerb::Verify(args) => verify::run(args),
        }
    }
}

/// One record where it stands.
pub(crate) struct Placed<'a> {
    pub(crate) frame: &'a FrameInfo,
    pub(crate) lsn: Lsn,
    pub(crate) event: &'a Event,
}

/// What a walk over the whole log found.
pub(crate) struct Walked {
    pub(crate) replayed: Replayed,
    pub(crate) segments: usize,
    pub(crate) frames: u64,
    pub(crate) records: u64,
    /// What an operator should read.
    pub(crate) warnings: Vec<String>,
}

/// A log that is read: no writer opens its store meanwhile.
pub(crate) struct Log<'a> {
    dir: &'a Path,
    disk: Arc<dyn Disk>,
    _lock: Box<dyn LockGuard>,
    pub(crate) survey: Survey,
}

/// How much of a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// All of it, and every frame is encoded again and compared.
    Verify,
    /// What is above that lsn, as an open reads it.
    Above(Lsn),
}

impl<'a> Log<'a> {
    pub(crate) fn open(dir: &'a Path) -> Result<Self, Failure> {
        let disk = Machine::real().disk;
        let lock = wal::lock(&*disk, dir, LockMode::Shared)?;
        let survey = wal::survey(&*disk, dir)?;
        Ok(Self { dir, disk, _lock: lock, survey })
    }

    /// Hands over every record in order. What `see` returns as an error ends the walk and comes back.
    pub(crate) fn walk(
        &self,
        reading: Reading,
        see: &mut dyn FnMut(&Placed<'_>) -> Result<(), Failure>,
    ) -> Result<Walked, Failure> {
        let (mut stopped, mut frames, mut records) = (None, 0, 0);
        let sink = &mut |frame: &FrameInfo, payload: &[u8]| {
            frames += 1;
            records += u64::from(frame.count);
            each(frame, payload, &mut |placed| {
                see(placed).map_err(|failure| {
                    stopped = Some(failure);
                    frame.corrupt(placed.lsn, "the reader stopped")
                })
            })
        };
        let walked = match reading {
            Reading::Verify => wal::verify(&*self.disk, self.dir, &self.survey, sink),
            Reading::Above(base) => wal::replay(&*self.disk, self.dir, &self.survey, base, sink),
        };
        if let Some(failure) = stopped {
            return Err(failure);
        }
        let (replayed, segments) = (walked?, self.survey.manifest.segments.len());
        let warnings = replayed.warnings.clone();
        Ok(Walked { replayed, segments, frames, records, warnings })
    }
}

/// Walks the whole log under a shared lock and hands over every record. What `see` returns as an
/// error ends the walk and comes back.
pub(crate) fn walk(dir: &Path, see: &mut dyn FnMut(&Placed<'_>) -> Result<(), Failure>) -> Result<Walked, Failure> {
    Log::open(dir)?.walk(Reading::Verify, see)
}

/// Hands over the records above `after` up to `upto`, the last one at most, under a shared lock;
/// reads no segment that has none of them.
pub(crate) fn walk_range(
    dir: &Path,
    manifest: &Manifest,
    after: Lsn,
    upto: Lsn,
    see: &mut dyn FnMut(&Placed<'_>),
) -> Result<(), Failure> {
    let disk = Machine::real().disk;
    let _lock = wal::lock(&*disk, dir, LockMode::Shared)?;
    wal::read_durable(&*disk, dir, manifest, after, upto, &mut |frame, payload| {
        each(frame, payload, &mut |placed| {
            if after < placed.lsn && placed.lsn <= upto {
                see(placed);
            }
            Ok(())
        })
    })?;
    Ok(())
}

/// Decodes the records of a frame.
fn each(
    frame: &FrameInfo,
    payload: &[u8],
    see: &mut dyn FnMut(&Placed<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut lsn = frame.first;
    for event in record::Records::new(payload, frame.count) {
        let event = event.map_err(|error| frame.corrupt(lsn, error))?;
        see(&Placed { frame, lsn, event: &event })?;
        lsn = lsn.next();
    }
    Ok(())
}
