//! `portplex display structure`: the structure and its lists as VTAM shows `EZBEPORT`.
//!
//! Layout of `D NET,STATS,TYPE=CFS,STRNAME=EZBEPORT,LIST=ALL` (SNA Network Implementation Guide;
//! SNA Messages IST1370I to IST1377I, IST1834I to IST1837I). What the origin counts in storage of a
//! coupling facility is counted here in groups: a storage element is one group of 64 ports.
#![forbid(unsafe_code)]

use super::Shown;
use crate::cli::state::List;
use crate::cli::state::system_and_stack;
use crate::ident::GroupNumber;
use crate::structure::ConnectorState;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// As text.
pub(crate) fn text(shown: &Shown) -> String {
    let state = &shown.state;
    let mut text = String::new();
    let mut line = |id: &str, rest: &str| {
        let _ = writeln!(text, "{}", format!("{id} {rest}").trim_end());
    };
    line("IST097I", "DISPLAY ACCEPTED");
    line("IST350I", "DISPLAY TYPE = STATS,TYPE=CFS");
    let active = |connector: &&crate::cli::state::Connector| connector.state == ConnectorState::Active;
    for connector in state.connectors.iter().filter(active) {
        line("IST1370I", &format!("{} IS CONNECTED TO STRUCTURE {}", connector.name, state.name));
    }
    if !state.connectors.iter().any(|connector| active(&connector)) {
        line("IST1370I", &format!("NO STACK IS CONNECTED TO STRUCTURE {}", state.name));
    }
    line("IST1797I", "STRUCTURE TYPE = LIST");
    line("IST1517I", &format!("LIST HEADERS = {} - LOCK HEADERS = 0", state.lists.len()));
    line("IST1373I", "STORAGE ELEMENT SIZE = 64");
    line("IST1374I", &format!("{:<18}{:>9}{:>10}{:>9}", "", "CURRENT", "MAXIMUM", "PERCENT"));
    let row = |name: &str, current: String, maximum: String, percent: String| {
        format!("{name:<18}{current:>9}{maximum:>10}{percent:>9}")
    };
    let size = shown.size_bytes.map_or_else(|| "*NA*".to_owned(), |size| format!("{}K", size.div_ceil(1 << 10)));
    line("IST1375I", &row("STRUCTURE SIZE", size, "*NA*".to_owned(), "*NA*".to_owned()));
    let groups: u64 = state.lists.iter().map(|list| u64::from(list.groups_in_use())).sum();
    let groups_max = state.lists.len() as u64 * u64::from(GroupNumber::COUNT);
    let percent =
        (groups * 100).checked_div(groups_max).map_or_else(|| "*NA*".to_owned(), |percent| percent.to_string());
    line("IST1376I", &row("STORAGE ELEMENTS", groups.to_string(), groups_max.to_string(), percent));
    let held = |list: &List| list.members.iter().map(|member| member.grants.len()).sum::<usize>();
    let entries: usize = state.lists.iter().map(|list| held(list) + list.quarantine.len()).sum();
    line("IST1377I", &row("LIST ENTRIES", entries.to_string(), "*NA*".to_owned(), "*NA*".to_owned()));
    line("IST924I", "-------------------------------------------------------------");
    line(
        "IST1834I",
        &format!("{:<6}{:<24}{:<10}{:<22}{:>16}", "LIST", "DVIPA", "SYSNAME", "TCPNAME", "# ASSIGNED PORTS"),
    );
    for list in &state.lists {
        list_part(list, &mut line);
    }
    line("IST314I", "END");
    text
}

fn list_part(list: &List, line: &mut impl FnMut(&str, &str)) {
    let transport = match list.target.transport() {
        crate::ident::Transport::Tcp => "",
        crate::ident::Transport::Udp => " UDP",
    };
    let closed = if list.open { "" } else { " CLOSED" };
    line("IST1835I", &format!("{:<6}{}{transport}{closed}", list.slot, list.target.dvipa_text()));
    for member in &list.members {
        let (system, stack) = system_and_stack(&member.connector);
        line("IST1837I", &format!("{:<30}{system:<10}{stack:<22}{:>16}", "", member.ports()));
    }
    if list.quarantined() > 0 {
        line("IST1837I", &format!("{:<30}{:<32}{:>16}", "", "(QUARANTINE)", list.quarantined()));
    }
    line("IST1836I", &format!("{:<6}{:<56}{:>16}", "", "DVIPA TOTAL", list.held()));
}

/// As one JSON object.
pub(crate) fn json(shown: &Shown) -> Value {
    let state = &shown.state;
    let groups: u32 = state.lists.iter().map(List::groups_in_use).sum();
    json!({
        "structure": state.name.to_string(),
        "epoch": shown.epoch,
        "lsn": state.lsn.0,
        "size_bytes": shown.size_bytes,
        "connectors": state.connectors.iter().map(super::connectors::connector_json).collect::<Vec<_>>(),
        "groups_in_use": groups,
        "groups_max": state.lists.len() as u64 * u64::from(GroupNumber::COUNT),
        "ranges": super::lists::ranges_json(state),
        "lists": state.lists.iter().map(super::lists::list_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;

    #[test]
    fn the_structure_is_laid_out_as_in_the_origin() {
        let expected = "\
IST097I DISPLAY ACCEPTED
IST350I DISPLAY TYPE = STATS,TYPE=CFS
IST1370I SYS1.TCPIP IS CONNECTED TO STRUCTURE EZBEPORT1121
IST1797I STRUCTURE TYPE = LIST
IST1517I LIST HEADERS = 2 - LOCK HEADERS = 0
IST1373I STORAGE ELEMENT SIZE = 64
IST1374I                     CURRENT   MAXIMUM  PERCENT
IST1375I STRUCTURE SIZE        8192K      *NA*     *NA*
IST1376I STORAGE ELEMENTS          4      2048        0
IST1377I LIST ENTRIES              5      *NA*     *NA*
IST924I -------------------------------------------------------------
IST1834I LIST  DVIPA                   SYSNAME   TCPNAME               # ASSIGNED PORTS
IST1835I 0     10.1.1.1
IST1837I                               SYS1      TCPIP                               72
IST1837I                               SYS2      TCPIP                                9
IST1837I                               (QUARANTINE)                                   4
IST1836I       DVIPA TOTAL                                                           81
IST1835I 1     ANY CLOSED
IST1837I                               SYS1      TCPIP                                0
IST1836I       DVIPA TOTAL                                                            0
IST314I END
";
        assert_eq!(super::text(&shown()), expected);
    }

    #[test]
    fn programs_get_the_same_facts() {
        let json = super::json(&shown());
        assert_eq!(json["structure"], "EZBEPORT1121");
        assert_eq!(json["lists"][0]["held"], 81);
        assert_eq!(json["connectors"][1]["state"], "failed-persistent");
        assert_eq!(json["ranges"][0]["first"], 62_000);
    }
}
