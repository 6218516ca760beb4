//! Stacks come and go, and DVIPAs with them.
#![forbid(unsafe_code)]

use super::claim::Claim;
use super::error::SysplexError;
use super::owner::Distributor;
use super::rule::Load;
use super::succession::Move;
use super::sysplex::{Stack, Sysplex};
use super::target::Target;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::profile::Profile;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

impl Sysplex {
    /// A stack comes with its profile, without listeners or connections. What its VIPADEFINE claims
    /// is its own again, at once or when it is idle (MOVEABLE).
    ///
    /// # Errors
    /// [`SysplexError::AlreadyJoined`].
    pub fn join(
        &mut self,
        now: BootMs,
        stack: ConnectorName,
        profile: &Profile,
    ) -> Result<Vec<(Dvipa, Move)>, SysplexError> {
        let xcf = profile.ip.dynamic_xcf.into_iter().chain(profile.ip6.dynamic_xcf.map(IpAddr::V6)).collect();
        let claims = profile.dvipas.iter().map(|definition| (definition.dvipa, Claim::from(definition)));
        self.join_with(now, stack, xcf, claims.collect())
    }

    /// As [`join`](Self::join), with the dynamic XCF addresses and claims spelled out.
    ///
    /// # Errors
    /// [`SysplexError::AlreadyJoined`].
    pub fn join_with(
        &mut self,
        now: BootMs,
        stack: ConnectorName,
        xcf: Vec<IpAddr>,
        claims: BTreeMap<Dvipa, Claim>,
    ) -> Result<Vec<(Dvipa, Move)>, SysplexError> {
        if self.stacks.contains_key(&stack) {
            return Err(SysplexError::AlreadyJoined { stack });
        }
        for distributor in self.seats.values_mut().filter_map(|seat| seat.distributor.as_mut()) {
            distributor.add_stack(stack.clone(), xcf.clone());
            let _ = distributor.learn(now, &Target::new(stack.clone()).report(now));
        }
        let new = Stack {
            xcf,
            claims: claims.clone(),
            targets: BTreeMap::new(),
            system: Load::default(),
            servers: BTreeMap::new(),
            quiesced: BTreeSet::new(),
        };
        self.stacks.insert(stack.clone(), new);
        let mut moves = Vec::new();
        for (dvipa, claim) in &claims {
            let is_idle = self.is_idle(*dvipa);
            let seat = self.seats.entry(*dvipa).or_default();
            if let Some(moved) = seat.succession.join(&stack, claim, is_idle) {
                self.settle(now, *dvipa, &moved);
                moves.push((*dvipa, moved));
            }
        }
        Ok(moves)
    }

    /// A stack is gone: it failed, or left the group. Its connections and listeners are gone; the
    /// DVIPAs it had go to the next in the chain, with the connections of all others.
    ///
    /// # Errors
    /// [`SysplexError::UnknownStack`].
    pub fn leave(&mut self, now: BootMs, stack: &ConnectorName) -> Result<Vec<(Dvipa, Move)>, SysplexError> {
        let unknown = || SysplexError::UnknownStack { stack: stack.clone() };
        self.stacks.remove(stack).ok_or_else(unknown)?;
        let mut moves = Vec::new();
        for (dvipa, seat) in &mut self.seats {
            if let Some(distributor) = &mut seat.distributor {
                distributor.remove_stack(stack);
            }
            moves.extend(seat.succession.leave(stack).map(|moved| (*dvipa, moved)));
        }
        for (dvipa, moved) in &moves {
            self.settle(now, *dvipa, moved);
        }
        // With the last connection of a stack that is gone, a DVIPA can have become idle.
        let dvipas: Vec<Dvipa> = self.seats.keys().copied().collect();
        for dvipa in dvipas.into_iter().filter(|dvipa| self.is_idle(*dvipa)).collect::<Vec<Dvipa>>() {
            let moved = self.seats.get_mut(&dvipa).and_then(|seat| seat.succession.idle());
            if let Some(moved) = moved {
                self.settle(now, dvipa, &moved);
                moves.push((dvipa, moved));
            }
        }
        self.drop_unclaimed();
        Ok(moves)
    }

    /// A stack's profile changed (VARY TCPIP,,OBEYFILE): its claims are now those of `profile`. What
    /// it claims no longer goes to the next in the chain; connections stay where they are. A
    /// deactivated DVIPA stays so as long as its statement is the same.
    ///
    /// # Errors
    /// [`SysplexError::UnknownStack`].
    pub fn obey(
        &mut self,
        now: BootMs,
        stack: &ConnectorName,
        profile: &Profile,
    ) -> Result<Vec<(Dvipa, Move)>, SysplexError> {
        let unknown = || SysplexError::UnknownStack { stack: stack.clone() };
        let claims = profile.dvipas.iter().map(|definition| (definition.dvipa, Claim::from(definition)));
        let new: BTreeMap<Dvipa, Claim> = claims.collect();
        let of_stack = self.stacks.get_mut(stack).ok_or_else(unknown)?;
        let old = std::mem::replace(&mut of_stack.claims, new.clone());
        let mut moves = Vec::new();
        for dvipa in old.keys().filter(|dvipa| !new.contains_key(dvipa)) {
            let moved = self.seats.get_mut(dvipa).and_then(|seat| seat.succession.leave(stack));
            moves.extend(moved.map(|moved| (*dvipa, moved)));
        }
        for (dvipa, claim) in &new {
            let is_idle = self.is_idle(*dvipa);
            let seat = self.seats.entry(*dvipa).or_default();
            let Some(before) = old.get(dvipa).filter(|before| before.role == claim.role) else {
                moves.extend(seat.succession.join(stack, claim, is_idle).map(|moved| (*dvipa, moved)));
                continue;
            };
            let is_owner = seat.succession.owner() == Some(stack);
            if let Some(distributor) = seat.distributor.as_mut().filter(|_| is_owner && before.rules != claim.rules) {
                seat.rules.clone_from(&claim.rules);
                distributor.set_rules(claim.rules.clone());
            }
        }
        for (dvipa, moved) in &moves {
            self.settle(now, *dvipa, moved);
        }
        self.drop_unclaimed();
        Ok(moves)
    }

    /// Forgets the DVIPAs that no stack claims.
    fn drop_unclaimed(&mut self) {
        let stacks = &self.stacks;
        self.seats.retain(|dvipa, _| stacks.values().any(|stack| stack.claims.contains_key(dvipa)));
    }

    /// Makes what [`Succession`](super::Succession) decided come true: the new owner starts with
    /// empty books and learns every listener, connection and affinity again from every stack, its
    /// own among them.
    pub(super) fn settle(&mut self, now: BootMs, dvipa: Dvipa, moved: &Move) {
        let Some(seat) = self.seats.get_mut(&dvipa) else { return };
        let owner = match moved {
            Move::Waits { .. } => return,
            Move::Lost { .. } => {
                seat.distributor = None;
                return;
            }
            Move::Created { by } | Move::TakenOver { by, .. } | Move::TakenBack { by, .. } => by,
        };
        let own = self.stacks.get(owner).and_then(|stack| stack.claims.get(&dvipa));
        if let Some(claim) = own.filter(|claim| !claim.rules.is_empty()) {
            seat.rules.clone_from(&claim.rules);
        }
        let mut distributor = Distributor::new(dvipa, owner.clone(), seat.rules.clone(), self.options);
        for (name, stack) in &mut self.stacks {
            distributor.add_stack(name.clone(), stack.xcf.clone());
            distributor.set_load(name, None, stack.system);
            for ((_, port), load) in stack.servers.range((dvipa, 0)..=(dvipa, u16::MAX)) {
                distributor.set_load(name, Some(*port), *load);
            }
            let _ = distributor.learn(now, &stack.target(name, dvipa).report(now));
        }
        seat.distributor = Some(distributor);
        let Move::TakenBack { from, .. } = moved else { return };
        if self.is_idle_on(from, dvipa)
            && let Some(seat) = self.seats.get_mut(&dvipa)
        {
            seat.succession.moved(from);
        }
    }
}
