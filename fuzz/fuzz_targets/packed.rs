//! See `tests/suite/fuzz/packed.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portplex_fuzz::fuzz::packed::run(input));
