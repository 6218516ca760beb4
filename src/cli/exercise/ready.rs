//! Tells when quarantine ended, as it happens, from the facility's watch.
#![forbid(unsafe_code)]

use super::caller::Shared;
use super::lines::Ready;
use crate::cli::exit::Failure;
use crate::cli::log::Names;
use crate::facility::Watch;
use crate::facility::WatchError;
use crate::ident::Lsn;
use crate::structure::Change;
use parking_lot::Condvar;
use parking_lot::Mutex;
use std::time::Duration;

/// How long the watcher waits before it looks whether the callers are done.
const PATIENCE: Duration = Duration::from_millis(20);

/// How far the watcher has told.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    told: Mutex<(Lsn, bool)>,
    moved: Condvar,
}

impl Progress {
    fn set(&self, lsn: Lsn) {
        self.told.lock().0 = lsn;
        self.moved.notify_all();
    }

    fn end(&self) {
        self.told.lock().1 = true;
        self.moved.notify_all();
    }

    /// Waits until everything up to `lsn` was told, or the watcher ended.
    pub(crate) fn wait_for(&self, lsn: Lsn) {
        let mut told = self.told.lock();
        while told.0 < lsn && !told.1 {
            self.moved.wait(&mut told);
        }
    }
}

/// Follows the watch, which starts where `names` were read, until the callers are done and all that happened is told.
pub(crate) fn tell(watch: Watch, names: Names, shared: &Shared<'_>) -> Result<(), Failure> {
    let told = follow(watch, names, shared);
    shared.progress.end();
    if told.is_err() {
        shared.stop();
    }
    told
}

fn follow(mut watch: Watch, mut names: Names, shared: &Shared<'_>) -> Result<(), Failure> {
    shared.progress.set(watch.last());
    loop {
        let (lsn, event) = match watch.next(PATIENCE) {
            Ok(Some(placed)) => placed,
            Ok(None) if shared.is_stopped() => return Ok(()),
            Ok(None) => continue,
            // The callers hear of it themselves, and say so.
            Err(WatchError::Closed { .. }) => return Ok(()),
            Err(WatchError::Lagged { resume_from }) => {
                watch = shared.facility.watch_from(resume_from)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        names.learn(lsn, &event);
        if let Change::Ready { list, up_to } = event.change
            && let Some(target) = names.list(list)
        {
            let (transport, dvipa) = (target.transport().name(), target.dvipa_text());
            shared.lines.json(&Ready { ready: up_to.0, transport, dvipa, lsn: lsn.0 })?;
        }
        shared.progress.set(lsn);
    }
}
