//! The one integration binary: one module for each promise.

mod crash;
mod hex;
mod old_files;
mod records;
mod samples;
mod tidy;
