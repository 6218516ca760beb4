//! `portplex display`: who holds what, in the field's terms.
#![forbid(unsafe_code)]

mod connectors;
mod groups;
mod lists;
mod report;
mod structure;

use super::exit::Exit;
use super::exit::Failure;
use super::notice;
use super::notice::Notice;
use super::output;
use super::service_args::Operator;
use super::service_args::Place;
use super::service_args::ServiceArgs;
use super::source;
use super::state::DvipaFilter;
use super::state::Filter;
use super::state::State;
use crate::ident::Transport;
#[cfg(feature = "service")]
pub(crate) use report::given;
#[cfg(feature = "service")]
pub(crate) use report::live;
#[cfg(feature = "service")]
pub(crate) use report::ports::Active;
use report::{conn, portlist, ports, vcrt, vdpt, vipadcfg, vipadyn};
use serde_json::Value;
use std::path::Path;
use std::path::PathBuf;

/// Who holds what: the structure, its lists, its connectors, its groups. And what stacks make of
/// their profiles: D TCPIP,,SYSPLEX and Netstat.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DisplayArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// The structure as VTAM shows it: D NET,STATS,TYPE=CFS,STRNAME=EZBEPORT,LIST=ALL
    #[command(after_long_help = STRUCTURE_EXAMPLES)]
    Structure(Selection),
    /// Every DVIPA's list: state, stacks, groups, ports held, in quarantine and free, policy
    #[command(after_long_help = LISTS_EXAMPLES)]
    Lists(Selection),
    /// Every stack's connection: version (incarnation), state, lists, grants, ports, lease
    #[command(after_long_help = CONNECTORS_EXAMPLES)]
    Connectors(Selection),
    /// A map of the 1,024 groups of every list: a letter per stack, quarantine, free
    #[command(after_long_help = GROUPS_EXAMPLES)]
    Groups(Selection),
    /// EXPLICITBINDPORTRANGE configured and active: D TCPIP,,SYSPLEX,PORTS
    #[command(after_long_help = ports::EXAMPLES)]
    Ports(ports::PortsArgs),
    /// Who is what to each DVIPA of the profiles: D TCPIP,,SYSPLEX,VIPADYN
    #[command(after_long_help = vipadyn::help())]
    Vipadyn(vipadyn::VipadynArgs),
    /// The DVIPA statements of profiles: Netstat VIPADCFG/-F
    #[command(after_long_help = vipadcfg::EXAMPLES)]
    Vipadcfg(vipadcfg::VipadcfgArgs),
    /// The ports that profiles reserve: Netstat PORTLIST/-o
    #[command(after_long_help = portlist::EXAMPLES)]
    Portlist(portlist::PortlistArgs),
    /// Where each distributed port leads, in a dry run: Netstat VDPT/-O
    #[command(after_long_help = vdpt::help())]
    Vdpt(vdpt::VdptArgs),
    /// Every connection and the stack that has it, in a dry run: Netstat VCRT/-V
    #[command(after_long_help = vcrt::help())]
    Vcrt(vcrt::VcrtArgs),
    /// Each stack's sockets on DVIPAs, in a dry run: Netstat CONN/-c
    #[command(after_long_help = conn::help())]
    Conn(conn::ConnArgs),
}

const STRUCTURE_EXAMPLES: &str = "\
Examples:
  portplex display structure                      # what `portplex dev` left in ./portplex-data
  portplex display structure --data /srv/ports --dvipa 10.1.1.1
  portplex display structure --service unix:/run/portplex.sock    # of a store that is being served

A storage element here is one group of 64 ports; a list entry is one grant, or ports of one group
in quarantine; the structure's size is that of its log and checkpoints on disk.";

const LISTS_EXAMPLES: &str = "\
Examples:
  portplex display lists
  portplex display lists --transport udp --json | jq '.lists[].held'";

const CONNECTORS_EXAMPLES: &str = "\
Examples:
  portplex display connectors
  portplex display connectors --json | jq -r '.connectors[] | select(.state != \"active\").connector'";

const GROUPS_EXAMPLES: &str = "\
Examples:
  portplex display groups --dvipa 10.1.1.1
  portplex display groups --dvipa ANY             # the explicit-bind pool
  portplex display groups --json | jq '.lists[0].groups | length'

One character is one group of 64 ports, one row 4,096 ports. A capital letter is a stack that holds
all ports of the group, a small one a stack that holds some; the legend below the map says which.";

#[derive(Clone, Debug, clap::Args)]
struct Selection {
    /// Directory of the store; read, never changed [default: ./portplex-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    service: ServiceArgs,
    /// Only this DVIPA's lists; ANY for the explicit-bind pool
    #[arg(long, value_name = "ADDRESS")]
    dvipa: Option<DvipaFilter>,
    /// Only lists of this transport: tcp or udp
    #[arg(long, value_name = "PROTOCOL", value_parser = super::args::parse_transport)]
    transport: Option<Transport>,
    /// One JSON object on one line
    #[arg(long)]
    json: bool,
}

/// What there is to show.
pub(crate) struct Shown {
    pub(crate) state: State,
    pub(crate) epoch: u64,
    /// Bytes of log and checkpoints, if known.
    pub(crate) size_bytes: Option<u64>,
    /// What must be said first.
    pub(crate) notices: Vec<Notice>,
}

impl DisplayArgs {
    pub(crate) fn is_json(&self) -> bool {
        match &self.what {
            What::Structure(selection)
            | What::Lists(selection)
            | What::Connectors(selection)
            | What::Groups(selection) => selection.json,
            What::Ports(args) => args.given.json,
            What::Vipadyn(args) => args.dry_run.given.json,
            What::Vipadcfg(args) => args.given.json,
            What::Portlist(args) => args.given.json,
            What::Vdpt(args) => args.dry_run.given.json,
            What::Vcrt(args) => args.dry_run.given.json,
            What::Conn(args) => args.dry_run.given.json,
        }
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        match &self.what {
            What::Structure(selection) => show(selection, structure::json, structure::text),
            What::Lists(selection) => show(selection, lists::json, lists::text),
            What::Connectors(selection) => show(selection, connectors::json, connectors::text),
            What::Groups(selection) => show(selection, groups::json, groups::text),
            What::Ports(args) => ports::run(args),
            What::Vipadyn(args) => vipadyn::run(args),
            What::Vipadcfg(args) => vipadcfg::run(args),
            What::Portlist(args) => portlist::run(args),
            What::Vdpt(args) => vdpt::run(args),
            What::Vcrt(args) => vcrt::run(args),
            What::Conn(args) => conn::run(args),
        }
    }
}

/// Shows a store one way or the other.
fn show(selection: &Selection, json: fn(&Shown) -> Value, text: fn(&Shown) -> String) -> Result<Exit, Failure> {
    let shown = read(selection)?;
    if selection.json {
        let mut view = json(&shown);
        view["notices"] = notice::json(&shown.notices);
        output::print_json(&view)?;
    } else {
        output::print(&format!("{}{}", notice::banner(&shown.notices), text(&shown)))?;
    }
    Ok(Exit::Done)
}

fn read(selection: &Selection) -> Result<Shown, Failure> {
    let place = selection.service.place(selection.data.as_deref(), Some(super::DATA_DEFAULT))?;
    let mut shown = match &place {
        Place::Store(dir) => of_store(dir, selection.json)?,
        Place::Service(operator) => of_service(&place.argument(), operator)?,
    };
    let state = &mut shown.state;
    let there_are: Vec<String> = state.lists.iter().map(|list| list.target.to_string()).collect();
    state.keep(&Filter { dvipa: selection.dvipa, transport: selection.transport });
    if state.lists.is_empty() && selection.dvipa.is_some() {
        let there_are = if there_are.is_empty() { "none".to_owned() } else { there_are.join(", ") };
        return Err(Failure::told(Exit::Refused, format!("{place}: no such list; there are: {there_are}")));
    }
    Ok(shown)
}

fn of_store(dir: &Path, json: bool) -> Result<Shown, Failure> {
    let store = source::inspect(dir, json)?;
    let notices = notice::notices(dir, &store);
    let state = State::new(store.structure.items());
    let segments =
        store.manifest.segments.iter().map(|segment| segment.sealed.map_or(segment.size, |seal| seal.offset));
    let files = store.manifest.checkpoints.iter().flat_map(|checkpoint| checkpoint.files.iter().map(|file| file.size));
    let packs = store.manifest.packs.iter().map(|pack| pack.size);
    let size_bytes = Some(packs.chain(segments).chain(files).sum());
    Ok(Shown { state, epoch: store.manifest.epoch, size_bytes, notices })
}

fn of_service(place: &str, operator: &Operator) -> Result<Shown, Failure> {
    let status = operator.client.status(operator.structure)?;
    let state = State::new(operator.client.snapshot(operator.structure)?);
    Ok(Shown { state, epoch: status.epoch, size_bytes: None, notices: notice::of_status(place, &status) })
}

/// Every list, as text.
pub(crate) fn lists_text(state: &State) -> String {
    lists::state_text(state)
}

/// Every list, as one JSON object.
pub(crate) fn lists_json(state: &State) -> Value {
    lists::state_json(state)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::shapes::sample::items;

    pub(crate) fn shown() -> Shown {
        Shown { state: State::new(items()), epoch: 3, size_bytes: Some(8 << 20), notices: Vec::new() }
    }
}
