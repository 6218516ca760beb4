//! Whether a peer may ask for what a message says, before anything of it is handed in.
#![forbid(unsafe_code)]

use super::Shared;
use crate::api::access::Act;
use crate::api::access::Denied;
use crate::api::access::Peer;
use crate::api::access::audit;
use crate::api::access::rates::TooFast;
use crate::api::failure::Failure;
use crate::api::meters::Barred;
use crate::api::v1;
use crate::structure::Body;
use crate::structure::Request;
use v1::request::What;

/// A request, if the peer may send one of its kind, by its own word. A stack's is for the stream on which
/// that stack came in: which that is, is looked at there.
pub(super) fn request(peer: &Peer, mut sent: v1::Request) -> Result<Request, Failure> {
    let by = match &mut sent.what {
        Some(What::MarkFailed(mark)) => Some(&mut mark.by),
        Some(What::CleanUp(clean)) => Some(&mut clean.by),
        Some(What::ResumeGrants(resume)) => Some(&mut resume.by),
        _ => None,
    };
    let vouched = by.map_or(Ok(()), |by| peer.vouch(by));
    let request: Request = sent.try_into()?;
    peer.may(Act::of_request(&request))?;
    vouched?;
    Ok(request)
}

/// How many groups a stack's request may take.
pub(super) fn groups(body: &Body) -> u32 {
    match body {
        Body::Acquire { at_most, .. } => (*at_most).into(),
        Body::Claim { .. } => 1,
        _ => 0,
    }
}

impl Shared {
    /// Counts a failure that is about who asked or how often, and leaves its audit line.
    pub(super) fn told(&self, failure: Failure) -> Failure {
        match &failure {
            Failure::Denied(denied) => {
                self.meters.bar(Barred::Role);
                audit::denied(denied);
            }
            Failure::TooFast { .. } => {
                self.meters.bar(Barred::Rate);
            }
            _ => {}
        }
        failure
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<TooFast> for Failure {
    fn from(TooFast { retry_after_ms }: TooFast) -> Self {
        Self::TooFast { retry_after_ms }
    }
}
