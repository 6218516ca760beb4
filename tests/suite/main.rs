//! The one integration binary: one module for each promise.

mod checkpoints;
mod cli;
mod dev;
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
