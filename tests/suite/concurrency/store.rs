//! A small store on the simulated disk, and what of it a power cut would leave at any moment.

use portplex::checkpoint::FlatStore;
use portplex::disk::sim::{Loss, SimDisk};
use portplex::facility::{self, Clock, LocalFacility, Machine, Options, SetClock};
use portplex::ident::{BootId, ConnectorName, Dvipa, Identity, Lsn, MachineId, ProcessId, Target, Transport};
use portplex::structure::{Introduction, Structure};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/store";

/// The disk and what is on it.
pub(super) struct Store {
    pub(super) disk: SimDisk,
}

/// What somebody was shown, and what was durable then.
pub(super) struct Shown {
    pub(super) what: String,
    pub(super) lsn: Lsn,
    pub(super) disk: SimDisk,
}

impl Store {
    pub(super) fn new() -> Self {
        Self { disk: SimDisk::new() }
    }

    pub(super) fn open(&self, queue_length: usize) -> LocalFacility {
        let options = Options {
            create: true,
            segment_size: 16 << 10,
            queue_length,
            checkpoint_at_close: false,
            seed: Some(7),
            ..Options::default()
        };
        LocalFacility::open_on(&machine(&self.disk), Path::new(DIR), &options).expect("the store opens")
    }

    /// Notes what a power cut now would leave.
    pub(super) fn shown(&self, what: impl Into<String>, lsn: Lsn) -> Shown {
        Shown { what: what.into(), lsn, disk: self.disk.after_power_cut(&Loss::Everything) }
    }
}

impl Shown {
    /// What it tells of was durable when it was shown.
    pub(super) fn assert_was_durable(&self) {
        let durable = structure_on(&self.disk).lsn();
        assert!(durable >= self.lsn, "{}: shown up to lsn {}, durable up to {durable}", self.what, self.lsn);
    }
}

/// The state that an open of this disk would give.
pub(super) fn structure_on(disk: &SimDisk) -> Structure {
    facility::inspect(&machine(disk), Path::new(DIR)).expect("the store can be read").structure
}

fn machine(disk: &SimDisk) -> Machine {
    let clock: Arc<dyn Clock> = Arc::new(SetClock::new(BootId(1), 1_000_000));
    Machine { disk: Arc::new(disk.clone()), checkpoints: Arc::new(FlatStore), clock }
}

pub(super) fn list(number: usize) -> Target {
    let dvipa: Dvipa = format!("10.1.1.{}", number + 1).parse().expect("an address");
    Target::List(dvipa, Transport::Tcp)
}

pub(super) fn stack(name: &str) -> Introduction {
    let identity = Identity { machine: MachineId(1), boot: BootId(1), process: ProcessId(1) };
    Introduction { name: ConnectorName::new(name).expect("a name"), identity, promise_ms: 0, enforced: false }
}
