//! How far the log is durable, as the writer tells the threads beside it.
//!
//! It is told before anybody is answered, so that whoever was answered finds at least that much in
//! a checkpoint or a snapshot made afterwards.
#![forbid(unsafe_code)]

use crate::ident::Lsn;
use crate::wal::Appender;
use std::sync::atomic::{AtomicU64, Ordering};

/// Told by the writer, read by anybody.
#[derive(Debug)]
pub(crate) struct Progress {
    durable: AtomicU64,
    appended_bytes: AtomicU64,
}

impl Progress {
    pub(crate) fn new(appender: &Appender) -> Self {
        let (durable, appended) = (appender.durable().0, appender.appended_bytes());
        Self { durable: AtomicU64::new(durable), appended_bytes: AtomicU64::new(appended) }
    }

    /// Notes a frame that was synced.
    pub(crate) fn note(&self, appender: &Appender) {
        self.appended_bytes.store(appender.appended_bytes(), Ordering::Relaxed);
        self.durable.store(appender.durable().0, Ordering::Release);
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
