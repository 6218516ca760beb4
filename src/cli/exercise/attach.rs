//! How an exercise attaches: as a stack does, with a challenge, with what it believes, and with a
//! report where the store believes otherwise.
#![forbid(unsafe_code)]

use super::holdings::Own;
use crate::facility::AttachRequest;
use crate::facility::CallError;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Presence;
use crate::facility::REPORT_PAGE_MAX;
use crate::facility::Reply;
use crate::structure::Introduction;
use crate::structure::Refusal;
use crate::structure::ReportedGrant;
use crate::structure::Standing;

/// Attaches a connector. One of an earlier process believes nothing: what it does not report is kept
/// for it all the same.
pub(super) fn attach(facility: &LocalFacility, introduction: &Introduction, own: &Own) -> Result<Reply, CallError> {
    let name = &introduction.name;
    let challenge = facility.challenge(name).wait()?;
    let held: Vec<ReportedGrant> = own.reported().collect();
    let attach = AttachRequest {
        introduction: introduction.clone(),
        challenge,
        position: own.position,
        standing: Standing::of(held.iter().copied()),
    };
    match Facility::attach(facility, attach.clone(), Presence::none()).wait() {
        Err(CallError::Refused(Refusal::ReportNeeded)) => {}
        other => return other,
    }
    for page in held.chunks(REPORT_PAGE_MAX) {
        facility.report(name, challenge, page.to_vec()).wait()?;
    }
    Facility::attach(facility, attach, Presence::none()).wait()
}
