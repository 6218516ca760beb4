//! The one integration binary: one module for each promise.

mod checkpoints;
mod facility;
mod hex;
mod model;
mod old_files;
mod profiles;
mod records;
mod samples;
mod stack;
mod tidy;
