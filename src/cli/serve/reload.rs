//! SIGHUP: the configuration is read again, and what a running service can take over is taken over.
#![forbid(unsafe_code)]

use super::line::Line;
use super::logs::Logs;
use super::open::Opened;
use super::profiles::Profiles;
use super::typed::ServeArgs;
use crate::api::Running;
use crate::api::access::Reloaded;
use crate::cli::config;
use crate::cli::config::Config;
use crate::cli::config::StructureConfig;
use std::sync::Arc;

/// What a reload needs to know.
pub(super) struct Reloading<'a> {
    args: &'a ServeArgs,
    /// What is in force.
    config: Config,
    profiles: Vec<Arc<Profiles>>,
    logs: Logs,
}

impl<'a> Reloading<'a> {
    pub(super) fn new(args: &'a ServeArgs, config: Config, profiles: Vec<Arc<Profiles>>, logs: Logs) -> Self {
        Self { args, config, profiles, logs }
    }

    /// Reads it again. A configuration that is not understood leaves the old one in force.
    pub(super) fn run(&mut self, running: &Running, opened: &Opened) {
        let mut config = match self.args.config() {
            Ok(config) => config,
            Err(failure) => {
                return Line::of("reload-failed").error(format!("nothing was changed: {failure}"));
            }
        };
        self.reload_profiles(&mut config);
        let changes = config::take_over(&mut self.config, &config);
        self.logs.set_level(self.config.log_level);
        running.limit(self.config.limits, self.config.lease);
        for store in &opened.stores {
            if let Some(structure) = self.config.structures.iter().find(|structure| structure.data == store.data) {
                store.facility.tune(structure.options(false).tuning());
            }
        }
        reload_certificates(running);
        let text = match changes.taken.as_slice() {
            [] => "the configuration was read again".to_owned(),
            taken => format!("the configuration was read again; in force now: {}", taken.join(", ")),
        };
        Line::of("reloaded").info(text);
        // What waits is told at every reload until then.
        for later in &changes.later {
            Line::of("needs-restart").warn(later.to_string());
        }
    }

    /// The files of profiles. Those of a structure that cannot be read stay as they are, and so does the key.
    fn reload_profiles(&self, config: &mut Config) {
        for profiles in &self.profiles {
            let is_it = |structure: &&mut StructureConfig| structure.data == profiles.data;
            let Some(structure) = config.structures.iter_mut().find(is_it) else { continue };
            if !profiles.reload(&structure.profiles)
                && let Some(before) = self.config.structures.iter().find(|before| before.data == profiles.data)
            {
                structure.profiles.clone_from(&before.profiles);
            }
        }
    }
}

/// The files of certificates, for new connections. Bad ones leave those before in force.
fn reload_certificates(running: &Running) {
    match running.reload() {
        Ok(Reloaded { certificate: Some(facts) }) => {
            Line::of("certificates").info(format!("certificates were read anew: good until {}", facts.until()));
        }
        Ok(Reloaded { certificate: None }) => {}
        Err(error) => Line::of("reload-failed").error(format!("the certificates before stay in force: {error}")),
    }
}
