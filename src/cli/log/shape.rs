//! What a record says, as keys and values in a fixed order.
#![forbid(unsafe_code)]

use super::Placed;
use super::wall;
use crate::shapes::event::Fields;
pub(super) use crate::shapes::event::fields;
use crate::shapes::event::name;
use crate::structure::Event;
use crate::structure::Stamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::json;

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
    match placed.event.stamp {
        Stamp::None => {}
        Stamp::First { number, below, .. } => {
            line.extend([("number", json!(number)), ("lowest", json!(number.saturating_sub(u32::from(below))))]);
        }
        Stamp::Next { number } => line.push(("number", json!(number))),
    }
    Line(line)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::GroupNumber;
    use crate::ident::Lsn;
    use crate::ident::PortMask;
    use crate::ident::Target;
    use crate::shapes::names::Names;
    use crate::shapes::sample::items;
    use crate::structure::Change;

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
