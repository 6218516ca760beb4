//! Granting stopped in the plain structure, and requests about it at random.

use super::Pair;
use super::change::new_list;
use super::plain::{LISTS, POOL, PORT_FIRST, PORTS, Plain, Port, STACKS, Verdict};
use super::{name, target};
use portplex::ident::{ConnectorName, GroupNumber, HistoryId, Lsn, PortMask};
use portplex::structure::{Member, ReportedGrant, Request, StopCause};
use std::collections::BTreeSet;

/// That granting is stopped.
#[derive(Clone, Debug)]
pub(super) struct Stopped {
    pub(super) cause: StopCause,
    since: u64,
    from: u64,
    pub(super) highest: u64,
    adopted: u32,
}

/// What a membership is until its number is known.
const UNNUMBERED: Member = Member { slot: u32::MAX, joined: Lsn::ZERO };

impl Plain {
    pub(super) fn cause(&self) -> Option<StopCause> {
        self.stop.as_ref().map(|stop| stop.cause)
    }

    pub(super) fn is_restored(&self) -> bool {
        self.cause() == Some(StopCause::Restored)
    }

    /// What must come of a request about a stop.
    pub(super) fn stop_verdict(&self, request: &Request) -> Verdict {
        let unknown = |name: &ConnectorName| self.by_name(name.as_str()).is_none();
        let effect = |has: bool| if has { Verdict::Change } else { Verdict::Nothing };
        match request {
            Request::Stop { name: Some(name), .. } | Request::Adopt { name, .. } if unknown(name) => {
                Verdict::Refused("unknown-connector")
            }
            Request::Stop { cause, name, lsn, .. } => match &self.stop {
                None => Verdict::Change,
                Some(stop) => {
                    let anew = *cause > stop.cause || (*cause == StopCause::Restored && name.is_none());
                    effect(anew || lsn.0 > stop.highest)
                }
            },
            Request::Adopt { name, grants } => effect(self.clone().adopt(name, grants) > 0),
            Request::ResumeGrants { by, adopt_reported } => self.resume_verdict(by.is_none(), *adopt_reported),
            _ => unreachable!("not about a stop"),
        }
    }

    fn resume_verdict(&self, alone: bool, adopt_reported: bool) -> Verdict {
        let Some(stop) = &self.stop else { return Verdict::Nothing };
        if stop.cause == StopCause::PowerLoss {
            return Verdict::Change;
        }
        if alone {
            return Verdict::Refused("grants-stopped");
        }
        if stop.adopted > 0 && !adopt_reported {
            return Verdict::Refused("adopted-pending");
        }
        if stop.cause == StopCause::Restored {
            let start = if stop.since >= self.floor.0 { stop.from } else { self.floor.1 };
            let drift = if self.stacks.iter().flatten().count() > 0 { 100 } else { 0 };
            let set = self.lists.iter().flatten().map(|list| u64::from(list.policy.quarantine_ms));
            if self.now < start + drift + set.max().unwrap_or(0).max(self.quarantine_ms) {
                return Verdict::Refused("too-early");
            }
        }
        let restored = stop.cause == StopCause::Restored;
        let from = if restored { stop.since } else { stop.since.min(self.open_first) };
        if self.stacks.iter().flatten().any(|stack| stack.incarnation < from) {
            return Verdict::Refused("not-all-attached");
        }
        Verdict::Change
    }

    /// Changes what a request about a stop changes.
    pub(super) fn change_stop(&mut self, request: &Request, first: u64) {
        match request {
            Request::Stop { cause, name, lsn, .. } => {
                let fresh = Stopped { cause: *cause, since: first, from: self.now, highest: lsn.0, adopted: 0 };
                let before = self.stop.take();
                let (highest, adopted) = before.as_ref().map_or((0, 0), |stop| (stop.highest, stop.adopted));
                let kept =
                    before.filter(|stop| *cause <= stop.cause && (*cause != StopCause::Restored || name.is_some()));
                let stop = kept.unwrap_or(fresh);
                self.stop = Some(Stopped { highest: highest.max(lsn.0), adopted, ..stop });
            }
            Request::Adopt { name, grants } => drop(self.adopt(name, grants)),
            Request::ResumeGrants { .. } => self.stop = None,
            _ => unreachable!("not about a stop"),
        }
    }

    /// Adopts port by port; how many ports.
    fn adopt(&mut self, name: &ConnectorName, grants: &[ReportedGrant]) -> u32 {
        if self.cause().is_none_or(|cause| cause == StopCause::PowerLoss) {
            return 0;
        }
        let (place, _) = self.by_name(name.as_str()).expect("known");
        let (before, mut seen, mut all) = (self.clone(), BTreeSet::new(), 0);
        for grant in grants {
            let list = (0..LISTS).find(|list| target(*list) == grant.target).expect("a list");
            if !seen.insert((list, grant.group, grant.lsn)) || before.has_token(list, grant.group, grant.lsn.0) {
                continue;
            }
            let ports = grant.mask.ports(grant.group).map(|port| usize::from(port - PORT_FIRST));
            let taken: Vec<usize> = ports.filter(|port| self.may_adopt(&before, list, *port, grant.lsn.0)).collect();
            if taken.is_empty() {
                continue;
            }
            let there = self.lists[list].get_or_insert_with(new_list);
            for port in &taken {
                there.ports[*port] = Port::Held { stack: place, token: grant.lsn.0 };
            }
            self.stacks[place].as_mut().expect("known").joined[list].get_or_insert(UNNUMBERED);
            self.adopted.insert((list, grant.group, grant.lsn.0));
            let (count, stop) = (u32::try_from(taken.len()).expect("64"), self.stop.as_mut().expect("stopped"));
            stop.highest = stop.highest.max(grant.lsn.0);
            stop.adopted += count;
            all += count;
        }
        all
    }

    /// Whether a token of a port's group is one that was adopted.
    pub(super) fn was_adopted(&self, place: usize, token: u64) -> bool {
        let group = GroupNumber::of_port(PORT_FIRST + u16::try_from(place).expect("192 ports"));
        (0..LISTS).any(|list| self.adopted.contains(&(list, group, token)))
    }

    fn may_adopt(&self, before: &Self, list: usize, port: usize, token: u64) -> bool {
        let beside = if list == POOL { 0..POOL } else { POOL..LISTS };
        if beside.into_iter().any(|other| self.in_use(other, port)) {
            return false;
        }
        let of = |plain: &Self| plain.lists[list].as_ref().map_or(Port::Free, |list| list.ports[port]);
        match of(self) {
            Port::Free | Port::Resting { .. } => true,
            // Never what an earlier grant of the same report took.
            Port::Held { token: held, .. } => of(before) == of(self) && held < token,
        }
    }

    fn has_token(&self, list: usize, group: GroupNumber, wanted: u64) -> bool {
        let start = usize::from(group.port_first() - PORT_FIRST);
        let is_held = |port: &Port| matches!(port, Port::Held { token, .. } if *token == wanted);
        self.lists[list].as_ref().is_some_and(|list| list.ports[start..start + 64].iter().any(is_held))
    }
}

impl Pair {
    /// Now and then an open that notes a stop.
    pub(super) fn invent_stop(&mut self, cause: StopCause) -> Request {
        if cause == StopCause::DataLost {
            let name = Some(name(self.below(STACKS)));
            let lsn = Lsn(self.lsn + self.below(30) as u64);
            return Request::Stop { cause, name, history: HistoryId(1), lsn };
        }
        self.plain.open_first = self.lsn + 1;
        Request::Stop { cause, name: None, history: HistoryId(0), lsn: Lsn::ZERO }
    }

    /// While granting is stopped, often a report, or a try to let it go on.
    pub(super) fn invent_while_stopped(&mut self, stack: usize) -> Option<Request> {
        let cause = self.plain.cause()?;
        if cause == StopCause::Restored {
            self.plain.now += 400;
        }
        match self.below(8) {
            0 => {
                let by = if self.below(4) > 0 { Some(name(stack)) } else { None };
                Some(Request::ResumeGrants { by, adopt_reported: self.below(3) > 0 })
            }
            1 | 2 => {
                let grants = (0..1 + self.below(4)).map(|_| self.invent_reported()).collect();
                Some(Request::Adopt { name: name(stack), grants })
            }
            _ => None,
        }
    }

    fn invent_reported(&mut self) -> ReportedGrant {
        let list = self.below(LISTS);
        let group = u16::try_from(self.below(PORTS / 64)).expect("few");
        let group = GroupNumber::of_port(PORT_FIRST + 64 * group);
        let lsn = match self.below(3) {
            0 => 1 + self.below(usize::try_from(self.lsn).expect("small")) as u64,
            _ => self.lsn + self.below(30) as u64,
        };
        let mask = PortMask(if self.below(2) == 0 { self.next() & self.next() } else { u64::MAX });
        ReportedGrant { lsn: Lsn(lsn), target: target(list), group, mask }
    }

    /// The numbers of memberships that an adoption made.
    pub(super) fn number_members(&mut self) {
        for stack in self.plain.stacks.iter_mut().flatten() {
            for (list, joined) in stack.joined.iter_mut().enumerate() {
                if *joined == Some(UNNUMBERED) {
                    *joined = self.real.member(stack.slot, target(list));
                    self.members.push((list, joined.expect("an adoption joins")));
                }
            }
        }
    }
}
