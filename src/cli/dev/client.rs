//! A facility at the other end of a socket: what the stacks of `portplex dev` talk to.
//!
//! One connection per stack, thousands of requests in flight on it. When it breaks, for whatever
//! reason, every ticket is answered [`CallError::Gone`] and so is every later request: whether a
//! request had its effect, only the next attach tells.

use super::wire::{self, Ask, Tell, Told, What};
use crate::facility::AttachRequest;
use crate::facility::CallError;
use crate::facility::Challenge;
use crate::facility::Completer;
use crate::facility::Facility;
use crate::facility::Page;
use crate::facility::Presence;
use crate::facility::Query;
use crate::facility::Renewal;
use crate::facility::Reply;
use crate::facility::Ticket;
use crate::ident::ConnectorName;
use crate::structure::Actor;
use crate::structure::Introduction;
use crate::structure::Refusal;
use crate::structure::ReportedGrant;
use crate::structure::Request;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::{self, BufReader, BufWriter, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

/// Most requests in flight on one connection: the facility's queue is as long.
const IN_FLIGHT_MAX: usize = 65_536;

/// Who is told of everything that passes, in the order in which it passes.
pub(super) trait Observer: Send + Sync {
    /// A request is about to be sent.
    fn sending(&self, request: &Request);
    /// A reply has arrived and is about to be handed over.
    fn arrived(&self, reply: &Reply);
}

/// A connection to a facility process.
pub(super) struct SocketFacility {
    line: Arc<Line>,
    next: AtomicU64,
    observer: Arc<dyn Observer>,
    stream: UnixStream,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What is left of the connection: `None` once it is gone.
#[derive(Default)]
struct Line(Mutex<Option<Live>>);

struct Live {
    outgoing: mpsc::Sender<Ask>,
    waiting: HashMap<u64, Waiting>,
}

enum Waiting {
    Challenge(Completer<Challenge>),
    Report(Completer<()>),
    Reply(Completer<Reply>),
    Renewal(Completer<Renewal>),
    Page(Completer<Page>),
}

impl SocketFacility {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn connect(path: &Path, observer: Arc<dyn Observer>) -> io::Result<Self> {
        Self::on(UnixStream::connect(path)?, observer)
    }

    fn on(stream: UnixStream, observer: Arc<dyn Observer>) -> io::Result<Self> {
        let (outgoing, asks) = mpsc::channel();
        let line = Arc::new(Line(Mutex::new(Some(Live { outgoing, waiting: HashMap::new() }))));
        let (reading, writing) = (stream.try_clone()?, stream.try_clone()?);
        let writer = thread::Builder::new().name("wire-out".to_owned()).spawn(move || send(&writing, &asks))?;
        let reader = {
            let (line, observer) = (Arc::clone(&line), Arc::clone(&observer));
            thread::Builder::new().name("wire-in".to_owned()).spawn(move || receive(reading, &line, &*observer))?
        };
        Ok(Self { line, next: AtomicU64::new(1), observer, stream, threads: Mutex::new(vec![writer, reader]) })
    }

    /// Ends the connection and waits until nothing more can arrive on it: from here on the
    /// observer hears nothing of it either.
    pub(super) fn close(&self) {
        // Not connected any more is what is wanted.
        let _ = self.stream.shutdown(Shutdown::Both);
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }

    fn ask(&self, what: What, waiting: Waiting) {
        let mut line = self.line.0.lock();
        let Some(live) = line.as_mut() else { return };
        if live.waiting.len() >= IN_FLIGHT_MAX {
            drop(line);
            return waiting.fail(CallError::Refused(Refusal::Overloaded));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        live.waiting.insert(number, waiting);
        // A writer that is gone has shut the socket down: the reader answers `Gone`.
        let _ = live.outgoing.send(Ask { number, what });
    }
}

impl Drop for SocketFacility {
    fn drop(&mut self) {
        self.close();
    }
}

impl Facility for SocketFacility {
    fn submit(&self, request: Request) -> Ticket<Reply> {
        let (ticket, completer) = Ticket::pair();
        self.observer.sending(&request);
        self.ask(What::Request(request), Waiting::Reply(completer));
        ticket
    }

    fn challenge(&self, name: &ConnectorName) -> Ticket<Challenge> {
        let (ticket, completer) = Ticket::pair();
        self.ask(What::Challenge(name.clone()), Waiting::Challenge(completer));
        ticket
    }

    fn report(&self, name: &ConnectorName, challenge: Challenge, grants: Vec<ReportedGrant>) -> Ticket<()> {
        let (ticket, completer) = Ticket::pair();
        self.ask(What::Report(name.clone(), challenge, grants), Waiting::Report(completer));
        ticket
    }

    fn attach(&self, attach: AttachRequest, _presence: Presence) -> Ticket<Reply> {
        let (ticket, completer) = Ticket::pair();
        self.ask(What::Attach(Box::new(attach)), Waiting::Reply(completer));
        ticket
    }

    fn connect(&self, introduction: Introduction, _presence: Presence) -> Ticket<Reply> {
        let (ticket, completer) = Ticket::pair();
        self.ask(What::Connect(introduction), Waiting::Reply(completer));
        ticket
    }

    fn resume(&self, resume: Request, _presence: Presence) -> Ticket<Reply> {
        let (ticket, completer) = Ticket::pair();
        self.ask(What::Resume(resume), Waiting::Reply(completer));
        ticket
    }

    fn renew(&self, actor: Actor, number: u64) -> Ticket<Renewal> {
        let (ticket, completer) = Ticket::pair();
        self.ask(What::Renew(actor, number), Waiting::Renewal(completer));
        ticket
    }

    fn query(&self, query: Query) -> Ticket<Page> {
        let (ticket, completer) = Ticket::pair();
        self.ask(What::Query(query), Waiting::Page(completer));
        ticket
    }
}

impl Waiting {
    fn fail(self, error: CallError) {
        match self {
            Self::Challenge(completer) => completer.complete(Err(error)),
            Self::Report(completer) => completer.complete(Err(error)),
            Self::Reply(completer) => completer.complete(Err(error)),
            Self::Renewal(completer) => completer.complete(Err(error)),
            Self::Page(completer) => completer.complete(Err(error)),
        }
    }
}

fn send(stream: &UnixStream, asks: &mpsc::Receiver<Ask>) {
    let mut scratch = Vec::new();
    let mut out = BufWriter::with_capacity(1 << 16, stream);
    while let Ok(first) = asks.recv() {
        let mut next = Some(first);
        let mut done = Ok(());
        while let (Some(ask), Ok(())) = (next.take(), &done) {
            done = wire::write(&mut out, &mut scratch, &ask);
            next = asks.try_recv().ok();
        }
        if done.is_err() || out.flush().is_err() {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Hands answers over until the connection breaks, or says something that answers nothing; then
/// the line is gone and everybody who waits hears it, because the completers are dropped.
fn receive(stream: UnixStream, line: &Line, observer: &dyn Observer) {
    let mut scratch = Vec::new();
    let mut from = BufReader::with_capacity(1 << 16, &stream);
    while let Ok(Some(Tell { number, what })) = wire::read(&mut from, &mut scratch) {
        let waiting = line.0.lock().as_mut().and_then(|live| live.waiting.remove(&number));
        match (waiting, what) {
            (Some(Waiting::Reply(completer)), Told::Reply(answer)) => {
                if let Ok(reply) = &answer {
                    observer.arrived(reply);
                }
                completer.complete(answer);
            }
            (Some(Waiting::Challenge(completer)), Told::Challenge(answer)) => completer.complete(answer),
            (Some(Waiting::Report(completer)), Told::Report(answer)) => completer.complete(answer),
            (Some(Waiting::Renewal(completer)), Told::Renewal(answer)) => completer.complete(answer),
            (Some(Waiting::Page(completer)), Told::Page(answer)) => completer.complete(answer),
            _ => break,
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
    let gone = line.0.lock().take();
    drop(gone);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::dev::serve;
    use crate::facility::Receipt;
    use crate::facility::Rows;
    use crate::ident::HistoryId;
    use crate::ident::Identity;
    use crate::ident::Incarnation;
    use crate::ident::Lsn;
    use crate::ident::StoreUuid;
    use crate::structure::Answer;

    struct Deaf;

    impl Observer for Deaf {
        fn sending(&self, _: &Request) {}
        fn arrived(&self, _: &Reply) {}
    }

    /// Answers with what it was asked, and keeps requests for ever where told to.
    struct Echo {
        kept: Mutex<Vec<Completer<Reply>>>,
        presence: Mutex<Presence>,
    }

    impl Facility for Echo {
        fn submit(&self, request: Request) -> Ticket<Reply> {
            match request {
                Request::EndQuarantine { list } => {
                    let (store, history, lsn) = (StoreUuid(1), HistoryId(1), Lsn(u64::from(list)));
                    let reply = Reply { store, history, lsn, receipt: Receipt::default(), answer: Answer::Done };
                    Ticket::ready(Ok(reply))
                }
                _ => {
                    let (ticket, completer) = Ticket::pair();
                    self.kept.lock().push(completer);
                    ticket
                }
            }
        }

        fn challenge(&self, name: &ConnectorName) -> Ticket<Challenge> {
            Ticket::ready(Ok(Challenge(name.as_str().len() as u64)))
        }

        fn report(&self, _: &ConnectorName, _: Challenge, grants: Vec<ReportedGrant>) -> Ticket<()> {
            Ticket::ready(if grants.is_empty() { Ok(()) } else { Err(Refusal::ChallengeNeeded.into()) })
        }

        fn attach(&self, attach: AttachRequest, presence: Presence) -> Ticket<Reply> {
            self.connect(attach.introduction, presence)
        }

        fn connect(&self, _: Introduction, presence: Presence) -> Ticket<Reply> {
            *self.presence.lock() = presence;
            self.submit(Request::EndQuarantine { list: 9 })
        }

        fn renew(&self, _: Actor, number: u64) -> Ticket<Renewal> {
            Ticket::ready(Ok(Renewal { number, promise_ms: 5 }))
        }

        fn query(&self, _: Query) -> Ticket<Page> {
            let rows = Rows::Items { items: Vec::new(), next: None };
            Ticket::ready(Ok(Page { history: HistoryId(1), lsn: Lsn(2), rows }))
        }
    }

    fn pair() -> (SocketFacility, UnixStream) {
        let (here, there) = UnixStream::pair().unwrap();
        (SocketFacility::on(here, Arc::new(Deaf)).unwrap(), there)
    }

    #[test]
    fn thousands_in_flight_each_get_their_own_answer() {
        let (facility, there) = pair();
        let far = Arc::new(Echo { kept: Mutex::default(), presence: Mutex::default() });
        let server = thread::spawn(move || serve::connection(&*far, there));
        let tickets: Vec<_> = (0..5_000).map(|list| facility.submit(Request::EndQuarantine { list })).collect();
        let actor = Actor { slot: 0, incarnation: Incarnation(1) };
        let (renewal, page) = (facility.renew(actor, 42), facility.query(Query::Status));
        for (list, ticket) in tickets.into_iter().enumerate() {
            assert_eq!(ticket.wait().unwrap().lsn, Lsn(list as u64));
        }
        assert_eq!(renewal.wait(), Ok(Renewal { number: 42, promise_ms: 5 }));
        assert_eq!(page.wait().unwrap().lsn, Lsn(2));
        facility.close();
        server.join().unwrap();
    }

    #[test]
    fn the_presence_behind_a_socket_ends_with_the_socket() {
        let (facility, there) = pair();
        let far = Arc::new(Echo { kept: Mutex::default(), presence: Mutex::default() });
        let server = {
            let far = Arc::clone(&far);
            thread::spawn(move || serve::connection(&*far, there))
        };
        let name = ConnectorName::new("A").unwrap();
        assert_eq!(facility.challenge(&name).wait(), Ok(Challenge(1)));
        assert_eq!(facility.report(&name, Challenge(1), Vec::new()).wait(), Ok(()));
        let introduction = Introduction { name, identity: Identity::default(), promise_ms: 0, enforced: false };
        assert_eq!(facility.connect(introduction, Presence::none()).wait().unwrap().lsn, Lsn(9));
        assert!(far.presence.lock().is_alive());
        facility.close();
        server.join().unwrap();
        assert!(!far.presence.lock().is_alive());
    }

    #[test]
    fn a_broken_connection_answers_everybody_gone() {
        let (facility, there) = pair();
        let tickets: Vec<_> = (0..100).map(|list| facility.submit(Request::EndQuarantine { list })).collect();
        drop(there);
        for ticket in tickets {
            assert_eq!(ticket.wait(), Err(CallError::Gone));
        }
        assert_eq!(facility.submit(Request::EndQuarantine { list: 0 }).wait(), Err(CallError::Gone));
    }

    #[test]
    fn an_answer_to_nothing_ends_the_connection() {
        let (facility, there) = pair();
        let ticket = facility.submit(Request::EndQuarantine { list: 0 });
        let tell = Tell { number: 999, what: Told::Renewal(Err(CallError::Gone)) };
        wire::write(&mut &there, &mut Vec::new(), &tell).unwrap();
        assert_eq!(ticket.wait(), Err(CallError::Gone));
    }
}
