//! See `tests/suite/fuzz/log_recovery.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portplex_fuzz::fuzz::log_recovery::run(input));
