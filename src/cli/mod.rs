//! The command line: what was typed, one file per verb, and what is shown.
//!
//! Results go to standard output, messages to standard error; [`exit`] is the one place that gives
//! a failure its number.

mod dev;
mod exit;
mod map;
mod output;
mod row;
#[cfg(test)]
mod sample;
mod size;
mod state;

use clap::Parser;

#[derive(Parser)]
enum Verb {
    /// A whole sysplex on this machine, under real connections and real crashes
    Dev(dev::DevArgs),
    /// The facility of `dev`
    #[command(hide = true)]
    FacilityChild(dev::ChildArgs),
}

/// Runs what was typed and gives the exit code.
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> u8 {
    let (done, json) = match Verb::parse_from(arguments) {
        Verb::Dev(args) => (dev::run(&args), args.json),
        Verb::FacilityChild(args) => (dev::run_child(&args), false),
    };
    done.map_or_else(
        |failure| {
            output::tell_failure(&failure, json);
            failure.exit().code()
        },
        |()| 0,
    )
}
