//! What a record says, as keys and values in a fixed order.
#![forbid(unsafe_code)]

use super::names::Naming;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::structure::Change;
use crate::structure::Event;
use serde_json::{Value, json};

/// Keys and values in the order in which they are shown.
pub(crate) type Fields = Vec<(&'static str, Value)>;

/// What an event is called.
pub(crate) const fn name(change: &Change) -> &'static str {
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
pub(crate) fn fields(event: &Event, names: &impl Naming) -> Fields {
    let connector = |slot: u32| match names.connector_named(slot) {
        Some(name) => ("connector", json!(name.as_str())),
        None => ("connector_number", json!(slot)),
    };
    let list = |slot: u32| match names.list_named(slot) {
        Some(target) => target_fields(target),
        None => vec![("list_number", json!(slot))],
    };
    let member = |slot: u32| match names.member_named(slot) {
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
