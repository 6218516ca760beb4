//! Listens on one stack's connection and tells the checker what it means.
#![forbid(unsafe_code)]

use super::checker::{Checker, Seen, StackIndex};
use super::clock::Clock;
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
use crate::ident::Target;
use crate::structure::Actor;
use crate::structure::Answer;
use crate::structure::Body;
use crate::structure::Grant;
use crate::structure::Introduction;
use crate::structure::ReportedGrant;
use crate::structure::Request;
use parking_lot::Mutex;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// The checker and its clock: the time is taken with the lock held, so that calls come in order.
#[derive(Debug)]
pub(super) struct Witness {
    clock: Clock,
    checker: Mutex<Checker>,
}

impl Witness {
    pub(super) fn new(clock: Clock, quarantine_us: u64) -> Self {
        Self { clock, checker: Mutex::new(Checker::new(quarantine_us)) }
    }

    /// Calls the checker with the time.
    pub(super) fn tell<T>(&self, what: impl FnOnce(&mut Checker, u64) -> T) -> T {
        let mut checker = self.checker.lock();
        let now_us = self.clock.now_us();
        what(&mut checker, now_us)
    }
}

/// One stack's ear.
pub(super) struct Ear {
    pub(super) stack: StackIndex,
    pub(super) witness: Arc<Witness>,
}

impl Ear {
    /// A request is about to be sent.
    fn sending(&self, request: &Request) {
        let Request::Stack { body, .. } = request else { return };
        self.witness.tell(|checker, at_us| match body {
            Body::Release { grant, mask, .. } => checker.release_sent(at_us, self.stack, grant.0, mask.0),
            Body::Leave { member } => checker.leave_sent(at_us, self.stack, member.slot),
            Body::Disconnect => checker.disconnect_sent(at_us, self.stack),
            Body::Join { .. } | Body::Acquire { .. } | Body::Claim { .. } | Body::SetAllowable { .. } => {}
        });
    }

    /// A reply has arrived and is about to be handed over.
    fn arrived(&self, reply: &Reply) {
        self.witness.tell(|checker, at_us| match &reply.answer {
            Answer::Granted(grants) => grants.iter().for_each(|grant| checker.granted(at_us, self.stack, seen(grant))),
            Answer::Attached { grants, .. } => {
                let list: Vec<Seen> = grants.iter().map(seen).collect();
                checker.attached(at_us, self.stack, &list);
            }
            Answer::Connected(_) => checker.attached(at_us, self.stack, &[]),
            Answer::Done | Answer::Joined(_) | Answer::GrantedAndGone => {}
        });
    }
}

/// A facility on which an ear listens: it hears every request before it is sent, and every reply before
/// the stack has it. Once closed, neither hears anything more.
pub(super) struct Tapped<F> {
    facility: F,
    line: Arc<Line>,
}

struct Line {
    ear: Ear,
    is_open: Mutex<bool>,
}

/// Hands a reply over in the thread that brings it.
struct Hook {
    line: Arc<Line>,
    ticket: Ticket<Reply>,
    completer: Mutex<Option<Completer<Reply>>>,
}

impl<F: Facility> Tapped<F> {
    pub(super) fn new(facility: F, ear: Ear) -> Self {
        Self { facility, line: Arc::new(Line { ear, is_open: Mutex::new(true) }) }
    }

    /// From here on every request and every late answer is [`CallError::Gone`], and nothing is heard.
    pub(super) fn close(&self) {
        *self.line.is_open.lock() = false;
    }

    fn send(&self, request: Option<&Request>, send: impl FnOnce(&F) -> Ticket<Reply>) -> Ticket<Reply> {
        let is_open = self.line.is_open.lock();
        if !*is_open {
            return Ticket::ready(Err(CallError::Gone));
        }
        if let Some(request) = request {
            self.line.ear.sending(request);
        }
        drop(is_open);
        let (ticket, completer) = Ticket::pair();
        let line = Arc::clone(&self.line);
        let hook = Arc::new(Hook { line, ticket: send(&self.facility), completer: Mutex::new(Some(completer)) });
        let waker = Waker::from(Arc::clone(&hook));
        if let Poll::Ready(answer) = hook.ticket.poll_take(&mut Context::from_waker(&waker)) {
            hook.hand_over(answer);
        }
        ticket
    }
}

impl Hook {
    fn hand_over(&self, answer: Result<Reply, CallError>) {
        let Some(completer) = self.completer.lock().take() else { return };
        let is_open = self.line.is_open.lock();
        let heard = if *is_open { answer } else { Err(CallError::Gone) };
        if let Ok(reply) = &heard {
            self.line.ear.arrived(reply);
        }
        drop(is_open);
        completer.complete(heard);
    }
}

impl Wake for Hook {
    fn wake(self: Arc<Self>) {
        if let Some(answer) = self.ticket.try_take() {
            self.hand_over(answer);
        }
    }
}

impl<F: Facility> Facility for Tapped<F> {
    fn submit(&self, request: Request) -> Ticket<Reply> {
        self.send(Some(&request), |facility| facility.submit(request.clone()))
    }

    fn challenge(&self, name: &ConnectorName) -> Ticket<Challenge> {
        self.facility.challenge(name)
    }

    fn report(&self, name: &ConnectorName, challenge: Challenge, grants: Vec<ReportedGrant>) -> Ticket<()> {
        self.facility.report(name, challenge, grants)
    }

    fn attach(&self, attach: AttachRequest, presence: Presence) -> Ticket<Reply> {
        self.send(None, |facility| facility.attach(attach, presence))
    }

    fn connect(&self, introduction: Introduction, presence: Presence) -> Ticket<Reply> {
        self.send(None, |facility| facility.connect(introduction, presence))
    }

    fn resume(&self, resume: Request, presence: Presence) -> Ticket<Reply> {
        self.send(None, |facility| facility.resume(resume, presence))
    }

    fn renew(&self, actor: Actor, number: u64) -> Ticket<Renewal> {
        self.facility.renew(actor, number)
    }

    fn query(&self, query: Query) -> Ticket<Page> {
        self.facility.query(query)
    }
}

fn seen(grant: &Grant) -> Seen {
    Seen {
        token: grant.lsn.0,
        member: grant.member.slot,
        address: match grant.target {
            Target::List(dvipa, _) => dvipa.address(),
            Target::Pool(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        },
        first_port: grant.group.port_first(),
        mask: grant.mask.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facility::Receipt;
    use crate::ident::GroupNumber;
    use crate::ident::HistoryId;
    use crate::ident::Incarnation;
    use crate::ident::Lsn;
    use crate::ident::PortMask;
    use crate::ident::StoreUuid;
    use crate::ident::Transport;
    use crate::structure::Actor;
    use crate::structure::Member;

    /// Answers the request that was handed in last.
    #[derive(Default)]
    struct Far(Mutex<Vec<Completer<Reply>>>);

    impl Far {
        fn answer(&self, reply: &Reply) {
            self.0.lock().pop().unwrap().complete(Ok(reply.clone()));
        }
    }

    impl Facility for Arc<Far> {
        fn submit(&self, _: Request) -> Ticket<Reply> {
            let (ticket, completer) = Ticket::pair();
            self.0.lock().push(completer);
            ticket
        }

        fn challenge(&self, _: &ConnectorName) -> Ticket<Challenge> {
            Ticket::ready(Err(CallError::Gone))
        }

        fn report(&self, _: &ConnectorName, _: Challenge, _: Vec<ReportedGrant>) -> Ticket<()> {
            Ticket::ready(Err(CallError::Gone))
        }

        fn attach(&self, _: AttachRequest, _: Presence) -> Ticket<Reply> {
            Ticket::ready(Err(CallError::Gone))
        }

        fn connect(&self, _: Introduction, _: Presence) -> Ticket<Reply> {
            Ticket::ready(Err(CallError::Gone))
        }

        fn renew(&self, _: Actor, _: u64) -> Ticket<Renewal> {
            Ticket::ready(Err(CallError::Gone))
        }

        fn query(&self, _: Query) -> Ticket<Page> {
            Ticket::ready(Err(CallError::Gone))
        }
    }

    #[test]
    fn what_passes_on_two_connections_shows_a_double_grant() {
        let witness = Arc::new(Witness::new(Clock::start(), 3_000_000));
        let far = Arc::new(Far::default());
        let tap = |stack| Tapped::new(Arc::clone(&far), Ear { stack, witness: Arc::clone(&witness) });
        let member = Member { slot: 4, joined: Lsn(2) };
        let group = GroupNumber::new(700).unwrap();
        let target = Target::List("10.1.1.1".parse().unwrap(), Transport::Tcp);
        let granted = |lsn, mask| {
            let grant = Grant { lsn: Lsn(lsn), member, target, group, mask: PortMask(mask), number: 1 };
            let receipt = Receipt::default();
            Reply {
                store: StoreUuid(1),
                history: HistoryId(1),
                lsn: Lsn(lsn),
                receipt,
                answer: Answer::Granted(vec![grant]),
            }
        };
        let request = |body| {
            let actor = Actor { slot: 0, incarnation: Incarnation(1) };
            Request::Stack { actor, number: 1, lowest: 1, body }
        };
        let release = |mask| request(Body::Release { member, group, grant: Lsn(10), mask: PortMask(mask) });
        let acquire = || request(Body::Acquire { member, at_least: 1, at_most: 1 });
        let (zero, one) = (tap(0), tap(1));
        let answered = |tapped: &Tapped<Arc<Far>>, reply: &Reply| {
            let ticket = tapped.submit(acquire());
            assert_eq!(ticket.try_take(), None);
            far.answer(reply);
            assert_eq!(ticket.wait().as_ref(), Ok(reply));
        };
        answered(&zero, &granted(10, 0b111));
        drop(zero.submit(release(0b001)));
        answered(&one, &granted(11, 0b011));
        let findings = witness.tell(|checker, _| checker.findings().clone());
        assert_eq!((findings.overlaps, findings.early), (1, 1), "{findings:?}");
        assert!(findings.texts.iter().any(|text| text.contains("10.1.1.1:44801")), "{findings:?}");
    }

    #[test]
    fn once_closed_neither_the_stack_nor_the_checker_hears_a_late_answer() {
        let witness = Arc::new(Witness::new(Clock::start(), 3_000_000));
        let far = Arc::new(Far::default());
        let tapped = Tapped::new(Arc::clone(&far), Ear { stack: 0, witness: Arc::clone(&witness) });
        let ticket = tapped.submit(Request::EndQuarantine { list: 0 });
        tapped.close();
        let (store, history, receipt) = (StoreUuid(1), HistoryId(1), Receipt::default());
        far.answer(&Reply { store, history, lsn: Lsn(1), receipt, answer: Answer::Granted(vec![grant()]) });
        assert_eq!(ticket.wait(), Err(CallError::Gone));
        assert_eq!(tapped.submit(Request::EndQuarantine { list: 0 }).wait(), Err(CallError::Gone));
        assert_eq!(witness.tell(|checker, _| checker.looked_at()).0, 0);
    }

    fn grant() -> Grant {
        let member = Member { slot: 4, joined: Lsn(2) };
        let target = Target::List("10.1.1.1".parse().unwrap(), Transport::Tcp);
        Grant { lsn: Lsn(1), member, target, group: GroupNumber::new(700).unwrap(), mask: PortMask(1), number: 1 }
    }
}
