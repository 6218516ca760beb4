//! Visits crash states: every image that a crash can leave, and every image that crashes of its
//! recovery can leave, and so on.
//!
//! A state is one choice: a word, a place where the crash comes, what is kept of what was not synced,
//! and the same again for each crash in a recovery. Equal images are opened once as long as they are
//! remembered. Checked of each state, by the names of the invariants:
//!
//! - exclusivity and conservation: the audit, at every open;
//! - durability, prefix: exactly an acknowledged state, or the one that was under way;
//! - no false refusal: an image that crashes alone can leave always opens;
//! - idempotence: the recovery of a recovery gives the same state, and shows nothing that another
//!   crash takes away;
//! - tokens and epochs grow: the next lsn is above every one of the state, the epoch above the last;
//! - bounded: an open makes no more than so many changes.

use super::words::{self, Done, mark};
use crate::crash::plan::{DIR, State, machine};
use portplex::disk::sim::{Cuts, Loss, Moment, SimDisk};
use portplex::facility::{self, OpenError, Options, Stepper};
use portplex::wal::StoreError;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;

/// All subsets are tried of so many changes.
const EXHAUSTIVE: usize = 8;
/// How many random subsets are tried of more.
const RANDOM: u64 = 32;
/// How many images are remembered.
const KNOWN_MAX: usize = 1 << 19;
/// No open makes more changes than this.
const CHANGES_MAX: u64 = 200;

/// What was visited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Sequences of letters.
    pub(crate) words: u64,
    /// Places where a crash came, in words and in recoveries.
    pub(crate) moments: u64,
    /// Crash states, by the depth of the crash: 0 = in the word.
    pub(crate) states: [u64; 4],
    /// Images that were opened: all others were equal to one that had been.
    pub(crate) opened: u64,
    /// Recovered stores that a stranger went on with.
    pub(crate) gone_on: u64,
}

impl Counters {
    pub(crate) fn all_states(&self) -> u64 {
        self.states.iter().sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.words += other.words;
        self.moments += other.moments;
        self.states.iter_mut().zip(other.states).for_each(|(sum, one)| *sum += one);
        self.opened += other.opened;
        self.gone_on += other.gone_on;
    }
}

/// What an image gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    State([u8; 32]),
    /// No store: `init` made one.
    Begun,
}

/// An image that was opened, and how deep its recovery was crashed.
#[derive(Clone, Copy, Debug)]
struct Known {
    found: Found,
    depth: usize,
    epoch: u64,
}

/// The sums are random already.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u128(&mut self, sum: u128) {
        self.0 = sum as u64;
    }
}

/// Visits states, on one thread.
pub(crate) struct Explorer {
    /// How deep recoveries are crashed.
    depth: usize,
    options: Options,
    known: HashMap<u128, Known, BuildHasherDefault<AsItIs>>,
    pub(crate) counters: Counters,
    pub(crate) faults: Vec<String>,
}

/// What is allowed of an image.
#[derive(Clone, Copy)]
struct Allowed<'a> {
    /// Whether all of it is durable: what its recovery gives never changes again. After a kill only what
    /// was shown does not.
    is_durable: bool,
    states: &'a [State],
    /// If a recovery showed it before: only this.
    shown: Option<Found>,
    may_begin: bool,
    epoch: u64,
}

impl Allowed<'_> {
    fn has(&self, found: Found) -> bool {
        match (self.shown, found) {
            (Some(shown), found) => shown == found,
            (None, Found::Begun) => self.may_begin,
            (None, Found::State(mark)) => self.states.iter().any(|state| state.digest == mark),
        }
    }
}

impl Explorer {
    pub(crate) fn new(depth: usize) -> Self {
        let options = words::plan().options();
        Self { depth, options, known: HashMap::default(), counters: Counters::default(), faults: Vec::new() }
    }

    fn fault(&mut self, place: &dyn Fn() -> String, what: &str) {
        if self.faults.len() < 5 {
            self.faults.push(format!("{}: {what}", place()));
        }
    }

    /// Every crash of a word's last letter. `name` says which word.
    pub(crate) fn word(&mut self, done: &Done, name: &dyn Fn() -> String) {
        self.counters.words += 1;
        done.faults.iter().for_each(|fault| self.fault(name, fault));
        for moment in &done.moments {
            let allowed = Allowed {
                is_durable: true,
                states: done.allowed(moment),
                shown: None,
                may_begin: moment.change() < done.inited_at,
                epoch: 0,
            };
            let place = || format!("{}, cut at {}", name(), moment.change());
            self.moment(moment, allowed, self.depth, 0, &place);
            self.kill(moment, allowed, &place);
            if !allowed.may_begin {
                self.go_on(moment, allowed, &place);
            }
        }
    }

    /// Every state of one moment.
    fn moment(
        &mut self,
        moment: &Moment,
        allowed: Allowed<'_>,
        depth: usize,
        level: usize,
        place: &dyn Fn() -> String,
    ) {
        self.counters.moments += 1;
        let count = moment.unsynced();
        if count >= 64 {
            for number in 0..RANDOM {
                let loss = if number == 0 { Loss::Everything } else { Loss::Random(seed(moment, number)) };
                self.visit(moment.cut(&loss), None, allowed, depth, level, &|| format!("{} with {loss:?}", place()));
            }
            return;
        }
        let mut cuts = Cuts::new(moment, "LOCK");
        let number = if count <= EXHAUSTIVE { 1 << count } else { RANDOM };
        for number in 0..number {
            let kept = match number {
                number if count <= EXHAUSTIVE => number,
                0 => 0,
                1 => u64::MAX,
                number => seed(moment, number),
            };
            let kept = kept & ((1 << count) - 1);
            let sum = cuts.sum(kept);
            self.counters.states[level] += 1;
            match self.known.get(&sum).copied() {
                Some(known) if known.depth >= depth => {
                    self.judge(known, allowed, &|| format!("{} with {kept:#b}", place()))
                }
                _ => {
                    let loss = Loss::Except(kept);
                    let name = || format!("{} with {loss:?}", place());
                    self.open(moment.cut(&loss), Some(sum), allowed, depth, level, &name);
                }
            }
        }
        // Sectors that are neither old nor new.
        if count > 0 {
            let loss = Loss::Shorn(seed(moment, 99));
            self.visit(moment.cut(&loss), None, allowed, 0, level, &|| format!("{} with {loss:?}", place()));
        }
    }

    fn visit(
        &mut self,
        disk: SimDisk,
        sum: Option<u128>,
        allowed: Allowed<'_>,
        depth: usize,
        level: usize,
        place: &dyn Fn() -> String,
    ) {
        self.counters.states[level] += 1;
        self.open(disk, sum, allowed, depth, level, place);
    }

    /// The process is killed: what it wrote is visible, and not durable. Then the power goes in its
    /// recovery: what that has shown must stay.
    fn kill(&mut self, moment: &Moment, allowed: Allowed<'_>, place: &dyn Fn() -> String) {
        let place = || format!("{}, killed", place());
        let allowed = Allowed { is_durable: false, ..allowed };
        self.visit(moment.kill(), None, allowed, self.depth.min(1), 0, &place);
    }

    fn judge(&mut self, known: Known, allowed: Allowed<'_>, place: &dyn Fn() -> String) {
        if !allowed.has(known.found) {
            let expected = match allowed.shown {
                Some(shown) => format!("{shown:?}, which was shown"),
                None => format!("one of {} states", allowed.states.len()),
            };
            self.fault(place, &format!("{:?} was recovered instead of {expected}", known.found));
        }
        if known.epoch <= allowed.epoch && matches!(known.found, Found::State(_)) {
            self.fault(place, &format!("epoch {} came after {}", known.epoch, allowed.epoch));
        }
    }

    /// Opens an image, and crashes that open everywhere.
    fn open(
        &mut self,
        disk: SimDisk,
        sum: Option<u128>,
        allowed: Allowed<'_>,
        depth: usize,
        level: usize,
        place: &dyn Fn() -> String,
    ) {
        self.counters.opened += 1;
        if depth > 0 {
            disk.keep_moments();
        }
        let (machine, _) = machine(&disk, 3, 100);
        let (found, epoch) = match Stepper::open(&machine, Path::new(DIR), &self.options) {
            Ok(stepper) => {
                let appender = stepper.engine().appender();
                if stepper.structure().lsn() >= appender.open_first() {
                    self.fault(place, "the new history starts inside the old one");
                }
                (Found::State(mark(stepper.structure())), appender.epoch())
            }
            Err(OpenError::Store(StoreError::NotAStore { .. })) => {
                match facility::init(&machine, Path::new(DIR), &self.options) {
                    Ok(()) => (Found::Begun, 0),
                    Err(error) => return self.fault(place, &format!("init was refused: {error}")),
                }
            }
            Err(error) => return self.fault(place, &format!("the open was refused: {error}")),
        };
        if disk.changes() > CHANGES_MAX {
            self.fault(place, &format!("the open made {} changes", disk.changes()));
        }
        let known = Known { found, depth, epoch };
        self.judge(known, allowed, place);
        if let Some(sum) = sum {
            if self.known.len() >= KNOWN_MAX {
                self.known.clear();
            }
            self.known.insert(sum, known);
        }
        if depth == 0 || found == Found::Begun {
            return;
        }
        let moments = disk.take_moments();
        let last = moments.len() - 1;
        for (number, moment) in moments.iter().enumerate() {
            let was_shown = Allowed { states: &[], shown: Some(found), may_begin: false, ..allowed };
            let inner = match allowed.is_durable {
                // Once it is open, the next epoch is a later one.
                _ if number == last => Allowed { is_durable: true, epoch, ..was_shown },
                true => was_shown,
                false => Allowed { is_durable: true, ..allowed },
            };
            let place = || format!("{}, its recovery cut at {}", place(), moment.change());
            self.moment(moment, inner, depth - 1, level + 1, &place);
        }
    }

    /// A stranger goes on with what was recovered: everything acknowledged is there as its holders know
    /// it, tokens grow, and nothing that is held or in quarantine is given again.
    fn go_on(&mut self, moment: &Moment, allowed: Allowed<'_>, place: &dyn Fn() -> String) {
        for loss in [Loss::Everything, Loss::Nothing] {
            let disk = moment.cut(&loss);
            let (machine, _) = machine(&disk, 3, 100);
            let Ok(stepper) = Stepper::open(&machine, Path::new(DIR), &self.options) else { continue };
            let found = mark(stepper.structure());
            let Some(state) = allowed.states.iter().find(|state| state.digest == found) else { continue };
            self.counters.gone_on += 1;
            if let Err(what) = crate::crash::judge::go_on(stepper, state) {
                self.fault(place, &format!("{loss:?}: {what}"));
            }
        }
    }
}

/// A seed for one choice at one moment.
fn seed(moment: &Moment, number: u64) -> u64 {
    (moment.change() + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
}
