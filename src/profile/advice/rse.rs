//! Rules on `rse.env`: what the RSE daemons behind a distributed DVIPA must and must not be told.
#![forbid(unsafe_code)]

use super::{Advice, EXPLORER, RseEnv, Rule, View};
use crate::profile::diagnostic::Severity;
use std::collections::BTreeSet;

/// Keys of directories that all systems must share, with their defaults.
const SHARED: [(&str, &str); 3] =
    [("RSE_HOME", "/usr/lpp/IBM/zexpl"), ("RSE_CFG", "/etc/zexpl"), ("pushtoclient.folder", "/var/zexpl/pushtoclient")];

/// Keys of directories that each system must have for itself: with their defaults, and what is in
/// them.
const UNIQUE: [(&str, &str, &str); 3] = [
    ("CGI_ISPWORK", "/var/zexpl", "/WORKAREA"),
    ("daemon.log", "/var/zexpl/logs", ""),
    ("user.log", "/var/zexpl/logs", ""),
];

/// What else may differ.
const OWN: [&str; 1] = ["_RSE_PORTRANGE"];

impl View<'_> {
    pub(super) fn rse(&self, advice: &mut Vec<Advice>) {
        if self.of_daemon().next().is_some() {
            self.rse_switches(advice);
        }
        self.rse_portrange(advice);
        if self.environments.len() > 1 {
            self.shared_directories(advice);
            self.unique_directories(advice);
            self.other_settings(advice);
        }
    }

    fn rse_switches(&self, advice: &mut Vec<Advice>) {
        let off = |property: &str| -> Vec<String> {
            self.environments.iter().filter(|env| !env.is_on(property)).map(|env| env.name.clone()).collect()
        };
        let mut tell = |property: &str, rule, severity, why: &str| {
            let profiles = off(property);
            if !profiles.is_empty() {
                let why = format!("{property} is not true: {why}; add -D{property}=true to _RSE_JAVAOPTS");
                advice.push(Advice { rule, severity, profiles, why, source: EXPLORER });
            }
        };
        tell(
            "enable.dDVIPA",
            Rule::RseDdvipaOff,
            Severity::Error,
            "the daemon's port is distributed, and without it workers do not bind their ports to the DVIPA",
        );
        tell(
            "deny.nonzero.port",
            Rule::RseNonzeroPort,
            Severity::Warning,
            "a client that names a port itself keeps TCP/IP from choosing one that is unique in the sysplex",
        );
    }

    fn each<'a>(&'a self, key: &'a str, default: &'a str) -> impl Iterator<Item = (&'a RseEnv, &'a str)> {
        self.environments.iter().map(move |env| (env, env.get(key).unwrap_or(default)))
    }

    fn shared_directories(&self, advice: &mut Vec<Advice>) {
        for (key, default) in SHARED {
            let values: BTreeSet<&str> = self.each(key, default).map(|(_, value)| value).collect();
            if values.len() > 1 {
                let values: Vec<&str> = values.into_iter().collect();
                advice.push(Advice {
                    rule: Rule::RseDirectoriesShared,
                    severity: Severity::Warning,
                    profiles: self.environment_names(),
                    why: format!(
                        "{key} is {}: all systems must share this directory, so that their set-up is identical",
                        values.join(" and ")
                    ),
                    source: EXPLORER,
                });
            }
        }
    }

    /// The same path can be a directory of its own on each system, so this is only something to check.
    fn unique_directories(&self, advice: &mut Vec<Advice>) {
        let mut told = BTreeSet::new();
        for (key, default, inside) in UNIQUE {
            let values: Vec<(&RseEnv, &str)> = self.each(key, default).collect();
            for (at, (env, value)) in values.iter().enumerate() {
                let same: Vec<String> =
                    values.iter().filter(|(_, other)| other == value).map(|(env, _)| env.name.clone()).collect();
                let first = values[..at].iter().all(|(_, other)| other != value);
                let by_system = value.contains(['$', '&']);
                let directory = format!("{value}{inside}");
                if same.len() < 2 || !first || by_system || !told.insert((directory.clone(), env.name.clone())) {
                    continue;
                }
                advice.push(Advice {
                    rule: Rule::RseDirectoriesUnique,
                    severity: Severity::Note,
                    profiles: same,
                    why: format!(
                        "{directory} ({key}) has the same path on these systems: it must not be shared; check that \
                         each has a file system of its own there"
                    ),
                    source: EXPLORER,
                });
            }
        }
    }

    fn other_settings(&self, advice: &mut Vec<Advice>) {
        let known = |key: &str| {
            let shared = SHARED.iter().any(|(shared, _)| *shared == key);
            shared || UNIQUE.iter().any(|(unique, ..)| *unique == key) || OWN.contains(&key)
        };
        let keys: BTreeSet<&str> = self
            .environments
            .iter()
            .flat_map(|env| env.variables.keys().chain(env.properties.keys()))
            .map(String::as_str)
            .filter(|key| !known(key))
            .collect();
        let differs = |key: &&str| {
            let first = self.environments[0].get(key);
            self.environments.iter().any(|env| env.get(key) != first)
        };
        let different: Vec<&str> = keys.into_iter().filter(differs).collect();
        if !different.is_empty() {
            advice.push(Advice {
                rule: Rule::RseSetupDiffers,
                severity: Severity::Warning,
                profiles: self.environment_names(),
                why: format!(
                    "{} differ: all participating servers must have an identical set-up; share one configuration \
                     directory",
                    different.join(", ")
                ),
                source: EXPLORER,
            });
        }
    }

    fn environment_names(&self) -> Vec<String> {
        self.environments.iter().map(|env| env.name.clone()).collect()
    }
}
