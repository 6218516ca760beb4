//! `portplex store adopt`: the operator's word on a store whose LOCK is another file than MANIFEST
//! notes.
#![forbid(unsafe_code)]

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::facility;
use crate::facility::Adopt;
use crate::facility::Machine;
use crate::wal::constants::LOCK;
use serde_json::json;
use std::path::Path;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  mv /srv/ports /mnt/new/ports && portplex store adopt /mnt/new/ports --moved
  rsync -a backup:/ports/ /srv/ports/ && portplex store adopt /srv/ports --restored
  cp -a /srv/ports /tmp/lab && portplex store adopt /tmp/lab --copy

A store knows the inode of its LOCK file. Where that is another one, the directory was moved to
another file system, restored from a backup or copied, and nothing is written to it until you say
which (exit code 69). Reading verbs work on any copy, so look first: `portplex store verify DIR`.

Two stores that both grant ports of one DVIPA break everything. Say --moved only if the original is
gone and nothing was granted since; where you are not sure, say --restored, which waits and asks
every stack.";

#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("how").required(true))]
pub(crate) struct AdoptArgs {
    /// Directory of the store
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// It was moved: the original no longer exists, and nothing was granted since. It goes on as
    /// before
    #[arg(long, group = "how")]
    moved: bool,
    /// It is older than what stacks hold: a backup, a snapshot. It grants nothing until every stack
    /// has attached and you say `store resume`
    #[arg(long, group = "how")]
    restored: bool,
    /// The original goes on: this becomes another store, with the lists, policies and ranges of the
    /// original and no connectors; stacks of the original refuse it
    #[arg(long, group = "how")]
    copy: bool,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

impl AdoptArgs {
    fn how(&self) -> Adopt {
        match (self.moved, self.restored) {
            (true, _) => Adopt::Moved,
            (_, true) => Adopt::Restored,
            _ => Adopt::Copy,
        }
    }
}

/// Whether LOCK is another file than MANIFEST notes.
fn is_copied(dir: &Path) -> Result<bool, Failure> {
    let machine = Machine::real();
    let noted = facility::inspect(&machine, dir)?.manifest.lock_inode;
    Ok(machine.disk.inode(&dir.join(LOCK)).is_ok_and(|inode| inode != noted))
}

pub(crate) fn run(args: &AdoptArgs) -> Result<Exit, Failure> {
    let how = args.how();
    let is_copied = is_copied(&args.dir)?;
    if how == Adopt::Copy && !is_copied {
        let dir = args.dir.display();
        return Err(Failure::told(
            Exit::Refused,
            format!(
                "{dir}: this is the very store that its MANIFEST notes, not a copy: as one it would forget every \
                 connector and grant; nothing was changed. Copy it first (cp -a {dir} NEW-DIR), then adopt the copy"
            ),
        ));
    }
    facility::adopt(&Machine::real(), &args.dir, how)?;
    let dir = args.dir.display();
    let (name, text) = match how {
        Adopt::Moved if !is_copied => {
            ("moved", format!("{dir}: it is where its MANIFEST says; nothing had to be adopted"))
        }
        Adopt::Moved => ("moved", format!("{dir}: adopted as moved; it can be opened again")),
        Adopt::Restored => (
            "restored",
            format!(
                "{dir}: adopted as restored; it grants nothing yet\n\
                 Start the service and let every stack attach, or vouch for those that are dead; then:\n  \
                 portplex store resume {dir} --by YOUR-NAME"
            ),
        ),
        Adopt::Copy => {
            ("copy", format!("{dir}: adopted as a copy, a store of its own without connectors; it can be opened"))
        }
    };
    if args.json {
        output::print_json(&json!({"adopted": dir.to_string(), "as": name}))?;
    } else {
        output::print(&text)?;
    }
    Ok(Exit::Done)
}
