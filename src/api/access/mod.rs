//! Who may do what: roles, how a peer proves who it is, and what it is told if it may not.
//!
//! Every connection has a [`Peer`] before its first request is looked at: from a client certificate
//! (`tls`), from the uid on the other end of a unix socket (`uids`), or from the role that plain
//! loopback TCP was given. One table (`rules`) says which role may do which act; gRPC and HTTP both ask
//! it. What operators do, and who is turned away, is one line each in the log (`audit`).
#![forbid(unsafe_code)]

pub(crate) mod audit;
mod certificate;
mod client_tls;
mod peer;
pub(crate) mod rates;
mod rules;
mod tls;
mod tls_error;
mod uids;
mod verifier;

pub use certificate::{CertificateFacts, NoRole};
pub use client_tls::ClientTls;
pub use peer::{How, Peer, Role, RoleError};
pub(crate) use rules::is_grpc;
pub use rules::{Act, Denied};
pub(crate) use tls::TlsDoor;
pub use tls::{Reloaded, Tls, look};
pub use tls_error::TlsError;
pub use uids::{Allowed, UidMap, UidRowError};
pub(crate) use verifier::WITH_NAMES;
pub(crate) use verifier::shown_refused;

/// Who may come in at a service's doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The role of every peer of plain TCP on loopback: nothing proves who it is. A stack there may use
    /// any name.
    pub loopback: Role,
    /// Who may use the unix sockets.
    pub uids: UidMap,
    /// Certificates for the `https://` doors.
    pub tls: Option<Tls>,
}

impl Default for Access {
    /// Loopback and this process's own uid are operators; no door with TLS.
    fn default() -> Self {
        Self { loopback: Role::Operator, uids: UidMap::default(), tls: None }
    }
}
