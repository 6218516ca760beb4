//! Who is on the other end of a connection.
#![forbid(unsafe_code)]

use crate::ident::ConnectorName;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// What a peer may do, in three steps; [`Act`](super::Act) has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Acts for one stack, and reads.
    Stack,
    /// Everything, for every stack.
    Operator,
    /// Reads and watches.
    ReadOnly,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Stack, Self::Operator, Self::ReadOnly];

    /// `stack`, `operator` or `read-only`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::Operator => "operator",
            Self::ReadOnly => "read-only",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// Why a text is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no role: stack, operator or read-only")]
pub struct RoleError {
    /// What was given.
    pub text: String,
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| RoleError { text: text.to_owned() })
    }
}

/// By what way a peer came, which is also how it proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// Plain TCP on loopback: no proof.
    Loopback(SocketAddr),
    /// A unix socket: the kernel says which uid.
    Unix {
        /// The uid of the process that connected.
        uid: u32,
    },
    /// A certificate, from this address.
    Certificate(SocketAddr),
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback(from) => write!(f, "plain TCP from {from}"),
            Self::Unix { uid } => write!(f, "unix socket, uid {uid}"),
            Self::Certificate(from) => write!(f, "certificate, from {from}"),
        }
    }
}

/// Who is on the other end. In the extensions of every request as `Arc<Peer>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it may do.
    pub role: Role,
    /// Its name, where its proof has one: of the only stack it acts for, or of the operator. A stack
    /// without one acts for any stack: only doors on this machine have such peers.
    pub name: Option<ConnectorName>,
    /// How it came.
    pub how: How,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, name, how } = self;
        match name {
            Some(name) => write!(f, "{role} {name} ({how})"),
            None => write!(f, "{role} ({how})"),
        }
    }
}
