//! What threads do to each other: each request gets one answer, nothing undurable is shown, nobody waits for
//! ever, no port is with two. In the suite with threads of the system; in a binary of its own (feature
//! `shuttle`) under a model checker that tries the orders of events one by one.

mod facility;
#[path = "../stack/memory.rs"]
#[allow(dead_code, reason = "shared with the stack's own tests, which use all of it")]
#[allow(clippy::duplicate_mod, reason = "its lock is that of the module around it: here the checker's")]
mod memory;
mod run;
mod stack;
mod store;

use run::Mutex;
