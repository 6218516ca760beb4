//! `portplex log watch`: every event of a running service as it happens.
#![forbid(unsafe_code)]

use super::Names;
use super::shape;
use super::wall::rfc3339;
use crate::api::OperatorError;
use crate::api::RemoteError;
use crate::api::RemoteWatch;
use crate::api::Watched;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::output::Lines;
use crate::cli::service_args::Operator;
use crate::cli::service_args::ServiceArgs;
use crate::facility::Clock;
use crate::facility::SystemClock;
use crate::ident::Lsn;
use crate::structure::Event;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex log watch --service unix:/run/portplex.sock
  portplex log watch --after 412 --json --service unix:/run/portplex.sock | jq -c 'select(.event == \"cleaned-up\")'

One line for each event from now on, or from the one after --after on. The time is the one at which it
arrived here; `log dump` of the store has the times of the log. When the service ends, or is too far
ahead, this goes on by itself where it was; Ctrl-C ends it.";

/// How long it waits for an event before it looks again.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long it rests before it asks again for a service that went.
const REST: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// Begin with the event after this lsn, instead of now
    #[arg(long, value_name = "LSN")]
    after: Option<u64>,
    /// End after so many events
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
    /// One JSON object on a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What goes on over broken connections.
struct Watching<'a> {
    args: &'a WatchArgs,
    names: Names,
    /// The last event that was told.
    last: Option<Lsn>,
    left: u64,
    out: Lines,
}

pub(crate) fn run(args: &WatchArgs) -> Result<Exit, Failure> {
    let (names, last) = (Names::default(), args.after.map(Lsn));
    let mut watching = Watching { args, names, last, left: args.count.unwrap_or(u64::MAX), out: Lines::stdout() };
    // The first time nobody answers is told and ends it: the address may be wrong.
    let mut operator = Some(args.service.operator()?);
    let mut is_told = false;
    while watching.left > 0 {
        let watched = match operator.take().map_or_else(|| args.service.operator(), Ok) {
            Ok(operator) => watching.go_on(&operator),
            Err(failure) => Err(failure),
        };
        match watched {
            Ok(()) => is_told = false,
            Err(failure) if is_passing(&failure) => {
                if !std::mem::replace(&mut is_told, true) {
                    output::tell_warning(&format!("{failure}; asking again"), args.json);
                }
                std::thread::sleep(REST);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(Exit::Done)
}

/// Whether asking again may help.
fn is_passing(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Operator(OperatorError::Remote(RemoteError::Lagged { .. } | RemoteError::Unreachable { .. }))
    )
}

impl Watching<'_> {
    fn go_on(&mut self, operator: &Operator) -> Result<(), Failure> {
        let mut watch = operator.client.watch(operator.structure, None)?;
        // The snapshot has the names; where it ends, a watch that is not resumed begins.
        let snapshot = loop {
            if let Some(Watched::Snapshot { lsn, items }) = watch.next(PATIENCE)? {
                self.names = Names::of_items(items.into_iter());
                break lsn;
            }
        };
        if let Some(last) = self.last.filter(|last| *last < snapshot) {
            let mut earlier = operator.client.watch(operator.structure, Some(last))?;
            while self.left > 0 && self.last.is_none_or(|last| last < snapshot) {
                self.step(&mut earlier)?;
            }
        }
        while self.left > 0 {
            self.step(&mut watch)?;
        }
        Ok(())
    }

    fn step(&mut self, watch: &mut RemoteWatch) -> Result<(), Failure> {
        let Some(Watched::Event { lsn, event }) = watch.next(PATIENCE)? else { return Ok(()) };
        if self.last.is_some_and(|last| lsn <= last) {
            return Ok(());
        }
        self.names.learn(lsn, &event);
        self.tell(lsn, &event)?;
        self.last = Some(lsn);
        self.left -= 1;
        Ok(())
    }

    fn tell(&self, lsn: Lsn, event: &Event) -> Result<(), Failure> {
        let fields = shape::fields(event, &self.names);
        if self.args.json {
            return self.out.json(&shape::live_json(lsn, event, fields));
        }
        let time = rfc3339(SystemClock::new().wall_ms());
        output::print(&format!("{lsn:>12}  {time}  {}", shape::text(event, &fields)))
    }
}
