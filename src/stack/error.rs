//! Why a stack could not do what it was asked: always with the cause, and with the numbers.
#![forbid(unsafe_code)]

use super::Local;
use crate::facility::CallError;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::structure::Refusal;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Why a stack could not start, bind or go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// The address is not defined with SYSPLEXPORTS in this stack's profile: its source ports are
    /// the stack's own affair.
    #[error("{local} has no SYSPLEXPORTS in this stack's profile: its ports are not assigned sysplex-wide")]
    NotSysplexPorts {
        /// The local address.
        local: Local,
    },
    /// The port is outside EPHEMERALPORTS, or reserved by PORT or PORTRANGE for another user.
    #[error("port {port} is excluded by this stack's profile: outside EPHEMERALPORTS, or reserved")]
    Excluded {
        /// The port.
        port: u16,
    },
    /// The port is in use on this stack.
    #[error("port {port} of {local} is in use on this stack")]
    InUse {
        /// The local address.
        local: Local,
        /// The port.
        port: u16,
    },
    /// Another stack holds the port.
    #[error("port {port} of {local} is held by {holder}, grant {grant}")]
    HeldBy {
        /// The local address.
        local: Local,
        /// The port.
        port: u16,
        /// The stack that holds it.
        holder: ConnectorName,
        /// The grant that has it.
        grant: Lsn,
    },
    /// Binds to ports above 0 that would be a claim are not wanted on this stack.
    #[error("port {port} of {local}: this stack denies binds to a port above 0 (deny_nonzero_port); bind to port 0")]
    NonzeroDenied {
        /// The local address.
        local: Local,
        /// The port.
        port: u16,
    },
    /// No port can be had: list full, in quarantine, excluded, over quota, only the reserve left.
    #[error("{local}: no port: {why}; this stack has {in_use} in use and {resting} resting")]
    NoPort {
        /// The local address.
        local: Local,
        /// What the facility said, with its numbers.
        why: Refusal,
        /// Ports that this stack uses.
        in_use: u32,
        /// Ports of this stack that were returned less than TIMEWAITINTERVAL ago.
        resting: u32,
    },
    /// The stack holds as many groups as it was told to hold at most.
    #[error(
        "{local}: no port: this stack may hold {groups_max} groups and does, with {in_use} ports in use and {resting} \
         resting"
    )]
    AtMaximum {
        /// The local address.
        local: Local,
        /// The limit.
        groups_max: u16,
        /// Ports in use.
        in_use: u32,
        /// Ports that were returned less than TIMEWAITINTERVAL ago.
        resting: u32,
    },
    /// All of the stack's own ports are in use or rest.
    #[error("no port: all {ports} ports that this stack's profile allows are in use, resting or granted to its lists")]
    OwnExhausted {
        /// Ports that the profile allows.
        ports: u32,
    },
    /// There is a connection between these two ends from that port.
    #[error("there is a connection from {source_address} port {port} to {destination}")]
    TupleInUse {
        /// The local address.
        source_address: IpAddr,
        /// The local port.
        port: u16,
        /// The far end.
        destination: SocketAddr,
    },
    /// One end is IPv4 and the other one IPv6.
    #[error("{source_address} cannot connect to {destination}: one is IPv4 and one is IPv6")]
    OtherVersion {
        /// The local address.
        source_address: IpAddr,
        /// The far end.
        destination: SocketAddr,
    },
    /// The connection's source address would be a SYSPLEXPORTS DVIPA, and the port of its socket is
    /// unique on this stack only (JRSRCIPDistDVIPA, IP Diagnosis Guide).
    #[error(
        "port {port} was bound to the unspecified address, and the connection's source would be {source_address}: \
         its ports are assigned sysplex-wide; configure EXPLICITBINDPORTRANGE, or bind to port 0 of {source_address}"
    )]
    NotUnique {
        /// The local address that SRCIP chose.
        source_address: IpAddr,
        /// The socket's port.
        port: u16,
    },
    /// The facility turned the request down: list closed, granting stopped, storage full …
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The facility cannot be reached: no new group can be had until the stack has reattached.
    /// Ports of groups in hand can be used.
    #[error("no port in hand and the facility is unreachable{}, reattach when it is back: {cause}", deadline(*until))]
    Unreachable {
        /// What the last call said.
        cause: CallError,
        /// Until when ports in hand are handed out, by the boot clock; `None`: there is no deadline.
        until: Option<BootMs>,
    },
    /// The promised lease ran out: nothing is handed out before the stack has reattached.
    #[error("the lease that this stack promised ran out at boot clock {} ms: reattach", until.0)]
    LeaseOver {
        /// When, by the boot clock.
        until: BootMs,
    },
    /// The machine has no thread for the stack's housekeeper.
    #[error("no thread for the stack's housekeeper: {reason}; raise the limit, or call tick instead")]
    NoThread {
        /// What the system said.
        reason: String,
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

/// Why there is no port, as one word for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Every port that this stack may have is held by some stack: one must give ports back, or this
    /// one's profile must allow more.
    ListFull,
    /// Nothing that this stack may have is free, and some of it is in quarantine: waiting helps.
    InQuarantine,
    /// Its profile allows no port that anybody could give it, or not the one that was named: another
    /// profile helps.
    Excluded,
    /// This stack holds as many ports as it may: a higher quota helps, or giving back.
    OverQuota,
    /// What is left is kept for stacks that have no port.
    Reserved,
    /// The facility has too much to do: asking a little later helps.
    Overloaded,
    /// The facility cannot be reached.
    Unreachable,
    /// The promised lease ran out.
    LeaseOver,
    /// The structure has no list for this address, or none that is open.
    NotHosted,
    /// Granting is stopped, or the storage is full: an operator must act.
    Stopped,
    /// This life of the stack is over.
    Fenced,
    /// Somebody has that port.
    InUse,
    /// Anything else.
    Other,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 13] = [
        Self::ListFull,
        Self::InQuarantine,
        Self::Excluded,
        Self::OverQuota,
        Self::Reserved,
        Self::Overloaded,
        Self::Unreachable,
        Self::LeaseOver,
        Self::NotHosted,
        Self::Stopped,
        Self::Fenced,
        Self::InUse,
        Self::Other,
    ];

    /// The word for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ListFull => "list-full",
            Self::InQuarantine => "in-quarantine",
            Self::Excluded => "excluded",
            Self::OverQuota => "over-quota",
            Self::Reserved => "reserved",
            Self::Overloaded => "overloaded",
            Self::Unreachable => "unreachable",
            Self::LeaseOver => "lease-over",
            Self::NotHosted => "not-hosted",
            Self::Stopped => "stopped",
            Self::Fenced => "fenced",
            Self::InUse => "in-use",
            Self::Other => "other",
        }
    }
}

impl StackError {
    /// The cause, as programs want it.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::NoPort { why, .. } | Self::Refused(why) => of_refusal(why),
            Self::AtMaximum { .. } => Cause::OverQuota,
            Self::OwnExhausted { .. } => Cause::ListFull,
            Self::Excluded { .. } | Self::NonzeroDenied { .. } => Cause::Excluded,
            Self::NotSysplexPorts { .. } => Cause::NotHosted,
            Self::InUse { .. } | Self::HeldBy { .. } | Self::TupleInUse { .. } => Cause::InUse,
            Self::Unreachable { .. } => Cause::Unreachable,
            Self::LeaseOver { .. } => Cause::LeaseOver,
            Self::Fenced | Self::ReceiptBad | Self::OtherStore { .. } => Cause::Fenced,
            _ => Cause::Other,
        }
    }
}

fn of_refusal(why: &Refusal) -> Cause {
    match why {
        Refusal::Exhausted { allowable_quarantined: 1.., .. } => Cause::InQuarantine,
        Refusal::Exhausted { allowable_held: 1.., .. } => Cause::ListFull,
        // None of what its profile allows is there to be had, whoever gives back.
        Refusal::Exhausted { .. } => Cause::Excluded,
        Refusal::QuotaExceeded { .. } => Cause::OverQuota,
        Refusal::Reserved { .. } => Cause::Reserved,
        Refusal::PortExcluded { .. } | Refusal::NoAllowableSet => Cause::Excluded,
        Refusal::PortHeld { .. } => Cause::InUse,
        Refusal::PortQuarantined { .. } => Cause::InQuarantine,
        Refusal::UnknownList { .. } | Refusal::Closed | Refusal::NotJoined => Cause::NotHosted,
        Refusal::GrantsStopped { .. } | Refusal::StorageFull => Cause::Stopped,
        Refusal::Overloaded => Cause::Overloaded,
        _ => Cause::Other,
    }
}

fn deadline(until: Option<BootMs>) -> String {
    until.map(|until| format!(" (its lease runs until boot clock {} ms)", until.0)).unwrap_or_default()
}

fn by(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}
