//! Lists as JSON: state, counts, policy, and who holds how much.
#![forbid(unsafe_code)]

use super::state::List;
use super::state::State;
use serde_json::{Value, json};

/// One list as JSON.
pub(crate) fn list_json(list: &List) -> Value {
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
        "free": list.free(),
        "quota": list.policy.quota,
        "reserve": list.policy.reserve,
        "quarantine_ms": list.policy.quarantine_ms,
        "clean_up_ms": list.policy.clean_up_ms,
        "stacks": stacks,
    })
}

/// The explicit-bind ranges in force as JSON.
pub(crate) fn ranges_json(state: &State) -> Vec<Value> {
    let range = |(transport, range): &(crate::ident::Transport, crate::structure::PortRange)| json!({"transport": transport.name(), "first": range.first, "count": range.count});
    state.ranges.iter().map(range).collect()
}
