//! See `tests/suite/fuzz/crash.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portplex_fuzz::fuzz::crash::run(input));
