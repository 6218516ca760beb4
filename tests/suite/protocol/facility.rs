//! The facility's part of a step: what it takes from the network, opens, restores and lets expire.
//!
//! Challenges, leases and the list of histories are small models of `facility/admission.rs`,
//! `deadlines.rs` and `histories.rs`; what is granted, kept and refused is the real structure's word.

use super::Protocol;
use super::facts::Facts;
use super::operation::Operation;
use super::operation::Reply;
use super::rules::Off;
use super::store::NodeId;
use super::store::When;
use super::world::Ask;
use super::world::Copy;
use super::world::Grant;
use super::world::Lease;
use super::world::Message;
use super::world::Outcome;
use super::world::PROMISE_MS;
use super::world::Process;
use super::world::Session;
use super::world::Span;
use super::world::Violation;
use super::world::World;
use portplex::ident::Lsn;
use portplex::structure::{Refusal, StopCause, with_drift};

impl World {
    pub(super) fn facts(&self, protocol: &Protocol) -> Facts {
        protocol.store().facts(self.facility.node).clone()
    }

    fn facility_clock(&self) -> u64 {
        self.clock() + self.facility.ahead
    }

    pub(super) fn history(&self) -> u8 {
        self.facility.histories.last().expect("an open history").id
    }

    /// One operation of the facility, in one frame.
    pub(super) fn operate(&mut self, protocol: &Protocol, operation: Operation, deadline: Option<u64>) -> Reply {
        let scene = &protocol.scene;
        let when = When {
            now: self.facility_clock(),
            open_first: self.facility.open_first,
            floor: self.facility.floor,
            next_lsn: self.facility.next_lsn,
            deadline,
            has_quarantine: !scene.is_off(Off::R22Quarantine),
        };
        let node = self.facility.node;
        let act = operation.clone();
        let made = protocol.store().run(node, operation, when, |work| act.act(scene, work));
        if made.node != node {
            self.facility.next_lsn = made.next_lsn;
            self.facility.node = made.node;
            if !scene.is_off(Off::R15Durable) {
                self.facility.durable = made.node;
            }
            if self.left.tails > 0 {
                self.facility.before = node;
            }
        }
        made.value
    }

    pub(super) fn facility_takes(&mut self, protocol: &Protocol, message: Message) {
        match message {
            Message::Attach { from, serial, connects, challenge, position, report } => {
                let name = protocol.name_of(from);
                let good = self.facility.challenges[usize::from(name)];
                let is_good = challenge != 0 && challenge == good;
                if !connects && !is_good && !protocol.scene.is_off(Off::R4Challenge) {
                    return;
                }
                let histories = self.facility.histories.clone();
                let operation = Operation::Attach { from, connects, position, report, histories };
                let reply = self.operate(protocol, operation, None);
                self.facility.challenges[usize::from(name)] = 0;
                let Reply::Attached { slot, incarnation, member, grants, adopts } = reply else { return };
                self.start_lease(protocol, name, incarnation);
                let session = Session { history: self.history(), incarnation, slot, member };
                let lsn = self.facts(protocol).lsn;
                self.send(Message::Attached { to: from, serial, session, lsn, grants, adopts });
            }
            Message::Request { from, session, number, lowest, ask } => {
                let outcome = self.answer_request(protocol, from, session, number, lowest, ask);
                let lsn = self.facts(protocol).lsn;
                self.send(Message::Answer { to: from, session, number, lsn, outcome });
            }
            Message::Renew { from, session, serial } => {
                if !self.is_of_this_history(protocol, session) {
                    return;
                }
                let Reply::Done = self.operate(protocol, Operation::Renew { session }, None) else { return };
                let (name, until) = (protocol.name_of(from), self.facility_clock() + with_drift(PROMISE_MS));
                let lease = self.facility.leases[usize::from(name)].as_mut();
                if let Some(lease) = lease.filter(|lease| lease.incarnation == session.incarnation) {
                    lease.until = until;
                    self.send(Message::Renewed { to: from, session, serial });
                }
            }
            Message::CleanUp { name, incarnation, boot_is_dead } => {
                let _ = self.clean_up(protocol, name, incarnation, boot_is_dead);
            }
            Message::Attached { .. } | Message::Answer { .. } | Message::Renewed { .. } => {
                unreachable!("not for the facility")
            }
        }
        self.drop_undeliverable();
    }

    fn is_of_this_history(&self, protocol: &Protocol, session: Session) -> bool {
        let lax = protocol.scene.is_off(Off::R17History) || protocol.scene.is_off(Off::R17Attach);
        lax || session.history == self.history()
    }

    fn start_lease(&mut self, protocol: &Protocol, name: u8, incarnation: u64) {
        let now = self.facility_clock();
        let lease = Lease { incarnation, until: now + with_drift(PROMISE_MS), attached: now };
        self.facility.leases[usize::from(name)] = protocol.scene.promises.then_some(lease);
    }

    fn answer_request(
        &mut self,
        protocol: &Protocol,
        from: Process,
        session: Session,
        number: u32,
        lowest: u32,
        ask: Ask,
    ) -> Outcome {
        if !self.is_of_this_history(protocol, session) {
            return Outcome::MustAttach;
        }
        let reply = self.operate(protocol, Operation::Ask { session, number, lowest, ask }, None);
        match reply {
            Reply::Granted { grants, is_fresh } => {
                if let (true, Ask::Acquire { intent }) = (is_fresh, ask) {
                    self.note_granted(protocol, from, intent);
                    if protocol.scene.is_off(Off::R13StillHeld) {
                        self.facility.made.push((session.incarnation, number, grants.clone()));
                    }
                }
                Outcome::Granted(grants)
            }
            Reply::GrantedAndGone | Reply::Refused(Refusal::AlreadyAnswered { .. }) => {
                let made = self.facility.made.iter();
                let mut made = made.filter(|(of, which, _)| (*of, *which) == (session.incarnation, number));
                made.next().map_or(Outcome::GrantedAndGone, |(_, _, grants)| Outcome::Granted(grants.clone()))
            }
            Reply::Released(freed) => {
                self.look_at_freed(&freed);
                Outcome::Done
            }
            Reply::Refused(Refusal::MustAttach | Refusal::StaleIncarnation { .. } | Refusal::UnknownConnector) => {
                Outcome::MustAttach
            }
            Reply::Refused(_) => Outcome::Refused,
            Reply::Nothing | Reply::Done | Reply::Attached { .. } => Outcome::Done,
        }
    }

    /// S4: what was wanted once is granted once.
    fn note_granted(&mut self, protocol: &Protocol, from: Process, intent: u8) {
        // Which intents matter is only told while something may be asked twice.
        let may_repeat = protocol.scene.budget.retries + protocol.scene.budget.doubles + protocol.scene.budget.attaches;
        if may_repeat == 0 {
            return;
        }
        match self.granted.binary_search(&(from, intent)) {
            Ok(_) => {
                self.violation.get_or_insert(Violation::SecondGrant);
            }
            Err(place) => self.granted.insert(place, (from, intent)),
        }
    }

    /// S3: what a release freed is in nobody's hand who did not give it back.
    fn look_at_freed(&mut self, freed: &[Grant]) {
        // Of two agents of one kernel the older one's belief is R16's affair.
        let agents = self.hosts.iter().filter_map(|host| host.agents.last());
        let is_held = |freed: &Grant| {
            agents.clone().any(|agent| {
                let names = |grant: &Grant| grant.lsn == freed.lsn && grant.ports.0 & freed.ports.0 != 0;
                agent.hand.iter().any(names) && !agent.leaving.iter().any(names)
            })
        };
        if freed.iter().any(is_held) {
            self.violation.get_or_insert(Violation::StaleRelease);
        }
    }

    pub(super) fn clean_up(&mut self, protocol: &Protocol, name: u8, incarnation: u64, boot_is_dead: bool) -> bool {
        let deadline = self.facility.leases[usize::from(name)].map(|lease| lease.until);
        let operation = Operation::CleanUp { name, incarnation, boot_is_dead };
        let is_done = matches!(self.operate(protocol, operation, deadline), Reply::Done);
        if is_done {
            self.cleaned[usize::from(name)] = true;
            self.facility.leases[usize::from(name)] = None;
            self.facility.challenges[usize::from(name)] = 0;
        }
        is_done
    }

    /// The facility's process is there again: on what is durable, in a new history.
    pub(super) fn open(&mut self, protocol: &Protocol, suspect: Option<StopCause>) {
        if self.facility.node != self.facility.durable {
            // What is lost was not granted.
            self.granted.clear();
        }
        self.facility.node = self.facility.durable;
        let facts = self.facts(protocol);
        if let Some(last) = self.facility.histories.last_mut() {
            last.end = facts.lsn;
        }
        self.begin_history(Lsn(facts.lsn).next_history_first().0);
        let now = self.facility_clock();
        for (place, known) in facts.names.iter().enumerate() {
            let before = self.facility.leases[place].take();
            let Some(known) = known.as_ref().filter(|known| known.promise_ms > 0) else { continue };
            let attached = before.map_or(now, |lease| lease.attached);
            let from = if protocol.scene.is_off(Off::R1WaitsAnew) { attached } else { now };
            let until = from + with_drift(known.promise_ms);
            self.facility.leases[place] = Some(Lease { incarnation: known.incarnation, until, attached });
        }
        if let Some(cause) = suspect {
            self.operate(protocol, Operation::Stop(cause), None);
        }
    }

    fn begin_history(&mut self, first: u64) {
        let facility = &mut self.facility;
        facility.ids += 1;
        facility.histories.push(Span { id: facility.ids, first, end: 0 });
        facility.open_first = first;
        facility.next_lsn = first;
        facility.challenges = [0; 2];
    }

    /// The same store on another machine, whose clock is far ahead: quarantine begins anew.
    pub(super) fn open_elsewhere(&mut self, protocol: &Protocol) {
        self.facility.ahead += 100 * super::world::TICK_MS;
        self.open(protocol, None);
        if !protocol.scene.is_off(Off::R22Clock) {
            self.facility.floor = (self.facility.open_first, self.facility_clock());
        }
    }

    /// Power went, and the disk had lied of the last frame. Stacks may have heard of it.
    pub(super) fn lose_tail(&mut self, protocol: &Protocol) {
        self.facility.durable = self.facility.before;
        self.betrayed = true;
        let active = protocol.store().facts(self.facility.durable).names.iter().flatten().any(|known| !known.is_failed);
        self.open(protocol, active.then_some(StopCause::PowerLoss));
    }

    pub(super) fn back_up(&mut self) {
        let (node, histories) = (self.facility.durable, self.facility.histories.clone());
        self.facility.copy = Some(Copy { node, histories });
    }

    pub(super) fn restore(&mut self, protocol: &Protocol) {
        let Copy { node, histories } = self.facility.copy.clone().expect("only what was copied is restored");
        self.facility.durable = node;
        self.facility.histories = histories;
        self.facility.leases = [None; 2];
        self.betrayed = true;
        let suspect = (!protocol.scene.is_off(Off::R18Suspect)).then_some(StopCause::Restored);
        self.open(protocol, suspect);
    }

    /// An operator lets granting go on: in a new history where data was lost.
    pub(super) fn resume_grants(&mut self, protocol: &Protocol) -> bool {
        let facts = self.facts(protocol);
        let Some(cause) = facts.stop else { return false };
        let first = if cause.adopts() {
            Lsn(facts.lsn.max(facts.highest)).next_history_first().0
        } else {
            self.facility.next_lsn
        };
        let reply = self.operate(protocol, Operation::ResumeGrants { first }, None);
        let is_done = matches!(reply, Reply::Done);
        if is_done && cause.adopts() {
            if let Some(last) = self.facility.histories.last_mut() {
                last.end = facts.lsn;
            }
            let next_lsn = self.facility.next_lsn;
            self.begin_history(first);
            self.facility.next_lsn = next_lsn;
        }
        is_done
    }

    /// A lease ran out: the connector is failed-persistent.
    pub(super) fn lease_runs_out(&mut self, protocol: &Protocol, name: u8) -> bool {
        let lease = self.facility.leases[usize::from(name)];
        let is_over = lease.is_some_and(|lease| lease.until <= self.facility_clock());
        is_over
            && matches!(self.operate(protocol, Operation::MarkFailed { name, by_operator: false }, None), Reply::Done)
    }

    /// Clean-up by policy, at a promised and enforced deadline (protocol.md R3).
    pub(super) fn clean_up_at_deadline(&mut self, protocol: &Protocol, name: u8) -> bool {
        let facts = self.facts(protocol);
        let Some(known) = facts.names[usize::from(name)].as_ref() else { return false };
        known.enforced && self.clean_up(protocol, name, known.incarnation, false)
    }

    pub(super) fn node(&self) -> NodeId {
        self.facility.node
    }
}
