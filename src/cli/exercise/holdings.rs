//! What a caller knows of one of its connectors, learnt from answers alone.
#![forbid(unsafe_code)]

use super::universe::Known;
use crate::facility::Position;
use crate::ident::ConnectorName;
use crate::ident::Incarnation;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Actor;
use crate::structure::Answer;
use crate::structure::Body;
use crate::structure::Grant;
use crate::structure::Member;
use crate::structure::Membership;
use crate::structure::Refusal;
use crate::structure::ReportedGrant;
use crate::structure::Request;

/// One connector.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) name: ConnectorName,
    pub(crate) life: Life,
    pub(crate) memberships: Vec<Membership>,
    pub(crate) grants: Vec<Grant>,
    /// A grant that was given back whole: its token is stale.
    pub(crate) gone: Option<Grant>,
    /// Whether an allowable set was given in this life, by transport.
    pub(crate) has_set: [bool; 2],
    /// How far it has seen in this process; `None`: nothing yet.
    pub(crate) position: Option<Position>,
    /// Number of the next request.
    number: u32,
}

/// What a connector can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// The structure has none of that name: connect.
    Absent,
    /// It has one, and this caller is not attached to it: attach.
    Found(Incarnation),
    /// Attached.
    Active(Actor),
    /// Marked failed: attach again, or clean up.
    Failed(Incarnation),
    /// Another machine has this name: left alone.
    Foreign,
}

impl Own {
    pub(crate) fn new(known: Known) -> Self {
        let life = known.found.map_or(Life::Absent, |(incarnation, _)| Life::Found(incarnation));
        Self {
            name: known.name,
            life,
            memberships: Vec::new(),
            grants: Vec::new(),
            gone: None,
            has_set: [false; 2],
            position: None,
            number: 0,
        }
    }

    /// Notes how far an answer to the connector itself reaches.
    pub(crate) fn seen(&mut self, request: &Request, position: Position) {
        if matches!(request, Request::Connect(_) | Request::Attach(_) | Request::Stack { .. }) {
            self.position = Some(position);
        }
    }

    /// What it holds, for the report at an attach.
    pub(crate) fn reported(&self) -> impl Iterator<Item = ReportedGrant> {
        self.grants.iter().map(|grant| ReportedGrant {
            lsn: grant.lsn,
            target: grant.target,
            group: grant.group,
            mask: grant.mask,
        })
    }

    /// The incarnation that a line names.
    pub(crate) fn incarnation(&self) -> Option<Incarnation> {
        match self.life {
            Life::Absent | Life::Foreign => None,
            Life::Found(incarnation) | Life::Failed(incarnation) => Some(incarnation),
            Life::Active(actor) => Some(actor.incarnation),
        }
    }

    /// The next request of an attached connector: one is outstanding, so it is the lowest too.
    pub(crate) fn request(&mut self, actor: Actor, body: Body) -> Request {
        self.number += 1;
        Request::Stack { actor, number: self.number, lowest: self.number, body }
    }

    /// Which list a membership is of.
    pub(crate) fn target(&self, member: Member) -> Option<Target> {
        self.memberships.iter().find(|membership| membership.member == member).map(|membership| membership.target)
    }

    pub(crate) fn is_member(&self, target: Target) -> bool {
        self.memberships.iter().any(|membership| membership.target == target)
    }

    /// Learns from an answer.
    pub(crate) fn answered(&mut self, request: &Request, answer: &Answer) {
        match answer {
            Answer::Connected(actor) => {
                self.forget();
                self.life = Life::Active(*actor);
            }
            Answer::Attached { actor, memberships, grants, .. } => {
                self.forget();
                self.life = Life::Active(*actor);
                self.memberships.clone_from(memberships);
                self.grants.clone_from(grants);
            }
            Answer::Joined(membership) => {
                self.memberships.retain(|known| known.target != membership.target);
                self.memberships.push(*membership);
            }
            Answer::Granted(grants) => self.grants.extend(grants.iter().copied()),
            Answer::GrantedAndGone => {}
            Answer::Done => self.done(request),
        }
    }

    fn done(&mut self, request: &Request) {
        match request {
            Request::MarkFailed { incarnation, .. } => self.life = Life::Failed(*incarnation),
            Request::CleanUp { .. } => {
                self.forget();
                self.life = Life::Absent;
            }
            Request::Stack { body, .. } => match body {
                Body::Disconnect => {
                    self.forget();
                    self.life = Life::Absent;
                }
                Body::Leave { member } => self.left(*member),
                Body::Release { grant, mask, .. } => self.released(*grant, *mask),
                Body::SetAllowable { transport, .. } => self.has_set[transport.index()] = true,
                Body::Join { .. } | Body::Acquire { .. } | Body::Claim { .. } => {}
            },
            _ => {}
        }
    }

    /// Learns from a refusal: it may know better.
    pub(crate) fn refused(&mut self, request: &Request, refusal: &Refusal) {
        match (refusal, request) {
            (Refusal::ConnectorExists { incarnation, .. }, _) => self.life = Life::Found(*incarnation),
            (Refusal::OtherMachine { .. }, _) => self.life = Life::Foreign,
            (Refusal::UnknownConnector, _) => {
                self.forget();
                self.life = Life::Absent;
            }
            (Refusal::StaleIncarnation { current, .. }, _) => self.life = Life::Found(*current),
            (Refusal::MustAttach | Refusal::NumbersExhausted, _) => {
                self.life = self.incarnation().map_or(Life::Absent, Life::Found);
            }
            (Refusal::NoAllowableSet, _) => self.has_set = [false; 2],
            (
                Refusal::NotJoined,
                Request::Stack {
                    body:
                        Body::Leave { member }
                        | Body::Acquire { member, .. }
                        | Body::Claim { member, .. }
                        | Body::Release { member, .. },
                    ..
                },
            ) => self.left(*member),
            (Refusal::StaleToken { grant } | Refusal::NotOwner { grant }, _) => {
                self.grants.retain(|held| held.lsn != *grant);
            }
            _ => {}
        }
    }

    /// A new life knows nothing of the old one, and numbers its requests from 1.
    fn forget(&mut self) {
        self.memberships.clear();
        self.grants.clear();
        self.gone = None;
        self.has_set = [false; 2];
        self.number = 0;
    }

    fn left(&mut self, member: Member) {
        self.memberships.retain(|membership| membership.member != member);
        self.grants.retain(|grant| grant.member != member);
        self.gone = self.gone.filter(|grant| grant.member != member);
    }

    fn released(&mut self, lsn: crate::ident::Lsn, mask: PortMask) {
        if let Some(grant) = self.grants.iter_mut().find(|grant| grant.lsn == lsn) {
            let left = grant.mask.without(mask);
            if left.is_empty() {
                self.gone = Some(*grant);
            }
            grant.mask = left;
        }
        self.grants.retain(|grant| !grant.mask.is_empty());
    }

    /// The first transport without an allowable set in this life.
    pub(crate) fn transport_without_set(&self) -> Option<Transport> {
        Transport::ALL.into_iter().find(|transport| !self.has_set[transport.index()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::GroupNumber;
    use crate::ident::Lsn;

    const ACTOR: Actor = Actor { slot: 0, incarnation: Incarnation(5) };

    fn own() -> Own {
        Own::new(Known { name: ConnectorName::new("SYS1.TCPIP").expect("valid"), found: None })
    }

    fn attached() -> (Own, Grant) {
        let (member, target) = (Member { slot: 1, joined: Lsn(2) }, Target::Pool(Transport::Tcp));
        let group = GroupNumber::new(7).expect("a group");
        let grant = Grant { lsn: Lsn(3), member, target, group, mask: PortMask(0b11), number: 1 };
        let mut own = own();
        let request = Request::Define { target };
        let answer = Answer::Attached {
            actor: ACTOR,
            memberships: vec![Membership { member, target }],
            grants: vec![grant],
            stopped: None,
        };
        own.answered(&request, &answer);
        (own, grant)
    }

    #[test]
    fn a_grant_is_held_until_its_last_port_was_given_back() {
        let (mut own, grant) = attached();
        for (mask, left) in [(0b01, 1), (0b10, 0)] {
            let body =
                Body::Release { member: grant.member, group: grant.group, grant: grant.lsn, mask: PortMask(mask) };
            let request = own.request(ACTOR, body);
            own.answered(&request, &Answer::Done);
            assert_eq!(own.grants.len(), left);
        }
        assert_eq!(own.gone.map(|gone| gone.lsn), Some(grant.lsn));
    }

    #[test]
    fn what_an_attach_does_not_list_is_not_held() {
        let (mut own, _) = attached();
        let answer = Answer::Attached { actor: ACTOR, memberships: Vec::new(), grants: Vec::new(), stopped: None };
        own.answered(&Request::Define { target: Target::Pool(Transport::Tcp) }, &answer);
        assert!(own.grants.is_empty() && own.memberships.is_empty());
        let Request::Stack { number, lowest, .. } = own.request(ACTOR, Body::Disconnect) else {
            panic!("a stack's request")
        };
        assert_eq!((number, lowest), (1, 1), "a new incarnation numbers from 1");
    }

    #[test]
    fn a_refusal_that_knows_better_is_believed() {
        let (mut own, grant) = attached();
        let request = own.request(ACTOR, Body::Leave { member: grant.member });
        own.refused(&request, &Refusal::NotJoined);
        assert!(own.grants.is_empty());
        own.refused(&request, &Refusal::MustAttach);
        assert_eq!(own.life, Life::Found(Incarnation(5)));
        own.refused(&request, &Refusal::UnknownConnector);
        assert_eq!(own.life, Life::Absent);
    }
}
