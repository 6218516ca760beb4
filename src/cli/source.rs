//! Stores as the reading verbs see them: recovered in memory, not one byte of the disk changed.
#![forbid(unsafe_code)]

use super::exit::Failure;
use super::output;
use crate::facility;
use crate::facility::Inspected;
use crate::facility::Machine;
use std::path::Path;

/// Reads a store as an open would find it. Warnings go to standard error.
pub(crate) fn inspect(dir: &Path, json: bool) -> Result<Inspected, Failure> {
    let store = facility::inspect(&Machine::real(), dir)?;
    for warning in &store.report.warnings {
        output::tell_warning(warning, json);
    }
    Ok(store)
}
