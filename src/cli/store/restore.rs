//! `portplex store restore`: a backup becomes a store again, which grants nothing at first.
#![forbid(unsafe_code)]

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::source;
use crate::facility;
use crate::facility::Machine;
use crate::facility::Options;
use serde_json::json;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex store restore /backup/ports-monday /srv/ports
  portplex connector list /srv/ports         # who has attached since
  portplex store resume /srv/ports --by ALICE --adopt-reported

DIR must be missing or empty. The original must be gone: two stores that both grant ports of one
DVIPA break everything. What was granted after the backup is not in it, so the restored store grants
nothing until three things have happened: the longest promise and quarantine have passed since its
first open; every stack that it knows has attached and said what it holds, or was cleaned up by your
word; and you said `store resume`.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// Directory of the backup; read, never changed
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// Directory to make the store in: missing or empty
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Restore onto a network file system too
    #[arg(long)]
    allow_network_fs: bool,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &RestoreArgs) -> Result<Exit, Failure> {
    source::advise(&args.dir, args.json);
    let options = Options { allow_network: args.allow_network_fs, ..Options::default() };
    let report = facility::restore(&Machine::real(), &args.backup, &args.dir, &options)?;
    let (backup, dir) = (args.backup.display(), args.dir.display());
    if args.json {
        output::print_json(&json!({
            "restored": dir.to_string(),
            "from": backup.to_string(),
            "lsn": report.lsn.0,
            "digest": report.content.to_string(),
        }))?;
    } else {
        output::print(&format!(
            "{dir}: restored from {backup} as of lsn {}; it grants nothing yet\n\
             Start the service and let every stack attach, or vouch for those that are dead; then:\n  \
             portplex store resume {dir} --by YOUR-NAME",
            report.lsn
        ))?;
    }
    Ok(Exit::Done)
}
