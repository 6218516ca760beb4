//! Stores as the reading verbs see them: recovered in memory, not one byte of the disk changed.
#![forbid(unsafe_code)]

use super::exit::Failure;
use super::output;
use crate::disk::Advice;
use crate::disk::Disk;
use crate::disk::RealDisk;
use crate::disk::advice::Kind;
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

/// Says on standard error what is to be known of the file system that `dir` is on, or would be on;
/// nothing, if there is nothing to say.
pub(crate) fn advise(dir: &Path, json: bool) {
    let place = if dir.exists() {
        dir
    } else {
        dir.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
    };
    let Ok(magic) = RealDisk.file_system(place) else { return };
    let advice = Advice::of(magic);
    if advice.kind != Kind::InPlace {
        output::tell_warning(&format!("{} is on {}: {}", dir.display(), advice.name, advice.text), json);
    }
}
