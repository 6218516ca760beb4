//! `bind` to a named port: local where no other stack can want it, else a claim.
#![forbid(unsafe_code)]

use super::BoundPort;
use super::Local;
use super::Stack;
use super::StackError;
use super::core::target;
use super::hand::{Picked, Place};
use crate::facility::CallError;
use crate::ident::Dvipa;
use crate::ident::PortMask;
use crate::ident::Transport;
use crate::structure::PortOwner;
use crate::structure::Refusal;
use crate::threads::MutexGuard;

impl Stack {
    pub(super) fn bind_named(&self, job: &str, dvipa: Dvipa, port: u16) -> Result<BoundPort, StackError> {
        let (view, local) = (self.view.load(), Local::Address(dvipa));
        let reserved = !job.is_empty() && view.profile.reserved_for(Transport::Tcp, port, job) == Some(true);
        if reserved || view.profile.dvipa(dvipa).is_some_and(|definition| definition.distributes(port)) {
            return Ok(BoundPort { local, port, grant: None });
        }
        if !view.is_sysplexports(dvipa) {
            // Ports that this stack never hands out by itself are not booked: the kernel has the say.
            let booked = view.own_allowable.contains(port);
            return match !booked || self.core.lock().own_named(self.now(), port, &view.own_allowable) {
                true => Ok(BoundPort { local, port, grant: None }),
                false => Err(StackError::InUse { local, port }),
            };
        }
        if !view.allowable.contains(port) {
            return Err(StackError::Excluded { port });
        }
        self.in_time()?;
        self.claim(dvipa, port)
    }

    /// Takes the port out of the hand, or claims it.
    fn claim(&self, dvipa: Dvipa, port: u16) -> Result<BoundPort, StackError> {
        let (local, target) = (Local::Address(dvipa), target(dvipa));
        self.enter_if_needed(target)?;
        let mut core = self.core.lock();
        core.look(target, self.now());
        self.still_in_time(&mut core)?;
        if matches!(core.own.hand.ports.look(port).0, Place::Used | Place::Shared) {
            return Err(StackError::InUse { local, port });
        }
        let list = core.lists.get_mut(&target).ok_or(StackError::NotSysplexPorts { local })?;
        let member = list.member;
        match list.hand.pick(port) {
            Picked::Taken(grant) => return Ok(BoundPort { local, port, grant: Some(grant) }),
            Picked::InUse => return Err(StackError::InUse { local, port }),
            Picked::Elsewhere if self.deny_nonzero_port => return Err(StackError::NonzeroDenied { local, port }),
            Picked::Elsewhere => core.ready()?,
        }
        let pending = core.connection.submit_claim(member, port);
        let (number, connection) = (pending.number(), core.connection.clone());
        core.outstanding.insert(number);
        let answer = MutexGuard::unlocked(&mut core, || pending.wait());
        if !core.connection.is_same(&connection) || core.connection.is_over() {
            // The attach has settled it or will: the port is free in hand, or not ours.
            return Err(core.unreachable(CallError::Gone));
        }
        let grants = match answer {
            Ok(grants) => grants,
            Err(CallError::Refused(refusal @ Refusal::PortHeld { grant, .. })) => {
                core.outstanding.remove(&number);
                let owner = MutexGuard::unlocked(&mut core, || connection.owner(target, port));
                return Err(match owner {
                    Ok(PortOwner::Held { connector: holder, .. }) => StackError::HeldBy { local, port, holder, grant },
                    _ => StackError::Refused(refusal),
                });
            }
            Err(cause) => {
                if matches!(cause, CallError::Refused(_)) {
                    core.outstanding.remove(&number);
                }
                return Err(core.fail(cause));
            }
        };
        // Answered too late it stays outstanding: the next attach tells of it.
        self.still_in_time(&mut core)?;
        core.outstanding.remove(&number);
        match grants.value[..] {
            [grant] if grant.mask == PortMask::of_port(port) => {
                core.take_up(&grant, grant.mask);
                Ok(BoundPort { local, port, grant: Some(grant.lsn) })
            }
            _ => Err(core.fail(CallError::WrongAnswer)),
        }
    }
}
