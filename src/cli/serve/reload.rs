//! SIGHUP: the configuration is read again, and what a running service can take over is taken over.
#![forbid(unsafe_code)]

use super::line::Line;
use super::logs::Logs;
use super::typed::ServeArgs;
use crate::api::Running;
use crate::cli::config;
use crate::cli::config::Config;

/// What a reload needs to know.
pub(super) struct Reloading<'a> {
    args: &'a ServeArgs,
    config: Config,
    logs: Logs,
}

impl<'a> Reloading<'a> {
    pub(super) fn new(args: &'a ServeArgs, config: Config, logs: Logs) -> Self {
        Self { args, config, logs }
    }

    /// Reads it again. A configuration that is not understood leaves the old one in force.
    pub(super) fn run(&mut self, running: &Running) {
        let config = match self.args.config() {
            Ok(config) => config,
            Err(failure) => {
                return Line::of("reload-failed").error(format!("nothing was changed: {failure}"));
            }
        };
        let changes = config::changes(&self.config, &config);
        self.logs.set_level(config.log_level);
        let certificates = running.reload();
        let mut text = match changes.taken.as_slice() {
            [] => "the configuration was read again".to_owned(),
            taken => format!("the configuration was read again; in force now: {}", taken.join(", ")),
        };
        if !changes.later.is_empty() {
            text.push_str(&format!("; needs a restart: {}", changes.later.join(", ")));
        }
        if let Err(error) = certificates {
            Line::of("certificates-kept").error(format!("the certificates in force stay in force: {error}"));
        }
        let line = Line::of("reloaded");
        if changes.later.is_empty() {
            line.info(text)
        } else {
            line.warn(text)
        }
        // What waits for a restart is told at every reload until then.
        self.config.log_level = config.log_level;
    }
}
