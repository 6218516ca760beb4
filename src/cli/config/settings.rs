//! What a service is set to, as values that mean something.
#![forbid(unsafe_code)]

use super::value::Setting;
use super::value::Size;
use super::value::Value;
use super::value::quoted;
use crate::api::Door;
use crate::api::Limits;
use crate::api::access::Access;
use crate::api::access::Role;
use crate::api::access::Tls;
use crate::api::access::UidMap;
use crate::facility::AfterPowerLoss;
use crate::facility::Options;
use crate::ident::StructureName;
use crate::structure::Policy;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where it listens unless it is told.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7678);

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) listen: Vec<Door>,
    pub(crate) init: bool,
    /// The lease that stacks are asked to promise.
    pub(crate) lease: Duration,
    pub(crate) log_level: Level,
    pub(crate) log_format: Format,
    pub(crate) tls_certificate: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) tls_client_ca: Option<PathBuf>,
    pub(crate) tls_revoked: Option<PathBuf>,
    pub(crate) loopback: Role,
    /// Rows of a uid map.
    pub(crate) uids: Vec<String>,
    pub(crate) limits: Limits,
    /// What holds for every structure that does not say otherwise; its name and place are those of the one
    /// structure of a service that lists none.
    pub(crate) common: StructureConfig,
    pub(crate) structures: Vec<StructureConfig>,
}

/// One structure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StructureConfig {
    pub(crate) name: Option<StructureName>,
    pub(crate) data: PathBuf,
    pub(crate) optional: bool,
    /// `FILE` or `NAME=FILE`, of one stack each.
    pub(crate) profiles: Vec<String>,
    pub(crate) queue_length: usize,
    pub(crate) segment_size: Size,
    pub(crate) quarantine: Duration,
    pub(crate) checkpoint_log: Size,
    pub(crate) checkpoint_interval: Duration,
    pub(crate) history_log: Size,
    pub(crate) history_age: Duration,
    pub(crate) history_size: Size,
    pub(crate) history_full: WhenFull,
    pub(crate) after_power_loss: AfterPowerLoss,
    pub(crate) allow_network_fs: bool,
    pub(crate) policy_quota: u32,
    pub(crate) policy_reserve: u16,
    pub(crate) policy_quarantine: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Door::Tcp(LISTEN_DEFAULT)],
            init: false,
            lease: Duration::from_secs(30),
            log_level: Level::Info,
            log_format: Format::Text,
            tls_certificate: None,
            tls_key: None,
            tls_client_ca: None,
            tls_revoked: None,
            loopback: Role::Operator,
            uids: Vec::new(),
            limits: Limits::default(),
            common: StructureConfig::default(),
            structures: vec![StructureConfig::default()],
        }
    }
}

impl Config {
    /// Who may come in. Rows of the uid map were looked at before.
    pub(crate) fn access(&self) -> Access {
        let tls = match (&self.tls_certificate, &self.tls_key, &self.tls_client_ca) {
            (Some(certificate), Some(key), Some(client_ca)) => Some(Tls {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: client_ca.clone(),
                revoked: self.tls_revoked.clone(),
            }),
            _ => None,
        };
        let allow = |uids: UidMap, row: &String| uids.clone().allow_row(row).unwrap_or(uids);
        Access { loopback: self.loopback, uids: self.uids.iter().fold(UidMap::default(), allow), tls }
    }
}

impl Default for StructureConfig {
    fn default() -> Self {
        let options = Options::default();
        Self {
            name: None,
            data: crate::cli::DATA_DEFAULT.into(),
            optional: false,
            profiles: Vec::new(),
            queue_length: options.queue_length,
            segment_size: Size(options.segment_size),
            quarantine: options.quarantine,
            checkpoint_log: Size(options.checkpoint_log_bytes),
            checkpoint_interval: options.checkpoint_interval,
            history_log: Size(options.pack_log_bytes),
            history_age: options.history_age,
            history_size: Size(options.history_bytes),
            history_full: if options.history_yields { WhenFull::Yield } else { WhenFull::Keep },
            after_power_loss: options.after_power_loss,
            allow_network_fs: options.allow_network,
            policy_quota: options.policy.quota,
            policy_reserve: options.policy.reserve,
            policy_quarantine: Duration::from_millis(options.policy.quarantine_ms.into()),
        }
    }
}

impl StructureConfig {
    /// What a structure begins with.
    pub(super) fn of(config: &Config) -> Self {
        config.common.clone()
    }

    /// The policy of new lists.
    pub(crate) fn policy(&self) -> Policy {
        let quarantine_ms = u32::try_from(self.policy_quarantine.as_millis()).unwrap_or(u32::MAX);
        Policy { quota: self.policy_quota, reserve: self.policy_reserve, quarantine_ms, ..Policy::default() }
    }

    /// How its store is opened.
    pub(crate) fn options(&self, create: bool) -> Options {
        Options {
            create,
            structure: self.name,
            segment_size: self.segment_size.0,
            quarantine: self.quarantine,
            policy: self.policy(),
            queue_length: self.queue_length,
            checkpoint_log_bytes: self.checkpoint_log.0,
            checkpoint_interval: self.checkpoint_interval,
            pack_log_bytes: self.history_log.0,
            history_age: self.history_age,
            history_bytes: self.history_size.0,
            history_yields: self.history_full == WhenFull::Yield,
            after_power_loss: self.after_power_loss,
            allow_network: self.allow_network_fs,
            ..Options::default()
        }
    }
}

/// Makes an enum a setting with named values.
macro_rules! choice {
    ($kind:ty { $($name:literal => $value:path),+ $(,)? }) => {
        impl Setting for $kind {
            fn read(value: &Value) -> Result<Self, String> {
                let named = [$(($name, $value)),+];
                let word = String::read(value)?;
                let found = named.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
                found.ok_or_else(|| format!("{word:?} is none of {}", [$($name),+].join(", ")))
            }

            fn show(&self) -> String {
                let named = [$(($name, $value)),+];
                named.iter().find(|(_, value)| value == self).map_or_else(String::new, |(name, _)| quoted(name))
            }
        }
    };
}

/// From which level on something is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

choice!(Level {
    "off" => Level::Off,
    "error" => Level::Error,
    "warn" => Level::Warn,
    "info" => Level::Info,
    "debug" => Level::Debug,
    "trace" => Level::Trace,
});

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

choice!(Role { "stack" => Role::Stack, "operator" => Role::Operator, "read-only" => Role::ReadOnly });

choice!(Format { "text" => Format::Text, "json" => Format::Json });

/// What becomes of history when the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    Yield,
    Keep,
}

choice!(WhenFull { "yield" => WhenFull::Yield, "keep" => WhenFull::Keep });

choice!(AfterPowerLoss { "wait" => AfterPowerLoss::Wait, "serve" => AfterPowerLoss::Serve });
