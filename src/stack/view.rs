//! What the fast path needs of a stack: looked at without a lock, replaced as a whole.
#![forbid(unsafe_code)]

use super::Local;
use super::Stack;
use super::core::{Core, target};
use super::hand::Ports;
use super::own::own_allowable;
use crate::ident::Dvipa;
use crate::ident::Lsn;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;
use crate::profile::Profile;
use std::sync::Arc;

/// The lists that are joined, and the profile in force.
#[derive(Debug)]
pub(super) struct View {
    pub(super) profile: Arc<Profile>,
    pub(super) allowable: PortSet,
    pub(super) own_allowable: PortSet,
    /// In the order of their DVIPAs' numbers: two words are compared faster than two addresses.
    lists: Vec<(u128, Listed)>,
    pool: Option<Arc<Ports>>,
    /// The stack's own ports: no list's.
    pub(super) own: Arc<Ports>,
}

#[derive(Debug)]
struct Listed {
    ports: Arc<Ports>,
    is_left: bool,
}

impl View {
    pub(super) fn new(profile: Arc<Profile>, core: &Core) -> Self {
        let listed = |(target, list): (&Target, &super::core::List)| match target {
            Target::List(dvipa, Transport::Tcp) => {
                Some((number(*dvipa), Listed { ports: Arc::clone(&list.hand.ports), is_left: list.is_left }))
            }
            _ => None,
        };
        let mut lists: Vec<_> = core.lists.iter().filter_map(listed).collect();
        lists.sort_unstable_by_key(|(number, _)| *number);
        let pool = core.lists.get(&Target::Pool(Transport::Tcp));
        Self {
            allowable: profile.allowable(Transport::Tcp),
            own_allowable: own_allowable(&profile),
            profile,
            lists,
            pool: pool.map(|list| Arc::clone(&list.hand.ports)),
            own: Arc::clone(&core.own.hand.ports),
        }
    }

    /// The ports of a DVIPA's list, if binds are served from it.
    pub(super) fn list(&self, dvipa: Dvipa) -> Option<&Arc<Ports>> {
        self.listed(dvipa).filter(|listed| !listed.is_left).map(|listed| &listed.ports)
    }

    fn listed(&self, dvipa: Dvipa) -> Option<&Listed> {
        let at = self.lists.binary_search_by_key(&number(dvipa), |(number, _)| *number).ok()?;
        Some(&self.lists[at].1)
    }

    /// The ports of the explicit-bind pool.
    pub(super) fn pool(&self) -> Option<&Arc<Ports>> {
        self.pool.as_ref()
    }

    /// Whether source ports of this DVIPA are assigned sysplex-wide.
    pub(super) fn is_sysplexports(&self, dvipa: Dvipa) -> bool {
        self.profile.dvipa(dvipa).is_some_and(|definition| definition.sysplexports)
    }

    /// Every hand.
    pub(super) fn each(&self) -> impl Iterator<Item = &Arc<Ports>> {
        self.lists.iter().map(|(_, listed)| &listed.ports).chain(self.pool.as_ref()).chain([&self.own])
    }

    /// Where a port came from: the list or pool that granted it, or the stack itself.
    pub(super) fn ports(&self, local: Local, grant: Option<Lsn>) -> Option<&Arc<Ports>> {
        match (grant, local) {
            (None, _) => Some(&self.own),
            (Some(_), Local::Address(dvipa)) => self.listed(dvipa).map(|listed| &listed.ports),
            (Some(_), Local::Any) => self.pool.as_ref(),
        }
    }
}

/// A DVIPA as a number of its own.
fn number(dvipa: Dvipa) -> u128 {
    u128::from_be_bytes(dvipa.to_bytes())
}

/// The list or pool that a port was granted from.
pub(super) fn target_of(local: Local) -> Target {
    match local {
        Local::Address(dvipa) => target(dvipa),
        Local::Any => Target::Pool(Transport::Tcp),
    }
}

/// The local address that a list or pool is for.
pub(super) fn local_of(target: Target) -> Local {
    match target {
        Target::List(dvipa, _) => Local::Address(dvipa),
        Target::Pool(_) => Local::Any,
    }
}

impl Stack {
    /// Shows the fast path what changed behind the lock, and every hand what it may hand out.
    pub(super) fn show(&self, core: &mut Core, profile: Arc<Profile>) {
        for list in core.lists.values_mut() {
            list.hand.set_rest(u64::from(profile.time_wait_s) * 1_000);
        }
        core.own.hand.set_rest(u64::from(profile.time_wait_s) * 1_000);
        let view = View::new(profile, core);
        core.sort_out(&view);
        self.view.store(Arc::new(view));
    }
}
