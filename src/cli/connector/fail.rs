//! `portplex connector fail`: an incarnation is failed-persistent, by an operator's word.
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
  portplex connector list /srv/ports
  portplex connector fail /srv/ports SYS2.TCPIP --incarnation 7 --by ALICE

Nothing is taken from it: what it holds is kept, and its stack may attach again. It is the step
before `connector clean-up`. The store must be closed: stop what serves it first.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FailArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
}

pub(crate) fn run(args: &FailArgs) -> Result<Exit, Failure> {
    let NamedArgs { dir, name, incarnation, by, json, .. } = &args.named;
    let request = Request::MarkFailed { name: name.clone(), incarnation: *incarnation, by: Some(by.clone()) };
    let done = act::request(&args.named.act(), name.as_str(), &request, |refusal| args.named.way_out(refusal))?;
    if *json {
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
             portplex connector clean-up {} {name} --incarnation {incarnation} --by {by} --boot-is-dead",
            dir.display()
        ))?;
    } else {
        output::print(&format!("{name}: incarnation {incarnation} is failed-persistent already; nothing was changed"))?;
    }
    Ok(Exit::Done)
}
