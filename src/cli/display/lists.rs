//! `portplex display lists`: every DVIPA's list, its state, its counts and who holds how much.
#![forbid(unsafe_code)]

use super::Shown;
use crate::cli::columns::Columns;
use crate::cli::state::List;
use crate::cli::state::PORTS_PER_LIST;
use crate::cli::state::State;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// As text.
pub(crate) fn text(shown: &Shown) -> String {
    state_text(&shown.state)
}

/// Lists alone, as text.
pub(super) fn state_text(state: &State) -> String {
    let mut text = String::new();
    for (transport, range) in &state.ranges {
        let last = range.first.saturating_add(range.count.saturating_sub(1));
        let _ = writeln!(
            text,
            "EXPLICITBINDPORTRANGE {} ACTIVE: {:05}-{last:05} ({} PORTS)",
            transport.name().to_uppercase(),
            range.first,
            range.count
        );
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let titles = ["LIST", "DVIPA", "PROT", "STATE", "STACKS", "GROUPS", "HELD", "QUARANTINE", "FREE", "POLICY"];
    let mut columns = Columns::new(&titles, "rlllrrrrrl");
    for list in &state.lists {
        columns.row(vec![
            list.slot.to_string(),
            list.target.dvipa_text(),
            list.target.transport().name().to_uppercase(),
            if list.open { "OPEN" } else { "CLOSED" }.to_owned(),
            list.members.len().to_string(),
            list.groups_in_use().to_string(),
            list.held().to_string(),
            list.quarantined().to_string(),
            free(list).to_string(),
            policy(list),
        ]);
    }
    text.push_str(&columns.render());
    if state.lists.is_empty() {
        text.push_str("no list: a stack's first join of a DVIPA makes one\n");
    }
    text
}

/// As one JSON object.
pub(crate) fn json(shown: &Shown) -> Value {
    state_json(&shown.state)
}

/// Lists alone, as one JSON object.
pub(super) fn state_json(state: &State) -> Value {
    json!({
        "structure": state.name.to_string(),
        "lsn": state.lsn.0,
        "ranges": ranges_json(state),
        "lists": state.lists.iter().map(list_json).collect::<Vec<_>>(),
    })
}

/// One list as JSON.
pub(super) fn list_json(list: &List) -> Value {
    let stacks: Vec<Value> = list
        .members
        .iter()
        .map(|member| {
            json!({"connector": member.connector.as_str(), "grants": member.grants.len(), "ports": member.ports()})
        })
        .collect();
    json!({
        "list": list.slot,
        "transport": list.target.transport().name(),
        "dvipa": list.target.dvipa_text(),
        "state": if list.open { "open" } else { "closed" },
        "groups_in_use": list.groups_in_use(),
        "held": list.held(),
        "quarantined": list.quarantined(),
        "free": free(list),
        "quota": list.policy.quota,
        "reserve": list.policy.reserve,
        "quarantine_ms": list.policy.quarantine_ms,
        "clean_up_ms": list.policy.clean_up_ms,
        "stacks": stacks,
    })
}

/// The explicit-bind ranges in force as JSON.
pub(super) fn ranges_json(state: &State) -> Vec<Value> {
    let range = |(transport, range): &(crate::ident::Transport, crate::structure::PortRange)| json!({"transport": transport.name(), "first": range.first, "count": range.count});
    state.ranges.iter().map(range).collect()
}

/// Neither held nor in quarantine; a profile may still exclude them for a stack.
fn free(list: &List) -> u32 {
    PORTS_PER_LIST.saturating_sub(list.held()).saturating_sub(list.quarantined())
}

fn policy(list: &List) -> String {
    let mut parts = Vec::new();
    if list.policy.quota > 0 {
        parts.push(format!("quota {}", list.policy.quota));
    }
    if list.policy.reserve > 0 {
        parts.push(format!("reserve {}", list.policy.reserve));
    }
    if list.policy.quarantine_ms > 0 {
        parts.push(format!("quarantine {} ms", list.policy.quarantine_ms));
    }
    if list.policy.clean_up_ms > 0 {
        parts.push(format!("clean-up {} ms", list.policy.clean_up_ms));
    }
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;

    #[test]
    fn a_list_accounts_for_every_port() {
        let expected = "\
EXPLICITBINDPORTRANGE TCP ACTIVE: 62000-63023 (1024 PORTS)

LIST  DVIPA     PROT  STATE   STACKS  GROUPS  HELD  QUARANTINE   FREE  POLICY
   0  10.1.1.1  TCP   OPEN         2       4    81           4  65451  quota 4096, reserve 2
   1  ANY       TCP   CLOSED       1       0     0           0  65536  -
";
        assert_eq!(super::text(&shown()), expected);
        let json = super::json(&shown());
        assert_eq!(json["lists"][0]["stacks"][1]["ports"], 9);
        assert_eq!(json["lists"][1]["state"], "closed");
    }
}
