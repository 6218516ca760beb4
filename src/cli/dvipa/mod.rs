//! `portplex dvipa`: which DVIPAs have lists, and what an operator decides about them.
#![forbid(unsafe_code)]

mod drain;
mod list;
mod policy;

use super::act;
use super::act::Act;
use super::args::parse_transport;
use super::exit::Exit;
use super::exit::Failure;
use super::output;
use super::service_args::Place;
use super::service_args::ServiceArgs;
use crate::ident::Dvipa;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Refusal;
use crate::structure::Request;
use serde_json::json;
use std::ffi::OsString;

const DEFINE_EXAMPLES: &str = "\
Examples:
  portplex dvipa define 10.1.1.1 --service unix:/run/portplex.sock
  portplex dvipa define /srv/ports 2001:db8::1 --transport udp

A stack's first join makes a list too; a list that was defined stays when its last stack has left.
Defining a list that was deleted opens it again with all that is in it.";

const DELETE_EXAMPLES: &str = "\
Examples:
  portplex dvipa delete 10.1.1.1 --service unix:/run/portplex.sock
  portplex dvipa delete /srv/ports 10.1.1.1

Nothing new is granted from then on; what is held stays held, releases work, and the list goes when
it is empty. `dvipa drain` does the same and waits for that; `dvipa define` takes it back.";

/// Look at the lists of DVIPAs, make them, close them, set their policies.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DvipaArgs {
    #[command(subcommand)]
    verb: DvipaVerb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum DvipaVerb {
    /// List every DVIPA with what is held, in quarantine and free, and its policy; changes nothing
    #[command(after_long_help = list::EXAMPLES)]
    List(list::ListArgs),
    /// Make a list, or open a deleted one again with all that is in it
    #[command(after_long_help = DEFINE_EXAMPLES)]
    Define(TargetArgs),
    /// Close a list: nothing new is granted, and it goes when it is empty
    #[command(after_long_help = DELETE_EXAMPLES)]
    Delete(TargetArgs),
    /// Close a list of a running service and wait until it is empty, showing how far it is
    #[command(after_long_help = drain::EXAMPLES)]
    Drain(drain::DrainArgs),
    /// Show or set a list's policy: quota per stack, reserve, quarantine
    #[command(after_long_help = policy::EXAMPLES)]
    Policy(policy::PolicyArgs),
}

/// One list, and where it is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TargetArgs {
    /// The DVIPA, an IPv4 or IPv6 address; before it the directory of the store, unless a service is asked
    #[arg(value_name = "[DIR] DVIPA", num_args = 1..=2, required = true)]
    words: Vec<OsString>,
    /// tcp or udp
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp", value_parser = parse_transport)]
    transport: Transport,
    #[command(flatten)]
    service: ServiceArgs,
    /// Open the store on a network file system too
    #[arg(long)]
    allow_network_fs: bool,
    /// One JSON object on one line
    #[arg(long)]
    json: bool,
}

/// What was meant.
struct Meant {
    act: Act,
    target: Target,
}

impl TargetArgs {
    fn meant(&self) -> Result<Meant, Failure> {
        let (dir, dvipa) = act::split(&self.words);
        let dvipa: Dvipa = act::parsed("the DVIPA", dvipa)?;
        let act = Act::new(dir, &self.service, self.allow_network_fs, self.json)?;
        Ok(Meant { act, target: Target::List(dvipa, self.transport) })
    }
}

impl Meant {
    fn request(&self, request: &Request) -> Result<bool, Failure> {
        self.act.request(&self.target.to_string(), request, |refusal| match refusal {
            Refusal::UnknownList { .. } => {
                format!("which lists there are: portplex dvipa list {}", self.act.place.argument())
            }
            Refusal::GrantsStopped { .. } => {
                format!("what is to be done about it: portplex store status {}", self.act.place.argument())
            }
            _ => String::new(),
        })
    }

    /// `portplex dvipa VERB …` about the same list.
    fn command(&self, verb: &str) -> String {
        let transport = match self.target.transport() {
            Transport::Tcp => "",
            Transport::Udp => " --transport udp",
        };
        let dvipa = self.target.dvipa_text();
        match &self.act.place {
            Place::Store(dir) => format!("portplex dvipa {verb} {} {dvipa}{transport}", dir.display()),
            place => format!("portplex dvipa {verb} {dvipa}{transport} {}", place.argument()),
        }
    }
}

impl DvipaArgs {
    pub(crate) fn is_json(&self) -> bool {
        match &self.verb {
            DvipaVerb::List(args) => args.json,
            DvipaVerb::Define(args) | DvipaVerb::Delete(args) => args.json,
            DvipaVerb::Drain(args) => args.target.json,
            DvipaVerb::Policy(args) => args.target.json,
        }
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        match &self.verb {
            DvipaVerb::List(args) => list::run(args),
            DvipaVerb::Define(args) => define(args),
            DvipaVerb::Delete(args) => delete(args),
            DvipaVerb::Drain(args) => drain::run(args),
            DvipaVerb::Policy(args) => policy::run(args),
        }
    }
}

fn define(args: &TargetArgs) -> Result<Exit, Failure> {
    let meant = args.meant()?;
    let done = meant.request(&Request::Define { target: meant.target })?;
    let text = if done { "is defined" } else { "was defined already; nothing was changed" };
    tell(args, &meant, "defined", done, &format!("{} {text}", meant.target))
}

fn delete(args: &TargetArgs) -> Result<Exit, Failure> {
    let meant = args.meant()?;
    let done = meant.request(&Request::Delete { target: meant.target })?;
    let text = if done { "is closed" } else { "was closed already; nothing was changed" };
    let text = format!(
        "{} {text}: it goes when nothing in it is held or in quarantine\nTo open it again: {}",
        meant.target,
        meant.command("define")
    );
    tell(args, &meant, "deleted", done, &text)
}

fn tell(args: &TargetArgs, meant: &Meant, what: &str, done: bool, text: &str) -> Result<Exit, Failure> {
    if args.json {
        let (dvipa, transport) = (meant.target.dvipa_text(), meant.target.transport().name());
        output::print_json(&json!({ what: dvipa, "transport": transport, "changed": done }))?;
    } else {
        output::print(text)?;
    }
    Ok(Exit::Done)
}
