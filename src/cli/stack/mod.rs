//! `portplex stack`: a stack on its own machine, and what programs and people ask of it.
//!
//! `run` is the stack's agent: it reads the profile, takes the machine's lock, attaches to a service,
//! keeps its lease, and serves programs on a local socket (docs/agent.md has the protocol). The other
//! verbs are such programs.
#![forbid(unsafe_code)]

mod agent;
mod ask;
mod book;
mod keeper;
mod local;
mod position;
mod probe;
mod run;
mod told;
mod verbs;

use super::exit::Exit;
use super::exit::Failure;

/// Run a stack on this machine, and take ports from it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StackArgs {
    #[command(subcommand)]
    verb: StackVerb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum StackVerb {
    /// Run a stack: connect it to a service, and hand its ports to programs of this machine
    #[command(after_long_help = run::EXAMPLES)]
    Run(Box<run::RunArgs>),
    /// Show what a running stack holds, its lease, and whether it reaches its facility
    #[command(after_long_help = verbs::STATUS_EXAMPLES)]
    Status(verbs::StatusArgs),
    /// Take a source port of a DVIPA that no other stack can have, and print it
    #[command(after_long_help = verbs::BIND_EXAMPLES)]
    Bind(verbs::BindArgs),
    /// Take source address and port of a connection, and print them
    #[command(after_long_help = verbs::CONNECT_EXAMPLES)]
    Connect(verbs::ConnectArgs),
    /// Take a port to listen on
    #[command(after_long_help = verbs::LISTEN_EXAMPLES)]
    Listen(verbs::ListenArgs),
    /// Give a port back: it is free again when no socket is on it
    #[command(after_long_help = verbs::RELEASE_EXAMPLES)]
    Release(verbs::ReleaseArgs),
    /// Apply a data set to the running stack (VARY TCPIP,,OBEYFILE)
    #[command(after_long_help = verbs::OBEYFILE_EXAMPLES)]
    Obeyfile(verbs::ObeyfileArgs),
}

impl StackArgs {
    pub(crate) fn is_json(&self) -> bool {
        match &self.verb {
            StackVerb::Run(args) => args.json,
            StackVerb::Status(args) => args.at.json,
            StackVerb::Bind(args) => args.at.json,
            StackVerb::Connect(args) => args.at.json,
            StackVerb::Listen(args) => args.at.json,
            StackVerb::Release(args) => args.at.json,
            StackVerb::Obeyfile(args) => args.at.json,
        }
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        match &self.verb {
            StackVerb::Run(args) => run::run(args),
            StackVerb::Status(args) => args.run(),
            StackVerb::Bind(args) => args.run(),
            StackVerb::Connect(args) => args.run(),
            StackVerb::Listen(args) => args.run(),
            StackVerb::Release(args) => args.run(),
            StackVerb::Obeyfile(args) => args.run(),
        }
    }
}
