//! `portplex store exercise`: random requests of every kind, told line by line, so that an outside
//! harness can kill, freeze or starve this process at any moment and compare with `store dump`.
//!
//! What is promised to the harness: a request's `ask` line is out before the request is submitted,
//! its answer only after it is durable; a line leaves in one write; every connector belongs to one
//! caller with one request outstanding; with one caller the same seed on equal stores gives the
//! same bytes.
#![forbid(unsafe_code)]

mod ask;
mod attach;
mod caller;
mod choose;
mod draw;
mod holdings;
mod lines;
mod ready;
mod universe;

use super::exit::Exit;
use super::exit::Failure;
use super::log::Names;
use super::notice;
use super::output::Lines;
use super::size;
use super::source;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Options;
use crate::facility::Status;
use caller::Caller;
use caller::Shared;
use lines::Summary;
use std::path::PathBuf;
use std::time::Duration;
use universe::Universe;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex store init /tmp/x --segment-size 64KiB
  portplex store exercise /tmp/x --seed 7 --ops 5000 > told.jsonl
  timeout -s KILL 1 portplex store exercise /tmp/x --seed 8 --ops 1000000 --callers 8 > told.jsonl
  portplex store dump /tmp/x                 # every grant told and not released is there

Lines on standard output, one JSON object each, flushed one by one:
  {\"ask\":KIND,\"request\":N,…}               before the request is submitted
  {\"ok\":KIND,\"request\":N,\"lsn\":L,…}        after it is durable; L: the highest lsn it caused
  {\"refused\":KIND,\"request\":N,\"why\":NAME}  nothing was changed
  {\"unknown\":KIND,\"request\":N,\"why\":\"storage-failed\"}    then exit code 74
  {\"ready\":L,\"transport\":T,\"dvipa\":A,\"lsn\":M}  free: all of that list released up to lsn L
  {\"summary\":{\"operations\":…,\"syncs\":…,\"grants\":…,\"grants_per_sync\":…}}    the last line

Where granting is stopped or the storage is full, requests are refused with \"why\":\"grants-stopped\"
or \"storage-full\", and standard error says why; that is no failure.

KIND is acquire, claim, release, join, leave, allowable, connect, attach, disconnect, fail or
clean-up; from caller 0 alone define, delete, policy or range. A release may name fewer ports than
its grant has, or a grant that is gone. A hold also ends with leave, disconnect and clean-up.

With --callers 1 quarantine ends only between requests, at points that depend on the stream, after
everything in it was there for its full time: so the output repeats byte for byte.";

/// Send random requests of every kind to a store.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExerciseArgs {
    /// Directory of the store; it must exist (`portplex store init`)
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Where the streams of requests come from, with the caller's number
    #[arg(long, value_name = "S")]
    seed: u64,
    /// How many requests to send, over all callers
    #[arg(long, value_name = "N")]
    ops: u64,
    /// How many callers, each with connectors of its own and one request outstanding: 1 to 4096
    #[arg(long, value_name = "C", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=4096))]
    callers: u32,
    /// Quarantine in ms: 1 to 86400000
    #[arg(long, value_name = "MS", default_value = "200", value_parser = clap::value_parser!(u32).range(1..=86_400_000))]
    quarantine: u32,
    /// Open the store on a network file system too
    #[arg(long)]
    allow_network_fs: bool,
    /// Make a checkpoint after so much log, so that kills meet it; units as in 64KiB
    #[arg(long, value_name = "SIZE", value_parser = size::parse_size)]
    checkpoint_bytes: Option<u64>,
    /// Output is JSON lines always; errors and warnings too with this
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &ExerciseArgs) -> Result<Exit, Failure> {
    let defaults = Options::default();
    let options = Options {
        quarantine: quarantine(args),
        quarantine_timer: args.callers > 1,
        checkpoint_log_bytes: args.checkpoint_bytes.unwrap_or(defaults.checkpoint_log_bytes),
        allow_network: args.allow_network_fs,
        seed: Some(args.seed),
        ..defaults
    };
    // Before the open: quarantine that ended meanwhile may end with the first breath.
    let names = Names::of_items(source::inspect(&args.dir, args.json)?.structure.items());
    let facility = LocalFacility::open(&args.dir, &options)?;
    notice::tell(&args.dir, &facility.status()?, args.json);
    let lines = Lines::stdout();
    let told = exercise(args, &facility, names, &lines)?;
    facility.close()?;
    lines.json(&told)?;
    Ok(Exit::Done)
}

/// Runs all callers to their end; the first failure is the verb's.
fn exercise(args: &ExerciseArgs, facility: &LocalFacility, names: Names, lines: &Lines) -> Result<Summary, Failure> {
    let universe = Universe::find(facility, args.callers)?;
    let shared = Shared {
        facility,
        lines,
        callers: args.callers,
        grants_wanted: universe.grants_wanted(),
        settle: (args.callers == 1).then(|| quarantine(args)),
        progress: ready::Progress::default(),
        stop: std::sync::atomic::AtomicBool::new(false),
    };
    let watch = facility.watch_from(facility.recovery().last_lsn)?;
    let operations = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| ready::tell(watch, names, &shared));
        let callers: Vec<_> = (0..args.callers)
            .map(|number| {
                let ops = args.ops / u64::from(args.callers)
                    + u64::from(u64::from(number) < args.ops % u64::from(args.callers));
                let caller = Caller::new(&shared, number, args.seed, universe.of_caller(number));
                scope.spawn(move || caller.run(ops))
            })
            .collect();
        let done: Vec<Result<u64, Failure>> = callers.into_iter().map(joined).collect();
        shared.stop();
        let watched = joined(watcher);
        let operations = done.into_iter().sum::<Result<u64, Failure>>()?;
        watched.map(|()| operations)
    })?;
    let Status { frames, grants, .. } = facility.status()?;
    Ok(Summary::new(operations, frames, grants))
}

fn quarantine(args: &ExerciseArgs) -> Duration {
    Duration::from_millis(u64::from(args.quarantine))
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
