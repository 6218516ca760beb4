//! The client: a facility that is elsewhere, with the same face as one that is here.
//!
//! One stream carries everything. While it is broken every call is answered
//! [`CallError::Gone`] at once, and it is made again in the background, after pauses that grow and
//! vary; who was connected over it is said again then (a resume), so that no other process slips in.
//! No call is ever sent twice. What the service refused as too much is not asked again before the time
//! that it named.
#![forbid(unsafe_code)]

mod dial;
mod drive;
mod line;
mod operator;
mod patience;
mod presences;
mod watching;

pub use operator::{OperatorClient, OperatorError};
pub use watching::{RemoteWatch, Watched};

use super::Door;
use super::access::ClientTls;
use super::convert;
use super::failure::Failure;
use super::v1;
use crate::facility::AttachRequest;
use crate::facility::CallError;
use crate::facility::Challenge;
use crate::facility::Facility;
use crate::facility::Page;
use crate::facility::Presence;
use crate::facility::Query;
use crate::facility::Renewal;
use crate::facility::Reply;
use crate::facility::Ticket;
use crate::ident::ConnectorName;
use crate::ident::StructureName;
use crate::structure::Actor;
use crate::structure::Introduction;
use crate::structure::Refusal;
use crate::structure::ReportedGrant;
use crate::structure::Request;
use line::Line;
use line::Waiting;
use presences::Known;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::runtime::Runtime;
use v1::stack_call::What;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// How long [`RemoteFacility::connect`] tries, before it says that nobody is there.
    pub patience: Duration,
    /// A runtime to work on, with threads of its own, I/O and timers on; `None`: a thread of this client's
    /// own. Its methods wait, so they are never called from that runtime's tasks.
    pub runtime: Option<Handle>,
    /// The certificates for an `https://` door, which needs them; no other door looks at them.
    pub tls: Option<ClientTls>,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self { patience: Duration::from_secs(5), runtime: None, tls: None }
    }
}

/// Why there is no connection to a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The service hosts other structures.
    #[error("{door}: structure {structure} is not hosted there")]
    NotHosted {
        /// The service.
        door: String,
        /// The structure.
        structure: String,
    },
    /// Nobody answers, or not as a service would.
    #[error("{door}: no service answers: {reason}")]
    Unreachable {
        /// Where it should be.
        door: String,
        /// What the last try met.
        reason: String,
    },
    /// The service knows who this is, and does not let it.
    #[error("{door}: {reason}")]
    Denied {
        /// The service.
        door: String,
        /// Who may not do what, and which role would do.
        reason: String,
    },
    /// This client's own certificates cannot be used, or it has none for an `https://` door.
    #[error("{door}: {reason}")]
    Certificates {
        /// The service.
        door: String,
        /// Which file, and why.
        reason: String,
    },
    /// The machine has no thread or no poller for a runtime.
    #[error("the machine has no thread or no poller for the client: {reason}")]
    NoRuntime {
        /// Why.
        reason: String,
    },
    /// The watcher was too far behind.
    #[error("the watcher fell behind: watch again from lsn {resume_from}")]
    Lagged {
        /// Events after this lsn were not delivered.
        resume_from: crate::ident::Lsn,
    },
}

/// A structure on another machine or in another process.
///
/// As many stacks as wanted may share one; each takes its own where it can, so that one stack's calls
/// never wait behind another's.
#[derive(Debug)]
pub struct RemoteFacility {
    line: Arc<Line>,
    handle: Handle,
    driver: tokio::task::JoinHandle<()>,
    /// Its own, if none was handed in.
    runtime: Option<Runtime>,
}

impl RemoteFacility {
    /// Connects, and waits until the stream stands.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn connect(door: &Door, structure: StructureName, options: RemoteOptions) -> Result<Self, RemoteError> {
        let (runtime, handle) = runtime_of(&options)?;
        let line = Arc::new(Line::new(door.clone(), structure, options.tls));
        let driver = handle.spawn(drive::drive(Arc::clone(&line)));
        let remote = Self { line, handle, driver, runtime };
        remote.line.wait_connected(options.patience)?;
        Ok(remote)
    }

    /// Whether the stream stands at the moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.line.is_connected()
    }

    /// The lease that the service asks its stacks to promise, unless they are told another, ms; 0: none.
    #[must_use]
    pub fn lease_asked_ms(&self) -> u64 {
        self.line.lease_ms()
    }

    /// Waits until the stream stands.
    ///
    /// # Errors
    /// [`RemoteError`]: what the last try met.
    pub fn wait_connected(&self, patience: Duration) -> Result<(), RemoteError> {
        self.line.wait_connected(patience)
    }

    /// What the service refused last for who this is, or met last on its way here, even if the stream
    /// stands again since. A call that was answered [`CallError::Gone`] may have this reason.
    #[must_use]
    pub fn last_fault(&self) -> Option<RemoteError> {
        self.line.last_fault()
    }

    /// How long the service asked to wait with the last refusal that said so, with up to half of it added
    /// at random: since then that time has run. Zero: nothing is to be waited for. What was refused
    /// `Overloaded` is not sent again before, but refused here.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.line.retry_after()
    }

    /// Starts watching: a snapshot, then every later event; with `after` the events alone.
    ///
    /// # Errors
    /// [`RemoteError::Unreachable`]; later ones come out of [`RemoteWatch::next`].
    pub fn watch(&self, after: Option<crate::ident::Lsn>) -> Result<RemoteWatch, RemoteError> {
        RemoteWatch::start(&self.line, &self.handle, after)
    }

    fn ask<T>(&self, what: What, waiting: impl FnOnce(crate::facility::Completer<T>) -> Waiting) -> Ticket<T> {
        let (ticket, completer) = Ticket::pair();
        self.line.ask(what, waiting(completer));
        ticket
    }

    /// A call that brings a presence with it.
    fn enter(&self, known: Known, what: impl FnOnce(u64) -> What) -> Ticket<Reply> {
        let (ticket, completer) = Ticket::pair();
        self.line.enter(known, what, completer);
        ticket
    }
}

impl Facility for RemoteFacility {
    /// As for every facility. What only a facility asks of itself, and an attach, connect or resume
    /// that comes without a presence, is refused `OutOfRange` and not sent.
    fn submit(&self, request: Request) -> Ticket<Reply> {
        match v1::Request::try_from(&request) {
            Ok(request) => self.ask(What::Submit(request), Waiting::Reply),
            Err(refusal) => Ticket::ready(Err(refusal.into())),
        }
    }

    fn challenge(&self, name: &ConnectorName) -> Ticket<Challenge> {
        self.ask(What::Challenge(v1::ChallengeCall { name: name.to_string() }), Waiting::Challenge)
    }

    fn report(&self, name: &ConnectorName, challenge: Challenge, grants: Vec<ReportedGrant>) -> Ticket<()> {
        let grants = grants.iter().map(Into::into).collect();
        let report = v1::ReportCall { name: name.to_string(), challenge: challenge.0, grants };
        self.ask(What::Report(report), Waiting::Reported)
    }

    fn attach(&self, attach: AttachRequest, presence: Presence) -> Ticket<Reply> {
        let AttachRequest { introduction, challenge, position, standing } = attach;
        self.enter(Known::of(&introduction, presence), |presence| {
            What::Attach(v1::AttachCall {
                introduction: Some((&introduction).into()),
                challenge: challenge.0,
                position: position.as_ref().map(Into::into),
                standing: Some((&standing).into()),
                presence,
            })
        })
    }

    fn connect(&self, introduction: Introduction, presence: Presence) -> Ticket<Reply> {
        self.enter(Known::of(&introduction, presence), |presence| {
            What::Connect(v1::ConnectCall { introduction: Some((&introduction).into()), presence })
        })
    }

    fn resume(&self, resume: Request, presence: Presence) -> Ticket<Reply> {
        let Request::Resume { name, incarnation, identity } = resume else {
            return Ticket::ready(Err(CallError::Refused(convert::internal_request())));
        };
        let known = Known { name: name.clone(), identity, presence, incarnation: None };
        self.enter(known, |presence| {
            let (name, identity) = (name.to_string(), Some((&identity).into()));
            What::Resume(v1::ResumeCall { name, incarnation: incarnation.0, identity, presence })
        })
    }

    fn renew(&self, actor: Actor, number: u64) -> Ticket<Renewal> {
        self.ask(What::Renew(v1::RenewCall { actor: Some(actor.into()), number }), Waiting::Renewal)
    }

    fn query(&self, query: Query) -> Ticket<Page> {
        self.ask(What::Query((&query).into()), Waiting::Page)
    }
}

impl Drop for RemoteFacility {
    fn drop(&mut self) {
        self.driver.abort();
        self.line.break_off();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The runtime that was handed in, or one of the client's own.
fn runtime_of(options: &RemoteOptions) -> Result<(Option<Runtime>, Handle), RemoteError> {
    if let Some(handle) = &options.runtime {
        return Ok((None, handle.clone()));
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).thread_name("portplex-remote").enable_all().build();
    let runtime = runtime.map_err(|error| RemoteError::NoRuntime { reason: error.to_string() })?;
    let handle = runtime.handle().clone();
    Ok((Some(runtime), handle))
}

/// More calls in flight than the service takes.
fn overloaded() -> CallError {
    CallError::Refused(Refusal::Overloaded)
}

/// What a status of the service means to whoever called.
fn fault_of(line: &Line, status: &tonic::Status) -> RemoteError {
    let door = line.door.to_string();
    match Failure::of_status(status) {
        Some(Failure::NotHosted { structure }) => RemoteError::NotHosted { door, structure },
        Some(failure) => line.unreachable(failure),
        None if status.code() == tonic::Code::PermissionDenied => {
            RemoteError::Denied { door, reason: status.message().to_owned() }
        }
        None => line.unreachable(dial::chain(status)),
    }
}

/// What the service told instead of an answer.
fn told(sent: v1::CallError) -> CallError {
    Failure::try_from(sent).map_or(CallError::WrongAnswer, Failure::into_call_error)
}
