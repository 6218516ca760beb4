//! Locks, condition variables, atomics and threads of the engine and the stack, named at one place.
//!
//! Normally they are `parking_lot`'s and the standard library's, re-exported and nothing else. With the
//! feature `shuttle` a model checker's stand in for them: then a test decides who runs when, at every
//! lock, atomic and wait, and can repeat what it did. Whatever two threads agree over goes through here;
//! counters that only people read do not, and neither does `arc-swap`, whose exchange of one pointer the
//! model takes as one step.
#![forbid(unsafe_code)]

#[cfg(feature = "shuttle")]
mod explore;
#[cfg(feature = "shuttle")]
mod modelled;

#[cfg(feature = "shuttle")]
pub use explore::{Extent, choose, exhaust, explore};
#[cfg(feature = "shuttle")]
pub use modelled::{
    AtomicBool, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, RandomState, thread,
};

#[cfg(not(feature = "shuttle"))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::hash::RandomState;
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::thread;
