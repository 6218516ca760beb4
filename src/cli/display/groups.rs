//! `portplex display groups`: a map of every list's 1,024 groups, or each group in use as JSON.
#![forbid(unsafe_code)]

use super::Shown;
use crate::cli::map::Map;
use crate::ident::Target;
use crate::shapes::groups::groups_json;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// As text, with styles.
pub(crate) fn text(shown: &Shown) -> String {
    let mut text = String::new();
    let bold = anstyle::Style::new().bold();
    for list in &shown.state.lists {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "{bold}{} {}{bold:#}  list {}, {}: {} ports held, {} in quarantine\n",
            list.target.dvipa_text(),
            list.target.transport().name().to_uppercase(),
            list.slot,
            if list.open { "open" } else { "closed" },
            list.held(),
            list.quarantined(),
        );
        let mut map = Map::of_list(list);
        if let Target::Pool(transport) = list.target {
            let ports = shown.state.pool_ports(transport);
            map.keep(|group| ports.mask(group));
        }
        text.push_str(&map.render());
    }
    if shown.state.lists.is_empty() {
        text.push_str("no list: a stack's first join of a DVIPA makes one\n");
    }
    text
}

/// As one JSON object: every group in use.
pub(crate) fn json(shown: &Shown) -> Value {
    let lists: Vec<Value> = shown
        .state
        .lists
        .iter()
        .map(|list| {
            json!({
                "transport": list.target.transport().name(),
                "dvipa": list.target.dvipa_text(),
                "groups": groups_json(list),
            })
        })
        .collect();
    json!({"structure": shown.state.name.to_string(), "lsn": shown.state.lsn.0, "lists": lists})
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;

    #[test]
    fn every_group_in_use_is_listed_with_its_holders() {
        let json = super::json(&shown());
        let groups = json["lists"][0]["groups"].as_array().expect("an array");
        assert_eq!(groups.len(), 4);
        assert_eq!(groups[0]["first"], 44_800);
        assert_eq!(groups[1]["holders"].as_array().map(Vec::len), Some(2));
        assert_eq!(groups[3]["quarantined"], "0x00000000000000f0");
        let text = anstream::adapter::strip_str(&super::text(&shown())).to_string();
        assert!(text.starts_with("10.1.1.1 TCP  list 0, open: 81 ports held, 4 in quarantine\n"), "{text}");
        assert!(text.contains("\nANY TCP  list 1, closed: 0 ports held"), "{text}");
    }
}
