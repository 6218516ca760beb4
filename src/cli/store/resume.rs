//! `portplex store resume`: granting goes on, by an operator's word.
#![forbid(unsafe_code)]

use crate::api::OperatorError;
use crate::cli::act;
use crate::cli::act::Act;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service_args::Operator;
use crate::cli::service_args::Place;
use crate::cli::service_args::ServiceArgs;
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
use crate::structure::ConnectorState;
use crate::structure::Context;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::structure::StopCause;
use crate::wal::StopMark;
use serde_json::json;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex store resume /srv/ports --by ALICE
  portplex store resume /srv/ports --by ALICE --adopt-reported
  portplex store resume --by ALICE --service unix:/run/portplex.sock
  portplex store resume --by ALICE --end-wait --service unix:/run/portplex.sock

Granting stops when the store lost data or was restored from a backup: stacks may hold ports of
which the log knows nothing. They report them when they attach. Look first who has:
  portplex display connectors --data /srv/ports
  portplex connector list /srv/ports
Where stacks reported ports that the log had lost, --adopt-reported says that they keep them. Every stack
attaches again after this; a running one does so by itself.

After a power loss granting waits for the stacks, and goes on by itself. --end-wait ends that wait while
some are missing. If the disk had lost the last grants of one of them, another stack is given ports that
it still uses: two stacks on one port. Say it only if you know that none of them was granted anything
just before the power failed.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// Directory of the store, unless a service is asked
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    service: ServiceArgs,
    /// By whose word: your name; the log keeps it
    #[arg(long, value_name = "WHO")]
    by: ConnectorName,
    /// Ports that stacks reported and the log had lost stay with these stacks
    #[arg(long)]
    adopt_reported: bool,
    /// After a power loss: do not wait for the stacks that have not attached yet. You vouch that none of
    /// them was granted anything just before the power failed
    #[arg(long)]
    end_wait: bool,
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
    let act = Act::new(args.dir.as_deref(), &args.service, args.allow_network_fs, args.json)?;
    match &act.place {
        Place::Store(dir) => closed(args, &act, dir),
        Place::Service(operator) => served(args, &act, operator),
    }
}

/// On a running service; its quarantine is its own.
fn served(args: &ResumeArgs, act: &Act, operator: &Operator) -> Result<Exit, Failure> {
    let stop = operator.client.status(operator.structure)?.stop;
    let request = Request::ResumeGrants { by: Some(args.by.clone()), adopt_reported: args.adopt_reported };
    if let Some(stop) = &stop {
        if stop.cause == StopCause::PowerLoss {
            refuse_haste(args, &act.place, &stop.waiting_for)?;
        }
        match operator.client.submit(operator.structure, &request) {
            Ok(_) => {}
            Err(OperatorError::Call(error)) => return Err(refused(args, &act.place, error)),
            Err(error) => return Err(error.into()),
        }
    }
    told(args, &act.place, stop.as_ref().map(|stop| stop.cause), stop.map_or(0, |stop| stop.adopted_ports))
}

fn closed(args: &ResumeArgs, act: &Act, dir: &Path) -> Result<Exit, Failure> {
    let store = act.look(dir)?;
    let stop = store.structure.stop();
    if stop.is_none() && store.manifest.stop == StopMark::None {
        return told(args, &act.place, None, 0);
    }
    refuse_haste(args, &act.place, &waited_for(&store))?;
    refuse_unopened(args, &act.place, &store)?;
    let options = Options { quarantine: Duration::from_millis(u64::from(args.quarantine)), ..act.options() };
    let facility = LocalFacility::open(dir, &options)?;
    // The open may have noted a stop that only MANIFEST knew.
    let stopped = facility.status()?.stop;
    let resumed = facility.resume_grants(&args.by, args.adopt_reported);
    facility.close()?;
    resumed.map_err(|error| refused(args, &act.place, error))?;
    told(args, &act.place, stopped.map(|stop| stop.cause), stop.map_or(0, |stop| stop.adopted))
}

/// Who has not attached since the power failed.
fn waited_for(store: &Inspected) -> Vec<ConnectorName> {
    let structure = &store.structure;
    match structure.stop() {
        Some(stop) if stop.cause == StopCause::PowerLoss => {
            structure.not_attached_since_stop(structure.lsn().next()).cloned().collect()
        }
        None if store.manifest.stop == StopMark::PowerLoss => {
            let active = structure.connectors().filter(|view| view.state == ConnectorState::Active);
            active.map(|view| view.name.clone()).collect()
        }
        _ => Vec::new(),
    }
}

/// Refuses to end the wait after a power loss while stacks are missing, unless that was typed.
fn refuse_haste(args: &ResumeArgs, place: &Place, waited_for: &[ConnectorName]) -> Result<(), Failure> {
    let (Some((first, others)), false) = (waited_for.split_first(), args.end_wait) else { return Ok(()) };
    let others = match others.len() {
        0 => String::new(),
        others => format!(" and {}", counted(others as u64, "other")),
    };
    let text = format!(
        "{place}: {first}{others} did not attach since the power failed; the wait ends by itself when they have, or \
         after one lease\nIf none of them was granted anything just before the power failed: portplex store resume {} \
         --by {} --end-wait",
        place.argument(),
        args.by,
    );
    Err(Failure::told(Exit::Refused, text))
}

/// Refuses without opening the store what an open would refuse for certain: whoever asks again and
/// again changes nothing.
fn refuse_unopened(args: &ResumeArgs, place: &Place, store: &Inspected) -> Result<(), Failure> {
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
    decided.map(|_| ()).map_err(|refusal| refused(args, place, refusal.into()))
}

fn refused(args: &ResumeArgs, place: &Place, error: CallError) -> Failure {
    act::told(&place.to_string(), error, |refusal| way_out(args, place, refusal))
}

fn way_out(args: &ResumeArgs, place: &Place, refusal: &Refusal) -> String {
    let (dir, by) = (place.argument(), &args.by);
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

fn told(args: &ResumeArgs, place: &Place, cause: Option<StopCause>, adopted: u32) -> Result<Exit, Failure> {
    let (dir, by) = (place, &args.by);
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
    text.push_str(match place {
        Place::Store(_) => "Start the service: every stack attaches again before it gets anything new",
        Place::Service(_) => "Every stack attaches again before it gets anything new; a running one does so by itself",
    });
    output::print(&text)?;
    Ok(Exit::Done)
}
