//! See `tests/suite/fuzz/manifest.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portplex_fuzz::fuzz::manifest::run(input));
