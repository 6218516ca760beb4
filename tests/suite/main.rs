//! The one integration binary: one module for each promise.

mod checkpoints;
mod facility;
mod format;
mod hex;
mod old_files;
mod records;
mod samples;
mod tidy;
mod verdicts;
