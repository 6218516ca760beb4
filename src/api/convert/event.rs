//! Events, for those who watch.
#![forbid(unsafe_code)]

use super::Malformed;
use super::group;
use super::name;
use super::nouns;
use super::read;
use super::within;
use crate::api::v1;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::structure::Change;
use crate::structure::Event;
use crate::structure::Introduction;
use crate::structure::Stamp;
use v1::event::Change as Sent;

impl v1::Event {
    /// An event with its lsn.
    pub(crate) fn of(lsn: Lsn, event: &Event) -> Self {
        let stamp = match event.stamp {
            Stamp::None => None,
            Stamp::First { number, below, hash } => {
                Some(v1::Stamp { number, first: Some(v1::StampFirst { below: below.into(), hash }) })
            }
            Stamp::Next { number } => Some(v1::Stamp { number, first: None }),
        };
        Self { lsn: lsn.0, stamp, change: Some(change_out(&event.change)) }
    }
}

impl TryFrom<v1::Event> for (Lsn, Event) {
    type Error = Malformed;

    fn try_from(sent: v1::Event) -> Result<Self, Malformed> {
        let stamp = match sent.stamp {
            None => Stamp::None,
            Some(v1::Stamp { number, first: None }) => Stamp::Next { number },
            Some(v1::Stamp { number, first: Some(v1::StampFirst { below, hash }) }) => {
                Stamp::First { number, below: within("stamp.below", below, 0, u16::MAX)?, hash }
            }
        };
        let change = change_in(sent.change.ok_or(Malformed::missing("event.change"))?)?;
        Ok((Lsn(sent.lsn), Event { stamp, change }))
    }
}

fn change_out(change: &Change) -> Sent {
    let text = |name: &ConnectorName| name.as_str().to_owned();
    match change {
        Change::Connected { connector, name, identity, promise_ms, enforced } => {
            let (promise_ms, enforced, identity) = (*promise_ms, *enforced, Some(identity.into()));
            let introduction = Some(v1::Introduction { name: text(name), identity, promise_ms, enforced });
            Sent::Connected(v1::Connected { connector: *connector, introduction })
        }
        Change::Attached { connector, identity, promise_ms, enforced } => Sent::Attached(v1::Reattached {
            connector: *connector,
            identity: Some(identity.into()),
            promise_ms: *promise_ms,
            enforced: *enforced,
        }),
        Change::Disconnected { connector } => Sent::Disconnected(*connector),
        Change::Failed { connector, by } => {
            Sent::Failed(v1::Failed { connector: *connector, by: by.as_ref().map(text) })
        }
        Change::CleanedUp { connector, from, boot_is_dead, by } => Sent::CleanedUp(v1::CleanedUp {
            connector: *connector,
            from_ms: from.0,
            boot_is_dead: *boot_is_dead,
            by: text(by),
        }),
        Change::Defined { list, target } => Sent::Defined(v1::Defined { list: *list, target: Some(target.into()) }),
        Change::Deleted { list } => Sent::Deleted(*list),
        Change::Joined { connector, list, member, target } => {
            let (connector, list, member) = (*connector, *list, *member);
            Sent::Joined(v1::Joined { connector, list, member, target: Some(target.into()) })
        }
        Change::Left { member } => Sent::Left(*member),
        Change::Granted { member, group, mask } => {
            Sent::Granted(v1::GrantMade { member: *member, group: group.number().into(), mask: mask.0 })
        }
        Change::Released { member, group, grant, mask } => Sent::Released(part(*member, *group, *grant, *mask)),
        Change::Ready { list, up_to } => Sent::Ready(v1::Ready { list: *list, up_to: up_to.0 }),
        Change::SetStored { connector, set, ports } => {
            Sent::SetStored(v1::SetStored { connector: *connector, set: *set, ports: Some(ports.into()) })
        }
        Change::AllowableSet { connector, transport, set } => {
            let transport = nouns::transport_out(*transport);
            Sent::AllowableSet(v1::AllowableSet { connector: *connector, transport, set: *set })
        }
        Change::PolicySet { list, policy } => {
            Sent::PolicySet(v1::PolicySet { list: *list, policy: Some(policy.into()) })
        }
        Change::RangeSet { transport, range } => {
            let transport = nouns::transport_out(*transport);
            Sent::RangeSet(v1::SetRange { transport, range: range.map(Into::into) })
        }
        Change::Stopped { cause, connector, history, lsn } => {
            let (cause, connector) = (nouns::cause_out(*cause), *connector);
            Sent::Stopped(v1::Stopped { cause, connector, history: history.0, lsn: lsn.0 })
        }
        Change::Revoked { member, group, grant, mask } => Sent::Revoked(part(*member, *group, *grant, *mask)),
        Change::Adopted { member, group, mask, grant } => Sent::Adopted(part(*member, *group, *grant, *mask)),
        Change::Resumed { by } => Sent::Resumed(v1::Resumed { by: by.as_ref().map(text) }),
    }
}

fn part(member: u32, group: GroupNumber, grant: Lsn, mask: PortMask) -> v1::GrantPart {
    v1::GrantPart { member, group: group.number().into(), grant: grant.0, mask: mask.0 }
}

fn change_in(sent: Sent) -> Result<Change, Malformed> {
    let by = |text: Option<String>| text.map(|text| name("event.by", &text)).transpose();
    Ok(match sent {
        Sent::Connected(v1::Connected { connector, introduction }) => {
            let introduction = read("connected.introduction", introduction)?;
            let Introduction { name, identity, promise_ms, enforced } = introduction;
            Change::Connected { connector, name, identity, promise_ms, enforced }
        }
        Sent::Attached(v1::Reattached { connector, identity, promise_ms, enforced }) => {
            Change::Attached { connector, identity: read("attached.identity", identity)?, promise_ms, enforced }
        }
        Sent::Disconnected(connector) => Change::Disconnected { connector },
        Sent::Failed(v1::Failed { connector, by: who }) => Change::Failed { connector, by: by(who)? },
        Sent::CleanedUp(v1::CleanedUp { connector, from_ms, boot_is_dead, by }) => {
            let by = name("cleaned_up.by", &by)?;
            Change::CleanedUp { connector, from: BootMs(from_ms), boot_is_dead, by }
        }
        Sent::Defined(v1::Defined { list, target }) => {
            Change::Defined { list, target: read("defined.target", target)? }
        }
        Sent::Deleted(list) => Change::Deleted { list },
        Sent::Joined(v1::Joined { connector, list, member, target }) => {
            Change::Joined { connector, list, member, target: read("joined.target", target)? }
        }
        Sent::Left(member) => Change::Left { member },
        Sent::Granted(v1::GrantMade { member, group: number, mask }) => {
            Change::Granted { member, group: group("granted.group", number)?, mask: PortMask(mask) }
        }
        Sent::Released(v1::GrantPart { member, group: number, grant, mask }) => {
            let (group, grant, mask) = (group("released.group", number)?, Lsn(grant), PortMask(mask));
            Change::Released { member, group, grant, mask }
        }
        Sent::Ready(v1::Ready { list, up_to }) => Change::Ready { list, up_to: Lsn(up_to) },
        Sent::SetStored(v1::SetStored { connector, set, ports }) => {
            Change::SetStored { connector, set, ports: read("set_stored.ports", ports)? }
        }
        Sent::AllowableSet(v1::AllowableSet { connector, transport, set }) => {
            Change::AllowableSet { connector, transport: nouns::transport_in(transport)?, set }
        }
        Sent::PolicySet(v1::PolicySet { list, policy }) => {
            Change::PolicySet { list, policy: read("policy_set.policy", policy)? }
        }
        Sent::RangeSet(v1::SetRange { transport, range }) => {
            let transport = nouns::transport_in(transport)?;
            Change::RangeSet { transport, range: range.map(TryInto::try_into).transpose()? }
        }
        Sent::Stopped(v1::Stopped { cause, connector, history, lsn }) => {
            let (cause, history, lsn) = (nouns::cause_in(cause)?, HistoryId(history), Lsn(lsn));
            Change::Stopped { cause, connector, history, lsn }
        }
        Sent::Revoked(v1::GrantPart { member, group: number, grant, mask }) => {
            let (group, grant, mask) = (group("revoked.group", number)?, Lsn(grant), PortMask(mask));
            Change::Revoked { member, group, grant, mask }
        }
        Sent::Adopted(v1::GrantPart { member, group: number, grant, mask }) => {
            let (group, grant, mask) = (group("adopted.group", number)?, Lsn(grant), PortMask(mask));
            Change::Adopted { member, group, mask, grant }
        }
        Sent::Resumed(v1::Resumed { by: who }) => Change::Resumed { by: by(who)? },
    })
}
