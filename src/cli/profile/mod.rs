//! `portplex profile`: TCP/IP profiles checked, and shown as a stack sees them; reads files only.
#![forbid(unsafe_code)]

mod check;
pub(crate) mod input;
mod show;
pub(crate) mod snippet;

use super::exit::Exit;
use super::exit::Failure;

/// Check TCP/IP profiles and show what a stack makes of them.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProfileArgs {
    #[command(subcommand)]
    verb: ProfileVerb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum ProfileVerb {
    /// Say what is wrong in profiles, and what is legal and still a mistake, across a whole sysplex
    #[command(after_long_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// Show what a stack makes of a profile: DVIPAs, distribution, allowable ports, structure
    #[command(after_long_help = show::EXAMPLES)]
    Show(show::ShowArgs),
}

impl ProfileArgs {
    pub(crate) fn is_json(&self) -> bool {
        match &self.verb {
            ProfileVerb::Check(args) => args.json,
            ProfileVerb::Show(args) => args.json,
        }
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        match &self.verb {
            ProfileVerb::Check(args) => check::run(args),
            ProfileVerb::Show(args) => show::run(args),
        }
    }
}
