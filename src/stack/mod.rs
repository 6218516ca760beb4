//! One stack, the host's side: hands out source ports from the groups that it holds.
#![forbid(unsafe_code)]

mod error;

pub use error::StackError;

use crate::facility::Facility;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::GroupNumber;
use crate::ident::Identity;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::profile::Profile;
use crate::structure::Grant;
use std::sync::Arc;

/// One stack. All methods may be called from any thread.
pub struct Stack {
    profile: Profile,
}

/// How a stack behaves.
#[derive(Clone, Default)]
pub struct Options {
    /// Key of the order in which ports come out: secret, and random unless a test must repeat.
    pub seed: [u8; 32],
    /// Length of the promised lease in ms; 0 = none.
    pub promise_ms: u64,
    /// Fetch the next group in the background when fewer free ports than this are in hand; 0 =
    /// never.
    pub prefetch_below: u32,
    /// Hears of every grant and release, in order.
    pub observer: Option<Arc<dyn Observer>>,
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

/// A port in use: given back with [`Stack::release`]. Dropping it leaks the port until then.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
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
}

/// Whether a stack can get new groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can.
    Active,
    /// Not until it has reattached; ports in hand can be used.
    Unreachable,
    /// Never again: a newer life has attached.
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
    /// Connects (or attaches if the connector exists), sets the allowable ports, joins the list of
    /// every SYSPLEXPORTS DVIPA of the profile.
    ///
    /// # Errors
    /// [`StackError`].
    pub fn start(
        _facility: Arc<dyn Facility>,
        _name: ConnectorName,
        profile: Profile,
        _identity: Identity,
        _options: Options,
    ) -> Result<(Self, Adopted), StackError> {
        Ok((Self { profile }, Adopted::default()))
    }

    /// Takes a source port (`bind(dvipa, 0)` or `connect`) if `port` is 0, else that port.
    ///
    /// # Errors
    /// [`StackError`] with the cause.
    pub fn bind(&self, dvipa: Dvipa, _port: u16) -> Result<BoundPort, StackError> {
        let _ = self.profile.dvipa(dvipa);
        Err(StackError::NotSysplexPorts { dvipa })
    }

    /// Gives a port back to this stack's hand: no socket uses it any more.
    pub fn release(&self, _port: BoundPort) {}

    /// Takes up the grants of an earlier life: ports in `in_use` have a socket in this kernel and
    /// stay until they are released, the others are given back.
    ///
    /// # Errors
    /// [`StackError`].
    pub fn adopt(&self, dvipa: Dvipa, _in_use: &PortSet) -> Result<Vec<BoundPort>, StackError> {
        Err(StackError::NotSysplexPorts { dvipa })
    }

    /// Gives whole idle groups back as long as `keep` free ports stay in hand per DVIPA; does not
    /// wait. Returns how many groups.
    pub fn give_back(&self, _keep: u32) -> u32 {
        0
    }

    /// Gives back everything, used or not, and waits: the caller vouches that no socket uses any
    /// of it.
    ///
    /// # Errors
    /// [`StackError`].
    pub fn release_all(&self) -> Result<(), StackError> {
        Ok(())
    }

    /// Attaches under the next incarnation after the facility came back. The answer settles what
    /// was outstanding and replaces what was believed.
    ///
    /// # Errors
    /// [`StackError`].
    pub fn reattach(&self, _facility: Arc<dyn Facility>) -> Result<Adopted, StackError> {
        Ok(Adopted::default())
    }

    /// Ends the connector: everything goes to quarantine and it is forgotten.
    ///
    /// # Errors
    /// [`StackError`].
    pub fn disconnect(&self) -> Result<(), StackError> {
        Ok(())
    }

    /// Whether it can get new groups.
    #[must_use]
    pub fn state(&self) -> State {
        State::Unreachable
    }

    /// What it has, by DVIPA.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        Vec::new()
    }

    /// The profile it was started with.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }
}
