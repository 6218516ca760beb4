//! The line between callers and the stream: what is waited for, by number.
#![forbid(unsafe_code)]

use super::RemoteError;
use super::overloaded;
use super::patience::Kind;
use super::patience::Patience;
use super::presences::Known;
use super::presences::Presences;
use super::told;
use crate::api::Door;
use crate::api::access::ClientTls;
use crate::api::convert::Malformed;
use crate::api::v1;
use crate::facility::CallError;
use crate::facility::Challenge;
use crate::facility::Completer;
use crate::facility::Page;
use crate::facility::Renewal;
use crate::facility::Reply;
use crate::ident::StructureName;
use crate::structure::Answer;
use parking_lot::Condvar;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tonic::transport::Channel;
use v1::stack_answer::What as Told;
use v1::stack_call::What;

/// Most rows that one answer may bring before its last message.
const PART_ROWS_MAX: usize = 1 << 22;

#[derive(Debug)]
pub(super) struct Line {
    pub(super) door: Door,
    pub(super) structure: StructureName,
    pub(super) tls: Option<ClientTls>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    live: Option<Live>,
    presences: Presences,
    /// What the last try to connect met.
    fault: Option<RemoteError>,
    /// The lease that the service asked for last.
    lease_ms: u64,
    /// Waiting does not help against it.
    is_final: bool,
    /// The same, kept when the next one succeeds.
    last_fault: Option<RemoteError>,
    /// What the service asked not to be asked yet.
    patience: Patience,
    /// Given up: nothing connects any more.
    over: bool,
}

#[derive(Debug)]
struct Live {
    calls: UnboundedSender<v1::StackCall>,
    channel: Channel,
    in_flight_max: usize,
    last: u64,
    waiting: HashMap<u64, (Option<Kind>, Waiting)>,
    parts: HashMap<u64, Vec<v1::AttachedPart>>,
    rows: usize,
}

/// A stream on which everything was said that comes first.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) calls: UnboundedSender<v1::StackCall>,
    pub(super) channel: Channel,
    pub(super) in_flight_max: usize,
    pub(super) lease_ms: u64,
    /// The last number of a call.
    pub(super) last: u64,
}

/// Who waits for what.
#[derive(Debug)]
pub(super) enum Waiting {
    Challenge(Completer<Challenge>),
    Reported(Completer<()>),
    Reply(Completer<Reply>),
    /// And the number of the presence that came with it.
    Entering(u64, Completer<Reply>),
    Renewal(Completer<Renewal>),
    Page(Completer<Page>),
}

impl Line {
    pub(super) fn new(door: Door, structure: StructureName, tls: Option<ClientTls>) -> Self {
        let (presences, over, is_final, lease_ms) = (Presences::default(), false, false, 0);
        let (live, fault, last_fault, patience) = (None, None, None, Patience::default());
        let state = State { live, presences, fault, lease_ms, is_final, last_fault, patience, over };
        Self { door, structure, tls, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// What is to be said first on a new stream: who was connected, and still is.
    pub(super) fn resumes(&self) -> Vec<v1::ResumeCall> {
        let mut state = self.state.lock();
        state.presences.take_ended();
        state.presences.resumes()
    }

    /// The stream stands: from now on calls go out on it, above the number `last`.
    pub(super) fn open(&self, stream: Stream) {
        let Stream { calls, channel, in_flight_max, lease_ms, last } = stream;
        let mut state = self.state.lock();
        state.lease_ms = lease_ms;
        if state.over {
            return;
        }
        state.live =
            Some(Live { calls, channel, in_flight_max, last, waiting: HashMap::new(), parts: HashMap::new(), rows: 0 });
        state.fault = None;
        state.is_final = false;
        drop(state);
        self.changed.notify_all();
    }

    /// The stream is no more, or, with `never_was`, none came to be: everybody who waits hears `Gone`.
    pub(super) fn close(&self, fault: RemoteError, never_was: bool) {
        let is_final = matches!(
            fault,
            RemoteError::NotHosted { .. } | RemoteError::Denied { .. } | RemoteError::Certificates { .. }
        );
        let mut state = self.state.lock();
        state.is_final = never_was && is_final;
        state.last_fault = Some(fault.clone());
        state.fault = Some(fault);
        let gone = state.live.take();
        drop(state);
        drop(gone);
        self.changed.notify_all();
    }

    /// For good.
    pub(super) fn break_off(&self) {
        let mut state = self.state.lock();
        state.over = true;
        let gone = state.live.take();
        drop(state);
        drop(gone);
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state.lock().live.is_some()
    }

    pub(super) fn lease_ms(&self) -> u64 {
        self.state.lock().lease_ms
    }

    pub(super) fn last_fault(&self) -> Option<RemoteError> {
        self.state.lock().last_fault.clone()
    }

    pub(super) fn retry_after(&self) -> Duration {
        self.state.lock().patience.left(Instant::now())
    }

    pub(super) fn channel(&self) -> Result<Channel, RemoteError> {
        let state = self.state.lock();
        let channel = state.live.as_ref().map(|live| live.channel.clone());
        channel.ok_or_else(|| state.fault.clone().unwrap_or_else(|| self.unreachable("not connected yet")))
    }

    /// Waits until the stream stands. That the structure is not hosted, or
    /// that this client may not, is said at once.
    pub(super) fn wait_connected(&self, patience: Duration) -> Result<(), RemoteError> {
        let mut state = self.state.lock();
        let is_waiting = |state: &mut State| state.live.is_none() && !state.is_final;
        self.changed.wait_while_for(&mut state, is_waiting, patience);
        match (&state.live, &state.fault) {
            (Some(_), _) => Ok(()),
            (None, Some(fault)) => Err(fault.clone()),
            (None, None) => Err(self.unreachable("it does not answer in time")),
        }
    }

    pub(super) fn unreachable(&self, reason: impl ToString) -> RemoteError {
        RemoteError::Unreachable { door: self.door.to_string(), reason: reason.to_string() }
    }

    /// Sends a call. Without a stream, beyond what the service takes, and before the time that it named,
    /// it is answered at once.
    pub(super) fn ask(&self, what: What, waiting: Waiting) {
        let kind = Kind::of(&what);
        let mut state = self.state.lock();
        let State { live, patience, .. } = &mut *state;
        let is_early = patience.is_early(kind.as_ref(), Instant::now());
        match live {
            Some(live) if live.waiting.len() < live.in_flight_max && !is_early => live.send(what, kind, waiting),
            Some(_) => {
                drop(state);
                waiting.fail(overloaded());
            }
            // Dropped unanswered, it is `Gone`.
            None => drop(state),
        }
    }

    /// Sends a call that brings a presence with it, after word of those that ended.
    pub(super) fn enter(&self, known: Known, what: impl FnOnce(u64) -> What, completer: Completer<Reply>) {
        let mut state = self.state.lock();
        let State { live, presences, patience, .. } = &mut *state;
        let Some(live) = live else {
            drop(state);
            return completer.complete(Err(CallError::Gone));
        };
        live.tell_ended(presences);
        let presence = presences.enter(known);
        let what = what(presence);
        let kind = Kind::of(&what);
        if live.waiting.len() >= live.in_flight_max || patience.is_early(kind.as_ref(), Instant::now()) {
            presences.forget(presence);
            drop(state);
            return completer.complete(Err(overloaded()));
        }
        live.send(what, kind, Waiting::Entering(presence, completer));
    }

    /// Tells the service of presences that ended.
    pub(super) fn sweep(&self) {
        let mut state = self.state.lock();
        let State { live, presences, .. } = &mut *state;
        if let Some(live) = live {
            live.tell_ended(presences);
        }
    }

    /// Takes an answer in.
    ///
    /// # Errors
    /// It answers nothing that was asked: the stream is of no use any more.
    pub(super) fn take(&self, answer: v1::StackAnswer) -> Result<(), Malformed> {
        let v1::StackAnswer { call, what } = answer;
        let what = what.ok_or(Malformed::missing("answer.what"))?;
        let mut state = self.state.lock();
        let State { live, presences, patience, .. } = &mut *state;
        let Some(live) = live else { return Ok(()) };
        if let Told::Part(part) = what {
            return live.keep(call, part);
        }
        let (kind, waiting) = live.waiting.remove(&call).ok_or(Malformed::missing("answer.call"))?;
        if let Told::Error(error) = &what {
            patience.heed(kind, error, Instant::now());
        }
        let parts = live.parts.remove(&call).unwrap_or_default();
        live.rows -= parts.iter().map(rows).sum::<usize>();
        match (waiting, what) {
            (Waiting::Entering(presence, completer), what) => {
                let answer = reply(what, parts);
                match &answer {
                    Ok(Reply { answer: Answer::Connected(actor) | Answer::Attached { actor, .. }, .. }) => {
                        presences.attached(presence, actor.incarnation);
                    }
                    _ => presences.forget(presence),
                }
                drop(state);
                completer.complete(answer);
            }
            (Waiting::Reply(completer), what) => {
                drop(state);
                completer.complete(reply(what, parts));
            }
            (waiting, Told::Error(error)) => {
                drop(state);
                waiting.fail(told(error));
            }
            (Waiting::Challenge(completer), Told::Challenge(challenge)) => {
                drop(state);
                completer.complete(Ok(Challenge(challenge)));
            }
            (Waiting::Reported(completer), Told::Reported(_)) => {
                drop(state);
                completer.complete(Ok(()));
            }
            (Waiting::Renewal(completer), Told::Renewal(renewal)) => {
                drop(state);
                completer.complete(Ok(renewal.into()));
            }
            (Waiting::Page(completer), Told::Page(page)) => {
                drop(state);
                completer.complete(page.try_into().map_err(|_: Malformed| CallError::WrongAnswer));
            }
            (waiting, _) => {
                drop(state);
                waiting.fail(CallError::WrongAnswer);
            }
        }
        Ok(())
    }
}

impl Live {
    fn send(&mut self, what: What, kind: Option<Kind>, waiting: Waiting) {
        self.last += 1;
        self.waiting.insert(self.last, (kind, waiting));
        // A stream that is gone is noticed by who reads it: everybody hears `Gone` then.
        let _ = self.calls.send(v1::StackCall { call: self.last, what: Some(what) });
    }

    fn tell_ended(&self, presences: &mut Presences) {
        for ended in presences.take_ended() {
            let _ = self.calls.send(v1::StackCall { call: 0, what: Some(What::Absent(ended)) });
        }
    }

    fn keep(&mut self, call: u64, part: v1::AttachedPart) -> Result<(), Malformed> {
        self.rows += rows(&part);
        if self.rows > PART_ROWS_MAX || !self.waiting.contains_key(&call) {
            return Err(Malformed::missing("answer.call"));
        }
        self.parts.entry(call).or_default().push(part);
        Ok(())
    }
}

impl Waiting {
    fn fail(self, error: CallError) {
        match self {
            Self::Challenge(completer) => completer.complete(Err(error)),
            Self::Reported(completer) => completer.complete(Err(error)),
            Self::Reply(completer) | Self::Entering(_, completer) => completer.complete(Err(error)),
            Self::Renewal(completer) => completer.complete(Err(error)),
            Self::Page(completer) => completer.complete(Err(error)),
        }
    }
}

fn rows(part: &v1::AttachedPart) -> usize {
    part.grants.len() + part.memberships.len()
}

fn reply(what: Told, parts: Vec<v1::AttachedPart>) -> Result<Reply, CallError> {
    match what {
        Told::Reply(mut sent) => {
            for part in parts.into_iter().rev() {
                sent.put_back(part);
            }
            sent.try_into().map_err(|_: Malformed| CallError::WrongAnswer)
        }
        Told::Error(error) => Err(told(error)),
        _ => Err(CallError::WrongAnswer),
    }
}
