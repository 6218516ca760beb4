//! Items: a structure's state, fact by fact.
#![forbid(unsafe_code)]

use super::Malformed;
use super::Misform;
use super::group;
use super::name;
use super::nouns;
use super::read;
use crate::api::v1;
use crate::ident::BootMs;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::structure::Item;
use v1::item::What;

impl From<&Item> for v1::Item {
    fn from(item: &Item) -> Self {
        let what = match item {
            Item::Head { name, lsn } => What::Head(v1::Head { name: name.to_string(), lsn: lsn.0 }),
            Item::Stop { cause, since, from, highest, adopted } => What::Stop(v1::StopItem {
                cause: nouns::cause_out(*cause),
                since: since.0,
                from_ms: from.0,
                highest: highest.0,
                adopted: *adopted,
            }),
            Item::Range { transport, range } => {
                What::Range(v1::SetRange { transport: nouns::transport_out(*transport), range: Some((*range).into()) })
            }
            Item::Set { set, ports } => What::Set(v1::SetItem { set: *set, ports: Some(ports.into()) }),
            Item::List { list, target, created, open, defined, policy } => What::List(v1::ListItem {
                list: *list,
                target: Some(target.into()),
                created: created.0,
                open: *open,
                defined: *defined,
                policy: Some(policy.into()),
            }),
            Item::Connector {
                connector,
                name,
                incarnation,
                state,
                identity,
                boot_since,
                promise_ms,
                enforced,
                sets,
                window_lowest,
            } => What::Connector(v1::ConnectorItem {
                connector: *connector,
                name: name.as_str().to_owned(),
                incarnation: incarnation.0,
                state: nouns::state_out(*state),
                identity: Some(identity.into()),
                boot_since: boot_since.0,
                promise_ms: *promise_ms,
                enforced: *enforced,
                set_tcp: sets[0],
                set_udp: sets[1],
                window_lowest: *window_lowest,
            }),
            Item::Window { connector, number, hash, first, count } => What::Window(v1::WindowItem {
                connector: *connector,
                number: *number,
                hash: *hash,
                first: first.0,
                count: *count,
            }),
            Item::Member { member, connector, list, joined, last_group } => What::Member(v1::MemberItem {
                member: *member,
                connector: *connector,
                list: *list,
                joined: joined.0,
                last_group: last_group.map(|group| group.number().into()),
            }),
            Item::Grant { lsn, member, group, mask, number } => What::Grant(v1::GrantItem {
                lsn: lsn.0,
                member: *member,
                group: group.number().into(),
                mask: mask.0,
                number: *number,
            }),
            Item::Quarantine { lsn, list, group, mask, connector, boot_since, from } => {
                What::Quarantine(v1::QuarantineItem {
                    lsn: lsn.0,
                    list: *list,
                    group: group.number().into(),
                    mask: mask.0,
                    connector: *connector,
                    boot_since: boot_since.0,
                    from_ms: from.0,
                })
            }
        };
        Self { what: Some(what) }
    }
}

impl TryFrom<v1::Item> for Item {
    type Error = Malformed;

    fn try_from(sent: v1::Item) -> Result<Self, Malformed> {
        Ok(match sent.what.ok_or(Malformed::missing("item"))? {
            What::Head(sent) => {
                let malformed = |error| Malformed { field: "head.name", reason: Misform::Structure(error) };
                Self::Head { name: sent.name.parse().map_err(malformed)?, lsn: Lsn(sent.lsn) }
            }
            What::Stop(sent) => Self::Stop {
                cause: nouns::cause_in(sent.cause)?,
                since: Lsn(sent.since),
                from: BootMs(sent.from_ms),
                highest: Lsn(sent.highest),
                adopted: sent.adopted,
            },
            What::Range(sent) => {
                Self::Range { transport: nouns::transport_in(sent.transport)?, range: read("range.range", sent.range)? }
            }
            What::Set(sent) => Self::Set { set: sent.set, ports: read("set.ports", sent.ports)? },
            What::List(sent) => Self::List {
                list: sent.list,
                target: read("list.target", sent.target)?,
                created: Lsn(sent.created),
                open: sent.open,
                defined: sent.defined,
                policy: read("list.policy", sent.policy)?,
            },
            What::Connector(sent) => Self::Connector {
                connector: sent.connector,
                name: name("connector.name", &sent.name)?,
                incarnation: Incarnation(sent.incarnation),
                state: nouns::state_in(sent.state)?,
                identity: read("connector.identity", sent.identity)?,
                boot_since: Lsn(sent.boot_since),
                promise_ms: sent.promise_ms,
                enforced: sent.enforced,
                sets: [sent.set_tcp, sent.set_udp],
                window_lowest: sent.window_lowest,
            },
            What::Window(sent) => Self::Window {
                connector: sent.connector,
                number: sent.number,
                hash: sent.hash,
                first: Lsn(sent.first),
                count: sent.count,
            },
            What::Member(sent) => Self::Member {
                member: sent.member,
                connector: sent.connector,
                list: sent.list,
                joined: Lsn(sent.joined),
                last_group: sent.last_group.map(|number| group("member.last_group", number)).transpose()?,
            },
            What::Grant(sent) => Self::Grant {
                lsn: Lsn(sent.lsn),
                member: sent.member,
                group: group("grant.group", sent.group)?,
                mask: PortMask(sent.mask),
                number: sent.number,
            },
            What::Quarantine(sent) => Self::Quarantine {
                lsn: Lsn(sent.lsn),
                list: sent.list,
                group: group("quarantine.group", sent.group)?,
                mask: PortMask(sent.mask),
                connector: sent.connector,
                boot_since: Lsn(sent.boot_since),
                from: BootMs(sent.from_ms),
            },
        })
    }
}
