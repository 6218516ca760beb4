//! `portplex store adopt`: the operator says what happened to a store that is not where it was.
#![forbid(unsafe_code)]

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::facility::Machine;
use crate::wal;
use crate::wal::Adoption;
use serde_json::json;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  mv /srv/ports /mnt/new/ports && portplex store adopt /mnt/new/ports --moved

A store knows the inode of its LOCK file. Where that is another one, the directory was moved to
another file system, copied, or restored from a backup, and nothing is written to it until you say
which (exit code 69). Say --moved only if the original is gone: two stores that both grant ports of
one DVIPA break everything. Reading verbs work on any copy.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AdoptArgs {
    /// Directory of the store
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// It was moved: the original no longer exists, and nothing was written since
    #[arg(long, required = true)]
    moved: bool,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &AdoptArgs) -> Result<Exit, Failure> {
    wal::adopt(Machine::real().disk, &args.dir, Adoption::Moved)?;
    let dir = args.dir.display();
    if args.json {
        output::print_json(&json!({"adopted": dir.to_string(), "as": "moved"}))?;
    } else {
        output::print(&format!("{dir}: adopted as moved; it can be opened again"))?;
    }
    Ok(Exit::Done)
}
