//! The binary: hands what was typed to the command line and exits with its code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(portplex::cli::run(std::env::args_os()))
}
