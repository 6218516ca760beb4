//! What callers hand to the writer, and the answers that wait for a sync.
#![forbid(unsafe_code)]

use super::AttachRequest;
use super::CallError;
use super::Challenge;
use super::Completer;
use super::Page;
use super::Presence;
use super::Query;
use super::Renewal;
use super::Reply;
use super::watch::Feed;
use crate::ident::ConnectorName;
use crate::ident::Lsn;
use crate::structure::Actor;
use crate::structure::Introduction;
use crate::structure::ReportedGrant;
use crate::structure::Request;

/// What the queue carries.
#[derive(Debug)]
pub enum Command {
    /// A request and whom to answer.
    Request(Request, Completer<Reply>),
    /// Wants a challenge for a name.
    Challenge(ConnectorName, Completer<Challenge>),
    /// One page of what a stack holds, under a challenge.
    Report(ConnectorName, Challenge, Vec<ReportedGrant>, Completer<()>),
    /// An attach.
    Attach(Box<AttachRequest>, Presence, Completer<Reply>),
    /// A connect.
    Connect(Introduction, Presence, Completer<Reply>),
    /// A re-join after a broken connection: a [`Request::Resume`].
    Resume(Request, Presence, Completer<Reply>),
    /// A renewal.
    Renew(Actor, u64, Completer<Renewal>),
    /// A read.
    Query(Query, Completer<Page>),
    /// From here on a watcher wants every event of the feed; answered with the lsn before the first of them.
    Watch(Feed, Completer<Lsn>),
}

impl Command {
    /// Answers without doing anything.
    pub(crate) fn refuse(self, error: &CallError) {
        match self {
            Self::Request(_, completer)
            | Self::Attach(_, _, completer)
            | Self::Connect(_, _, completer)
            | Self::Resume(_, _, completer) => completer.complete(Err(error.clone())),
            Self::Challenge(_, completer) => completer.complete(Err(error.clone())),
            Self::Report(_, _, _, completer) => completer.complete(Err(error.clone())),
            Self::Renew(_, _, completer) => completer.complete(Err(error.clone())),
            Self::Query(_, completer) => completer.complete(Err(error.clone())),
            Self::Watch(_, completer) => completer.complete(Err(error.clone())),
        }
    }
}

/// An answer that waits for its frame's sync.
pub(super) enum Waiting {
    Reply(Completer<Reply>, Result<Reply, CallError>),
    Challenge(Completer<Challenge>, Result<Challenge, CallError>),
    Report(Completer<()>, Result<(), CallError>),
    Renewal(Completer<Renewal>, Result<Renewal, CallError>),
    Page(Completer<Page>, Page),
    Watch(Completer<Lsn>, Lsn),
}

impl Waiting {
    /// Answers; with an `error`, that instead of the answer.
    pub(super) fn answer(self, error: Option<&CallError>) {
        fn give<T>(completer: Completer<T>, answer: Result<T, CallError>, error: Option<&CallError>) {
            completer.complete(error.map_or(answer, |error| Err(error.clone())));
        }
        match self {
            Self::Reply(completer, answer) => give(completer, answer, error),
            Self::Challenge(completer, answer) => give(completer, answer, error),
            Self::Report(completer, answer) => give(completer, answer, error),
            Self::Renewal(completer, answer) => give(completer, answer, error),
            Self::Page(completer, page) => give(completer, Ok(page), error),
            Self::Watch(completer, lsn) => give(completer, Ok(lsn), error),
        }
    }
}
