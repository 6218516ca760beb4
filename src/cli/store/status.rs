//! `portplex store status`: the facility as a whole, in a few lines.
#![forbid(unsafe_code)]

use crate::cli::act::Act;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::log::rfc3339;
use crate::cli::notice;
use crate::cli::notice::Notice;
use crate::cli::output;
use crate::cli::service_args::Place;
use crate::cli::service_args::ServiceArgs;
use crate::cli::size::counted;
use crate::facility::Status;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex store status --service unix:/run/portplex.sock
  portplex store status --service http://127.0.0.1:7678 --structure EZBEPORT1121 --json | jq .stop
  portplex store status /srv/ports

Of a running service: what it hosts, what it did since it started, whether granting is stopped or the
storage is full, and its last alarms. Of a closed store: what an open would find. 0 is the exit code
whatever it finds: programs read `notices` of --json.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Directory of the store, unless a service is asked
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    service: ServiceArgs,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &StatusArgs) -> Result<Exit, Failure> {
    let act = Act::new(args.dir.as_deref(), &args.service, false, args.json)?;
    match &act.place {
        Place::Store(dir) => closed(&act, dir),
        Place::Service(operator) => {
            let status = operator.client.status(operator.structure)?;
            let notices = notice::of_status(&act.place.argument(), &status);
            if args.json {
                output::print_json(&running_json(&status, &notices))?;
            } else {
                output::print(&format!("{}{}", notice::banner(&notices), running(&act.place.to_string(), &status)))?;
            }
            Ok(Exit::Done)
        }
    }
}

fn running(place: &str, status: &Status) -> String {
    let Status { store, epoch, records, frames, grants, connectors, lists, file_system, alarms, recovery, .. } = status;
    let mut text = format!("{place}: at work\n  store      {store}, epoch {epoch}, on {file_system}\n");
    let _ = writeln!(text, "  holds      {}, {}", counted(*connectors, "connector"), counted(*lists, "list"));
    let _ = writeln!(
        text,
        "  since its start  {}, {} in {}",
        counted(*grants, "grant"),
        counted(*records, "record"),
        counted(*frames, "frame")
    );
    let _ = writeln!(text, "  recovered  up to lsn {} in {} ms", recovery.last_lsn, recovery.took_us / 1_000);
    for alarm in alarms {
        let _ = writeln!(text, "  alarm      {}  {}", rfc3339(alarm.wall_ms), alarm.text);
    }
    text
}

/// The status with its numbers as programs can read them: a store's uuid is a text.
fn running_json(status: &Status, notices: &[Notice]) -> Value {
    json!({
        "structure": status.structure,
        "store": status.store.to_string(),
        "epoch": status.epoch,
        "connectors": status.connectors,
        "lists": status.lists,
        "records": status.records,
        "frames": status.frames,
        "grants": status.grants,
        "stop": status.stop,
        "storage": status.storage,
        "file_system": status.file_system,
        "alarms": status.alarms,
        "recovery": status.recovery,
        "notices": notice::json(notices),
    })
}

fn closed(act: &Act, dir: &Path) -> Result<Exit, Failure> {
    let store = act.look(dir)?;
    let notices: Vec<Notice> = notice::notices(dir, &store);
    let (structure, manifest) = (&store.structure, &store.manifest);
    if act.json {
        output::print_json(&json!({
            "structure": structure.name().to_string(),
            "store": manifest.uuid.to_string(),
            "epoch": manifest.epoch,
            "lsn": structure.lsn().0,
            "connectors": structure.connectors_count(),
            "lists": structure.lists_count(),
            "recovery": store.report,
            "notices": notice::json(&notices),
        }))?;
    } else {
        output::print(&format!(
            "{}{}: {}, closed\n  store      {}, epoch {}\n  holds      {}, {}, up to lsn {}",
            notice::banner(&notices),
            dir.display(),
            structure.name(),
            manifest.uuid,
            manifest.epoch,
            counted(structure.connectors_count(), "connector"),
            counted(structure.lists_count(), "list"),
            structure.lsn(),
        ))?;
    }
    Ok(Exit::Done)
}
