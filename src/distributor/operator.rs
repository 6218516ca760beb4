//! What the operator says: VARY TCPIP,,SYSPLEX with QUIESCE and RESUME, DEACTIVATE and REACTIVATE.
//!
//! QUIESCE keeps new work from servers of one stack. DEACTIVATE makes a DVIPA look as if it were
//! deleted there, so that the next stack of the chain has it, and keeps the statement for
//! REACTIVATE (IP Configuration Guide, manually initiated takeover).
#![forbid(unsafe_code)]

use super::error::SysplexError;
use super::server::Scope;
use super::succession::{Move, Status};
use super::sysplex::{Stack, Sysplex};
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use std::collections::BTreeSet;

impl Sysplex {
    /// QUIESCE: a stack's servers get no new distributed connections, of any DVIPA, except from
    /// clients with an affinity; what is established stays. RESUME (`quiesced` false) takes the same
    /// scope back.
    ///
    /// # Errors
    /// [`SysplexError::UnknownStack`].
    pub fn set_quiesced(
        &mut self,
        now: BootMs,
        stack: &ConnectorName,
        scope: &Scope,
        quiesced: bool,
    ) -> Result<(), SysplexError> {
        let of_stack = self.stack(stack)?;
        if quiesced {
            of_stack.quiesced.insert(scope.clone());
        } else {
            of_stack.quiesced.remove(scope);
        }
        let known: Vec<Dvipa> = of_stack.targets.keys().copied().collect();
        let dvipas: BTreeSet<Dvipa> = self.seats.keys().copied().chain(known).collect();
        for dvipa in dvipas {
            let notice = self.target(stack, dvipa)?.set_quiesced(scope.clone(), quiesced);
            self.tell(now, dvipa, &notice);
        }
        Ok(())
    }

    /// DEACTIVATE: a stack gives up a DVIPA, or its place in the chain. The next in the chain has it
    /// at once, also under MOVEABLE WHENIDLE: that word is for stacks that take it unasked. The
    /// stack is QUIESCING until the last of its connections has ended, if another stack can keep
    /// them; then, or without any, it is DEACTIVATED. It stays a target as long as a rule names it.
    ///
    /// # Errors
    /// [`SysplexError::NotConfigured`] without VIPADEFINE or VIPABACKUP of the DVIPA on that stack,
    /// [`SysplexError::Deactivated`] if it is so already, [`SysplexError::UnknownStack`].
    pub fn deactivate(
        &mut self,
        now: BootMs,
        stack: &ConnectorName,
        dvipa: Dvipa,
    ) -> Result<Option<Move>, SysplexError> {
        if self.is_deactivated(stack, dvipa)? {
            return Err(SysplexError::Deactivated { stack: stack.clone(), dvipa });
        }
        let has_connections = !self.is_idle_on(stack, dvipa);
        let seat = self.seats.get_mut(&dvipa);
        let moved = seat.and_then(|seat| seat.succession.deactivate(stack, has_connections));
        if let Some(moved) = &moved {
            self.settle(now, dvipa, moved);
        }
        Ok(moved)
    }

    /// REACTIVATE: the statement counts again. VIPADEFINE takes the DVIPA back, at once or when it
    /// is idle (MOVEABLE); VIPABACKUP is in the chain again.
    ///
    /// # Errors
    /// [`SysplexError::NotConfigured`] without VIPADEFINE or VIPABACKUP of the DVIPA on that stack,
    /// [`SysplexError::NotDeactivated`], [`SysplexError::UnknownStack`].
    pub fn reactivate(
        &mut self,
        now: BootMs,
        stack: &ConnectorName,
        dvipa: Dvipa,
    ) -> Result<Option<Move>, SysplexError> {
        if !self.is_deactivated(stack, dvipa)? {
            return Err(SysplexError::NotDeactivated { stack: stack.clone(), dvipa });
        }
        let is_idle = self.is_idle(dvipa);
        let claim = self.stacks.get(stack).and_then(|stack| stack.claims.get(&dvipa));
        let seat = self.seats.get_mut(&dvipa).zip(claim);
        let moved = seat.and_then(|(seat, claim)| seat.succession.join(stack, claim, is_idle));
        if let Some(moved) = &moved {
            self.settle(now, dvipa, moved);
        }
        Ok(moved)
    }

    fn is_deactivated(&mut self, stack: &ConnectorName, dvipa: Dvipa) -> Result<bool, SysplexError> {
        if !self.stack(stack)?.claims.contains_key(&dvipa) {
            return Err(SysplexError::NotConfigured { stack: stack.clone(), dvipa });
        }
        let status = self.seats.get(&dvipa).and_then(|seat| seat.succession.status(stack));
        Ok(matches!(status, Some(Status::Quiescing | Status::Deactivated)))
    }

    fn stack(&mut self, stack: &ConnectorName) -> Result<&mut Stack, SysplexError> {
        self.stacks.get_mut(stack).ok_or_else(|| SysplexError::UnknownStack { stack: stack.clone() })
    }
}
