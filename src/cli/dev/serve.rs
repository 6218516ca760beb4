//! The facility's end of the socket: every connection feeds the one queue, answers go back in the
//! order in which they were asked.
//!
//! The facility answers a queue in order, so waiting for the oldest first holds nothing up.

use super::wire::{self, Ask, Tell, Told, What};
use crate::facility::Challenge;
use crate::facility::Facility;
use crate::facility::Page;
use crate::facility::Present;
use crate::facility::Renewal;
use crate::facility::Reply;
use crate::facility::Ticket;
use std::io::{BufReader, BufWriter, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Weak;
use std::sync::mpsc;
use std::thread;

/// Answers that one connection may be owed; beyond, its requests wait in the socket.
const OWED_MAX: usize = 65_536;

enum Owed {
    Challenge(u64, Ticket<Challenge>),
    Report(u64, Ticket<()>),
    Reply(u64, Ticket<Reply>),
    Renewal(u64, Ticket<Renewal>),
    Page(u64, Ticket<Page>),
}

/// Serves every connection in threads of its own; returns only if no more can be taken, or the
/// facility is no more.
pub(super) fn serve<F: Facility + 'static>(facility: &Weak<F>, listener: &UnixListener) -> std::io::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let Some(facility) = facility.upgrade() else { return Ok(()) };
        thread::Builder::new().name("connection".to_owned()).spawn(move || connection(&*facility, stream))?;
    }
}

/// Serves one connection until it ends. What is still owed then is worked off, unseen.
pub(super) fn connection(facility: &dyn Facility, stream: UnixStream) {
    let Ok(writing) = stream.try_clone() else { return };
    let (owing, owed) = mpsc::sync_channel(OWED_MAX);
    let answering = thread::Builder::new().name("answers".to_owned()).spawn(move || answer(&writing, &owed));
    let mut from = BufReader::with_capacity(1 << 16, &stream);
    let mut scratch = Vec::new();
    // Whoever attaches over this socket is there until it ends.
    let present = Present::new();
    while let Ok(Some(Ask { number, what })) = wire::read(&mut from, &mut scratch) {
        let next = match what {
            What::Request(request) => Owed::Reply(number, facility.submit(request)),
            What::Challenge(name) => Owed::Challenge(number, facility.challenge(&name)),
            What::Report(name, challenge, grants) => Owed::Report(number, facility.report(&name, challenge, grants)),
            What::Attach(attach) => Owed::Reply(number, facility.attach(*attach, present.presence())),
            What::Connect(introduction) => Owed::Reply(number, facility.connect(introduction, present.presence())),
            What::Resume(resume) => Owed::Reply(number, facility.resume(resume, present.presence())),
            What::Renew(actor, renewal) => Owed::Renewal(number, facility.renew(actor, renewal)),
            What::Query(query) => Owed::Page(number, facility.query(query)),
        };
        if owing.send(next).is_err() {
            break;
        }
    }
    drop((owing, present));
    if let Ok(answering) = answering {
        let _ = answering.join();
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// Writes answers in order. What is written goes out before the next answer is waited for.
fn answer(stream: &UnixStream, owed: &mpsc::Receiver<Owed>) {
    let mut out = BufWriter::with_capacity(1 << 16, stream);
    let mut scratch = Vec::new();
    while let Some(next) = owed.try_recv().ok().or_else(|| {
        out.flush().ok()?;
        owed.recv().ok()
    }) {
        let tell = match next.ready() {
            Some(tell) => Ok(tell),
            None => out.flush().map(|()| next.wait()),
        };
        let sent = tell.map_err(wire::WireError::Io).and_then(|tell| wire::write(&mut out, &mut scratch, &tell));
        if sent.is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

impl Owed {
    fn ready(&self) -> Option<Tell> {
        Some(match self {
            Self::Reply(number, ticket) => Tell { number: *number, what: Told::Reply(ticket.try_take()?) },
            Self::Challenge(number, ticket) => Tell { number: *number, what: Told::Challenge(ticket.try_take()?) },
            Self::Report(number, ticket) => Tell { number: *number, what: Told::Report(ticket.try_take()?) },
            Self::Renewal(number, ticket) => Tell { number: *number, what: Told::Renewal(ticket.try_take()?) },
            Self::Page(number, ticket) => Tell { number: *number, what: Told::Page(ticket.try_take()?) },
        })
    }

    fn wait(self) -> Tell {
        match self {
            Self::Reply(number, ticket) => Tell { number, what: Told::Reply(ticket.wait()) },
            Self::Challenge(number, ticket) => Tell { number, what: Told::Challenge(ticket.wait()) },
            Self::Report(number, ticket) => Tell { number, what: Told::Report(ticket.wait()) },
            Self::Renewal(number, ticket) => Tell { number, what: Told::Renewal(ticket.wait()) },
            Self::Page(number, ticket) => Tell { number, what: Told::Page(ticket.wait()) },
        }
    }
}
