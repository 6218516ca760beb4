//! One act of an operator on a closed store: looked at first, so that a refusal changes no byte,
//! then opened, done and closed without a checkpoint.
#![forbid(unsafe_code)]

use super::exit::Failure;
use super::source;
use crate::facility::CallError;
use crate::facility::Clock;
use crate::facility::Facility;
use crate::facility::Inspected;
use crate::facility::LocalFacility;
use crate::facility::Options;
use crate::facility::SystemClock;
use crate::structure::ClockFloor;
use crate::structure::Context;
use crate::structure::Decision;
use crate::structure::Refusal;
use crate::structure::Request;
use std::path::Path;

/// Where, and how it is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) allow_network_fs: bool,
    pub(crate) json: bool,
}

impl Act<'_> {
    /// The store as its files are; warnings are told.
    pub(crate) fn look(&self) -> Result<Inspected, Failure> {
        source::inspect(self.dir, self.json)
    }

    /// How the store is opened: only the operator's act happens, no quarantine ends meanwhile.
    pub(crate) fn options(&self) -> Options {
        Options {
            quarantine_timer: false,
            checkpoint_at_close: false,
            allow_network: self.allow_network_fs,
            ..Options::default()
        }
    }
}

/// Sends one request of an operator; whether it changed anything. `way_out` says what to do about a
/// refusal that does not say it itself.
pub(crate) fn request(
    act: &Act<'_>,
    place: &str,
    request: &Request,
    way_out: impl Fn(&Refusal) -> String,
) -> Result<bool, Failure> {
    let place = format!("{}: {place}", act.dir.display());
    let refused = |error: CallError| told(&place, error, &way_out);
    let store = act.look()?;
    let context = Context {
        now: SystemClock::new().boot_ms(),
        random: 0,
        open_first: store.structure.lsn().next(),
        floor: ClockFloor::default(),
        quarantine_ms: u32::MAX,
        deadline: None,
    };
    match store.structure.decide(request, &context, &mut Vec::new()) {
        Ok(Decision::NoEffect) => return Ok(false),
        Ok(_) => {}
        Err(refusal) => return Err(refused(refusal.into())),
    }
    let facility = LocalFacility::open(act.dir, &act.options())?;
    let done = facility.call(request.clone());
    facility.close()?;
    done.map(|_| true).map_err(refused)
}

/// What an act was turned down for, with where and the way out.
pub(crate) fn told(place: &str, error: CallError, way_out: impl Fn(&Refusal) -> String) -> Failure {
    match error {
        CallError::Refused(refusal) => {
            let way_out = match way_out(&refusal) {
                hint if hint.is_empty() => hint,
                hint => format!("\n  {hint}"),
            };
            Failure::Refused { place: place.to_owned(), refusal, way_out }
        }
        error => error.into(),
    }
}
