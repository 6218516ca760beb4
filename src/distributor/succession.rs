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
use std::fmt;

/// The owner of one DVIPA, and who would be next.
#[derive(Clone, Debug, Default)]
pub struct Succession {
    /// The chain.
    claims: BTreeMap<ConnectorName, Role>,
    /// Whose statement does not count until the operator reactivates it.
    deactivated: BTreeMap<ConnectorName, Role>,
    owner: Option<ConnectorName>,
    /// When the DVIPA may be taken from its owner: as the statement said that made it active, also
    /// after a takeover.
    moveable: Moveable,
    /// A VIPADEFINE that waits for the last connection to end, and what it says of moving.
    waiting: Option<(ConnectorName, Moveable)>,
    /// Who gave the DVIPA up and still has connections.
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
    /// Its owner is gone, or deactivated, and the next in the chain has it.
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
    /// Its owner is gone, or deactivated, and there is no backup: nobody has it.
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
    /// Deactivated, and it still has connections that the new owner forwards to it.
    Quiescing,
    /// The operator deactivated it: it is in no chain.
    Deactivated,
}

/// The word of the display.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "ACTIVE",
            Self::Moving => "MOVING",
            Self::Backup => "BACKUP",
            Self::Quiescing => "QUIESCING",
            Self::Deactivated => "DEACTIVATED",
        })
    }
}

impl Succession {
    /// The owner.
    #[must_use]
    pub const fn owner(&self) -> Option<&ConnectorName> {
        self.owner.as_ref()
    }

    /// A stack's statement, also of a deactivated one.
    #[must_use]
    pub fn role(&self, stack: &ConnectorName) -> Option<Role> {
        self.claims.get(stack).or_else(|| self.deactivated.get(stack)).copied()
    }

    /// What a stack is to the DVIPA; `None` without a statement of its own.
    #[must_use]
    pub fn status(&self, stack: &ConnectorName) -> Option<Status> {
        let is_moving = self.moving.contains(stack);
        if self.deactivated.contains_key(stack) {
            return Some(if is_moving { Status::Quiescing } else { Status::Deactivated });
        }
        self.claims.get(stack)?;
        Some(if self.owner.as_ref() == Some(stack) {
            Status::Active
        } else if is_moving {
            Status::Moving
        } else {
            Status::Backup
        })
    }

    /// The stacks whose statement counts, in the order in which they would have the DVIPA.
    #[must_use]
    pub fn order(&self) -> Vec<&ConnectorName> {
        let mut order: Vec<(&ConnectorName, Role)> = self.claims.iter().map(|(stack, role)| (stack, *role)).collect();
        order.sort_by_key(|(_, role)| std::cmp::Reverse(rank(*role)));
        order.into_iter().map(|(stack, _)| stack).collect()
    }

    /// A stack with a statement comes, or its statement counts again. `is_idle`: nobody has a
    /// connection to the DVIPA.
    pub fn join(&mut self, stack: &ConnectorName, claim: &Claim, is_idle: bool) -> Option<Move> {
        self.claims.insert(stack.clone(), claim.role);
        self.deactivated.remove(stack);
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
        self.deactivated.remove(stack);
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
        let Some(by) = next else {
            // Nobody forwards to those that gave it up before.
            self.moving.clear();
            return Some(Move::Lost { from });
        };
        if let Some((_, moveable)) = self.waiting.take_if(|(waiting, _)| *waiting == by) {
            self.moveable = moveable;
        }
        self.moving.remove(&by);
        Some(Move::TakenOver { from, by })
    }

    /// The operator deactivates it on a stack with a statement: as if it were deleted there, but the
    /// statement is kept. `has_connections`: the stack has some, which another one may keep.
    pub fn deactivate(&mut self, stack: &ConnectorName, has_connections: bool) -> Option<Move> {
        let role = self.claims.get(stack).copied()?;
        let gives_up = self.owner.as_ref() == Some(stack) || self.moving.contains(stack);
        let moved = self.leave(stack);
        self.deactivated.insert(stack.clone(), role);
        if gives_up && has_connections && self.owner.is_some() {
            self.moving.insert(stack.clone());
        }
        moved
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

    /// A stack that is in two places, and why that cannot be.
    pub(super) fn fault(&self) -> Option<(&ConnectorName, &'static str)> {
        let (chain, waiting) = (&self.claims, self.waiting.as_ref().map(|(waiting, _)| waiting));
        let outside = |stack: &&ConnectorName| !chain.contains_key(*stack);
        let twice = self.deactivated.keys().find(|stack| chain.contains_key(*stack));
        let owner = self.owner.iter().find(outside).map(|stack| (stack, "it has the DVIPA and is not in the chain"));
        let waits = waiting.filter(outside).map(|stack| (stack, "it waits and is not in the chain"));
        let moves = self.owner.iter().find(|owner| self.moving.contains(*owner) || waiting == Some(*owner));
        twice
            .map(|stack| (stack, "it is in the chain and deactivated"))
            .or(owner)
            .or(waits)
            .or_else(|| moves.map(|stack| (stack, "it has the DVIPA and gives it up, or waits for it")))
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
