//! What recovery takes of memory is bounded: no length that a file claims is believed before it was
//! compared with the bytes that are there.
//!
//! Every number in a header, a MANIFEST, a record, a row or an index is overwritten, at every place and in
//! every width, with values that lie; checksums and digests are made right again, so that the lie is read.

use crate::allocations::{Memory, memory_during};
use crate::fuzz::store::{self, DIR, Store};
use portplex::checkpoint::{self, FileProof, FlatStore, Proof};
use portplex::disk::sim::SimDisk;
use portplex::record::{self, rows};
use portplex::wal::constants::{
    BLOCK_SIZE, CHECKPOINT_DIR, MANIFEST, MANIFEST_COPY, MANIFEST_SIZE_MAX, PACK_PART_SIZE_MAX, WATERMARK,
};
use portplex::wal::{Manifest, pack};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static STORE: LazyLock<Store> = LazyLock::new(store::checkpointed);

/// One piece at most, while a store with segments of 16 KiB and a state of some KiB is recovered: a window
/// over a segment, a table of the structure. Far below what any lie says.
const PIECE_MAX: usize = 512 << 10;
/// In all.
const PEAK_MAX: usize = 2 << 20;
/// A codec has nothing but its input: this often its size, and a page.
const CODEC_FACTOR: usize = 64;
const PAGE: usize = 4_096;

/// Lies, from just too large to the largest there are, and the odd ones between.
const LIES: [u64; 6] = [0, 0xffff, 0x100_0001, 0x7fff_ffff_7fff_ffff, 0x8000_0000_8000_0000, u64::MAX];

/// Calls `check` for the bytes with every lie of every width at every place of `places`.
fn each_lie(bytes: &[u8], places: impl Iterator<Item = usize> + Clone, mut check: impl FnMut(Vec<u8>, &str)) -> u64 {
    let mut tried = 0;
    for width in [4, 8] {
        for place in places.clone().filter(|place| place + width <= bytes.len()) {
            for lie in LIES {
                let mut changed = bytes.to_vec();
                changed[place..place + width].copy_from_slice(&lie.to_le_bytes()[..width]);
                if changed != bytes {
                    check(changed, &format!("{lie:#x} in {width} bytes at offset {place}"));
                    tried += 1;
                }
            }
        }
    }
    tried
}

fn assert_bounded(memory: Memory, what: &str) {
    assert!(memory.largest <= PIECE_MAX, "{what}: {memory:?}, more than {PIECE_MAX} in one piece");
    assert!(memory.peak <= PEAK_MAX, "{what}: {memory:?}, more than {PEAK_MAX} in all");
}

fn read_bounded(disk: &SimDisk, what: &str) -> bool {
    let (read, memory) = memory_during(|| store::read(disk).is_ok());
    assert_bounded(memory, what);
    read
}

#[test]
fn no_number_in_a_manifest_makes_recovery_take_memory() {
    let manifest = STORE.manifest.encode();
    let mut opened = 0;
    let tried = each_lie(&manifest, 8..manifest.len() - 32, |mut lying, what| {
        let end = lying.len() - 32;
        let digest = *blake3::hash(&lying[..end]).as_bytes();
        lying[end..].copy_from_slice(&digest);
        let (is_read, memory) = memory_during(|| Manifest::decode(&lying).is_ok());
        assert!(memory.peak <= CODEC_FACTOR * lying.len() + PAGE, "MANIFEST with {what}: {memory:?}");
        if !is_read {
            return;
        }
        let disk = STORE.disk.fork();
        for name in [MANIFEST, MANIFEST_COPY] {
            disk.set_bytes(&Path::new(DIR).join(name), lying.clone()).expect("written");
        }
        opened += u64::from(read_bounded(&disk, &format!("MANIFEST with {what}")));
    });
    assert!(tried > 3_000 && opened > 0 && opened < tried, "{opened} of {tried} opened");
}

#[test]
fn a_manifest_of_any_size_is_not_read_beyond_its_limit() {
    for size in [MANIFEST_SIZE_MAX + 1, MANIFEST_SIZE_MAX + (1 << 20)] {
        let disk = STORE.disk.fork();
        for name in [MANIFEST, MANIFEST_COPY] {
            disk.set_bytes(&Path::new(DIR).join(name), vec![0; size as usize]).expect("written");
        }
        assert!(!read_bounded(&disk, &format!("a MANIFEST of {size} bytes")));
    }
}

/// The CRC-32 of a block from `start` on, but its own four bytes at `at`.
fn crc(block: &[u8], at: usize, initial: u32) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new_with_initial(initial);
    hasher.update(&block[..at]);
    hasher.update(&block[at + 4..]);
    hasher.finalize().to_le_bytes()
}

fn segments() -> Vec<PathBuf> {
    let paths = STORE.disk.image().into_keys();
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).collect()
}

#[test]
fn no_number_in_the_log_makes_recovery_take_memory() {
    let block = BLOCK_SIZE as usize;
    let mut tried = 0;
    for path in segments() {
        let file = STORE.disk.bytes(&path).expect("listed").to_vec();
        let salt = u32::from_le_bytes(file[48..52].try_into().expect("four bytes"));
        let lie_in = |start: usize, places: std::ops::Range<usize>, seal: &dyn Fn(&mut [u8])| {
            each_lie(&file[start..start + block], places, |mut lying, what| {
                seal(&mut lying);
                let mut changed = file.clone();
                changed[start..start + block].copy_from_slice(&lying);
                let disk = STORE.disk.fork();
                disk.set_bytes(&path, changed).expect("written");
                read_bounded(&disk, &format!("{} with {what} from {start}", path.display()));
            })
        };
        tried += lie_in(0, 8..60, &|lying| {
            let sum = crc(lying, 12, 0);
            lying[12..16].copy_from_slice(&sum);
        });
        // The header of each frame of one block; records have a test of their own.
        for start in (block..file.len()).step_by(block).filter(|start| file[*start..].starts_with(b"PPFR")) {
            tried += lie_in(start, 8..64, &|lying| {
                let sum = crc(lying, 4, salt);
                lying[4..8].copy_from_slice(&sum);
            });
        }
    }
    assert!(tried > 3_000, "{tried} lies told");
}

#[test]
fn no_number_in_the_watermark_makes_recovery_take_memory() {
    let path = Path::new(DIR).join(WATERMARK);
    let file = STORE.disk.bytes(&path).expect("a watermark").to_vec();
    let tried = each_lie(&file[..BLOCK_SIZE as usize], 8..80, |mut lying, what| {
        let sum = crc(&lying, 12, 0);
        lying[12..16].copy_from_slice(&sum);
        lying.extend_from_slice(&file[BLOCK_SIZE as usize..]);
        let disk = STORE.disk.fork();
        disk.set_bytes(&path, lying).expect("written");
        read_bounded(&disk, &format!("WATERMARK with {what}"));
    });
    assert!(tried > 500, "{tried} lies told");
}

#[test]
fn no_number_in_a_record_makes_its_decoder_take_memory() {
    let frames = store::payloads(&STORE);
    assert!(frames.len() > 5, "the log has frames");
    for (payload, count) in frames {
        let places = (0..payload.len()).filter(|place| *place < 80 || payload.len() - place < 20);
        let bound = CODEC_FACTOR * payload.len() + PAGE;
        each_lie(&payload, places, |lying, what| {
            for count in [count, 1, u32::MAX] {
                let (_, memory) = memory_during(|| record::decode_all(&lying, count).is_ok());
                assert!(memory.peak <= bound, "{count} records with {what}: {memory:?}");
            }
        });
    }
}

#[test]
fn no_number_in_a_checkpoint_makes_its_reader_take_memory() {
    let entry = STORE.manifest.checkpoints.last().expect("a checkpoint");
    let ckpt_dir = Path::new(DIR).join(CHECKPOINT_DIR);
    let path = ckpt_dir.join(entry.generation.to_string()).join("rows");
    let file = STORE.disk.bytes(&path).expect("rows").to_vec();
    // The allowable set is 8 KiB of bits: numbers are before and behind it.
    let places = (0..file.len()).filter(|place| *place < 150 || file.len() - place < 250);
    let tried = each_lie(&file, places, |lying, what| {
        let proof =
            FileProof { path: "rows".into(), size: lying.len() as u64, digest: *blake3::hash(&lying).as_bytes() };
        let disk = STORE.disk.fork();
        disk.set_bytes(&path, lying.clone()).expect("written");
        let proof = Proof { count: u64::MAX, files: vec![proof], ..Proof::from(entry) };
        let (_, memory) = memory_during(|| checkpoint::load(&disk, &FlatStore, &ckpt_dir, &proof).is_ok());
        assert_bounded_but(memory, PIECE_OF_FILE, &format!("rows with {what}"));
        let (_, memory) = memory_during(|| rows::decode_run(&lying, &mut drop).is_ok());
        assert!(memory.peak <= CODEC_FACTOR * lying.len() + PAGE, "items with {what}: {memory:?}");
    });
    assert!(tried > 3_000, "{tried} lies told");
}

/// Files of a checkpoint are read in pieces of this size.
const PIECE_OF_FILE: usize = 1 << 20;

/// As [`assert_bounded`], with pieces of another size.
fn assert_bounded_but(memory: Memory, piece: usize, what: &str) {
    assert!(memory.largest <= piece && memory.peak <= 2 * piece, "{what}: {memory:?}");
}

#[test]
fn no_number_in_a_pack_makes_its_reader_take_memory() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/packed/example");
    let file = std::fs::read(path).expect("an example");
    let mut read = 0;
    let tried = each_lie(&file, 0..file.len(), |lying, what| {
        let (is_read, memory) = memory_during(|| pack::probe(&lying).is_ok());
        read += u64::from(is_read);
        assert!(memory.largest <= 2 * PACK_PART_SIZE_MAX, "a pack with {what}: {memory:?}");
        assert!(memory.peak <= 4 * PACK_PART_SIZE_MAX, "a pack with {what}: {memory:?}");
    });
    assert!(tried > 3_000 && read < tried, "{read} of {tried} read");
}
