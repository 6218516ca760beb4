//! Follows one port through the log: from each grant to its end. What the log does not tell is said
//! to be unknown, never guessed.
#![forbid(unsafe_code)]

use super::hold::End;
use super::hold::Hold;
use super::hold::Holder;
use super::hold::MaybeEnded;
use super::hold::Moment;
use super::hold::Way;
use super::kept::Kept;
use super::start::Base;
use super::start::PortThen;
use crate::cli::log::Names;
use crate::cli::log::Placed;
use crate::ident::GroupNumber;
use crate::ident::HistoryId;
use crate::ident::Identity;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::ident::WallMs;
use crate::structure::Change;
use crate::structure::StopCause;
use crate::wal::FrameInfo;
use std::collections::BTreeSet;

/// What is known of the port at the place reached.
#[derive(Clone, Debug)]
pub(super) enum Port {
    Free,
    Held(Box<Hold>),
    /// Given back; in quarantine as far as is known.
    Resting(Box<Hold>),
    /// Not known since that record (`None`: since the log begins); the last record that may have
    /// changed it.
    Unknown {
        since: Option<Moment>,
        doubt: Option<Moment>,
    },
}

/// From when until when it is not known whether the port was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// `None`: since the log begins.
    pub(super) from: Option<Moment>,
    pub(super) until: Moment,
}

/// Records that were lost: what happened meanwhile is not in this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) cause: StopCause,
    pub(super) after: Option<Moment>,
    pub(super) until: Moment,
}

/// Most stretches of either kind that are kept, the newest ones.
pub(super) const STRETCHES_MAX: usize = 1_000;

/// One port of one list, as far as the log was read.
pub(super) struct Tracker {
    target: Target,
    group: GroupNumber,
    bit: PortMask,
    base: Option<Base>,
    names: Names,
    /// Connectors whose creation is in the part that was read.
    connected: BTreeSet<u32>,
    /// Whether every number that was in use at the beginning has its name.
    is_complete: bool,
    /// Whether what comes is behind all that is asked for.
    pub(super) is_done: bool,
    pub(super) port: Port,
    pub(super) kept: Kept,
    pub(super) unknown: Vec<Unknown>,
    pub(super) lost: Vec<Lost>,
    /// Whether the target had a list.
    pub(super) has_list: bool,
    pub(super) first: Option<Moment>,
    pub(super) last: Option<Moment>,
    pub(super) clock: Clock,
}

/// The times of the frames read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    pub(super) history: Option<HistoryId>,
    /// The last record of the history before.
    before: Option<Moment>,
    pub(super) wall: WallMs,
    /// The boot clock at the first frame that has this wall time, ms.
    pub(super) since_ms: u64,
}

impl Tracker {
    /// For a log that begins above `begin`.
    #[cfg(test)]
    pub(super) fn new(target: Target, port: u16, begin: Lsn, base: Option<Base>, kept: Kept) -> Self {
        Self::knowing(target, port, begin, base, None, kept)
    }

    /// For a log that begins above `begin`; `known` = who every number was then, if that is known.
    pub(super) fn knowing(
        target: Target,
        port: u16,
        begin: Lsn,
        base: Option<Base>,
        known: Option<Names>,
        kept: Kept,
    ) -> Self {
        let start = if begin == Lsn::ZERO { Port::Free } else { Port::Unknown { since: None, doubt: None } };
        let is_complete = known.is_some();
        let names = known.or_else(|| base.as_ref().map(|base| base.steady.clone())).unwrap_or_default();
        let has_list = names.targets().any(|of| of == target);
        let mut tracker = Self {
            target,
            group: GroupNumber::of_port(port),
            bit: PortMask::of_port(port),
            base: None,
            has_list,
            names,
            connected: BTreeSet::new(),
            is_complete,
            is_done: false,
            port: start,
            kept,
            unknown: Vec::new(),
            lost: Vec::new(),
            first: None,
            last: None,
            clock: Clock::default(),
        };
        let Some(base) = base else { return tracker };
        if let PortThen::Held { member, grant, mask, is_steady: true } = base.port {
            tracker.port = Port::Held(Box::new(tracker.hold_before(member, grant, mask)));
        }
        let is_exact = base.lsn <= begin;
        tracker.base = Some(base);
        if is_exact {
            tracker.reach_base();
        }
        tracker
    }

    /// Takes the next record.
    pub(super) fn see(&mut self, placed: &Placed<'_>) {
        let now = self.moment(placed.frame, placed.lsn);
        if self.is_done {
            return self.see_lost(&placed.event.change, now);
        }
        if self.base.as_ref().is_some_and(|base| placed.lsn > base.lsn) {
            self.reach_base();
        }
        let (asked, bit) = (self.group, self.bit);
        let names_port = move |group: GroupNumber, mask: PortMask| group == asked && mask.contains(bit);
        match &placed.event.change {
            Change::Granted { member, group, mask } if names_port(*group, *mask) => {
                self.made(*member, placed.lsn, *mask, false, now);
            }
            Change::Adopted { member, group, mask, grant } if names_port(*group, *mask) => {
                self.made(*member, *grant, *mask, true, now);
            }
            Change::Released { member, group, grant, mask } if names_port(*group, *mask) => {
                self.given_back(*member, *grant, *mask, Way::Released, now);
            }
            Change::Revoked { member, group, grant, mask } if names_port(*group, *mask) => {
                self.given_back(*member, *grant, *mask, Way::Revoked, now);
            }
            Change::Left { member } => match &self.port {
                Port::Held(hold) if hold.member == Some(*member) => self.went_on_to(Way::Left, now),
                _ if self.names.member(*member).is_none() => self.doubt(now),
                _ => {}
            },
            Change::Disconnected { connector } => self.gone(*connector, Way::Disconnected, now),
            Change::CleanedUp { connector, by, boot_is_dead, .. } => {
                self.gone(*connector, Way::CleanedUp { by: by.clone(), boot_is_dead: *boot_is_dead }, now);
            }
            Change::Attached { connector, identity, .. } => self.attached(*connector, identity, now),
            Change::Failed { connector, by } => {
                if let Port::Held(hold) = &mut self.port
                    && hold.holder.slot == *connector
                {
                    hold.failed = Some((now, by.clone()));
                }
            }
            Change::Ready { list, up_to } => {
                let is_over = |hold: &Hold| hold.until.as_ref().is_some_and(|end| end.at.lsn <= *up_to);
                if let Port::Resting(hold) = &self.port
                    && self.names.list(*list) == Some(self.target)
                    && is_over(hold)
                {
                    self.rested(now);
                }
            }
            Change::Connected { connector, .. } => drop(self.connected.insert(*connector)),
            Change::Defined { target, .. } => self.has_list |= *target == self.target,
            Change::Joined { member, target, .. } => {
                self.has_list |= *target == self.target;
                // Its number is free again, so the membership is over.
                if let Port::Held(hold) = &self.port
                    && hold.member == Some(*member)
                {
                    self.had_ended();
                }
            }
            change => self.see_lost(change, now),
        }
        self.names.learn(placed.lsn, placed.event);
    }

    fn see_lost(&mut self, change: &Change, now: Moment) {
        if let Change::Stopped { cause, .. } = change
            && cause.adopts()
        {
            self.lost.push(Lost { cause: *cause, after: self.clock.before, until: now });
            keep_newest(&mut self.lost);
        }
    }

    /// The log ends here: what the port is now.
    pub(super) fn finish(&mut self) -> Port {
        self.reach_base();
        if let Port::Held(hold) = &self.port
            && let Some(maybe) = hold.maybe
        {
            self.ended_unsure(maybe.first, maybe.last);
        }
        let port = std::mem::replace(&mut self.port, Port::Free);
        match &port {
            Port::Held(hold) | Port::Resting(hold) => self.kept.keep((**hold).clone()),
            Port::Unknown { .. } => {
                let until = self.last.unwrap_or(Moment::not_kept(Lsn::ZERO));
                self.not_known(&port, Some(until));
            }
            Port::Free => {}
        }
        port
    }

    /// What was the port's state when the older checkpoint was made is known: names too.
    fn reach_base(&mut self) {
        let Some(base) = self.base.take() else { return };
        let named = |slot: u32| base.names.connector(slot).filter(|_| !self.connected.contains(&slot));
        for hold in self.kept.all_mut().chain(self.port.hold_mut()) {
            if hold.holder.name.is_none() {
                hold.holder.name = named(hold.holder.slot).map(|(name, _)| name.clone());
            }
        }
        self.has_list |= base.names.targets().any(|of| of == self.target);
        self.names.complete(base.names);
        if let (Port::Held(hold), PortThen::Held { grant, .. }) = (&mut self.port, base.port)
            && hold.grant == Some(grant)
        {
            hold.go_on();
            return;
        }
        self.had_ended();
        if !matches!(self.port, Port::Unknown { .. }) {
            return;
        }
        let before = std::mem::replace(&mut self.port, Port::Free);
        self.not_known(&before, None);
        self.port = match base.port {
            PortThen::Free => Port::Free,
            PortThen::Held { member, grant, mask, .. } => Port::Held(Box::new(self.hold_before(member, grant, mask))),
            PortThen::Quarantined { connector, since } => {
                let holder = self.holder(connector);
                let until = End { at: Moment::not_kept(since), way: Way::NotKept };
                Port::Resting(Box::new(Hold { until: Some(until), ..self.bare(holder) }))
            }
        };
    }

    /// A hold whose beginning is no longer in the log.
    fn hold_before(&self, member: u32, grant: Lsn, mask: PortMask) -> Hold {
        let slot = self.names.member(member).map_or(u32::MAX, |(connector, _)| connector);
        let holder = self.holder(slot);
        let from = Some(Moment::not_kept(grant));
        Hold { member: Some(member), grant: Some(grant), mask, from, ..self.bare(holder) }
    }

    fn bare(&self, holder: Holder) -> Hold {
        Hold {
            newest: holder.incarnation,
            holder,
            member: None,
            grant: None,
            group: self.group,
            mask: self.bit,
            adopted: false,
            from: None,
            failed: None,
            maybe: None,
            until: None,
            ready: None,
        }
    }

    fn holder(&self, slot: u32) -> Holder {
        let named = self.names.connector(slot);
        Holder {
            slot,
            name: named.map(|(name, _)| name.clone()),
            incarnation: named.map(|(_, incarnation)| incarnation).filter(|lsn| *lsn != Lsn::ZERO),
            identity: self.names.identity(slot),
        }
    }

    /// Whether a membership is of the list; `None` if that is no longer in the log.
    fn is_ours(&self, member: u32) -> Option<bool> {
        let (_, list) = self.names.member(member)?;
        Some(self.names.list(list)? == self.target)
    }

    fn made(&mut self, member: u32, grant: Lsn, mask: PortMask, adopted: bool, now: Moment) {
        match self.is_ours(member) {
            Some(true) => {}
            Some(false) => return,
            None => return self.made_by_nobody_known(now),
        }
        self.had_ended();
        let before = std::mem::replace(&mut self.port, Port::Free);
        match before {
            Port::Free => {}
            Port::Unknown { .. } => self.not_known(&before, None),
            Port::Resting(mut hold) => {
                hold.ready = Some(now);
                self.kept.keep(*hold);
            }
            // Its token is of a history that was lost: it was adopted later, and is no hold from before.
            Port::Held(_) => {}
        }
        let slot = self.names.member(member).map_or(u32::MAX, |(connector, _)| connector);
        let bare = self.bare(self.holder(slot));
        let hold = Hold { member: Some(member), grant: Some(grant), mask, adopted, from: Some(now), ..bare };
        self.port = Port::Held(Box::new(hold));
    }

    /// A grant of this port in some list. While the port is held it was another list's.
    fn made_by_nobody_known(&mut self, now: Moment) {
        match &self.port {
            Port::Held(_) | Port::Unknown { .. } => self.doubt(now),
            Port::Free | Port::Resting(_) => {
                let unknown = Port::Unknown { since: Some(now), doubt: Some(now) };
                if let Port::Resting(hold) = std::mem::replace(&mut self.port, unknown) {
                    self.kept.keep(*hold);
                }
            }
        }
    }

    fn given_back(&mut self, member: u32, grant: Lsn, mask: PortMask, way: Way, now: Moment) {
        match (&self.port, self.is_ours(member)) {
            (Port::Held(hold), Some(true)) if hold.grant == Some(grant) => self.went_on_to(way, now),
            // It was held all the time since a grant that is no longer in the log.
            (Port::Unknown { .. }, Some(true)) => {
                let hold = self.hold_before(member, grant, mask);
                self.port = Port::Held(Box::new(hold));
                self.end(way, now);
            }
            (_, None) => self.doubt(now),
            _ => {}
        }
    }

    /// A connector was forgotten, and all that it held went to quarantine.
    fn gone(&mut self, connector: u32, way: Way, now: Moment) {
        match &self.port {
            Port::Held(hold) if hold.holder.slot == connector => match hold.maybe {
                None => self.end(way, now),
                Some(maybe) => self.ended_unsure(maybe.first, now),
            },
            _ if !self.connected.contains(&connector) => self.doubt(now),
            _ => {}
        }
    }

    fn attached(&mut self, connector: u32, identity: &Identity, now: Moment) {
        let is_same_boot =
            self.names.identity(connector).map(|was| (was.machine, was.boot) == (identity.machine, identity.boot));
        match (&mut self.port, is_same_boot) {
            (Port::Held(hold), Some(true)) if hold.holder.slot == connector => {
                (hold.newest, hold.failed) = (Some(now.lsn), None);
            }
            (Port::Held(hold), Some(false)) if hold.holder.slot == connector => self.end(Way::BootChanged, now),
            (Port::Held(hold), None) if hold.holder.slot == connector => {
                let first = hold.maybe.map_or(now, |maybe| maybe.first);
                hold.maybe = Some(MaybeEnded { first, last: now, attached: now.lsn });
                hold.failed = None;
            }
            (_, None) => self.doubt(now),
            _ => {}
        }
    }

    /// It ends in a way that only a hold has: so no attach before had ended it.
    fn went_on_to(&mut self, way: Way, at: Moment) {
        if let Port::Held(hold) = &mut self.port {
            hold.go_on();
        }
        self.end(way, at);
    }

    /// A hold that an attach may have ended turns out not to be there any more.
    fn had_ended(&mut self) {
        let Port::Held(hold) = &self.port else { return };
        match hold.maybe {
            Some(maybe) if maybe.first == maybe.last => self.end(Way::BootChanged, maybe.first),
            Some(maybe) => self.ended_unsure(maybe.first, maybe.last),
            None => {}
        }
    }

    /// It ended at `first` or later; nothing is known of the port from then on.
    fn ended_unsure(&mut self, first: Moment, last: Moment) {
        self.end(Way::Unsure, first);
        let unknown = Port::Unknown { since: Some(first), doubt: Some(last) };
        if let Port::Resting(hold) = std::mem::replace(&mut self.port, unknown) {
            self.kept.keep(*hold);
        }
    }

    fn end(&mut self, way: Way, at: Moment) {
        if let Port::Held(mut hold) = std::mem::replace(&mut self.port, Port::Free) {
            hold.until = Some(End { at, way });
            self.port = Port::Resting(hold);
        }
    }

    fn rested(&mut self, at: Moment) {
        if let Port::Resting(mut hold) = std::mem::replace(&mut self.port, Port::Free) {
            hold.ready = Some(at);
            self.kept.keep(*hold);
        }
    }

    /// Somebody whom the log does not name may have got the port, or given it back.
    fn doubt(&mut self, now: Moment) {
        if self.is_complete {
            return;
        }
        match &mut self.port {
            Port::Unknown { doubt, .. } => *doubt = Some(now),
            // If it ended there, somebody else may have had the port since.
            Port::Held(hold) => hold.maybe = hold.maybe.map(|maybe| MaybeEnded { last: now, ..maybe }),
            Port::Free | Port::Resting(_) => {}
        }
    }

    /// Notes a stretch that is over, up to the last record that may have changed the port.
    fn not_known(&mut self, port: &Port, until: Option<Moment>) {
        if let Port::Unknown { since, doubt } = port
            && let Some(until) = until.or(*doubt)
        {
            self.unknown.push(Unknown { from: *since, until });
            keep_newest(&mut self.unknown);
        }
    }

    pub(super) fn moment(&mut self, frame: &FrameInfo, lsn: Lsn) -> Moment {
        let is_new_history = self.clock.history != Some(frame.history);
        if is_new_history {
            (self.clock.history, self.clock.before) = (Some(frame.history), self.last);
        }
        // The boot clock of another history may be of another boot.
        if is_new_history || self.clock.wall != frame.wall {
            (self.clock.wall, self.clock.since_ms) = (frame.wall, frame.boot.0);
        }
        let stood_ms = frame.boot.0.saturating_sub(self.clock.since_ms);
        let moment = Moment { lsn, wall: Some(frame.wall), stood_ms };
        self.first.get_or_insert(moment);
        self.last = Some(moment);
        moment
    }

    /// Whether somebody whom the log does not name may have held the port after a hold that ended: its
    /// quarantine is not the last one then.
    pub(super) fn is_unsure_after(&self, hold: &Hold) -> bool {
        let Some(end) = &hold.until else { return false };
        self.unknown.iter().any(|unknown| unknown.from.is_some_and(|from| from.lsn >= end.at.lsn))
    }

    /// What lists the log names: for the nearest name.
    pub(super) fn targets(&self) -> impl Iterator<Item = Target> + '_ {
        self.names.targets()
    }
}

fn keep_newest<T>(stretches: &mut Vec<T>) {
    if stretches.len() > STRETCHES_MAX {
        stretches.remove(0);
    }
}
