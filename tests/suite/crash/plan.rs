//! What a workload is told, where it runs, and how far it came.

use super::model::Model;
use portplex::checkpoint::FlatStore;
use portplex::disk::Disk;
use portplex::disk::sim::SimDisk;
use portplex::facility::{AfterPowerLoss, Clock, Machine, Options, SetClock};
use portplex::ident::{BootId, PortSet, Target, Transport};
use portplex::record;
use portplex::structure::Structure;
use std::sync::Arc;
use std::time::Duration;

/// Where the store is on a simulated disk.
pub(crate) const DIR: &str = "/store";
/// Quarantine of every list, ms.
pub(crate) const QUARANTINE_MS: u64 = 2_000;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) turns: u32,
    /// Turns before which the store is closed and opened again.
    pub(crate) close_at: u32,
    /// Turns before which the process is killed.
    pub(crate) kill_at: u32,
    /// Turns before which the machine starts again.
    pub(crate) reboot_at: u32,
    /// A checkpoint is made every so many turns.
    pub(crate) checkpoint_every: u32,
    /// Whether it ends with a close, or as if killed.
    pub(crate) ends_closed: bool,
    /// Whether all stacks allow the same ports: a smaller log.
    pub(crate) is_small: bool,
    /// Whether history is packed and kept, and the store copied beside the writer.
    pub(crate) packs: bool,
}

impl Plan {
    pub(crate) fn options(&self) -> Options {
        Options {
            segment_size: 16 << 10,
            quarantine: Duration::from_millis(QUARANTINE_MS),
            history_bytes: if self.packs { 1 << 20 } else { 40 << 10 },
            pack_log_bytes: if self.packs { 12 << 10 } else { u64::MAX },
            checkpoint_at_close: self.checkpoint_every != u32::MAX,
            seed: Some(self.seed),
            // An open adds nothing of its own: states are compared whole.
            after_power_loss: AfterPowerLoss::Serve,
            ..Options::default()
        }
    }
}

/// A simulated machine with a set clock.
pub(crate) fn machine(disk: &SimDisk, boot: u128, ms: u64) -> (Machine, Arc<SetClock>) {
    let clock = Arc::new(SetClock::new(BootId(boot), ms));
    let machine = Machine {
        disk: Arc::new(disk.clone()) as Arc<dyn Disk>,
        checkpoints: Arc::new(FlatStore),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
    };
    (machine, clock)
}

/// The digest of a whole state.
pub(crate) fn digest(state: &Structure) -> [u8; 32] {
    record::digest(state.items()).hash
}

/// What had been acknowledged after a turn.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) digest: [u8; 32],
    pub(crate) model: Model,
    /// The boot clock then.
    pub(crate) now: u64,
}

/// How far a run came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Whether `init` was acknowledged.
    pub(crate) inited: bool,
    /// Turns acknowledged: also the number of the state after them.
    pub(crate) acked: usize,
    /// Whether a turn was under way when it ended.
    pub(crate) in_flight: bool,
    /// What failed.
    pub(crate) error: Option<String>,
    /// What must never be.
    pub(crate) faults: Vec<String>,
    /// The state after every turn, the empty one first; only if asked for.
    pub(crate) states: Vec<State>,
    /// Frames, rotations and checkpoints seen.
    pub(crate) segments: u64,
    pub(crate) checkpoints: u64,
    pub(crate) packs: u64,
    pub(crate) backups: u64,
    /// Copies that were called good, and were found damaged and named so when they were read next.
    pub(crate) damaged_copies: u64,
    /// The state that the turn under way would have led to.
    pub(crate) unsure: Option<[u8; 32]>,
}

pub(crate) fn list(number: u64) -> Target {
    Target::List(format!("10.1.1.{}", number + 1).parse().expect("an address"), Transport::Tcp)
}

/// Few ports, so that stacks meet. Stacks 2 and 3 share a content.
pub(crate) fn ports(stack: usize, roll: u64) -> PortSet {
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 4_100);
    if stack < 2 {
        ports.remove_range(1_500 + 100 * stack as u16, 1_620 + 100 * stack as u16);
    }
    if roll < 11 {
        ports.remove_range(3_000, 3_000 + roll as u16);
    }
    ports
}
