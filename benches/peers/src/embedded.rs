//! Portplex in this process.

use crate::work::{Caller, DVIPAS, Peer};
use portplex::facility::{Connection, Facility, LocalFacility, Options};
use portplex::ident::{BootId, ConnectorName, Identity, MachineId, PortSet, ProcessId, Target, Transport};
use portplex::structure::{Grant, Introduction, Item, Member};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

struct Embedded(Arc<LocalFacility>);

/// A stack, whatever hosts the structure.
struct Stack {
    connection: Connection,
    members: Vec<Member>,
    held: Vec<Grant>,
}

pub fn start(dir: &Path) -> Result<Box<dyn Peer>, String> {
    // No peer has a quarantine: here it is as short as it can be.
    let options = Options { create: true, quarantine: Duration::from_millis(1), ..Options::default() };
    let facility = LocalFacility::open(dir.join("store"), &options).map_err(|error| error.to_string())?;
    Ok(Box::new(Embedded(Arc::new(facility))))
}

impl Peer for Embedded {
    fn caller(&self, number: u32) -> Box<dyn Caller> {
        stack(Arc::clone(&self.0) as Arc<dyn Facility>, number)
    }

    fn held(&self) -> u64 {
        held(&*self.0)
    }
}

/// A stack of that number, joined to every list.
pub fn stack(facility: Arc<dyn Facility>, number: u32) -> Box<dyn Caller> {
    let identity = Identity { machine: MachineId(number.into()), boot: BootId(1), process: ProcessId(number.into()) };
    let name = ConnectorName::new(&format!("SYS{number}")).expect("a name");
    let introduction = Introduction { name, identity, promise_ms: 0, enforced: false };
    let connection = Connection::connect(facility, introduction).expect("connected");
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 65_535);
    connection.set_allowable(Transport::Tcp, ports).expect("set");
    let joins: Vec<_> = (0..DVIPAS).map(|dvipa| connection.submit_join(target(dvipa))).collect();
    let members = joins.into_iter().map(|join| join.wait().expect("joined").value.member).collect();
    Box::new(Stack { connection, members, held: Vec::new() })
}

/// The list of a DVIPA.
pub fn target(dvipa: u16) -> Target {
    Target::List(format!("10.1.1.{dvipa}").parse().expect("an address"), Transport::Tcp)
}

pub fn held(facility: &dyn Facility) -> u64 {
    let items = facility.list().expect("the state");
    items.iter().filter(|item| matches!(item, Item::Grant { .. })).count() as u64
}

impl Caller for Stack {
    fn take(&mut self, dvipa: u16) -> u16 {
        let granted = self.connection.acquire(self.members[usize::from(dvipa)], 1, 1).expect("a free group");
        let grant = granted.value[0];
        assert_eq!(grant.mask.count(), 64, "a whole group");
        self.held.push(grant);
        grant.group.number()
    }

    fn give(&mut self, dvipa: u16, group: u16) {
        let member = self.members[usize::from(dvipa)];
        let is_meant = |grant: &Grant| grant.member == member && grant.group.number() == group;
        let at = self.held.iter().position(is_meant).expect("it was taken");
        let grant = self.held.swap_remove(at);
        self.connection.release(grant.member, grant.group, grant.lsn, grant.mask).expect("its own group");
    }
}
