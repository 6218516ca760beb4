//! One stack's stream: calls in, answers out in any order, presences while it stands.
//!
//! Calls reach the facility in the order in which they came. One task serves the stream: it waits for
//! the next call and for every ticket at once. A peer that does not read its answers is not read from
//! either. Only who attached, connected or resumed on this very stream acts on it: numbers of slots and
//! incarnations that a caller took from another store, or from a history that was lost, may be somebody
//! else's here (protocol.md R17). When the stream ends, what was handed in is worked off all the same.
#![forbid(unsafe_code)]

use super::Shared;
use super::judge;
use super::live::Seat;
use crate::api::Barred;
use crate::api::Open;
use crate::api::ServiceMeters;
use crate::api::access;
use crate::api::access::Act;
use crate::api::access::audit;
use crate::api::access::audit::Asked;
use crate::api::convert;
use crate::api::convert::Malformed;
use crate::api::failure::Failure;
use crate::api::limits;
use crate::api::v1;
use crate::facility::AttachRequest;
use crate::facility::CallError;
use crate::facility::Challenge;
use crate::facility::Facility;
use crate::facility::Page;
use crate::facility::Presence;
use crate::facility::Present;
use crate::facility::Query;
use crate::facility::REPORT_PAGE_MAX;
use crate::facility::Renewal;
use crate::facility::Reply;
use crate::facility::Ticket;
use crate::ident::ConnectorName;
use crate::ident::Incarnation;
use crate::structure;
use crate::structure::Actor;
use crate::structure::Introduction;
use crate::structure::Refusal;
use crate::structure::Request;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::sync::watch;
use tonic::Status;
use tonic::Streaming;
use v1::stack_answer::What as Told;
use v1::stack_call::What;

type Answers = mpsc::Sender<Result<v1::StackAnswer, Status>>;

/// One stream: what it may ask, and what it is owed.
pub(super) struct Peer {
    facility: Arc<dyn Facility>,
    structure: String,
    who: Arc<access::Peer>,
    shared: Arc<Shared>,
    in_flight_max: u32,
    lease_ms: u64,
    presences: BTreeMap<u64, Present>,
    /// Slots of the connectors that came in on this stream, and whose they are.
    admitted: BTreeMap<u32, ConnectorName>,
    waiting: FuturesUnordered<Waiting>,
    answers: Answers,
    meters: Arc<ServiceMeters>,
    /// The peer went, and its calls are counted as in flight no more.
    has_left: bool,
    _counted: Open,
}

/// A call and the ticket for its answer.
struct Waiting {
    call: u64,
    ticket: Owed,
    then: Then,
}

/// What is to be done when an answer is there.
enum Then {
    Nothing,
    /// That stack is in.
    Admit(Box<Introduction>),
    /// That name is in again.
    AdmitAgain(ConnectorName),
    /// An operator's act has its line in the log.
    Audit(Box<Asked>),
}

enum Owed {
    Reply(Ticket<Reply>),
    Challenge(Ticket<Challenge>),
    Reported(Ticket<()>),
    Renewal(Ticket<Renewal>),
    Page(Query, Ticket<Page>),
}

/// Nobody reads the answers any more.
struct PeerGone;

impl Peer {
    pub(super) fn new(
        facility: Arc<dyn Facility>,
        structure: String,
        who: Arc<access::Peer>,
        shared: Arc<Shared>,
        answers: Answers,
    ) -> Self {
        let (in_flight_max, lease_ms) = (shared.live.limits().in_flight_max, shared.live.lease_ms());
        let (presences, admitted, waiting) = (BTreeMap::new(), BTreeMap::new(), FuturesUnordered::new());
        let (meters, counted) = (Arc::clone(&shared.meters), shared.meters.stream());
        Self {
            facility,
            structure,
            who,
            shared,
            in_flight_max,
            lease_ms,
            presences,
            admitted,
            waiting,
            answers,
            meters,
            has_left: false,
            _counted: counted,
        }
    }

    /// Hands a call in. What has an answer already, a failure, is returned.
    fn take(&mut self, call: u64, what: Option<What>) -> Result<(), Failure> {
        let what = what.ok_or(Malformed::missing("call.what"))?;
        if let What::Absent(presence) = what {
            self.presences.remove(&presence);
            return Ok(());
        }
        if self.waiting.len() >= self.in_flight_max as usize {
            self.meters.bar(Barred::Limit);
            return Err(Refusal::Overloaded.into());
        }
        let mut then = Then::Nothing;
        let ticket = match what {
            What::Hello(_) => return Err(Malformed::missing("call.what").into()),
            What::Submit(sent) => {
                let request = judge::request(&self.who, sent)?;
                if let Request::Stack { actor, body, .. } = &request {
                    let name = self.may_act(actor)?;
                    self.shared.rates.groups(name, judge::groups(body))?;
                }
                if let Some(asked) = audit::asked(&request) {
                    then = Then::Audit(Box::new(asked));
                }
                Owed::Reply(self.facility.submit(request))
            }
            What::Challenge(sent) => {
                let name = convert::name("challenge.name", &sent.name)?;
                self.who.may_act_as(&name)?;
                Owed::Challenge(self.facility.challenge(&name))
            }
            What::Report(sent) => self.report(sent)?,
            What::Attach(sent) => {
                let attach = AttachRequest {
                    introduction: sent.introduction.ok_or(Malformed::missing("attach.introduction"))?.try_into()?,
                    challenge: Challenge(sent.challenge),
                    position: sent.position.map(TryInto::try_into).transpose()?,
                    standing: sent.standing.ok_or(Malformed::missing("attach.standing"))?.try_into()?,
                };
                then = self.enters(&attach.introduction)?;
                let presence = self.presence(sent.presence)?;
                Owed::Reply(self.facility.attach(attach, presence))
            }
            What::Connect(sent) => {
                let introduction = sent.introduction.ok_or(Malformed::missing("connect.introduction"))?.try_into()?;
                then = self.enters(&introduction)?;
                let presence = self.presence(sent.presence)?;
                Owed::Reply(self.facility.connect(introduction, presence))
            }
            What::Resume(sent) => {
                let name = convert::name("resume.name", &sent.name)?;
                self.who.may_act_as(&name)?;
                let identity = sent.identity.ok_or(Malformed::missing("resume.identity"))?.try_into()?;
                let presence = self.presence(sent.presence)?;
                let incarnation = Incarnation(sent.incarnation);
                then = Then::AdmitAgain(name.clone());
                Owed::Reply(self.facility.resume(Request::Resume { name, incarnation, identity }, presence))
            }
            What::Renew(sent) => {
                self.who.may(Act::ActAsStack)?;
                let actor: Actor = sent.actor.ok_or(Malformed::missing("renew.actor"))?.try_into()?;
                self.may_act(&actor)?;
                Owed::Renewal(self.facility.renew(actor, sent.number))
            }
            What::Query(sent) => {
                let query: Query = sent.try_into()?;
                Owed::Page(query.clone(), self.facility.query(query))
            }
            What::Absent(_) => return Ok(()),
        };
        self.waiting.push(Waiting { call, ticket, then });
        self.meters.asked(1);
        Ok(())
    }

    /// Whether this peer may come in as that stack, and not too often.
    fn enters(&self, introduction: &Introduction) -> Result<Then, Failure> {
        self.who.may_act_as(&introduction.name)?;
        self.shared.rates.attach(&introduction.name)?;
        Ok(Then::Admit(Box::new(introduction.clone())))
    }

    /// Whether the connector came in on this stream. An older life of one that did is told so by the
    /// facility.
    fn may_act(&self, actor: &Actor) -> Result<&ConnectorName, Failure> {
        self.admitted.get(&actor.slot).ok_or_else(|| {
            self.meters.bar(Barred::Stranger);
            Refusal::MustAttach.into()
        })
    }

    fn report(&self, sent: v1::ReportCall) -> Result<Owed, Failure> {
        if sent.grants.len() > REPORT_PAGE_MAX {
            let reason = convert::Misform::TooMany { found: sent.grants.len(), most: REPORT_PAGE_MAX };
            return Err(Malformed { field: "report.grants", reason }.into());
        }
        let name = convert::name("report.name", &sent.name)?;
        self.who.may_act_as(&name)?;
        let grants = sent.grants.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Owed::Reported(self.facility.report(&name, Challenge(sent.challenge), grants)))
    }

    fn presence(&mut self, number: u64) -> Result<Presence, Failure> {
        if number == 0 {
            return Ok(Presence::none());
        }
        if self.presences.len() >= limits::PRESENCES_MAX && !self.presences.contains_key(&number) {
            return Err(Refusal::Overloaded.into());
        }
        Ok(self.presences.entry(number).or_default().presence())
    }

    async fn tell(&self, call: u64, what: Told) -> Result<(), PeerGone> {
        self.answers.send(Ok(v1::StackAnswer { call, what: Some(what) })).await.map_err(|_| PeerGone)
    }

    /// What is to be done with an answer before it is told.
    fn heed(&mut self, then: Then, answer: &Answer) {
        let Answer::Reply(answer) = answer else { return };
        let came_in = match answer.as_ref().map(|reply| &reply.answer) {
            Ok(structure::Answer::Connected(actor) | structure::Answer::Attached { actor, .. }) => Some(actor),
            _ => None,
        };
        match (then, came_in) {
            (Then::Admit(introduction), Some(actor)) => {
                audit::entered(&self.who, &self.structure, &introduction, actor.incarnation);
                self.admitted.insert(actor.slot, introduction.name);
            }
            (Then::AdmitAgain(name), Some(actor)) => {
                self.admitted.insert(actor.slot, name);
            }
            (Then::Audit(asked), _) => audit::answered(&self.who, &self.structure, &asked, answer.as_ref()),
            _ => {}
        }
    }

    async fn answer(&mut self, (call, answer, then): (u64, Answer, Then)) -> Result<(), PeerGone> {
        self.meters.answered(1);
        self.heed(then, &answer);
        let told = match answer {
            Answer::Reply(Ok(mut reply)) => {
                for part in v1::AttachedPart::split_off(&mut reply) {
                    self.tell(call, Told::Part(part)).await?;
                }
                Ok(Told::Reply((&*reply).into()))
            }
            Answer::Reply(Err(error)) => Err(error),
            Answer::Challenge(answer) => answer.map(|challenge| Told::Challenge(challenge.0)),
            Answer::Reported(answer) => answer.map(|()| Told::Reported(v1::Nothing {})),
            Answer::Renewal(answer) => answer.map(|renewal| Told::Renewal(renewal.into())),
            Answer::Page(query, answer) => answer.map(|page| Told::Page(v1::Page::answering(&query, &page))),
        };
        self.tell(call, told.unwrap_or_else(|error| Told::Error((&Failure::from(error)).into()))).await
    }
}

impl Peer {
    /// Nobody waits for what is at work any more.
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.has_left, true) {
            self.meters.answered(self.waiting.len());
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.leave();
    }
}

enum Answer {
    Reply(Result<Box<Reply>, CallError>),
    Challenge(Result<Challenge, CallError>),
    Reported(Result<(), CallError>),
    Renewal(Result<Renewal, CallError>),
    Page(Query, Result<Box<Page>, CallError>),
}

impl Future for Waiting {
    type Output = (u64, Answer, Then);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waiting = self.get_mut();
        let answer = match &waiting.ticket {
            Owed::Reply(ticket) => ticket.poll_take(context).map(|answer| Answer::Reply(answer.map(Box::new))),
            Owed::Challenge(ticket) => ticket.poll_take(context).map(Answer::Challenge),
            Owed::Reported(ticket) => ticket.poll_take(context).map(Answer::Reported),
            Owed::Renewal(ticket) => ticket.poll_take(context).map(Answer::Renewal),
            Owed::Page(query, ticket) => {
                ticket.poll_take(context).map(|answer| Answer::Page(query.clone(), answer.map(Box::new)))
            }
        };
        answer.map(|answer| (waiting.call, answer, std::mem::replace(&mut waiting.then, Then::Nothing)))
    }
}

/// Serves a stream until it ends.
pub(super) async fn run(mut peer: Peer, calls: Streaming<v1::StackCall>, stopping: watch::Receiver<bool>, room: Seat) {
    if converse(&mut peer, calls, stopping).await.is_err() {
        // The peer went: nobody is left who could be told, but what operators did is kept.
        peer.presences.clear();
        peer.leave();
        while let Some((_, answer, then)) = peer.waiting.next().await {
            peer.heed(then, &answer);
        }
    }
    drop((peer, room));
}

/// Waits for the stop; a sender that is gone is one too.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}

async fn converse(
    peer: &mut Peer,
    mut calls: Streaming<v1::StackCall>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), PeerGone> {
    let release = env!("CARGO_PKG_VERSION").to_owned();
    let welcome = v1::Welcome { release, in_flight_max: peer.in_flight_max, lease_ms: peer.lease_ms };
    peer.tell(0, Told::Welcome(welcome)).await?;
    let answers = peer.answers.clone();
    let end = loop {
        let call = tokio::select! {
            biased;
            Some(done) = peer.waiting.next(), if !peer.waiting.is_empty() => {
                peer.answer(done).await?;
                continue;
            }
            () = stopped(&mut stopping) => {
                break Some(Status::unavailable("the service ends: connect again"));
            }
            () = answers.closed() => return Err(PeerGone),
            call = calls.message() => call,
        };
        match call {
            Ok(Some(v1::StackCall { call, what })) => {
                match peer.take(call, what).map_err(|failure| peer.shared.told(failure)) {
                    Ok(()) => {}
                    Err(failure @ Failure::Denied(_)) => break Some(failure.to_status()),
                    Err(failure) => peer.tell(call, Told::Error((&failure).into())).await?,
                }
            }
            Ok(None) => break None,
            Err(status) => break Some(status),
        }
    };
    while !peer.waiting.is_empty() {
        tokio::select! {
            biased;
            Some(done) = peer.waiting.next() => peer.answer(done).await?,
            () = answers.closed() => return Err(PeerGone),
        }
    }
    match end {
        Some(status) => answers.send(Err(status)).await.map_err(|_| PeerGone),
        None => Ok(()),
    }
}
