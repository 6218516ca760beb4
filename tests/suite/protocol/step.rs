//! Every step that the world can take, and taking it.

use super::Protocol;
use super::operation::Operation;
use super::operation::Reply;
use super::rules::Off;
use super::world::Agent;
use super::world::Ask;
use super::world::Message;
use super::world::Ports;
use super::world::Process;
use super::world::World;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Deliver(Message),
    /// Delivered, and a copy of it stays under way.
    DeliverOneOfTwo(Message),
    Tick,
    Attach(Process),
    Acquire(Process),
    AskAgain(Process, u32),
    Release(Process, u64, Ports),
    UseAgain(Process),
    Renew(Process),
    AgentDies(Process),
    AgentStartsBeside(u8),
    AgentPauses(Process),
    AgentGoesOn(Process),
    KernelBoots(u8),
    MachineSuspends(u8),
    MachineWakes(u8),
    FacilitySyncs,
    FacilityOpens,
    FacilityOpensElsewhere,
    PowerFailsTailLost,
    BackUp,
    Restore,
    LeaseRunsOut(u8),
    CleanUpAtDeadline(u8),
    QuarantineEnds,
    WaitEnds,
    OperatorMarksFailed(u8),
    OperatorOrdersCleanUp {
        name: u8,
        boot_is_dead: bool,
    },
    OperatorResumes,
}

impl World {
    /// Whether a message can be delivered now.
    fn is_deliverable(&self, message: &Message) -> bool {
        let (Message::Attached { to, .. } | Message::Answer { to, .. } | Message::Renewed { to, .. }) = message else {
            return true;
        };
        let host = &self.hosts[usize::from(to.kernel.host)];
        host.suspended.is_none() && host.agents.iter().any(|agent| agent.process == *to && !agent.is_paused)
    }

    pub(super) fn steps(&self, protocol: &Protocol, steps: &mut Vec<Step>) {
        if self.violation.is_some() {
            return;
        }
        let left = &self.left;
        for message in self.network.iter().filter(|message| self.is_deliverable(message)) {
            steps.push(Step::Deliver(message.clone()));
            if left.doubles > 0 {
                steps.push(Step::DeliverOneOfTwo(message.clone()));
            }
        }
        if left.ticks > 0 {
            steps.push(Step::Tick);
        }
        for (number, host) in (0..).zip(&self.hosts) {
            self.host_steps(protocol, number, host.suspended.is_some(), steps);
        }
        self.facility_steps(protocol, steps);
    }

    fn host_steps(&self, protocol: &Protocol, number: u8, is_suspended: bool, steps: &mut Vec<Step>) {
        let (left, host) = (&self.left, &self.hosts[usize::from(number)]);
        if is_suspended {
            steps.push(Step::MachineWakes(number));
            return;
        }
        let was_there = host.agents.iter().any(|agent| agent.session.is_some() || agent.attaching.is_some());
        if left.boots > 0 && was_there {
            steps.push(Step::KernelBoots(number));
        }
        if left.suspends > 0 && host.uses.0 != 0 {
            steps.push(Step::MachineSuspends(number));
        }
        if protocol.scene.is_off(Off::R16Lock) && host.agents.len() == 1 && host.agents[0].is_paused {
            steps.push(Step::AgentStartsBeside(number));
        }
        for agent in &host.agents {
            if agent.is_paused {
                steps.push(Step::AgentGoesOn(agent.process));
            } else {
                self.agent_steps(protocol, agent, steps);
            }
        }
    }

    fn agent_steps(&self, protocol: &Protocol, agent: &Agent, steps: &mut Vec<Step>) {
        let (left, process) = (&self.left, agent.process);
        let knows_better = agent.session.is_none_or(|session| session.history != self.history());
        let waits = agent.attaching.is_some_and(|attaching| {
            attaching.history == self.history() && self.network.iter().any(|message| message.is_attach_of(process))
        });
        if left.attaches > 0 && (knows_better && !waits || left.at_will > 0) {
            steps.push(Step::Attach(process));
        }
        if left.deaths > 0 && (agent.session.is_some() || agent.attaching.is_some()) {
            steps.push(Step::AgentDies(process));
        }
        if left.pauses > 0 && agent.session.is_some() {
            steps.push(Step::AgentPauses(process));
        }
        if agent.session.is_none() {
            return;
        }
        let asks = agent.outstanding.iter().any(|(_, ask)| matches!(ask, Ask::Acquire { .. }));
        if left.acquires > 0 && !asks && agent.hand.len() < protocol.scene.hand_max {
            steps.push(Step::Acquire(process));
        }
        if left.retries > 0 {
            steps.extend(agent.outstanding.iter().map(|(number, _)| Step::AskAgain(process, *number)));
        }
        for grant in &agent.hand {
            if left.releases > 0 {
                steps.push(Step::Release(process, grant.lsn, grant.ports));
            }
            if left.parts > 0 && grant.ports.0.count_ones() > 1 {
                steps.push(Step::Release(process, grant.lsn, Ports(1 << grant.ports.0.trailing_zeros())));
            }
        }
        if protocol.scene.is_off(Off::R10Again) && !agent.leaving.is_empty() && agent.hand.is_empty() {
            steps.push(Step::UseAgain(process));
        }
        if left.renewals > 0 && protocol.scene.promises {
            steps.push(Step::Renew(process));
        }
    }

    fn facility_steps(&self, protocol: &Protocol, steps: &mut Vec<Step>) {
        let (left, store) = (&self.left, protocol.store());
        let facts = store.facts(self.node());
        if self.facility.durable != self.facility.node {
            steps.push(Step::FacilitySyncs);
        }
        let budgets = [
            (left.opens, Step::FacilityOpens),
            (left.moves, Step::FacilityOpensElsewhere),
            (left.tails, Step::PowerFailsTailLost),
            (left.copies, Step::BackUp),
            (left.restores * u8::from(self.facility.copy.is_some()), Step::Restore),
            (left.resumes * u8::from(facts.stop.is_some()), Step::OperatorResumes),
        ];
        steps.extend(budgets.into_iter().filter(|(left, _)| *left > 0).map(|(_, step)| step));
        if facts.rests {
            steps.push(Step::QuarantineEnds);
        }
        if facts.stop.is_some() {
            steps.push(Step::WaitEnds);
        }
        for (name, known) in (0..).zip(&facts.names) {
            let Some(known) = known else { continue };
            if protocol.scene.promises && !known.is_failed {
                steps.push(Step::LeaseRunsOut(name));
            }
            if protocol.scene.promises && known.is_failed {
                steps.push(Step::CleanUpAtDeadline(name));
            }
            if left.marks > 0 && !known.is_failed {
                steps.push(Step::OperatorMarksFailed(name));
            }
            if left.orders > 0 {
                steps.push(Step::OperatorOrdersCleanUp { name, boot_is_dead: false });
                let host = u8::try_from(known.machine).expect("few machines");
                // An operator states only what is true.
                if self.kernel(host).id() != known.boot {
                    steps.push(Step::OperatorOrdersCleanUp { name, boot_is_dead: true });
                }
            }
        }
    }

    /// The world after a step; `None` if nothing came of it.
    pub(super) fn after(&self, protocol: &Protocol, step: &Step) -> Option<Self> {
        let mut world = self.clone();
        let is_something = world.take(protocol, step);
        is_something.then_some(world)
    }

    fn take(&mut self, protocol: &Protocol, step: &Step) -> bool {
        let scene = &protocol.scene;
        match step {
            Step::Deliver(message) => {
                self.network.retain(|other| other != message);
                self.deliver(protocol, message);
            }
            Step::DeliverOneOfTwo(message) => {
                self.left.doubles -= 1;
                self.deliver(protocol, message);
            }
            Step::Tick => {
                self.left.ticks -= 1;
                self.tick(scene);
            }
            Step::Attach(process) => {
                self.left.attaches -= 1;
                self.left.at_will = self.left.at_will.saturating_sub(1);
                self.send_attach(protocol, *process);
            }
            Step::Acquire(process) => {
                self.left.acquires -= 1;
                self.send_acquire(*process);
            }
            Step::AskAgain(process, number) => {
                self.left.retries -= 1;
                let before = self.network.len();
                self.send_again(*process, *number);
                // A copy that is under way already is no second one.
                return self.network.len() > before;
            }
            Step::Release(process, lsn, ports) => {
                let held = self.agent(*process).and_then(|agent| agent.hand.iter().find(|grant| grant.lsn == *lsn));
                let is_whole = held.is_some_and(|grant| grant.ports == *ports);
                let budget = if is_whole { &mut self.left.releases } else { &mut self.left.parts };
                *budget -= 1;
                self.send_release(scene, *process, *lsn, *ports);
            }
            Step::UseAgain(process) => self.use_again(*process),
            Step::Renew(process) => {
                self.left.renewals -= 1;
                self.send_renewal(*process);
            }
            Step::AgentDies(process) => {
                self.left.deaths -= 1;
                self.restart_agent(*process);
            }
            Step::AgentStartsBeside(host) => self.start_agent(*host),
            Step::AgentPauses(process) => {
                self.left.pauses -= 1;
                self.agent(*process).expect("alive").is_paused = true;
            }
            Step::AgentGoesOn(process) => self.wake_agent(*process),
            Step::KernelBoots(host) => {
                self.left.boots -= 1;
                self.boot(*host);
            }
            Step::MachineSuspends(host) => {
                self.left.suspends -= 1;
                self.suspend(*host);
            }
            Step::MachineWakes(host) => self.wake(scene, *host),
            step => return self.take_facility(protocol, step),
        }
        true
    }

    fn take_facility(&mut self, protocol: &Protocol, step: &Step) -> bool {
        let is_done = |reply: Reply| matches!(reply, Reply::Done);
        match step {
            Step::FacilitySyncs => self.facility.durable = self.facility.node,
            Step::FacilityOpens => {
                self.left.opens -= 1;
                self.open(protocol, None);
            }
            Step::FacilityOpensElsewhere => {
                self.left.moves -= 1;
                self.open_elsewhere(protocol);
            }
            Step::PowerFailsTailLost => {
                self.lose_tail(protocol);
                self.left.tails -= 1;
            }
            Step::BackUp => {
                self.left.copies -= 1;
                self.back_up();
            }
            Step::Restore => {
                self.left.restores -= 1;
                self.restore(protocol);
            }
            Step::LeaseRunsOut(name) => return self.lease_runs_out(protocol, *name),
            Step::CleanUpAtDeadline(name) => return self.clean_up_at_deadline(protocol, *name),
            Step::QuarantineEnds => return is_done(self.operate(protocol, Operation::EndQuarantine, None)),
            Step::WaitEnds => return is_done(self.operate(protocol, Operation::EndWait, None)),
            Step::OperatorMarksFailed(name) => {
                self.left.marks -= 1;
                let operation = Operation::MarkFailed { name: *name, by_operator: true };
                return is_done(self.operate(protocol, operation, None));
            }
            Step::OperatorOrdersCleanUp { name, boot_is_dead } => {
                self.left.orders -= 1;
                let facts = self.facts(protocol);
                let Some(known) = &facts.names[usize::from(*name)] else { return false };
                let (name, incarnation, boot_is_dead) = (*name, known.incarnation, *boot_is_dead);
                self.send(Message::CleanUp { name, incarnation, boot_is_dead });
            }
            Step::OperatorResumes => {
                self.left.resumes -= 1;
                return self.resume_grants(protocol);
            }
            other => unreachable!("{other:?} is not the facility's"),
        }
        true
    }

    fn deliver(&mut self, protocol: &Protocol, message: &Message) {
        match message {
            Message::Attach { .. } | Message::Request { .. } | Message::Renew { .. } | Message::CleanUp { .. } => {
                let before = self.network.clone();
                self.facility_takes(protocol, message.clone());
                let fresh =
                    self.network.iter().filter(|message| !before.contains(message)).cloned().collect::<Vec<_>>();
                for answer in fresh.into_iter().filter(|_| protocol.scene.answers_at_once) {
                    if self.is_deliverable(&answer) {
                        self.network.retain(|other| *other != answer);
                        self.stack_takes(protocol, answer);
                    }
                }
            }
            Message::Attached { .. } | Message::Answer { .. } | Message::Renewed { .. } => {
                self.stack_takes(protocol, message.clone());
            }
        }
    }
}
