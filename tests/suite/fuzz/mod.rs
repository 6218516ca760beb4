//! What each fuzz target does with an input. The fuzzer calls these, and so does `cargo test` with every
//! input of the corpora.

pub mod checkpoint;
pub mod crash;
pub mod log_damage;
pub mod log_recovery;
pub mod manifest;
pub mod packed;
pub mod profile;
pub mod record;
pub mod store;
pub mod structure;
pub mod watermark;

/// A target: its name, and what it does with an input. It panics if a promise is broken.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("checkpoint", checkpoint::run),
    ("crash", crash::run),
    ("log_damage", log_damage::run),
    ("log_recovery", log_recovery::run),
    ("manifest", manifest::run),
    ("packed", packed::run),
    ("profile", profile::run),
    ("record", record::run),
    ("structure", structure::run),
    ("watermark", watermark::run),
];
