//! See `tests/suite/fuzz/log_damage.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portplex_fuzz::fuzz::log_damage::run(input));
