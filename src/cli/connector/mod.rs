//! `portplex connector`: what an operator says about a stack that cannot speak for itself.
//!
//! A live kernel's ports are never given away by a timer. Whoever cleans up names the incarnation,
//! so that a late command cannot hit the next life, and vouches with a name that the log keeps.
#![forbid(unsafe_code)]

mod clean_up;
mod disconnect;
mod fail;
mod gone;
mod list;

use super::act;
use super::act::Act;
use super::exit::Exit;
use super::exit::Failure;
use super::service_args::Place;
use super::service_args::ServiceArgs;
use crate::ident::ConnectorName;
use crate::ident::Incarnation;
use crate::structure::Refusal;
use crate::structure::Request;
use std::ffi::OsString;

/// Look at connectors, of a closed store or a running service, and vouch for stacks that are gone.
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
    /// End a connector in one step, by your word that its boot is dead: mark it failed, then clean it up
    #[command(after_long_help = disconnect::EXAMPLES)]
    Disconnect(disconnect::DisconnectArgs),
}

/// One incarnation of one connector, and by whose word something happens to it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NamedArgs {
    /// Name of the connector, such as SYS1.TCPIP; before it the directory of the store, unless a service
    /// is asked
    #[arg(value_name = "[DIR] NAME", num_args = 1..=2, required = true)]
    words: Vec<OsString>,
    /// Which life of it, as `connector list` shows it; refused if a newer one has attached
    #[arg(long, value_name = "N", value_parser = parse_incarnation)]
    incarnation: Incarnation,
    /// By whose word: your name, or that of what deleted the machine; the log keeps it
    #[arg(long, value_name = "WHO")]
    by: ConnectorName,
    #[command(flatten)]
    service: ServiceArgs,
    /// Open the store on a network file system too
    #[arg(long)]
    allow_network_fs: bool,
    /// One JSON object on one line
    #[arg(long)]
    json: bool,
}

/// Whom an act is about, and where.
#[derive(Debug)]
pub(crate) struct Named {
    act: Act,
    name: ConnectorName,
    incarnation: Incarnation,
    by: ConnectorName,
}

impl NamedArgs {
    fn named(&self) -> Result<Named, Failure> {
        let (dir, name) = act::split(&self.words);
        let name = act::parsed("the connector's name", name)?;
        let act = Act::new(dir, &self.service, self.allow_network_fs, self.json)?;
        Ok(Named { act, name, incarnation: self.incarnation, by: self.by.clone() })
    }
}

impl Named {
    fn request(&self, request: &Request) -> Result<bool, Failure> {
        self.act.request(self.name.as_str(), request, |refusal| self.way_out(refusal))
    }

    fn mark_failed(&self) -> Request {
        Request::MarkFailed { name: self.name.clone(), incarnation: self.incarnation, by: Some(self.by.clone()) }
    }

    fn clean_up(&self, boot_is_dead: bool) -> Request {
        Request::CleanUp { name: self.name.clone(), incarnation: self.incarnation, by: self.by.clone(), boot_is_dead }
    }

    /// A command about this incarnation.
    fn command(&self, verb: &str) -> String {
        let Self { act, name, incarnation, by } = self;
        match &act.place {
            Place::Store(dir) => {
                format!("portplex connector {verb} {} {name} --incarnation {incarnation} --by {by}", dir.display())
            }
            place => {
                format!("portplex connector {verb} {name} --incarnation {incarnation} --by {by} {}", place.argument())
            }
        }
    }

    /// What to do about a refusal.
    fn way_out(&self, refusal: &Refusal) -> String {
        let place = self.act.place.argument();
        match refusal {
            Refusal::UnknownConnector => format!("who is known: portplex connector list {place}"),
            Refusal::StaleIncarnation { .. } => {
                format!("its stack came back meanwhile, look first: portplex connector list {place}")
            }
            Refusal::NotFailed { .. } => self.command("fail"),
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
            ConnectorVerb::CleanUp(args) => args.json,
            ConnectorVerb::Disconnect(args) => args.named.json,
        }
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        match &self.verb {
            ConnectorVerb::List(args) => list::run(args),
            ConnectorVerb::Fail(args) => fail::run(args),
            ConnectorVerb::CleanUp(args) => clean_up::run(args),
            ConnectorVerb::Disconnect(args) => disconnect::run(args),
        }
    }
}
