//! Requests, from operators and from stacks.
//!
//! What only the facility asks of itself, and what must come with a presence, has no form on the wire.
#![forbid(unsafe_code)]

use super::Malformed;
use super::group;
use super::name;
use super::nothing;
use super::nouns;
use super::read;
use super::within;
use crate::api::v1;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::structure::Body;
use crate::structure::Operand;
use crate::structure::Refusal;
use crate::structure::Request;
use v1::request::What;
use v1::stack_request::Body as SentBody;

/// What a request is answered that no service takes: one that only the facility makes for itself, or an
/// attach, connect or resume that is no call of its own.
pub(crate) const fn internal_request() -> Refusal {
    Refusal::OutOfRange { what: Operand::Number }
}

impl TryFrom<&Request> for v1::Request {
    type Error = Refusal;

    fn try_from(request: &Request) -> Result<Self, Refusal> {
        let text = |name: &crate::ident::ConnectorName| name.as_str().to_owned();
        let what = match request {
            Request::Define { target } => What::Define(target.into()),
            Request::Delete { target } => What::Delete(target.into()),
            Request::SetPolicy { target, policy } => {
                What::SetPolicy(v1::SetPolicy { target: Some(target.into()), policy: Some(policy.into()) })
            }
            Request::SetRange { transport, range } => What::SetRange(v1::SetRange {
                transport: nouns::transport_out(*transport),
                range: range.map(Into::into),
            }),
            Request::MarkFailed { name, incarnation, by: Some(by) } => {
                What::MarkFailed(v1::MarkFailed { name: text(name), incarnation: incarnation.0, by: text(by) })
            }
            Request::CleanUp { name, incarnation, by, boot_is_dead } => What::CleanUp(v1::CleanUp {
                name: text(name),
                incarnation: incarnation.0,
                by: text(by),
                boot_is_dead: *boot_is_dead,
            }),
            Request::ResumeGrants { by: Some(by), adopt_reported } => {
                What::ResumeGrants(v1::ResumeGrants { by: text(by), adopt_reported: *adopt_reported })
            }
            Request::Stack { actor, number, lowest, body } => What::Stack(v1::StackRequest {
                actor: Some((*actor).into()),
                number: *number,
                lowest: *lowest,
                body: Some(body_out(body)),
            }),
            Request::Connect(_)
            | Request::Attach(_)
            | Request::Resume { .. }
            | Request::MarkFailed { by: None, .. }
            | Request::EndQuarantine { .. }
            | Request::Stop { .. }
            | Request::Adopt { .. }
            | Request::ResumeGrants { by: None, .. } => return Err(internal_request()),
        };
        Ok(Self { what: Some(what) })
    }
}

impl TryFrom<v1::Request> for Request {
    type Error = Malformed;

    /// For form only: what makes no sense is the structure's to refuse, as it is for a local caller.
    fn try_from(sent: v1::Request) -> Result<Self, Malformed> {
        Ok(match sent.what.ok_or(Malformed::missing("request"))? {
            What::Define(target) => Self::Define { target: target.try_into()? },
            What::Delete(target) => Self::Delete { target: target.try_into()? },
            What::SetPolicy(v1::SetPolicy { target, policy }) => Self::SetPolicy {
                target: read("set_policy.target", target)?,
                policy: read("set_policy.policy", policy)?,
            },
            What::SetRange(v1::SetRange { transport, range }) => Self::SetRange {
                transport: nouns::transport_in(transport)?,
                range: range.map(TryInto::try_into).transpose()?,
            },
            What::MarkFailed(sent) => Self::MarkFailed {
                name: name("mark_failed.name", &sent.name)?,
                incarnation: Incarnation(sent.incarnation),
                by: Some(name("mark_failed.by", &sent.by)?),
            },
            What::CleanUp(sent) => Self::CleanUp {
                name: name("clean_up.name", &sent.name)?,
                incarnation: Incarnation(sent.incarnation),
                by: name("clean_up.by", &sent.by)?,
                boot_is_dead: sent.boot_is_dead,
            },
            What::ResumeGrants(sent) => Self::ResumeGrants {
                by: Some(name("resume_grants.by", &sent.by)?),
                adopt_reported: sent.adopt_reported,
            },
            What::Stack(sent) => Self::Stack {
                actor: read("stack.actor", sent.actor)?,
                number: sent.number,
                lowest: sent.lowest,
                body: body_in(sent.body.ok_or(Malformed::missing("stack.body"))?)?,
            },
        })
    }
}

fn body_out(body: &Body) -> SentBody {
    match body {
        Body::Join { target } => SentBody::Join(target.into()),
        Body::Leave { member } => SentBody::Leave((*member).into()),
        Body::Acquire { member, at_least, at_most } => SentBody::Acquire(v1::Acquire {
            member: Some((*member).into()),
            at_least: (*at_least).into(),
            at_most: (*at_most).into(),
        }),
        Body::Claim { member, port } => {
            SentBody::Claim(v1::Claim { member: Some((*member).into()), port: (*port).into() })
        }
        Body::Release { member, group, grant, mask } => SentBody::Release(v1::Release {
            member: Some((*member).into()),
            group: group.number().into(),
            grant: grant.0,
            mask: mask.0,
        }),
        Body::SetAllowable { transport, ports } => SentBody::SetAllowable(v1::SetAllowable {
            transport: nouns::transport_out(*transport),
            ports: Some(ports.into()),
        }),
        Body::Disconnect => SentBody::Disconnect(nothing()),
    }
}

fn body_in(sent: SentBody) -> Result<Body, Malformed> {
    Ok(match sent {
        SentBody::Join(target) => Body::Join { target: target.try_into()? },
        SentBody::Leave(member) => Body::Leave { member: member.try_into()? },
        SentBody::Acquire(v1::Acquire { member, at_least, at_most }) => Body::Acquire {
            member: read("acquire.member", member)?,
            at_least: within("acquire.at_least", at_least, 0, u16::MAX)?,
            at_most: within("acquire.at_most", at_most, 0, u16::MAX)?,
        },
        SentBody::Claim(v1::Claim { member, port }) => {
            Body::Claim { member: read("claim.member", member)?, port: within("claim.port", port, 0, u16::MAX)? }
        }
        SentBody::Release(sent) => Body::Release {
            member: read("release.member", sent.member)?,
            group: group("release.group", sent.group)?,
            grant: Lsn(sent.grant),
            mask: PortMask(sent.mask),
        },
        SentBody::SetAllowable(v1::SetAllowable { transport, ports }) => Body::SetAllowable {
            transport: nouns::transport_in(transport)?,
            ports: read("set_allowable.ports", ports)?,
        },
        SentBody::Disconnect(v1::Nothing {}) => Body::Disconnect,
    })
}
