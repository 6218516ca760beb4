//! A pack from arbitrary bytes: never a panic, never more memory than its index may claim, and what can
//! be read has one form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portplex::wal::pack::probe;

fuzz_target!(|input: &[u8]| {
    let _ = probe(input);
});
