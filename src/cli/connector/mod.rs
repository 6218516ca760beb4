//! `portplex connector`: what an operator says about a stack that cannot speak for itself.
//!
//! A live kernel's ports are never given away by a timer. Whoever cleans up names the incarnation,
//! so that a late command cannot hit the next life, and vouches with a name that the log keeps.
#![forbid(unsafe_code)]

mod clean_up;
mod fail;
mod list;

use super::act::Act;
use super::exit::Exit;
use super::exit::Failure;
use crate::ident::ConnectorName;
use crate::ident::Incarnation;
use crate::structure::Refusal;
use std::path::PathBuf;

/// Look at the connectors of a closed store, and vouch for stacks that are gone.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ConnectorArgs {
    #[command(subcommand)]
    verb: ConnectorVerb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum ConnectorVerb {
    /// List every connector with its incarnation and what it holds; changes no byte
    #[command(after_long_help = list::EXAMPLES)]
    List(list::ListArgs),
    /// Mark one incarnation failed-persistent: its stack is gone, its ports are kept for it
    #[command(after_long_help = fail::EXAMPLES)]
    Fail(fail::FailArgs),
    /// Give everything that a failed connector holds to quarantine and forget it, by your word
    #[command(after_long_help = clean_up::EXAMPLES)]
    CleanUp(clean_up::CleanUpArgs),
}

/// One incarnation of one connector, and by whose word something happens to it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NamedArgs {
    /// Directory of the store
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Name of the connector, such as SYS1.TCPIP
    #[arg(value_name = "NAME")]
    name: ConnectorName,
    /// Which life of it, as `connector list` shows it; refused if a newer one has attached
    #[arg(long, value_name = "N", value_parser = parse_incarnation)]
    incarnation: Incarnation,
    /// By whose word: your name, or that of what deleted the machine; the log keeps it
    #[arg(long, value_name = "WHO")]
    by: ConnectorName,
    /// Open the store on a network file system too
    #[arg(long)]
    allow_network_fs: bool,
    /// One JSON object on one line
    #[arg(long)]
    json: bool,
}

impl NamedArgs {
    fn act(&self) -> Act<'_> {
        Act { dir: &self.dir, allow_network_fs: self.allow_network_fs, json: self.json }
    }

    /// What to do about a refusal.
    fn way_out(&self, refusal: &Refusal) -> String {
        let Self { dir, name, incarnation, by, .. } = self;
        let dir = dir.display();
        match refusal {
            Refusal::UnknownConnector => format!("who is known: portplex connector list {dir}"),
            Refusal::StaleIncarnation { .. } => {
                format!("its stack came back meanwhile, look first: portplex connector list {dir}")
            }
            Refusal::NotFailed { .. } => {
                format!("portplex connector fail {dir} {name} --incarnation {incarnation} --by {by}")
            }
            Refusal::BootMayBeAlive => "only if you know it, add --boot-is-dead".to_owned(),
            _ => String::new(),
        }
    }
}

fn parse_incarnation(text: &str) -> Result<Incarnation, String> {
    text.parse().map(Incarnation).map_err(|_| "an incarnation is a number: see `portplex connector list`".to_owned())
}

impl ConnectorArgs {
    pub(crate) fn is_json(&self) -> bool {
        match &self.verb {
            ConnectorVerb::List(args) => args.json,
            ConnectorVerb::Fail(args) => args.named.json,
            ConnectorVerb::CleanUp(args) => args.named.json,
        }
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        match &self.verb {
            ConnectorVerb::List(args) => list::run(args),
            ConnectorVerb::Fail(args) => fail::run(args),
            ConnectorVerb::CleanUp(args) => clean_up::run(args),
        }
    }
}
