//! Targets, identities, grants, port sets: the nouns, to and from the wire.
#![forbid(unsafe_code)]

use super::Malformed;
use super::Misform;
use super::group;
use super::name;
use super::read;
use super::sixteen;
use super::within;
use crate::api::v1;
use crate::facility::Position;
use crate::facility::Receipt;
use crate::ident::BootId;
use crate::ident::Dvipa;
use crate::ident::HistoryId;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::MachineId;
use crate::ident::PORTS_PER_GROUP;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::ProcessId;
use crate::ident::StoreUuid;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Actor;
use crate::structure::ConnectorState;
use crate::structure::Grant;
use crate::structure::Introduction;
use crate::structure::Member;
use crate::structure::Membership;
use crate::structure::Policy;
use crate::structure::PortRange;
use crate::structure::ReportedGrant;
use crate::structure::Standing;
use crate::structure::StopCause;

/// The explicit-bind pool, where a DVIPA is named.
const ANY: &str = "ANY";

pub(super) const fn transport_out(transport: Transport) -> i32 {
    (match transport {
        Transport::Tcp => v1::Transport::Tcp,
        Transport::Udp => v1::Transport::Udp,
    }) as i32
}

pub(super) fn transport_in(value: i32) -> Result<Transport, Malformed> {
    match v1::Transport::try_from(value) {
        Ok(v1::Transport::Tcp) => Ok(Transport::Tcp),
        Ok(v1::Transport::Udp) => Ok(Transport::Udp),
        Ok(v1::Transport::Unspecified) | Err(_) => Err(Malformed::unknown("transport", value)),
    }
}

pub(super) const fn cause_out(cause: StopCause) -> i32 {
    (match cause {
        StopCause::PowerLoss => v1::StopCause::PowerLoss,
        StopCause::DataLost => v1::StopCause::DataLost,
        StopCause::Restored => v1::StopCause::Restored,
    }) as i32
}

pub(super) fn cause_in(value: i32) -> Result<StopCause, Malformed> {
    match v1::StopCause::try_from(value) {
        Ok(v1::StopCause::PowerLoss) => Ok(StopCause::PowerLoss),
        Ok(v1::StopCause::DataLost) => Ok(StopCause::DataLost),
        Ok(v1::StopCause::Restored) => Ok(StopCause::Restored),
        Ok(v1::StopCause::Unspecified) | Err(_) => Err(Malformed::unknown("stop cause", value)),
    }
}

pub(super) const fn state_out(state: ConnectorState) -> i32 {
    (match state {
        ConnectorState::Active => v1::ConnectorState::Active,
        ConnectorState::FailedPersistent => v1::ConnectorState::FailedPersistent,
        ConnectorState::Forgotten => v1::ConnectorState::Forgotten,
    }) as i32
}

pub(super) fn state_in(value: i32) -> Result<ConnectorState, Malformed> {
    match v1::ConnectorState::try_from(value) {
        Ok(v1::ConnectorState::Active) => Ok(ConnectorState::Active),
        Ok(v1::ConnectorState::FailedPersistent) => Ok(ConnectorState::FailedPersistent),
        Ok(v1::ConnectorState::Forgotten) => Ok(ConnectorState::Forgotten),
        Ok(v1::ConnectorState::Unspecified) | Err(_) => Err(Malformed::unknown("connector state", value)),
    }
}

pub(super) fn store_in(bytes: &[u8]) -> Result<StoreUuid, Malformed> {
    Ok(StoreUuid(u128::from_be_bytes(sixteen("store", bytes)?)))
}

pub(super) fn store_out(store: StoreUuid) -> Vec<u8> {
    store.0.to_be_bytes().to_vec()
}

impl From<&Target> for v1::Target {
    fn from(target: &Target) -> Self {
        Self { dvipa: target.dvipa_text(), transport: transport_out(target.transport()) }
    }
}

impl TryFrom<v1::Target> for Target {
    type Error = Malformed;

    fn try_from(sent: v1::Target) -> Result<Self, Malformed> {
        let transport = transport_in(sent.transport)?;
        if sent.dvipa == ANY {
            return Ok(Self::Pool(transport));
        }
        let dvipa: Result<Dvipa, _> = sent.dvipa.parse();
        let dvipa = dvipa.map_err(|error| Malformed { field: "dvipa", reason: Misform::Dvipa(error) })?;
        Ok(Self::List(dvipa, transport))
    }
}

impl From<&Identity> for v1::Identity {
    fn from(identity: &Identity) -> Self {
        Self {
            machine: identity.machine.0.to_be_bytes().to_vec(),
            boot: identity.boot.0.to_be_bytes().to_vec(),
            process: identity.process.0,
        }
    }
}

impl TryFrom<v1::Identity> for Identity {
    type Error = Malformed;

    fn try_from(sent: v1::Identity) -> Result<Self, Malformed> {
        Ok(Self {
            machine: MachineId(u128::from_be_bytes(sixteen("machine", &sent.machine)?)),
            boot: BootId(u128::from_be_bytes(sixteen("boot", &sent.boot)?)),
            process: ProcessId(sent.process),
        })
    }
}

impl From<&Introduction> for v1::Introduction {
    fn from(introduction: &Introduction) -> Self {
        let Introduction { name, identity, promise_ms, enforced } = introduction;
        let (promise_ms, enforced) = (*promise_ms, *enforced);
        Self { name: name.as_str().to_owned(), identity: Some(identity.into()), promise_ms, enforced }
    }
}

impl TryFrom<v1::Introduction> for Introduction {
    type Error = Malformed;

    fn try_from(sent: v1::Introduction) -> Result<Self, Malformed> {
        Ok(Self {
            name: name("introduction.name", &sent.name)?,
            identity: read("introduction.identity", sent.identity)?,
            promise_ms: sent.promise_ms,
            enforced: sent.enforced,
        })
    }
}

impl From<Actor> for v1::Actor {
    fn from(actor: Actor) -> Self {
        Self { slot: actor.slot, incarnation: actor.incarnation.0 }
    }
}

impl TryFrom<v1::Actor> for Actor {
    type Error = Malformed;

    fn try_from(sent: v1::Actor) -> Result<Self, Malformed> {
        Ok(Self { slot: sent.slot, incarnation: Incarnation(sent.incarnation) })
    }
}

impl From<Member> for v1::Member {
    fn from(member: Member) -> Self {
        Self { slot: member.slot, joined: member.joined.0 }
    }
}

impl TryFrom<v1::Member> for Member {
    type Error = Malformed;

    fn try_from(sent: v1::Member) -> Result<Self, Malformed> {
        Ok(Self { slot: sent.slot, joined: Lsn(sent.joined) })
    }
}

impl From<&Membership> for v1::Membership {
    fn from(membership: &Membership) -> Self {
        Self { member: Some(membership.member.into()), target: Some((&membership.target).into()) }
    }
}

impl TryFrom<v1::Membership> for Membership {
    type Error = Malformed;

    fn try_from(sent: v1::Membership) -> Result<Self, Malformed> {
        Ok(Self { member: read("membership.member", sent.member)?, target: read("membership.target", sent.target)? })
    }
}

impl From<&Grant> for v1::Grant {
    fn from(grant: &Grant) -> Self {
        Self {
            lsn: grant.lsn.0,
            member: Some(grant.member.into()),
            target: Some((&grant.target).into()),
            group: grant.group.number().into(),
            mask: grant.mask.0,
            number: grant.number,
        }
    }
}

impl TryFrom<v1::Grant> for Grant {
    type Error = Malformed;

    fn try_from(sent: v1::Grant) -> Result<Self, Malformed> {
        Ok(Self {
            lsn: Lsn(sent.lsn),
            member: read("grant.member", sent.member)?,
            target: read("grant.target", sent.target)?,
            group: group("grant.group", sent.group)?,
            mask: PortMask(sent.mask),
            number: sent.number,
        })
    }
}

impl From<&ReportedGrant> for v1::ReportedGrant {
    fn from(grant: &ReportedGrant) -> Self {
        let (target, group) = ((&grant.target).into(), grant.group.number().into());
        Self { lsn: grant.lsn.0, target: Some(target), group, mask: grant.mask.0 }
    }
}

impl TryFrom<v1::ReportedGrant> for ReportedGrant {
    type Error = Malformed;

    fn try_from(sent: v1::ReportedGrant) -> Result<Self, Malformed> {
        Ok(Self {
            lsn: Lsn(sent.lsn),
            target: read("reported.target", sent.target)?,
            group: group("reported.group", sent.group)?,
            mask: PortMask(sent.mask),
        })
    }
}

impl From<&Standing> for v1::Standing {
    fn from(standing: &Standing) -> Self {
        Self { count: standing.count, digest: standing.digest.to_vec() }
    }
}

impl TryFrom<v1::Standing> for Standing {
    type Error = Malformed;

    fn try_from(sent: v1::Standing) -> Result<Self, Malformed> {
        Ok(Self { count: sent.count, digest: sixteen("standing.digest", &sent.digest)? })
    }
}

impl From<&Position> for v1::Position {
    fn from(position: &Position) -> Self {
        Self {
            store: store_out(position.store),
            history: position.history.0,
            lsn: position.lsn.0,
            receipt: position.receipt.0.to_vec(),
        }
    }
}

impl TryFrom<v1::Position> for Position {
    type Error = Malformed;

    fn try_from(sent: v1::Position) -> Result<Self, Malformed> {
        Ok(Self {
            store: store_in(&sent.store)?,
            history: HistoryId(sent.history),
            lsn: Lsn(sent.lsn),
            receipt: Receipt(sixteen("receipt", &sent.receipt)?),
        })
    }
}

impl From<PortRange> for v1::PortRange {
    fn from(range: PortRange) -> Self {
        Self { first: range.first.into(), count: range.count.into() }
    }
}

impl TryFrom<v1::PortRange> for PortRange {
    type Error = Malformed;

    /// For form only: a range beyond the port space is the structure's to refuse.
    fn try_from(sent: v1::PortRange) -> Result<Self, Malformed> {
        Ok(Self {
            first: within("range.first", sent.first, 0, u16::MAX)?,
            count: within("range.count", sent.count, 0, u16::MAX)?,
        })
    }
}

impl From<&PortSet> for v1::PortSet {
    /// Group by group: most are whole or empty, and a state may have a thousand sets.
    fn from(ports: &PortSet) -> Self {
        let mut ranges: Vec<v1::PortRange> = Vec::new();
        let mut extend = |first: u32, more: u32| match ranges.last_mut() {
            Some(range) if range.first + range.count == first => range.count += more,
            _ => ranges.push(v1::PortRange { first, count: more }),
        };
        for (first, word) in (0..).step_by(PORTS_PER_GROUP.into()).zip(ports.words()) {
            match *word {
                0 => {}
                u64::MAX => extend(first, PORTS_PER_GROUP.into()),
                word => (0..64).filter(|bit| word >> bit & 1 == 1).for_each(|bit| extend(first + bit, 1)),
            }
        }
        Self { ranges }
    }
}

impl TryFrom<v1::PortSet> for PortSet {
    type Error = Malformed;

    fn try_from(sent: v1::PortSet) -> Result<Self, Malformed> {
        let mut ports = Self::empty();
        // One past the range before, and one port between.
        let mut least = 0;
        for v1::PortRange { first, count } in sent.ranges {
            if first < least {
                return Err(Malformed { field: "ports.first", reason: Misform::Order { first } });
            }
            let begin = within("ports.first", first, 0, u16::MAX)?;
            let most = u64::from(u16::MAX) + 1 - u64::from(first);
            if u64::from(count) > most || count == 0 {
                let reason = Misform::OutOfRange { value: count.into(), least: 1, most };
                return Err(Malformed { field: "ports.count", reason });
            }
            let last = within("ports.count", first + count - 1, 0, u16::MAX)?;
            ports.insert_range(begin, last);
            least = first + count + 1;
        }
        Ok(ports)
    }
}

impl From<&Policy> for v1::Policy {
    fn from(policy: &Policy) -> Self {
        let Policy { quota, reserve, quarantine_ms, clean_up_ms } = *policy;
        Self { quota, reserve: reserve.into(), quarantine_ms, clean_up_ms }
    }
}

impl TryFrom<v1::Policy> for Policy {
    type Error = Malformed;

    fn try_from(sent: v1::Policy) -> Result<Self, Malformed> {
        let v1::Policy { quota, reserve, quarantine_ms, clean_up_ms } = sent;
        Ok(Self { quota, reserve: within("policy.reserve", reserve, 0, u16::MAX)?, quarantine_ms, clean_up_ms })
    }
}
