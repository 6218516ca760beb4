//! See `tests/suite/fuzz/checkpoint.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portplex_fuzz::fuzz::checkpoint::run(input));
