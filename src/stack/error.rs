//! Why a stack could not do what it was asked: always with the cause.
#![forbid(unsafe_code)]

use crate::facility::CallError;
use crate::ident::Dvipa;
use crate::structure::Refusal;

/// Why a stack could not start, bind or go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// The DVIPA is not defined with SYSPLEXPORTS in this stack's profile: its source ports are
    /// the stack's own affair.
    #[error("{dvipa} has no SYSPLEXPORTS in this stack's profile: its ports are not assigned sysplex-wide")]
    NotSysplexPorts {
        /// The DVIPA.
        dvipa: Dvipa,
    },
    /// The port is outside EPHEMERALPORTS, or reserved by PORT or PORTRANGE for another user.
    #[error("port {port} is excluded by this stack's profile: outside EPHEMERALPORTS, or reserved")]
    Excluded {
        /// The port.
        port: u16,
    },
    /// The port is in use on this stack.
    #[error("port {port} of {dvipa} is in use on this stack")]
    InUse {
        /// The DVIPA.
        dvipa: Dvipa,
        /// The port.
        port: u16,
    },
    /// The facility turned the request down: list full, over quota, closed …
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The facility cannot be reached: no new group can be had until the stack has reattached.
    /// Ports of groups in hand can be used.
    #[error("no port in hand and the facility is unreachable, reattach when it is back: {cause}")]
    Unreachable {
        /// What the last call said.
        cause: CallError,
    },
    /// A newer life of this stack has attached: this one must stop, its ports are the other's.
    #[error("fenced: a newer life of this stack has attached, this one must stop using its ports")]
    Fenced,
}
