//! `portplex log verify`: every frame and record of the log, and nothing else.
#![forbid(unsafe_code)]

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::size::counted;
use crate::cli::store::OfflineArgs;
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex log verify /srv/ports
  portplex log verify /srv/ports --json | jq .records

Only the log is read; `portplex store verify` checks checkpoints and state as well.";

pub(crate) fn run(args: &OfflineArgs) -> Result<Exit, Failure> {
    let log = super::walk(&args.dir, &mut |_| Ok(()))?;
    for warning in &log.warnings {
        output::tell_warning(warning, args.json);
    }
    let (end, torn) = (log.replayed.end.lsn, log.replayed.torn_bytes);
    if args.json {
        output::print_json(&json!({
            "verified": args.dir.display().to_string(),
            "lsn": end.0,
            "proven": log.replayed.proven.lsn.0,
            "packs": log.packs,
            "segments": log.segments,
            "frames": log.frames,
            "records": log.records,
            "torn_bytes": torn,
            "warnings": log.warnings,
        }))?;
    } else {
        output::print(&format!(
            "{}: the log is whole up to lsn {end}: {} in {}, {}",
            args.dir.display(),
            counted(log.records, "record"),
            counted(log.frames, "frame"),
            log.files(),
        ))?;
    }
    Ok(Exit::Done)
}
