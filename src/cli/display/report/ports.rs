//! `portplex display ports`: EXPLICITBINDPORTRANGE as D TCPIP,,SYSPLEX,PORTS shows it.
//!
//! The range in force is that of the profile processed last anywhere in the subplex, so what a stack
//! has configured and what is active can differ (IP Configuration Guide, EXPLICITBINDPORTRANGE).
#![forbid(unsafe_code)]

use super::given::Given;
use super::given::GivenArgs;
use crate::cli::columns::Columns;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::notice;
use crate::cli::notice::Notice;
use crate::cli::source;
use crate::cli::state::State;
use crate::cli::state::system_and_stack;
use crate::ident::StructureName;
use crate::ident::Transport;
use crate::profile::ExplicitBind;
use crate::structure::PortRange;
use serde_json::{Value, json};
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex display ports --profile SYS1.TCPIP=sys1.profile SYS2.TCPIP=sys2.profile
  portplex display ports --profile sys1.profile --data /srv/ports
  portplex display ports --data /srv/ports --json | jq .active

The range configured is that of a stack's profile, the active one is in the structure: that of the
profile processed last anywhere in the subplex.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PortsArgs {
    #[command(flatten)]
    pub(crate) given: GivenArgs,
    /// Directory of the store that has the active range; read, never changed
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What is in force.
pub(crate) struct Active {
    pub(crate) structure: StructureName,
    pub(crate) range: Option<PortRange>,
    pub(crate) notices: Vec<Notice>,
}

pub(crate) fn run(args: &PortsArgs) -> Result<Exit, Failure> {
    if args.given.is_empty() && args.data.is_none() {
        let message = "neither a profile nor a store was given: --profile [NAME=]FILE, or --data DIR";
        return Err(Failure::told(Exit::Usage, message));
    }
    let given = args.given.read()?;
    let mut active = None;
    if let Some(dir) = &args.data {
        let store = source::inspect(dir, args.given.json)?;
        let notices = notice::notices(dir, &store);
        let state = State::new(store.structure.items());
        let range = state.ranges.iter().find(|(transport, _)| *transport == Transport::Tcp).map(|(_, range)| *range);
        active = Some(Active { structure: state.name, range, notices });
    }
    given.print(args.given.json, || json(&given, active.as_ref()), || text(&given, active.as_ref()))
}

fn configured(given: &Given) -> impl Iterator<Item = (&crate::ident::ConnectorName, Option<PortRange>)> {
    given.stacks.iter().map(|(stack, profile)| match profile.explicit_bind {
        ExplicitBind::Range(range) => (stack, Some(range)),
        ExplicitBind::Unspecified | ExplicitBind::No => (stack, None),
    })
}

pub(super) fn json(given: &Given, active: Option<&Active>) -> Value {
    let range = |range: PortRange| json!({"first": range.first, "last": last(range), "ports": range.count});
    let stack = |(stack, configured): (&crate::ident::ConnectorName, Option<PortRange>)| json!({"stack": stack.as_str(), "configured": configured.map(range)});
    let active = active.map(|active| {
        json!({
            "structure": active.structure.to_string(),
            "range": active.range.map(range),
            "notices": notice::json(&active.notices),
        })
    });
    json!({"report": "ports", "stacks": configured(given).map(stack).collect::<Vec<_>>(), "active": active})
}

fn text(given: &Given, active: Option<&Active>) -> String {
    let mut text = active.map(|active| notice::banner(&active.notices)).unwrap_or_default();
    text.push_str("SYSPLEX PORTS DISPLAY: EXPLICITBINDPORTRANGE\n");
    if !given.stacks.is_empty() {
        let mut columns = Columns::new(&["TCPNAME", "MVSNAME", "CONFIGURED", "PORTS"], "lllr");
        for (stack, range) in configured(given) {
            let (system, name) = system_and_stack(stack);
            let (shown, count) = shown(range);
            columns.row(vec![name.to_owned(), system.to_owned(), shown, count.to_string()]);
        }
        text.push_str(&columns.render());
    }
    let active = match active {
        None => "ACTIVE: UNKNOWN, --data DIR names the store that has it".to_owned(),
        Some(Active { structure, range, .. }) => match shown(*range) {
            (range, 0) => format!("ACTIVE IN {structure}: {range}"),
            (range, count) => format!("ACTIVE IN {structure}: {range} ({count} PORTS)"),
        },
    };
    text.push_str(&active);
    text.push('\n');
    text
}

fn shown(range: Option<PortRange>) -> (String, u16) {
    match range {
        Some(range) => (format!("{:05}-{:05}", range.first, last(range)), range.count),
        None => ("NONE".to_owned(), 0),
    }
}

const fn last(range: PortRange) -> u16 {
    range.first.saturating_add(range.count.saturating_sub(1))
}

/// Both ways, without a store: for tests.
#[cfg(test)]
pub(super) fn shown_in_full(given: &Given) -> (Value, String) {
    (json(given, None), text(given, None))
}
