//! Every single bit of the log, of both MANIFESTs and of WATERMARK, flipped.
//!
//! The outcome is the exact state, or a named error that changes no byte; where the bit is in the
//! one frame above what is proven durable, exactly the state without it. Whatever was damaged is
//! named, except where nothing looks: WATERMARK, a hint, and bytes behind a sealed end.

use super::plan::{DIR, Plan, Progress, digest, machine};
use super::workload::run;
use super::{for_each_until, say, seed_or};
use portplex::disk::Disk;
use portplex::disk::sim::{Loss, SimDisk};
use portplex::facility::{OpenError, Stepper};
use portplex::wal::{self, StoreError};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const PLAN: Plan = Plan {
    seed: 3,
    turns: 9,
    close_at: u32::MAX,
    kill_at: 5,
    reboot_at: u32::MAX,
    checkpoint_every: 4,
    ends_closed: false,
    is_small: true,
};
const FAULTS_SHOWN: usize = 5;

/// All files with their bytes, and all directories.
type Image = (BTreeMap<PathBuf, Arc<Vec<u8>>>, Vec<PathBuf>);

fn image(disk: &SimDisk) -> Image {
    let (mut dirs, mut next) = (vec![PathBuf::from(DIR)], 0);
    while let Some(dir) = dirs.get(next).cloned() {
        let entries = disk.list(&dir).expect("a directory");
        dirs.extend(entries.into_iter().filter(|entry| entry.is_dir).map(|entry| dir.join(entry.name)));
        next += 1;
    }
    (disk.image(), dirs)
}

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
        let inspected = portplex::facility::inspect(&store, Path::new(DIR)).expect("the store is whole");
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
        let unread = sealed.collect();
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
        assert!(disk.flip(path, bit), "the bit is there");
        let before = image(&disk);
        let place = format!("bit {bit} of {}", path.display());
        let (machine, _) = machine(&disk, 9, 0);
        match Stepper::open(&machine, Path::new(DIR), &self.plan.options()) {
            Ok(stepper) => {
                let is_in_above =
                    self.above.as_ref().filter(|(above, range, _)| above == path && range.contains(&(bit / 8)));
                let found = digest(stepper.structure());
                match is_in_above {
                    Some((.., without)) if *without == found => self.count("without the frame above"),
                    _ if self.state == found => self.count("exact"),
                    _ => self.fault(&format!("{place}: opened with another state")),
                }
                let is_unread = path.ends_with("WATERMARK")
                    || self.unread.iter().any(|(unread, from)| unread == path && bit / 8 >= *from);
                if stepper.engine().report().warnings.is_empty() && !is_unread {
                    self.fault(&format!("{place}: opened, and nothing was said"));
                }
            }
            Err(error) => {
                if image(&disk) != before {
                    self.fault(&format!("{place}: refused ({error}), and the directory changed"));
                }
                match kind(&error) {
                    Some(kind) => self.count(kind),
                    None => self.fault(&format!("{place}: refused with {error:?}")),
                }
            }
        }
    }

    fn flip_all(&self, files: &[(PathBuf, u64)]) {
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
        let names: Vec<_> = files.iter().filter_map(|(path, _)| path.file_name()).collect();
        say(&format!(
            "flips, {}: seed {}, {bits} bits of {names:?}: {:?}",
            self.name,
            self.plan.seed,
            self.counts.lock().expect("no panic")
        ));
        let faults = self.faults.lock().expect("no panic");
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

/// The name of an error that damage may have.
fn kind(error: &OpenError) -> Option<&'static str> {
    Some(match error {
        OpenError::Store(StoreError::ManifestCorrupt { .. }) => "refused: MANIFEST",
        OpenError::Store(StoreError::CorruptLog { .. }) => "refused: log",
        OpenError::Store(StoreError::TailUnexpected { .. }) => "refused: tail",
        OpenError::Store(StoreError::FormatTooNew { .. }) => "refused: format",
        _ => return None,
    })
}

fn is_flipped(path: &str) -> bool {
    path.ends_with(".seg")
        || path.ends_with("MANIFEST")
        || path.ends_with("MANIFEST.bak")
        || path.ends_with("WATERMARK")
}

fn plan() -> Plan {
    Plan { seed: seed_or(PLAN.seed), ..PLAN }
}

fn build(plan: &Plan) -> (SimDisk, Progress) {
    let disk = SimDisk::new();
    let calm = run(&disk, plan, true);
    assert_eq!(calm.error, None, "seed {}: the calm run is calm", plan.seed);
    assert!(calm.faults.is_empty(), "seed {}: {:#?}", plan.seed, calm.faults);
    (disk, calm)
}

#[test]
fn no_flipped_bit_of_a_closed_store_goes_unnoticed() {
    let plan = Plan { ends_closed: true, ..plan() };
    let (disk, calm) = build(&plan);
    disk.settle();
    let store = Store::new("closed", plan, disk, &calm);
    assert!(store.above.is_none(), "a closed store has nothing above what is proven");
    store.flip_all(&store.files(is_flipped));
}

#[test]
fn no_flipped_bit_of_a_killed_store_goes_unnoticed() {
    let plan = plan();
    let (disk, calm) = build(&plan);
    let store = Store::new("killed", plan, disk.after_kill(), &calm);
    store.disk.settle();
    store.flip_all(&store.files(is_flipped));
}

#[test]
fn a_flipped_bit_in_the_frame_above_costs_that_frame_and_nothing_else() {
    let plan = plan();
    let (disk, calm) = build(&plan);
    let store = Store::new("without power", plan, disk.after_power_cut(&Loss::Everything), &calm);
    let (tail, range, _) = store.above.clone().expect("the watermark was not synced after the last frame");
    let name = tail.to_str().expect("a name").to_owned();
    store.flip_all(&store.files(|path| path == name));
    let without = store.counts.lock().expect("no panic").get("without the frame above").copied().unwrap_or(0);
    assert!(range.start > 0 && without > 0, "flips in that frame cost it");
}
