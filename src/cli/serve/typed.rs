//! What was typed behind `serve`, and the configuration that it makes.
#![forbid(unsafe_code)]

use super::tls::TlsArgs;
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
    /// Address and port to listen on, loopback only without certificates; 127.0.0.1:7678 if no door is given
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Unix socket to listen on
    #[arg(long, value_name = "PATH")]
    uds: Vec<PathBuf>,
    #[command(flatten)]
    tls: TlsArgs,
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
        let sockets = self.uds.iter().map(|path| format!("unix:{}", path.display()));
        let doors: Vec<String> = sockets.chain(self.listen.iter().map(|address| self.tls.door(*address))).collect();
        if !doors.is_empty() {
            said.push(Said::list_by_flag("--listen", "listen", doors));
        }
        said.extend(self.tls.said());
        said.extend(self.set.iter().cloned());
        said
    }
}
