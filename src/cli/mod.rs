//! The command line: what was typed, one file per verb, and what is shown.
//!
//! Results go to standard output, messages to standard error; [`exit`] is the one place that gives
//! a failure its number.

mod exit;
mod map;
mod output;
mod row;
#[cfg(test)]
mod sample;
mod size;
mod state;
