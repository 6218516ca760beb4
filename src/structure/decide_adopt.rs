//! What becomes of grants that a stack reports and the log has lost (protocol.md R19).
//!
//! Ports free or in quarantine become the reporter's, under the old token. Ports held under a lower
//! lsn too, by another or by the reporter itself: the younger grant proves that the older one had
//! ended. Ports held under a higher lsn, or in use on the other side of the explicit-bind pool, are
//! left out, and the reporter stops what is left out.
#![forbid(unsafe_code)]

use super::Structure;
use super::decide::MEMBERS_MAX;
use super::event::{Change, Event, Stamp};
use super::refusal::{Operand, Refusal};
use super::standing::ReportedGrant;
use super::stop::LSN_NAMED_MAX;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::ident::Transport;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What one request adopts: its changes, and what they take.
#[derive(Default)]
struct Adoption {
    /// Memberships to make first: list and member slots by target.
    joins: BTreeMap<Target, (u32, u32)>,
    /// Slots of lists to make.
    lists_new: u32,
    changes: Vec<Change>,
    ports: BTreeMap<(Target, GroupNumber), u64>,
    tokens: BTreeSet<(Target, GroupNumber, Lsn)>,
}

impl Structure {
    pub(super) fn decide_adopt(
        &self,
        name: &ConnectorName,
        grants: &[ReportedGrant],
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        let slot = *self.by_name.get(name).ok_or(Refusal::UnknownConnector)?;
        if !self.adopts() {
            return Ok(());
        }
        let mut adoption = Adoption::default();
        for reported in grants {
            self.adopt(slot, reported, &mut adoption)?;
        }
        let mut joins: Vec<_> = adoption.joins.into_iter().collect();
        // Slots are taken in ascending order, as they were given.
        joins.sort_unstable_by_key(|(_, (_, member))| *member);
        let joined = joins.into_iter().map(|(target, (list, member))| {
            let connector = slot;
            Change::Joined { connector, list, member, target }
        });
        let changes = joined.chain(adoption.changes);
        events.extend(changes.map(|change| Event { stamp: Stamp::None, change }));
        Ok(())
    }

    fn adopt(&self, slot: u32, reported: &ReportedGrant, adoption: &mut Adoption) -> Result<(), Refusal> {
        let ReportedGrant { lsn, target, group, .. } = *reported;
        if lsn == Lsn::ZERO || lsn >= LSN_NAMED_MAX || !adoption.tokens.insert((target, group, lsn)) {
            return Ok(());
        }
        let mut mask = reported.mask.0 & !adoption.in_use(target, group) & !self.in_use_beside(target, group);
        if group.port_first() == 0 {
            mask &= !1;
        }
        let mut revoked = Vec::new();
        for held in
            self.by_target.get(&target).into_iter().flat_map(|list| self.holdings.grants(&self.lists[*list], group))
        {
            if held.lsn == lsn {
                return Ok(());
            }
            let both = held.mask & mask;
            // An older grant of the reporter's own was given back in what the log lost, too.
            if held.lsn > lsn {
                mask &= !both;
            } else if both != 0 {
                let (member, grant, mask) = (held.member, held.lsn, PortMask(both));
                revoked.push(Change::Revoked { member, group, grant, mask });
            }
        }
        if mask == 0 {
            return Ok(());
        }
        let member = self.member_for_adoption(slot, target, adoption)?;
        *adoption.ports.entry((target, group)).or_default() |= mask;
        adoption.changes.append(&mut revoked);
        adoption.changes.push(Change::Adopted { member, group, mask: PortMask(mask), grant: lsn });
        Ok(())
    }

    /// The membership that adopts: the present one, or one that this request makes.
    fn member_for_adoption(&self, slot: u32, target: Target, adoption: &mut Adoption) -> Result<u32, Refusal> {
        let known = self.by_target.get(&target).copied();
        if let Some(member) = known.and_then(|list| self.connectors[slot].members.get(&list)) {
            return Ok(*member);
        }
        if let Some((_, member)) = adoption.joins.get(&target) {
            return Ok(*member);
        }
        let member = self.members.nth_free(u32::try_from(adoption.joins.len()).expect("few lists"));
        if member >= MEMBERS_MAX {
            return Err(Refusal::TooMany { what: Operand::Members });
        }
        let list = match known {
            Some(list) => list,
            None => {
                adoption.lists_new += 1;
                self.new_list(adoption.lists_new - 1)?
            }
        };
        adoption.joins.insert(target, (list, member));
        Ok(member)
    }

    /// Ports that a list may not have because they are in use between the explicit-bind pool and a
    /// list of the same transport (invariant 8).
    pub(super) fn in_use_beside(&self, target: Target, group: GroupNumber) -> u64 {
        let transport = target.transport();
        let in_use = |list: u32| !self.holdings.masks(&self.lists[list], group).free();
        match (target, self.pools[transport.index()].as_deref()) {
            (Target::Pool(_), Some(pool)) => pool.used.mask(group),
            (Target::Pool(_), None) => {
                let lists = self.by_target.iter().filter(|(other, _)| is_list_of(**other, transport));
                lists.fold(0, |used, (_, list)| used | in_use(*list))
            }
            (Target::List(..), _) => self.by_target.get(&Target::Pool(transport)).map_or(0, |pool| in_use(*pool)),
        }
    }
}

impl Adoption {
    /// Ports of a target's group that earlier grants of the same request take.
    fn in_use(&self, target: Target, group: GroupNumber) -> u64 {
        let taken = self.ports.iter().filter(|((other, of), _)| *of == group && clash(*other, target));
        taken.fold(0, |taken, (_, mask)| taken | mask)
    }
}

fn is_list_of(target: Target, transport: Transport) -> bool {
    matches!(target, Target::List(..)) && target.transport() == transport
}

/// Whether a port may not be in use in both.
fn clash(one: Target, other: Target) -> bool {
    let across = matches!(one, Target::Pool(_)) != matches!(other, Target::Pool(_));
    one == other || (across && one.transport() == other.transport())
}
