//! `portplex store backup`: a proven copy of a closed store, of any copy of one, or of one that is served.
#![forbid(unsafe_code)]

use crate::cli::act;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service_args::Place;
use crate::cli::service_args::ServiceArgs;
use crate::cli::source;
use crate::facility;
use crate::facility::Machine;
use serde_json::json;
use std::ffi::OsString;
use std::path::Path;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex store backup /srv/ports /backup/ports-monday
  portplex store backup /srv/ports /backup/ports-monday --json | jq .lsn
  portplex store backup /backup/ports-monday --service unix:/run/portplex.sock

DEST must be missing or empty. A closed store is only read. A service writes DEST on its own machine
while everybody goes on; its user must be permitted to write there. What was written is read back and compared before this says
\"done\"; an interrupted backup has no MANIFEST and is no store. Grants made after it are not in it:
a restored store waits until every stack has said what it holds (`portplex store restore --help`).";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// Directory to write the backup to, missing or empty; before it the directory of the store, unless a
    /// service is asked
    #[arg(value_name = "[DIR] DEST", num_args = 1..=2, required = true)]
    words: Vec<OsString>,
    #[command(flatten)]
    service: ServiceArgs,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &BackupArgs) -> Result<Exit, Failure> {
    let (dir, dest) = act::split(&args.words);
    let dest = Path::new(dest.unwrap_or_default());
    let place = args.service.place(dir, None)?;
    let (lsn, digest) = match &place {
        Place::Store(dir) => {
            source::advise(dest, args.json);
            let report = facility::backup_closed(&Machine::real(), dir, dest)?;
            (report.lsn, report.content.to_string())
        }
        Place::Service(operator) => {
            if !dest.is_absolute() {
                let text =
                    format!("{}: a service writes to its own machine: name an absolute path there", dest.display());
                return Err(Failure::told(Exit::Usage, text));
            }
            let made = operator.client.backup(operator.structure, dest)?;
            (made.lsn, made.digest)
        }
    };
    let dest = dest.display();
    if args.json {
        output::print_json(&json!({
            "backed_up": place.to_string(),
            "to": dest.to_string(),
            "lsn": lsn.0,
            "digest": digest,
        }))?;
    } else {
        output::print(&format!(
            "{dest}: a backup of {place} as of lsn {lsn}, read back and compared\n\
             Restore it with: portplex store restore {dest} NEW-DIR"
        ))?;
    }
    Ok(Exit::Done)
}
