//! When records were written, remembered: each is looked for in the log once.
#![forbid(unsafe_code)]

use crate::facility::LocalFacility;
use crate::ident::Lsn;
use crate::ident::WallMs;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Times that are remembered; then the oldest records are forgotten.
const TIMES_MAX: usize = 65_536;
/// Segments of the log that are read for one answer.
const SEGMENTS_MAX: usize = 8;

/// Lsn to time; `None`: the log does not have it, or it is too far back to look for.
#[derive(Debug, Default)]
pub(crate) struct Times(Mutex<BTreeMap<Lsn, Option<WallMs>>>);

impl Times {
    /// The times of some records, as far as they are known or found. Reads the log, and blocks meanwhile.
    pub(crate) fn of(&self, facility: &LocalFacility, lsns: &BTreeSet<Lsn>) -> BTreeMap<Lsn, WallMs> {
        let unknown: BTreeSet<Lsn> = {
            let known = self.0.lock();
            lsns.iter().copied().filter(|lsn| !known.contains_key(lsn)).collect()
        };
        // A log that cannot be read there costs the times, not the answer.
        let found = if unknown.is_empty() { Ok(BTreeMap::new()) } else { facility.times(&unknown, SEGMENTS_MAX) };
        let mut known = self.0.lock();
        if let Ok(found) = found {
            // Nothing found at all may be for a checkpoint that was being made: it is tried again.
            let missing = unknown.iter().filter(|lsn| !found.is_empty() && !found.contains_key(lsn));
            known.extend(missing.map(|lsn| (*lsn, None)));
            known.extend(found.into_iter().map(|(lsn, wall)| (lsn, Some(wall))));
        }
        let times = lsns.iter().filter_map(|lsn| Some((*lsn, (*known.get(lsn)?)?))).collect();
        while known.len() > TIMES_MAX {
            known.pop_first();
        }
        times
    }
}
