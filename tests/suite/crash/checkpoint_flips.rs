//! Flipped bits in a sled checkpoint: file digests catch them before sled sees a byte, and where
//! the digests are forged to match, count and digest of the content do.
//!
//! The store is made in real files, then carried to the simulated disk, so that each flip costs a
//! copy in memory only; sled still opens real private copies.

use super::plan::{DIR, Plan, digest};
use super::workload::{Place, run_at};
use super::{for_each_below, say, seed_or};
use crate::random::Random;
use portplex::checkpoint::{self, CheckpointError, CheckpointStore, FileProof, PrivateCopy, Proof};
use portplex::checkpoint::{RowSink, RowSource, SledStore};
use portplex::disk::sim::SimDisk;
use portplex::disk::{Disk, RealDisk};
use portplex::facility::{Clock, Machine, SetClock, Stepper};
use portplex::ident::BootId;
use portplex::wal::{self, CheckpointEntry, Manifest};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

const PLAN: Plan = Plan {
    seed: 4,
    turns: 16,
    close_at: 6,
    kill_at: 11,
    reboot_at: u32::MAX,
    checkpoint_every: 5,
    ends_closed: false,
    is_small: true,
    packs: false,
};
const SAMPLED: u64 = 20_000;
const OPENED: u64 = 500;
const FORGED: u64 = 50;
/// Files up to this size are flipped bit by bit.
const SMALL: usize = 4_096;

/// A store with two sled checkpoints, on a simulated disk.
struct Store {
    disk: SimDisk,
    state: [u8; 32],
    manifest: Manifest,
}

static STORE: LazyLock<Store> = LazyLock::new(|| {
    let plan = plan();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let clock = Arc::new(SetClock::new(BootId(1), 10_000));
    let machine = Machine {
        disk: Arc::new(RealDisk),
        checkpoints: Arc::new(SledStore::new()),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
    };
    let place = Place { machine, clock, dir: dir.path().join("store"), sim: None };
    let calm = run_at(place, &plan, true);
    assert_eq!(calm.error, None, "seed {}: the calm run is calm", plan.seed);
    assert!(calm.faults.is_empty(), "seed {}: {:#?}", plan.seed, calm.faults);
    let disk = SimDisk::new();
    carry(&dir.path().join("store"), Path::new(DIR), &disk);
    wal::adopt(Arc::new(disk.clone()), Path::new(DIR), wal::Adoption::Moved).expect("the store was moved");
    disk.settle();
    let manifest = wal::survey(&disk, Path::new(DIR)).expect("a store").manifest;
    assert_eq!(manifest.checkpoints.len(), 2, "seed {}: there is one to fall back to", plan.seed);
    Store { disk, state: calm.states.last().expect("states").digest, manifest }
});

fn plan() -> Plan {
    Plan { seed: seed_or(PLAN.seed), ..PLAN }
}

/// Copies a real directory to a simulated disk.
fn carry(from: &Path, to: &Path, disk: &SimDisk) {
    disk.create_dir(to).expect("a new directory");
    for entry in RealDisk.list(from).expect("a directory") {
        let (from, to) = (from.join(&entry.name), to.join(&entry.name));
        if entry.is_dir {
            carry(&from, &to, disk);
        } else {
            let bytes = std::fs::read(&from).expect("a readable file");
            disk.set_bytes(&to, bytes).expect("a directory");
        }
    }
}

fn newest(manifest: &Manifest) -> &CheckpointEntry {
    manifest.checkpoints.last().expect("two checkpoints")
}

fn path_of(entry: &CheckpointEntry, file: &str) -> PathBuf {
    Path::new(DIR).join("ckpt").join(entry.generation.to_string()).join(file)
}

/// Stands where sled would: it must never be asked to open anything.
#[derive(Debug)]
struct Unopened;

impl CheckpointStore for Unopened {
    fn write(&self, _: &dyn Disk, _: &Path, _: &mut RowSource<'_>) -> Result<(), CheckpointError> {
        panic!("nothing is written");
    }

    fn copy(&self) -> Result<Box<dyn PrivateCopy>, CheckpointError> {
        Ok(Box::new(Self))
    }
}

impl PrivateCopy for Unopened {
    fn append(&mut self, _: &str, _: &[u8]) -> Result<(), CheckpointError> {
        Ok(())
    }

    fn read(self: Box<Self>, _: &mut RowSink<'_>) -> Result<(), CheckpointError> {
        panic!("sled saw a damaged byte");
    }
}

/// Flips one bit of one file of the newest checkpoint and asks for its digests only.
fn is_caught_by_digest(store: &Store, proof: &Proof, file: &FileProof, bit: u64) -> bool {
    let disk = store.disk.fork();
    assert!(disk.flip(&path_of(newest(&store.manifest), &file.path), bit), "the bit is there");
    // One file is enough: the others are as they were.
    let loaded = checkpoint::load(&disk, &Unopened, &Path::new(DIR).join("ckpt"), proof);
    matches!(loaded, Err(CheckpointError::FileDigest { path }) if path.ends_with(&file.path))
}

#[test]
fn a_flipped_bit_of_a_checkpoint_is_caught_before_sled_sees_a_byte() {
    let store = &*STORE;
    let proof = Proof::from(newest(&store.manifest));
    let mut bits: Vec<(usize, u64)> = Vec::new();
    let mut large = Vec::new();
    for (index, file) in proof.files.iter().enumerate() {
        let size = file.size as usize;
        if size <= SMALL {
            bits.extend((0..size as u64 * 8).map(|bit| (index, bit)));
        } else {
            let ends = (0..SMALL).chain((size - SMALL).max(SMALL)..size);
            bits.extend(ends.flat_map(|byte| (0..8).map(move |bit| (index, byte as u64 * 8 + bit))));
            large.push(index);
        }
    }
    let exhaustive = bits.len();
    assert!(!large.is_empty(), "sled has a large file: {:?}", proof.files);
    let mut dice = Random::new(plan().seed);
    for _ in 0..SAMPLED {
        let index = *dice.pick(&large);
        bits.push((index, dice.below(proof.files[index].size * 8)));
    }
    let missed = Mutex::new(Vec::new());
    for_each_below(bits.len() as u64, |number| {
        let (index, bit) = bits[number as usize];
        if !is_caught_by_digest(store, &proof, &proof.files[index], bit) {
            missed.lock().expect("no panic").push((proof.files[index].path.clone(), bit));
        }
    });
    say(&format!(
        "checkpoint flips: seed {}, {exhaustive} bits of the small files and the ends of the large ones, {SAMPLED} sampled",
        plan().seed
    ));
    let missed = missed.into_inner().expect("no panic");
    assert!(missed.is_empty(), "seed {}: {missed:?}", plan().seed);
}

/// Opens a store for writing, with sled.
fn open(disk: &SimDisk) -> Result<Stepper, String> {
    let machine = Machine {
        disk: Arc::new(disk.clone()),
        checkpoints: Arc::new(SledStore::new()),
        clock: Arc::new(SetClock::new(BootId(9), 0)),
    };
    Stepper::open(&machine, Path::new(DIR), &plan().options()).map_err(|error| error.to_string())
}

#[test]
fn a_damaged_checkpoint_costs_replay_and_not_a_grant() {
    let store = &*STORE;
    let entry = newest(&store.manifest);
    let faults = Mutex::new(Vec::new());
    for_each_below(OPENED, |number| {
        let mut dice = Random::new(plan().seed ^ number << 32);
        let file = dice.pick(&entry.files);
        let bit = dice.below(file.size.max(1) * 8);
        let disk = store.disk.fork();
        if !disk.flip(&path_of(entry, &file.path), bit) {
            return;
        }
        let fault = match open(&disk) {
            Ok(stepper) if digest(stepper.structure()) != store.state => "another state".to_owned(),
            Ok(stepper) => match stepper.engine().report() {
                report if report.checkpoint_lsn >= entry.lsn => "the damaged checkpoint was believed".to_owned(),
                report if !report.warnings.iter().any(|text| text.contains("not believed")) => {
                    format!("nothing was said: {:?}", report.warnings)
                }
                _ => return,
            },
            Err(error) => error,
        };
        faults.lock().expect("no panic").push(format!("bit {bit} of {}: {fault}", file.path));
    });
    say(&format!("checkpoint flips: seed {}, {OPENED} opens that fall back", plan().seed));
    let faults = faults.into_inner().expect("no panic");
    assert!(faults.is_empty(), "seed {}: {faults:#?}", plan().seed);
}

#[test]
fn a_damaged_checkpoint_with_forged_file_digests_is_caught_by_its_content() {
    let store = &*STORE;
    let (believed, fell_back) = (Mutex::new(0), Mutex::new(0));
    let faults = Mutex::new(Vec::new());
    let used = used_bits(store);
    for_each_below(FORGED, |number| {
        let mut dice = Random::new(plan().seed ^ number << 32);
        let (file, bit) = dice.pick(&used).clone();
        let disk = store.disk.fork();
        let path = path_of(newest(&store.manifest), &file);
        disk.flip(&path, bit);
        let mut manifest = store.manifest.clone();
        let entry = manifest.checkpoints.last_mut().expect("two checkpoints");
        let forged = entry.files.iter_mut().find(|known| known.path == file).expect("a listed file");
        forged.digest = *blake3::hash(&disk.bytes(&path).expect("the file is there")).as_bytes();
        for name in ["MANIFEST", "MANIFEST.bak"] {
            disk.set_bytes(&Path::new(DIR).join(name), manifest.encode()).expect("the directory is there");
        }
        match open(&disk) {
            Ok(stepper) if digest(stepper.structure()) != store.state => {
                faults.lock().expect("no panic").push(format!("bit {bit} of {file}: another state"));
            }
            Ok(stepper) => {
                let report = stepper.engine().report();
                if report.warnings.iter().any(|text| text.contains("BLAKE3")) {
                    faults.lock().expect("no panic").push(format!("bit {bit} of {file}: the forgery is no good"));
                }
                let is_believed = report.checkpoint_lsn == newest(&store.manifest).lsn;
                *if is_believed { &believed } else { &fell_back }.lock().expect("no panic") += 1;
            }
            Err(error) => faults.lock().expect("no panic").push(format!("bit {bit} of {file}: {error}")),
        }
    });
    let (believed, fell_back) = (believed.into_inner().expect("no panic"), fell_back.into_inner().expect("no panic"));
    say(&format!(
        "checkpoint flips: seed {}, {FORGED} with forged digests: {fell_back} fell back, {believed} made no difference",
        plan().seed
    ));
    let faults = faults.into_inner().expect("no panic");
    assert!(faults.is_empty(), "seed {}: {faults:#?}", plan().seed);
    assert!(fell_back > 0, "some damage reaches the content");
}

/// Bits of bytes that are not zero in files that are: where damage can reach the rows.
fn used_bits(store: &Store) -> Vec<(String, u64)> {
    let entry = newest(&store.manifest);
    let mut used = Vec::new();
    for file in &entry.files {
        let bytes = store.disk.bytes(&path_of(entry, &file.path)).expect("the file is there");
        let bytes = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0);
        used.extend(bytes.map(|(byte, _)| (file.path.clone(), byte as u64 * 8 + 3)));
    }
    used
}
