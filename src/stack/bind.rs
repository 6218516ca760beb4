//! Taking a port that nobody named, and returning one.
#![forbid(unsafe_code)]

use super::BoundPort;
use super::Local;
use super::Stack;
use super::StackError;
use super::core::target;
use super::hand::Given;
use super::hand::Ports;
use super::view::target_of;
use crate::ident::Dvipa;
use crate::ident::Lsn;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;
use crate::profile::ExplicitBind;
use std::sync::Arc;

impl Stack {
    /// Takes a source port of a local address: with `port` 0 any one, as `bind(dvipa, 0)` does, else
    /// that one. Where the address has SYSPLEXPORTS the port is this stack's alone in the sysplex,
    /// else on this stack. Waits for the facility only if no port is in hand.
    ///
    /// # Errors
    /// [`StackError`] with the cause; [`StackError::NoPort`] if the list has none for this stack.
    pub fn bind(&self, dvipa: Dvipa, port: u16) -> Result<BoundPort, StackError> {
        self.bind_as("", dvipa, port)
    }

    /// As [`bind`](Self::bind), for a job: a port that PORT or PORTRANGE reserves for it is bound
    /// at once, without a claim.
    ///
    /// A named port is bound at once, too, if it is distributed (it is the daemon's on every target)
    /// or in this stack's hand; any other one is claimed through the facility. Whoever names a port
    /// answers for its rest: one that was just returned may be named again.
    ///
    /// # Errors
    /// As [`bind`](Self::bind); [`StackError::HeldBy`] if another stack holds the port,
    /// [`StackError::NonzeroDenied`] if claims are not wanted.
    pub fn bind_as(&self, job: &str, dvipa: Dvipa, port: u16) -> Result<BoundPort, StackError> {
        if port > 0 {
            return self.bind_named(job, dvipa, port);
        }
        let view = self.view.load();
        match view.list(dvipa) {
            // One that is not joined yet is joined by who asks for it.
            None if !view.is_sysplexports(dvipa) => self.bind_own(Local::Address(dvipa)),
            ports => self.bind_list(target(dvipa), ports),
        }
    }

    /// Takes a source port for a socket that is bound to the unspecified address, `bind(ANY, 0)`:
    /// from the explicit-bind pool if this stack's profile configures one (GLOBALCONFIG
    /// EXPLICITBINDPORTRANGE; the range processed last anywhere in the subplex is the active one),
    /// else one of the stack's own.
    ///
    /// # Errors
    /// As [`bind`](Self::bind); [`StackError::OwnExhausted`].
    pub fn bind_unspecified(&self) -> Result<BoundPort, StackError> {
        let view = self.view.load();
        match view.profile.explicit_bind {
            ExplicitBind::Range(_) => {
                let pool = Target::Pool(Transport::Tcp);
                self.bind_list(pool, view.pool())
            }
            ExplicitBind::Unspecified | ExplicitBind::No => self.bind_own(Local::Any),
        }
    }

    fn bind_list(&self, target: Target, ports: Option<&Arc<Ports>>) -> Result<BoundPort, StackError> {
        self.in_time()?;
        let bound =
            |(port, grant): (u16, Lsn)| BoundPort { local: super::view::local_of(target), port, grant: Some(grant) };
        if let Some(ports) = ports
            && let Some(taken) = ports.take()
        {
            if ports.is_low() {
                self.refill_soon(target);
            }
            return Ok(bound(taken));
        }
        self.wait_for(target, Ports::take).map(bound)
    }

    pub(super) fn bind_own(&self, local: Local) -> Result<BoundPort, StackError> {
        let view = self.view.load();
        let taken = view.own.take();
        let taken = taken.or_else(|| self.core.lock().own_take(self.now(), &view.own_allowable, Ports::take));
        let (port, _) = taken.ok_or_else(|| StackError::OwnExhausted { ports: view.own_allowable.count() })?;
        Ok(BoundPort { local, port, grant: None })
    }

    /// Returns a port to this stack: its socket is closed. It rests for TIMEWAITINTERVAL. Has a
    /// connection from it not been closed yet, it is back when that is.
    pub fn release(&self, port: BoundPort) {
        let BoundPort { local, port, grant } = port;
        let view = self.view.load();
        let Some(ports) = view.ports(local, grant) else { return };
        // An own port's token is its word's: while it is in use nobody changes that.
        let token = grant.unwrap_or_else(|| ports.look(port).1);
        if ports.give(port, token) == Given::Look {
            self.came_back(local, grant, port);
        }
    }

    /// A port came back whose queue is full, or whose list is being left.
    pub(super) fn came_back(&self, local: Local, grant: Option<Lsn>, port: u16) {
        let now = self.now();
        let mut core = self.core.lock();
        if grant.is_none() {
            core.own.hand.came_back(now, port);
            return;
        }
        let target = target_of(local);
        if let Some(list) = core.lists.get_mut(&target) {
            list.hand.came_back(now, port);
        }
        self.leave_lists(&mut core);
    }

    /// Takes up the grants of an earlier life: ports in `in_use` have a socket in this kernel and
    /// stay until they are released, the others are given back. Called before there are new
    /// sockets, or at least after those of [`Adopted`](super::Adopted) were read.
    ///
    /// # Errors
    /// [`StackError::NotSysplexPorts`] if the stack has nothing to do with that address,
    /// [`StackError::Fenced`].
    pub fn adopt(&self, local: Local, in_use: &PortSet) -> Result<Vec<BoundPort>, StackError> {
        let mut core = self.core.lock();
        core.alive()?;
        let target = target_of(local);
        let list = core.lists.get_mut(&target).ok_or(StackError::NotSysplexPorts { local })?;
        let (stay, parts) = list.hand.read(in_use);
        core.give_back(target, &parts);
        Ok(stay.into_iter().map(|(port, grant)| BoundPort { local, port, grant: Some(grant) }).collect())
    }
}
