//! `portplex connector clean-up`: what a dead stack held goes to quarantine, by an operator's word.
#![forbid(unsafe_code)]

use super::NamedArgs;
use crate::cli::act;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::structure::Request;
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex connector fail /srv/ports SYS2.TCPIP --incarnation 7 --by ALICE
  portplex connector clean-up /srv/ports SYS2.TCPIP --incarnation 7 --by ALICE --boot-is-dead

--boot-is-dead is your statement that this boot of this machine sends no packet any more: it was
powered off, it rebooted, the virtual machine was deleted. \"It looks idle\" and \"it does not answer\"
are no such statement: if it runs, two stacks will use one port. The log keeps your name.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CleanUpArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// You vouch that this boot of its machine is dead; required before a promised deadline has
    /// passed, and always where none was promised
    #[arg(long)]
    boot_is_dead: bool,
}

pub(crate) fn run(args: &CleanUpArgs) -> Result<Exit, Failure> {
    let NamedArgs { name, incarnation, by, json, .. } = &args.named;
    let request = Request::CleanUp {
        name: name.clone(),
        incarnation: *incarnation,
        by: by.clone(),
        boot_is_dead: args.boot_is_dead,
    };
    let done = act::request(&args.named.act(), name.as_str(), &request, |refusal| args.named.way_out(refusal))?;
    if *json {
        output::print_json(&json!({
            "cleaned_up": name.as_str(),
            "incarnation": incarnation.0,
            "by": by.as_str(),
            "changed": done,
        }))?;
    } else {
        output::print(&format!(
            "{name}: cleaned up by the word of {by}; what incarnation {incarnation} held is in quarantine"
        ))?;
    }
    Ok(Exit::Done)
}
