//! What a stack's numbered request would cause, or why not.
#![forbid(unsafe_code)]

use super::Context;
use super::Decision;
use super::Structure;
use super::choose;
use super::choose::Scene;
use super::choose::Wish;
use super::connector::Connector;
use super::decide::{MEMBERS_MAX, SETS_MAX};
use super::event::{Change, Event, Stamp};
use super::item::ConnectorState;
use super::list::Joined;
use super::refusal::{Operand, Refusal};
use super::request::{Actor, Body, Member};
use super::retry;
use crate::ident::GroupNumber;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;

/// Who asks, and which of its requests this is.
#[derive(Clone, Copy)]
pub(super) struct Numbered {
    pub(super) actor: Actor,
    pub(super) number: u32,
    pub(super) lowest: u32,
}

/// The events of one request, stamped as they are added.
struct Stamped<'a> {
    numbered: Numbered,
    hash: u64,
    first: bool,
    events: &'a mut Vec<Event>,
}

impl Stamped<'_> {
    fn push(&mut self, change: Change) {
        let number = self.numbered.number;
        let stamp = if std::mem::replace(&mut self.first, false) {
            let below = number - self.numbered.lowest;
            let below = u16::try_from(below).expect("a window is smaller than 2^16");
            Stamp::First { number, below, hash: self.hash }
        } else {
            Stamp::Next { number }
        };
        self.events.push(Event { stamp, change });
    }
}

impl Structure {
    pub(super) fn decide_stack(
        &self,
        numbered: &Numbered,
        body: &Body,
        context: &Context,
        events: &mut Vec<Event>,
    ) -> Result<Decision, Refusal> {
        let connector = self.acting(numbered.actor, context.open_first)?;
        if let Some(cause) = self.stop_cause().filter(|_| self.is_restored()) {
            return Err(Refusal::GrantsStopped { cause });
        }
        let hash = retry::body_hash(body);
        if let Some(repeat) = self.place_in_window(connector, numbered, hash)? {
            return Ok(repeat);
        }
        if let (Body::Acquire { .. } | Body::Claim { .. }, Some(cause)) = (body, self.stop_cause()) {
            return Err(Refusal::GrantsStopped { cause });
        }
        let slot = numbered.actor.slot;
        let mut events = Stamped { numbered: *numbered, hash, first: true, events };
        match body {
            Body::Join { target } => self.decide_join(slot, connector, *target, &mut events)?,
            Body::Leave { member } => {
                self.membership(slot, *member)?;
                events.push(Change::Left { member: member.slot });
            }
            Body::Acquire { member, at_least, at_most } => {
                if !(1..=*at_most).contains(at_least) || *at_most > GroupNumber::COUNT {
                    return Err(Refusal::OutOfRange { what: Operand::Groups });
                }
                let (joined, scene) = self.scene(slot, connector, *member)?;
                let wish = Wish {
                    at_least: *at_least,
                    at_most: *at_most,
                    last_group: joined.last_group,
                    held: joined.held,
                    random: context.random,
                    connector: slot,
                    boot_since: connector.boot_since,
                };
                choose::choose(&scene, &wish, |group, mask| {
                    events.push(Change::Granted { member: member.slot, group, mask });
                })?;
            }
            Body::Claim { member, port } => self.decide_claim(slot, connector, *member, *port, &mut events)?,
            Body::Release { member, group, grant, mask } => {
                self.may_release(slot, *member, *group, *grant, *mask)?;
                events.push(Change::Released { member: member.slot, group: *group, grant: *grant, mask: *mask });
            }
            Body::SetAllowable { transport, ports } => {
                self.decide_allowable(slot, connector, *transport, ports, &mut events)?;
            }
            Body::Disconnect => events.push(Change::Disconnected { connector: slot }),
        }
        Ok(Decision::NoEffect)
    }

    /// The connector that asks, if it may act: only its newest incarnation, only while it is
    /// active, and only after it attached in this open (protocol.md R11, R17).
    pub(super) fn acting(&self, actor: Actor, open_first: Lsn) -> Result<&Connector, Refusal> {
        let alive = |connector: &&Connector| connector.state != ConnectorState::Forgotten;
        let connector = self.connectors.get(actor.slot).filter(alive).ok_or(Refusal::UnknownConnector)?;
        let Incarnation(current) = connector.incarnation;
        if actor.incarnation.0 < current {
            return Err(Refusal::StaleIncarnation { asked: actor.incarnation, current: connector.incarnation });
        }
        let attached = actor.incarnation.0 == current && current >= open_first.0;
        if !attached || connector.state != ConnectorState::Active {
            return Err(Refusal::MustAttach);
        }
        Ok(connector)
    }

    /// `None` for a number never presented with effect; the earlier effect for a repeat.
    fn place_in_window(
        &self,
        connector: &Connector,
        numbered: &Numbered,
        hash: u64,
    ) -> Result<Option<Decision>, Refusal> {
        let Numbered { number, lowest, .. } = *numbered;
        let window = &connector.window;
        if lowest == 0 || lowest > number {
            return Err(Refusal::OutOfRange { what: Operand::Number });
        }
        if number == u32::MAX {
            return Err(Refusal::NumbersExhausted);
        }
        if number < window.lowest() {
            return Err(Refusal::AlreadyAnswered { number, lowest: window.lowest() });
        }
        if let Some(executed) = window.get(number) {
            if executed.hash != hash {
                return Err(Refusal::RequestIdReused { number });
            }
            return Ok(Some(Decision::Repeat { first: executed.first, count: executed.count.get() }));
        }
        let places = window.places_with(number, lowest);
        let places_all = self.window_places - window.places() + places;
        let numbers = u64::from(retry::WINDOW_NUMBERS_MAX);
        if number - lowest >= retry::WINDOW_NUMBERS_MAX || places > numbers || places_all > retry::WINDOW_PLACES_MAX {
            return Err(Refusal::Overloaded);
        }
        Ok(None)
    }

    /// The membership named, if it is the asker's and not over.
    fn membership(&self, connector: u32, member: Member) -> Result<&Joined, Refusal> {
        let joined = self.members.get(member.slot).ok_or(Refusal::NotJoined)?;
        if joined.joined != member.joined || joined.connector != connector {
            return Err(Refusal::NotJoined);
        }
        Ok(joined)
    }

    /// What a member may be given ports from.
    fn scene(&self, slot: u32, connector: &Connector, member: Member) -> Result<(&Joined, Scene<'_>), Refusal> {
        let joined = self.membership(slot, member)?;
        let list = &self.lists[joined.list];
        if !list.open {
            return Err(Refusal::Closed);
        }
        let transport = list.target.transport().index();
        let pool = self.pools[transport].as_deref();
        let (allowed, barred) = match list.target {
            Target::List(..) => {
                let set = connector.sets[transport].ok_or(Refusal::NoAllowableSet)?;
                (self.sets[set].view(), pool.map(|pool| pool.barred.view()))
            }
            Target::Pool(_) => {
                let pool = pool.expect("use is counted while the pool has a list");
                (pool.range.view(), Some(pool.used.view()))
            }
        };
        Ok((joined, Scene { list, holdings: &self.holdings, allowed, barred }))
    }

    fn decide_join(
        &self,
        slot: u32,
        connector: &Connector,
        target: Target,
        events: &mut Stamped<'_>,
    ) -> Result<(), Refusal> {
        let list = match self.by_target.get(&target) {
            Some(list) if !self.lists[*list].open => return Err(Refusal::Closed),
            Some(list) if connector.members.contains_key(list) => return Ok(()),
            Some(list) => *list,
            None => self.new_list(0)?,
        };
        let member = self.members.next_free();
        if member >= MEMBERS_MAX {
            return Err(Refusal::TooMany { what: Operand::Members });
        }
        events.push(Change::Joined { connector: slot, list, member, target });
        Ok(())
    }

    fn decide_claim(
        &self,
        slot: u32,
        connector: &Connector,
        member: Member,
        port: u16,
        events: &mut Stamped<'_>,
    ) -> Result<(), Refusal> {
        if port == 0 {
            return Err(Refusal::OutOfRange { what: Operand::Port });
        }
        let (joined, scene) = self.scene(slot, connector, member)?;
        let (group, mask) = (GroupNumber::of_port(port), PortMask::of_port(port));
        if scene.allowable(group) & mask.0 == 0 {
            return Err(Refusal::PortExcluded { port });
        }
        let masks = self.holdings.masks(scene.list, group);
        if masks.held & mask.0 != 0 {
            let holder = self.holdings.grants(scene.list, group).find(|held| held.mask & mask.0 != 0);
            let grant = holder.expect("a held port has a grant").lsn;
            return Err(Refusal::PortHeld { port, grant });
        }
        if masks.quarantined & mask.0 != 0 {
            let resting = scene.list.queue.iter().find(|rest| rest.group == group && rest.mask & mask.0 != 0);
            let resting = resting.expect("a port in quarantine has a place in the queue");
            if (resting.connector, resting.boot_since) != (slot, connector.boot_since) {
                return Err(Refusal::PortQuarantined { port, since: resting.lsn });
            }
        }
        let quota = scene.list.policy.quota;
        if quota != 0 && joined.held >= quota {
            return Err(Refusal::QuotaExceeded { held: joined.held, quota });
        }
        events.push(Change::Granted { member: member.slot, group, mask });
        Ok(())
    }

    /// protocol.md R9: a release must name connector, incarnation, token, and ports of that token.
    fn may_release(
        &self,
        slot: u32,
        member: Member,
        group: GroupNumber,
        grant: Lsn,
        mask: PortMask,
    ) -> Result<(), Refusal> {
        let joined = self.membership(slot, member)?;
        if mask.is_empty() {
            return Err(Refusal::OutOfRange { what: Operand::Mask });
        }
        let mut grants = self.holdings.grants(&self.lists[joined.list], group);
        let held = grants.find(|held| held.lsn == grant).ok_or(Refusal::StaleToken { grant })?;
        if held.member != member.slot {
            return Err(Refusal::NotOwner { grant });
        }
        if held.mask & mask.0 != mask.0 {
            return Err(Refusal::StaleToken { grant });
        }
        Ok(())
    }

    fn decide_allowable(
        &self,
        slot: u32,
        connector: &Connector,
        transport: Transport,
        ports: &PortSet,
        events: &mut Stamped<'_>,
    ) -> Result<(), Refusal> {
        let mut ports = ports.clone();
        if ports.contains(0) {
            ports.remove_range(0, 0);
        }
        let stored = self.by_content.get(&retry::content_digest(ports.words())).copied();
        let set = match stored {
            Some(set) if connector.sets[transport.index()] == Some(set) => return Ok(()),
            Some(set) => set,
            None => {
                let set = self.sets.next_free();
                if set >= SETS_MAX {
                    return Err(Refusal::TooMany { what: Operand::Sets });
                }
                events.push(Change::SetStored { connector: slot, set, ports });
                set
            }
        };
        events.push(Change::AllowableSet { connector: slot, transport, set });
        Ok(())
    }
}
