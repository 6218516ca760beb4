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
use super::log::Reading;
use super::output;
use super::state::DvipaFilter;
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
    /// Directory of the store; read, never changed
    #[arg(long, value_name = "DIR", default_value = super::DATA_DEFAULT)]
    data: PathBuf,
    /// tcp or udp
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp", value_parser = super::args::parse_transport)]
    transport: Transport,
    /// Most holders that are shown, the newest ones
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
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
        let found = self.find()?;
        if self.json {
            output::print_json(&found.json())?;
        } else {
            output::print(&found.text())?;
        }
        Ok(Exit::Done)
    }

    fn find(&self) -> Result<Found, Failure> {
        let log = Log::open(&self.data)?;
        let Followed { tracker, now, warnings } = self.read(&log)?;
        for warning in &warnings {
            output::tell_warning(warning, self.json);
        }
        if !tracker.has_list {
            return Err(self.no_list(&tracker));
        }
        let asked = What::Port { of: self.port.of, port: self.port.port };
        Ok(Found { what: asked.to_string(), transport: self.transport, at: self.at, now, tracker })
    }

    fn target(&self) -> Target {
        what::target(self.port.of, self.transport)
    }

    /// All of the log that is about the port; if it is damaged below a checkpoint, what is above that.
    fn read(&self, log: &Log<'_>) -> Result<Followed, Failure> {
        let manifest = &log.survey.manifest;
        let mut skipped = 0;
        let failure = loop {
            let damage = match self.read_past(log, skipped) {
                Ok(followed) => return Ok(followed),
                Err(damage) => damage,
            };
            match damage.packs {
                Some(packs) if packs > skipped => skipped = packs,
                _ => break damage.failure,
            }
            let lsn = manifest.packs[skipped - 1].end.lsn;
            output::tell_warning(&format!("nothing up to lsn {lsn} is known: {}", damage.failure), self.json);
        };
        if !matches!(failure.exit(), Exit::Corrupt | Exit::StorageFailed) {
            return Err(failure);
        }
        for entry in &manifest.checkpoints {
            let base = Base::load(&self.data, entry, entry.lsn, self.target(), self.port.port);
            if let Ok(base) = base
                && let Ok(followed) = self.walk(log, entry.lsn, base)
            {
                let lsn = entry.lsn;
                output::tell_warning(
                    &format!("nothing up to lsn {lsn} is known, by a checkpoint: {failure}"),
                    self.json,
                );
                return Ok(followed);
            }
        }
        Err(failure)
    }

    /// What the packs and the log above them tell, without the `skipped` oldest packs.
    fn read_past(&self, log: &Log<'_>, skipped: usize) -> Result<Followed, Damage> {
        let asked = Asked { target: self.target(), port: self.port.port, at: self.at, limit: self.limit as usize };
        let past = Past::open(log, asked, skipped)?;
        past.read(&|| self.base(log, past.begin))
    }

    /// The older checkpoint that can be believed, for a log that begins above `begin`.
    fn base(&self, log: &Log<'_>, begin: Lsn) -> Option<Base> {
        for entry in &log.survey.manifest.checkpoints {
            match Base::load(&self.data, entry, begin, self.target(), self.port.port) {
                Ok(loaded) => return Some(loaded),
                Err(error) => {
                    let what = format!("checkpoint {} at lsn {} is not believed: {error}", entry.generation, entry.lsn);
                    output::tell_warning(&what, self.json);
                }
            }
        }
        None
    }

    fn walk(&self, log: &Log<'_>, begin: Lsn, base: Base) -> Result<Followed, Failure> {
        let kept = Kept::new(self.at, self.limit as usize);
        let mut tracker = Tracker::knowing(self.target(), self.port.port, begin, Some(base), None, kept);
        let walked = log.walk(Reading::Above(begin), &mut |placed| {
            tracker.see(placed);
            Ok(())
        })?;
        let now = tracker.finish();
        Ok(Followed { tracker, now, warnings: walked.warnings })
    }

    /// The log names no such list: what it does name that is like it.
    fn no_list(&self, tracker: &Tracker) -> Failure {
        let same = tracker.targets().filter(|target| target.transport() == self.transport);
        let names: BTreeSet<String> = same.map(|target| target.dvipa_text()).collect();
        let near = nearest(&what::shown(self.port.of), names.iter().cloned());
        let hint = match (names.len(), near.is_empty()) {
            (0, _) => "there is none at all".to_owned(),
            (count, true) => format!("there are {count}: portplex display groups shows them"),
            (_, false) => format!("did you mean {}?", near.join(" or ")),
        };
        let (place, of) = (self.data.display(), what::shown(self.port.of));
        let message = format!("{place}: the log names no {} list of {of}; {hint}", self.transport);
        Failure::told(Exit::Refused, message)
    }
}
