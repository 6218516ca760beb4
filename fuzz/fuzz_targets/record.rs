//! See `tests/suite/fuzz/record.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portplex_fuzz::fuzz::record::run(input));
