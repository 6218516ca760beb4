//! The network: every call of a stack is a message that may be lost, doubled, late or overtaken, and
//! so is its answer.
//!
//! A request that got no answer is sent again under its number, as a client does that finds its
//! connection broken; after [`PATIENCE_MS`] the caller hears that it is gone, and its outcome is
//! unknown. Copies that are still under way arrive all the same, also in later incarnations.

use super::clock::Time;
use super::host::Host;
use crate::random::Random;
use parking_lot::Mutex;
use portplex::facility::{AttachRequest, CallError, Challenge, Command, Completer, Facility, Page, Presence, Query};
use portplex::facility::{Renewal, Reply, Ticket};
use portplex::ident::{ConnectorName, Lsn};
use portplex::structure::{Actor, Answer, Introduction, ReportedGrant, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long a caller waits, true ms.
const PATIENCE_MS: u64 = 1_500;
/// When a request is sent again.
const AGAIN_MS: [u64; 2] = [150, 600];

#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Request(Request),
    Challenge(ConnectorName),
    Report(ConnectorName, Challenge, Vec<ReportedGrant>),
    Attach(AttachRequest, Presence),
    Connect(Introduction, Presence),
    Resume(Request, Presence),
    Renew(Actor, u64),
    Query(Query),
}

/// An answer on its way.
enum Told {
    Reply(Result<Reply, CallError>),
    Challenge(Result<Challenge, CallError>),
    Done(Result<(), CallError>),
    Renewal(Result<Renewal, CallError>),
    Page(Result<Page, CallError>),
}

impl Told {
    fn gives_a_lease(&self) -> bool {
        let is_entry = |answer: &Answer| matches!(answer, Answer::Connected(_) | Answer::Attached { .. });
        matches!(self, Told::Renewal(Ok(_))) || matches!(self, Told::Reply(Ok(reply)) if is_entry(&reply.answer))
    }
}

/// Who waits for one.
enum Caller {
    Reply(Completer<Reply>),
    Challenge(Completer<Challenge>),
    Done(Completer<()>),
    Renewal(Completer<Renewal>),
    Page(Completer<Page>),
}

/// An answer that the facility has not given yet.
enum Slip {
    Reply(Ticket<Reply>),
    Challenge(Ticket<Challenge>),
    Done(Ticket<()>),
    Renewal(Ticket<Renewal>),
    Page(Ticket<Page>),
}

struct Waiting {
    caller: Caller,
    stack: usize,
    sent: u64,
}

enum Packet {
    ToFacility(usize, u64, Ask),
    ToStack(u64, Told),
    Again(usize, u64, Ask),
    GiveUp(u64),
}

/// The network with the facility at its one end.
#[derive(Clone)]
pub(crate) struct Net(Arc<Mutex<Inner>>);

pub(crate) struct Inner {
    pub(crate) time: Time,
    dice: Random,
    queue: BTreeMap<(u64, u64), Packet>,
    sent: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// For each stack when the newest call was sent that gave it its lease: an attach, a connect or a
    /// renewal whose answer arrived (protocol.md R2).
    pub(crate) leased: BTreeMap<usize, u64>,
    /// Stacks whose messages are all lost.
    pub(crate) cut: BTreeSet<usize>,
    pub(crate) is_calm: bool,
    pub(crate) host: Host,
    pub(crate) posts: Posts,
    /// Requests of which the stack took a refusal, and has forgotten the number.
    refused: BTreeSet<u64>,
    /// What any copy of a request was granted.
    granted: Vec<(u64, Lsn)>,
    /// What happened, as one number.
    pub(crate) trace: u64,
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Posts {
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
    pub(crate) doubled: u64,
    /// More than 12 ms under way: overtaken by others.
    pub(crate) delayed: u64,
    pub(crate) arrived: u64,
}

impl Posts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.dropped += other.dropped;
        self.doubled += other.doubled;
        self.delayed += other.delayed;
        self.arrived += other.arrived;
    }
}

impl Net {
    pub(crate) fn new(time: Time, seed: u64, host: Host) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            time,
            dice: Random::new(seed),
            queue: BTreeMap::new(),
            sent: 0,
            waiting: BTreeMap::new(),
            leased: BTreeMap::new(),
            cut: BTreeSet::new(),
            is_calm: false,
            host,
            posts: Posts::default(),
            refused: BTreeSet::new(),
            granted: Vec::new(),
            trace: 0,
        })))
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.0.lock())
    }

    /// What a stack has of the facility.
    pub(crate) fn door(&self, stack: usize) -> Arc<dyn Facility> {
        Arc::new(Door { net: self.clone(), stack })
    }

    /// Lets time pass up to the next message, at most 10 ms, and does what is due.
    pub(crate) fn step(&self) {
        self.0.lock().step();
    }
}

impl Inner {
    pub(crate) fn note(&mut self, what: u64) {
        self.trace = (self.trace.rotate_left(7) ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn post(&mut self, at: u64, packet: Packet) {
        self.sent += 1;
        self.queue.insert((at, self.sent), packet);
    }

    /// The moments at which copies of a message arrive.
    fn fate(&mut self, stack: usize) -> Vec<u64> {
        let now = self.time.now();
        let times = self.dealt(stack, now);
        self.posts.sent += 1;
        self.posts.dropped += u64::from(times.is_empty());
        self.posts.doubled += u64::from(times.len() > 1);
        self.posts.delayed += u64::from(times.iter().any(|at| *at > now + 12));
        times
    }

    fn dealt(&mut self, stack: usize, now: u64) -> Vec<u64> {
        if self.is_calm {
            return vec![now + 1];
        }
        if self.cut.contains(&stack) {
            return Vec::new();
        }
        let mut times = Vec::new();
        if self.dice.below(12) > 0 {
            let late = if self.dice.below(12) == 0 { 2_500 } else { 12 };
            times.push(now + 1 + self.dice.below(late));
        }
        if self.dice.below(10) == 0 {
            times.push(now + 1 + self.dice.below(9_000));
        }
        times
    }

    fn send(&mut self, stack: usize, id: u64, ask: &Ask) {
        for at in self.fate(stack) {
            self.post(at, Packet::ToFacility(stack, id, ask.clone()));
        }
    }

    fn call(&mut self, stack: usize, ask: Ask, caller: Caller) {
        let (now, id) = (self.time.now(), self.sent + 1);
        self.waiting.insert(id, Waiting { caller, stack, sent: now });
        self.post(now + PATIENCE_MS, Packet::GiveUp(id));
        self.send(stack, id, &ask);
        if matches!(ask, Ask::Request(Request::Stack { .. })) {
            for ms in AGAIN_MS {
                self.post(now + ms, Packet::Again(stack, id, ask.clone()));
            }
        }
    }

    fn step(&mut self) {
        let now = self.time.now();
        let next = self.queue.keys().next().map_or(now + 10, |(at, _)| *at);
        let now = next.clamp(now, now + 10).max(now + u64::from(self.queue.is_empty()));
        self.time.set(now);
        let later = self.queue.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.queue, later);
        let (mut slips, mut batch) = (Vec::new(), Vec::new());
        for ((at, number), packet) in due {
            self.posts.arrived += u64::from(matches!(packet, Packet::ToFacility(..) | Packet::ToStack(..)));
            self.note(at ^ number << 32);
            match packet {
                Packet::ToFacility(stack, id, ask) if self.host.is_up() => {
                    let (command, slip) = command(ask);
                    batch.push(command);
                    slips.push((stack, id, slip));
                }
                Packet::ToFacility(..) => {}
                Packet::ToStack(id, told) => {
                    if let Some(Waiting { caller, stack, sent }) = self.waiting.remove(&id) {
                        if matches!(told, Told::Reply(Err(CallError::Refused(_)))) {
                            self.refused.insert(id);
                        }
                        if told.gives_a_lease() {
                            let leased = self.leased.entry(stack).or_default();
                            *leased = sent.max(*leased);
                        }
                        answer(caller, told);
                    }
                }
                Packet::Again(stack, id, ask) => {
                    if self.waiting.contains_key(&id) {
                        self.send(stack, id, &ask);
                    }
                }
                // Dropped, the caller hears that it is gone.
                Packet::GiveUp(id) => drop(self.waiting.remove(&id)),
            }
        }
        let served = self.host.turn(batch);
        let lsn = self.host.structure().map_or(0, |structure| structure.lsn().0);
        self.note(lsn);
        if !served {
            return;
        }
        for (stack, id, slip) in slips {
            let Some(mut told) = taken(slip) else { continue };
            if let Told::Reply(Ok(Reply { answer: Answer::Granted(grants), .. })) = &told {
                self.granted.extend(grants.iter().map(|grant| (id, grant.lsn)));
            }
            for at in self.fate(stack) {
                // The second copy of an answer finds nobody who waits.
                let told = std::mem::replace(&mut told, Told::Done(Ok(())));
                if !matches!(told, Told::Done(Ok(()))) || self.waits_for_done(id) {
                    self.post(at, Packet::ToStack(id, told));
                }
            }
        }
    }

    /// Grants of late doubles whose stack had taken a refusal of the first copy. It knows of them with
    /// its next attach and not before: a refusal is not remembered (`structure::retry` says why).
    pub(crate) fn unknown(&self) -> BTreeSet<Lsn> {
        let unknown = self.granted.iter().filter(|(id, _)| self.refused.contains(id));
        unknown.map(|(_, lsn)| *lsn).collect()
    }

    fn waits_for_done(&self, id: u64) -> bool {
        matches!(self.waiting.get(&id), Some(Waiting { caller: Caller::Done(_), .. }))
    }
}

fn command(ask: Ask) -> (Command, Slip) {
    match ask {
        Ask::Request(request) => reply(|completer| Command::Request(request, completer)),
        Ask::Attach(attach, presence) => reply(|completer| Command::Attach(Box::new(attach), presence, completer)),
        Ask::Connect(introduction, presence) => reply(|completer| Command::Connect(introduction, presence, completer)),
        Ask::Resume(resume, presence) => reply(|completer| Command::Resume(resume, presence, completer)),
        Ask::Challenge(name) => {
            let (ticket, completer) = Ticket::pair();
            (Command::Challenge(name, completer), Slip::Challenge(ticket))
        }
        Ask::Report(name, challenge, grants) => {
            let (ticket, completer) = Ticket::pair();
            (Command::Report(name, challenge, grants, completer), Slip::Done(ticket))
        }
        Ask::Renew(actor, number) => {
            let (ticket, completer) = Ticket::pair();
            (Command::Renew(actor, number, completer), Slip::Renewal(ticket))
        }
        Ask::Query(query) => {
            let (ticket, completer) = Ticket::pair();
            (Command::Query(query, completer), Slip::Page(ticket))
        }
    }
}

fn reply(make: impl FnOnce(Completer<Reply>) -> Command) -> (Command, Slip) {
    let (ticket, completer) = Ticket::pair();
    (make(completer), Slip::Reply(ticket))
}

fn taken(slip: Slip) -> Option<Told> {
    Some(match slip {
        Slip::Reply(ticket) => Told::Reply(ticket.try_take()?),
        Slip::Challenge(ticket) => Told::Challenge(ticket.try_take()?),
        Slip::Done(ticket) => Told::Done(ticket.try_take()?),
        Slip::Renewal(ticket) => Told::Renewal(ticket.try_take()?),
        Slip::Page(ticket) => Told::Page(ticket.try_take()?),
    })
}

fn answer(caller: Caller, told: Told) {
    match (caller, told) {
        (Caller::Reply(completer), Told::Reply(answer)) => completer.complete(answer),
        (Caller::Challenge(completer), Told::Challenge(answer)) => completer.complete(answer),
        (Caller::Done(completer), Told::Done(answer)) => completer.complete(answer),
        (Caller::Renewal(completer), Told::Renewal(answer)) => completer.complete(answer),
        (Caller::Page(completer), Told::Page(answer)) => completer.complete(answer),
        _ => {}
    }
}

/// One stack's end of the network.
struct Door {
    net: Net,
    stack: usize,
}

impl Door {
    fn ask<T>(&self, ask: Ask, caller: fn(Completer<T>) -> Caller) -> Ticket<T> {
        let (ticket, completer) = Ticket::pair();
        self.net.with(|inner| inner.call(self.stack, ask, caller(completer)));
        ticket
    }
}

impl Facility for Door {
    fn submit(&self, request: Request) -> Ticket<Reply> {
        self.ask(Ask::Request(request), Caller::Reply)
    }

    fn challenge(&self, name: &ConnectorName) -> Ticket<Challenge> {
        self.ask(Ask::Challenge(name.clone()), Caller::Challenge)
    }

    fn report(&self, name: &ConnectorName, challenge: Challenge, grants: Vec<ReportedGrant>) -> Ticket<()> {
        self.ask(Ask::Report(name.clone(), challenge, grants), Caller::Done)
    }

    fn attach(&self, attach: AttachRequest, presence: Presence) -> Ticket<Reply> {
        self.ask(Ask::Attach(attach, presence), Caller::Reply)
    }

    fn connect(&self, introduction: Introduction, presence: Presence) -> Ticket<Reply> {
        self.ask(Ask::Connect(introduction, presence), Caller::Reply)
    }

    fn resume(&self, resume: Request, presence: Presence) -> Ticket<Reply> {
        self.ask(Ask::Resume(resume, presence), Caller::Reply)
    }

    fn renew(&self, actor: Actor, number: u64) -> Ticket<Renewal> {
        self.ask(Ask::Renew(actor, number), Caller::Renewal)
    }

    fn query(&self, query: Query) -> Ticket<Page> {
        self.ask(Ask::Query(query), Caller::Page)
    }
}
