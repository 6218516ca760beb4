//! `portplex store resume`: granting goes on, by an operator's word.
#![forbid(unsafe_code)]

use crate::cli::act;
use crate::cli::act::Act;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::size::counted;
use crate::facility::CallError;
use crate::facility::Clock;
use crate::facility::Facility;
use crate::facility::Inspected;
use crate::facility::LocalFacility;
use crate::facility::Options;
use crate::facility::SystemClock;
use crate::ident::ConnectorName;
use crate::structure::ClockFloor;
use crate::structure::Context;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::structure::StopCause;
use crate::wal::StopMark;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex store resume /srv/ports --by ALICE
  portplex store resume /srv/ports --by ALICE --adopt-reported

Granting stops when the store lost data or was restored from a backup: stacks may hold ports of
which the log knows nothing. They report them when they attach. Look first who has:
  portplex display connectors --data /srv/ports
  portplex connector list /srv/ports
Where stacks reported ports that the log had lost, --adopt-reported says that they keep them. The
store must be closed. Every stack attaches again after this; a running one does so by itself.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// Directory of the store
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// By whose word: your name; the log keeps it
    #[arg(long, value_name = "WHO")]
    by: ConnectorName,
    /// Ports that stacks reported and the log had lost stay with these stacks
    #[arg(long)]
    adopt_reported: bool,
    /// Quarantine in ms that the service of this store runs with, where a list's policy sets none:
    /// a restored store waits at least so long
    #[arg(long, value_name = "MS", default_value = "120000", value_parser = clap::value_parser!(u32).range(1..=86_400_000))]
    quarantine: u32,
    /// Open the store on a network file system too
    #[arg(long)]
    allow_network_fs: bool,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &ResumeArgs) -> Result<Exit, Failure> {
    let act = Act { dir: &args.dir, allow_network_fs: args.allow_network_fs, json: args.json };
    let store = act.look()?;
    let stop = store.structure.stop();
    if stop.is_none() && store.manifest.stop == StopMark::None {
        return told(args, None, 0);
    }
    refuse_unopened(args, &store)?;
    let options = Options { quarantine: Duration::from_millis(u64::from(args.quarantine)), ..act.options() };
    let facility = LocalFacility::open(&args.dir, &options)?;
    // The open may have noted a stop that only MANIFEST knew.
    let stopped = facility.status()?.stop;
    let resumed = facility.resume_grants(&args.by, args.adopt_reported);
    facility.close()?;
    resumed.map_err(|error| refused(args, error))?;
    told(args, stopped.map(|stop| stop.cause), stop.map_or(0, |stop| stop.adopted))
}

/// Refuses without opening the store what an open would refuse for certain: whoever asks again and
/// again changes nothing.
fn refuse_unopened(args: &ResumeArgs, store: &Inspected) -> Result<(), Failure> {
    let clock = SystemClock::new();
    let floor = store.clock_floor(clock.boot_id());
    // A stop from before this boot of the machine counts from a time that the open must find out.
    let is_of_this_boot = floor != ClockFloor::default();
    if !is_of_this_boot || store.structure.stop().is_none_or(|stop| stop.since < floor.lsn) {
        return Ok(());
    }
    let context = Context {
        now: clock.boot_ms(),
        random: 0,
        open_first: store.structure.lsn().next(),
        floor,
        quarantine_ms: args.quarantine,
        deadline: None,
    };
    let request = Request::ResumeGrants { by: Some(args.by.clone()), adopt_reported: args.adopt_reported };
    let decided = store.structure.decide(&request, &context, &mut Vec::new());
    decided.map(|_| ()).map_err(|refusal| refused(args, refusal.into()))
}

fn refused(args: &ResumeArgs, error: CallError) -> Failure {
    act::told(&args.dir.display().to_string(), error, |refusal| way_out(args, refusal))
}

fn way_out(args: &ResumeArgs, refusal: &Refusal) -> String {
    let (dir, by) = (args.dir.display(), &args.by);
    match refusal {
        Refusal::AdoptedPending { .. } => format!(
            "they are in use on live stacks and are never taken from them: portplex store resume {dir} --by {by} \
             --adopt-reported"
        ),
        Refusal::TooEarly { .. } => "what stacks promised and remote sides remember must pass first".to_owned(),
        Refusal::NotAllAttached { .. } => {
            format!("start the service until they have, or vouch for the dead: portplex connector list {dir}")
        }
        _ => String::new(),
    }
}

fn told(args: &ResumeArgs, cause: Option<StopCause>, adopted: u32) -> Result<Exit, Failure> {
    let (dir, by) = (args.dir.display(), &args.by);
    if args.json {
        output::print_json(&json!({
            "resumed": dir.to_string(),
            "by": by.as_str(),
            "changed": cause.is_some(),
            "cause": cause.map(StopCause::name),
            "adopted_ports": adopted,
        }))?;
        return Ok(Exit::Done);
    }
    let Some(cause) = cause else {
        output::print(&format!("{dir}: granting is not stopped; nothing was changed"))?;
        return Ok(Exit::Done);
    };
    let mut text = format!("{dir}: granting goes on by the word of {by}; it was stopped: {}\n", cause.name());
    if adopted > 0 {
        text.push_str(&format!(
            "{} that stacks reported and the log had lost stay with them\n",
            counted(adopted, "port")
        ));
    }
    text.push_str("Start the service: every stack attaches again before it gets anything new");
    output::print(&text)?;
    Ok(Exit::Done)
}
