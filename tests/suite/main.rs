//! The one integration binary: one module for each promise.

// Tests damage files and watch the clock on purpose, and nothing outside this binary sees its items.
#![allow(clippy::disallowed_methods, clippy::type_complexity, unreachable_pub)]

mod agent;
mod allocations;
mod api;
mod attach;
mod bugs;
mod checkpoints;
mod cli;
// With the model checker it is a binary of its own: nothing else runs under it.
#[cfg(not(feature = "shuttle"))]
mod concurrency;
mod conformance;
mod corpora;
mod crash;
mod dev;
mod displays;
mod distributor;
mod explain;
mod facility;
mod fault_rows;
mod format;
mod full_disk;
mod fuzz;
mod hex;
mod images;
mod kills;
mod memory;
mod metrics;
mod model;
mod netns;
mod numbers;
mod old_files;
mod operations;
mod operator;
mod profiles;
mod protocol;
mod random;
mod records;
mod requirements;
mod restarts;
mod samples;
mod serve;
mod simulation;
mod stack;
mod states;
mod tidy;
mod verdicts;
mod web;
mod who;
