//! The log of the service: lines on standard error, from a level on that a reload may change.
#![forbid(unsafe_code)]

use super::line;
use crate::cli::config::Config;
use crate::cli::config::Format;
use crate::cli::config::Level;
use std::io::IsTerminal as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The log at work.
#[derive(Debug)]
pub(super) struct Logs {
    filter: reload::Handle<Targets, Registry>,
}

/// Starts it. `json`: what is told on standard output is for a program.
pub(super) fn start(config: &Config, json: bool) -> Logs {
    let (is_out, is_err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
    if is_out && is_err && !json {
        line::start_is_seen();
    }
    let (filter, handle) = reload::Layer::new(filter(config.log_level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(is_err);
    let lines = match config.log_format {
        Format::Text => lines.boxed(),
        Format::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).with_ansi(false).boxed()
        }
    };
    // A log that was started before, by a program that links this, stays.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Logs { filter: handle }
}

impl Logs {
    /// From now on another level.
    pub(super) fn set_level(&self, level: Level) {
        // It is there as long as the process.
        let _ = self.filter.reload(filter(level));
    }
}

/// This program's own lines from that level on; those of libraries only when something is wrong.
fn filter(level: Level) -> Targets {
    let own = match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_target("portplex", own).with_default(own.min(LevelFilter::WARN))
}
