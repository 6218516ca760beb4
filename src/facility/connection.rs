//! One connector's handle on a facility: it numbers requests and drops what is not its own.
//!
//! A [`Connection`] is one incarnation of one connector in one history (protocol.md R17). It counts
//! its requests 1, 2, 3 …, tells the facility the lowest number still unanswered, and hands every
//! answer of another history, or one that comes after the incarnation was given up, to nobody
//! (R11). It decides nothing about ports and never retries by itself: a broken connection is
//! [`resume`](Connection::resume)d and its requests sent again under their old numbers, or a new
//! [`attach`](Connection::attach) settles what became of them (R12).
#![forbid(unsafe_code)]

mod entering;
mod pending;

pub use entering::{Attached, Belief};
pub use pending::{Answered, Pending, PendingRenewal};

use super::CallError;
use super::ConnectorStatus;
use super::Facility;
use super::Position;
use super::Present;
use super::Reply;
use super::Ticket;
use crate::ident::BootMs;
use crate::ident::GroupNumber;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::StoreUuid;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Actor;
use crate::structure::Answer;
use crate::structure::Body;
use crate::structure::Grant;
use crate::structure::Introduction;
use crate::structure::Member;
use crate::structure::Membership;
use crate::structure::PortOwner;
use crate::structure::PortRange;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::threads::AtomicBool;
use crate::threads::AtomicU64;
use crate::threads::Mutex;
use crate::threads::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One incarnation of one connector, as its stack holds it. Copies share the numbering; all
/// methods may be called from any thread.
#[derive(Clone)]
pub struct Connection(Arc<Session>);

struct Session {
    introduction: Introduction,
    actor: Actor,
    /// Where it attached; the highest that any answer named.
    history: HistoryId,
    position: Mutex<Position>,
    facility: Mutex<Arc<dyn Facility>>,
    numbering: Mutex<Numbering>,
    /// While it is there no other process may attach; it goes when this one gives up.
    present: Mutex<Option<Present>>,
    renewals: AtomicU64,
    over: AtomicBool,
}

#[derive(Default)]
struct Numbering {
    last: u32,
    /// Requests without an answer; one whose outcome is unknown stays, so that it can be sent again.
    unanswered: BTreeMap<u32, Body>,
}

impl Connection {
    /// The connector's slot and incarnation.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.0.actor
    }

    /// The history in which it attached.
    #[must_use]
    pub fn history(&self) -> HistoryId {
        self.0.history
    }

    /// The store that it attached to.
    #[must_use]
    pub fn store(&self) -> StoreUuid {
        self.position().store
    }

    /// How far it has seen: the highest lsn that any answer named. Goes into the next attach, whatever
    /// facility is reached then.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.0.position.lock()
    }

    /// How the stack introduced itself.
    #[must_use]
    pub fn introduction(&self) -> &Introduction {
        &self.0.introduction
    }

    /// Ends the use of this incarnation: every later answer is dropped, whoever waits for it hears
    /// [`CallError::Gone`], and it holds off no other process any more. Called before the next attach
    /// is sent (protocol.md R11).
    pub fn give_up(&self) {
        self.0.over.store(true, Ordering::SeqCst);
        self.0.present.lock().take();
    }

    /// Whether it was given up.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::SeqCst)
    }

    /// Whether `other` is a copy of this handle, and not another attach.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Requests whose outcome is not known, by number.
    #[must_use]
    pub fn unanswered(&self) -> Vec<(u32, Body)> {
        self.0.numbering.lock().unanswered.iter().map(|(number, body)| (*number, body.clone())).collect()
    }

    /// Sends a request again under its old number; `None` if it is not outstanding. It has at most
    /// one effect however often it is sent.
    #[must_use]
    pub fn resend(&self, number: u32) -> Option<Pending<Answer>> {
        let numbering = self.0.numbering.lock();
        let body = numbering.unanswered.get(&number)?.clone();
        let lowest = numbering.lowest(number);
        drop(numbering);
        Some(self.send(number, lowest, body, Some))
    }

    /// Hands in a request with any body.
    pub fn submit(&self, body: Body) -> Pending<Answer> {
        self.number(body, Some)
    }

    /// Hands in a join.
    pub fn submit_join(&self, target: Target) -> Pending<Membership> {
        self.number(Body::Join { target }, joined)
    }

    /// Hands in a leave. The caller vouches that no socket uses the ports held (protocol.md R10).
    pub fn submit_leave(&self, member: Member) -> Pending<()> {
        self.number(Body::Leave { member }, done)
    }

    /// Hands in an acquire: at least and at most so many groups, 1 to 1,024, in one atomic step.
    pub fn submit_acquire(&self, member: Member, at_least: u16, at_most: u16) -> Pending<Vec<Grant>> {
        self.number(Body::Acquire { member, at_least, at_most }, granted)
    }

    /// Hands in a claim of one named port, not 0.
    pub fn submit_claim(&self, member: Member, port: u16) -> Pending<Vec<Grant>> {
        self.number(Body::Claim { member, port }, granted)
    }

    /// Hands in a release of some ports of one grant. From this call on they are never used again,
    /// whatever the answer (protocol.md R10).
    pub fn submit_release(&self, member: Member, group: GroupNumber, grant: Lsn, mask: PortMask) -> Pending<()> {
        self.number(Body::Release { member, group, grant, mask }, done)
    }

    /// Hands in the allowable set of one transport.
    pub fn submit_set_allowable(&self, transport: Transport, ports: PortSet) -> Pending<()> {
        self.number(Body::SetAllowable { transport, ports }, done)
    }

    /// Hands in the end of the connector: everything goes to quarantine.
    pub fn submit_disconnect(&self) -> Pending<()> {
        self.number(Body::Disconnect, done)
    }

    /// Joins a list and waits.
    ///
    /// # Errors
    /// [`CallError`], as for every call that waits.
    pub fn join(&self, target: Target) -> Result<Answered<Membership>, CallError> {
        self.submit_join(target).wait()
    }

    /// Leaves a list and waits.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn leave(&self, member: Member) -> Result<Answered<()>, CallError> {
        self.submit_leave(member).wait()
    }

    /// Takes groups and waits.
    ///
    /// # Errors
    /// [`Refusal::Exhausted`] and others as [`CallError`].
    pub fn acquire(&self, member: Member, at_least: u16, at_most: u16) -> Result<Answered<Vec<Grant>>, CallError> {
        self.submit_acquire(member, at_least, at_most).wait()
    }

    /// Takes one named port and waits.
    ///
    /// # Errors
    /// [`Refusal::PortHeld`] and others as [`CallError`].
    pub fn claim(&self, member: Member, port: u16) -> Result<Answered<Grant>, CallError> {
        let answered = self.submit_claim(member, port).wait()?;
        match answered.value[..] {
            [grant] => Ok(Answered { lsn: answered.lsn, value: grant }),
            _ => Err(CallError::WrongAnswer),
        }
    }

    /// Gives ports of one grant back and waits.
    ///
    /// # Errors
    /// [`Refusal::StaleToken`] and others as [`CallError`].
    pub fn release(
        &self,
        member: Member,
        group: GroupNumber,
        grant: Lsn,
        mask: PortMask,
    ) -> Result<Answered<()>, CallError> {
        self.submit_release(member, group, grant, mask).wait()
    }

    /// Sets the allowable ports of one transport and waits.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn set_allowable(&self, transport: Transport, ports: PortSet) -> Result<Answered<()>, CallError> {
        self.submit_set_allowable(transport, ports).wait()
    }

    /// Ends the connector and waits.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn disconnect(&self) -> Result<Answered<()>, CallError> {
        self.submit_disconnect().wait()
    }

    /// Hands in a renewal of the lease. `sent` is the boot clock now: the lease counts from then,
    /// not from when the answer comes (protocol.md R2).
    pub fn submit_renew(&self, sent: BootMs) -> PendingRenewal {
        let number = self.0.renewals.fetch_add(1, Ordering::Relaxed) + 1;
        let ticket = if self.is_over() {
            Ticket::ready(Err(CallError::Gone))
        } else {
            self.facility().renew(self.0.actor, number)
        };
        PendingRenewal { ticket, number, sent }
    }

    /// Renews the lease and waits: until when it runs, `None` without a promise.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn renew(&self, sent: BootMs) -> Result<Option<BootMs>, CallError> {
        self.submit_renew(sent).wait()
    }

    /// Makes a range of ports the active explicit-bind range of the structure, and waits.
    ///
    /// # Errors
    /// [`Refusal::OutOfRange`] and others as [`CallError`].
    pub fn set_range(&self, transport: Transport, range: PortRange) -> Result<(), CallError> {
        self.facility().set_range(transport, Some(range)).map(drop)
    }

    /// Who has a port.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn owner(&self, target: Target, port: u16) -> Result<PortOwner, CallError> {
        self.facility().owner(target, port)
    }

    /// What the facility knows of this connector; `None` if it forgot it.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn status(&self) -> Result<Option<ConnectorStatus>, CallError> {
        self.facility().connector(&self.0.introduction.name)
    }

    fn facility(&self) -> Arc<dyn Facility> {
        Arc::clone(&self.0.facility.lock())
    }

    fn number<T>(&self, body: Body, read: fn(Answer) -> Option<T>) -> Pending<T> {
        let mut numbering = self.0.numbering.lock();
        let Some(number) = numbering.last.checked_add(1).filter(|number| *number < u32::MAX) else {
            let ticket = Ticket::ready(Err(CallError::Refused(Refusal::NumbersExhausted)));
            return Pending { session: Arc::clone(&self.0), ticket: Some(ticket), number: u32::MAX, read };
        };
        numbering.last = number;
        numbering.unanswered.insert(number, body.clone());
        let lowest = numbering.lowest(number);
        drop(numbering);
        self.send(number, lowest, body, read)
    }

    fn send<T>(&self, number: u32, lowest: u32, body: Body, read: fn(Answer) -> Option<T>) -> Pending<T> {
        let ticket = if self.is_over() {
            Ticket::ready(Err(CallError::Gone))
        } else {
            self.facility().submit(Request::Stack { actor: self.0.actor, number, lowest, body })
        };
        Pending { session: Arc::clone(&self.0), ticket: Some(ticket), number, read }
    }
}

impl Numbering {
    fn lowest(&self, number: u32) -> u32 {
        self.unanswered.keys().next().copied().unwrap_or(number).min(number)
    }
}

impl Session {
    /// What an answer is worth: nothing once the incarnation is over or from another history. A
    /// number is settled by an answer or a refusal, not by an unknown outcome.
    fn settle(&self, number: u32, answer: Result<Reply, CallError>) -> Result<Reply, CallError> {
        if self.over.load(Ordering::SeqCst) {
            return Err(CallError::Gone);
        }
        match &answer {
            Ok(reply) if reply.history != self.history => return Err(CallError::Gone),
            Ok(reply) => {
                let mut position = self.position.lock();
                if reply.lsn > position.lsn {
                    *position = reply.position();
                }
            }
            Err(CallError::Refused(_)) => {}
            Err(_) => return answer,
        }
        self.numbering.lock().unanswered.remove(&number);
        answer
    }
}

fn joined(answer: Answer) -> Option<Membership> {
    match answer {
        Answer::Joined(membership) => Some(membership),
        _ => None,
    }
}

fn done(answer: Answer) -> Option<()> {
    matches!(answer, Answer::Done).then_some(())
}

fn granted(answer: Answer) -> Option<Vec<Grant>> {
    match answer {
        Answer::Granted(grants) => Some(grants),
        Answer::GrantedAndGone => Some(Vec::new()),
        _ => None,
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("name", &self.0.introduction.name)
            .field("actor", &self.0.actor)
            .field("history", &self.0.history)
            .finish_non_exhaustive()
    }
}
