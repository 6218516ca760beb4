//! How a [`Connection`] comes to be: connect, attach with what the stack believes, resume.
#![forbid(unsafe_code)]

use super::Connection;
use super::Session;
use crate::facility::AttachRequest;
use crate::facility::CallError;
use crate::facility::Challenge;
use crate::facility::Facility;
use crate::facility::Position;
use crate::facility::Presence;
use crate::facility::Present;
use crate::facility::REPORT_PAGE_MAX;
use crate::facility::Reply;
use crate::structure::Actor;
use crate::structure::Answer;
use crate::structure::Grant;
use crate::structure::Introduction;
use crate::structure::Membership;
use crate::structure::Refusal;
use crate::structure::ReportedGrant;
use crate::structure::Request;
use crate::structure::Standing;
use crate::structure::StopCause;
use crate::threads::AtomicBool;
use crate::threads::AtomicU64;
use crate::threads::Mutex;
use std::sync::Arc;

/// What a stack believes when it attaches: how far it has seen, and what it holds. A stack whose
/// process just started believes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Belief {
    /// That of its last [`Connection`].
    pub position: Option<Position>,
    /// Every grant that it holds, those included whose release is on its way. Ports that were given
    /// back are in none of the masks.
    pub grants: Vec<ReportedGrant>,
}

/// What a connect, attach or resume was answered: everything that the structure has for this
/// connector. It replaces whatever the stack believed (protocol.md R7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// Whether the connector existed before.
    pub existed: bool,
    /// Every list it has joined.
    pub memberships: Vec<Membership>,
    /// Every grant, by list, group and lsn.
    pub grants: Vec<Grant>,
    /// Why nothing is granted at present, if granting is stopped. Free ports of adopted grants
    /// (number 0) are not handed out then.
    pub stopped: Option<StopCause>,
}

impl Connection {
    /// Creates a connector.
    ///
    /// # Errors
    /// [`Refusal::ConnectorExists`] if there is one of that name; otherwise as [`CallError`].
    pub fn connect(facility: Arc<dyn Facility>, introduction: Introduction) -> Result<Self, CallError> {
        let present = Present::new();
        let reply = facility.connect(introduction.clone(), present.presence()).wait()?;
        match reply.answer {
            Answer::Connected(actor) => Ok(Self::new(facility, introduction, actor, reply.position(), present)),
            _ => Err(CallError::WrongAnswer),
        }
    }

    /// Takes the next incarnation of a connector that exists. Every older [`Connection`] of it is
    /// fenced from now on; the caller [`give_up`](Self::give_up)s its own first.
    ///
    /// The answer replaces what the stack believed: what it does not list is stopped. What is believed
    /// and differs is reported to the facility first, so that it adopts what it has lost.
    ///
    /// # Errors
    /// [`Refusal::UnknownConnector`] if there is none, [`Refusal::OtherMachine`],
    /// [`Refusal::StillConnected`]; [`Refusal::OtherStore`]; [`Refusal::ReceiptBad`]: the stack stops
    /// all it holds and attaches believing nothing; otherwise as [`CallError`].
    pub fn attach(
        facility: Arc<dyn Facility>,
        introduction: Introduction,
        belief: &Belief,
    ) -> Result<(Self, Attached), CallError> {
        let challenge = facility.challenge(&introduction.name).wait()?;
        let (reply, present) = attach_under(&*facility, &introduction, challenge, belief)?;
        let position = reply.position();
        match reply.answer {
            Answer::Attached { actor, memberships, grants, stopped } => {
                let connection = Self::new(facility, introduction, actor, position, present);
                Ok((connection, Attached { existed: true, memberships, grants, stopped }))
            }
            _ => Err(CallError::WrongAnswer),
        }
    }

    /// Attaches, or connects if there is no such connector. One that the store has forgotten and that
    /// believes something connects and then attaches with it: a store that lost the whole connector
    /// learns of its grants too.
    ///
    /// # Errors
    /// As [`attach`](Self::attach) and [`connect`](Self::connect).
    pub fn attach_or_connect(
        facility: &Arc<dyn Facility>,
        introduction: &Introduction,
        belief: &Belief,
    ) -> Result<(Self, Attached), CallError> {
        let attach = || Self::attach(Arc::clone(facility), introduction.clone(), belief);
        match attach() {
            Err(CallError::Refused(Refusal::UnknownConnector)) => {}
            other => return other,
        }
        if belief.position.is_some() {
            // Nothing is made in another store than the one it knows.
            match attach_under(&**facility, introduction, Challenge::default(), belief) {
                Err(CallError::Refused(Refusal::UnknownConnector | Refusal::ChallengeNeeded)) => {}
                Err(error) => return Err(error),
                Ok(_) => return Err(CallError::WrongAnswer),
            }
        }
        let connection = Self::connect(Arc::clone(facility), introduction.clone())?;
        if *belief == Belief::default() {
            return Ok((connection, Attached::default()));
        }
        connection.give_up();
        let (connection, attached) = attach()?;
        Ok((connection, Attached { existed: false, ..attached }))
    }

    fn new(
        facility: Arc<dyn Facility>,
        introduction: Introduction,
        actor: Actor,
        position: Position,
        present: Present,
    ) -> Self {
        Self(Arc::new(Session {
            introduction,
            actor,
            history: position.history,
            position: Mutex::new(position),
            facility: Mutex::new(facility),
            numbering: Mutex::default(),
            present: Mutex::new(Some(present)),
            renewals: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }))
    }

    /// Re-joins after a broken connection within one open: the incarnation and its numbers go on.
    /// Requests of [`unanswered`](Self::unanswered) are then [`resend`](Self::resend)ed.
    ///
    /// # Errors
    /// As the facility refuses, and [`Refusal::MustAttach`] if it was opened since.
    pub fn resume(&self, facility: Arc<dyn Facility>) -> Result<Attached, CallError> {
        let session = &self.0;
        let name = session.introduction.name.clone();
        let (incarnation, identity) = (session.actor.incarnation, session.introduction.identity);
        let presence = session.present.lock().as_ref().map_or_else(Presence::none, Present::presence);
        let reply = facility.resume(Request::Resume { name, incarnation, identity }, presence).wait()?;
        if reply.history != session.history {
            return Err(CallError::Refused(Refusal::MustAttach));
        }
        match reply.answer {
            Answer::Attached { actor, memberships, grants, stopped } if actor == session.actor => {
                *session.facility.lock() = facility;
                Ok(Attached { existed: true, memberships, grants, stopped })
            }
            _ => Err(CallError::WrongAnswer),
        }
    }
}

/// Sends an attach, and what is believed where the facility asks for it.
fn attach_under(
    facility: &dyn Facility,
    introduction: &Introduction,
    challenge: Challenge,
    belief: &Belief,
) -> Result<(Reply, Present), CallError> {
    let present = Present::new();
    let standing = Standing::of(belief.grants.iter().copied());
    let attach = AttachRequest { introduction: introduction.clone(), challenge, position: belief.position, standing };
    let reply = match facility.attach(attach.clone(), present.presence()).wait() {
        Err(CallError::Refused(Refusal::ReportNeeded)) => {
            for page in belief.grants.chunks(REPORT_PAGE_MAX) {
                facility.report(&introduction.name, challenge, page.to_vec()).wait()?;
            }
            facility.attach(attach, present.presence()).wait()?
        }
        other => other?,
    };
    Ok((reply, present))
}
