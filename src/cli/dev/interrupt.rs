//! Ctrl-C and its relatives: the first one ends the run in order, a later one at once.
#![forbid(unsafe_code)]

use super::error::DevError;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Signals that come together are one wish: a terminal and a script may both send theirs.
const ONE_WISH: Duration = Duration::from_secs(1);

/// How often it is looked whether a signal came.
const LOOK: Duration = Duration::from_millis(50);

/// Becomes true with the first signal. One that comes a second after it, or later, ends the
/// process on the spot: the facility's process then ends by itself.
///
/// # Errors
/// [`DevError::System`] if a signal cannot be watched.
pub(super) fn watch() -> Result<Arc<AtomicBool>, DevError> {
    let (stop, impatient) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // As a shell counts: 128 and the signal's number.
        let at_once = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&impatient));
        let in_order = signal_hook::flag::register(signal, Arc::clone(&stop));
        at_once.and(in_order).map_err(|source| DevError::System { what: "signals cannot be watched", source })?;
    }
    let asked = Arc::clone(&stop);
    let waiting = thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        while !asked.load(Ordering::SeqCst) {
            thread::sleep(LOOK);
        }
        thread::sleep(ONE_WISH);
        impatient.store(true, Ordering::SeqCst);
    });
    waiting.map(|_| stop).map_err(|source| DevError::System { what: "signals cannot be watched", source })
}
