//! A leash for a service that another process starts for itself: when standard input ends, because that
//! process let go of it or was killed, the service ends in order.
#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Sets `stop` when standard input ends.
pub(super) fn watch(stop: &Arc<AtomicBool>) {
    let stopping = Arc::clone(stop);
    let watching = thread::Builder::new().name("leash".to_owned()).spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut bytes = [0; 64];
        while stdin.read(&mut bytes).is_ok_and(|count| count > 0) {}
        stopping.store(true, Ordering::SeqCst);
    });
    // Without the thread the leash counts as let go: the safe side.
    stop.fetch_or(watching.is_err(), Ordering::SeqCst);
}
