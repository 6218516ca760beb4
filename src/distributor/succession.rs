//! Who owns a DVIPA: takeover by rank, takeback, MOVEABLE.
//!
//! All stacks exchange their VIPADEFINE and VIPABACKUP statements, so that each knows the order
//! (IP Configuration Guide, dynamic VIPA takeover).
#![forbid(unsafe_code)]

use super::claim::Claim;
use crate::ident::ConnectorName;
use crate::profile::Moveable;
use crate::profile::Role;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// The owner of one DVIPA, and who would be next.
#[derive(Clone, Debug, Default)]
pub struct Succession {
    claims: BTreeMap<ConnectorName, Role>,
    owner: Option<ConnectorName>,
    /// When the DVIPA may be taken from its owner: as the statement said that made it active, also
    /// after a takeover.
    moveable: Moveable,
    /// A VIPADEFINE that waits for the last connection to end, and what it says of moving.
    waiting: Option<(ConnectorName, Moveable)>,
    moving: BTreeSet<ConnectorName>,
}

/// The DVIPA changed hands, or will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nobody had it.
    Created {
        /// Who has it now.
        by: ConnectorName,
    },
    /// Its owner is gone, the next in the chain has it.
    TakenOver {
        /// Who had it.
        from: ConnectorName,
        /// Who has it now.
        by: ConnectorName,
    },
    /// A stack with VIPADEFINE came (back) and has it. The stack that had it is MOVING until the
    /// last of its connections has ended.
    TakenBack {
        /// Who had it.
        from: ConnectorName,
        /// Who has it now.
        by: ConnectorName,
    },
    /// MOVEABLE WHENIDLE: a stack with VIPADEFINE waits for the last connection to end.
    Waits {
        /// The stack.
        by: ConnectorName,
    },
    /// Its owner is gone and there is no backup: nobody has it.
    Lost {
        /// Who had it.
        from: ConnectorName,
    },
}

/// What a stack is to a DVIPA, as Netstat VIPADYN/-v shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has the DVIPA.
    Active,
    /// It gave the DVIPA back and still has connections; their packets are forwarded to it.
    Moving,
    /// It would have it, or waits for it.
    Backup,
}

impl Succession {
    /// The owner.
    #[must_use]
    pub const fn owner(&self) -> Option<&ConnectorName> {
        self.owner.as_ref()
    }

    /// A stack's statement.
    #[must_use]
    pub fn role(&self, stack: &ConnectorName) -> Option<Role> {
        self.claims.get(stack).copied()
    }

    /// What a stack is to the DVIPA; `None` without a statement of its own.
    #[must_use]
    pub fn status(&self, stack: &ConnectorName) -> Option<Status> {
        self.claims.get(stack)?;
        Some(if self.owner.as_ref() == Some(stack) {
            Status::Active
        } else if self.moving.contains(stack) {
            Status::Moving
        } else {
            Status::Backup
        })
    }

    /// The stacks with a statement, in the order in which they would have the DVIPA.
    #[must_use]
    pub fn order(&self) -> Vec<&ConnectorName> {
        let mut order: Vec<(&ConnectorName, Role)> = self.claims.iter().map(|(stack, role)| (stack, *role)).collect();
        order.sort_by_key(|(_, role)| std::cmp::Reverse(rank(*role)));
        order.into_iter().map(|(stack, _)| stack).collect()
    }

    /// A stack with a statement comes. `is_idle`: nobody has a connection to the DVIPA.
    pub fn join(&mut self, stack: &ConnectorName, claim: &Claim, is_idle: bool) -> Option<Move> {
        self.claims.insert(stack.clone(), claim.role);
        match (self.owner.clone(), claim.role) {
            (Some(from), Role::Define) if from != *stack => {
                if self.moveable == Moveable::WhenIdle && !is_idle {
                    self.waiting = Some((stack.clone(), claim.moveable));
                    return Some(Move::Waits { by: stack.clone() });
                }
                Some(self.take_back(from, stack.clone(), claim.moveable))
            }
            (None, _) if claim.creates => {
                self.owner = Some(stack.clone());
                self.moveable = claim.moveable;
                Some(Move::Created { by: stack.clone() })
            }
            _ => None,
        }
    }

    /// A stack is gone: it failed, or left the group.
    pub fn leave(&mut self, stack: &ConnectorName) -> Option<Move> {
        self.claims.remove(stack);
        self.moving.remove(stack);
        if self.waiting.as_ref().is_some_and(|(waiting, _)| waiting == stack) {
            self.waiting = None;
        }
        if self.owner.as_ref() != Some(stack) {
            return None;
        }
        let next = self.order().first().map(|next| (*next).clone());
        self.owner.clone_from(&next);
        let from = stack.clone();
        let Some(by) = next else { return Some(Move::Lost { from }) };
        if let Some((_, moveable)) = self.waiting.take_if(|(waiting, _)| *waiting == by) {
            self.moveable = moveable;
        }
        self.moving.remove(&by);
        Some(Move::TakenOver { from, by })
    }

    /// The last connection to the DVIPA ended: who waits for that has it.
    pub fn idle(&mut self) -> Option<Move> {
        let (by, moveable) = self.waiting.take()?;
        let from = self.owner.clone()?;
        Some(self.take_back(from, by, moveable))
    }

    /// The last connection of a stack ended: it is MOVING no longer.
    pub fn moved(&mut self, stack: &ConnectorName) {
        self.moving.remove(stack);
    }

    fn take_back(&mut self, from: ConnectorName, by: ConnectorName, moveable: Moveable) -> Move {
        self.moving.remove(&by);
        self.moving.insert(from.clone());
        self.owner = Some(by.clone());
        self.moveable = moveable;
        self.waiting = None;
        Move::TakenBack { from, by }
    }
}

/// VIPADEFINE before every backup.
const fn rank(role: Role) -> u8 {
    match role {
        Role::Define => u8::MAX,
        Role::Backup { rank } => rank,
    }
}
