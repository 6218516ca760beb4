//! Checkpoints with damage: the exact state from an older one or from the log, and no byte that differs
//! from what MANIFEST proves reaches what reads the rows.
//!
//! Digests keep all damage out, so two more ways go past them: rows of a flat file whose digest is right
//! whatever it has, and items as they are encoded in rows. sled is never shown such bytes: it is trusted
//! only with what a digest proves.

use super::store::{self, DIR, Store};
use portplex::checkpoint::{
    self, CheckpointError, CheckpointStore, FileProof, FlatStore, PrivateCopy, Proof, RowSink, RowSource,
};
use portplex::disk::Disk;
use portplex::disk::sim::SimDisk;
use portplex::facility::{Machine, inspect};
use portplex::record::rows;
use portplex::structure::{Item, Structure};
use portplex::wal::constants::CHECKPOINT_DIR;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

static STORE: LazyLock<Store> = LazyLock::new(store::checkpointed);
/// The one file of the flat store.
const ROWS: &str = "rows";

/// The first byte says which way; the rest are wounds or bytes.
pub fn run(input: &[u8]) {
    let Some((way, rest)) = input.split_first() else { return };
    match way % 4 {
        0 => damaged(rest),
        1 => resealed(rest, |rows| wound_all(rows, rest)),
        2 => resealed(rest, |rows| *rows = rest.to_vec()),
        _ => items(rest),
    }
}

fn ckpt_dir() -> PathBuf {
    Path::new(DIR).join(CHECKPOINT_DIR)
}

fn rows_of(generation: u64) -> PathBuf {
    ckpt_dir().join(generation.to_string()).join(ROWS)
}

/// Damage under the proofs of MANIFEST, in files and in what files there are: the log has all that the
/// checkpoints had.
fn damaged(wounds: &[u8]) {
    let disk = STORE.disk.fork();
    for wound in wounds.chunks_exact(6).take(4) {
        let generation = STORE.manifest.checkpoints[usize::from(wound[0] >> 7)].generation;
        let path = rows_of(generation);
        match wound[0] & 7 {
            0 => drop(disk.remove_file(&path)),
            1 => drop(disk.create(&path.with_file_name("snap.0000000000000001"))),
            2 => drop(disk.create_dir(&path.with_file_name("blobs"))),
            _ => {
                let Some(bytes) = disk.bytes(&path) else { continue };
                let mut bytes = bytes.to_vec();
                hurt(&mut bytes, wound);
                disk.set_bytes(&path, bytes).expect("written");
            }
        }
    }
    let known = STORE.manifest.checkpoints.iter().filter_map(|entry| STORE.disk.bytes(&rows_of(entry.generation)));
    let watched = Watched { known: known.map(|bytes| bytes.to_vec()).collect() };
    let machine = Machine { checkpoints: Arc::new(watched), ..store::machine(&disk) };
    let found = inspect(&machine, Path::new(DIR)).expect("what is wrong with a checkpoint costs only time");
    assert!(found.structure == STORE.issued, "a damaged checkpoint gave another state");
}

/// Rows that no digest of their file speaks against: the digest of the content does.
fn resealed(input: &[u8], change: impl Fn(&mut Vec<u8>)) {
    let which = usize::from(input.first().is_some_and(|byte| byte & 1 == 1));
    let entry = &STORE.manifest.checkpoints[which];
    let path = rows_of(entry.generation);
    let known = STORE.disk.bytes(&path).expect("a checkpoint");
    let mut rows = known.to_vec();
    change(&mut rows);
    let disk = SimDisk::new();
    for dir in [Path::new(DIR), &ckpt_dir(), path.parent().expect("a directory")] {
        disk.create_dir(dir).expect("made");
    }
    let file = FileProof { path: ROWS.into(), size: rows.len() as u64, digest: *blake3::hash(&rows).as_bytes() };
    let proof = Proof { files: vec![file], ..Proof::from(entry) };
    disk.set_bytes(&path, rows).expect("written");
    if let Ok(loaded) = checkpoint::load(&disk, &FlatStore, &ckpt_dir(), &proof) {
        let loaded: Vec<Item> = loaded.items().collect();
        let expected = checkpoint::load(&STORE.disk, &FlatStore, &ckpt_dir(), &Proof::from(entry)).expect("undamaged");
        assert!(expected.items().eq(loaded), "other items under the same digest");
    }
}

/// Items as rows have them: what decodes encodes to the same bytes, and what makes a structure makes it
/// again.
fn items(bytes: &[u8]) {
    let mut items = Vec::new();
    let Ok((_, size)) = rows::decode_run(bytes, &mut |item| items.push(item)) else { return };
    let mut again = Vec::new();
    items.iter().for_each(|item| rows::encode(item, &mut again));
    assert_eq!(again, &bytes[..size], "an item has one form");
    let Ok(structure) = Structure::import(items.into_iter()) else { return };
    if structure.audit().is_ok() {
        let copy = Structure::import(structure.items()).expect("a structure's own items make it");
        assert!(copy == structure);
    }
}

fn wound_all(rows: &mut Vec<u8>, wounds: &[u8]) {
    for wound in wounds.chunks_exact(6).take(4) {
        hurt(rows, wound);
    }
}

fn hurt(bytes: &mut Vec<u8>, wound: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let place = usize::from(u16::from_be_bytes([wound[1], wound[2]])) % bytes.len();
    let end = (place + 1 + usize::from(wound[4])).min(bytes.len());
    match wound[0] >> 3 & 7 {
        0 => bytes[place] ^= 1 << (wound[3] & 7),
        1 => bytes[place..end].fill(wound[3]),
        2 => bytes[place..end].reverse(),
        3 => bytes.truncate(place),
        4 => bytes.extend(std::iter::repeat_n(wound[3], usize::from(wound[4]) + 1)),
        5 => drop(bytes.drain(place..end)),
        6 => bytes.splice(place..place, [wound[3], wound[4], wound[5]]).for_each(drop),
        _ => {
            // Lengths are four bytes wide.
            let end = (place + 4).min(bytes.len());
            let value = [wound[3], wound[4], wound[5], wound[5]];
            bytes[place..end].copy_from_slice(&value[..end - place]);
        }
    }
}

/// The flat store, which is shown nothing but what was proven.
#[derive(Debug)]
struct Watched {
    known: Vec<Vec<u8>>,
}

impl CheckpointStore for Watched {
    fn write(&self, disk: &dyn Disk, dir: &Path, rows: &mut RowSource<'_>) -> Result<(), CheckpointError> {
        FlatStore.write(disk, dir, rows)
    }

    fn copy(&self) -> Result<Box<dyn PrivateCopy>, CheckpointError> {
        let copy = FlatStore.copy()?;
        Ok(Box::new(WatchedCopy { known: self.known.clone(), shown: BTreeMap::new(), copy }))
    }
}

#[derive(Debug)]
struct WatchedCopy {
    known: Vec<Vec<u8>>,
    shown: BTreeMap<String, Vec<u8>>,
    copy: Box<dyn PrivateCopy>,
}

impl PrivateCopy for WatchedCopy {
    fn append(&mut self, path: &str, bytes: &[u8]) -> Result<(), CheckpointError> {
        self.shown.entry(path.to_owned()).or_default().extend_from_slice(bytes);
        self.copy.append(path, bytes)
    }

    fn read(self: Box<Self>, sink: &mut RowSink<'_>) -> Result<(), CheckpointError> {
        let is_proven = self.shown.len() == 1 && self.known.iter().any(|known| self.shown.get(ROWS) == Some(known));
        assert!(is_proven, "rows are read that no digest proves");
        self.copy.read(sink)
    }
}
