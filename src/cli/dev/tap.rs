//! Listens on one stack's connection and tells the checker what it means.
#![forbid(unsafe_code)]

use super::checker::{Checker, Seen, StackIndex};
use super::client::Observer;
use super::clock::Clock;
use crate::facility::Reply;
use crate::ident::Target;
use crate::structure::Answer;
use crate::structure::Body;
use crate::structure::Grant;
use crate::structure::Request;
use parking_lot::Mutex;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

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
pub(super) struct Tap {
    pub(super) stack: StackIndex,
    pub(super) witness: Arc<Witness>,
}

impl Observer for Tap {
    fn sending(&self, request: &Request) {
        let Request::Stack { body, .. } = request else { return };
        self.witness.tell(|checker, at_us| match body {
            Body::Release { grant, mask, .. } => checker.release_sent(at_us, self.stack, grant.0, mask.0),
            Body::Leave { member } => checker.leave_sent(at_us, self.stack, member.slot),
            Body::Disconnect => checker.disconnect_sent(at_us, self.stack),
            Body::Join { .. } | Body::Acquire { .. } | Body::Claim { .. } | Body::SetAllowable { .. } => {}
        });
    }

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

    #[test]
    fn what_passes_on_two_connections_shows_a_double_grant() {
        let witness = Arc::new(Witness::new(Clock::start(), 3_000_000));
        let tap = |stack| Tap { stack, witness: Arc::clone(&witness) };
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
        let release = |mask| {
            let body = Body::Release { member, group, grant: Lsn(10), mask: PortMask(mask) };
            let actor = Actor { slot: 0, incarnation: Incarnation(1) };
            Request::Stack { actor, number: 1, lowest: 1, body }
        };
        tap(0).arrived(&granted(10, 0b111));
        tap(0).sending(&release(0b001));
        tap(1).arrived(&granted(11, 0b011));
        let findings = witness.tell(|checker, _| checker.findings().clone());
        assert_eq!((findings.overlaps, findings.early), (1, 1), "{findings:?}");
        assert!(findings.texts.iter().any(|text| text.contains("10.1.1.1:44801")), "{findings:?}");
    }
}
