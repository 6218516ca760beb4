//! When a quarantine ends, as far as it can be known of a closed store.
#![forbid(unsafe_code)]

use super::world::Resting;
use super::world::Stored;
use super::world::World;
use crate::cli::log::rfc3339;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::structure::ClockFloor;
use crate::structure::ListView;
use crate::structure::StopCause;

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// Granting is stopped because the store was restored: no quarantine ends.
    Stopped,
    /// It starts again in full at the next open.
    InFull,
    /// It is over: the next open for writing ends it.
    Due,
    /// Not before this moment, ms after now.
    In { left_ms: u64 },
}

/// Length of a list's quarantine, ms.
pub(super) const fn length_ms(world: &World<'_>, list: &ListView) -> u32 {
    if list.policy.quarantine_ms == 0 { world.quarantine_ms } else { list.policy.quarantine_ms }
}

/// When the quarantine of what became one at `lsn` ends in a list.
pub(super) fn ends(world: &World<'_>, stored: &Stored, list: &ListView, lsn: Lsn) -> Ends {
    let restored = stored.structure().stop().is_some_and(|stop| stop.cause == StopCause::Restored);
    if restored {
        return Ends::Stopped;
    }
    let floor = stored.floor;
    if floor == ClockFloor::default() {
        return Ends::InFull;
    }
    let queue = stored.resting.get(&list.list).map(Vec::as_slice).unwrap_or_default();
    let until = last_due(queue, floor, u64::from(length_ms(world, list)), lsn);
    match until.0.saturating_sub(world.now.boot_ms.0) {
        0 => Ends::Due,
        left_ms => Ends::In { left_ms },
    }
}

/// A queue ends from its front: what is due later holds back what is behind it.
fn last_due(queue: &[Resting], floor: ClockFloor, length_ms: u64, lsn: Lsn) -> BootMs {
    let up_to = queue.iter().take_while(|resting| resting.lsn <= lsn);
    let due = |resting: &Resting| {
        let start = if resting.lsn >= floor.lsn { resting.from } else { floor.at };
        start.plus(length_ms)
    };
    up_to.map(due).max().unwrap_or_default()
}

/// As a sentence.
pub(super) fn shown(world: &World<'_>, list: &ListView, ends: Ends) -> String {
    let length = duration(u64::from(length_ms(world, list)));
    match ends {
        Ends::Stopped => {
            format!("Its quarantine of {length} does not end while granting is stopped because the store was restored.")
        }
        Ends::InFull => format!(
            "Its quarantine of {length} starts again in full at the next open, for the store was last open under \
             another boot of a kernel: it ends at the earliest {length} after the next open."
        ),
        Ends::Due => {
            format!("Its quarantine of {length} is over: the next service that opens the store ends it, with a record.")
        }
        Ends::In { left_ms } => format!(
            "Its quarantine of {length} ends at the earliest at {}, in {}, while a service has the store open. If this \
             machine boots before the next open it starts again in full, for the clock that it runs on does.",
            rfc3339(WallMs(world.now.wall.0.saturating_add(left_ms))),
            duration(left_ms.next_multiple_of(1_000))
        ),
    }
}

/// `120 s`, `1500 ms`.
pub(super) fn duration(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::GroupNumber;
    use crate::ident::PortMask;

    #[test]
    fn a_queue_ends_from_its_front() {
        let resting = |lsn, from| Resting {
            lsn: Lsn(lsn),
            group: GroupNumber::of_port(0),
            mask: PortMask(1),
            connector: 0,
            from: BootMs(from),
        };
        let queue = [resting(10, 900), resting(20, 5_000), resting(21, 2_000)];
        let due = |lsn| last_due(&queue, ClockFloor { lsn: Lsn(15), at: BootMs(1_000) }, 100, Lsn(lsn)).0;
        assert_eq!(due(10), 1_100, "that of an earlier boot counts from the open");
        assert_eq!(due(20), 5_100);
        assert_eq!(due(21), 5_100, "the one before holds it back");
        assert_eq!((duration(120_000), duration(1_500)), ("120 s".to_owned(), "1500 ms".to_owned()));
    }
}
