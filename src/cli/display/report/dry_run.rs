//! A dry run: the sysplex of the given profiles, and what the events of a script make of it.
#![forbid(unsafe_code)]

use super::given::Given;
use super::given::GivenArgs;
use crate::cli::columns::Columns;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::profile::input;
use crate::distributor::Decision;
use crate::distributor::Distributor;
use crate::distributor::DryRun;
use crate::distributor::Options;
use crate::distributor::Outcome;
use crate::distributor::parse_script;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::profile::Profile;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::PathBuf;

/// Which profiles, and what happens.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DryRunArgs {
    #[command(flatten)]
    pub(crate) given: GivenArgs,
    /// What happens, one event a line, before the report is made
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

/// How events are written, for `--help`.
pub(crate) const EVENTS: &str = "\
Events, one a line; # and ; begin comments, case and blanks do not matter:
  listen  SYS1.TCPIP 10.1.1.1 4035 [2] [job RSED]    so many programs listen; ANY: on every DVIPA
  stop    SYS1.TCPIP 10.1.1.1 4035 [job RSED]        none of them listens any longer; ANY: on none
  arrive  203.0.113.7:50000 10.1.1.1 4035 [from SYS2.TCPIP]    a connection request
  connect SYS2.TCPIP 10.1.1.1:23937 203.0.113.9:443            a stack opens a connection
  close   203.0.113.7:50000 10.1.1.1 4035   a connection ends
  quiesce SYS1.TCPIP [4035] [job RSED]      and resume: no new distributed connections
  deactivate SYS1.TCPIP 10.1.1.1            and reactivate: the next stack has the DVIPA
  load    SYS1.TCPIP wlm=8 health=50 [10.1.1.1 4035]           of the system, or of one server
  fail    SYS1.TCPIP                        and join: a stack goes and comes
  wait    30                                seconds pass
All stacks given have joined when it starts, and no program listens. Nothing is sent anywhere.";

/// A dry run that is over.
pub(crate) struct Scene {
    pub(crate) given: Given,
    pub(crate) run: DryRun,
    /// Whether there were events at all.
    has_events: bool,
    told: Vec<Told>,
}

/// An event of which there is something to say.
struct Told {
    line: u32,
    event: String,
    outcome: Outcome,
}

impl DryRunArgs {
    /// Reads everything, and lets it happen.
    pub(crate) fn play(&self) -> Result<Scene, Failure> {
        let given = self.given.read_some()?;
        let Some(file) = &self.events else { return Scene::of(given, None).map_err(usage) };
        let script = input::bytes_of(file)?;
        Scene::of(given, Some(&script)).map_err(|error| usage(format!("{}:{error}", file.display())))
    }
}

fn usage(message: String) -> Failure {
    Failure::told(Exit::Usage, message)
}

impl Scene {
    /// Lets the events of a script happen; the error begins with its line.
    pub(super) fn of(given: Given, script: Option<&[u8]>) -> Result<Self, String> {
        let run = DryRun::new(Options::default(), given.stacks.clone()).map_err(|error| error.to_string())?;
        let mut scene = Self { given, run, has_events: script.is_some(), told: Vec::new() };
        let script = script.unwrap_or_default();
        let lines: Vec<&[u8]> = script.split(|byte| *byte == b'\n').collect();
        for (line, event) in parse_script(script).map_err(|error| error.to_string())? {
            let outcome = scene.run.step(&event).map_err(|fault| format!("{line}: {fault}"))?;
            if outcome.to_string().is_empty() {
                continue;
            }
            let text = lines.get(line as usize - 1).map(|text| String::from_utf8_lossy(text)).unwrap_or_default();
            let text = text.split(['#', ';']).next().unwrap_or_default();
            let event = text.trim_start_matches('\u{feff}').split_whitespace().collect::<Vec<_>>().join(" ");
            scene.told.push(Told { line, event, outcome });
        }
        Ok(scene)
    }

    /// The stacks that are in the sysplex, in the order given, with their profiles.
    pub(crate) fn joined(&self) -> impl Iterator<Item = (&ConnectorName, &Profile)> {
        let stacks = self.run.profiles().iter().map(|(stack, profile)| (stack, profile));
        stacks.filter(|(stack, _)| self.run.is_joined(stack))
    }

    /// The DVIPAs that a stack has, with their routing.
    pub(crate) fn owned(&self, stack: &ConnectorName) -> impl Iterator<Item = (Dvipa, &Distributor)> {
        let routed = |dvipa: &Dvipa| Some((*dvipa, self.run.sysplex().distributor(*dvipa)?));
        self.run.dvipas().iter().filter_map(routed).filter(move |(_, distributor)| distributor.owner() == stack)
    }

    /// A stack's dynamic XCF address of the DVIPA's IP version.
    pub(crate) fn xcf(&self, stack: &ConnectorName, dvipa: Dvipa) -> Option<IpAddr> {
        let (_, profile) = self.run.profiles().iter().find(|(name, _)| name == stack)?;
        match dvipa.address() {
            IpAddr::V4(_) => profile.ip.dynamic_xcf,
            IpAddr::V6(_) => profile.ip6.dynamic_xcf.map(IpAddr::V6),
        }
    }

    /// Its text; `*NA*` without one.
    pub(crate) fn xcf_text(&self, stack: &ConnectorName, dvipa: Dvipa) -> String {
        self.xcf(stack, dvipa).map_or_else(|| super::NOT_HERE.to_owned(), |address| address.to_string())
    }

    /// A report's JSON, with every event of which there is something to say.
    pub(crate) fn json(&self, report: &str, key: &str, rows: Vec<Value>) -> Value {
        let told = self
            .told
            .iter()
            .map(|Told { line, event, outcome }| json!({"line": line, "event": event, "outcome": outcome.to_string()}));
        json!({"report": report, key: rows, "events": told.collect::<Vec<_>>()})
    }

    /// A report's text: behind it the events that moved a DVIPA or came to nothing.
    pub(crate) fn text(&self, report: String) -> String {
        if !self.has_events {
            return format!("{report}\nNo --events: all stacks have just joined, and no program listens.\n");
        }
        let came_to_something = |outcome: &Outcome| match outcome {
            Outcome::Done | Outcome::Connected | Outcome::Routed(Decision::Forward { .. }) => true,
            Outcome::Routed(_) | Outcome::Collision(_) | Outcome::Moved(_) => false,
        };
        let mut columns = Columns::new(&["LINE", "EVENT", "OUTCOME"], "rll");
        let mut is_empty = true;
        for Told { line, event, outcome } in self.told.iter().filter(|told| !came_to_something(&told.outcome)) {
            columns.row(vec![line.to_string(), event.clone(), outcome.to_string()]);
            is_empty = false;
        }
        if is_empty { report } else { format!("{report}\n{}", columns.render()) }
    }
}
