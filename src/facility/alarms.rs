//! What an operator should see although nothing failed: kept in memory, the last 64.
#![forbid(unsafe_code)]

use super::clock::Clock;
use crate::ident::WallMs;
use crate::threads::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many are kept.
const ALARMS_MAX: usize = 64;

/// Something that an operator should see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// When it was raised, wall time in ms.
    pub wall_ms: WallMs,
    /// What happened, to whom, and what to do about it.
    pub text: String,
}

/// The last alarms, the oldest first; shared by the writer and the threads beside it.
#[derive(Debug)]
pub(crate) struct Alarms {
    clock: Arc<dyn Clock>,
    last: Mutex<VecDeque<Alarm>>,
    raised: AtomicU64,
}

impl Alarms {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::default(), raised: AtomicU64::new(0) }
    }

    /// Raises one.
    pub(crate) fn raise(&self, text: impl Into<String>) {
        let alarm = Alarm { wall_ms: self.clock.wall_ms(), text: text.into() };
        self.raised.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last.lock();
        if last.len() == ALARMS_MAX {
            last.pop_front();
        }
        last.push_back(alarm);
    }

    /// How many were raised.
    pub(crate) fn raised(&self) -> u64 {
        self.raised.load(Ordering::Relaxed)
    }

    /// All that are kept, the oldest first.
    pub(crate) fn list(&self) -> Vec<Alarm> {
        self.last.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::SystemClock;
    use super::*;

    #[test]
    fn the_last_sixty_four_alarms_are_kept_in_order() {
        let alarms = Alarms::new(Arc::new(SystemClock::new()));
        (0..70).for_each(|number| alarms.raise(number.to_string()));
        assert_eq!(alarms.raised(), 70);
        let texts: Vec<String> = alarms.list().into_iter().map(|alarm| alarm.text).collect();
        assert_eq!(texts, (6..70).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}
