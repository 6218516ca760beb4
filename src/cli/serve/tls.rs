//! What was typed about who may come in: certificates, uids, and the role of plain loopback.
#![forbid(unsafe_code)]

use crate::api::Door;
use crate::api::access::Access;
use crate::api::access::Role;
use crate::api::access::Tls;
use crate::api::access::UidMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Who may come in.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct TlsArgs {
    /// The service's certificate, PEM, with those between it and its CA; --listen then takes mutual TLS only
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_client_ca"])]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The CAs whose client certificates are believed, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Revocation lists of those CAs, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_revoked: Option<PathBuf>,
    /// Let a uid use the unix socket: UID=operator, UID=read-only, UID=stack:NAME; may be given again
    #[arg(long, value_name = "UID=ROLE", value_parser = parse_row)]
    allow_uid: Vec<String>,
    /// What plain TCP on loopback may do: stack, operator or read-only
    #[arg(long, value_name = "ROLE", value_parser = parse_role)]
    loopback_role: Option<Role>,
}

impl TlsArgs {
    /// Who may come in, by what was typed.
    pub(crate) fn access(&self) -> Access {
        let tls = match (&self.tls_cert, &self.tls_key, &self.tls_client_ca) {
            (Some(certificate), Some(key), Some(client_ca)) => Some(Tls {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: client_ca.clone(),
                revoked: self.tls_revoked.clone(),
            }),
            _ => None,
        };
        let allow = |uids: UidMap, row: &String| uids.allow_row(row).expect("the parser read it");
        let uids = self.allow_uid.iter().fold(UidMap::default(), allow);
        Access { loopback: self.loopback_role.unwrap_or(Role::Operator), uids, tls }
    }

    /// The door that --listen opens.
    pub(crate) fn door(&self, address: SocketAddr) -> Door {
        if self.tls_cert.is_some() { Door::Tls(address) } else { Door::Tcp(address) }
    }
}

fn parse_row(text: &str) -> Result<String, String> {
    UidMap::none().allow_row(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn parse_role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|error: crate::api::access::RoleError| error.to_string())
}
