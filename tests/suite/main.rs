//! The one integration binary: one module for each promise.

mod checkpoints;
mod facility;
mod hex;
mod images;
mod kills;
mod old_files;
mod profiles;
mod records;
mod requirements;
mod samples;
mod stack;
mod tidy;
