//! The decision: which stack a packet goes to.
#![forbid(unsafe_code)]

use super::affinity::key;
use super::choose::Candidate;
use super::decision::Cause;
use super::decision::Decision;
use super::decision::Flow;
use super::decision::NoListener;
use super::decision::Syn;
use super::decision::Why;
use super::owner::{Distributor, Peer};
use super::rule::Load;
use super::rule::Rule;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::profile::DistMethod;
use crate::profile::Part;

impl Distributor {
    /// Where a connection request goes. If it goes to a stack it is in the routing table from now
    /// on, until that stack says that it ended.
    pub fn route(&mut self, now: BootMs, syn: &Syn) -> Decision {
        self.affinities.expire(now);
        let flow = syn.flow;
        if let Some(entry) = self.connections.get(&flow) {
            let affinity_s = if entry.affinity.is_some() { self.affinity_s(&flow) } else { 0 };
            return Decision::Forward { stack: entry.stack.clone(), why: Why::Known, affinity_s };
        }
        if self.connections.len() >= self.options.connections_max {
            return Decision::Drop(Cause::TableFull);
        }
        let (stack, why, affinity_s) = match self.pick(syn) {
            Ok(picked) => picked,
            Err(cause) => return self.nowhere(cause),
        };
        self.enter(flow, &stack, affinity_s);
        if let Some(at) = self.ports.get_mut(&flow.port) {
            let total = at.totals.entry(stack.clone()).or_default();
            *total = total.wrapping_add(1);
        }
        Decision::Forward { stack, why, affinity_s }
    }

    /// Where a packet goes that opens no connection. `holder` is the stack that holds the port in
    /// the structure: packets of a connection that is not known go there, because its program must
    /// answer for it. A new connection never goes to a holder that does not listen.
    #[must_use]
    pub fn follow(&self, flow: &Flow, holder: Option<&ConnectorName>) -> Decision {
        let holder = holder.filter(|stack| self.stacks.contains_key(*stack));
        let (stack, why) = match (self.connections.get(flow), holder) {
            (Some(entry), _) => (&entry.stack, Why::Known),
            (None, Some(holder)) => (holder, Why::Holder),
            (None, None) => return self.nowhere(Cause::NoConnection),
        };
        Decision::Forward { stack: stack.clone(), why, affinity_s: 0 }
    }

    fn pick(&mut self, syn: &Syn) -> Result<(ConnectorName, Why, u16), Cause> {
        let flow = syn.flow;
        let Some(rule) = self.rule_of(flow.port) else {
            let (stack, others) = self.listener(flow.port).ok_or(Cause::NoListener)?;
            return Ok((stack.clone(), Why::Listener { others }, 0));
        };
        let (method, standby) = (rule.method, rule.standby);
        let affinity_s = self.affinity_s(&flow);
        if let Some(stack) = self.affinity(rule, &flow).filter(|_| affinity_s > 0) {
            return Ok((stack.clone(), Why::Affinity, affinity_s));
        }
        let optlocal = rule.optlocal;
        let candidates = self.candidates(rule, flow.port);
        if let Some(stack) = local(optlocal, syn.from.as_ref(), &candidates) {
            return Ok((stack.clone(), Why::Local, affinity_s));
        }
        // Cloned, so that whose turn it is can be noted beside the names that the candidates borrow.
        let mut turn = self.ports.get(&flow.port).map(|at| at.turn.clone()).unwrap_or_default();
        let probed = turn.probe(method, self.options.probe_every, &candidates).map(|stack| (stack, Why::Probe));
        let chosen = || turn.choose(method, standby, &candidates).map(|stack| (stack, Why::Method(method)));
        let (picked, why) = probed.or_else(chosen).ok_or(Cause::NoneReady)?;
        if let Some(at) = self.ports.get_mut(&flow.port) {
            at.turn = turn;
        }
        Ok((picked, why, affinity_s))
    }

    /// The rule of a port: one that names it, else one without PORT that has a target listening.
    pub(super) fn rule_of(&self, port: u16) -> Option<&Rule> {
        let named = self.rules.iter().find(|rule| rule.names(port));
        named.or_else(|| {
            let at = self.ports.get(&port)?;
            let is_target = |rule: &Rule, stack: &ConnectorName| {
                self.stacks.get(stack).is_some_and(|peer| rule.part(self.dvipa, &peer.xcf).is_some())
            };
            let mut portless = self.rules.iter().filter(|rule| rule.ports.is_empty());
            portless.find(|rule| at.stacks().any(|stack| is_target(rule, stack)))
        })
    }

    /// The targets that can take a connection: a program listens, the operator has not quiesced it.
    fn candidates(&self, rule: &Rule, port: u16) -> Vec<Candidate<'_>> {
        let Some(at) = self.ports.get(&port) else { return Vec::new() };
        let mut found: Vec<(usize, Candidate<'_>)> = Vec::new();
        for stack in at.stacks() {
            let takes_work = |peer: &&Peer| at.takes_work(stack, &peer.quiesced);
            let Some(peer) = self.stacks.get(stack).filter(takes_work) else { continue };
            let Some((place, part)) = rule.part(self.dvipa, &peer.xcf) else { continue };
            let Load { health_percent, .. } = self.load(stack, port);
            // Where no weight is known, all count 1: plain round robin.
            let weight = self.weight(rule.method, part, stack, port).unwrap_or(1);
            let weight = u32::from(weight) * u32::from(health_percent);
            let active = self.connections.count(port, stack);
            found.push((place, Candidate { stack, part, weight, active, healthy: health_percent > 0 }));
        }
        found.sort_by(|(a, one), (b, other)| (a, one.stack).cmp(&(b, other.stack)));
        found.into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// A target's weight by the method, before its health.
    fn weight(&self, method: DistMethod, part: Part, stack: &ConnectorName, port: u16) -> Option<u8> {
        match method {
            DistMethod::WeightedActive => match part {
                Part::Weight(weight) => Some(weight),
                Part::Preferred | Part::Backup(_) => None,
            },
            DistMethod::BaseWlm => self.loads.get(&(stack.clone(), None)).and_then(|load| load.weight),
            DistMethod::ServerWlm | DistMethod::TargControlled => self.load(stack, port).weight,
            DistMethod::RoundRobin | DistMethod::HotStandby => None,
        }
    }

    /// TIMEDAFFINITY of the port, s; 0 also for a new client if there are too many affinities.
    fn affinity_s(&self, flow: &Flow) -> u16 {
        let room = self.affinities.len() < self.options.affinities_max || self.affinities.find(key(flow)).is_some();
        self.rule_of(flow.port).filter(|_| room).map_or(0, |rule| rule.timed_affinity_s)
    }

    /// The stack of the client's affinity, if it still listens and is still a target. The operator's
    /// quiesce does not end an affinity: the client would lose what it has there.
    fn affinity(&self, rule: &Rule, flow: &Flow) -> Option<&ConnectorName> {
        let stack = &self.affinities.find(key(flow))?.stack;
        let peer = self.stacks.get(stack)?;
        let is_ready = self.ready(flow.port, stack) > 0 && rule.part(self.dvipa, &peer.xcf).is_some();
        is_ready.then_some(stack)
    }

    /// Who listens on a port that no rule covers: the owner itself, else who began first. There is
    /// more than one only where nothing keeps two stacks from the same port.
    fn listener(&self, port: u16) -> Option<(&ConnectorName, u16)> {
        let stacks: Vec<&ConnectorName> = self.ports.get(&port)?.stacks().collect();
        let own = stacks.iter().find(|stack| **stack == &self.owner);
        let stack = own.or_else(|| stacks.first())?;
        Some((stack, u16::try_from(stacks.len() - 1).unwrap_or(u16::MAX)))
    }

    fn nowhere(&self, cause: Cause) -> Decision {
        if self.awaited().next().is_some() {
            return Decision::Drop(Cause::Learning);
        }
        match self.options.no_listener {
            NoListener::Drop => Decision::Drop(cause),
            NoListener::Reset => Decision::Reset(cause),
        }
    }
}

/// The target that a connection comes from, if OPTLOCAL keeps it there: with 0 and 1 while it can
/// take any work, above that while its weight times the value is not below the best of the others.
fn local<'a>(
    optlocal: Option<u8>,
    from: Option<&ConnectorName>,
    candidates: &[Candidate<'a>],
) -> Option<&'a ConnectorName> {
    let (value, from) = (optlocal?, from?);
    let own = candidates.iter().find(|candidate| candidate.stack == from)?;
    let best = candidates.iter().filter(|candidate| candidate.stack != from).map(|other| other.weight).max();
    let stays = match value {
        0 => own.healthy,
        1 => own.weight > 0,
        _ => own.weight > 0 && own.weight * u32::from(value) >= best.unwrap_or_default(),
    };
    stays.then_some(own.stack)
}
