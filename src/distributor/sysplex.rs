//! A whole sysplex as one value: stacks that come, listen, connect and fail.
//!
//! For simulators, tests and dry runs. It carries every notice from target to owner at once; a real
//! sysplex sends them, in any order it likes, and [`Distributor::hear`] copes.
#![forbid(unsafe_code)]

use super::claim::Claim;
use super::decision::Cause;
use super::decision::Decision;
use super::decision::Flow;
use super::decision::NoListener;
use super::decision::Syn;
use super::error::SysplexError;
use super::learn::{Collision, Heard};
use super::notice::Notice;
use super::owner::{Distributor, Options};
use super::rule::Load;
use super::rule::Rule;
use super::server::{Scope, Server};
use super::succession::{Move, Status, Succession};
use super::target::Target;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::profile::Role;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Stacks that share DVIPAs.
#[derive(Clone, Debug, Default)]
pub struct Sysplex {
    pub(super) options: Options,
    pub(super) stacks: BTreeMap<ConnectorName, Stack>,
    pub(super) seats: BTreeMap<Dvipa, Seat>,
}

/// One stack.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    pub(super) xcf: Vec<IpAddr>,
    pub(super) claims: BTreeMap<Dvipa, Claim>,
    pub(super) targets: BTreeMap<Dvipa, Target>,
    pub(super) system: Load,
    pub(super) servers: BTreeMap<(Dvipa, u16), Load>,
    /// What its operator quiesced, for every DVIPA.
    pub(super) quiesced: BTreeSet<Scope>,
}

impl Stack {
    /// Its books of a DVIPA.
    pub(super) fn target(&mut self, name: &ConnectorName, dvipa: Dvipa) -> &mut Target {
        let new = || Target::quiesced_already(name.clone(), self.quiesced.clone());
        self.targets.entry(dvipa).or_insert_with(new)
    }
}

/// One DVIPA.
#[derive(Clone, Debug, Default)]
pub(super) struct Seat {
    pub(super) succession: Succession,
    /// The rules in force, also while nobody has it.
    pub(super) rules: Vec<Rule>,
    pub(super) distributor: Option<Distributor>,
}

/// A stack and a DVIPA, as Netstat VIPADYN/-v shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The stack.
    pub stack: ConnectorName,
    /// Its statement; `None` for one that is a target only.
    pub role: Option<Role>,
    /// What it is now; `None` for one that is a target only.
    pub status: Option<Status>,
    /// DIST: it distributes connections.
    pub distributes: bool,
    /// DEST: it is a target of at least one rule.
    pub is_target: bool,
}

impl Sysplex {
    /// Without any stack.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// `ready` programs of a stack listen from now on; 0 = none. A server is a port, or a port and a
    /// job: only so can the operator name the job.
    ///
    /// # Errors
    /// [`SysplexError::UnknownStack`].
    pub fn listen(
        &mut self,
        now: BootMs,
        stack: &ConnectorName,
        dvipa: Dvipa,
        server: impl Into<Server>,
        ready: u16,
    ) -> Result<(), SysplexError> {
        let notice = self.target(stack, dvipa)?.listen(server, ready);
        self.tell(now, dvipa, &notice);
        Ok(())
    }

    /// A connection request arrives. If it goes to a stack, that stack has the connection from now
    /// on, until [`close`](Self::close).
    pub fn arrive(&mut self, now: BootMs, syn: &Syn) -> Decision {
        let dvipa = syn.flow.dvipa;
        let Some(distributor) = self.seats.get_mut(&dvipa).and_then(|seat| seat.distributor.as_mut()) else {
            return match self.options.no_listener {
                NoListener::Drop => Decision::Drop(Cause::NoOwner),
                NoListener::Reset => Decision::Reset(Cause::NoOwner),
            };
        };
        let decision = distributor.route(now, syn);
        if let Decision::Forward { stack, affinity_s, .. } = &decision {
            let opened = self.target(stack, dvipa).ok().and_then(|target| target.open(now, syn.flow, *affinity_s));
            if let Some(notice) = opened {
                self.tell(now, dvipa, &notice);
            }
        }
        decision
    }

    /// A packet arrives that opens no connection; see [`Distributor::follow`].
    #[must_use]
    pub fn packet(&self, flow: &Flow, holder: Option<&ConnectorName>) -> Decision {
        match self.distributor(flow.dvipa) {
            Some(distributor) => distributor.follow(flow, holder),
            None => Decision::Drop(Cause::NoOwner),
        }
    }

    /// A stack opens a connection with the DVIPA as its own address; answers come back to it.
    ///
    /// # Errors
    /// [`SysplexError::Collision`] if another stack has the same 4-tuple: the other side's answers
    /// would go there. [`SysplexError::UnknownStack`].
    pub fn connect(&mut self, now: BootMs, stack: &ConnectorName, flow: Flow) -> Result<(), SysplexError> {
        if let Some(holder) = self.holder(&flow).filter(|holder| *holder != stack) {
            return Err(Collision { flow, stack: stack.clone(), holder: holder.clone() }.into());
        }
        if let Some(notice) = self.target(stack, flow.dvipa)?.open(now, flow, 0) {
            self.tell(now, flow.dvipa, &notice);
        }
        Ok(())
    }

    /// A connection ends. The DVIPA may change hands by that (MOVEABLE WHENIDLE).
    pub fn close(&mut self, now: BootMs, flow: Flow) -> Option<Move> {
        let stack = self.holder(&flow)?.clone();
        let notice = self.target(&stack, flow.dvipa).ok()?.close(now, flow)?;
        self.tell(now, flow.dvipa, &notice);
        if self.is_idle_on(&stack, flow.dvipa) {
            self.seats.get_mut(&flow.dvipa)?.succession.moved(&stack);
        }
        if !self.is_idle(flow.dvipa) {
            return None;
        }
        let moved = self.seats.get_mut(&flow.dvipa)?.succession.idle()?;
        self.settle(now, flow.dvipa, &moved);
        Some(moved)
    }

    /// What a workload manager says of a stack's system, or of one server if a DVIPA and port are
    /// given. It survives a takeover.
    ///
    /// # Errors
    /// [`SysplexError::UnknownStack`].
    pub fn set_load(
        &mut self,
        stack: &ConnectorName,
        server: Option<(Dvipa, u16)>,
        load: Load,
    ) -> Result<(), SysplexError> {
        let unknown = || SysplexError::UnknownStack { stack: stack.clone() };
        let of_stack = self.stacks.get_mut(stack).ok_or_else(unknown)?;
        match server {
            None => of_stack.system = load,
            Some(server) => {
                of_stack.servers.insert(server, load);
            }
        }
        let meant = |dvipa: &Dvipa| server.is_none_or(|(of, _)| of == *dvipa);
        for (_, seat) in self.seats.iter_mut().filter(|(dvipa, _)| meant(dvipa)) {
            if let Some(distributor) = &mut seat.distributor {
                distributor.set_load(stack, server.map(|(_, port)| port), load);
            }
        }
        Ok(())
    }

    /// The routing of a DVIPA; `None` while nobody has it.
    #[must_use]
    pub fn distributor(&self, dvipa: Dvipa) -> Option<&Distributor> {
        self.seats.get(&dvipa)?.distributor.as_ref()
    }

    /// The stack that has a DVIPA.
    #[must_use]
    pub fn owner(&self, dvipa: Dvipa) -> Option<&ConnectorName> {
        self.seats.get(&dvipa)?.succession.owner()
    }

    /// Who would have a DVIPA next, and who waits for it.
    #[must_use]
    pub fn succession(&self, dvipa: Dvipa) -> Option<&Succession> {
        self.seats.get(&dvipa).map(|seat| &seat.succession)
    }

    /// A stack's own books of a DVIPA.
    #[must_use]
    pub fn books(&self, stack: &ConnectorName, dvipa: Dvipa) -> Option<&Target> {
        self.stacks.get(stack)?.targets.get(&dvipa)
    }

    /// Every stack and what it is to a DVIPA, by name.
    #[must_use]
    pub fn standings(&self, dvipa: Dvipa) -> Vec<Standing> {
        let Some(seat) = self.seats.get(&dvipa) else { return Vec::new() };
        let standing = |(name, stack): (&ConnectorName, &Stack)| {
            let is_target = seat.rules.iter().any(|rule| rule.part(dvipa, &stack.xcf).is_some());
            let status = seat.succession.status(name);
            let distributes = status == Some(Status::Active) && !seat.rules.is_empty();
            let role = seat.succession.role(name);
            Standing { stack: name.clone(), role, status, distributes, is_target }
        };
        let concerned = |standing: &Standing| standing.is_target || standing.role.is_some();
        self.stacks.iter().map(standing).filter(concerned).collect()
    }

    /// Nobody has a connection to the DVIPA.
    pub(super) fn is_idle(&self, dvipa: Dvipa) -> bool {
        self.stacks.keys().all(|stack| self.is_idle_on(stack, dvipa))
    }

    /// A stack has no connection to the DVIPA.
    pub(super) fn is_idle_on(&self, stack: &ConnectorName, dvipa: Dvipa) -> bool {
        self.books(stack, dvipa).is_none_or(|books| books.connections().next().is_none())
    }

    pub(super) fn target(&mut self, stack: &ConnectorName, dvipa: Dvipa) -> Result<&mut Target, SysplexError> {
        let unknown = || SysplexError::UnknownStack { stack: stack.clone() };
        let of_stack = self.stacks.get_mut(stack).ok_or_else(unknown)?;
        Ok(of_stack.target(stack, dvipa))
    }

    /// The stack that has a connection, by its own books.
    fn holder(&self, flow: &Flow) -> Option<&ConnectorName> {
        let has = |stack: &Stack| stack.targets.get(&flow.dvipa).is_some_and(|target| target.has(flow));
        self.stacks.iter().find(|(_, stack)| has(stack)).map(|(name, _)| name)
    }

    /// Carries a notice to the owner, and the report if the owner asks for it.
    pub(super) fn tell(&mut self, now: BootMs, dvipa: Dvipa, notice: &Notice) {
        let Some(distributor) = self.seats.get_mut(&dvipa).and_then(|seat| seat.distributor.as_mut()) else { return };
        let heard = distributor.hear(now, notice);
        let target = self.stacks.get_mut(&notice.stack).and_then(|stack| stack.targets.get_mut(&dvipa));
        if let (Ok(Heard::AskReport | Heard::Waiting), Some(target)) = (heard, target) {
            let _ = distributor.learn(now, &target.report(now));
        }
    }
}
