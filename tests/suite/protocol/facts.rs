//! What steps of the world need to know of a structure without having it at hand.

use super::store::ports_of;
use super::store::target;
use super::world::Grant;
use portplex::ident::ConnectorName;
use portplex::structure::{ConnectorState, Item, Member, StopCause, Structure};

/// One connector as the model sees it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) incarnation: u64,
    pub(super) is_failed: bool,
    pub(super) machine: u128,
    pub(super) boot: u128,
    pub(super) promise_ms: u64,
    pub(super) enforced: bool,
    pub(super) held: Vec<Grant>,
}

/// One structure in short.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) lsn: u64,
    pub(super) names: [Option<Known>; 2],
    /// Whether anything is in quarantine.
    pub(super) rests: bool,
    pub(super) stop: Option<StopCause>,
    /// The highest lsn that a stack named.
    pub(super) highest: u64,
}

/// The two names of stacks.
pub(super) fn name(number: u8) -> ConnectorName {
    ConnectorName::new(["A", "B"][usize::from(number)]).expect("a name")
}

impl Facts {
    pub(super) fn of(structure: &Structure, ports: &[u16]) -> Self {
        let known = |number: u8| {
            let view = structure.connector(&name(number))?;
            let member = structure.member(view.actor.slot, target());
            Some(Known {
                incarnation: view.actor.incarnation.0,
                is_failed: view.state == ConnectorState::FailedPersistent,
                machine: view.identity.machine.0,
                boot: view.identity.boot.0,
                promise_ms: view.promise_ms,
                enforced: view.enforced,
                held: member.map_or_else(Vec::new, |member| held(structure, member, ports)),
            })
        };
        Self {
            lsn: structure.lsn().0,
            names: [known(0), known(1)],
            rests: structure.items().any(|item| matches!(item, Item::Quarantine { .. })),
            stop: structure.stop().map(|stop| stop.cause),
            highest: structure.stop().map_or(0, |stop| stop.highest.0),
        }
    }
}

fn held(structure: &Structure, of: Member, ports: &[u16]) -> Vec<Grant> {
    let own = structure.items().filter_map(|item| match item {
        Item::Grant { lsn, member, group, mask, number } if member == of.slot => {
            Some(Grant { lsn: lsn.0, ports: ports_of(ports, group, mask), number })
        }
        _ => None,
    });
    own.collect()
}
