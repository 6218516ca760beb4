//! The audit lines: who did what as an operator, by what way and with what answer, and who was turned
//! away. Their target is `portplex::audit`, so that they can be kept apart from everything else.
#![forbid(unsafe_code)]

use super::Act;
use super::Denied;
use super::Peer;
use crate::ident::Incarnation;
use crate::structure::Introduction;
use crate::structure::Request;
use std::fmt;

/// What an operator asked for, until its answer is there.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    act: Act,
    what: String,
}

/// What is to be kept of a request; `None` for those of stacks.
pub(crate) fn asked(request: &Request) -> Option<Asked> {
    let act = Act::of_request(request);
    let what = match request {
        Request::MarkFailed { name, incarnation, by } => {
            let by = by.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
            format!("{name} incarnation {incarnation} by the word of {by}")
        }
        Request::CleanUp { name, incarnation, by, boot_is_dead } => {
            format!("{name} incarnation {incarnation} by the word of {by}, boot is dead: {boot_is_dead}")
        }
        Request::ResumeGrants { by, adopt_reported } => {
            let by = by.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
            format!("by the word of {by}, adopt reported: {adopt_reported}")
        }
        _ if act == Act::ActAsStack => return None,
        other => format!("{other:?}"),
    };
    Some(Asked { act, what })
}

/// An operator's request was answered.
pub(crate) fn answered<T, E: fmt::Display + ?Sized>(
    peer: &Peer,
    structure: &str,
    asked: &Asked,
    answer: Result<&T, &E>,
) {
    let Asked { act, what } = asked;
    match answer {
        Ok(_) => {
            tracing::info!(target: "portplex::audit", %peer, structure, act = act.words(), what, answer = "done");
        }
        Err(error) => {
            tracing::warn!(target: "portplex::audit", %peer, structure, act = act.words(), what, answer = %error);
        }
    }
}

/// A peer may not do what it asked for.
pub(crate) fn denied(denied: &Denied) {
    tracing::warn!(target: "portplex::audit", %denied);
}

/// A connection was not taken: nothing proves who it is.
pub(crate) fn refused(from: impl fmt::Display, reason: impl fmt::Display) {
    tracing::warn!(target: "portplex::audit", %from, %reason, "connection refused");
}

/// A stack came in: a machine or boot that changed since its last line is a clean-up of its older life
/// (protocol.md R6).
pub(crate) fn entered(peer: &Peer, structure: &str, who: &Introduction, incarnation: Incarnation) {
    let Introduction { name, identity, .. } = who;
    let (machine, boot) = (format!("{:032x}", identity.machine.0), format!("{:032x}", identity.boot.0));
    tracing::info!(target: "portplex::audit", %peer, structure, %name, %incarnation, machine, boot, "attached");
}
