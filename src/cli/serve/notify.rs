//! What a service manager is told: sd_notify(3). Without one, nothing.
#![forbid(unsafe_code)]

use parking_lot::Mutex;
use sd_notify::NotifyState;
use std::time::Duration;

/// The way to a service manager, if there is one.
#[derive(Debug)]
pub(super) struct Notifier {
    /// How often it is told that the service lives; `None`: it did not ask.
    every: Option<Duration>,
    /// Looks since it was told last.
    waited: Mutex<Duration>,
}

impl Notifier {
    pub(super) fn of_environment() -> Self {
        // Twice within the time that it allows.
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { every, waited: Mutex::new(Duration::ZERO) }
    }

    pub(super) fn status(&self, text: &str) {
        say(&[NotifyState::Status(text)]);
    }

    /// It serves; after a reload again.
    pub(super) fn ready(&self, text: &str) {
        say(&[NotifyState::Ready, NotifyState::Status(text)]);
    }

    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => say(&[NotifyState::Reloading, now, NotifyState::Status("reading the configuration again")]),
            Err(_) => say(&[NotifyState::Reloading]),
        }
    }

    pub(super) fn stopping(&self) {
        say(&[NotifyState::Stopping, NotifyState::Status("draining: calls that were taken are answered")]);
    }

    /// Called at every look: the main thread goes round, and no store has failed.
    pub(super) fn alive(&self) {
        let Some(every) = self.every else { return };
        let mut waited = self.waited.lock();
        *waited += super::LOOK;
        if *waited >= every {
            *waited = Duration::ZERO;
            say(&[NotifyState::Watchdog]);
        }
    }
}

fn say(states: &[NotifyState<'_>]) {
    // A service manager that does not listen is no reason to stop.
    let _ = sd_notify::notify(states);
}
