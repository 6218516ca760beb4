//! Stacks on an embedded facility: what the benches of commits and of recovery share.

#![allow(dead_code, reason = "each of those that share it uses a part")]

use crate::figures::{now, since};
use crate::rules::target;
use portplex::facility::{Connection, Facility, LocalFacility, Machine, Options, Pending, inspect};
use portplex::ident::{BootId, ConnectorName, Identity, MachineId, PortSet, ProcessId, Transport};
use portplex::structure::{Grant, Introduction, Item, Member};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Groups of a list that a stack may have: ports 1,024 to 65,535.
pub(crate) const GROUPS: u64 = 1_008;
/// Groups there are.
const GROUPS_ALL: usize = 1_024;

/// A new store; what is given back may be taken again after a millisecond.
pub(crate) fn options() -> Options {
    Options { create: true, quarantine: Duration::from_millis(1), ..Options::default() }
}

/// As [`options`], and the log is all there is: no checkpoint, no packing.
pub(crate) fn log_only() -> Options {
    Options {
        checkpoint_log_bytes: u64::MAX,
        checkpoint_interval: Duration::from_secs(1_000_000),
        checkpoint_at_close: false,
        pack_log_bytes: u64::MAX,
        ..options()
    }
}

/// A stack, joined to so many lists from one on.
pub(crate) struct Asker {
    pub(crate) connection: Connection,
    pub(crate) members: Vec<Member>,
    /// The number of its first list.
    pub(crate) first: u32,
}

impl Asker {
    pub(crate) fn start(facility: &Arc<LocalFacility>, number: u32, first: u32, lists: u32) -> Self {
        let name = ConnectorName::new(&format!("SYS{number}")).expect("a name");
        let identity =
            Identity { machine: MachineId(number.into()), boot: BootId(1), process: ProcessId(number.into()) };
        let introduction = Introduction { name, identity, promise_ms: 0, enforced: false };
        let connection = facility.connect(introduction).expect("connected");
        let mut ports = PortSet::empty();
        ports.insert_range(1_024, 65_535);
        connection.set_allowable(Transport::Tcp, ports).expect("set");
        let mut members = Vec::new();
        for some in (first..first + lists).collect::<Vec<_>>().chunks(4_096) {
            let joins: Vec<_> = some.iter().map(|list| connection.submit_join(target(*list))).collect();
            members.extend(joins.into_iter().map(|join| join.wait().expect("joined").value.member));
        }
        Self { connection, members, first }
    }

    /// Takes so many groups, the next list each time, with `in_flight` requests on their way; tells each
    /// grant with its list's number and the ns from its request to its answer.
    pub(crate) fn take(&self, grants: u64, in_flight: usize, mut taken: impl FnMut(u32, Grant, u64)) {
        let mut waiting: VecDeque<(usize, std::time::Instant, Pending<Vec<Grant>>)> = VecDeque::new();
        let mut answer = |(list, asked, pending): (usize, std::time::Instant, Pending<Vec<Grant>>)| {
            let answered = pending.wait().expect("granted");
            assert_eq!(answered.value.len(), 1);
            taken(self.first + u32::try_from(list).expect("few"), answered.value[0], since(asked));
        };
        for number in 0..grants {
            if waiting.len() >= in_flight {
                answer(waiting.pop_front().expect("some wait"));
            }
            let list = usize::try_from(number).expect("few") % self.members.len();
            let asked = now();
            waiting.push_back((list, asked, self.connection.submit_acquire(self.members[list], 1, 1)));
        }
        waiting.into_iter().for_each(answer);
    }

    /// Gives grants back, with up to 8,192 requests on their way.
    pub(crate) fn give(&self, grants: &[Grant]) {
        for some in grants.chunks(8_192) {
            let release = |grant: &Grant| {
                let Grant { member, group, lsn, mask, .. } = *grant;
                self.connection.submit_release(member, group, lsn, mask)
            };
            let releases: Vec<_> = some.iter().map(release).collect();
            for release in releases {
                release.wait().expect("released");
            }
        }
    }
}

/// Which groups of which lists were given: none twice.
pub(crate) struct Marks(Vec<bool>);

impl Marks {
    pub(crate) fn new(lists: u32) -> Self {
        Self(vec![false; lists as usize * GROUPS_ALL])
    }

    pub(crate) fn mark(&mut self, list: u32, grant: &Grant) {
        let mark = &mut self.0[list as usize * GROUPS_ALL + grant.group.index()];
        assert!(!std::mem::replace(mark, true), "group {} of list {list} twice", grant.group.number());
    }
}

/// Reads a store that nobody serves: every invariant holds, and that many grants are held.
pub(crate) fn check(dir: &Path, grants: u64) {
    let found = inspect(&Machine::real(), dir).expect("the store can be read");
    assert_eq!(found.structure.audit(), Ok(()));
    let held = found.structure.items().filter(|item| matches!(item, Item::Grant { .. })).count();
    assert_eq!(held as u64, grants, "grants that are in the store");
}

/// Records that the facility stored since its open.
pub(crate) fn records(facility: &LocalFacility) -> u64 {
    facility.status().expect("a status").records
}
