//! One stack, the host's side: hands out source ports from the groups that it holds.
//!
//! A [`Stack`] connects to the structure, tells it which ports its profile allows, and joins the
//! list of every SYSPLEXPORTS DVIPA. The first need takes a group; later ones are served from the
//! groups in hand, without a request; the next group is fetched in the background before the last
//! is used up. When the facility is gone, what is in hand goes on being used, and
//! [`reattach`](Stack::reattach) settles what was outstanding (protocol.md R7, R12).
//!
//! What it never does: use a port before its grant was answered, or after its release was sent;
//! hand out what an earlier life left before the kernel's sockets were read; forget a port because
//! an answer was lost.
#![forbid(unsafe_code)]

mod agent;
mod attach;
mod bind;
mod core;
mod error;
mod hand;
mod leaving;
mod order;

pub use agent::AgentLock;
pub use error::StackError;

use self::core::Core;
use crate::facility::Position;
use crate::facility::random_u64;
use crate::ident::Dvipa;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::profile::Profile;
use crate::structure::Grant;
use crate::structure::Introduction;
use crate::structure::StopCause;
use parking_lot::Condvar;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;

/// One stack. All methods may be called from any thread.
pub struct Stack {
    profile: Profile,
    allowable: PortSet,
    introduction: Introduction,
    prefetch_below: u32,
    core: Mutex<Core>,
    /// An outstanding acquire was answered, or the stack attached.
    arrived: Condvar,
    /// One attach at a time.
    attaching: Mutex<()>,
    /// Held for life.
    _lock: Option<AgentLock>,
}

/// How a stack behaves.
#[derive(Clone)]
pub struct Options {
    /// Key of the order in which ports come out: secret, and random unless a test must repeat.
    pub seed: [u8; 32],
    /// Length of the promised lease in ms; 0 = none. Whoever promises calls [`Stack::renew`].
    pub promise_ms: u64,
    /// Fetch the next group in the background when fewer free ports than this are in hand; 0 =
    /// never. Which groups are kept for stacks without any is the list's policy (`reserve`).
    pub prefetch_below: u32,
    /// Hears of every grant and release, in order.
    pub observer: Option<Arc<dyn Observer>>,
    /// What [`Stack::position`] said in an earlier life, if it was kept: a store that lost data since
    /// is told by it. `None` is always safe; after [`StackError::ReceiptBad`] it must be `None`.
    pub position: Option<Position>,
    /// The lock of this stack's agent, taken before: the stack holds it for life. `None` only where
    /// no other process of this kernel can be the same stack.
    pub lock: Option<AgentLock>,
}

impl Default for Options {
    /// A random key, no promise, the next group when 16 ports are left, no lock.
    fn default() -> Self {
        let mut seed = [0; 32];
        for bytes in seed.chunks_exact_mut(8) {
            bytes.copy_from_slice(&random_u64().to_le_bytes());
        }
        Self { seed, promise_ms: 0, prefetch_below: 16, observer: None, position: None, lock: None }
    }
}

/// Hears what a stack takes and gives back. Called with the stack's lock held: it must not call
/// the stack.
pub trait Observer: Send + Sync {
    /// A grant was answered: its ports may be used from now on.
    fn granted(&self, grant: &Grant);
    /// Ports of a grant are about to be given back: they are not used from now on.
    fn releasing(&self, target: Target, group: GroupNumber, grant: Lsn, mask: PortMask);
    /// Ports of a grant are this stack's no longer, as the facility says.
    fn stopped(&self, target: Target, group: GroupNumber, grant: Lsn, mask: PortMask);
}

/// A port in use: given back with [`Stack::release`]. Dropped without, it stays in use.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the port stays in use until it is released"]
pub struct BoundPort {
    /// The DVIPA.
    pub dvipa: Dvipa,
    /// The port.
    pub port: u16,
    /// The grant it is from; `None` for a port that needs none (distributed, or reserved for the
    /// job).
    pub grant: Option<Lsn>,
}

/// What an attach brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Grants from an earlier life: not handed out before [`Stack::adopt`].
    pub grants: Vec<Grant>,
    /// Ports in use here that are this stack's no longer: close their sockets.
    pub stopped: Vec<(Dvipa, u16)>,
    /// Why nothing is granted, if granting is stopped: an operator must act, but for
    /// [`StopCause::PowerLoss`].
    pub granting: Option<StopCause>,
}

/// Whether a stack can get new groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can.
    Active,
    /// Attached, and nothing is granted to anybody, for this cause, as the facility last said; ports
    /// in hand can be used, those of a lost history once granting goes on and it has reattached.
    Stopped(StopCause),
    /// Not until it has reattached; ports in hand can be used.
    Unreachable,
    /// Never again: a newer life has attached, or its position was no good.
    Fenced,
}

/// What a stack has of one DVIPA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The DVIPA.
    pub dvipa: Dvipa,
    /// Grants held.
    pub grants: u32,
    /// Ports held.
    pub ports: u32,
    /// Of these, in use.
    pub in_use: u32,
    /// Of these, from an earlier life and not yet adopted.
    pub unadopted: u32,
}

impl Stack {
    /// Whether it can get new groups.
    #[must_use]
    pub fn state(&self) -> State {
        self.core.lock().state()
    }

    /// What it has, by DVIPA.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        self.core.lock().usage()
    }

    /// Releases that have no answer yet.
    #[must_use]
    pub fn releases_outstanding(&self) -> usize {
        self.core.lock().leaving.len()
    }

    /// How far it has seen: an agent may keep this for its next life's [`Options::position`].
    #[must_use]
    pub fn position(&self) -> Position {
        self.core.lock().connection.position()
    }

    /// The profile it was started with.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("name", &self.introduction.name).finish_non_exhaustive()
    }
}
