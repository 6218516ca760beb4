//! See `tests/suite/fuzz/structure.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portplex_fuzz::fuzz::structure::run(input));
