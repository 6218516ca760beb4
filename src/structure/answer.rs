//! What a request is answered, once its events were applied.
#![forbid(unsafe_code)]

use super::Decision;
use super::Structure;
use super::holdings::Held;
use super::request::{Actor, Answer, Body, Grant, Member, Membership, Request};
use crate::ident::ConnectorName;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use std::ops::Range;

impl Structure {
    /// The answer to a request that was not refused, to be made right after its events were applied
    /// under lsns `first` to `first + count - 1`. For [`Decision::Repeat`] the decision's own lsns
    /// count instead, and without an effect none do.
    #[must_use]
    pub fn answer(&self, request: &Request, decision: &Decision, first: Lsn, count: u32) -> Answer {
        let (first, count) = match decision {
            Decision::Effect => (first, count),
            Decision::NoEffect => (first, 0),
            Decision::Repeat { first, count } => (*first, *count),
        };
        match request {
            Request::Connect(introduction) => self.named(&introduction.name).map_or(Answer::Done, Answer::Connected),
            Request::Attach(introduction) => self.attached(&introduction.name),
            Request::Resume { name, .. } => self.attached(name),
            Request::Stack { actor, body: Body::Join { target }, .. } => {
                let member = self.member(actor.slot, *target);
                let same = |member: &Member| !matches!(decision, Decision::Repeat { .. }) || member.joined == first;
                let membership = |member| Answer::Joined(Membership { member, target: *target });
                member.filter(same).map_or(Answer::Done, membership)
            }
            Request::Stack { body: Body::Acquire { member, .. } | Body::Claim { member, .. }, number, .. } => {
                let grants = self.grants_made(*member, *number, first.0..first.0 + u64::from(count));
                if grants.is_empty() { Answer::GrantedAndGone } else { Answer::Granted(grants) }
            }
            _ => Answer::Done,
        }
    }

    fn named(&self, name: &ConnectorName) -> Option<Actor> {
        let slot = *self.by_name.get(name)?;
        Some(Actor { slot, incarnation: self.connectors[slot].incarnation })
    }

    /// Everything there is for a connector (protocol.md R7).
    fn attached(&self, name: &ConnectorName) -> Answer {
        let Some(actor) = self.named(name) else { return Answer::Done };
        let (mut memberships, mut grants) = (Vec::new(), Vec::new());
        for (list, slot) in &self.connectors[actor.slot].members {
            let joined = self.members[*slot];
            let (member, target) = (Member { slot: *slot, joined: joined.joined }, self.lists[*list].target);
            memberships.push(Membership { member, target });
            if joined.held > 0 {
                let held = self.holdings.grants_of(&self.lists[*list]).filter(|held| held.member == *slot);
                grants.extend(held.map(|held| grant(held, member, target)));
            }
        }
        Answer::Attached { actor, memberships, grants, stopped: self.stop_cause() }
    }

    /// The grants that this request made under these lsns and that the membership still holds. An
    /// adopted one may have the same token, and no request.
    fn grants_made(&self, member: Member, number: u32, lsns: Range<u64>) -> Vec<Grant> {
        let joined = self.members.get(member.slot).filter(|joined| joined.joined == member.joined);
        let Some(joined) = joined else { return Vec::new() };
        let list = &self.lists[joined.list];
        let is_made = |held: &&Held| held.member == member.slot && held.number == number;
        let mut grants = Vec::new();
        for lsn in lsns.clone() {
            let place = self.latest[usize::try_from(lsn % self.latest.len() as u64).expect("below a length")];
            let held = self.holdings.numbered(place, Lsn(lsn)).filter(is_made);
            grants.extend(held.map(|held| grant(held, member, list.target)));
        }
        if grants.len() as u64 == lsns.end - lsns.start {
            return grants;
        }
        let held = self.holdings.grants_of(list);
        let held = held.filter(|held| is_made(held) && lsns.contains(&held.lsn.0));
        let mut grants: Vec<Grant> = held.map(|held| grant(held, member, list.target)).collect();
        grants.sort_by_key(|grant| grant.lsn);
        grants
    }
}

fn grant(held: &Held, member: Member, target: Target) -> Grant {
    let Held { lsn, mask, group, number, .. } = *held;
    Grant { lsn, member, target, group, mask: PortMask(mask), number }
}
