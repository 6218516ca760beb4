//! `portplex connector list`: who is known, in which life, and what is kept for it.
#![forbid(unsafe_code)]

use crate::cli::columns::Columns;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::source;
use crate::cli::state::Connector;
use crate::cli::state::State;
use crate::ident::ConnectorName;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex connector list /srv/ports
  portplex connector list /srv/ports --json | jq -r '.connectors[] | select(.ports > 0).connector'

ATTACHED says whether the stack has attached since granting stopped; \"-\" while it is not stopped.
A restored store waits for every one that has not, or for your word that it is dead.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Directory of the store
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &ListArgs) -> Result<Exit, Failure> {
    let store = source::inspect(&args.dir, args.json)?;
    let structure = &store.structure;
    let not_attached = || structure.not_attached_since_stop(structure.lsn().next()).collect();
    let missing: Option<BTreeSet<&ConnectorName>> = structure.stop().map(|_| not_attached());
    let state = State::new(structure.items());
    if args.json {
        output::print_json(&json(&state, missing.as_ref()))?;
    } else {
        output::print(&text(&state, missing.as_ref()))?;
    }
    Ok(Exit::Done)
}

fn text(state: &State, missing: Option<&BTreeSet<&ConnectorName>>) -> String {
    let titles = ["CONNECTOR", "INCARNATION", "STATE", "ATTACHED", "GRANTS", "PORTS", "PROMISE", "MACHINE"];
    let mut columns = Columns::new(&titles, "lrllrrrl");
    for connector in &state.connectors {
        let attached = match has_attached(connector, missing) {
            None => "-",
            Some(true) => "yes",
            Some(false) => "no",
        };
        let promise = if connector.promise_ms == 0 { "-".to_owned() } else { format!("{} ms", connector.promise_ms) };
        columns.row(vec![
            connector.name.to_string(),
            connector.incarnation.to_string(),
            connector.state.name().to_owned(),
            attached.to_owned(),
            connector.grants.to_string(),
            connector.ports.to_string(),
            promise,
            format!("{:032x}", connector.identity.machine.0),
        ]);
    }
    let mut text = columns.render();
    if state.connectors.is_empty() {
        text.push_str("no connector: no stack has connected yet\n");
    }
    text
}

fn json(state: &State, missing: Option<&BTreeSet<&ConnectorName>>) -> Value {
    let connectors = state.connectors.iter().map(|connector| {
        let mut row = connector.json();
        row["attached_since_stop"] = json!(has_attached(connector, missing));
        row
    });
    json!({
        "structure": state.name.to_string(),
        "lsn": state.lsn.0,
        "connectors": connectors.collect::<Vec<_>>(),
    })
}

/// Whether it has attached since granting stopped.
fn has_attached(connector: &Connector, missing: Option<&BTreeSet<&ConnectorName>>) -> Option<bool> {
    missing.map(|missing| !missing.contains(&connector.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::sample::items;

    #[test]
    fn who_has_not_attached_since_granting_stopped_is_told_apart() {
        let state = State::new(items());
        let missing = BTreeSet::from([&state.connectors[0].name]);
        let expected = "\
CONNECTOR   INCARNATION  STATE              ATTACHED  GRANTS  PORTS  PROMISE  MACHINE
SYS1.TCPIP            1  active             no             2     72        -  00000000000000000000000000000000
SYS2.TCPIP            2  failed-persistent  yes            2      9        -  00000000000000000000000000000000
";
        assert_eq!(text(&state, Some(&missing)), expected);
        assert_eq!(json(&state, Some(&missing))["connectors"][1]["attached_since_stop"], true);
        assert_eq!(json(&state, None)["connectors"][1]["attached_since_stop"], Value::Null);
    }
}
