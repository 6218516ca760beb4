//! The command line: what was typed, one file per verb, and what is shown.
//!
//! Results go to standard output, messages to standard error. `exit` is the one place that gives a
//! failure its number; `output` the one that writes. Every verb but `dev`, `serve`, `connector fail`,
//! `connector clean-up` and `store init | adopt | resume | restore | exercise` reads only and changes
//! no byte of a store.
#![forbid(unsafe_code)]

mod act;
mod args;
mod columns;
mod connector;
mod dev;
mod display;
mod exercise;
mod exit;
mod explain;
mod log;
mod map;
mod notice;
mod output;
mod profile;
mod row;
#[cfg(feature = "service")]
mod serve;
mod size;
mod source;
mod splitmix;
mod store;
mod who;

use crate::shapes::state;
use args::Typed;
use args::Verb;
use clap::FromArgMatches;
use exit::Exit;
use exit::Failure;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Where `dev` keeps its store, and where `display` looks.
pub(crate) const DATA_DEFAULT: &str = "./portplex-data";

/// Runs the command line that was typed, the program's name first, and returns the exit code.
pub fn run(typed: impl IntoIterator<Item = OsString>) -> u8 {
    let typed = args::command().try_get_matches_from(typed).and_then(|matches| Typed::from_arg_matches(&matches));
    let typed = match typed {
        Ok(typed) => typed,
        Err(error) => return told_by_parser(&error).code(),
    };
    heed_size_limits();
    let (is_json, done) = match &typed.verb {
        Verb::Dev(args) => (args.json, dev::run(args).map(|()| Exit::Done)),
        Verb::FacilityChild(args) => (false, dev::run_child(args).map(|()| Exit::Done)),
        #[cfg(feature = "service")]
        Verb::Serve(args) => (args.json, serve::run(args)),
        Verb::Display(args) => (args.is_json(), args.run()),
        Verb::Explain(args) => (args.is_json(), args.run()),
        Verb::Who(args) => (args.is_json(), args.run()),
        Verb::Store(args) => (args.is_json(), args.run()),
        Verb::Log(args) => (args.is_json(), args.run()),
        Verb::Connector(args) => (args.is_json(), args.run()),
        Verb::Profile(args) => (args.is_json(), args.run()),
    };
    match done {
        Ok(exit) => exit.code(),
        Err(failure) => {
            output::tell_failure(&failure, is_json);
            failure.exit().code()
        }
    }
}

/// A file-size limit is a write that fails and says so, not the end of the process.
fn heed_size_limits() {
    // Without it a limit is a kill: nothing acknowledged is lost by that either.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Whether a command line, the program's name first, is understood; nothing is run.
///
/// # Errors
/// What the parser says.
pub fn is_understood(typed: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    match args::command().try_get_matches_from(typed) {
        Ok(_) => Ok(()),
        Err(error) if !error.use_stderr() => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Help and version are results, everything else is a mistake; both are printed here.
fn told_by_parser(error: &clap::Error) -> Exit {
    let is_mistake = error.use_stderr();
    match error.print().map_err(Failure::Output) {
        _ if is_mistake => Exit::Usage,
        Ok(()) => Exit::Done,
        Err(failure) => {
            output::tell_failure(&failure, false);
            failure.exit()
        }
    }
}
