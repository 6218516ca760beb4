//! `storage-format.md` and the code agree: every example is decoded and encoded back, and the
//! numbers in the document are the constants.
#![allow(clippy::disallowed_methods, reason = "reads the document")]

mod packs;

use crate::hex;
use portplex::ident::BootId;
use portplex::ident::BootMs;
use portplex::ident::HistoryId;
use portplex::ident::Lsn;
use portplex::ident::StoreUuid;
use portplex::ident::WallMs;
use portplex::wal::ChainEnd;
use portplex::wal::CheckpointEntry;
use portplex::wal::FileEntry;
use portplex::wal::HistoryEntry;
use portplex::wal::Manifest;
use portplex::wal::Seal;
use portplex::wal::SegmentEntry;
use portplex::wal::StopMark;
use portplex::wal::Undecodable;
use portplex::wal::Watermark;
use portplex::wal::constants;
use portplex::wal::frame;
use portplex::wal::frame::FrameHeader;
use portplex::wal::segment::SegmentHeader;

const UUID: StoreUuid = StoreUuid(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);
const BOOT: BootId = BootId(0xafae_adac_abaa_a9a8_a7a6_a5a4_a3a2_a1a0);
const SALTS: [u32; 2] = [0x5a17_0001, 0x5a17_0002];

/// The one example of this name.
fn example(name: &str) -> Vec<u8> {
    let kind = name.split(' ').next().expect("a name has a word");
    let found = hex::examples(&[kind]);
    let (_, text) = found.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no example {name:?}"));
    hex::bytes(text)
}

/// Compares, showing what the document should say.
fn assert_same(name: &str, bytes: &[u8]) {
    assert!(example(name) == bytes, "the example {name:?} should be\n{}", hex::text(bytes));
}

fn header(first: u64, count: u32, durable: u64, previous: u32) -> FrameHeader {
    FrameHeader {
        first: Lsn(first),
        count,
        durable: Lsn(durable),
        epoch: 1,
        wall: WallMs(1_790_000_000_000 + first),
        boot: BootMs(86_400_000 + first),
        previous,
    }
}

/// Two frames of segment 1, and the second one encoded anew in segment 2.
fn frames() -> [(&'static str, FrameHeader, Vec<u8>, u32); 3] {
    let payload = |record: &str| hex::bytes(record);
    let first = payload("0a09000000bc02 0a09000000bd02");
    let second = payload("0e01000000 0e00100000000000");
    let mut bytes = Vec::new();
    let crc = frame::encode(&header(1 << 20, 2, 0, 0), &first, SALTS[0], &mut bytes);
    let next = header((1 << 20) + 2, 1, (1 << 20) + 1, crc);
    [
        ("frame of segment 1, the first", header(1 << 20, 2, 0, 0), first, SALTS[0]),
        ("frame of segment 1, the second", next, second.clone(), SALTS[0]),
        ("frame encoded anew in segment 2", next, second, SALTS[1]),
    ]
}

#[test]
fn the_examples_of_frames_decode_and_encode_back() {
    for (name, header, payload, salt) in frames() {
        let mut bytes = Vec::new();
        let crc = frame::encode(&header, &payload, salt, &mut bytes);
        assert_same(name, &bytes);
        let decoded = frame::decode(&bytes, salt).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!((decoded.header, decoded.payload, decoded.crc), (header, &payload[..], crc));
        assert_eq!(decoded.size(), 4_096);
    }
}

#[test]
fn no_byte_of_a_frame_can_change_unnoticed() {
    let (_, header, payload, salt) = &frames()[1];
    let mut bytes = Vec::new();
    let _ = frame::encode(header, payload, *salt, &mut bytes);
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 0x40;
        assert!(frame::decode(&changed, *salt).is_err(), "byte {place}");
    }
    assert!(frame::decode(&bytes, salt ^ 1).is_err(), "the salt of another segment");
}

#[test]
fn the_example_of_a_segment_header_decodes_and_encodes_back() {
    let header = SegmentHeader { uuid: UUID, number: 2, size: 16_384, salt: SALTS[1] };
    assert_same("segment", &header.encode());
    assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    for place in 0..4_096 {
        let mut changed = header.encode();
        changed[place] ^= 1;
        assert!(SegmentHeader::decode(&changed).is_err(), "byte {place}");
    }
}

#[test]
fn the_example_of_a_watermark_slot_decodes_and_encodes_back() {
    let watermark = Watermark {
        uuid: UUID,
        epoch: 2,
        sequence: 5,
        lsn: Lsn((1 << 20) + 2),
        boot: BOOT,
        boot_ms: BootMs(86_400_000),
        clean: true,
    };
    assert_same("watermark", &watermark.encode());
    assert_eq!(Watermark::decode(&watermark.encode()), Some(watermark));
    for place in 0..4_096 {
        let mut changed = watermark.encode();
        changed[place] ^= 1;
        assert_eq!(Watermark::decode(&changed), None, "byte {place}");
    }
}

fn after_init() -> Manifest {
    Manifest {
        sequence: 1,
        uuid: UUID,
        epoch: 0,
        structure: "EZBEPORT11".parse().expect("a name"),
        receipt_key: [0x77; 32],
        stop: StopMark::None,
        copied_from: StoreUuid(0),
        segment_size: 16_384,
        lock_inode: 131_074,
        proven: Lsn::ZERO,
        next_segment: 2,
        retired: ChainEnd::default(),
        histories: Vec::new(),
        packs: Vec::new(),
        segments: vec![SegmentEntry { number: 1, size: 16_384, first: Lsn(1), sealed: None }],
        checkpoints: Vec::new(),
    }
}

fn in_use() -> Manifest {
    let history = |id: u64, first: u64, epoch: u64, end: u64| HistoryEntry {
        id: HistoryId(id),
        first: Lsn(first),
        epoch,
        boot: BOOT,
        boot_ms: BootMs(86_400_000 + epoch),
        wall: WallMs(1_790_000_000_000 + epoch),
        end: Lsn(end),
    };
    let end = ChainEnd { lsn: Lsn((1 << 20) + 1), crc: 0x0102_0304 };
    let seal = Seal { end, offset: 8_192, wall: WallMs(1_790_000_000_007) };
    let checkpoint = CheckpointEntry {
        generation: 1,
        lsn: Lsn((1 << 20) + 1),
        count: 5,
        digest: [0xd1; 32],
        wall: WallMs(1_790_000_000_009),
        files: vec![FileEntry { path: "db".to_owned(), size: 524_287, digest: [0xd2; 32] }],
    };
    Manifest {
        sequence: 9,
        epoch: 2,
        proven: Lsn((1 << 20) + 2),
        next_segment: 3,
        histories: vec![history(0x1111, 1 << 20, 1, (1 << 20) + 2), history(0x2222, 2 << 20, 2, 0)],
        segments: vec![
            SegmentEntry { number: 1, size: 16_384, first: Lsn(1), sealed: Some(seal) },
            SegmentEntry { number: 2, size: 16_384, first: Lsn((1 << 20) + 2), sealed: None },
        ],
        checkpoints: vec![checkpoint],
        ..after_init()
    }
}

#[test]
fn the_examples_of_manifests_decode_and_encode_back() {
    for (name, manifest) in [("manifest after init", after_init()), ("manifest in use", in_use())] {
        let bytes = manifest.encode();
        assert_same(name, &bytes);
        assert_eq!(Manifest::decode(&bytes), Ok(manifest));
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            assert!(Manifest::decode(&changed).is_err(), "{name}: byte {place}");
            assert!(Manifest::decode(&bytes[..place]).is_err(), "{name}: cut at {place}");
        }
    }
}

#[test]
fn a_manifest_of_a_newer_format_is_told_apart_from_a_damaged_one() {
    let mut bytes = after_init().encode();
    let content = bytes.len() - 32;
    bytes[8] = 2;
    assert!(matches!(Manifest::decode(&bytes), Err(Undecodable::Bad(_))));
    let digest = blake3_of(&bytes[..content]);
    bytes[content..].copy_from_slice(&digest);
    assert_eq!(Manifest::decode(&bytes), Err(Undecodable::TooNew { found: 2 }));
}

fn blake3_of(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

#[test]
fn the_document_names_the_constants() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("storage-format.md");
    let document = std::fs::read_to_string(path).expect("the document is there");
    let rows = [
        ("format version", constants::FORMAT.into()),
        ("block", constants::BLOCK_SIZE),
        ("frame header", constants::FRAME_HEADER_SIZE as u64),
        ("payload, most", constants::PAYLOAD_SIZE_MAX as u64),
        ("segment, least", constants::SEGMENT_SIZE_MIN),
        ("segment, most", constants::SEGMENT_SIZE_MAX),
        ("segment, default", constants::SEGMENT_SIZE_DEFAULT),
        ("MANIFEST, most", constants::MANIFEST_SIZE_MAX),
        ("step of MANIFEST's files", constants::MANIFEST_STEP),
        ("free in MANIFEST's files when they grow, least", constants::MANIFEST_HEADROOM),
        ("free in MANIFEST's files before an append, least", constants::MANIFEST_HEADROOM_MIN),
        ("path of a checkpoint's file, most", constants::FILE_PATH_LENGTH_MAX as u64),
        ("checkpoints, most", constants::CHECKPOINT_COUNT_MAX as u64),
        ("header of a pack", constants::PACK_HEADER_SIZE as u64),
        ("trailer of a pack", constants::PACK_TRAILER_SIZE as u64),
        ("block of a pack, unpacked, closed at", constants::PACK_BLOCK_SIZE as u64),
        ("part of a pack, unpacked, most", constants::PACK_PART_SIZE_MAX as u64),
        ("payload that stands by its places, most", constants::PACK_SHORT_PAYLOAD_MAX as u64),
        ("index of a pack, most", constants::PACK_INDEX_SIZE_MAX),
        ("packs put together only below", constants::PACK_SIZE_FULL),
        ("packs put together, least", constants::PACK_MERGE_COUNT as u64),
        ("packs listed once retention was applied, most", constants::PACK_COUNT_MAX as u64),
        ("slice of the spare", constants::SPARE_SLICE_SIZE as u64),
        ("read in full below the base at an open, most", constants::BELOW_BASE_CHECKED_SIZE_MAX),
        ("segments listed once retention was applied, most", constants::SEGMENT_COUNT_MAX as u64),
    ];
    for (what, value) in rows {
        let row = format!("| {what} | {value} |");
        assert!(document.contains(&row), "storage-format.md lacks the row: {row}");
    }
    for magic in
        [&constants::SEGMENT_MAGIC, &constants::MANIFEST_MAGIC, &constants::WATERMARK_MAGIC, &constants::PACK_MAGIC]
    {
        let text = std::str::from_utf8(magic).expect("ASCII");
        assert!(document.contains(&format!("`{text}`")), "storage-format.md lacks {text}");
    }
}
