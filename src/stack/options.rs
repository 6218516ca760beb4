//! How a stack behaves.
#![forbid(unsafe_code)]

use super::AgentLock;
use super::Observer;
use crate::facility::Clock;
use crate::facility::Position;
use crate::facility::SystemClock;
use crate::facility::random_u64;
use crate::ident::Target;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a stack behaves.
#[derive(Clone)]
pub struct Options {
    /// Key of the order in which ports come out: secret, and random unless a test must repeat.
    pub seed: [u8; 32],
    /// Length of the promised lease in ms; 0 = none. Whoever promises has the stack kept by a
    /// [`Housekeeper`](super::Housekeeper), or calls [`Stack::tick`](super::Stack::tick) often.
    pub promise_ms: u64,
    /// When groups are fetched and given back, for every list that [`refill_of`](Self::refill_of)
    /// does not name.
    pub refill: Refill,
    /// The same for single lists.
    pub refill_of: BTreeMap<Target, Refill>,
    /// Whether `bind` to a port above 0 is refused where it would be a claim of that port
    /// (deny.nonzero.port, IBM Explorer for z/OS). A distributed port, one reserved for the job and
    /// one in hand need no claim.
    pub deny_nonzero_port: bool,
    /// Hears of every grant and release, in order.
    pub observer: Option<Arc<dyn Observer>>,
    /// What [`Stack::position`](super::Stack::position) said in an earlier life, if it was kept: a
    /// store that lost data since is told by it. `None` is always safe; after
    /// [`StackError::ReceiptBad`](super::StackError::ReceiptBad) it must be `None`.
    pub position: Option<Position>,
    /// The lock of this stack's agent, taken before: the stack holds it for life. `None` only where
    /// no other process of this kernel can be the same stack.
    pub lock: Option<AgentLock>,
    /// The clock of leases and rests.
    pub clock: Arc<dyn Clock>,
}

/// When groups are fetched and given back, per list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// Fetch in the background when fewer free ports than this are in hand; 0 = never. Under load it
    /// counts once for each group that is fetched at once.
    pub low_ports: u32,
    /// Groups fetched at once, 1 to 1,024: as many as double with every fetch within a second.
    pub at_once_max: u16,
    /// Groups kept in hand, needed or not; 0 = the first need takes the first one.
    pub groups_min: u16,
    /// Groups held at most; 0 = as many as the list's policy allows.
    pub groups_max: u16,
    /// Whole idle groups go back when more than two too many were free for this long, ms.
    pub idle_ms: u64,
    /// Whether connections share a source port, each to another destination, while fewer ports than
    /// `low_ports` (at least 1) are free. The origin's stacks stop at 63,000 connections; with this
    /// one stack goes beyond.
    pub share: bool,
}

impl Default for Refill {
    /// The next group when 16 ports are left, up to 16 at once, back after a minute, shared.
    fn default() -> Self {
        Self { low_ports: 16, at_once_max: 16, groups_min: 0, groups_max: 0, idle_ms: 60_000, share: true }
    }
}

impl Default for Options {
    /// A random key, no promise, no lock, the machine's clock.
    fn default() -> Self {
        let mut seed = [0; 32];
        for bytes in seed.chunks_exact_mut(8) {
            bytes.copy_from_slice(&random_u64().to_le_bytes());
        }
        Self {
            seed,
            promise_ms: 0,
            refill: Refill::default(),
            refill_of: BTreeMap::new(),
            deny_nonzero_port: false,
            observer: None,
            position: None,
            lock: None,
            clock: Arc::new(SystemClock::new()),
        }
    }
}
