//! What was typed behind `serve`, and the configuration that it makes.
#![forbid(unsafe_code)]

use crate::cli::args::StructureArgs;
use crate::cli::config;
use crate::cli::config::Config;
use crate::cli::config::Said;
use crate::cli::exit::Failure;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Serve stores to stacks, operators and programs, over gRPC.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Configuration file, TOML; flags and the environment (PORTPLEX_SERVE_…) come before it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print the configuration that would be in force, every key with what it is for, and end
    #[arg(long)]
    pub(super) print_config: bool,
    /// Set any key of the configuration, such as limits.connections_max=1000
    #[arg(long, value_name = "KEY=VALUE", value_parser = Said::by_set)]
    set: Vec<Said>,
    /// Directory of the store, where the configuration lists no structures [default: ./portplex-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Make the store if the directory has none
    #[arg(long)]
    init: bool,
    /// Address and port to listen on, loopback only without --tls-cert; 127.0.0.1:7678 if no door is given
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Unix socket to listen on
    #[arg(long, value_name = "PATH")]
    uds: Vec<PathBuf>,
    /// The service's certificate, PEM, with those between it and its CA; --listen then takes mutual TLS only
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The CAs whose client certificates are believed, PEM
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Revocation lists of those CAs, PEM
    #[arg(long, value_name = "FILE")]
    tls_revoked: Option<PathBuf>,
    /// Let a uid use the unix socket: UID=operator, UID=read-only, UID=stack:NAME; may be given again
    #[arg(long, value_name = "UID=ROLE")]
    allow_uid: Vec<String>,
    /// What plain TCP on loopback may do: stack, operator or read-only
    #[arg(long, value_name = "ROLE")]
    loopback_role: Option<String>,
    /// Profile of a stack, shown under /v1, where the configuration lists no structures; may be given again
    #[arg(long, value_name = "[NAME=]FILE")]
    profile: Vec<String>,
    #[command(flatten)]
    structure: StructureArgs,
    /// Serve from a network file system too: neither its locks nor its syncs are to be relied on
    #[arg(long)]
    allow_network_fs: bool,
    /// From which level on events are logged: off, error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How they are logged, on standard error: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// How long a released port is held back from other stacks, ms: 1,000 to 86,400,000
    #[arg(long, value_name = "MS", hide = true, value_parser = clap::value_parser!(u64).range(1_000..=86_400_000))]
    quarantine_ms: Option<u64>,
    /// End in order when standard input ends
    #[arg(long, hide = true)]
    pub(super) leash: bool,
    /// What is told as JSON, one object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

impl ServeArgs {
    /// Defaults, the file, the environment, the flags.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        config::load(self.config.as_deref(), &self.said())
    }

    fn said(&self) -> Vec<Said> {
        let mut said = Vec::new();
        let mut say = |flag: &str, key: &str, word: Option<String>| {
            said.extend(word.map(|word| Said::by_flag(flag, key, &word)));
        };
        say("--data", "structure.data", self.data.as_ref().map(|path| path.display().to_string()));
        say("--structure", "structure.name", self.structure.name().map(|name| name.to_string()));
        say("--init", "init", self.init.then(|| true.to_string()));
        say("--allow-network-fs", "store.allow_network_fs", self.allow_network_fs.then(|| true.to_string()));
        say("--quarantine-ms", "store.quarantine", self.quarantine_ms.map(|ms| format!("{ms}ms")));
        say("--log-level", "log.level", self.log_level.clone());
        say("--log-format", "log.format", self.log_format.clone());
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        say("--tls-cert", "tls.certificate", path(&self.tls_cert));
        say("--tls-key", "tls.key", path(&self.tls_key));
        say("--tls-client-ca", "tls.client_ca", path(&self.tls_client_ca));
        say("--tls-revoked", "tls.revoked", path(&self.tls_revoked));
        say("--loopback-role", "access.loopback", self.loopback_role.clone());
        if !self.allow_uid.is_empty() {
            said.push(Said::list_by_flag("--allow-uid", "access.uids", self.allow_uid.clone()));
        }
        if !self.profile.is_empty() {
            said.push(Said::list_by_flag("--profile", "structure.profiles", self.profile.clone()));
        }
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        let sockets = self.uds.iter().map(|path| format!("unix:{}", path.display()));
        let doors: Vec<String> =
            sockets.chain(self.listen.iter().map(|address| format!("{scheme}://{address}"))).collect();
        if !doors.is_empty() {
            said.push(Said::list_by_flag("--listen", "listen", doors));
        }
        said.extend(self.set.iter().cloned());
        said
    }
}
