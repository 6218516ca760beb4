//! Why a stack could not do what it was asked: always with the cause.
#![forbid(unsafe_code)]

use crate::facility::CallError;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::StoreUuid;
use crate::structure::Refusal;
use std::path::PathBuf;

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
    /// The facility is on another store than the one this stack took its ports from.
    #[error(
        "the facility is on store {found}, this stack's ports are from store {known}: it must not take ports from both; \
         connect it to its own store, or stop it and start it anew"
    )]
    OtherStore {
        /// The store that the facility is on.
        found: StoreUuid,
        /// The store that this stack knows.
        known: StoreUuid,
    },
    /// The facility says that it never gave this stack the position that it names. Nothing is wrong
    /// with the store, or with any other stack.
    #[error(
        "fenced: the position that this stack names was never given by its store; close its sockets, stop it and \
         start it without a position"
    )]
    ReceiptBad,
    /// Another process is the agent of this stack under this kernel (protocol.md R16).
    #[error("{} is held{}: another agent of this stack runs here; stop it first, or give this one another name",
        path.display(), by(*pid))]
    AgentRunning {
        /// The lock.
        path: PathBuf,
        /// What its holder noted as its process id.
        pid: Option<u32>,
    },
    /// The lock of this stack's agent cannot be taken.
    #[error("the agent's lock {} cannot be taken: {reason}; its directory's parent must exist and be writable",
        path.display())]
    AgentLock {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The lock that was handed in is another stack's.
    #[error("the lock {} is for stack {of}, not {name}: take the lock of the stack that starts", path.display())]
    OtherAgentsLock {
        /// The lock.
        path: PathBuf,
        /// Whose it is.
        of: ConnectorName,
        /// Who starts.
        name: ConnectorName,
    },
}

fn by(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}
