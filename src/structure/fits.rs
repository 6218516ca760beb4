//! Whether an event can be applied: for recovery, where events come from bytes and not from a
//! decision. An impossible event in a frame whose checksum holds is an error, never a panic.
#![forbid(unsafe_code)]

use super::Structure;
use super::connector::Connector;
use super::decide::{CONNECTORS_MAX, LISTS_MAX, MEMBERS_MAX, SETS_MAX};
use super::event::{Change, Event, Stamp};
use super::item::ConnectorState;
use super::list::Joined;
use super::refusal::Operand;
use super::request::PortRange;
use super::retry;
use super::stop::LSN_NAMED_MAX;
use super::stop::StopCause;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;

/// Why an event cannot be applied to a structure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// Lsns only grow.
    #[error("lsn {found} is not above {last}, the last one applied")]
    LsnNotAbove {
        /// The last one applied.
        last: Lsn,
        /// The event's.
        found: Lsn,
    },
    /// A number that names nothing.
    #[error("the event names slot {slot} of the {what}, where nothing is")]
    NoSuch {
        /// What of.
        what: Operand,
        /// The slot.
        slot: u32,
    },
    /// A number that is taken, or that could not have been the next one.
    #[error("the event uses slot {slot} of the {what}, which cannot be used")]
    SlotUnusable {
        /// What of.
        what: Operand,
        /// The slot.
        slot: u32,
    },
    /// What the event names is not as it must be for such an event.
    #[error("what the event names of the {what}, slot {slot}, is not in a state for it")]
    WrongState {
        /// What of.
        what: Operand,
        /// The slot.
        slot: u32,
    },
    /// Ports granted that were not free.
    #[error("the event grants ports {mask:#018x} of group {group}, which are not free")]
    PortsNotFree {
        /// The group.
        group: GroupNumber,
        /// Those that are not free.
        mask: u64,
    },
    /// Ports given back that were not held under that token.
    #[error("the event gives back ports of group {group} that grant {grant} has not")]
    PortsNotHeld {
        /// The group.
        group: GroupNumber,
        /// The token.
        grant: Lsn,
    },
    /// An operand outside its documented range.
    #[error("the event's {what} is out of range")]
    OutOfRange {
        /// Which.
        what: Operand,
    },
    /// An event that cannot happen while granting is stopped, or only then.
    #[error("the event does not fit a structure that {}", told(*stopped))]
    Stop {
        /// Why granting is stopped, if it is.
        stopped: Option<StopCause>,
    },
    /// The request number does not fit the connector's window.
    #[error("request number {number} does not fit the connector's window")]
    Stamp {
        /// The number; 0 if there was none.
        number: u32,
    },
}

fn told(stopped: Option<StopCause>) -> &'static str {
    match stopped {
        None => "grants",
        Some(StopCause::PowerLoss) => "does not grant, after a power loss",
        Some(StopCause::DataLost) => "does not grant, data being lost",
        Some(StopCause::Restored) => "does not grant, being restored",
    }
}

impl Structure {
    /// Whether [`apply`](Self::apply) can take this event at this lsn.
    ///
    /// # Errors
    /// [`Misfit`] says what is impossible about it.
    pub fn fits(&self, lsn: Lsn, event: &Event) -> Result<(), Misfit> {
        if lsn <= self.lsn {
            return Err(Misfit::LsnNotAbove { last: self.lsn, found: lsn });
        }
        self.stop_fits(lsn, event)?;
        self.change_fits(event)?;
        self.stamp_fits(lsn, event)
    }

    fn change_fits(&self, event: &Event) -> Result<(), Misfit> {
        match &event.change {
            Change::Connected { connector, name, .. } => {
                let taken = self.by_name.contains_key(name) || !self.connectors.can_take(*connector);
                slot_usable(Operand::Connectors, *connector, !taken && *connector < CONNECTORS_MAX)
            }
            Change::Attached { connector, identity, .. } => {
                let known = self.known(*connector)?;
                let other = known.identity.machine != identity.machine;
                let must_stay = other && (known.state == ConnectorState::Active || known.held > 0);
                in_state(Operand::Connectors, *connector, !must_stay)
            }
            Change::Disconnected { connector } => self.active(*connector).map(|_| ()),
            Change::Failed { connector, .. } => self.active(*connector).map(|_| ()),
            Change::CleanedUp { connector, .. } => {
                let failed = self.known(*connector)?.state == ConnectorState::FailedPersistent;
                in_state(Operand::Connectors, *connector, failed)
            }
            Change::Defined { list, target } => self.list_fits(*list, *target),
            Change::Deleted { list } => {
                let open = self.list_there(*list)?.open;
                in_state(Operand::Lists, *list, open)
            }
            Change::Joined { connector, list, member, target } => {
                let adopts = event.stamp == Stamp::None;
                let known = if adopts { self.known(*connector)? } else { self.active(*connector)? };
                self.list_fits(*list, *target)?;
                let open = adopts || self.lists.get(*list).is_none_or(|list| list.open);
                in_state(Operand::Lists, *list, open && !known.members.contains_key(list))?;
                let usable = self.members.can_take(*member) && *member < MEMBERS_MAX;
                slot_usable(Operand::Members, *member, usable)
            }
            Change::Left { member } => self.acting_member(*member).map(|_| ()),
            Change::Granted { member, group, mask } => self.grant_fits(*member, *group, *mask),
            Change::Released { member, group, grant, mask } => {
                self.acting_member(*member)?;
                self.hold_fits(*member, *group, *grant, *mask)
            }
            Change::Revoked { member, group, grant, mask } => self.hold_fits(*member, *group, *grant, *mask),
            Change::Adopted { member, group, mask, grant } => self.adoption_fits(*member, *group, *mask, *grant),
            Change::Ready { list, up_to } => {
                let front = self.list_there(*list)?.queue.front();
                in_state(Operand::Lists, *list, front.is_some_and(|front| front.lsn <= *up_to))
            }
            Change::SetStored { connector, set, ports } => {
                self.active(*connector)?;
                let known = self.by_content.contains_key(&retry::content_digest(ports.words()));
                in_state(Operand::Sets, *set, !known && !ports.contains(0))?;
                slot_usable(Operand::Sets, *set, self.sets.can_take(*set) && *set < SETS_MAX)
            }
            Change::AllowableSet { connector, set, .. } => {
                self.active(*connector)?;
                self.sets.get(*set).map(|_| ()).ok_or(Misfit::NoSuch { what: Operand::Sets, slot: *set })
            }
            Change::PolicySet { list, policy } => {
                self.list_there(*list)?;
                in_range(Operand::Policy, policy.is_valid())
            }
            Change::RangeSet { range, .. } => in_range(Operand::Range, range.is_none_or(PortRange::is_valid)),
            Change::Stopped { connector, lsn, .. } => {
                connector.map_or(Ok(()), |connector| self.known(connector).map(|_| ()))?;
                in_range(Operand::Lsn, *lsn < LSN_NAMED_MAX)
            }
            Change::Resumed { .. } => Ok(()),
        }
    }

    /// Ports granted must be free, or in quarantine after the same stack under the same boot; and
    /// never in use between the explicit-bind pool and a list (invariant 8).
    fn grant_fits(&self, member: u32, group: GroupNumber, mask: PortMask) -> Result<(), Misfit> {
        let joined = self.acting_member(member)?;
        let list = &self.lists[joined.list];
        in_state(Operand::Lists, joined.list, list.open)?;
        in_range(Operand::Mask, !mask.is_empty())?;
        let masks = self.holdings.masks(list, group);
        let mut taken = masks.held;
        if masks.quarantined & mask.0 != 0 {
            let boot_since = self.connectors[joined.connector].boot_since;
            let foreign = list.queue.iter().filter(|rest| {
                rest.group == group && (rest.connector, rest.boot_since) != (joined.connector, boot_since)
            });
            taken |= foreign.fold(0, |taken, rest| taken | rest.mask);
        }
        taken |= self.in_use_beside(list.target, group);
        if taken & mask.0 == 0 { Ok(()) } else { Err(Misfit::PortsNotFree { group, mask: taken & mask.0 }) }
    }

    /// Ports adopted must not be held, nor in use on the other side of the explicit-bind pool; and
    /// their token must be new to the group.
    fn adoption_fits(&self, member: u32, group: GroupNumber, mask: PortMask, grant: Lsn) -> Result<(), Misfit> {
        let joined = self.members.get(member).ok_or(Misfit::NoSuch { what: Operand::Members, slot: member })?;
        let list = &self.lists[joined.list];
        let port_zero = group.port_first() == 0 && mask.0 & 1 == 1;
        in_range(Operand::Mask, !mask.is_empty() && !port_zero)?;
        let known = self.holdings.grants(list, group).any(|held| held.lsn == grant);
        in_range(Operand::Lsn, Lsn::ZERO < grant && grant < LSN_NAMED_MAX && !known)?;
        let taken = self.holdings.masks(list, group).held | self.in_use_beside(list.target, group);
        if taken & mask.0 == 0 { Ok(()) } else { Err(Misfit::PortsNotFree { group, mask: taken & mask.0 }) }
    }

    fn hold_fits(&self, member: u32, group: GroupNumber, grant: Lsn, mask: PortMask) -> Result<(), Misfit> {
        let joined = self.members.get(member).ok_or(Misfit::NoSuch { what: Operand::Members, slot: member })?;
        let mut grants = self.holdings.grants(&self.lists[joined.list], group);
        match grants.find(|held| held.lsn == grant && held.member == member) {
            Some(held) if !mask.is_empty() && held.mask & mask.0 == mask.0 => Ok(()),
            _ => Err(Misfit::PortsNotHeld { group, grant }),
        }
    }

    /// What may happen while granting is stopped, and what only then (protocol.md R18, R19).
    fn stop_fits(&self, lsn: Lsn, event: &Event) -> Result<(), Misfit> {
        let fits = match &event.change {
            Change::Revoked { .. } | Change::Adopted { .. } => self.adopts(),
            Change::Joined { .. } if event.stamp == Stamp::None => self.adopts(),
            Change::Resumed { by } => {
                self.stop.is_some_and(|stop| lsn > stop.highest && (by.is_some() || !stop.cause.adopts()))
            }
            Change::Connected { .. }
            | Change::Attached { .. }
            | Change::Failed { .. }
            | Change::CleanedUp { .. }
            | Change::Stopped { .. } => true,
            Change::Granted { .. } => self.stop.is_none(),
            _ => !self.is_restored(),
        };
        if fits { Ok(()) } else { Err(Misfit::Stop { stopped: self.stop_cause() }) }
    }

    /// A change that stacks ask for carries their request number, any other carries none.
    fn stamp_fits(&self, lsn: Lsn, event: &Event) -> Result<(), Misfit> {
        let slot = self.stack_of(event);
        let window = slot.and_then(|slot| self.connectors.get(slot)).map(|connector| &connector.window);
        let (number, fits) = match (event.stamp, window) {
            (Stamp::None, window) => (0, window.is_none()),
            (Stamp::First { number, below, .. }, Some(window)) => {
                let ordered = u32::from(below) < number && number != u32::MAX;
                let small = u32::from(below) < retry::WINDOW_NUMBERS_MAX;
                let is_new = number >= window.lowest() && window.get(number).is_none();
                let fits = ordered && small && is_new && {
                    let places = window.places_with(number, number - u32::from(below));
                    places <= u64::from(retry::WINDOW_NUMBERS_MAX)
                };
                (number, fits)
            }
            (Stamp::Next { number }, Some(window)) => {
                let executed = window.get(number);
                let next = executed.map(|executed| executed.first.0.checked_add(u64::from(executed.count.get())));
                (number, next == Some(Some(lsn.0)))
            }
            (Stamp::First { number, .. } | Stamp::Next { number }, None) => (number, false),
        };
        if fits { Ok(()) } else { Err(Misfit::Stamp { number }) }
    }

    /// A connector that is not forgotten.
    fn known(&self, slot: u32) -> Result<&Connector, Misfit> {
        let known = self.connectors.get(slot).filter(|known| known.state != ConnectorState::Forgotten);
        known.ok_or(Misfit::NoSuch { what: Operand::Connectors, slot })
    }

    fn active(&self, slot: u32) -> Result<&Connector, Misfit> {
        let known = self.known(slot)?;
        in_state(Operand::Connectors, slot, known.state == ConnectorState::Active)?;
        Ok(known)
    }

    fn acting_member(&self, slot: u32) -> Result<&Joined, Misfit> {
        let joined = self.members.get(slot).ok_or(Misfit::NoSuch { what: Operand::Members, slot })?;
        self.active(joined.connector)?;
        Ok(joined)
    }

    fn list_there(&self, slot: u32) -> Result<&super::list::List, Misfit> {
        self.lists.get(slot).ok_or(Misfit::NoSuch { what: Operand::Lists, slot })
    }

    /// A slot may be named for a target if it is that target's, or free when there is none.
    fn list_fits(&self, slot: u32, target: Target) -> Result<(), Misfit> {
        let usable = match self.by_target.get(&target) {
            Some(list) => *list == slot,
            None => self.lists.can_take(slot) && slot < LISTS_MAX,
        };
        slot_usable(Operand::Lists, slot, usable)
    }
}

fn slot_usable(what: Operand, slot: u32, usable: bool) -> Result<(), Misfit> {
    if usable { Ok(()) } else { Err(Misfit::SlotUnusable { what, slot }) }
}

fn in_state(what: Operand, slot: u32, fits: bool) -> Result<(), Misfit> {
    if fits { Ok(()) } else { Err(Misfit::WrongState { what, slot }) }
}

fn in_range(what: Operand, fits: bool) -> Result<(), Misfit> {
    if fits { Ok(()) } else { Err(Misfit::OutOfRange { what }) }
}
