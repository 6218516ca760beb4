//! One act of an operator. On a closed store it is looked at first, so that a refusal changes no byte,
//! then opened, done and closed without a checkpoint; a running service is asked.
#![forbid(unsafe_code)]

use super::exit::Exit;
use super::exit::Failure;
use super::service_args::Operator;
use super::service_args::Place;
use super::service_args::ServiceArgs;
use super::source;
use crate::api::OperatorError;
use crate::facility::CallError;
use crate::facility::Clock;
use crate::facility::Facility;
use crate::facility::Inspected;
use crate::facility::LocalFacility;
use crate::facility::Options;
use crate::facility::Query;
use crate::facility::Rows;
use crate::facility::SystemClock;
use crate::structure::ClockFloor;
use crate::structure::ConnectorState;
use crate::structure::Context;
use crate::structure::Decision;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::structure::Structure;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::Path;
use std::str::FromStr;

/// Where, and how it is told.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) place: Place,
    pub(crate) allow_network_fs: bool,
    pub(crate) json: bool,
}

/// `[DIR] NAME` as it was typed: the directory is left out where a service is asked.
pub(crate) fn split(words: &[OsString]) -> (Option<&Path>, Option<&OsStr>) {
    match words {
        [] => (None, None),
        [name] => (None, Some(name.as_os_str())),
        [dir, name, ..] => (Some(Path::new(dir)), Some(name.as_os_str())),
    }
}

/// A word that must be there and mean something.
pub(crate) fn parsed<T: FromStr>(what: &str, word: Option<&OsStr>) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    let usage = |message: String| Failure::told(Exit::Usage, message);
    let word = word.ok_or_else(|| usage(format!("{what} is missing")))?;
    let text = word.to_str().ok_or_else(|| usage(format!("{what}: {word:?} is not UTF-8")))?;
    text.parse().map_err(|error| usage(format!("{what}: {text:?}: {error}")))
}

impl Act {
    pub(crate) fn new(
        dir: Option<&Path>,
        service: &ServiceArgs,
        allow_network_fs: bool,
        json: bool,
    ) -> Result<Self, Failure> {
        Ok(Self { place: service.place(dir, None)?, allow_network_fs, json })
    }

    /// A store that nobody has open as its files are; warnings are told.
    pub(crate) fn look(&self, dir: &Path) -> Result<Inspected, Failure> {
        source::inspect(dir, self.json)
    }

    /// The whole state.
    pub(crate) fn structure(&self) -> Result<Structure, Failure> {
        match &self.place {
            Place::Store(dir) => Ok(self.look(dir)?.structure),
            Place::Service(operator) => operator.state(),
        }
    }

    /// How a store is opened: only the operator's act happens, no quarantine ends meanwhile.
    pub(crate) fn options(&self) -> Options {
        Options {
            quarantine_timer: false,
            checkpoint_at_close: false,
            allow_network: self.allow_network_fs,
            ..Options::default()
        }
    }

    /// Sends one request of an operator; whether it changed anything. `what` is what in the store it is
    /// about, `way_out` says what to do about a refusal that does not say it itself.
    pub(crate) fn request(
        &self,
        what: &str,
        request: &Request,
        way_out: impl Fn(&Refusal) -> String,
    ) -> Result<bool, Failure> {
        let refused = |error: CallError| told(&format!("{}: {what}", self.place), error, &way_out);
        match &self.place {
            Place::Store(dir) => self.request_closed(dir, request, refused),
            Place::Service(operator) => match ask(operator, request) {
                Err(OperatorError::Call(error)) => Err(refused(error)),
                asked => Ok(asked?),
            },
        }
    }

    fn request_closed(
        &self,
        dir: &Path,
        request: &Request,
        refused: impl Fn(CallError) -> Failure,
    ) -> Result<bool, Failure> {
        let store = self.look(dir)?;
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
        let facility = LocalFacility::open(dir, &self.options())?;
        let done = facility.call(request.clone());
        facility.close()?;
        done.map(|_| true).map_err(refused)
    }
}

/// Asks a service; whether anything changed, as far as can be told while others go on.
fn ask(operator: &Operator, request: &Request) -> Result<bool, OperatorError> {
    let Operator { client, structure } = operator;
    let is_failed = match request {
        Request::MarkFailed { name, .. } => match client.query(*structure, &Query::Connector(name.clone()))?.rows {
            Rows::Connector(Some(status)) => Some(status.state == ConnectorState::FailedPersistent),
            _ => None,
        },
        _ => None,
    };
    let before = client.query(*structure, &Query::Items { from: u64::MAX })?.lsn;
    let reply = client.submit(*structure, request)?;
    Ok(is_failed.map_or(reply.lsn > before, |is_failed| !is_failed))
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
