//! What was typed about who may come in: certificates, uids, and the role of plain loopback.
#![forbid(unsafe_code)]

use crate::api::access::Role;
use crate::api::access::UidMap;
use crate::cli::config::Said;
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
    /// What was typed, as keys of the configuration.
    pub(super) fn said(&self) -> Vec<Said> {
        let file = |flag: &'static str, key: &'static str, path: &Option<PathBuf>| {
            path.as_ref().map(|path| Said::by_flag(flag, key, &path.display().to_string()))
        };
        let files = [
            file("--tls-cert", "tls.certificate", &self.tls_cert),
            file("--tls-key", "tls.key", &self.tls_key),
            file("--tls-client-ca", "tls.client_ca", &self.tls_client_ca),
            file("--tls-revoked", "tls.revoked", &self.tls_revoked),
        ];
        let role = self.loopback_role.map(|role| Said::by_flag("--loopback-role", "access.loopback", role.name()));
        let uids = (!self.allow_uid.is_empty())
            .then(|| Said::list_by_flag("--allow-uid", "access.uids", self.allow_uid.clone()));
        files.into_iter().flatten().chain(role).chain(uids).collect()
    }

    /// The door that --listen opens.
    pub(super) fn door(&self, address: SocketAddr) -> String {
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }
}

fn parse_row(text: &str) -> Result<String, String> {
    UidMap::none().allow_row(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn parse_role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|error: crate::api::access::RoleError| error.to_string())
}
