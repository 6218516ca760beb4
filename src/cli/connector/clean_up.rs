//! `portplex connector clean-up`: what a dead stack held goes to quarantine, by an operator's word.
#![forbid(unsafe_code)]

use super::Named;
use super::gone;
use super::parse_incarnation;
use crate::cli::act;
use crate::cli::act::Act;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service_args::ServiceArgs;
use crate::ident::ConnectorName;
use crate::ident::Incarnation;
use serde_json::json;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex connector fail /srv/ports SYS2.TCPIP --incarnation 7 --by ALICE
  portplex connector clean-up /srv/ports SYS2.TCPIP --incarnation 7 --by ALICE --boot-is-dead
  portplex connector clean-up SYS2.TCPIP --incarnation 7 --by ALICE --boot-is-dead --service unix:/run/portplex.sock
  portplex connector clean-up --gone-from deleted.txt --by AUTOSCALER --service unix:/run/portplex.sock
  portplex connector clean-up --gone-from deleted.txt --by AUTOSCALER --yes --service unix:/run/portplex.sock

--boot-is-dead is your statement that this boot of this machine sends no packet any more: it was
powered off, it rebooted, the virtual machine was deleted. \"It looks idle\" and \"it does not answer\"
are no such statement: if it runs, two stacks will use one port. The log keeps your name.

--gone-from takes a list of deleted machines, one on a line: a machine id of 32 hex digits, a machine
id and a boot id, or the name of a connector; # begins a comment. The list is the statement that these
are dead. Without --yes it is only shown what would be done. A connector that is active is never
touched: its connection may stand. It becomes failed-persistent when its lease runs out; one without a
lease is marked by `connector fail`, one by one, by its incarnation.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CleanUpArgs {
    /// Name of the connector, unless --gone-from names many; before it the directory of the store, unless
    /// a service is asked
    #[arg(value_name = "[DIR] [NAME]", num_args = 0..=2)]
    words: Vec<OsString>,
    /// Which life of it, as `connector list` shows it; refused if a newer one has attached
    #[arg(long, value_name = "N", value_parser = parse_incarnation, required_unless_present = "gone_from")]
    incarnation: Option<Incarnation>,
    /// By whose word: your name, or that of what deleted the machine; the log keeps it
    #[arg(long, value_name = "WHO")]
    by: ConnectorName,
    /// You vouch that this boot of its machine is dead; required unless its kernel enforced the lease
    /// that it promised, and that has passed
    #[arg(long)]
    boot_is_dead: bool,
    /// Clean up every failed connector whose machine is in this list of deleted ones
    #[arg(long, value_name = "FILE", conflicts_with_all = ["incarnation", "boot_is_dead"])]
    gone_from: Option<PathBuf>,
    /// Do it; without this --gone-from only shows what would be done
    #[arg(long, requires = "gone_from")]
    yes: bool,
    #[command(flatten)]
    service: ServiceArgs,
    /// Open the store on a network file system too
    #[arg(long)]
    allow_network_fs: bool,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &CleanUpArgs) -> Result<Exit, Failure> {
    if let Some(list) = &args.gone_from {
        let dir = match args.words.as_slice() {
            [] => None,
            [dir] => Some(Path::new(dir)),
            _ => return Err(Failure::told(Exit::Usage, "the list names the connectors: leave NAME out")),
        };
        let act = Act::new(dir, &args.service, args.allow_network_fs, args.json)?;
        return gone::run(&act, list, &args.by, args.yes);
    }
    let (dir, name) = act::split(&args.words);
    let name = act::parsed("the connector's name", name)?;
    let act = Act::new(dir, &args.service, args.allow_network_fs, args.json)?;
    let incarnation = args.incarnation.ok_or_else(|| Failure::told(Exit::Usage, "--incarnation is missing"))?;
    let named = Named { act, name, incarnation, by: args.by.clone() };
    let done = named.request(&named.clean_up(args.boot_is_dead))?;
    let Named { name, by, .. } = &named;
    if args.json {
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
