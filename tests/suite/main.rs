//! The one integration binary: one module for each promise.

mod checkpoints;
mod crash;
mod facility;
mod hex;
mod old_files;
mod profiles;
mod records;
mod samples;
mod stack;
mod tidy;
