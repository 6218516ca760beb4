//! `portplex explain`: from symptom to cause in plain words; reads only.
//!
//! The store is read as `display` does, profiles as `profile check` does, and the log only where it
//! has the records that tell when and how. What a stack would be answered is asked of the structure
//! itself, not counted again.
#![forbid(unsafe_code)]

mod ask;
mod bind;
mod dvipa;
mod excluded;
mod explanation;
mod holder;
mod limits;
#[cfg(feature = "service")]
pub(crate) mod live;
mod moments;
pub(crate) mod nearest;
mod port;
pub(crate) mod profiles;
mod quarantine;
mod stack;
#[cfg(test)]
mod tests;
pub(crate) mod what;
mod world;

use super::exit::Exit;
use super::exit::Failure;
use super::notice;
use super::output;
use super::source;
use super::state::DvipaFilter;
use crate::facility::Clock;
use crate::facility::SystemClock;
use crate::ident::Transport;
use crate::wal::Manifest;
use explanation::Explanation;
use moments::Moments;
use moments::Wanted;
use std::path::PathBuf;
use what::What;
use world::Now;
use world::Stored;
use world::World;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex explain 10.1.1.1:5000                  # who has this port since when, and what would free it
  portplex explain '[2001:db8::1]:5000' --json
  portplex explain ANY:62000                      # a port of the explicit-bind pool
  portplex explain SYS1.TCPIP                     # why this stack gets ports, or none
  portplex explain 10.1.1.1 --profile sys1.profile sys2.profile
  portplex explain 10.1.1.1:4035 --profile SYS1.TCPIP=a.profile --obey SYS1.TCPIP=add.obey

With profiles it names the statements that exclude a port, with their lines, and what a bind of the
port would do on each stack. A profile is that of the stack NAME; without NAME, of the stack that its
file is named after: sys1.profile is SYS1.TCPIP's, prod.tcpip.profile is PROD.TCPIP's. Data sets are
obeyed in the order in which they are given. What is wrong in the files goes to standard error.

A DVIPA or a stack that only profiles name is explained from them; the store may be missing then.
1 is the exit code if nothing has the name that was asked about.";

/// From symptom to cause in plain words; reads only.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// A port as ADDRESS:PORT, [ADDRESS]:PORT or ANY:PORT, a stack such as SYS1.TCPIP, or a DVIPA
    #[arg(value_name = "WHAT")]
    what: What,
    /// Directory of the store; read, never changed
    #[arg(long, value_name = "DIR", default_value = super::DATA_DEFAULT)]
    data: PathBuf,
    /// Profiles, each of one stack
    #[arg(long, value_name = "[NAME=]FILE", num_args = 1.., value_parser = profiles::parse_typed)]
    profile: Vec<profiles::Typed>,
    /// Data sets to obey after the profile of NAME, in order
    #[arg(long, value_name = "[NAME=]FILE", num_args = 1.., value_parser = profiles::parse_typed)]
    obey: Vec<profiles::Typed>,
    /// Only this transport: tcp or udp [default: of a port tcp, else both]
    #[arg(long, value_name = "PROTOCOL", value_parser = super::args::parse_transport)]
    transport: Option<Transport>,
    /// Quarantine in ms that the service of this store runs with, where a list's policy sets none
    #[arg(long, value_name = "MS", default_value = "120000", value_parser = clap::value_parser!(u32).range(1..=86_400_000))]
    quarantine: u32,
    /// One JSON object on one line
    #[arg(long)]
    json: bool,
}

impl ExplainArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        let Read { world, manifest } = self.read()?;
        let moments = |stored: &Stored, wanted: &Wanted| match &manifest {
            Some(manifest) => Moments::read(&self.data, manifest, stored.structure().lsn(), wanted, self.json),
            None => Moments::default(),
        };
        let asked = Asked { what: &self.what, transport: self.transport };
        let explanation = asked.explain(&world, &moments).map_err(|text| Failure::told(Exit::Refused, text))?;
        if self.json {
            output::print_json(&explanation)?;
        } else {
            output::print(&explanation.text())?;
        }
        Ok(Exit::Done)
    }

    fn read(&self) -> Result<Read<'_>, Failure> {
        let profiles = profiles::read(&self.profile, &self.obey)?;
        profiles::tell(&profiles);
        let profiles: Vec<_> = profiles.into_iter().map(|read| read.named).collect();
        let clock = SystemClock::new();
        let (stored, manifest) = match source::inspect(&self.data, self.json) {
            Ok(inspected) => {
                let (notices, manifest) = (notice::notices(&self.data, &inspected), inspected.manifest.clone());
                (Some(Stored::inspected(inspected, clock.boot_id(), notices)), Some(manifest))
            }
            Err(failure) if failure.exit() == Exit::NotAStore && !profiles.is_empty() => (None, None),
            Err(failure) => return Err(failure),
        };
        let now = Now { wall: clock.wall_ms(), boot_ms: clock.boot_ms() };
        let world = World { dir: &self.data, stored, profiles, quarantine_ms: self.quarantine, now };
        Ok(Read { world: world.settled(), manifest })
    }
}

/// A closed store, and where its log is.
struct Read<'a> {
    world: World<'a>,
    manifest: Option<Manifest>,
}

/// The question.
struct Asked<'a> {
    what: &'a What,
    transport: Option<Transport>,
}

impl Asked<'_> {
    /// The answer; the error says that nothing has the name that was asked about.
    fn explain(&self, world: &World<'_>, moments: &dyn Fn(&Stored, &Wanted) -> Moments) -> Result<Explanation, String> {
        let stored = world.stored.as_ref();
        let moments = |stored: &Stored, wanted: Wanted| moments(stored, &wanted);
        match self.what {
            What::Port { of, port } => {
                self.known(world, *of)?;
                let asked = port::Asked { of: *of, port: *port, transport: self.transport.unwrap_or(Transport::Tcp) };
                let moments = stored.map(|stored| moments(stored, port::want(stored, asked))).unwrap_or_default();
                Ok(port::explain(world, asked, &moments))
            }
            What::Stack(name) => {
                let moments = stored.map(|stored| moments(stored, stack::want(stored, name))).unwrap_or_default();
                stack::explain(world, name, self.transport, &moments).ok_or_else(|| self.nothing(world))
            }
            What::Dvipa(of) => {
                self.known(world, *of)?;
                Ok(dvipa::explain(world, *of, self.transport))
            }
        }
    }

    fn known(&self, world: &World<'_>, of: DvipaFilter) -> Result<(), String> {
        match of {
            DvipaFilter::One(dvipa) if !world.knows(dvipa) => Err(self.nothing(world)),
            _ => Ok(()),
        }
    }

    /// Nothing has that name: what has one that is like it.
    fn nothing(&self, world: &World<'_>) -> String {
        let (stacks, dvipas) = world.names();
        let (kind, asked, names) = match self.what {
            What::Stack(name) => ("stack", name.to_string(), stacks),
            What::Port { of, .. } | What::Dvipa(of) => ("DVIPA", what::shown(*of), dvipas),
        };
        let near = nearest::nearest(&asked, names.iter().cloned());
        let hint = match (names.len(), near.is_empty()) {
            (0, _) => format!("there is no {kind} at all"),
            (_, false) => format!("did you mean {}?", near.join(" or ")),
            (count, true) => {
                let shown = names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
                format!("there are: {shown}{}", if count > NAMES_MAX { " and more" } else { "" })
            }
        };
        let and = if world.profiles.is_empty() { "" } else { " and the profiles" };
        let place = match &world.stored {
            Some(_) => format!("{}{and}", world.dir.display()),
            None => "the profiles".to_owned(),
        };
        format!("{place}: no {kind} {asked}; {hint}")
    }
}

/// Most names that are listed where none is like the one asked about.
const NAMES_MAX: usize = 10;
