//! `portplex store dump`: the whole state, one fact per line.
#![forbid(unsafe_code)]

use super::OfflineArgs;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output::Bulk;
use crate::cli::row::RowWriter;
use crate::cli::source;
use crate::record;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex store dump /srv/ports
  portplex store dump /srv/ports | jq -c 'select(.kind == \"grant\" and .dvipa == \"10.1.1.1\")'

Always JSON lines, one fact each, \"kind\" first: structure, range, list, policy, connector,
allowable, member, grant, quarantine. Masks are 16 hex digits: bit i is port group * 64 + i. The
structure's line ends with a digest of the whole state: equal digests are equal states. What is
shown is what an open would give; epoch and lsn are as on disk.";

pub(crate) fn run(args: &OfflineArgs) -> Result<Exit, Failure> {
    let store = source::inspect(&args.dir, args.json)?;
    let digest = record::digest(store.structure.items()).to_string();
    let mut rows = RowWriter::new(store.manifest.epoch, digest);
    let mut out = Bulk::stdout();
    for item in store.structure.items() {
        for row in rows.rows(&item) {
            out.json(&row)?;
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}
