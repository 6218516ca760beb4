//! `portplex who`: who held a port at a time, and everybody who ever did, from the log; reads only.
//!
//! One pass over what may be about the port, in the memory of what is shown: the names at the place
//! reached, and the holds of the one port. What the log no longer has is said to be unknown.
#![forbid(unsafe_code)]

mod gaps;
mod hold;
mod kept;
#[cfg(test)]
mod packed;
mod past;
mod show;
mod start;
#[cfg(test)]
mod tests;
mod time;
mod track;

use super::exit::Exit;
use super::exit::Failure;
use super::explain::nearest::nearest;
use super::explain::what;
use super::explain::what::What;
use super::log::Log;
use super::output;
use super::service_args::Place;
use super::service_args::ServiceArgs;
use super::state::DvipaFilter;
use crate::api::WhoAsked;
use crate::api::WhoFound;
use crate::facility::LocalFacility;
use crate::ident::Lsn;
use crate::ident::Target;
use crate::ident::Transport;
use crate::ident::WallMs;
use kept::Kept;
use past::Asked;
use past::Damage;
use past::Followed;
use past::Past;
use show::Found;
use start::Base;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;
use track::Tracker;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex who 10.1.1.1:5000 --data /srv/ports                            # everybody who held it, the newest first
  portplex who 10.1.1.1:5000 --data /srv/ports --at 2026-11-22T14:05:00Z  # who held it then
  portplex who '[2001:db8::1]:5000' --at '2026-11-22 15:05:00+01:00' --json
  portplex who ANY:62000 --transport udp                                  # a port of the explicit-bind pool
  portplex who 10.1.1.1:5000 --service unix:/run/portplex.sock           # of a store that is being served

A time without an offset is UTC. Times are those of the log: a frame's time is the one at which it was
committed, to the millisecond, and never goes back. A stack uses a port only between its grant and its
release, so both ends count as held.

What happened before the oldest record that is kept is unknown. That is said; it is not 'nobody'. The
exit code is 0 then too: programs read `state` of --json (held, quarantined, free, unknown). It is 1
if the log names no list of that address and transport.";

/// Most holds that may be asked for.
const LIMIT_MAX: i64 = 1_000_000;

/// Who held a port at a time, from the log; reads only.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WhoArgs {
    /// The port as ADDRESS:PORT, [ADDRESS]:PORT or ANY:PORT
    #[arg(value_name = "ADDR:PORT")]
    port: PortName,
    /// The time: RFC 3339, 'YYYY-MM-DD HH:MM[:SS]' or ms since 1970 [default: all times]
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    at: Option<WallMs>,
    /// Directory of the store; read, never changed [default: ./portplex-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    service: ServiceArgs,
    /// tcp or udp
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp", value_parser = super::args::parse_transport)]
    transport: Transport,
    /// Most holders that are shown, the newest ones
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
    limit: u32,
    /// One JSON object on one line
    #[arg(long)]
    json: bool,
}

/// A port and what it is of.
#[derive(Clone, Copy, Debug)]
struct PortName {
    of: DvipaFilter,
    port: u16,
}

impl FromStr for PortName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse()? {
            What::Port { of, port } => Ok(Self { of, port }),
            _ => Err(format!("{text:?} has no port: write 10.1.1.1:5000, [2001:db8::1]:5000 or ANY:5000")),
        }
    }
}

impl WhoArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        let asked = WhoAsked { target: self.target(), port: self.port.port, at: self.at, limit: self.limit };
        let found = match self.service.place(self.data.as_deref(), Some(super::DATA_DEFAULT))? {
            Place::Store(dir) => {
                let mut warn = |warning: String| output::tell_warning(&warning, self.json);
                told(&find(&Log::open(&dir)?, &asked, &mut warn)?)
            }
            Place::Service(operator) => operator.client.who(operator.structure, &asked)?,
        };
        found.warnings.iter().for_each(|warning| output::tell_warning(warning, self.json));
        output::print(if self.json { &found.json } else { &found.text })?;
        Ok(Exit::Done)
    }

    fn target(&self) -> Target {
        what::target(self.port.of, self.transport)
    }
}

/// Who had a port, from the log of a store that this process has open. Nobody waits for it.
pub(crate) fn beside_writer(facility: &LocalFacility, asked: &WhoAsked) -> Result<WhoFound, Failure> {
    facility.beside_writer(|dir, manifest, durable| {
        let mut warnings = Vec::new();
        let log = Log::beside_writer(dir, manifest, durable);
        let found = find(&log, asked, &mut |warning| warnings.push(warning))?;
        Ok(WhoFound { warnings, ..told(&found) })
    })
}

fn told(found: &Found) -> WhoFound {
    let (state, answer) = found.state_and_answer();
    WhoFound {
        state: state.to_owned(),
        answer,
        text: found.text(),
        json: found.json().to_string(),
        warnings: Vec::new(),
    }
}

fn find(log: &Log<'_>, asked: &WhoAsked, warn: &mut dyn FnMut(String)) -> Result<Found, Failure> {
    let Followed { tracker, now, warnings } = read(log, asked, warn)?;
    warnings.into_iter().for_each(&mut *warn);
    if !tracker.has_list {
        return Err(no_list(log, asked, &tracker));
    }
    let what = What::Port { of: of(asked.target), port: asked.port }.to_string();
    Ok(Found { what, transport: asked.target.transport(), at: asked.at, now, tracker })
}

fn of(target: Target) -> DvipaFilter {
    match target {
        Target::List(dvipa, _) => DvipaFilter::One(dvipa),
        Target::Pool(_) => DvipaFilter::Any,
    }
}

/// All of the log that is about the port; if it is damaged below a checkpoint, what is above that.
fn read(log: &Log<'_>, asked: &WhoAsked, warn: &mut dyn FnMut(String)) -> Result<Followed, Failure> {
    let manifest = &log.survey.manifest;
    let mut skipped = 0;
    let failure = loop {
        let damage = match read_past(log, asked, skipped, warn) {
            Ok(followed) => return Ok(followed),
            Err(damage) => damage,
        };
        match damage.packs {
            Some(packs) if packs > skipped => skipped = packs,
            _ => break *damage.failure,
        }
        let lsn = manifest.packs[skipped - 1].end.lsn;
        warn(format!("nothing up to lsn {lsn} is known: {}", damage.failure));
    };
    if !matches!(failure.exit(), Exit::Corrupt | Exit::StorageFailed) {
        return Err(failure);
    }
    for entry in &manifest.checkpoints {
        let base = Base::load(log.dir, entry, entry.lsn, asked.target, asked.port);
        if let Ok(base) = base
            && let Ok(followed) = walk(log, asked, entry.lsn, base)
        {
            warn(format!("nothing up to lsn {} is known, by a checkpoint: {failure}", entry.lsn));
            return Ok(followed);
        }
    }
    Err(failure)
}

/// What the packs and the log above them tell, without the `skipped` oldest packs.
fn read_past(
    log: &Log<'_>,
    asked: &WhoAsked,
    skipped: usize,
    warn: &mut dyn FnMut(String),
) -> Result<Followed, Damage> {
    let WhoAsked { target, port, at, limit } = *asked;
    let past = Past::open(log, Asked { target, port, at, limit: limit as usize }, skipped)?;
    let warn = RefCell::new(warn);
    past.read(&|| base(log, asked, past.begin, *warn.borrow_mut()))
}

/// The older checkpoint that can be believed, for a log that begins above `begin`.
fn base(log: &Log<'_>, asked: &WhoAsked, begin: Lsn, warn: &mut dyn FnMut(String)) -> Option<Base> {
    for entry in &log.survey.manifest.checkpoints {
        match Base::load(log.dir, entry, begin, asked.target, asked.port) {
            Ok(loaded) => return Some(loaded),
            Err(error) => {
                warn(format!("checkpoint {} at lsn {} is not believed: {error}", entry.generation, entry.lsn));
            }
        }
    }
    None
}

fn walk(log: &Log<'_>, asked: &WhoAsked, begin: Lsn, base: Base) -> Result<Followed, Failure> {
    let kept = Kept::new(asked.at, asked.limit as usize);
    let mut tracker = Tracker::knowing(asked.target, asked.port, begin, Some(base), None, kept);
    let warnings = log.above(begin, &mut |placed| tracker.see(placed))?;
    let now = tracker.finish();
    Ok(Followed { tracker, now, warnings })
}

/// The log names no such list: what it does name that is like it.
fn no_list(log: &Log<'_>, asked: &WhoAsked, tracker: &Tracker) -> Failure {
    let transport = asked.target.transport();
    let same = tracker.targets().filter(|target| target.transport() == transport);
    let names: BTreeSet<String> = same.map(|target| target.dvipa_text()).collect();
    let shown = what::shown(of(asked.target));
    let near = nearest(&shown, names.iter().cloned());
    let hint = match (names.len(), near.is_empty()) {
        (0, _) => "there is none at all".to_owned(),
        (count, true) => format!("there are {count}: portplex display groups shows them"),
        (_, false) => format!("did you mean {}?", near.join(" or ")),
    };
    let message = format!("{}: the log names no {transport} list of {shown}; {hint}", log.dir.display());
    Failure::told(Exit::Refused, message)
}
