//! Flipped bits in real files, seen through the binary: `store verify` and `store dump` print the
//! exact state or say what is wrong with an exit code of its own, and change no byte.

use super::plan::{DIR, Plan};
use super::workload::run;
use super::{for_each_below, say, seed_or};
use crate::random::Random;
use portplex::disk::RealDisk;
use portplex::disk::sim::SimDisk;
use portplex::wal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

const PLAN: Plan = Plan {
    seed: 5,
    turns: 14,
    close_at: 5,
    kill_at: 9,
    reboot_at: u32::MAX,
    // None: the binary reads real checkpoints with sled, and this log is the simulated disk's.
    checkpoint_every: u32::MAX,
    ends_closed: false,
    is_small: true,
    packs: false,
};
const FLIPS: u64 = 2_000;
const EXIT_CORRUPT: i32 = 65;
const EXIT_TOO_NEW: i32 = 68;

/// The simulated store as real files.
fn store(dir: &Path, plan: &Plan) -> PathBuf {
    let disk = SimDisk::new();
    let calm = run(&disk, plan, true);
    assert_eq!(calm.error, None, "seed {}: the calm run is calm", plan.seed);
    assert!(calm.faults.is_empty(), "seed {}: {:#?}", plan.seed, calm.faults);
    let store = dir.join("store");
    for sub in ["", "wal", "ckpt"] {
        std::fs::create_dir(store.join(sub)).expect("a new directory");
    }
    for (path, bytes) in disk.image() {
        let path = store.join(path.strip_prefix(DIR).expect("a file of the store"));
        std::fs::write(path, &**bytes).expect("a writable file");
    }
    wal::adopt(Arc::new(RealDisk), &store, wal::Adoption::Moved).expect("the store was moved");
    store
}

fn bytes_of(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for dir in [store.to_owned(), store.join("wal"), store.join("ckpt")] {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_file() && !path.ends_with("LOCK") {
                files.insert(path.clone(), std::fs::read(&path).expect("a readable file"));
            }
        }
    }
    files
}

fn portplex(verb: &str, store: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portplex"));
    command.args(["store", verb]).arg(store);
    command.output().expect("the binary runs")
}

/// Flips one bit, asks both verbs, and puts the bit back.
fn flip(store: &Path, files: &BTreeMap<PathBuf, Vec<u8>>, dump: &Output, seed: u64) -> Result<i32, String> {
    let mut dice = Random::new(seed);
    let names: Vec<&PathBuf> = files.keys().filter(|path| !path.ends_with("spare")).collect();
    let path = *dice.pick(&names);
    let bit = dice.below(files[path].len() as u64 * 8);
    let mut bytes = files[path].clone();
    bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
    std::fs::write(path, &bytes).expect("a writable file");
    let verb = *dice.pick(&["dump", "verify"]);
    let output = portplex(verb, store);
    let is_changed = std::fs::read(path).expect("a readable file") != bytes;
    std::fs::write(path, &files[path]).expect("a writable file");
    let place = format!("bit {bit} of {}, {verb}", path.display());
    if is_changed {
        return Err(format!("{place}: the file was changed"));
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) if verb == "dump" && output.stdout != dump.stdout => Err(format!("{place}: another state")),
        Some(0) => Ok(0),
        Some(code @ (EXIT_CORRUPT | EXIT_TOO_NEW)) if said.contains(store.to_str().expect("a name")) => Ok(code),
        code => Err(format!("{place}: exit {code:?}, {said}")),
    }
}

#[test]
fn no_flipped_bit_of_real_files_gets_past_the_binary() {
    let plan = Plan { seed: seed_or(PLAN.seed), ..PLAN };
    let threads = 4;
    let (codes, faults) = (Mutex::new(BTreeMap::<i32, u64>::new()), Mutex::new(Vec::new()));
    for_each_below(threads, |thread| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Killed, and closed.
        let plan = Plan { ends_closed: thread % 2 == 1, ..plan };
        let store = store(dir.path(), &plan);
        let dump = portplex("dump", &store);
        let verify = portplex("verify", &store);
        assert!(dump.status.success() && verify.status.success(), "{dump:?} {verify:?}");
        assert!(dump.stdout.len() > 1_000, "there is a state to lose");
        let files = bytes_of(&store);
        for number in 0..FLIPS / threads {
            match flip(&store, &files, &dump, plan.seed ^ (thread << 32 | number) << 8) {
                Ok(code) => *codes.lock().expect("no panic").entry(code).or_default() += 1,
                Err(fault) => faults.lock().expect("no panic").push(fault),
            }
        }
        assert_eq!(bytes_of(&store), files, "reading changed nothing");
    });
    let codes = codes.into_inner().expect("no panic");
    say(&format!("flips through the binary: seed {}, {FLIPS} flips, exits {codes:?}", plan.seed));
    let faults = faults.into_inner().expect("no panic");
    assert!(faults.is_empty(), "seed {}: {faults:#?}", plan.seed);
    assert!(codes.len() > 1, "some flips are refused, some make no difference: {codes:?}");
}
