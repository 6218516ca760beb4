//! `portplex dev`: a whole sysplex on this machine, under real connections and real crashes.
//!
//! The facility is the real service, `portplex serve`, in a process of its own that is killed with
//! SIGKILL at random moments; every stack is a thread of this process that takes ports through its own
//! connection to it and opens real TCP connections from them. A checker that shares no code with the
//! allocator hears everything that passes.
//!
//! Rooms: [`settings`] makes sense of what was typed, [`run`] conducts, [`process`] is the service's
//! life as its parent sees it, [`worker`] is one stack, [`tap`] and [`checker`] judge, [`outcome`] and
//! [`report`] tell.

mod checker;
mod clock;
mod connection;
mod error;
mod interrupt;
mod outcome;
mod process;
mod progress;
mod random;
mod report;
mod run;
mod settings;
mod shared;
mod stand_in;
mod tap;
mod tide;
mod worker;

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::identity;
use crate::cli::output;
use error::DevError;
use settings::Settings;
use std::path::PathBuf;
use std::time::Duration;

/// What `portplex dev` was asked for.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct DevArgs {
    /// TCP/IP profiles, one per stack; each stack is named after its file (sys1.profile is
    /// SYS1.TCPIP). Without any the sample sysplex of three stacks runs
    #[arg(value_name = "PROFILE")]
    profiles: Vec<PathBuf>,
    /// Directory of the store; made if there is none
    #[arg(long, value_name = "DIR", default_value = "./portplex-data")]
    data: PathBuf,
    /// Connections to open, all stacks together [default: 1,500 for each second of the run]
    #[arg(long, value_name = "N")]
    connections: Option<u64>,
    /// How often the facility is killed with SIGKILL, at random moments under load
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=1_000))]
    crashes: u32,
    /// How long to run, such as 10s, 500ms or 2m [default: 10s]
    #[arg(long = "for", value_name = "DURATION", value_parser = settings::parse_duration)]
    duration: Option<Duration>,
    /// Keep the store on a network file system too: neither its locks nor its syncs are to be relied on
    #[arg(long)]
    allow_network_fs: bool,
    /// Print one JSON object and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

const EXAMPLES: &str = "\
Examples:
  portplex dev                               # three stacks, two crashes, ten seconds
  portplex dev --crashes 5 --json            # for a program to read
  portplex dev --for 1m --connections 200000 --crashes 20
  portplex dev sys1.profile sys2.profile     # one stack per profile

Real sockets bind the groups' ports on addresses of 127.0.0.0/8 that stand in for the DVIPAs;
quarantine is 3 s here. A second run takes up the groups that the first one left.
It ends with 70 if a port was ever in two hands.";

/// Runs a sysplex and tells what happened.
///
/// # Errors
/// [`Failure`]; with exit code 70 if the checker found anything.
pub(crate) fn run(args: &DevArgs) -> Result<(), Failure> {
    let stop = interrupt::watch()?;
    let settings = Settings::new(args)?;
    let mut told = Ok(());
    let outcome = run::run(args, settings, &stop, |settings, opening| {
        if !args.json {
            told = output::print(&report::opening(settings, opening));
        }
    })?;
    told?;
    if args.json {
        output::print_json(&outcome.json())?;
    } else {
        output::print(&report::closing(&outcome))?;
    }
    match outcome.findings.all() {
        0 => Ok(()),
        count => {
            Err(Failure::told(Exit::Bug, format!("the checker found {count} breaches of the promises: see above")))
        }
    }
}

impl DevArgs {
    /// What the run's random moments grow from: `PORTPLEX_SEED`, or something new.
    fn seed(&self) -> Result<u64, DevError> {
        match std::env::var("PORTPLEX_SEED").ok().and_then(|text| text.parse().ok()) {
            Some(seed) => Ok(seed),
            None => Ok(identity::random()?),
        }
    }
}
