//! `portplex connector disconnect`: a connector ends in one step, by an operator's word.
#![forbid(unsafe_code)]

use super::Named;
use super::NamedArgs;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex connector list --service unix:/run/portplex.sock
  portplex connector disconnect SYS2.TCPIP --incarnation 7 --by ALICE --boot-is-dead --service unix:/run/portplex.sock
  portplex connector disconnect /srv/ports SYS2.TCPIP --incarnation 7 --by ALICE --boot-is-dead

It is `connector fail` and then `connector clean-up`, for a stack whose machine you know to be gone:
what it held goes to quarantine and the connector is forgotten. A stack that still runs disconnects by
itself when it is told to end. If this is interrupted between the two steps, say it again.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DisconnectArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// You vouch that this boot of its machine is dead: it sends no packet any more
    #[arg(long, required = true)]
    boot_is_dead: bool,
}

pub(crate) fn run(args: &DisconnectArgs) -> Result<Exit, Failure> {
    let named = args.named.named()?;
    named.request(&named.mark_failed())?;
    named.request(&named.clean_up(args.boot_is_dead))?;
    let Named { name, incarnation, by, .. } = &named;
    if args.named.json {
        output::print_json(&json!({
            "disconnected": name.as_str(),
            "incarnation": incarnation.0,
            "by": by.as_str(),
        }))?;
    } else {
        output::print(&format!(
            "{name}: disconnected by the word of {by}; what incarnation {incarnation} held is in quarantine"
        ))?;
    }
    Ok(Exit::Done)
}
