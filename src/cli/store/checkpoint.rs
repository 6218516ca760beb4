//! `portplex store checkpoint`: a checkpoint of a running service, now.
#![forbid(unsafe_code)]

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service_args::ServiceArgs;
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex store checkpoint --service unix:/run/portplex.sock

The service makes one by itself, after 64 MiB of log or 15 minutes with changes, and when it ends. One
more makes the next start faster; nobody waits for it but you.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CheckpointArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &CheckpointArgs) -> Result<Exit, Failure> {
    let operator = args.service.operator()?;
    let lsn = operator.client.checkpoint(operator.structure)?;
    if args.json {
        output::print_json(&json!({"structure": operator.structure.to_string(), "checkpoint_lsn": lsn.0}))?;
    } else {
        output::print(&format!("{}: the newest checkpoint is complete up to lsn {lsn}", operator.structure))?;
    }
    Ok(Exit::Done)
}
