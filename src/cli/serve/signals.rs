//! Signals: end in order, end at once, read the configuration again.
#![forbid(unsafe_code)]

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the process was told by signals.
#[derive(Debug, Default)]
pub(super) struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// From now on the first SIGTERM or SIGINT is told by [`is_told_to_stop`](Self::is_told_to_stop); the
    /// second one ends the process on the spot.
    pub(super) fn heed() -> Result<Self, Failure> {
        let signals = Self::default();
        let unwatched = |error| Failure::told(Exit::StorageFailed, format!("signals cannot be watched: {error}"));
        for signal in [SIGINT, SIGTERM] {
            let stop = &signals.stop;
            // In this order: the first one finds it false. As a shell counts: 128 and the signal's number.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(stop))
                .map_err(unwatched)?;
            signal_hook::flag::register(signal, Arc::clone(stop)).map_err(unwatched)?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&signals.reload)).map_err(unwatched)?;
        Ok(signals)
    }

    /// What the first signal sets, for whatever else ends the service.
    pub(super) fn stop(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    pub(super) fn is_told_to_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Whether a SIGHUP came since the last time.
    pub(super) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::SeqCst)
    }
}
