//! `portplex connector fail`: an incarnation is failed-persistent, by an operator's word.
#![forbid(unsafe_code)]

use super::Named;
use super::NamedArgs;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex connector list /srv/ports
  portplex connector fail /srv/ports SYS2.TCPIP --incarnation 7 --by ALICE
  portplex connector fail SYS2.TCPIP --incarnation 7 --by ALICE --service unix:/run/portplex.sock

Nothing is taken from it: what it holds is kept, and its stack may attach again. It is the step
before `connector clean-up`. A store that is being served is reached through its service.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FailArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
}

pub(crate) fn run(args: &FailArgs) -> Result<Exit, Failure> {
    let named = args.named.named()?;
    let done = named.request(&named.mark_failed())?;
    let Named { name, incarnation, by, .. } = &named;
    if args.named.json {
        output::print_json(&json!({
            "failed": name.as_str(),
            "incarnation": incarnation.0,
            "by": by.as_str(),
            "changed": done,
        }))?;
    } else if done {
        output::print(&format!(
            "{name}: incarnation {incarnation} is failed-persistent by the word of {by}; its ports are kept for it\n\
             If that boot of its machine is dead, give them to quarantine:\n  \
             {} --boot-is-dead",
            named.command("clean-up")
        ))?;
    } else {
        output::print(&format!("{name}: incarnation {incarnation} is failed-persistent already; nothing was changed"))?;
    }
    Ok(Exit::Done)
}
