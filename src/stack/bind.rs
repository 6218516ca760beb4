//! Taking ports, and giving them back.
#![forbid(unsafe_code)]

use super::BoundPort;
use super::Stack;
use super::StackError;
use super::core::{Core, Fetch, Health};
use super::hand::Whereabouts;
use crate::facility::CallError;
use crate::facility::Pending;
use crate::ident::Dvipa;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Transport;
use crate::structure::Grant;
use parking_lot::MutexGuard;

impl Stack {
    /// Takes a source port of the DVIPA: with `port` 0 any one, as `bind(dvipa, 0)` and `connect`
    /// do, else that one. Waits for the facility only if no port is in hand.
    ///
    /// A distributed port is the daemon's on every system: it is bound at once, without a claim.
    ///
    /// # Errors
    /// [`StackError`] with the cause; [`StackError::Refused`] if the list is full, the port is
    /// held by another stack or in quarantine.
    pub fn bind(&self, dvipa: Dvipa, port: u16) -> Result<BoundPort, StackError> {
        self.bind_as("", dvipa, port)
    }

    /// As [`bind`](Self::bind), for a job: a port that PORT or PORTRANGE reserves for it is bound
    /// at once, without a claim.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_as(&self, job: &str, dvipa: Dvipa, port: u16) -> Result<BoundPort, StackError> {
        let definition = self.profile.dvipa(dvipa).filter(|definition| definition.sysplexports);
        let definition = definition.ok_or(StackError::NotSysplexPorts { dvipa })?;
        if port == 0 {
            return self.bind_any(dvipa);
        }
        let reserved = !job.is_empty() && self.profile.reserved_for(Transport::Tcp, port, job) == Some(true);
        if reserved || definition.distributes(port) {
            return Ok(BoundPort { dvipa, port, grant: None });
        }
        if !self.allowable.contains(port) {
            return Err(StackError::Excluded { port });
        }
        self.bind_named(dvipa, port)
    }

    fn bind_any(&self, dvipa: Dvipa) -> Result<BoundPort, StackError> {
        self.enter_if_needed(dvipa)?;
        let mut core = self.core.lock();
        let mut failures = None;
        loop {
            core.look(dvipa);
            core.alive()?;
            let Core { lists, order, .. } = &mut *core;
            let list = lists.get_mut(&dvipa).ok_or(StackError::NotSysplexPorts { dvipa })?;
            if let Some((port, grant)) = list.hand.next(order) {
                self.fetch_ahead(&mut core, dvipa);
                return Ok(BoundPort { dvipa, port, grant: Some(grant) });
            }
            if let Some(failure) =
                list.failure.clone().filter(|_| *failures.get_or_insert(list.failures) != list.failures)
            {
                return Err(failure);
            }
            let member = list.hand.member;
            match std::mem::replace(&mut list.fetch, Fetch::Awaited) {
                Fetch::Awaited => self.arrived.wait(&mut core),
                Fetch::Ahead(pending) => self.await_group(&mut core, dvipa, pending)?,
                Fetch::None => {
                    if let Err(error) = core.ready() {
                        if let Some(list) = core.lists.get_mut(&dvipa) {
                            list.fetch = Fetch::None;
                        }
                        return Err(error);
                    }
                    let pending = core.connection.submit_acquire(member, 1, 1);
                    core.outstanding.insert(pending.number());
                    self.await_group(&mut core, dvipa, pending)?;
                }
            }
        }
    }

    /// Waits for an acquire without the lock, then takes its answer up. An attach meanwhile has
    /// settled it.
    fn await_group(
        &self,
        core: &mut MutexGuard<'_, Core>,
        dvipa: Dvipa,
        pending: Pending<Vec<Grant>>,
    ) -> Result<(), StackError> {
        let (number, connection) = (pending.number(), core.connection.clone());
        let answer = MutexGuard::unlocked(core, || pending.wait());
        if !core.connection.is_same(&connection) {
            return Ok(());
        }
        let taken = if core.connection.is_over() {
            // An attach is under way, and will tell.
            Err(core.ready().err().unwrap_or(StackError::Unreachable { cause: CallError::Gone }))
        } else {
            core.granted(dvipa, number, answer.map(|answered| answered.value))
        };
        if let Some(list) = core.lists.get_mut(&dvipa) {
            list.fetch = Fetch::None;
            if let Err(error) = &taken {
                list.failures += 1;
                list.failure = Some(error.clone());
            }
        }
        self.arrived.notify_all();
        taken
    }

    /// Fetches the next group in the background if few ports are left.
    fn fetch_ahead(&self, core: &mut Core, dvipa: Dvipa) {
        let Some(list) = core.lists.get_mut(&dvipa) else { return };
        let wanted = list.hand.free_count() < self.prefetch_below && !list.fetch_refused && core.stopped.is_none();
        if wanted && matches!((&list.fetch, &core.health), (Fetch::None, Health::Active)) {
            let pending = core.connection.submit_acquire(list.hand.member, 1, 1);
            core.outstanding.insert(pending.number());
            list.fetch = Fetch::Ahead(pending);
        }
    }

    fn bind_named(&self, dvipa: Dvipa, port: u16) -> Result<BoundPort, StackError> {
        self.enter_if_needed(dvipa)?;
        let mut core = self.core.lock();
        core.look(dvipa);
        core.alive()?;
        let list = core.lists.get_mut(&dvipa).ok_or(StackError::NotSysplexPorts { dvipa })?;
        let member = list.hand.member;
        match list.hand.pick(port) {
            Whereabouts::Free(grant) => return Ok(BoundPort { dvipa, port, grant: Some(grant) }),
            Whereabouts::InUse => return Err(StackError::InUse { dvipa, port }),
            Whereabouts::Elsewhere => core.ready()?,
        }
        let pending = core.connection.submit_claim(member, port);
        let (number, connection) = (pending.number(), core.connection.clone());
        core.outstanding.insert(number);
        let answer = MutexGuard::unlocked(&mut core, || pending.wait());
        if !core.connection.is_same(&connection) || core.connection.is_over() {
            // The attach has settled it or will: the port is free in hand, or not ours.
            return Err(StackError::Unreachable { cause: CallError::Gone });
        }
        let grants = answer.map_err(|cause| {
            if matches!(cause, CallError::Refused(_)) {
                core.outstanding.remove(&number);
            }
            core.fail(cause)
        })?;
        core.outstanding.remove(&number);
        match grants.value[..] {
            [grant] if grant.mask == PortMask::of_port(port) => {
                core.take_up(dvipa, &grant, grant.mask);
                Ok(BoundPort { dvipa, port, grant: Some(grant.lsn) })
            }
            _ => Err(core.fail(CallError::WrongAnswer)),
        }
    }

    /// Gives a port back to this stack's hand: no socket uses it any more.
    pub fn release(&self, port: BoundPort) {
        let BoundPort { dvipa, port, grant } = port;
        let mut core = self.core.lock();
        if let (Some(list), Some(grant)) = (core.lists.get_mut(&dvipa), grant) {
            list.hand.put_back(grant, port);
        }
        core.send_releases();
    }

    /// Takes up the grants of an earlier life: ports in `in_use` have a socket in this kernel and
    /// stay until they are released, the others are given back. Called before there are new
    /// sockets, or at least after those of [`Adopted`](super::Adopted) were read.
    ///
    /// # Errors
    /// [`StackError::NotSysplexPorts`] if the stack has nothing to do with that DVIPA,
    /// [`StackError::Fenced`].
    pub fn adopt(&self, dvipa: Dvipa, in_use: &PortSet) -> Result<Vec<BoundPort>, StackError> {
        let mut core = self.core.lock();
        core.alive()?;
        let list = core.lists.get_mut(&dvipa).ok_or(StackError::NotSysplexPorts { dvipa })?;
        let (stay, parts) = list.hand.read(in_use);
        core.give_back(dvipa, &parts);
        Ok(stay.into_iter().map(|(port, grant)| BoundPort { dvipa, port, grant: Some(grant) }).collect())
    }

    /// Gives whole idle groups back as long as `keep` free ports stay in hand per DVIPA; does not
    /// wait. Returns how many. While the facility is unreachable nothing is given back.
    pub fn give_back(&self, keep: u32) -> u32 {
        let mut core = self.core.lock();
        let mut given = 0;
        let dvipas: Vec<Dvipa> = core.lists.keys().copied().collect();
        for dvipa in dvipas {
            core.look(dvipa);
            if !matches!(core.health, Health::Active) {
                break;
            }
            let Some(list) = core.lists.get_mut(&dvipa) else { continue };
            let parts = list.hand.give_up_idle(keep);
            given += parts.len();
            core.give_back(dvipa, &parts);
        }
        u32::try_from(given).unwrap_or(u32::MAX)
    }

    /// Gives back everything, used or not, and waits: the caller vouches that no socket uses any
    /// of it (protocol.md R10).
    ///
    /// # Errors
    /// [`StackError`]; what was not given back then is tried again after
    /// [`reattach`](Self::reattach).
    pub fn release_all(&self) -> Result<(), StackError> {
        let mut core = self.core.lock();
        core.ready()?;
        let dvipas: Vec<Dvipa> = core.lists.keys().copied().collect();
        for dvipa in dvipas {
            let Some(list) = core.lists.get_mut(&dvipa) else { continue };
            let parts = list.hand.give_up_all();
            core.give_back(dvipa, &parts);
        }
        core.ready()?;
        let Core { leaving, connection, .. } = &mut *core;
        let waited = leaving.wait(connection);
        waited.map_err(|cause| core.fail(cause))
    }
}
