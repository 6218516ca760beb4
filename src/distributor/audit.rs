//! What must hold of the books, checked all at once.
//!
//! 1. The number of connections of a stack on a port is exact, and so is that of every affinity.
//! 2. The owner's books are those of the stacks: the same connections, listeners and quiesced ports,
//!    and affinities with the same number of connections.
//! 3. A DVIPA has an owner exactly if somebody routes for it, and both are the same stack.
//! 4. Every stack with a statement is in the chain or deactivated, never both; a deactivated one
//!    neither has the DVIPA nor waits for it; without an owner nobody is left who would make it.
//! 5. A stack is MOVING or QUIESCING only as long as it has connections.
//! 6. What the operator quiesced on a stack is quiesced for each of its DVIPAs.
#![forbid(unsafe_code)]

use super::error::AuditError;
use super::owner::{Distributor, Learnt};
use super::succession::{Status, Succession};
use super::sysplex::Sysplex;
use super::target::Target;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use std::collections::BTreeMap;

impl Distributor {
    /// Checks the counts.
    ///
    /// # Errors
    /// [`AuditError::Count`].
    pub fn audit(&self) -> Result<(), AuditError> {
        let (mut of_port, mut of_affinity) = (BTreeMap::new(), BTreeMap::new());
        for (flow, entry) in self.connections.iter() {
            *of_port.entry((flow.port, entry.stack.clone())).or_insert(0_u32) += 1;
            if let Some(serial) = entry.affinity {
                *of_affinity.entry(serial).or_insert(0_u32) += 1;
            }
        }
        let fault = |what, stack: &ConnectorName, port, count, found| AuditError::Count {
            dvipa: self.dvipa,
            what,
            stack: stack.clone(),
            port,
            count,
            found,
        };
        for key in self.connections.counts().keys().chain(of_port.keys()) {
            let count = self.connections.counts().get(key).copied().unwrap_or_default();
            let found = of_port.get(key).copied().unwrap_or_default();
            if count != found || count == 0 {
                return Err(fault("the number of connections", &key.1, key.0, count, found));
            }
        }
        for ((port, _), affinity) in self.affinities.iter() {
            let found = of_affinity.get(&affinity.serial).copied().unwrap_or_default();
            if affinity.count != found || (found == 0) != affinity.until.is_some() {
                return Err(fault("the count of an affinity", &affinity.stack, *port, affinity.count, found));
            }
        }
        Ok(())
    }
}

impl Sysplex {
    /// Checks everything.
    ///
    /// # Errors
    /// [`AuditError`]: a bug.
    pub fn audit(&self) -> Result<(), AuditError> {
        for (dvipa, seat) in &self.seats {
            let routes = seat.distributor.as_ref().map(Distributor::owner);
            let owner = seat.succession.owner();
            if routes != owner || owner.is_some_and(|owner| !self.stacks.contains_key(owner)) {
                return Err(AuditError::Owner { dvipa: *dvipa });
            }
            if let Some((stack, what)) = self.chain_fault(*dvipa, &seat.succession) {
                return Err(AuditError::Chain { dvipa: *dvipa, stack: stack.clone(), what });
            }
            let Some(distributor) = &seat.distributor else { continue };
            distributor.audit()?;
            for (name, stack) in &self.stacks {
                let empty = Target::new(name.clone());
                let books = stack.targets.get(dvipa).unwrap_or(&empty);
                if let Some(what) = distributor.differs(name, books) {
                    let owner = distributor.owner().clone();
                    return Err(AuditError::Books { dvipa: *dvipa, what, stack: name.clone(), owner });
                }
            }
        }
        for (name, stack) in &self.stacks {
            let differs = |(_, target): &(_, &Target)| !stack.quiesced.iter().eq(target.quiesced());
            if let Some((dvipa, _)) = stack.targets.iter().find(differs) {
                return Err(AuditError::Quiesced { dvipa: *dvipa, stack: name.clone() });
            }
        }
        Ok(())
    }

    /// A stack whose place in the chain is not what it should be, and why.
    fn chain_fault<'a>(&'a self, dvipa: Dvipa, chain: &'a Succession) -> Option<(&'a ConnectorName, &'static str)> {
        if let Some(fault) = chain.fault() {
            return Some(fault);
        }
        for (name, stack) in &self.stacks {
            let claim = stack.claims.get(&dvipa);
            let status = chain.status(name);
            let is_idle = self.is_idle_on(name, dvipa);
            let what = match status {
                _ if chain.role(name) != claim.map(|claim| claim.role) => "it has another statement in the chain",
                Some(Status::Moving | Status::Quiescing) if is_idle => "it gives connections up that it has not",
                Some(Status::Backup) if chain.owner().is_none() && claim.is_some_and(|claim| claim.creates) => {
                    "nobody has the DVIPA, and it would make it"
                }
                _ => continue,
            };
            return Some((name, what));
        }
        chain.order().into_iter().find(|name| !self.stacks.contains_key(*name)).map(|name| (name, "it is not there"))
    }
}

impl Distributor {
    /// What differs between these books and a stack's own.
    fn differs(&self, stack: &ConnectorName, books: &Target) -> Option<&'static str> {
        let peer = self.stacks.get(stack)?;
        let here = self.connections.iter().filter(|(_, entry)| entry.stack == *stack).map(|(flow, _)| flow);
        let of_stack = self.ports.values().flat_map(|at| &at.listeners).filter(|listener| listener.stack == *stack);
        let mut listeners: Vec<_> = of_stack.map(|listener| (&listener.server, listener.ready)).collect();
        listeners.sort_unstable();
        if !here.eq(books.connections()) {
            return Some("the connections");
        }
        if !listeners.into_iter().eq(books.listeners()) {
            return Some("the listeners");
        }
        if !peer.quiesced.iter().eq(books.quiesced()) {
            return Some("the quiesced servers");
        }
        let open = self.affinities.iter().filter(|(_, affinity)| affinity.stack == *stack && affinity.count > 0);
        if open.into_iter().any(|(key, affinity)| books.affinity_count(*key) != affinity.count) {
            return Some("the affinities with a connection");
        }
        matches!(peer.learnt, Learnt::Not { .. }).then_some("the changes heard of")
    }
}
