//! Backups, putting them back, and stores that turn up in another place.
//!
//! A copy of a store is never served in silence: an open for writing finds that LOCK is not the file
//! that MANIFEST notes, and an operator says what happened ([`Adopt`]).
#![forbid(unsafe_code)]

use super::clock::RandomStream;
use super::error::OpenError;
use super::local::Machine;
use super::options::Options;
use super::recovery;
use super::recovery::Recovered;
use crate::disk::LockMode;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::record;
use crate::record::ContentDigest;
use crate::structure::ClockFloor;
use crate::structure::Context;
use crate::structure::Item;
use crate::structure::Policy;
use crate::structure::Request;
use crate::structure::Structure;
use crate::wal;
use crate::wal::Adoption;
use crate::wal::Frame;
use crate::wal::NewStore;
use crate::wal::OpenStamp;
use crate::wal::StoreError;
use crate::wal::constants::payload_size_max;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A copy that was made and proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The last lsn in it.
    pub lsn: Lsn,
    /// Count and digest of its content, the same as of what it was made from.
    pub content: ContentDigest,
    /// How long it took, proof included, ms.
    pub took_ms: u64,
}

/// Why there is no copy to be relied on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// It could not be made.
    #[error(transparent)]
    Copy(#[from] StoreError),
    /// What it is made of, or the copy itself, could not be read.
    #[error(transparent)]
    Read(#[from] OpenError),
    /// The copy says something else.
    #[error("{} is not what it was copied from (content {found}, expected {expected}): remove it and try again", dir.display())]
    Differs {
        /// The copy.
        dir: PathBuf,
        /// The digest of its content.
        found: ContentDigest,
        /// What it should be.
        expected: ContentDigest,
    },
}

/// What happened to a store that is not where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopt {
    /// It was moved and the original is gone: it goes on as it is.
    Moved,
    /// It was put back from a copy: nothing is granted until every stack has attached and an operator
    /// says so.
    Restored,
    /// The original goes on: from now on this is another store, with the definitions of lists, their
    /// policies and the ranges, without connectors and all that they hold.
    Copy,
}

/// Puts a backup back into `dir`, which is made if it is missing and must be empty, proves it, and
/// notes that it was restored. The backup is only read.
///
/// # Errors
/// [`BackupError`].
pub fn restore(machine: &Machine, backup: &Path, dir: &Path, options: &Options) -> Result<BackupReport, BackupError> {
    let report = copy(machine, backup, dir, options)?;
    wal::adopt(Arc::clone(&machine.disk), dir, Adoption::Restored)?;
    Ok(report)
}

/// Backs up a store that no process has open, or any copy of one, into `to`, which is made if it is
/// missing and must be empty, and proves it. The store is only read; one that is open is backed up by
/// [`LocalFacility::backup`](super::LocalFacility::backup).
///
/// # Errors
/// [`BackupError`]; a store that is open is `Locked`.
pub fn backup_closed(machine: &Machine, dir: &Path, to: &Path) -> Result<BackupReport, BackupError> {
    copy(machine, dir, to, &Options { allow_network: true, ..Options::default() })
}

fn copy(machine: &Machine, from: &Path, to: &Path, options: &Options) -> Result<BackupReport, BackupError> {
    let start = machine.clock.boot_ms();
    let disk = &*machine.disk;
    let _lock = wal::lock(disk, from, LockMode::Shared)?;
    let Recovered { structure, survey, replayed, .. } = recovery::recover(machine, from)?;
    if let Some(expected) = options.structure {
        survey.check_structure(from, expected)?;
    }
    recovery::check_place(machine, to, options)?;
    wal::copy_store(disk, from, to, &survey.manifest, replayed.end.lsn)?;
    let content = prove(machine, to, &structure)?;
    let took_ms = machine.clock.boot_ms().0.saturating_sub(start.0);
    Ok(BackupReport { lsn: structure.lsn(), content, took_ms })
}

/// Notes what happened to the store in `dir`, so that it can be opened for writing again.
///
/// # Errors
/// [`OpenError`]; then nothing was changed.
pub fn adopt(machine: &Machine, dir: &Path, how: Adopt) -> Result<(), OpenError> {
    let adoption = match how {
        Adopt::Moved => Adoption::Moved,
        Adopt::Restored => Adoption::Restored,
        Adopt::Copy => Adoption::Copy(new_store(machine, dir)?),
    };
    Ok(wal::adopt(Arc::clone(&machine.disk), dir, adoption)?)
}

/// Opens a copy as any reader would, and compares.
pub(crate) fn prove(machine: &Machine, dir: &Path, original: &Structure) -> Result<ContentDigest, BackupError> {
    let found = record::digest(recovery::inspect(machine, dir)?.structure.items());
    let expected = record::digest(original.items());
    if found == expected { Ok(found) } else { Err(BackupError::Differs { dir: dir.to_path_buf(), found, expected }) }
}

/// What a copy keeps of the store that it was made from.
fn new_store(machine: &Machine, dir: &Path) -> Result<NewStore, OpenError> {
    let Recovered { structure, survey, .. } = recovery::recover(machine, dir)?;
    let mut random = RandomStream::new(None);
    let seeds = recovery::draw_seeds(&mut random);
    let stamp = OpenStamp {
        history: HistoryId(random.next_u64()),
        boot: machine.clock.boot_id(),
        boot_ms: machine.clock.boot_ms(),
        wall: machine.clock.wall_ms(),
        wait_after_power_loss: false,
    };
    let frames = frames(&structure, stamp.boot_ms, payload_size_max(survey.manifest.segment_size));
    Ok(NewStore { seeds, stamp, frames })
}

/// The requests that make the definitions, decided anew on an empty structure.
fn frames(original: &Structure, now: BootMs, payload_max: usize) -> Vec<Frame> {
    let context = Context {
        now,
        random: 0,
        open_first: Lsn::ZERO,
        floor: ClockFloor::default(),
        quarantine_ms: 0,
        deadline: None,
    };
    let (mut structure, mut events) = (Structure::new(original.name()), Vec::new());
    let mut lsn = Lsn::ZERO.next_history_first();
    let mut frames: Vec<Frame> = Vec::new();
    for request in original.items().flat_map(definitions) {
        events.clear();
        if structure.decide(&request, &context, &mut events).is_err() {
            continue;
        }
        for event in &events {
            structure.apply(lsn, now, event);
            lsn = lsn.next();
            let has_room = |frame: &&mut Frame| frame.payload.len() + record::size_of(event) <= payload_max;
            match frames.last_mut().filter(has_room) {
                Some(frame) => {
                    record::encode(event, &mut frame.payload);
                    frame.count += 1;
                }
                None => {
                    let mut payload = Vec::new();
                    record::encode(event, &mut payload);
                    frames.push(Frame { payload, count: 1 });
                }
            }
        }
    }
    frames
}

/// What of an item an operator said.
fn definitions(item: Item) -> Vec<Request> {
    match item {
        Item::Range { transport, range } => vec![Request::SetRange { transport, range: Some(range) }],
        Item::List { target, open: true, defined: true, policy, .. } => {
            let mut requests = vec![Request::Define { target }];
            if policy != Policy::default() {
                requests.push(Request::SetPolicy { target, policy });
            }
            requests
        }
        _ => Vec::new(),
    }
}
