//! `portplex display connectors`: every stack's connection, as the connection part of
//! `D XCF,STR,STRNAME=` (MVS System Commands): name, id, version, system, job, state.
#![forbid(unsafe_code)]

use super::Shown;
use crate::cli::columns::Columns;
use crate::cli::state::Connector;
use crate::cli::state::system_and_stack;
use serde_json::{Value, json};

/// As text.
pub(crate) fn text(shown: &Shown) -> String {
    let titles =
        ["CONNECTION NAME", "ID", "VERSION", "SYSNAME", "JOBNAME", "STATE", "LISTS", "GRANTS", "PORTS", "LEASE"];
    let mut columns = Columns::new(&titles, "lrrlllrrrr");
    for connector in &shown.state.connectors {
        let (system, stack) = system_and_stack(&connector.name);
        let lease = if connector.promise_ms == 0 { "-".to_owned() } else { format!("{} ms", connector.promise_ms) };
        columns.row(vec![
            connector.name.to_string(),
            connector.slot.to_string(),
            connector.incarnation.to_string(),
            system.to_owned(),
            stack.to_owned(),
            connector.state.name().to_uppercase(),
            connector.lists.to_string(),
            connector.grants.to_string(),
            connector.ports.to_string(),
            lease,
        ]);
    }
    let mut text = columns.render();
    if shown.state.connectors.is_empty() {
        text.push_str("no connector: no stack has connected yet\n");
    }
    text
}

/// As one JSON object.
pub(crate) fn json(shown: &Shown) -> Value {
    json!({
        "structure": shown.state.name.to_string(),
        "lsn": shown.state.lsn.0,
        "connectors": shown.state.connectors.iter().map(connector_json).collect::<Vec<_>>(),
    })
}

/// One connector as JSON.
pub(super) fn connector_json(connector: &Connector) -> Value {
    let mut row = connector.json();
    row["id"] = json!(connector.slot);
    row
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;

    #[test]
    fn a_failed_persistent_connector_is_shown_with_what_is_kept_for_it() {
        let expected = "\
CONNECTION NAME  ID  VERSION  SYSNAME  JOBNAME  STATE              LISTS  GRANTS  PORTS  LEASE
SYS1.TCPIP        0        1  SYS1     TCPIP    ACTIVE                 2       2     72      -
SYS2.TCPIP        1        2  SYS2     TCPIP    FAILED-PERSISTENT      1       2      9      -
";
        assert_eq!(super::text(&shown()), expected);
        assert_eq!(super::json(&shown())["connectors"][1]["ports"], 9);
    }
}
