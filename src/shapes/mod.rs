//! A structure as people and programs are shown it: counted, named, and as JSON.
//!
//! What the command line prints and what the service answers over HTTP is shaped here, once. The keys
//! are a contract with programs: new ones may come, none goes or changes its meaning.
#![forbid(unsafe_code)]
#![cfg_attr(not(all(feature = "cli", feature = "service")), allow(dead_code, reason = "each shows what it needs"))]

pub(crate) mod event;
pub(crate) mod groups;
pub(crate) mod lists;
pub(crate) mod map;
pub(crate) mod names;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod state;
pub(crate) mod wall;
