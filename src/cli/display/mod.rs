//! `portplex display`: who holds what, in the field's terms.
#![forbid(unsafe_code)]

mod connectors;
mod groups;
mod lists;
mod structure;

use super::exit::Exit;
use super::exit::Failure;
use super::notice;
use super::notice::Notice;
use super::output;
use super::source;
use super::state::DvipaFilter;
use super::state::Filter;
use super::state::State;
use crate::ident::Transport;
use std::path::PathBuf;

/// Who holds what: the structure, its lists, its connectors, its groups.
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
}

const STRUCTURE_EXAMPLES: &str = "\
Examples:
  portplex display structure                      # what `portplex dev` left in ./portplex-data
  portplex display structure --data /srv/ports --dvipa 10.1.1.1

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
    /// Directory of the store; read, never changed
    #[arg(long, value_name = "DIR", default_value = super::DATA_DEFAULT)]
    data: PathBuf,
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
        self.what.selection().json
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        let selection = self.what.selection();
        let shown = read(selection)?;
        if selection.json {
            let mut view = match self.what {
                What::Structure(_) => structure::json(&shown),
                What::Lists(_) => lists::json(&shown),
                What::Connectors(_) => connectors::json(&shown),
                What::Groups(_) => groups::json(&shown),
            };
            view["notices"] = notice::json(&shown.notices);
            output::print_json(&view)?;
        } else {
            let view = match self.what {
                What::Structure(_) => structure::text(&shown),
                What::Lists(_) => lists::text(&shown),
                What::Connectors(_) => connectors::text(&shown),
                What::Groups(_) => groups::text(&shown),
            };
            output::print(&format!("{}{view}", notice::banner(&shown.notices)))?;
        }
        Ok(Exit::Done)
    }
}

impl What {
    fn selection(&self) -> &Selection {
        match self {
            Self::Structure(selection)
            | Self::Lists(selection)
            | Self::Connectors(selection)
            | Self::Groups(selection) => selection,
        }
    }
}

fn read(selection: &Selection) -> Result<Shown, Failure> {
    let store = source::inspect(&selection.data, selection.json)?;
    let notices = notice::notices(&selection.data, &store);
    let mut state = State::new(store.structure.items());
    let there_are: Vec<String> = state.lists.iter().map(|list| list.target.to_string()).collect();
    state.keep(&Filter { dvipa: selection.dvipa, transport: selection.transport });
    if state.lists.is_empty() && selection.dvipa.is_some() {
        let there_are = if there_are.is_empty() { "none".to_owned() } else { there_are.join(", ") };
        let message = format!("{}: no such list; there are: {there_are}", selection.data.display());
        return Err(Failure::told(Exit::Refused, message));
    }
    let segments =
        store.manifest.segments.iter().map(|segment| segment.sealed.map_or(segment.size, |seal| seal.offset));
    let files = store.manifest.checkpoints.iter().flat_map(|checkpoint| checkpoint.files.iter().map(|file| file.size));
    let size_bytes = Some(segments.chain(files).sum());
    Ok(Shown { state, epoch: store.manifest.epoch, size_bytes, notices })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cli::sample::items;

    pub(crate) fn shown() -> Shown {
        Shown { state: State::new(items()), epoch: 3, size_bytes: Some(8 << 20), notices: Vec::new() }
    }
}
