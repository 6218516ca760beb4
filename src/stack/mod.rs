//! One stack, the host's side: hands out source ports from the groups that it holds.
//!
//! A [`Stack`] connects to the structure, tells it which ports its profile allows, and joins the
//! list of every SYSPLEXPORTS DVIPA. The first need takes a group; later ones are served from the
//! groups in hand, without a request, a lock or an allocation; the next group is fetched in the
//! background before the last is used up. When the facility is gone, what is in hand goes on being
//! used, and [`reattach`](Stack::reattach) settles what was outstanding (protocol.md R7, R12).
//!
//! - [`bind`](Stack::bind) and [`bind_as`](Stack::bind_as): a source port of a local address, any or
//!   a named one; [`bind_unspecified`](Stack::bind_unspecified): `bind(ANY, 0)`;
//! - [`connect`](Stack::connect) and its kin: a connection's four numbers, where one source port
//!   serves several destinations once ports run low;
//! - [`obey`](Stack::obey): another data set for the running stack;
//! - [`tick`](Stack::tick): what has to be done now and then, by [`Housekeeper`] or by the caller.
//!
//! ```
//! use portplex::facility::{self, LocalFacility};
//! use portplex::ident::{BootId, ConnectorName, Dvipa, Identity, MachineId, ProcessId};
//! use portplex::profile::parse;
//! use portplex::stack::{Options, Stack};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let facility = LocalFacility::open(dir, &facility::Options { create: true, ..Default::default() })?;
//! let (profile, _) = parse(
//!     b"VIPADYNAMIC
//!         VIPADEFINE MOVEABLE IMMEDIATE 255.255.255.0 10.1.1.1
//!         VIPADISTRIBUTE DEFINE SYSPLEXPORTS 10.1.1.1 PORT 4035 DESTIP ALL
//!       ENDVIPADYNAMIC",
//! );
//! let identity = Identity { machine: MachineId(1), boot: BootId(1), process: ProcessId(1) };
//! let (stack, _) =
//!     Stack::start(Arc::new(facility), ConnectorName::new("SYS1")?, profile, identity, Options::default())?;
//!
//! let dvipa: Dvipa = "10.1.1.1".parse()?;
//! let bound = stack.bind(dvipa, 0)?; // no other stack can have this port now
//! let connection = stack.connect(dvipa, "203.0.113.7:443".parse()?)?;
//! stack.close(connection);
//! stack.release(bound);
//! # Ok(())
//! # }
//! ```
//!
//! What it never does: use a port before its grant was answered, or after its release was sent;
//! hand out what an earlier life left before the kernel's sockets were read, or anything after the
//! deadline that it promised; forget a port because an answer was lost; hand out a port that was
//! returned less than TIMEWAITINTERVAL ago.
#![forbid(unsafe_code)]

mod agent;
mod attach;
mod bind;
mod connect;
mod core;
mod error;
mod give_back;
mod hand;
mod house;
mod lease;
mod leaving;
mod named;
mod obey;
mod options;
mod order;
mod own;
mod refill;
mod settle;
mod view;

pub use agent::AgentLock;
pub use connect::Tuple;
pub use error::{Cause, StackError};
pub use house::Housekeeper;
pub use obey::Obeyed;
pub use options::{Options, Refill};

use self::core::Core;
use self::lease::Lease;
use self::view::View;
use crate::facility::Clock;
use crate::facility::Position;
use crate::ident::BootMs;
use crate::ident::Dvipa;
use crate::ident::GroupNumber;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::profile::Profile;
use crate::structure::Grant;
use crate::structure::Introduction;
use crate::structure::ReportedGrant;
use crate::structure::StopCause;
use crate::threads::Condvar;
use crate::threads::Mutex;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One stack. All methods may be called from any thread.
pub struct Stack {
    /// What the fast path needs, as of the last attach or data set.
    view: ArcSwap<View>,
    lease: Arc<Lease>,
    introduction: Introduction,
    refill: Refill,
    refill_of: BTreeMap<Target, Refill>,
    deny_nonzero_port: bool,
    clock: Arc<dyn Clock>,
    core: Mutex<Core>,
    /// An outstanding acquire was answered, or the stack attached.
    arrived: Condvar,
    /// One attach, and one data set, at a time.
    attaching: Mutex<()>,
    /// Held for life.
    _lock: Option<AgentLock>,
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

/// A local address, as `bind` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Local {
    /// This address.
    Address(Dvipa),
    /// The unspecified one: INADDR_ANY.
    Any,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(dvipa) => dvipa.fmt(f),
            Self::Any => f.write_str("ANY"),
        }
    }
}

/// A port in use: given back with [`Stack::release`]. Dropped without, it stays in use.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the port stays in use until it is released"]
pub struct BoundPort {
    /// The local address.
    pub local: Local,
    /// The port.
    pub port: u16,
    /// The grant it is from; `None` for a port that needs none: distributed, reserved for the job,
    /// or the stack's own.
    pub grant: Option<Lsn>,
}

/// What an attach brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Grants from an earlier life: not handed out before [`Stack::adopt`].
    pub grants: Vec<Grant>,
    /// Ports in use here that are this stack's no longer: close their sockets.
    pub stopped: Vec<(Local, u16)>,
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
    /// The promised lease ran out before it was renewed: nothing is handed out until it has
    /// reattached; what is in use may be used.
    Expired,
    /// Never again: a newer life has attached, or its position was no good.
    Fenced,
}

/// What a stack has of one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The list, or the explicit-bind pool.
    pub target: Target,
    /// Grants held.
    pub grants: u32,
    /// Ports held.
    pub ports: u32,
    /// Of these, in use.
    pub in_use: u32,
    /// Of these, free to be handed out.
    pub free: u32,
    /// Of these, returned less than TIMEWAITINTERVAL ago.
    pub resting: u32,
    /// Of these, from an earlier life and not yet adopted.
    pub unadopted: u32,
    /// Whether the list is being left: its last distribution went.
    pub is_left: bool,
}

impl Stack {
    /// Whether it can get new groups.
    #[must_use]
    pub fn state(&self) -> State {
        self.core.lock().state()
    }

    /// What it has, by list.
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

    /// Which life of the stack this is.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.core.lock().connection.actor().incarnation
    }

    /// Length of the promised lease, ms; 0 = none.
    #[must_use]
    pub fn promise_ms(&self) -> u64 {
        self.introduction.promise_ms
    }

    /// Until when the promised lease runs, by the boot clock; `None` without a promise.
    #[must_use]
    pub fn lease_until(&self) -> Option<BootMs> {
        self.lease.until()
    }

    /// Every grant that the facility may have as this stack's, as far as it knows: those in hand, and
    /// those on their way back.
    #[must_use]
    pub fn grants(&self) -> Vec<ReportedGrant> {
        self.core.lock().reported()
    }

    /// The profile in force: the one it was started with, and every data set since.
    #[must_use]
    pub fn profile(&self) -> Arc<Profile> {
        Arc::clone(&self.view.load().profile)
    }

    /// When groups of this list are fetched and given back.
    fn refill(&self, target: Target) -> Refill {
        self.refill_of.get(&target).copied().unwrap_or(self.refill)
    }

    fn now(&self) -> BootMs {
        self.clock.boot_ms()
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("name", &self.introduction.name).finish_non_exhaustive()
    }
}
