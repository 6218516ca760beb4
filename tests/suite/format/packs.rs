//! The examples of packs: what the document says comes out of them, and packing the same again gives
//! what they give. The packed bytes themselves are zstd's affair.

use super::*;
use portplex::disk::Disk;
use portplex::disk::sim::SimDisk;
use portplex::facility::past;
use portplex::facility::past::Roster;
use portplex::wal;
use portplex::wal::Creation;
use portplex::wal::PackEntry;
use portplex::wal::Seeds;
use portplex::wal::pack::PackFile;
use portplex::wal::pack::PackRun;
use portplex::wal::pack::Part;
use portplex::wal::pack::Side;
use std::path::Path;

/// Segment 1 with the first two frames, sealed behind them.
fn manifest() -> Manifest {
    let checkpoint = |generation| CheckpointEntry {
        generation,
        lsn: Lsn((1 << 20) + 2),
        count: 5,
        digest: [0xd1; 32],
        wall: WallMs(1_790_000_000_009),
        files: Vec::new(),
    };
    let in_use = in_use();
    let end = ChainEnd { lsn: Lsn((1 << 20) + 2), crc: crc_of_second() };
    let seal = Seal { end, offset: 12_288, wall: WallMs(1_790_000_000_000 + (1 << 20) + 2) };
    let mut segments = in_use.segments.clone();
    segments[0].sealed = Some(seal);
    segments[1].first = Lsn(2 << 20);
    Manifest { segments, checkpoints: vec![checkpoint(1), checkpoint(2)], ..in_use }
}

fn crc_of_second() -> u32 {
    let (_, header, payload, salt) = &frames()[1];
    frame::encode(header, payload, *salt, &mut Vec::new())
}

/// A disk with segment 1 as a file.
fn disk(dir: &Path) -> SimDisk {
    let disk = SimDisk::new();
    let creation = Creation { structure: manifest().structure, segment_size: 16_384 };
    wal::init(&disk, dir, &creation, &Seeds { uuid: UUID, receipt_key: [0x77; 32] }).expect("made");
    let mut bytes = SegmentHeader { uuid: UUID, number: 1, size: 16_384, salt: SALTS[0] }.encode();
    for (_, header, payload, salt) in &frames()[..2] {
        let _ = frame::encode(header, payload, *salt, &mut bytes);
    }
    let path = wal::segment::path(dir, 1);
    disk.remove_file(&path).expect("the one of init");
    disk.set_bytes(&path, bytes).expect("written");
    disk
}

/// What the example of MANIFEST says of the example of a pack.
fn entry(bytes: &[u8]) -> PackEntry {
    let manifest = manifest();
    let seal = manifest.segments[0].sealed.expect("sealed");
    PackEntry {
        first_segment: 1,
        last_segment: 1,
        size: bytes.len() as u64,
        first: Lsn(1),
        end: seal.end,
        wall: seal.wall,
        digest: bytes[bytes.len() - 40..bytes.len() - 8].try_into().expect("32 bytes"),
    }
}

fn unpacked(bytes: &[u8], part: &Part) -> Vec<u8> {
    let packed = &bytes[part.offset as usize..][..part.size as usize];
    zstd::bulk::decompress(packed, part.unpacked as usize).expect("a zstd frame")
}

#[test]
fn the_example_of_a_pack_gives_what_the_document_says() {
    let dir = Path::new("/store");
    let (disk, manifest) = (disk(dir), manifest());
    let run = PackRun::next(&manifest, 1).expect("segment 1 is history");
    wal::pack::make(&disk, dir, &manifest, &run, &mut Roster::new(true), &mut |_| true).expect("packed");
    let path = dir.join("wal/000000000001-000000000001.pack");
    let made = disk.bytes(&path).expect("there it is").to_vec();
    let example = example("pack");
    let open = |bytes: &[u8]| {
        disk.remove_file(&path).expect("removed");
        disk.set_bytes(&path, bytes.to_vec()).expect("written");
        PackFile::open(&disk, dir, UUID, &entry(bytes))
    };
    let ours = open(&made).expect("readable");
    let Ok(theirs) = open(&example) else { panic!("the example \"pack\" should be\n{}", hex::text(&made)) };
    for (bytes, pack) in [(&made, &ours), (&example, &theirs)] {
        let block = &pack.index().blocks[0];
        assert_same("packed block", &unpacked(bytes, &block.part));
        for (side, name) in [(Side::Start, "packed roster"), (Side::Keys, "packed keys")] {
            let found: Vec<u8> = pack
                .index()
                .sides
                .iter()
                .filter(|(of, _)| *of == side)
                .flat_map(|(_, part)| unpacked(bytes, part))
                .collect();
            assert_same(name, &found);
        }
    }
    // The file that is there is the example.
    let mut found = Vec::new();
    theirs
        .read_block(&manifest, 0, &mut |info, payload| {
            found.push((info.first, info.wall, info.boot, info.segment, info.offset, payload.to_vec()));
            Ok(())
        })
        .expect("readable");
    let expected: Vec<_> = frames()[..2]
        .iter()
        .enumerate()
        .map(|(place, (_, header, payload, _))| {
            (header.first, header.wall, header.boot, 1, 4_096 * (1 + place as u64), payload.clone())
        })
        .collect();
    assert_eq!(found, expected);
    let mut keys = Vec::new();
    past::read_keys(&theirs, &mut |of_block| keys.push(of_block.to_vec())).expect("readable");
    assert_eq!(keys, [vec![1 << 32 | 2 << 16, 0xffff_ffff_0000_0000 | 700, 0xffff_ffff_0000_0000 | 701]]);
}

#[test]
fn the_example_of_a_manifest_with_a_pack_decodes_and_encodes_back() {
    let mut manifest = manifest();
    manifest.segments.remove(0);
    manifest.packs = vec![entry(&example("pack"))];
    let bytes = manifest.encode();
    assert_same("manifest with a pack", &bytes);
    assert_eq!(Manifest::decode(&bytes), Ok(manifest));
}

/// What the fuzzer begins with, and whatever it ever found.
#[test]
fn every_pack_of_the_corpus_is_read_or_named_and_never_a_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/packed");
    let (mut read, mut named) = (0, 0);
    for entry in std::fs::read_dir(corpus).expect("the corpus is there") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("readable");
        match wal::pack::probe(&bytes) {
            Ok(frames) => read += frames,
            Err(_) => named += 1,
        }
        for place in (0..bytes.len()).step_by(7) {
            let mut changed = bytes.clone();
            changed[place] ^= 0x5a;
            let _ = wal::pack::probe(&changed);
            let _ = wal::pack::probe(&bytes[place..]);
        }
    }
    assert!(read > 0 && named > 0, "{read} frames read, {named} named");
}
