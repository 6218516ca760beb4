//! A request as the line that announces it.
#![forbid(unsafe_code)]

use super::holdings::Own;
use super::lines::What;
use crate::cli::row::Mask;
use crate::cli::row::PortRanges;
use crate::structure::Body;
use crate::structure::Member;
use crate::structure::Request;

/// The name of a kind of request.
pub(crate) const fn kind(request: &Request) -> &'static str {
    match request {
        Request::Define { .. } => "define",
        Request::Delete { .. } => "delete",
        Request::SetPolicy { .. } => "policy",
        Request::SetRange { .. } => "range",
        Request::Connect(_) => "connect",
        Request::Attach(_) => "attach",
        Request::Resume { .. } => "resume",
        Request::MarkFailed { .. } => "fail",
        Request::CleanUp { .. } => "clean-up",
        Request::EndQuarantine { .. } => "end-quarantine",
        Request::Stop { .. } => "stop",
        Request::Adopt { .. } => "adopt",
        Request::ResumeGrants { .. } => "resume-grants",
        Request::Stack { body, .. } => match body {
            Body::Join { .. } => "join",
            Body::Leave { .. } => "leave",
            Body::Acquire { .. } => "acquire",
            Body::Claim { .. } => "claim",
            Body::Release { .. } => "release",
            Body::SetAllowable { .. } => "allowable",
            Body::Disconnect => "disconnect",
        },
    }
}

/// What it asks for, in the names of the line. `own` is the connector that asks, if one does.
pub(crate) fn what(request: &Request, own: Option<&Own>) -> What {
    match request {
        Request::Define { target } | Request::Delete { target } => What::list(*target),
        Request::SetPolicy { target, policy } => What::Policy {
            transport: target.transport().name(),
            dvipa: target.dvipa_text(),
            quota: policy.quota,
            reserve: policy.reserve,
            quarantine_ms: policy.quarantine_ms,
            clean_up_ms: policy.clean_up_ms,
        },
        Request::SetRange { transport, range } => What::Range {
            transport: transport.name(),
            first: range.map(|range| range.first),
            last: range.map(|range| range.first.saturating_add(range.count.saturating_sub(1))),
        },
        Request::Stack { body, .. } => stack(body, own),
        _ => What::Nothing {},
    }
}

fn stack(body: &Body, own: Option<&Own>) -> What {
    let list = |member: &Member| {
        let target = own.and_then(|own| own.target(*member));
        target.map_or(("?", "?".to_owned()), |target| (target.transport().name(), target.dvipa_text()))
    };
    match body {
        Body::Join { target } => What::list(*target),
        Body::Leave { member } => {
            let (transport, dvipa) = list(member);
            What::List { transport, dvipa }
        }
        Body::Acquire { member, at_most, .. } => {
            let (transport, dvipa) = list(member);
            What::Acquire { transport, dvipa, groups: *at_most }
        }
        Body::Claim { member, port } => {
            let (transport, dvipa) = list(member);
            What::Claim { transport, dvipa, port: *port }
        }
        Body::Release { member, group, grant, mask } => {
            let (transport, dvipa) = list(member);
            What::Release { transport, dvipa, group: group.number(), grant: grant.0, mask: Mask(*mask) }
        }
        Body::SetAllowable { transport, ports } => {
            What::Allowable { transport: transport.name(), ports: PortRanges(ports.clone()) }
        }
        Body::Disconnect => What::Nothing {},
    }
}
