//! `explain` about a store that this process has open: the same answer, from what the service knows.
#![forbid(unsafe_code)]

use super::Asked;
use super::moments::Moments;
use super::moments::Wanted;
use super::profiles::Named;
use super::what::What;
use super::world::Now;
use super::world::Stored;
use super::world::World;
use crate::cli::notice;
use crate::facility::Clocks;
use crate::facility::LocalFacility;
use crate::facility::Status;
use crate::ident::Transport;
use crate::structure::Structure;
use serde_json::Value;
use std::cell::RefCell;
use std::path::Path;

/// What is explained.
pub(crate) struct Live<'a> {
    /// The store's directory, as it is configured.
    pub(crate) dir: &'a Path,
    pub(crate) facility: &'a LocalFacility,
    /// A copy as of one lsn, all of it durable.
    pub(crate) structure: Structure,
    pub(crate) clocks: Clocks,
    pub(crate) status: &'a Status,
    pub(crate) profiles: Vec<Named>,
}

/// The answer.
pub(crate) struct Explained {
    /// As `portplex explain --json` has it.
    pub(crate) answer: Value,
    /// The log could not be read: the times in it are missing.
    pub(crate) warning: Option<String>,
}

/// Why there is none.
pub(crate) enum Unexplained {
    NotUnderstood(String),
    /// Nothing has that name; what has one that is like it.
    Unknown(String),
}

impl Live<'_> {
    /// `what` as it is typed behind `portplex explain`. Reads the log, and blocks meanwhile.
    pub(crate) fn explain(self, what: &str, transport: Option<Transport>) -> Result<Explained, Unexplained> {
        let what: What = what.parse().map_err(Unexplained::NotUnderstood)?;
        let Self { dir, facility, structure, clocks, status, profiles } = self;
        let notices = notice::of_status(&dir.display().to_string(), status);
        let stored = Some(Stored::new(structure, clocks.floor, notices));
        let now = Now { wall: clocks.wall, boot_ms: clocks.boot };
        let world = World { dir, stored, profiles, quarantine_ms: clocks.quarantine_ms, now }.settled();
        let warning = RefCell::new(None);
        let moments = |stored: &Stored, wanted: &Wanted| {
            let last = stored.structure().lsn();
            let read = facility.beside_writer(|dir, manifest, _| Moments::beside_writer(dir, manifest, last, wanted));
            read.unwrap_or_else(|failure| {
                *warning.borrow_mut() = Some(failure.to_string());
                Moments::default()
            })
        };
        let explanation = Asked { what: &what, transport }.explain(&world, &moments).map_err(Unexplained::Unknown)?;
        let answer = serde_json::to_value(explanation).expect("keys are text");
        Ok(Explained { answer, warning: warning.into_inner() })
    }
}
