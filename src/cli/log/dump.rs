//! `portplex log dump`: every record with its lsn and time, for people or as JSON lines.
#![forbid(unsafe_code)]

use super::Names;
use super::shape;
use super::wall;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::output::Bulk;
use crate::cli::store::OfflineArgs;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex log dump /srv/ports | grep 'group 700'
  portplex log dump /srv/ports --json | jq -c 'select(.event == \"granted\")'

Each record has its lsn, the wall time and the boot-clock time of its frame, and what changed.
Records use numbers for connectors, lists and memberships; names stand where an earlier record of
this log tells them, so logs whose first segments were retired start with numbers.";

pub(crate) fn run(args: &OfflineArgs) -> Result<Exit, Failure> {
    let mut names = Names::default();
    let mut out = Bulk::stdout();
    let log = super::walk(&args.dir, &mut |placed| {
        names.learn(placed.lsn, placed.event);
        let fields = shape::fields(placed.event, &names);
        if args.json {
            out.json(&shape::json(placed, fields))
        } else {
            let time = wall::rfc3339(placed.frame.wall);
            out.text(&format!("{:>12}  {time}  {}", placed.lsn, shape::text(placed.event, &fields)))
        }
    })?;
    out.finish()?;
    for warning in &log.warnings {
        output::tell_warning(warning, args.json);
    }
    Ok(Exit::Done)
}
