//! A pack from arbitrary bytes: never a panic, never more memory than its index may claim, and what can
//! be read has one form.

use portplex::wal::pack::probe;

/// One input.
pub fn run(input: &[u8]) {
    let _ = probe(input);
}
