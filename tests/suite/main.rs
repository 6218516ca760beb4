//! The one integration binary: one module for each promise.

// Tests damage files and watch the clock on purpose, and nothing outside this binary sees its items.
#![allow(clippy::disallowed_methods, clippy::type_complexity, unreachable_pub)]

mod checkpoints;
mod cli;
mod crash;
mod dev;
mod distributor;
mod facility;
mod format;
mod hex;
mod images;
mod kills;
mod model;
mod old_files;
mod profiles;
mod records;
mod requirements;
mod samples;
mod stack;
mod tidy;
mod verdicts;
