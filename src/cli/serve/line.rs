//! One line of the log: an event that an operator asks about, with the same fields everywhere.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

/// What every line of the service begins with, for filters.
pub(super) const TARGET: &str = "portplex::service";

/// Whether what happens at the start is seen on the same terminal already.
static IS_START_SEEN: AtomicBool = AtomicBool::new(false);

/// From now on lines of the start are for `debug`: the terminal shows them in another form.
pub(super) fn start_is_seen() {
    IS_START_SEEN.store(true, Ordering::Relaxed);
}

/// An event and whom it is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) event: &'static str,
    pub(super) structure: Option<String>,
    pub(super) connector: Option<String>,
    pub(super) incarnation: Option<u64>,
    pub(super) dvipa: Option<String>,
    pub(super) transport: Option<&'static str>,
    pub(super) by: Option<String>,
    pub(super) lsn: Option<u64>,
}

macro_rules! log {
    ($level:ident, $line:expr, $text:expr) => {
        tracing::$level!(
            target: TARGET,
            event = $line.event,
            structure = $line.structure.as_deref(),
            connector = $line.connector.as_deref(),
            incarnation = $line.incarnation,
            dvipa = $line.dvipa.as_deref(),
            transport = $line.transport,
            by = $line.by.as_deref(),
            lsn = $line.lsn,
            "{}",
            $text
        )
    };
}

impl Line {
    pub(super) fn of(event: &'static str) -> Self {
        Self { event, ..Self::default() }
    }

    /// About a structure.
    pub(super) fn about(event: &'static str, structure: &str) -> Self {
        Self { event, structure: Some(structure.to_owned()), ..Self::default() }
    }

    pub(super) fn error(&self, text: impl AsRef<str>) {
        log!(error, self, text.as_ref());
    }

    pub(super) fn warn(&self, text: impl AsRef<str>) {
        log!(warn, self, text.as_ref());
    }

    pub(super) fn info(&self, text: impl AsRef<str>) {
        log!(info, self, text.as_ref());
    }

    pub(super) fn debug(&self, text: impl AsRef<str>) {
        log!(debug, self, text.as_ref());
    }

    pub(super) fn trace(&self, text: impl AsRef<str>) {
        log!(trace, self, text.as_ref());
    }

    /// Whether lines of the lowest level are written now.
    pub(super) fn is_tracing() -> bool {
        tracing::enabled!(target: TARGET, tracing::Level::TRACE)
    }

    /// Something that belongs to the start.
    pub(super) fn tell_start(&self, text: impl AsRef<str>) {
        if IS_START_SEEN.load(Ordering::Relaxed) { self.debug(text) } else { self.info(text) }
    }
}
