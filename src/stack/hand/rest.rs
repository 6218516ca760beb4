//! Returned ports and how long each still rests: the other side may remember its last connection.
//!
//! A rest begins when the port is seen to be back, which is never before it came back: it may last
//! longer than TIMEWAITINTERVAL, never less. Without an interval a port that came back is free as
//! soon as another one came back after it: the port just returned is never the next one.
#![forbid(unsafe_code)]

use crate::ident::BootMs;
use std::collections::BTreeMap;
use std::collections::VecDeque;

/// Ports that rest.
#[derive(Debug, Default)]
pub(super) struct Rest {
    interval_ms: u64,
    queue: VecDeque<(u16, BootMs)>,
    /// Until when each rests: a port that came back twice is in the queue twice.
    until: BTreeMap<u16, BootMs>,
    /// Without an interval: the port that came back last.
    last: Option<u16>,
}

impl Rest {
    /// Sets how long a port rests, ms. Those that rest already go on as they began.
    pub(super) fn set_interval(&mut self, interval_ms: u64) {
        self.interval_ms = interval_ms;
    }

    /// A port is back. `over` hears of one whose rest is over by that.
    pub(super) fn begin(&mut self, now: BootMs, port: u16, over: &mut Vec<u16>) {
        if self.interval_ms == 0 {
            over.extend(self.last.replace(port).filter(|last| *last != port));
        } else {
            let until = now.plus(self.interval_ms);
            self.queue.push_back((port, until));
            self.until.insert(port, until);
        }
    }

    /// Takes out the ports whose rest is over.
    pub(super) fn end(&mut self, now: BootMs, over: &mut Vec<u16>) {
        while let Some((port, until)) = self.queue.front().copied().filter(|(_, until)| *until <= now) {
            self.queue.pop_front();
            if self.until.get(&port) == Some(&until) {
                self.until.remove(&port);
                over.push(port);
            }
        }
    }

    /// Whether a port rests: it may have been given back meanwhile, and come again.
    pub(super) fn has(&self, port: u16) -> bool {
        self.last == Some(port) || self.until.contains_key(&port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(rest: &mut Rest, now: u64) -> Vec<u16> {
        let mut over = Vec::new();
        rest.end(BootMs(now), &mut over);
        over
    }

    #[test]
    fn a_port_rests_for_the_interval_after_it_came_back_last() {
        let mut rest = Rest::default();
        rest.set_interval(100);
        let mut over = Vec::new();
        for (now, port) in [(0, 1), (10, 2), (50, 1)] {
            rest.begin(BootMs(now), port, &mut over);
        }
        assert!(over.is_empty());
        assert_eq!((ended(&mut rest, 109), rest.has(2)), (Vec::new(), true));
        assert_eq!((ended(&mut rest, 110), rest.has(2)), (vec![2], false));
        assert_eq!((ended(&mut rest, 149), rest.has(1)), (Vec::new(), true));
        assert_eq!(ended(&mut rest, 150), [1]);
    }

    #[test]
    fn without_an_interval_only_the_last_one_rests() {
        let mut rest = Rest::default();
        let mut over = Vec::new();
        for port in [1, 2, 2, 3] {
            rest.begin(BootMs(0), port, &mut over);
        }
        assert_eq!(over, [1, 2]);
        assert!(rest.has(3) && !rest.has(2));
        assert!(ended(&mut rest, 1_000_000).is_empty(), "until another one came back");
    }
}
