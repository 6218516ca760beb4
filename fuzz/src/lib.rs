//! What the targets do with an input: shared with `cargo test`, which runs it on the corpora.
#![forbid(unsafe_code)]

mod crash;
#[path = "../../tests/suite/fuzz/mod.rs"]
pub mod fuzz;
// Their tests are not built here, and so some of their parts are not used.
#[allow(dead_code)]
#[path = "../../tests/suite/model/mod.rs"]
mod model;
#[allow(dead_code)]
#[path = "../../tests/suite/random.rs"]
mod random;
