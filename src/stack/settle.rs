//! What an attach's answer means for what a stack believed (protocol.md R7, R12, R19).
#![forbid(unsafe_code)]

use super::Adopted;
use super::attach::Needs;
use super::core::{Core, Fetch, Health, List};
use super::hand::{Hand, Part};
use super::view::{View, local_of};
use crate::facility::Attached;
use crate::facility::Connection;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Grant;
use crate::structure::Membership;
use crate::structure::StopCause;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

impl Core {
    /// Takes an attach's answer as the truth (protocol.md R7, R12): a grant known and listed stays,
    /// one known and not listed is stopped, one listed that an outstanding request of the last
    /// incarnation got is taken up; any other is an earlier life's, and not handed out before the
    /// kernel's sockets were read.
    pub(super) fn settle(&mut self, connection: Connection, attached: &Attached, view: &View) -> Adopted {
        let last = std::mem::replace(&mut self.connection, connection).actor().incarnation;
        let asked = std::mem::take(&mut self.outstanding);
        self.health = Health::Active;
        self.stopped = attached.stopped;
        for membership in &attached.memberships {
            self.meet(membership, view);
        }
        self.sort_out(view);

        let mut adopted = Adopted { granting: attached.stopped, ..Adopted::default() };
        let listed = attached.grants.iter().map(|grant| (grant.lsn, grant)).collect();
        self.stop_unlisted(&listed, &mut adopted);
        self.leaving.attached(|lsn| listed.get(&lsn).map(|grant| (grant.member, grant.mask)));
        for grant in &attached.grants {
            self.take_in(grant, last, &asked, &mut adopted);
            self.freeze(grant);
        }
        // A list that is not among the memberships was left, or went with its last member.
        let joined: BTreeSet<Target> = attached.memberships.iter().map(|membership| membership.target).collect();
        self.lists.retain(|target, list| joined.contains(target) || list.hand.grant_count() > 0);
        for list in self.lists.values_mut() {
            list.fetch = Fetch::None;
            list.fetch_refused = false;
            list.leave = None;
        }
        self.send_releases();
        adopted
    }

    /// A grant without a request is one that the log had lost and this stack reported. Until the
    /// operator has spoken, its ports are used where they are used and handed out to nobody
    /// (protocol.md R19).
    fn freeze(&mut self, grant: &Grant) {
        let is_frozen = grant.number == 0 && self.stopped.is_some_and(StopCause::adopts);
        if let Some(list) = self.lists.get_mut(&grant.target) {
            list.hand.freeze(grant.lsn, is_frozen);
        }
    }

    /// Takes note of a membership. One that the profile does not need, because its last distribution
    /// went, is left again when nothing is held.
    pub(super) fn meet(&mut self, membership: &Membership, view: &View) {
        let Membership { member, target } = *membership;
        if target.transport() != Transport::Tcp {
            return;
        }
        let order = match target {
            Target::List(dvipa, _) => {
                let [high, low] = halves(dvipa.to_bytes());
                self.order.branch(high).branch(low)
            }
            Target::Pool(_) => self.order.branch(1),
        };
        let list = self.lists.entry(target).or_insert_with(|| List::new(member, Hand::new(order)));
        list.member = member;
        // A leave that was sent is over: this is a later join.
        list.leave = None;
        list.is_left = !Needs::has(&view.profile, target);
        list.hand.ports.set_closing(list.is_left);
    }

    /// What is held here and not listed is another's by now, or nobody's.
    fn stop_unlisted(&mut self, listed: &BTreeMap<Lsn, &Grant>, adopted: &mut Adopted) {
        for (target, list) in &mut self.lists {
            for grant in list.hand.grants() {
                let mask = listed.get(&grant).map_or(PortMask::NONE, |listed| listed.mask);
                let Some((lost, used)) = list.hand.cut(grant, mask) else { continue };
                if let Some(observer) = &self.observer {
                    observer.stopped(*target, lost.group, lost.grant, lost.mask);
                }
                adopted.stopped.extend(used.ports(lost.group).map(|port| (local_of(*target), port)));
            }
        }
    }

    fn take_in(&mut self, grant: &Grant, last: Incarnation, asked: &BTreeSet<u32>, adopted: &mut Adopted) {
        let Some(list) = self.lists.get_mut(&grant.target) else { return };
        // Where data was lost, what only the log names may be another's by now (protocol.md R19), and a
        // number that was used once may have been used again.
        let in_doubt = self.stopped.is_some_and(StopCause::adopts);
        let leaving = self.leaving.mask(grant.lsn);
        let held = list.hand.mask(grant.lsn).unwrap_or_default();
        if !held.or(leaving).is_empty() {
            // Ports of it that are in no hand were given back before, and go back again.
            let mask = grant.mask.without(held).without(leaving);
            if !mask.is_empty() {
                self.leaving.add(grant.target, grant.member, Part { group: grant.group, grant: grant.lsn, mask });
            }
        } else if !in_doubt && grant.lsn.0 > last.0 && asked.contains(&grant.number) {
            self.take_up(grant, PortMask::NONE);
        } else {
            self.put_in_hand(grant, PortMask::NONE, true);
            adopted.grants.push(*grant);
        }
    }
}

fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let number = u128::from_be_bytes(bytes);
    // Both halves fit by construction.
    [(number >> 64) as u64, number as u64]
}
