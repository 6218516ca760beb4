//! What must hold of the books, checked all at once.
//!
//! 1. The number of connections of a stack on a port is exact, and so is that of every affinity.
//! 2. The owner's books are those of the stacks: the same connections, listeners and quiesced ports,
//!    and affinities with the same number of connections.
//! 3. A DVIPA has an owner exactly if somebody routes for it, and both are the same stack.
#![forbid(unsafe_code)]

use super::error::AuditError;
use super::owner::{Distributor, Learnt};
use super::sysplex::Sysplex;
use super::target::Target;
use crate::ident::ConnectorName;
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
        Ok(())
    }
}

impl Distributor {
    /// What differs between these books and a stack's own.
    fn differs(&self, stack: &ConnectorName, books: &Target) -> Option<&'static str> {
        let peer = self.stacks.get(stack)?;
        let here = self.connections.iter().filter(|(_, entry)| entry.stack == *stack).map(|(flow, _)| flow);
        let ready = self.ports.iter().map(|(port, at)| (*port, at.ready(stack))).filter(|(_, ready)| *ready > 0);
        if !here.eq(books.connections()) {
            return Some("the connections");
        }
        if !ready.eq(books.listeners()) {
            return Some("the listeners");
        }
        if !peer.quiesced.iter().eq(books.quiesced()) {
            return Some("the quiesced ports");
        }
        let open = self.affinities.iter().filter(|(_, affinity)| affinity.stack == *stack && affinity.count > 0);
        if open.into_iter().any(|(key, affinity)| books.affinity_count(*key) != affinity.count) {
            return Some("the affinities with a connection");
        }
        matches!(peer.learnt, Learnt::Not { .. }).then_some("the changes heard of")
    }
}
