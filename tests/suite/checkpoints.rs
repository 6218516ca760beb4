//! Checkpoints: what was proven comes back exactly, and whatever happened to it since is named.
#![allow(clippy::disallowed_methods, reason = "damages files behind the store's back")]

use crate::random::Random;
use portplex::checkpoint::{self, CheckpointError, CheckpointStore, FlatStore, Loaded, Proof, SledStore};
use portplex::disk::sim::{Fault, Loss, SimDisk};
use portplex::disk::{Disk, RealDisk};
use portplex::ident::{GroupNumber, Lsn, PortMask};
use portplex::record::HistoryRow;
use portplex::structure::Item;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const LSN: Lsn = Lsn(4_711);

/// A state of one head and `count` random items, with `histories` entries.
fn content(random: &mut Random, count: usize, histories: usize) -> (Vec<Item>, Vec<HistoryRow>) {
    let mut items = vec![random.head(LSN)];
    items.extend((0..count).map(|_| random.item()));
    (items, (0..histories).map(|_| random.history()).collect())
}

fn write(
    (disk, store): (&dyn Disk, &dyn CheckpointStore),
    dir: &Path,
    generation: u64,
    (items, histories): &(Vec<Item>, Vec<HistoryRow>),
) -> Result<Proof, CheckpointError> {
    checkpoint::write(disk, store, dir, generation, &mut items.iter().cloned(), histories, LSN)
}

fn assert_is(loaded: &Loaded, (items, histories): &(Vec<Item>, Vec<HistoryRow>)) {
    assert!(loaded.items().eq(items.iter().cloned()));
    assert_eq!(loaded.histories(), histories);
}

/// A simulated disk with an empty directory for checkpoints.
fn sim() -> (SimDisk, PathBuf) {
    let (disk, dir) = (SimDisk::new(), PathBuf::from("/ckpt"));
    disk.create_dir(&dir).expect("an empty disk");
    disk.settle();
    (disk, dir)
}

/// A real directory with places for checkpoints and for private copies.
struct Real {
    top: tempfile::TempDir,
    store: SledStore,
}

impl Real {
    fn new() -> Self {
        let top = tempfile::tempdir().expect("a temporary directory");
        for name in ["ckpt", "scratch"] {
            fs::create_dir(top.path().join(name)).expect("an empty directory");
        }
        let store = SledStore::with_scratch(top.path().join("scratch"));
        Self { top, store }
    }

    fn dir(&self) -> PathBuf {
        self.top.path().join("ckpt")
    }

    fn load(&self, proof: &Proof) -> Result<Loaded, CheckpointError> {
        let loaded = checkpoint::load(&RealDisk, &self.store, &self.dir(), proof);
        let left = fs::read_dir(self.top.path().join("scratch")).expect("readable").count();
        assert_eq!(left, 0, "private copies are left");
        loaded
    }

    fn write(&self, generation: u64, content: &(Vec<Item>, Vec<HistoryRow>)) -> Result<Proof, CheckpointError> {
        write((&RealDisk, &self.store), &self.dir(), generation, content)
    }
}

/// Every file below a directory with its bytes.
fn image(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(image(&path));
            files.insert(path, Vec::new());
        } else {
            let bytes = fs::read(&path).expect("readable");
            files.insert(path, bytes);
        }
    }
    files
}

#[test]
fn a_checkpoint_comes_back_as_it_was_written() {
    let mut random = Random::seeded(20);
    let real = Real::new();
    for (generation, (count, histories)) in (1..).zip([(0, 0), (1, 1), (100, 53), (2_000, 160)]) {
        let content = content(&mut random, count, histories);
        let proof = real.write(generation, &content).expect("written");
        assert_eq!((proof.generation, proof.lsn, proof.count), (generation, LSN, count as u64 + 1));
        assert_eq!(proof.digest, portplex::record::digest(content.0.clone()).hash);
        let before = image(&real.dir());
        assert_is(&real.load(&proof).expect("loaded"), &content);
        assert!(image(&real.dir()) == before, "loading changed the directory");

        let (disk, dir) = sim();
        let proof = write((&disk, &FlatStore), &dir, generation, &content).expect("written");
        assert_is(&checkpoint::load(&disk, &FlatStore, &dir, &proof).expect("loaded"), &content);
    }
}

#[test]
fn a_hundred_thousand_grants_and_large_sets_fit() {
    let mut random = Random::seeded(21);
    let mut items = vec![random.head(LSN)];
    let sets = (0..200).map(|set| match random.item() {
        Item::Set { ports, .. } => Item::Set { set, ports },
        _ => Item::Set { set, ports: portplex::ident::PortSet::empty() },
    });
    items.extend(sets);
    items.extend((0..100_000_u32).map(|number| {
        let group = GroupNumber::new((number % 1_024) as u16).expect("below the count");
        Item::Grant { lsn: Lsn(number.into()), member: number / 1_024, group, mask: PortMask::ALL, number }
    }));
    let (real, content) = (Real::new(), (items, Vec::new()));
    let proof = real.write(1, &content).expect("written");
    assert!(proof.files.iter().all(|file| !file.path.starts_with("blobs")), "{:?}", proof.files);
    assert_is(&real.load(&proof).expect("loaded"), &content);
}

#[test]
fn items_without_the_right_head_make_no_checkpoint() {
    let mut random = Random::seeded(22);
    let (head, other, item) = (random.head(LSN), random.head(LSN.next()), random.item());
    let (disk, dir) = sim();
    for items in [vec![], vec![other], vec![item.clone(), head.clone()], vec![head.clone(), item, head]] {
        let error = write((&disk, &FlatStore), &dir, 1, &(items, vec![])).expect_err("no head");
        assert!(matches!(error, CheckpointError::Content { what: "lsn" }), "{error}");
    }
}

#[test]
fn one_flipped_bit_in_any_file_is_detected() {
    let mut random = Random::seeded(23);
    let real = Real::new();
    let proof = real.write(7, &content(&mut random, 300, 3)).expect("written");
    for file in &proof.files {
        let path = real.dir().join("7").join(&file.path);
        let good = fs::read(&path).expect("readable");
        let bits = good.len() as u64 * 8;
        let places: Vec<u64> =
            if bits <= 4_096 { (0..bits).collect() } else { (0..500).map(|_| random.below(bits)).collect() };
        for bit in places {
            let mut bad = good.clone();
            bad[(bit / 8) as usize] ^= 1 << (bit % 8);
            fs::write(&path, &bad).expect("writable");
            let error = real.load(&proof).expect_err("damaged");
            assert!(matches!(error, CheckpointError::FileDigest { .. }), "{error}");
        }
        fs::write(&path, &good).expect("writable");
    }
    real.load(&proof).expect("whole again");
}

#[test]
fn a_missing_an_extra_and_a_cut_file_are_detected() {
    let mut random = Random::seeded(24);
    let real = Real::new();
    let proof = real.write(7, &content(&mut random, 30, 0)).expect("written");
    let dir = real.dir().join("7");
    let extra = dir.join("snap.1.generating");
    fs::write(&extra, b"").expect("writable");
    assert!(matches!(real.load(&proof), Err(CheckpointError::FileUnexpected { path }) if path == extra));
    fs::remove_file(&extra).expect("removable");
    for file in &proof.files {
        let path = dir.join(&file.path);
        let good = fs::read(&path).expect("readable");
        fs::remove_file(&path).expect("removable");
        assert!(matches!(real.load(&proof), Err(CheckpointError::FileMissing { path: missing }) if missing == path));
        fs::write(&path, &good[1..]).expect("writable");
        assert!(matches!(real.load(&proof), Err(CheckpointError::FileSize { path: cut, .. }) if cut == path));
        fs::write(&path, &good).expect("writable");
    }
    real.load(&proof).expect("whole again");
    fs::rename(&dir, real.dir().join("8")).expect("renamable");
    assert!(matches!(real.load(&proof), Err(CheckpointError::Io { .. })));
    let renamed = Proof { generation: 8, ..proof };
    assert!(matches!(real.load(&renamed), Err(CheckpointError::Content { what: "generation" })));
}

#[test]
fn damage_under_forged_file_digests_is_caught_by_the_content() {
    let mut random = Random::seeded(25);
    let (real, content) = (Real::new(), content(&mut random, 500, 60));
    let good = real.write(7, &content).expect("written");
    let index = good.files.iter().position(|file| file.path == "db").expect("sled's file");
    let path = real.dir().join("7/db");
    let bytes = fs::read(&path).expect("readable");
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("not empty") as u64 + 1;
    let (mut caught, mut harmless) = (0, 0);
    for _ in 0..200 {
        let mut bad = bytes.clone();
        let bit = random.below(used * 8);
        bad[(bit / 8) as usize] ^= 1 << (bit % 8);
        fs::write(&path, &bad).expect("writable");
        let mut forged = good.clone();
        forged.files[index].digest = *blake3::hash(&bad).as_bytes();
        match real.load(&forged) {
            Ok(loaded) => {
                assert_is(&loaded, &content);
                harmless += 1;
            }
            Err(_) => caught += 1,
        }
    }
    println!("{caught} caught, {harmless} without effect");
    assert!(caught > 20, "only {caught}: the flips miss the content");
}

#[test]
fn every_bit_of_every_row_matters() {
    let mut random = Random::seeded(26);
    let (disk, dir) = sim();
    let content = loop {
        let content = content(&mut random, 25, 3);
        if content.0.iter().all(|item| !matches!(item, Item::Set { .. })) {
            break content;
        }
    };
    let proof = write((&disk, &FlatStore), &dir, 7, &content).expect("written");
    let path = dir.join("7/rows");
    let good = disk.bytes(&path).expect("written").as_ref().clone();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let mut forged = proof.clone();
        forged.files[0].digest = *blake3::hash(&bad).as_bytes();
        disk.set_bytes(&path, bad).expect("the directory is there");
        checkpoint::load(&disk, &FlatStore, &dir, &forged).expect_err("damaged");
    }
    for size in 0..good.len() {
        let mut forged = proof.clone();
        forged.files[0].digest = *blake3::hash(&good[..size]).as_bytes();
        forged.files[0].size = size as u64;
        disk.set_bytes(&path, good[..size].to_vec()).expect("the directory is there");
        checkpoint::load(&disk, &FlatStore, &dir, &forged).expect_err("cut");
    }
}

/// A backend that does not keep what it was given.
#[derive(Debug)]
enum Liar {
    Forgets(usize),
    Doubles(usize),
    Damages(usize),
}

impl CheckpointStore for Liar {
    fn write(&self, disk: &dyn Disk, dir: &Path, rows: &mut checkpoint::RowSource<'_>) -> Result<(), CheckpointError> {
        let mut kept = Vec::new();
        for (number, row) in rows.enumerate() {
            let (key, mut value) = row?;
            match self {
                Self::Forgets(this) if *this == number => continue,
                Self::Doubles(this) if *this == number => kept.push(Ok((key.clone(), value.clone()))),
                Self::Damages(this) if *this == number => value[5] ^= 1,
                _ => {}
            }
            kept.push(Ok((key, value)));
        }
        FlatStore.write(disk, dir, &mut kept.into_iter())
    }

    fn copy(&self) -> Result<Box<dyn checkpoint::PrivateCopy>, CheckpointError> {
        FlatStore.copy()
    }
}

#[test]
fn a_backend_that_lies_proves_nothing() {
    let mut random = Random::seeded(27);
    let content = content(&mut random, 200, 60);
    let (disk, dir) = sim();
    for number in 0..4 {
        for liar in [Liar::Forgets(number), Liar::Doubles(number), Liar::Damages(number)] {
            write((&disk, &liar), &dir, 1, &content).expect_err("not what was given");
            assert!(disk.list(&dir).expect("readable").iter().all(|entry| entry.name == "1.tmp"), "{liar:?}");
        }
    }
    write((&disk, &Liar::Forgets(usize::MAX)), &dir, 1, &content).expect("it did not lie");
}

#[test]
fn a_power_cut_anywhere_keeps_the_older_checkpoint_and_a_proven_one() {
    let mut random = Random::seeded(28);
    let (old, new) = (content(&mut random, 40, 2), content(&mut random, 60, 3));
    let (start, dir) = sim();
    let old_proof = write((&start, &FlatStore), &dir, 1, &old).expect("written");
    let calm = start.fork();
    let new_proof = write((&calm, &FlatStore), &dir, 2, &new).expect("written");
    for change in 0..=calm.changes() {
        let disk = start.fork();
        disk.cut_at(change);
        let proof = write((&disk, &FlatStore), &dir, 2, &new);
        assert_eq!(proof.is_ok(), change == calm.changes(), "change {change}");
        for loss in [Loss::Everything, Loss::Nothing].into_iter().chain((0..20).map(Loss::Random)) {
            let after = disk.after_power_cut(&loss);
            assert_is(&checkpoint::load(&after, &FlatStore, &dir, &old_proof).expect("older"), &old);
            if proof.is_ok() {
                assert_is(&checkpoint::load(&after, &FlatStore, &dir, &new_proof).expect("proven"), &new);
            }
            let again = write((&after, &FlatStore), &dir, 2, &new).expect("the next try");
            assert_is(&checkpoint::load(&after, &FlatStore, &dir, &again).expect("written again"), &new);
        }
    }
}

#[test]
fn any_call_that_fails_once_costs_one_checkpoint_and_nothing_else() {
    let mut random = Random::seeded(29);
    let (old, new) = (content(&mut random, 40, 2), content(&mut random, 60, 3));
    let (start, dir) = sim();
    let old_proof = write((&start, &FlatStore), &dir, 1, &old).expect("written");
    let calm = start.fork();
    write((&calm, &FlatStore), &dir, 2, &new).expect("written");
    let faults =
        |errno| [Fault::Errno(errno), Fault::ShortWrite { kept: 700, errno }, Fault::SyncMarkedClean { errno }];
    for call in 0..calm.calls() {
        for fault in [5, 28].into_iter().flat_map(faults) {
            let disk = start.fork();
            disk.fail_at(call, fault);
            write((&disk, &FlatStore), &dir, 2, &new).expect_err("a call failed");
            assert_is(&checkpoint::load(&disk, &FlatStore, &dir, &old_proof).expect("older"), &old);
            let proof = write((&disk, &FlatStore), &dir, 2, &new).expect("the next try");
            assert_is(&checkpoint::load(&disk, &FlatStore, &dir, &proof).expect("loaded"), &new);
        }
    }
}

#[test]
fn leftovers_are_swept_and_never_in_the_way() {
    let mut random = Random::seeded(30);
    let (real, content) = (Real::new(), content(&mut random, 40, 2));
    let dir = real.dir();
    let kept = real.write(1, &content).expect("written");
    for leftover in ["2", "2.tmp", "3.tmp"] {
        fs::create_dir_all(dir.join(leftover).join("blobs")).expect("made");
        fs::write(dir.join(leftover).join("snap.0000.generating"), b"half").expect("written");
    }
    let proof = real.write(2, &content).expect("leftovers of it are removed first");
    assert_is(&real.load(&proof).expect("loaded"), &content);
    fs::write(dir.join("stray"), b"?").expect("written");
    assert_eq!(checkpoint::sweep(&RealDisk, &dir, &[1]).expect("swept"), 3);
    assert_is(&real.load(&kept).expect("kept"), &content);
    checkpoint::remove(&RealDisk, &dir, 1).expect("removed");
    checkpoint::remove(&RealDisk, &dir, 1).expect("nothing to remove");
    assert_eq!(fs::read_dir(&dir).expect("readable").count(), 0);
}

#[test]
fn a_directory_deeper_than_any_checkpoint_is_refused() {
    let mut random = Random::seeded(31);
    let real = Real::new();
    let proof = real.write(1, &content(&mut random, 1, 0)).expect("written");
    fs::create_dir_all(real.dir().join("1/a/b/c/d")).expect("made");
    assert!(matches!(real.load(&proof), Err(CheckpointError::TooMuch { .. })));
}
