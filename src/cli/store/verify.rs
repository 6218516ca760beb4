//! `portplex store verify`: every byte read, every rule checked, nothing changed.
//!
//! Three readings of one store have to agree: the log from its first byte to its end, the
//! checkpoints, and the state that both make, which the structure's own audit judges.
#![forbid(unsafe_code)]

use super::OfflineArgs;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::log;
use crate::cli::output;
use crate::cli::size::counted;
use crate::cli::source;
use crate::record;
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex store verify /srv/ports && echo whole
  portplex store verify /srv/ports --json | jq .digest

Reads every segment from its first byte, also those below the checkpoints, checks every checksum
and that every record encodes to the same bytes again, rebuilds the state and audits it. A frame
torn by a crash was never acknowledged: it is named as a warning and is no failure.";

pub(crate) fn run(args: &OfflineArgs) -> Result<Exit, Failure> {
    source::advise(&args.dir, args.json);
    let store = source::inspect(&args.dir, args.json)?;
    let log = log::walk(&args.dir, &mut |_| Ok(()))?;
    let digest = record::digest(store.structure.items());
    let report = &store.report;
    if args.json {
        output::print_json(&json!({
            "verified": args.dir.display().to_string(),
            "structure": store.manifest.structure.to_string(),
            "uuid": store.manifest.uuid.to_string(),
            "epoch": store.manifest.epoch,
            "lsn": store.structure.lsn().0,
            "packs": log.packs,
            "segments": log.segments,
            "frames": log.frames,
            "records": log.records,
            "checkpoint_lsn": report.checkpoint_lsn.0,
            "torn_bytes": report.torn_bytes,
            "items": digest.count,
            "warnings": report.warnings,
            "digest": digest.to_string(),
        }))?;
    } else {
        let (dir, name) = (args.dir.display(), store.manifest.structure);
        let text = format!(
            "{dir}: {name} is whole at lsn {}, epoch {}\n\
             log         {} in {}, {}\n\
             checkpoint  {}\n\
             state       {}, audit passed, digest {digest}",
            store.structure.lsn(),
            store.manifest.epoch,
            counted(log.records, "record"),
            counted(log.frames, "frame"),
            log.files(),
            if report.checkpoint_lsn.0 == 0 {
                "none".to_owned()
            } else {
                format!(
                    "believed, at lsn {}; {} replayed above it",
                    report.checkpoint_lsn,
                    counted(report.records, "record")
                )
            },
            counted(digest.count, "item"),
        );
        output::print(&text)?;
    }
    Ok(Exit::Done)
}
