//! Whether the service is of use: of each structure, and why not.
//!
//! Not ready is what another service, or a new start, would do better at: it ends, a write failed, the
//! writer does not answer. A full storage and stopped granting are warnings: stacks must still be able to
//! attach, renew and release, and nobody else has their structure.
#![forbid(unsafe_code)]

use super::structure::answer;
use crate::api::meters::ServiceMeters;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Query;
use crate::facility::Rows;
use crate::ident::StructureName;
use futures_util::future::join_all;
use serde_json::Value;
use serde_json::json;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// How long the writer may take to answer: a sync at work comes first.
const PATIENCE: Duration = Duration::from_secs(2);

/// How one structure stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    structure: String,
    /// Why it is of no use; empty = ready.
    reasons: Vec<String>,
    warnings: Vec<String>,
}

/// How all stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Readiness {
    is_draining: bool,
    structures: Vec<Standing>,
}

impl Readiness {
    pub(super) async fn find(hosted: &[(StructureName, Arc<LocalFacility>)], meters: &ServiceMeters) -> Self {
        let structures = join_all(hosted.iter().map(|(name, facility)| standing(name, facility))).await;
        Self { is_draining: meters.is_draining(), structures }
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.is_draining && self.structures.iter().all(|standing| standing.reasons.is_empty())
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::from(if self.is_ready() { "ready\n" } else { "not ready\n" });
        if self.is_draining {
            text.push_str("the service ends and takes no new call\n");
        }
        for Standing { structure, reasons, warnings } in &self.structures {
            let state = if reasons.is_empty() { "ready" } else { "not ready" };
            let _ = writeln!(text, "{structure}: {state}");
            for reason in reasons.iter().chain(warnings) {
                let _ = writeln!(text, "  {reason}");
            }
        }
        text
    }

    pub(super) fn to_json(&self) -> Value {
        let structures: Vec<Value> = self
            .structures
            .iter()
            .map(|Standing { structure, reasons, warnings }| {
                json!({
                    "structure": structure,
                    "ready": reasons.is_empty(),
                    "reasons": reasons,
                    "warnings": warnings,
                })
            })
            .collect();
        json!({ "ready": self.is_ready(), "draining": self.is_draining, "structures": structures })
    }
}

async fn standing(name: &StructureName, facility: &LocalFacility) -> Standing {
    let (mut reasons, mut warnings) = (Vec::new(), Vec::new());
    if facility.is_failed() {
        reasons.push("a write or sync failed: start the service again".to_owned());
    } else {
        match tokio::time::timeout(PATIENCE, answer(facility.query(Query::Status))).await {
            Err(_) => {
                let pending = facility.readings().sync_pending_us / 1_000;
                reasons.push(format!("the writer does not answer; the sync at work has taken {pending} ms"));
            }
            Ok(Err(error)) => reasons.push(error.to_string()),
            Ok(Ok(page)) => {
                if let Rows::Status(status) = page.rows {
                    warnings.extend(
                        status.storage.map(|why| format!("the storage is full, nothing new is granted: {why}")),
                    );
                    warnings.extend(status.stop.map(|stop| format!("nothing is granted: {}", stop.cause.name())));
                }
            }
        }
    }
    Standing { structure: name.to_string(), reasons, warnings }
}
