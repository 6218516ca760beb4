//! `portplex dvipa list`: the same as `display lists`, of a closed store or a running service.
#![forbid(unsafe_code)]

use crate::cli::act::Act;
use crate::cli::display;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service_args::ServiceArgs;
use crate::cli::state::State;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex dvipa list --service unix:/run/portplex.sock
  portplex dvipa list /srv/ports --json | jq -r '.lists[] | select(.free < 6400).dvipa'";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Directory of the store, unless a service is asked
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    service: ServiceArgs,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &ListArgs) -> Result<Exit, Failure> {
    let structure = Act::new(args.dir.as_deref(), &args.service, false, args.json)?.structure()?;
    let state = State::new(structure.items());
    if args.json {
        output::print_json(&display::lists_json(&state))?;
    } else {
        output::print(&display::lists_text(&state))?;
    }
    Ok(Exit::Done)
}
