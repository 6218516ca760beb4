//! The one integration test binary: every module is a subject.

mod checkpoints;
mod hex;
mod old_files;
mod records;
mod samples;
