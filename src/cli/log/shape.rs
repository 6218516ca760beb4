//! What a record says, as keys and values in a fixed order.
#![forbid(unsafe_code)]

use super::Names;
use super::Placed;
use super::wall;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::structure::Change;
use crate::structure::Event;
use crate::structure::Stamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// Keys and values in the order in which they are shown.
pub(crate) type Fields = Vec<(&'static str, Value)>;

/// A line of `log dump --json`.
pub(crate) struct Line(Fields);

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// A record as one JSON object.
pub(crate) fn json(placed: &Placed<'_>, fields: Fields) -> Line {
    let frame = placed.frame;
    let mut line: Fields = vec![
        ("lsn", json!(placed.lsn.0)),
        ("wall", json!(wall::rfc3339(frame.wall))),
        ("wall_ms", json!(frame.wall.0)),
        ("boot_ms", json!(frame.boot.0)),
        ("epoch", json!(frame.epoch)),
        ("segment", json!(frame.segment)),
        ("offset", json!(frame.offset)),
        ("event", json!(name(&placed.event.change))),
    ];
    line.extend(fields);
    line.extend(stamp(placed.event));
    Line(line)
}

/// An event that has just happened as one JSON object: what the wire tells of it.
pub(crate) fn live_json(lsn: Lsn, event: &Event, fields: Fields) -> Line {
    let mut line: Fields = vec![("lsn", json!(lsn.0)), ("event", json!(name(&event.change)))];
    line.extend(fields);
    line.extend(stamp(event));
    Line(line)
}

/// The number of the request that caused it.
fn stamp(event: &Event) -> Fields {
    match event.stamp {
        Stamp::None => Vec::new(),
        Stamp::First { number, below, .. } => {
            vec![("number", json!(number)), ("lowest", json!(number.saturating_sub(u32::from(below))))]
        }
        Stamp::Next { number } => vec![("number", json!(number))],
    }
}

/// A record as people read it: name and fields, texts without quotes.
pub(crate) fn text(event: &Event, fields: &Fields) -> String {
    let mut text = format!("{:<13}", name(&event.change));
    for (key, value) in fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match *key {
            "connector" | "dvipa" => text.push_str(&format!(" {value}")),
            "transport" => text.push_str(&format!("/{value}")),
            key => text.push_str(&format!(" {key} {value}")),
        }
    }
    text
}

const fn name(change: &Change) -> &'static str {
    match change {
        Change::Connected { .. } => "connected",
        Change::Attached { .. } => "attached",
        Change::Disconnected { .. } => "disconnected",
        Change::Failed { .. } => "failed",
        Change::CleanedUp { .. } => "cleaned-up",
        Change::Defined { .. } => "defined",
        Change::Deleted { .. } => "deleted",
        Change::Joined { .. } => "joined",
        Change::Left { .. } => "left",
        Change::Granted { .. } => "granted",
        Change::Released { .. } => "released",
        Change::Ready { .. } => "ready",
        Change::SetStored { .. } => "set-stored",
        Change::AllowableSet { .. } => "allowable-set",
        Change::PolicySet { .. } => "policy-set",
        Change::RangeSet { .. } => "range-set",
        Change::Stopped { .. } => "stopped",
        Change::Revoked { .. } => "revoked",
        Change::Adopted { .. } => "adopted",
        Change::Resumed { .. } => "resumed",
    }
}

/// What a record says, with names where they are known.
pub(crate) fn fields(event: &Event, names: &Names) -> Fields {
    let connector = |slot: u32| match names.connector(slot) {
        Some((name, _)) => ("connector", json!(name.as_str())),
        None => ("connector_number", json!(slot)),
    };
    let list = |slot: u32| match names.list(slot) {
        Some(target) => target_fields(target),
        None => vec![("list_number", json!(slot))],
    };
    let member = |slot: u32| match names.member(slot) {
        Some((holder, of)) => [vec![connector(holder)], list(of)].concat(),
        None => vec![("member_number", json!(slot))],
    };
    match &event.change {
        Change::Connected { connector: slot, identity, promise_ms, enforced, .. }
        | Change::Attached { connector: slot, identity, promise_ms, enforced } => vec![
            connector(*slot),
            ("machine", json!(format!("{:032x}", identity.machine.0))),
            ("boot", json!(format!("{:032x}", identity.boot.0))),
            ("promise_ms", json!(promise_ms)),
            ("enforced", json!(enforced)),
        ],
        Change::Disconnected { connector: slot } => vec![connector(*slot)],
        Change::Failed { connector: slot, by } => [vec![connector(*slot)], word(by.as_ref())].concat(),
        Change::CleanedUp { connector: slot, from, boot_is_dead, by } => vec![
            connector(*slot),
            ("by", json!(by.as_str())),
            ("boot_is_dead", json!(boot_is_dead)),
            ("quarantine_from_boot_ms", json!(from.0)),
        ],
        Change::Defined { target, .. } => target_fields(*target),
        Change::Deleted { list: slot } => list(*slot),
        Change::Joined { connector: slot, target, .. } => [vec![connector(*slot)], target_fields(*target)].concat(),
        Change::Left { member: slot } => member(*slot),
        Change::Granted { member: slot, group, mask } => [member(*slot), ports(*group, *mask)].concat(),
        Change::Released { member: slot, group, grant, mask }
        | Change::Revoked { member: slot, group, grant, mask }
        | Change::Adopted { member: slot, group, grant, mask } => {
            [member(*slot), vec![("grant", json!(grant.0))], ports(*group, *mask)].concat()
        }
        Change::Ready { list: slot, up_to } => [list(*slot), vec![("up_to", json!(up_to.0))]].concat(),
        Change::SetStored { connector: slot, set, ports } => {
            vec![
                connector(*slot),
                ("set", json!(set)),
                ("count", json!(ports.count())),
                ("ports", json!(ports.ranges())),
            ]
        }
        Change::AllowableSet { connector: slot, transport, set } => {
            vec![connector(*slot), ("of", json!(transport.name())), ("set", json!(set))]
        }
        Change::PolicySet { list: slot, policy } => [
            list(*slot),
            vec![
                ("quota", json!(policy.quota)),
                ("reserve", json!(policy.reserve)),
                ("quarantine_ms", json!(policy.quarantine_ms)),
                ("clean_up_ms", json!(policy.clean_up_ms)),
            ],
        ]
        .concat(),
        Change::RangeSet { transport, range } => vec![
            ("of", json!(transport.name())),
            ("first", json!(range.map(|range| range.first))),
            ("count", json!(range.map(|range| range.count))),
        ],
        Change::Stopped { cause, connector: slot, history, lsn } => {
            let mut fields = slot.map(connector).into_iter().collect::<Fields>();
            fields.push(("cause", json!(cause.name())));
            if slot.is_some() {
                fields.extend([("history", json!(history.to_string())), ("highest", json!(lsn.0))]);
            }
            fields
        }
        Change::Resumed { by } => word(by.as_ref()),
    }
}

/// By whose word, if by anybody's.
fn word(by: Option<&ConnectorName>) -> Fields {
    by.map(|by| ("by", json!(by.as_str()))).into_iter().collect()
}

fn target_fields(target: Target) -> Fields {
    vec![("dvipa", json!(target.dvipa_text())), ("transport", json!(target.transport().name()))]
}

fn ports(group: GroupNumber, mask: PortMask) -> Fields {
    vec![
        ("group", json!(group.number())),
        ("first", json!(group.port_first())),
        ("last", json!(group.port_last())),
        ("mask", json!(mask.to_string())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sample::items;

    fn granted() -> Event {
        let group = GroupNumber::new(700).expect("a group");
        let stamp = Stamp::First { number: 9, below: 2, hash: 1 };
        Event { stamp, change: Change::Granted { member: 1, group, mask: PortMask(0xff) } }
    }

    #[test]
    fn a_record_is_told_with_names_where_the_log_has_them() {
        let names = Names::of_items(items().into_iter());
        let event = granted();
        let line = text(&event, &fields(&event, &names));
        assert_eq!(
            line,
            "granted       SYS2.TCPIP 10.1.1.1/tcp group 700 first 44800 last 44863 mask 0x00000000000000ff"
        );
        let line = text(&event, &fields(&event, &Names::default()));
        assert!(line.starts_with("granted       member_number 1 group 700"), "{line}");
    }

    #[test]
    fn names_follow_the_records() {
        let mut names = Names::default();
        let target = Target::Pool(crate::ident::Transport::Udp);
        let joined = Change::Joined { connector: 4, list: 2, member: 1, target };
        names.learn(Lsn(3), &Event { stamp: Stamp::None, change: joined });
        let event = granted();
        let line = text(&event, &fields(&event, &names));
        assert!(line.starts_with("granted       connector_number 4 ANY/udp group 700"), "{line}");
    }
}
