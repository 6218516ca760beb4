//! Ports with connections, that one more destination may share. A hint: the port's word decides.
#![forbid(unsafe_code)]

use crate::threads::AtomicU64;
use crate::threads::Ordering;
use std::sync::OnceLock;

/// The shared ports of one hand; nothing is kept before the first one.
#[derive(Debug, Default)]
pub(super) struct SharedPorts(OnceLock<Box<[AtomicU64]>>);

impl SharedPorts {
    /// Words of 64 ports.
    pub(super) const WORDS: usize = 1_024;

    pub(super) fn insert(&self, port: u16) {
        let words = self.0.get_or_init(|| (0..Self::WORDS).map(|_| AtomicU64::new(0)).collect());
        words[usize::from(port / 64)].fetch_or(1 << (port % 64), Ordering::AcqRel);
    }

    pub(super) fn remove(&self, port: u16) {
        if let Some(words) = self.0.get() {
            words[usize::from(port / 64)].fetch_and(!(1 << (port % 64)), Ordering::AcqRel);
        }
    }

    /// The ports from `at` times 64 on.
    pub(super) fn word(&self, at: usize) -> u64 {
        self.0.get().map_or(0, |words| words[at].load(Ordering::Acquire))
    }
}
