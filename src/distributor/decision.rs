//! What arrives, and where it goes.
#![forbid(unsafe_code)]

use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::profile::DistMethod;
use std::fmt;
use std::net::SocketAddr;

/// A TCP connection as the sysplex sees it: the 4-tuple, the DVIPA's side second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Address and port of the other side.
    pub peer: SocketAddr,
    /// The DVIPA.
    pub dvipa: Dvipa,
    /// The DVIPA's port, 1 to 65,535: where a server listens, or the source port of a connection
    /// that a stack opened.
    pub port: u16,
}

/// A connection request for a DVIPA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syn {
    /// The connection.
    pub flow: Flow,
    /// The stack of the sysplex that it comes from, for OPTLOCAL; `None` from outside.
    pub from: Option<ConnectorName>,
}

/// Where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// To a stack.
    Forward {
        /// The stack.
        stack: ConnectorName,
        /// Why that one.
        why: Why,
        /// TIMEDAFFINITY of the rule, s, for the target's own books; 0 = none.
        affinity_s: u16,
    },
    /// Nowhere, without an answer: the client times out.
    Drop(Cause),
    /// Nowhere, and the client is told at once.
    Reset(Cause),
}

impl Decision {
    /// The stack it goes to.
    #[must_use]
    pub const fn stack(&self) -> Option<&ConnectorName> {
        match self {
            Self::Forward { stack, .. } => Some(stack),
            Self::Drop(_) | Self::Reset(_) => None,
        }
    }
}

/// Why a stack gets a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The connection is that stack's already.
    Known,
    /// The client was there within the time of TIMEDAFFINITY.
    Affinity,
    /// It comes from that stack, and OPTLOCAL keeps it there.
    Local,
    /// The distribution method picked it.
    Method(DistMethod),
    /// It gets nothing because its health is 0, and this connection shows whether it still is.
    Probe,
    /// A program of that stack listens on the port, which is not distributed.
    Listener {
        /// How many other stacks listen there too: always 0 for a port that SYSPLEXPORTS assigned.
        others: u16,
    },
    /// The packet belongs to no known connection, but that stack holds the port.
    Holder,
}

/// Why it goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No program listens on the port.
    NoListener,
    /// The port is distributed, and no target is ready.
    NoneReady,
    /// No stack has the DVIPA.
    NoOwner,
    /// Nobody known listens, but the owner is new and has not heard every stack yet: the client
    /// tries again.
    Learning,
    /// The routing table is full.
    TableFull,
    /// The packet belongs to no known connection, and nobody holds the port.
    NoConnection,
}

/// What becomes of a request that nobody listens for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoListener {
    /// Dropped: the client times out. What the origin does (IP Configuration Guide, SYSPLEXPORTS).
    #[default]
    Drop,
    /// Reset: the client knows at once.
    Reset,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.peer, SocketAddr::new(self.dvipa.address(), self.port))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known => f.write_str("known"),
            Self::Affinity => f.write_str("affinity"),
            Self::Local => f.write_str("local"),
            Self::Method(method) => f.write_str(match method {
                DistMethod::BaseWlm => "basewlm",
                DistMethod::RoundRobin => "roundrobin",
                DistMethod::ServerWlm => "serverwlm",
                DistMethod::WeightedActive => "weightedactive",
                DistMethod::HotStandby => "hotstandby",
                DistMethod::TargControlled => "targcontrolled",
            }),
            Self::Probe => f.write_str("probe"),
            Self::Listener { others: 0 } => f.write_str("listener"),
            Self::Listener { others } => write!(f, "listener+{others}"),
            Self::Holder => f.write_str("holder"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoListener => "no-listener",
            Self::NoneReady => "none-ready",
            Self::NoOwner => "no-owner",
            Self::Learning => "learning",
            Self::TableFull => "table-full",
            Self::NoConnection => "no-connection",
        })
    }
}

/// In one line: the stack and the reason, or what happens instead and the reason.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward { stack, why, .. } => write!(f, "{stack} {why}"),
            Self::Drop(cause) => write!(f, "drop {cause}"),
            Self::Reset(cause) => write!(f, "reset {cause}"),
        }
    }
}
