//! Ports on their way back: the release is decided, its answer is not there yet.
//!
//! From the moment a release is sent its ports are never used again in that incarnation, whatever
//! the answer (protocol.md R10). A release that was turned down for want of room is sent again; one
//! whose outcome is unknown is settled by the next attach.
#![forbid(unsafe_code)]

use super::hand::Part;
use crate::facility::CallError;
use crate::facility::Connection;
use crate::facility::Pending;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::structure::Member;
use crate::structure::Refusal;
use crate::structure::ReportedGrant;
use std::collections::VecDeque;

/// Releases without an answer.
#[derive(Debug, Default)]
pub(super) struct Leaving(VecDeque<Release>);

#[derive(Debug)]
struct Release {
    target: Target,
    member: Member,
    part: Part,
    /// `None`: to be sent, again or for the first time.
    sent: Option<Pending<()>>,
}

/// What an answer to a release, or a leave, means for it.
pub(super) enum Outcome {
    /// It is over: done, or the grant was gone.
    Over,
    /// Nothing happened; later.
    Again,
    /// Not known before the next attach.
    Unknown(CallError),
}

impl Outcome {
    pub(super) fn of<T>(answer: Result<T, CallError>) -> Self {
        match answer {
            Ok(_) => Self::Over,
            Err(CallError::Refused(Refusal::Overloaded | Refusal::StorageFull | Refusal::GrantsStopped { .. })) => {
                Self::Again
            }
            Err(CallError::Refused(
                Refusal::StaleToken { .. }
                | Refusal::NotOwner { .. }
                | Refusal::NotJoined
                | Refusal::UnknownList { .. },
            )) => Self::Over,
            Err(cause) => Self::Unknown(cause),
        }
    }
}

impl Leaving {
    /// Notes ports that go back; [`send`](Self::send) sends them.
    pub(super) fn add(&mut self, target: Target, member: Member, part: Part) {
        self.0.push_back(Release { target, member, part, sent: None });
    }

    /// Sends what was not sent, looks at the answers that are there, and never waits.
    ///
    /// # Errors
    /// The first outcome that is unknown.
    pub(super) fn send(&mut self, connection: &Connection) -> Result<(), CallError> {
        self.submit(connection);
        for _ in 0..self.0.len() {
            let Some(release) = self.0.front_mut() else { break };
            // Answers come in the order of the requests, so those behind have none either.
            let Some(answer) = release.sent.as_mut().and_then(Pending::try_take) else { break };
            release.sent = None;
            match Outcome::of(answer) {
                Outcome::Over => drop(self.0.pop_front()),
                Outcome::Again => self.0.rotate_left(1),
                Outcome::Unknown(cause) => return Err(cause),
            }
        }
        Ok(())
    }

    fn submit(&mut self, connection: &Connection) {
        for release in self.0.iter_mut().filter(|release| release.sent.is_none()) {
            let Part { group, grant, mask } = release.part;
            release.sent = Some(connection.submit_release(release.member, group, grant, mask));
        }
    }

    /// Sends everything and waits for the answers.
    ///
    /// # Errors
    /// The first that did not say that the ports are back; what it was for stays.
    pub(super) fn wait(&mut self, connection: &Connection) -> Result<(), CallError> {
        self.submit(connection);
        while let Some(release) = self.0.front_mut() {
            let answer = release.sent.take().map_or(Err(CallError::Gone), Pending::wait).map(|_| ());
            match Outcome::of(answer.clone()) {
                Outcome::Over => drop(self.0.pop_front()),
                Outcome::Again | Outcome::Unknown(_) => return answer,
            }
        }
        Ok(())
    }

    /// The ports of a grant that are on their way back.
    pub(super) fn mask(&self, grant: Lsn) -> PortMask {
        let of_grant = self.0.iter().filter(|release| release.part.grant == grant);
        of_grant.fold(PortMask::NONE, |mask, release| mask.or(release.part.mask))
    }

    /// What the facility may have as ours still, for the report at an attach.
    pub(super) fn reported(&self) -> impl Iterator<Item = ReportedGrant> {
        self.0.iter().map(|Release { target, part: Part { group, grant, mask }, .. }| ReportedGrant {
            lsn: *grant,
            target: *target,
            group: *group,
            mask: *mask,
        })
    }

    /// After an attach: what the facility still has as ours goes back under the new incarnation,
    /// the rest has arrived.
    pub(super) fn attached(&mut self, of_grant: impl Fn(Lsn) -> Option<(Member, PortMask)>) {
        self.0.retain_mut(|release| {
            release.sent = None;
            let Some((member, mask)) = of_grant(release.part.grant) else { return false };
            release.member = member;
            release.part.mask = release.part.mask.and(mask);
            !release.part.mask.is_empty()
        });
    }

    /// Whether ports of a list are on their way back.
    pub(super) fn has(&self, target: Target) -> bool {
        self.0.iter().any(|release| release.target == target)
    }

    /// How many are without an answer.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets all: there is nobody to give them back to.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
