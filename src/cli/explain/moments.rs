//! When things happened, and how: the records of the log behind some lsns, with their wall times.
#![forbid(unsafe_code)]

use crate::cli::exit::Failure;
use crate::cli::log;
#[cfg(feature = "service")]
use crate::cli::log::Log;
use crate::cli::log::Placed;
use crate::cli::log::rfc3339;
use crate::cli::output;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::structure::Change;
use crate::structure::Event;
use crate::wal::Manifest;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

/// Hands over the records above one lsn up to another.
type Walk<'a> = &'a mut dyn FnMut(Lsn, Lsn, &mut dyn FnMut(&Placed<'_>)) -> Result<(), Failure>;

/// What is to be looked up.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Records by lsn.
    pub(super) lsns: BTreeSet<Lsn>,
    /// Grants that were adopted: their records name them.
    pub(super) adopted: BTreeSet<Lsn>,
    /// Connectors by slot, with the incarnation after which the mark was made: who failed, and when.
    pub(super) failed: BTreeMap<u32, Lsn>,
}

/// What was found. Memory is bounded by what was wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    by_lsn: BTreeMap<Lsn, Moment>,
    adopted: BTreeMap<Lsn, Moment>,
    failed: BTreeMap<u32, Moment>,
}

/// One record.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) lsn: Lsn,
    pub(super) wall: WallMs,
    pub(super) event: Event,
}

impl Moment {
    /// `2026-11-22T08:22:01.123Z (lsn 7)`.
    pub(super) fn shown(&self) -> String {
        format!("{} (lsn {})", rfc3339(self.wall), self.lsn)
    }
}

impl Moments {
    /// Reads the part of the log of a closed store that has what is wanted. A log that cannot be read there
    /// costs the times, not the explanation: the state is known without it.
    pub(super) fn read(dir: &Path, manifest: &Manifest, last: Lsn, wanted: &Wanted, json: bool) -> Self {
        let walk: Walk<'_> = &mut |after, upto, see| log::walk_range(dir, manifest, after, upto, see);
        Self::walked(manifest, last, wanted, walk).unwrap_or_else(|failure| {
            output::tell_warning(&format!("times are not known, the log cannot be read there: {failure}"), json);
            Self::default()
        })
    }

    /// The same of a store that this process has open; `last` is durable.
    #[cfg(feature = "service")]
    pub(super) fn beside_writer(dir: &Path, manifest: &Manifest, last: Lsn, wanted: &Wanted) -> Result<Self, Failure> {
        let walk: Walk<'_> =
            &mut |after, upto, see| Log::beside_writer(dir, manifest, upto).above(after, see).map(drop);
        Self::walked(manifest, last, wanted, walk)
    }

    /// `last` = the lsn of what is explained.
    fn walked(manifest: &Manifest, last: Lsn, wanted: &Wanted, walk: Walk<'_>) -> Result<Self, Failure> {
        let retired = manifest.retired.lsn;
        let there = wanted.lsns.iter().copied().filter(|lsn| *lsn > retired && *lsn <= last);
        let failed = wanted.failed.values().map(|since| retired.max(*since).next());
        // An adopted grant has the lsn of a history that was lost: its record is anywhere.
        let adopted = wanted.adopted.iter().map(|_| retired.next());
        let is_open_ended = !(wanted.failed.is_empty() && wanted.adopted.is_empty());
        let upto = if is_open_ended { Some(last) } else { there.clone().max() };
        let from = there.chain(failed).chain(adopted).min();
        let (Some(from), Some(upto)) = (from, upto) else { return Ok(Self::default()) };
        let mut found = Self::default();
        walk(Lsn(from.0 - 1), upto, &mut |placed| {
            let moment = || Moment { lsn: placed.lsn, wall: placed.frame.wall, event: placed.event.clone() };
            if wanted.lsns.contains(&placed.lsn) {
                found.by_lsn.insert(placed.lsn, moment());
            }
            match &placed.event.change {
                Change::Adopted { grant, .. } if wanted.adopted.contains(grant) => {
                    found.adopted.insert(*grant, moment());
                }
                Change::Failed { connector, .. }
                    if wanted.failed.get(connector).is_some_and(|since| placed.lsn > *since) =>
                {
                    found.failed.insert(*connector, moment());
                }
                _ => {}
            }
        })?;
        Ok(found)
    }

    pub(super) fn at(&self, lsn: Lsn) -> Option<&Moment> {
        self.by_lsn.get(&lsn)
    }

    /// The record by which a grant came to be: it was granted, or adopted.
    pub(super) fn of_grant(&self, grant: Lsn) -> Option<&Moment> {
        self.adopted.get(&grant).or_else(|| self.at(grant))
    }

    /// The record that marked a connector failed-persistent.
    pub(super) fn of_failure(&self, connector: u32) -> Option<&Moment> {
        self.failed.get(&connector)
    }
}

/// A record's time and lsn, or what is known without the log.
pub(super) fn shown(moment: Option<&Moment>, lsn: Lsn) -> String {
    match moment {
        Some(moment) => moment.shown(),
        None => format!("lsn {lsn}, whose record is no longer in the log"),
    }
}
