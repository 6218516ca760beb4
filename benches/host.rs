//! A stack on a store of its own, with groups in hand: what the benches and the instruction counts share.

use portplex::facility::{self, Clock, LocalFacility, Machine};
use portplex::ident::{BootId, ConnectorName, Identity, MachineId, ProcessId};
use portplex::profile::parse;
use portplex::stack::{Options, Refill, Stack};
use std::sync::Arc;
use std::thread;

/// The DVIPA.
pub(crate) const ADDRESS: &str = "10.1.1.1";

/// Groups in hand.
const GROUPS: u16 = 64;

/// A host.
pub(crate) struct Host {
    pub(crate) stack: Stack,
    _store: tempfile::TempDir,
}

impl Host {
    /// A stack that promises to stop within so many ms of losing its lease; 0 = it promises nothing.
    pub(crate) fn start(promise_ms: u64, clock: Arc<dyn Clock>) -> Self {
        let store = tempfile::tempdir().expect("a directory");
        let options = facility::Options { create: true, ..facility::Options::default() };
        let machine = Machine { clock: Arc::clone(&clock), ..Machine::real() };
        let facility = Arc::new(LocalFacility::open_on(&machine, store.path(), &options).expect("an empty store"));
        let text = format!(
            "TCPCONFIG TIMEWAITINTERVAL 0
             VIPADYNAMIC VIPADEFINE 255.255.255.0 {ADDRESS}
             VIPADISTRIBUTE SYSPLEXPORTS {ADDRESS} PORT 4035 DESTIP ALL ENDVIPADYNAMIC"
        );
        let identity = Identity { machine: MachineId(1), boot: BootId(1), process: ProcessId(1) };
        let refill = Refill { groups_min: GROUPS, at_once_max: GROUPS, ..Refill::default() };
        let options = Options { promise_ms, refill, clock, ..Options::default() };
        let name = ConnectorName::new("SYS1").expect("a name");
        let started = Stack::start(facility, name, parse(text.as_bytes()).0, identity, options);
        let stack = started.expect("the stack starts").0;
        while stack.usage()[0].grants < u32::from(GROUPS) {
            stack.tick();
            thread::yield_now();
        }
        Self { stack, _store: store }
    }
}
