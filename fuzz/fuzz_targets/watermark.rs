//! See `tests/suite/fuzz/watermark.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portplex_fuzz::fuzz::watermark::run(input));
