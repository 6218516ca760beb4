//! Every single bit of the log, of both MANIFESTs, of WATERMARK and of the checkpoints, flipped.
//!
//! Each flip is read as an open would find it; for one bit of each byte the store is opened for writing.
//! The outcome is the exact state, or a named error that changes no byte; where the bit is in the
//! one frame above what is proven durable, exactly the state without it. Whatever was damaged is
//! named, except where nothing looks: WATERMARK, a hint, and bytes behind a sealed end.

use super::judge::name_of;
use super::plan::{DIR, Plan, Progress, digest, machine};
use super::workload::run;
use super::{for_each_until, say, seed_or};
use portplex::disk::sim::{Loss, SimDisk};
use portplex::facility::{self, Stepper};
use portplex::wal;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

const PLAN: Plan = Plan {
    seed: 3,
    turns: 9,
    close_at: u32::MAX,
    kill_at: 5,
    reboot_at: u32::MAX,
    checkpoint_every: 4,
    ends_closed: false,
    is_small: true,
    packs: false,
};
const FAULTS_SHOWN: usize = 5;

/// A store on a disk, and what may come of it.
struct Store {
    name: &'static str,
    plan: Plan,
    disk: SimDisk,
    /// The digest of its state.
    state: [u8; 32],
    /// The one frame above what is proven, and the state without it.
    above: Option<(PathBuf, Range<u64>, [u8; 32])>,
    /// Files and from where on nothing looks at them.
    unread: Vec<(PathBuf, u64)>,
    counts: Mutex<BTreeMap<String, u64>>,
    faults: Mutex<Vec<String>>,
}

impl Store {
    fn new(name: &'static str, plan: Plan, disk: SimDisk, calm: &Progress) -> Self {
        let (store, _) = machine(&disk, 9, 0);
        let inspected = facility::inspect(&store, Path::new(DIR)).expect("the store is whole");
        let state = digest(&inspected.structure);
        let last = calm.states.len() - 1;
        assert_eq!(state, calm.states[last].digest, "{name}: the store has the last state");
        let survey = wal::survey(&disk, Path::new(DIR)).expect("a store");
        let replayed = wal::replay(&disk, Path::new(DIR), &survey, survey.durable(), &mut |_, _| Ok(()));
        let above = replayed.expect("a store").above.map(|info| {
            let size = survey.manifest.tail().size;
            (info.path.clone(), info.offset..size, calm.states[last - 1].digest)
        });
        let sealed = survey.manifest.segments.iter().filter_map(|entry| {
            let seal = entry.sealed?;
            Some((wal::segment::path(Path::new(DIR), entry.number), seal.offset))
        });
        // An open reads the newest checkpoint; the one before it only if that one is bad.
        let mut checkpoints = survey.manifest.checkpoints.iter().rev();
        let newest = checkpoints.next().map(|entry| entry.lsn);
        let older = checkpoints.flat_map(|entry| {
            let dir = Path::new(DIR).join("ckpt").join(entry.generation.to_string());
            entry.files.iter().map(move |file| (dir.join(&file.path), 0))
        });
        assert!(newest.is_some(), "{name}: there is a checkpoint");
        let unread = sealed.chain(older).collect();
        Self { name, plan, disk, state, above, unread, counts: Mutex::default(), faults: Mutex::default() }
    }

    /// The files that are flipped, with their sizes in bits.
    fn files(&self, of: impl Fn(&str) -> bool) -> Vec<(PathBuf, u64)> {
        let image = self.disk.image();
        let files = image.iter().filter(|(path, _)| of(path.to_str().expect("a name")));
        files.map(|(path, bytes)| (path.clone(), bytes.len() as u64 * 8)).collect()
    }

    fn count(&self, what: &str) {
        *self.counts.lock().expect("no panic").entry(what.to_owned()).or_default() += 1;
    }

    fn fault(&self, what: &str) {
        let mut faults = self.faults.lock().expect("no panic");
        if faults.len() < FAULTS_SHOWN {
            faults.push(format!("seed {}, {}: {what}", self.plan.seed, self.name));
        }
    }

    fn flip(&self, path: &Path, bit: u64) {
        let disk = self.disk.fork();
        let before = disk.changes();
        assert!(disk.flip(path, bit), "the bit is there");
        let place = format!("bit {bit} of {}", path.display());
        let (machine, _) = machine(&disk, 9, 0);
        let read = if bit % 8 == bit / 8 % 8 {
            let opened = Stepper::open(&machine, Path::new(DIR), &self.plan.options());
            opened.map(|stepper| (digest(stepper.structure()), stepper.engine().report().warnings.is_empty()))
        } else {
            let inspected = facility::inspect(&machine, Path::new(DIR));
            inspected.map(|found| (digest(&found.structure), found.report.warnings.is_empty()))
        };
        match read {
            Ok((found, is_silent)) => {
                let is_in_above =
                    self.above.as_ref().filter(|(above, range, _)| above == path && range.contains(&(bit / 8)));
                match is_in_above {
                    Some((.., without)) if *without == found => self.count("without the frame above"),
                    _ if self.state == found => self.count("exact"),
                    _ => self.fault(&format!("{place}: opened with another state")),
                }
                let is_unread = path.ends_with("WATERMARK")
                    || self.unread.iter().any(|(unread, from)| unread == path && bit / 8 >= *from);
                if is_silent && !is_unread {
                    self.fault(&format!("{place}: opened, and nothing was said"));
                }
            }
            Err(error) => {
                if disk.changes() != before {
                    self.fault(&format!("{place}: refused ({error}), and the directory changed"));
                }
                match name_of(&error) {
                    Some(name) => self.count(&format!("refused: {name}")),
                    None => self.fault(&format!("{place}: refused with {error:?}")),
                }
            }
        }
    }

    /// Flips every bit of some files.
    fn flip_all(self, files: &[(PathBuf, u64)]) -> Flipped {
        let bits: u64 = files.iter().map(|(_, bits)| bits).sum();
        let is_enough = || self.faults.lock().expect("no panic").len() >= FAULTS_SHOWN;
        for_each_until(bits, is_enough, |number| {
            let mut bit = number;
            for (path, bits) in files {
                if bit < *bits {
                    return self.flip(path, bit);
                }
                bit -= bits;
            }
        });
        let counts = self.counts.into_inner().expect("no panic");
        Flipped { name: self.name, bits, counts, faults: self.faults.into_inner().expect("no panic") }
    }
}

/// What came of all flips of a store.
#[derive(Debug)]
pub(crate) struct Flipped {
    pub(crate) name: &'static str,
    pub(crate) bits: u64,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) faults: Vec<String>,
}

impl Flipped {
    fn check(&self, seed: u64) {
        say(&format!("flips, {}: seed {seed}, {} bits: {:?}", self.name, self.bits, self.counts));
        assert!(self.faults.is_empty(), "{:#?}", self.faults);
    }
}

fn is_flipped(path: &str) -> bool {
    path.ends_with(".seg")
        || path.ends_with("MANIFEST")
        || path.ends_with("MANIFEST.bak")
        || path.ends_with("WATERMARK")
        || path.contains("/ckpt/")
}

fn plan(seed: u64) -> Plan {
    Plan { seed, ..PLAN }
}

fn build(plan: &Plan) -> (SimDisk, Progress) {
    let disk = SimDisk::new();
    let calm = run(&disk, plan, true);
    assert_eq!(calm.error, None, "seed {}: the calm run is calm", plan.seed);
    assert!(calm.faults.is_empty(), "seed {}: {:#?}", plan.seed, calm.faults);
    (disk, calm)
}

/// Every bit of a store that was closed.
pub(crate) fn closed(seed: u64) -> Flipped {
    let plan = Plan { ends_closed: true, ..plan(seed) };
    let (disk, calm) = build(&plan);
    disk.settle();
    let store = Store::new("closed", plan, disk, &calm);
    assert!(store.above.is_none(), "a closed store has nothing above what is proven");
    let files = store.files(is_flipped);
    store.flip_all(&files)
}

/// Every bit of a store whose process was killed, of its log, MANIFEST and WATERMARK: the rest is as in
/// a closed one.
pub(crate) fn killed(seed: u64) -> Flipped {
    let plan = plan(seed);
    let (disk, calm) = build(&plan);
    let store = Store::new("killed", plan, disk.after_kill(), &calm);
    store.disk.settle();
    let files = store.files(|path| is_flipped(path) && !path.ends_with(".bak") && !path.contains("/ckpt/"));
    store.flip_all(&files)
}

#[test]
fn no_flipped_bit_of_a_closed_store_goes_unnoticed() {
    let seed = seed_or(PLAN.seed);
    let flipped = closed(seed);
    flipped.check(seed);
    assert!(flipped.bits >= 64 * 1_024 * 8, "a store of 64 KiB: {} bits", flipped.bits);
}

#[test]
fn no_flipped_bit_of_a_killed_store_goes_unnoticed() {
    let seed = seed_or(PLAN.seed);
    let flipped = killed(seed);
    flipped.check(seed);
}

#[test]
fn a_flipped_bit_in_the_frame_above_costs_that_frame_and_nothing_else() {
    let plan = plan(seed_or(PLAN.seed));
    let (disk, calm) = build(&plan);
    let store = Store::new("without power", plan, disk.after_power_cut(&Loss::Everything), &calm);
    let (tail, range, _) = store.above.clone().expect("the watermark was not synced after the last frame");
    let name = tail.to_str().expect("a name").to_owned();
    let files = store.files(|path| path == name);
    let flipped = store.flip_all(&files);
    flipped.check(plan.seed);
    let without = flipped.counts.get("without the frame above").copied().unwrap_or(0);
    assert!(range.start > 0 && without > 0, "flips in that frame cost it");
}
