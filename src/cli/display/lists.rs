//! `portplex display lists`: every DVIPA's list, its state, its counts and who holds how much.
#![forbid(unsafe_code)]

use super::Shown;
use crate::cli::columns::Columns;
use crate::cli::state::List;
pub(super) use crate::shapes::lists::list_json;
pub(super) use crate::shapes::lists::ranges_json;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// As text.
pub(crate) fn text(shown: &Shown) -> String {
    let mut text = String::new();
    for (transport, range) in &shown.state.ranges {
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
    for list in &shown.state.lists {
        columns.row(vec![
            list.slot.to_string(),
            list.target.dvipa_text(),
            list.target.transport().name().to_uppercase(),
            if list.open { "OPEN" } else { "CLOSED" }.to_owned(),
            list.members.len().to_string(),
            list.groups_in_use().to_string(),
            list.held().to_string(),
            list.quarantined().to_string(),
            list.free().to_string(),
            policy(list),
        ]);
    }
    text.push_str(&columns.render());
    if shown.state.lists.is_empty() {
        text.push_str("no list: a stack's first join of a DVIPA makes one\n");
    }
    text
}

/// As one JSON object.
pub(crate) fn json(shown: &Shown) -> Value {
    json!({
        "structure": shown.state.name.to_string(),
        "lsn": shown.state.lsn.0,
        "ranges": ranges_json(&shown.state),
        "lists": shown.state.lists.iter().map(list_json).collect::<Vec<_>>(),
    })
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
