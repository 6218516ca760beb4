//! See `tests/suite/fuzz/profile.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portplex_fuzz::fuzz::profile::run(input));
