//! How far the log is durable, as the writer tells the threads beside it.
//!
//! It is told before anybody is answered, so that whoever was answered finds at least that much in
//! a checkpoint or a snapshot made afterwards.
#![forbid(unsafe_code)]

use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::threads::AtomicU64;
use crate::threads::Ordering;
use crate::wal::Appender;

/// Told by the writer, read by anybody.
#[derive(Debug)]
pub(crate) struct Progress {
    history: AtomicU64,
    durable: AtomicU64,
    appended_bytes: AtomicU64,
}

impl Progress {
    pub(crate) fn new(appender: &Appender) -> Self {
        let (durable, appended) = (appender.durable().0, appender.appended_bytes());
        let history = AtomicU64::new(appender.history().0);
        Self { history, durable: AtomicU64::new(durable), appended_bytes: AtomicU64::new(appended) }
    }

    /// Notes a frame that was synced, or a history that was begun.
    pub(crate) fn note(&self, appender: &Appender) {
        self.appended_bytes.store(appender.appended_bytes(), Ordering::Relaxed);
        self.history.store(appender.history().0, Ordering::Relaxed);
        self.durable.store(appender.durable().0, Ordering::Release);
    }

    /// The history being written.
    pub(crate) fn history(&self) -> HistoryId {
        HistoryId(self.history.load(Ordering::Relaxed))
    }

    /// Everything up to here may be read beside the writer.
    pub(crate) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// Bytes of log written since the open.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.appended_bytes.load(Ordering::Relaxed)
    }
}
