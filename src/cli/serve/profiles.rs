//! The profiles of a structure's stacks: read at the start and at SIGHUP, and what is said from them.
#![forbid(unsafe_code)]

use super::line::Line;
use super::open::Store;
use crate::cli::config::Config;
use crate::cli::display::Active;
use crate::cli::display::given;
use crate::cli::display::given::Given;
use crate::cli::display::live;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::explain::live::Live;
use crate::cli::explain::live::Unexplained;
use crate::cli::explain::profiles;
use crate::cli::explain::profiles::Named;
use crate::cli::explain::profiles::ReadNamed;
use crate::cli::notice;
use crate::cli::profile::snippet;
use crate::cli::size::counted;
use crate::facility::LocalFacility;
use crate::facility::Status;
use crate::ident::StructureName;
use crate::ident::Transport;
use crate::profile::Severity;
use crate::structure::PortRange;
use crate::web;
use crate::web::Report;
use crate::web::Reports;
use crate::web::Seen;
use parking_lot::RwLock;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Most profiles of one structure.
const PROFILES_MAX: usize = 64;

/// The profiles of one structure as they were read last.
pub(super) struct Profiles {
    /// The directory of its store, as it is configured.
    pub(super) data: PathBuf,
    read: RwLock<Arc<Read>>,
}

/// What was read, and what it comes to: the files are looked at no more.
struct Read {
    rows: Value,
    given: Given,
    named: Vec<Named>,
    /// Each as it would be printed; `ports` is made anew each time.
    displays: Vec<(Report, Value)>,
}

/// Reads those of every structure: the first mistake is the end of the start.
pub(super) fn all(config: &Config) -> Result<Vec<Arc<Profiles>>, Failure> {
    let of = |structure: &crate::cli::config::StructureConfig| {
        let read = RwLock::new(Arc::new(read(&structure.profiles)?));
        Ok(Arc::new(Profiles { data: structure.data.clone(), read }))
    };
    config.structures.iter().map(of).collect()
}

/// Reads them all; a profile with an error is a mistake too: what is shown must be what stacks do.
fn read(words: &[String]) -> Result<Read, Failure> {
    if words.len() > PROFILES_MAX {
        let message = format!(
            "{} are configured: one structure has at most {PROFILES_MAX}",
            counted(words.len() as u64, "profile")
        );
        return Err(Failure::told(Exit::Usage, message));
    }
    let parsed = words.iter().map(|word| profiles::parse_typed(word));
    let typed: Vec<_> = parsed
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::told(Exit::Usage, format!("profiles: {error}; write \"FILE\" or \"NAME=FILE\"")))?;
    let read = profiles::read(&typed, &[])?;
    let (mut rows, mut stacks, mut named) = (Vec::new(), Vec::new(), Vec::new());
    for (typed, ReadNamed { named: of, texts }) in typed.iter().zip(read) {
        let found = || texts.iter().flat_map(|text| text.diagnostics.iter().map(move |found| (text, found)));
        let errors = || found().filter(|(_, found)| found.severity == Severity::Error);
        if let Some((text, first)) = errors().next() {
            let (file, count) = (typed.file.display(), counted(errors().count() as u64, "error"));
            let message =
                format!("{}; {count}: `portplex profile check {file}` says all", snippet::line(&text.name, first));
            return Err(Failure::told(Exit::Refused, message));
        }
        let name = typed.name.clone().map_or_else(|| given::name_of(&typed.file), Ok)?;
        let diagnostics: Vec<String> = found().map(|(text, found)| snippet::line(&text.name, found)).collect();
        rows.push(
            json!({"stack": name.as_str(), "file": typed.file.display().to_string(), "diagnostics": diagnostics}),
        );
        stacks.push((name, of.profile.clone()));
        named.push(of);
    }
    let given = Given::read_before(stacks);
    let fixed = Report::ALL.into_iter().filter(|report| *report != Report::Ports);
    let display = |report| live::json(report, &given, None).map(|shown| (report, shown));
    let displays = fixed.map(display).collect::<Result<_, _>>().map_err(|error| Failure::told(Exit::Usage, error))?;
    Ok(Read { rows: rows.into(), given, named, displays })
}

impl Profiles {
    /// Reads the files again; those before stay in force if there is a mistake: false.
    pub(super) fn reload(&self, words: &[String]) -> bool {
        match read(words) {
            Ok(read) => {
                let is_new = self.read.read().rows != read.rows || self.read.read().given != read.given;
                let count = read.named.len() as u64;
                *self.read.write() = Arc::new(read);
                if is_new {
                    let text = format!("{}: {} read anew", self.data.display(), counted(count, "profile"));
                    Line::of("profiles").info(text);
                }
                true
            }
            Err(failure) => {
                let text = format!("{}: the profiles before stay in force: {failure}", self.data.display());
                Line::of("reload-failed").warn(text);
                false
            }
        }
    }

    fn now(&self) -> Arc<Read> {
        Arc::clone(&self.read.read())
    }
}

/// What is said from them of one structure.
pub(super) struct StructureReports {
    name: StructureName,
    profiles: Arc<Profiles>,
}

/// With each structure what is said of it.
pub(super) fn reported(
    stores: &[Store],
    all: &[Arc<Profiles>],
) -> Vec<(StructureName, Arc<LocalFacility>, Arc<dyn Reports>)> {
    let reported = |store: &Store| {
        let profiles = all.iter().find(|profiles| profiles.data == store.data)?;
        let reports = Arc::new(StructureReports::new(store.name, profiles)) as Arc<dyn Reports>;
        Some((store.name, Arc::clone(&store.facility), reports))
    };
    stores.iter().filter_map(reported).collect()
}

impl StructureReports {
    pub(super) fn new(name: StructureName, profiles: &Arc<Profiles>) -> Self {
        Self { name, profiles: Arc::clone(profiles) }
    }
}

impl Reports for StructureReports {
    fn profiles(&self) -> Value {
        self.profiles.now().rows.clone()
    }

    fn display(&self, report: Report, status: &Status, range: Option<PortRange>) -> Value {
        let read = self.profiles.now();
        if let Some((_, shown)) = read.displays.iter().find(|(of, _)| *of == report) {
            return shown.clone();
        }
        let notices = notice::of_status(&self.profiles.data.display().to_string(), status);
        let active = Active { structure: self.name, range, notices };
        live::json(report, &read.given, Some(&active)).unwrap_or_default()
    }

    fn explain(
        &self,
        facility: &LocalFacility,
        Seen { structure, clocks, status }: Seen,
        what: &str,
        transport: Option<Transport>,
    ) -> Result<Value, web::Unexplained> {
        let (dir, status, profiles) = (self.profiles.data.as_path(), &status, self.profiles.now().named.clone());
        let live = Live { dir, facility, structure, clocks, status, profiles };
        let explained = live.explain(what, transport).map_err(|error| match error {
            Unexplained::NotUnderstood(text) => web::Unexplained::NotUnderstood { text },
            Unexplained::Unknown(text) => web::Unexplained::Unknown { text },
        })?;
        if let Some(warning) = explained.warning {
            let text = format!("an explanation has no times, the log cannot be read there: {warning}");
            Line::about("explained", &self.name.to_string()).warn(text);
        }
        Ok(explained.answer)
    }
}
