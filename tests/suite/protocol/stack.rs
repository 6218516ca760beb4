//! The stacks' part of a step: agents, and the kernels under them.
//!
//! A model of `stack/`, kept to what the rules speak of. What is in hand is used at once: a port
//! that may be handed out counts as handed out.

use super::Protocol;
use super::rules::Off;
use super::rules::Scene;
use super::world::Agent;
use super::world::Ask;
use super::world::Attaching;
use super::world::Grant;
use super::world::Message;
use super::world::Outcome;
use super::world::PROMISE_MS;
use super::world::Ports;
use super::world::Process;
use super::world::Session;
use super::world::TICK_MS;
use super::world::Violation;
use super::world::World;

impl World {
    /// Sends an attach, or a connect where the name is not known.
    pub(super) fn send_attach(&mut self, protocol: &Protocol, process: Process) {
        let (name, sent) = (protocol.name_of(process), self.clock());
        let connects = self.facts(protocol).names[usize::from(name)].is_none();
        let mut challenge = 0;
        if !connects {
            self.facility.issued += 1;
            challenge = self.facility.issued;
            self.facility.challenges[usize::from(name)] = challenge;
        }
        let history = self.history();
        let agent = self.agent(process).expect("alive");
        let serial = agent.serial();
        agent.attaching = Some(Attaching { serial, sent, history });
        if !protocol.scene.is_off(Off::R11GivesUp) {
            // What comes after the report was made is not in it.
            agent.session = None;
        }
        let mut report: Vec<Grant> = agent.hand.iter().chain(&agent.leaving).copied().collect();
        report.sort_unstable();
        let position = agent.position;
        self.send(Message::Attach { from: process, serial, connects, challenge, position, report });
    }

    pub(super) fn send_acquire(&mut self, process: Process) {
        let agent = self.agent(process).expect("alive");
        agent.intents += 1;
        let ask = Ask::Acquire { intent: agent.intents };
        self.send_request(process, ask);
    }

    /// Gives ports back: no socket uses them, and they are not used again (protocol.md R10).
    pub(super) fn send_release(&mut self, scene: &Scene, process: Process, lsn: u64, ports: Ports) {
        if !scene.is_off(Off::R10Sockets) {
            self.end_use(process.kernel.host, ports);
        }
        let agent = self.agent(process).expect("alive");
        take_out(&mut agent.hand, lsn, ports);
        agent.leaving.push(Grant { lsn, ports, number: 0 });
        self.send_request(process, Ask::Release { lsn, ports });
    }

    /// With R10 off: what was given back is used again.
    pub(super) fn use_again(&mut self, process: Process) {
        let host = process.kernel.host;
        let agent = self.agent(process).expect("alive");
        let leaving = agent.leaving.clone();
        agent.hand.extend(&leaving);
        leaving.iter().for_each(|grant| self.use_ports(host, grant.ports));
    }

    fn send_request(&mut self, process: Process, ask: Ask) {
        let agent = self.agent(process).expect("alive");
        let Some(session) = agent.session else { return };
        let number = agent.next;
        agent.next += 1;
        agent.outstanding.push((number, ask));
        let lowest = agent.lowest();
        self.send(Message::Request { from: process, session, number, lowest, ask });
    }

    /// Sends again what was not answered.
    pub(super) fn send_again(&mut self, process: Process, number: u32) {
        let agent = self.agent(process).expect("alive");
        let asked = agent.outstanding.iter().find(|(other, _)| *other == number);
        let (Some((_, ask)), Some(session)) = (asked.copied(), agent.session) else { return };
        let lowest = agent.lowest();
        self.send(Message::Request { from: process, session, number, lowest, ask });
    }

    pub(super) fn send_renewal(&mut self, process: Process) {
        let sent = self.clock();
        let agent = self.agent(process).expect("alive");
        let Some(session) = agent.session else { return };
        let serial = agent.serial();
        agent.renewing.push((serial, sent));
        self.send(Message::Renew { from: process, session, serial });
    }

    pub(super) fn stack_takes(&mut self, protocol: &Protocol, message: Message) {
        match message {
            Message::Attached { to, serial, session, lsn, grants, adopts } => {
                self.attached(protocol, to, serial, session, lsn, &grants, adopts);
            }
            Message::Answer { to, session, number, lsn, outcome } => {
                self.answered(&protocol.scene, to, session, number, lsn, outcome);
            }
            Message::Renewed { to, session, serial } => self.renewed(&protocol.scene, to, session, serial),
            Message::Attach { .. } | Message::Request { .. } | Message::Renew { .. } | Message::CleanUp { .. } => {
                unreachable!("not for a stack")
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn attached(
        &mut self,
        protocol: &Protocol,
        to: Process,
        serial: u8,
        session: Session,
        lsn: u64,
        listed: &[Grant],
        adopts: bool,
    ) {
        let (scene, now, host) = (&protocol.scene, self.clock(), to.kernel.host);
        let Some(agent) = self.agent(to) else { return };
        let Some(asked) = agent.attaching.filter(|asked| asked.serial == serial) else { return };
        let from = if scene.is_off(Off::R2FromSending) { now } else { asked.sent };
        if scene.promises && from + PROMISE_MS <= now {
            return;
        }
        agent.attaching = None;
        agent.renewing.clear();
        let last = std::mem::replace(&mut agent.last, session.incarnation);
        let asked = std::mem::take(&mut agent.outstanding);
        let believed = std::mem::take(&mut agent.hand);
        let leaving = std::mem::take(&mut agent.leaving);
        agent.session = Some(session);
        agent.next = 3;
        note_position(agent, session.history, lsn);
        let mut hand = Vec::new();
        let mut lost = Ports(0);
        for grant in &believed {
            let kept =
                listed.iter().find(|other| other.lsn == grant.lsn).map_or(0, |other| other.ports.0 & grant.ports.0);
            lost.0 |= grant.ports.0 & !kept;
            if kept != 0 {
                hand.push(Grant { ports: Ports(kept), ..*grant });
            }
        }
        let mut again = Vec::new();
        for grant in &leaving {
            let kept =
                listed.iter().find(|other| other.lsn == grant.lsn).map_or(0, |other| other.ports.0 & grant.ports.0);
            if kept != 0 {
                again.push(Ask::Release { lsn: grant.lsn, ports: Ports(kept) });
            }
        }
        let mut settled = Vec::new();
        for grant in listed {
            let in_hand = believed.iter().chain(&leaving).filter(|known| known.lsn == grant.lsn);
            let known = in_hand.fold(0, |ports, known| ports | known.ports.0);
            let is_asked = |(number, ask): &(u32, Ask)| {
                matches!(ask, Ask::Acquire { .. }) && *number == grant.number && grant.lsn > last
            };
            if known != 0 {
                // Ports of it in no hand were given back before, and are again.
                let rest = Ports(grant.ports.0 & !known);
                again.extend((rest.0 != 0).then_some(Ask::Release { lsn: grant.lsn, ports: rest }));
            } else if !adopts {
                settled.extend(asked.iter().filter(|asked| is_asked(asked)).map(|(number, _)| *number));
                hand.push(*grant);
            }
            // In doubt, what only the log names is not used (protocol.md R19).
        }
        let in_hand = hand.iter().fold(0, |ports, grant| ports | grant.ports.0);
        hand.sort_unstable();
        self.agent(to).expect("alive").hand = hand;
        if lost.0 & !in_hand != 0 {
            if !self.betrayed && !self.cleaned[usize::from(protocol.name_of(to))] {
                self.violation.get_or_insert(Violation::Lost);
            }
            self.end_use(host, Ports(lost.0 & !in_hand));
        }
        self.use_ports(host, Ports(in_hand));
        if scene.promises {
            self.hosts[usize::from(host)].deadline = Some(from + PROMISE_MS);
        }
        for ask in again {
            let Ask::Release { lsn, ports } = ask else { continue };
            self.agent(to).expect("alive").leaving.push(Grant { lsn, ports, number: 0 });
            self.send_request(to, ask);
        }
        for (number, ask) in asked {
            let is_settled = settled.contains(&number) && !scene.is_off(Off::R12Settles);
            if matches!(ask, Ask::Acquire { .. }) && !is_settled {
                self.send_request(to, ask);
            }
        }
    }

    fn answered(&mut self, scene: &Scene, to: Process, session: Session, number: u32, lsn: u64, outcome: Outcome) {
        let Some(agent) = self.agent(to) else { return };
        let is_same =
            |own: Session| own == session || (scene.is_off(Off::R17History) && own.incarnation == session.incarnation);
        let is_own = agent.session.is_some_and(is_same) || scene.is_off(Off::R11Stack);
        let asked = agent.outstanding.iter().find(|(other, _)| *other == number).map(|(_, ask)| *ask);
        let takes_any = scene.is_off(Off::R11Stack) || scene.is_off(Off::R11Outstanding);
        if !is_own || (asked.is_none() && !takes_any) {
            return;
        }
        if !matches!(outcome, Outcome::MustAttach | Outcome::Refused) {
            // A refusal names no place in history.
            note_position(agent, session.history, lsn);
        }
        let is_acquire = matches!(asked, Some(Ask::Acquire { .. }));
        match outcome {
            Outcome::MustAttach => agent.session = None,
            Outcome::Granted(grants) => {
                if !is_acquire && !takes_any {
                    return;
                }
                // What it has, or gave back in this incarnation, is no news (protocol.md R10).
                let is_known =
                    |grant: &Grant| agent.hand.iter().chain(&agent.leaving).any(|known| known.lsn == grant.lsn);
                let fresh: Vec<Grant> = grants.into_iter().filter(|grant| !is_known(grant)).collect();
                agent.hand.extend(&fresh);
                agent.hand.sort_unstable();
                if is_acquire {
                    agent.outstanding.retain(|(other, _)| *other != number);
                }
                fresh.iter().for_each(|grant| self.use_ports(to.kernel.host, grant.ports));
            }
            Outcome::GrantedAndGone | Outcome::Done | Outcome::Refused => {
                agent.outstanding.retain(|(other, _)| *other != number);
                if let Some(Ask::Release { lsn, ports }) = asked {
                    agent.leaving.retain(|grant| (grant.lsn, grant.ports) != (lsn, ports));
                }
            }
        }
    }

    fn renewed(&mut self, scene: &Scene, to: Process, session: Session, serial: u8) {
        let now = self.clock();
        let Some(agent) = self.agent(to) else { return };
        let asked = agent.renewing.iter().find(|(other, _)| *other == serial).copied();
        agent.renewing.retain(|(other, _)| *other != serial);
        let is_own = agent.session == Some(session);
        let from = match asked {
            _ if scene.is_off(Off::R2FromSending) => now,
            Some((_, sent)) if is_own => sent,
            _ => return,
        };
        let host = &mut self.hosts[usize::from(to.kernel.host)];
        host.deadline = host.deadline.map(|until| until.max(from + PROMISE_MS));
    }

    /// The clock goes on for everybody.
    pub(super) fn tick(&mut self, scene: &Scene) {
        self.now += 1;
        let now = self.now;
        self.remembered.retain(|(_, _, until)| *until > now);
        for host in 0..u8::try_from(self.hosts.len()).expect("few") {
            if self.hosts[usize::from(host)].suspended.is_none() {
                self.look_at_deadline(scene, host);
            }
        }
    }

    /// At the deadline the kernel stops every use, and the agent drops grants and incarnation
    /// (protocol.md R3). Where only the agent counts, sockets go on.
    fn look_at_deadline(&mut self, scene: &Scene, host: u8) {
        let now = self.clock();
        let is_over = self.hosts[usize::from(host)].deadline.is_some_and(|until| until <= now);
        if !is_over {
            return;
        }
        if scene.enforced {
            self.end_use(host, Ports(u8::MAX));
        }
        let machine = &mut self.hosts[usize::from(host)];
        machine.deadline = None;
        for agent in &mut machine.agents {
            if scene.enforced {
                agent.hand.clear();
                agent.leaving.clear();
            }
            if !scene.is_off(Off::R3Incarnation) {
                agent.session = None;
                agent.renewing.clear();
                if scene.enforced {
                    agent.outstanding.clear();
                }
            }
        }
    }

    pub(super) fn suspend(&mut self, host: u8) {
        let (kernel, uses) = (self.kernel(host), self.hosts[usize::from(host)].uses);
        self.remember(kernel, uses);
        self.hosts[usize::from(host)].suspended = Some(self.now);
    }

    /// The machine goes on. Its clock counted the suspend: what is over is stopped before any packet.
    pub(super) fn wake(&mut self, scene: &Scene, host: u8) {
        let (now, kernel) = (self.now, self.kernel(host));
        let machine = &mut self.hosts[usize::from(host)];
        let since = machine.suspended.take().expect("only the suspended wake");
        if scene.is_off(Off::R3Suspend) {
            machine.deadline = machine.deadline.map(|until| until + u64::from(now - since) * TICK_MS);
        }
        if scene.enforced && machine.deadline.is_some_and(|until| until <= u64::from(now) * TICK_MS) {
            // It sent nothing since it was suspended.
            machine.uses = Ports(0);
        }
        self.look_at_deadline(scene, host);
        let uses = self.hosts[usize::from(host)].uses;
        self.look_at_use(kernel, uses);
    }

    /// The kernel boots: sockets are gone, and an agent is there that knows nothing.
    pub(super) fn boot(&mut self, host: u8) {
        self.end_use(host, Ports(u8::MAX));
        let machine = &mut self.hosts[usize::from(host)];
        machine.boot += 1;
        machine.deadline = None;
        machine.suspended = None;
        machine.agents.clear();
        self.start_agent(host);
    }

    /// The agent dies and the next one starts; sockets stay.
    pub(super) fn restart_agent(&mut self, process: Process) {
        let host = process.kernel.host;
        self.hosts[usize::from(host)].agents.retain(|agent| agent.process != process);
        self.start_agent(host);
    }

    pub(super) fn start_agent(&mut self, host: u8) {
        let kernel = self.kernel(host);
        let machine = &mut self.hosts[usize::from(host)];
        machine.processes += 1;
        machine.agents.push(Agent::new(Process { kernel, number: machine.processes }));
        self.drop_undeliverable();
    }

    /// A paused agent goes on with what it has in hand.
    pub(super) fn wake_agent(&mut self, process: Process) {
        let agent = self.agent(process).expect("alive");
        agent.is_paused = false;
        let ports = agent.hand.iter().fold(0, |ports, grant| ports | grant.ports.0);
        self.use_ports(process.kernel.host, Ports(ports));
    }
}

fn take_out(hand: &mut Vec<Grant>, lsn: u64, ports: Ports) {
    for grant in hand.iter_mut().filter(|grant| grant.lsn == lsn) {
        grant.ports.0 &= !ports.0;
    }
    hand.retain(|grant| grant.ports.0 != 0);
}

fn note_position(agent: &mut Agent, history: u8, lsn: u64) {
    let seen = agent.position.filter(|(of, _)| *of == history).map_or(0, |(_, lsn)| lsn);
    // Answers of an older history say nothing newer.
    if agent.position.is_none_or(|(of, _)| of <= history) {
        agent.position = Some((history, seen.max(lsn)));
    }
}
