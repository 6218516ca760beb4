//! `portplex store backup`: a proven copy of a closed store, or of any copy of one.
#![forbid(unsafe_code)]

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::source;
use crate::facility;
use crate::facility::Machine;
use serde_json::json;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex store backup /srv/ports /backup/ports-monday
  portplex store backup /srv/ports /backup/ports-monday --json | jq .lsn

DEST must be missing or empty. The store must be closed, and is only read; a running one is backed
up by the program that serves it. What was written is read back and compared before this says
\"done\"; an interrupted backup has no MANIFEST and is no store. Grants made after it are not in it:
a restored store waits until every stack has said what it holds (`portplex store restore --help`).";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// Directory of the store
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Directory to write the backup to: missing or empty
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &BackupArgs) -> Result<Exit, Failure> {
    source::advise(&args.dest, args.json);
    let report = facility::backup_closed(&Machine::real(), &args.dir, &args.dest)?;
    let (dir, dest) = (args.dir.display(), args.dest.display());
    if args.json {
        output::print_json(&json!({
            "backed_up": dir.to_string(),
            "to": dest.to_string(),
            "lsn": report.lsn.0,
            "digest": report.content.to_string(),
        }))?;
    } else {
        output::print(&format!(
            "{dest}: a backup of {dir} as of lsn {}, read back and compared\n\
             Restore it with: portplex store restore {dest} NEW-DIR",
            report.lsn
        ))?;
    }
    Ok(Exit::Done)
}
