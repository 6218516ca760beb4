//! Engine and stack under a model checker that decides who runs when (feature `shuttle`).

#![allow(clippy::disallowed_methods, unreachable_pub)]

#[path = "suite/concurrency/mod.rs"]
mod concurrency;
