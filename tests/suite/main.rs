//! The one integration test binary: every module is a subject.

mod hex;
mod old_files;
mod records;
mod samples;
