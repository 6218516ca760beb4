//! The work, and the check that no group is in two hands.

use crate::figures::{now, quantile, rate, since};
use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// DVIPAs.
pub const DVIPAS: u16 = 64;
/// The first group of a DVIPA: ports below 1,024 are not handed out.
pub const GROUP_FIRST: u16 = 16;
/// Behind the last group of a DVIPA.
pub const GROUP_END: u16 = 1_024;

/// Groups that a caller holds at a time.
const IN_HAND: usize = 4;

/// What keeps who has which group.
pub trait Peer: Sync {
    /// One caller, with a connection of its own where there are connections. Numbers begin at 1 and
    /// are used once.
    fn caller(&self, number: u32) -> Box<dyn Caller>;

    /// How many groups are held.
    fn held(&self) -> u64;
}

/// Somebody who takes groups and gives them back, and waits for each answer.
pub trait Caller: Send {
    /// Durably takes the next free group of a DVIPA.
    fn take(&mut self, dvipa: u16) -> u16;

    /// Durably gives back what it took.
    fn give(&mut self, dvipa: u16, group: u16);
}

/// What was seen of one number of callers.
pub struct Measured {
    /// Groups taken and given back a second.
    pub per_second: f64,
    /// Of taking, µs.
    pub p50: String,
    /// Of taking, µs.
    pub p99: String,
}

/// A directory that a server under another user may look into, too.
pub fn directory() -> Result<TempDir, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), mode).map_err(|error| error.to_string())?;
    Ok(dir)
}

/// Lets so many callers work for so long.
///
/// # Panics
/// If a group is given to two callers, or is held when all were given back.
pub fn measure(peer: &dyn Peer, callers: u32, length: Duration) -> Measured {
    static NUMBERS: AtomicU32 = AtomicU32::new(1);
    let in_hand: Vec<AtomicU32> =
        (0..usize::from(DVIPAS) * usize::from(GROUP_END)).map(|_| AtomicU32::new(0)).collect();
    let stop = AtomicBool::new(false);
    let numbers: Vec<u32> = (0..callers).map(|_| NUMBERS.fetch_add(1, Ordering::SeqCst)).collect();
    let all: Vec<(u32, Box<dyn Caller>)> = numbers.into_iter().map(|number| (number, peer.caller(number))).collect();
    let begun = now();
    let mut times: Vec<u64> = thread::scope(|scope| {
        let (in_hand, stop) = (&in_hand, &stop);
        let one = |(number, caller)| scope.spawn(move || turns(caller, number, in_hand, stop));
        let threads: Vec<_> = all.into_iter().map(one).collect();
        thread::sleep(length);
        stop.store(true, Ordering::SeqCst);
        threads.into_iter().flat_map(|thread| thread.join().expect("no breach")).collect()
    });
    let per_second = rate(times.len() as u64, begun.elapsed());
    assert!(!times.is_empty(), "nobody got anything");
    assert_eq!(peer.held(), 0, "all were given back");
    Measured { per_second, p50: quantile(&mut times, 500), p99: quantile(&mut times, 990) }
}

/// The ns of each take. What is taken stays in hand for a while, so that a group that was given twice is
/// in two hands long enough to be seen.
fn turns(mut caller: Box<dyn Caller>, number: u32, in_hand: &[AtomicU32], stop: &AtomicBool) -> Vec<u64> {
    let word = |dvipa: u16, group: u16| &in_hand[usize::from(dvipa) * usize::from(GROUP_END) + usize::from(group)];
    let (mut times, mut held) = (Vec::new(), VecDeque::new());
    let mut dvipa = (number % u32::from(DVIPAS)) as u16;
    loop {
        let stopped = stop.load(Ordering::SeqCst);
        while held.len() > if stopped { 0 } else { IN_HAND - 1 } {
            let Some((dvipa, group)) = held.pop_front() else { break };
            // Before it is given back: from then on it may be another's.
            let owner = word(dvipa, group).swap(0, Ordering::SeqCst);
            assert_eq!(owner, number, "group {group} of DVIPA {dvipa} changed hands");
            caller.give(dvipa, group);
        }
        if stopped {
            return times;
        }
        dvipa = (dvipa + 1) % DVIPAS;
        let asked = now();
        let group = caller.take(dvipa);
        times.push(since(asked));
        assert!((GROUP_FIRST..GROUP_END).contains(&group), "there is no group {group}");
        let owner = word(dvipa, group).swap(number, Ordering::SeqCst);
        assert_eq!(owner, 0, "group {group} of DVIPA {dvipa} in two hands");
        held.push_back((dvipa, group));
    }
}
