//! What is wrong with MANIFEST, its copy, WATERMARK, LOCK or the directory.
#![allow(clippy::disallowed_methods, reason = "damages real files")]

use super::store::LARGE;
use super::store::SMALL;
use super::store::Store;
use super::store::append;
use super::store::edit;
use portplex::disk::LockMode;
use portplex::disk::RealDisk;
use portplex::ident::Lsn;
use portplex::ident::StoreUuid;
use portplex::ident::StructureName;
use portplex::wal;
use portplex::wal::Creation;
use portplex::wal::Manifest;
use portplex::wal::ManifestFault;
use portplex::wal::NotAStore;
use portplex::wal::Seeds;
use portplex::wal::StoreError;
use std::fs;
use std::sync::Arc;

#[test]
fn one_bad_copy_of_manifest_is_mended_from_the_other() {
    for name in ["MANIFEST", "MANIFEST.bak"] {
        for damage in 0..6 {
            let (store, log) = Store::with_frames(LARGE, 3, true);
            match damage {
                0 => edit(&store.path(name), |bytes| bytes[200] ^= 1),
                1 => edit(&store.path(name), |bytes| bytes.truncate(100)),
                2 => edit(&store.path(name), Vec::clear),
                3 => edit(&store.path(name), |bytes| *bytes.last_mut().unwrap() = 1),
                4 => edit(&store.path(name), |bytes| bytes.resize(40_000, 3)),
                _ => fs::remove_file(store.path(name)).unwrap(),
            }
            let opened = store.opens_with(&log);
            assert_eq!(opened.replayed.warnings.len(), 1, "{name}");
            drop(opened);
            let copies = ["MANIFEST", "MANIFEST.bak"].map(|name| fs::read(store.path(name)).unwrap());
            let [one, other] = copies.map(|bytes| Manifest::decode(&bytes).unwrap());
            assert_eq!(one, other);
            assert_eq!(store.opens_with(&log).replayed.warnings, Vec::<String>::new());
        }
    }
}

#[test]
fn two_bad_copies_of_manifest_are_refused() {
    let (store, _) = Store::with_frames(LARGE, 3, true);
    for name in ["MANIFEST", "MANIFEST.bak"] {
        edit(&store.path(name), |bytes| bytes[200] ^= 1);
    }
    let error = store.is_refused(Lsn::ZERO);
    assert!(matches!(error, StoreError::ManifestCorrupt { why: ManifestFault::Digest, .. }), "{error}");
    for name in ["MANIFEST", "MANIFEST.bak"] {
        fs::remove_file(store.path(name)).unwrap();
    }
    let error = store.is_refused(Lsn::ZERO);
    assert!(matches!(error, StoreError::ManifestCorrupt { why: ManifestFault::Missing, .. }), "{error}");
    let creation = Creation { structure: StructureName::default(), segment_size: LARGE };
    let seeds = Seeds { uuid: StoreUuid(1), receipt_key: [2; 32] };
    let error = wal::init(&RealDisk, &store.dir, &creation, &seeds).unwrap_err();
    assert!(matches!(error, StoreError::ManifestCorrupt { .. }), "init never buries a log: {error}");
}

#[test]
fn the_younger_of_two_good_copies_wins() {
    for name in ["MANIFEST", "MANIFEST.bak"] {
        let (store, log) = Store::with_frames(SMALL, 2, true);
        let old = fs::read(store.path(name)).unwrap();
        let opened = store.opens_with(&log);
        drop(opened);
        fs::write(store.path(name), old).unwrap();
        let opened = store.opens_with(&log);
        assert_eq!(opened.appender.epoch(), 3, "the copy that is behind was not believed");
        assert_eq!(opened.replayed.warnings.len(), 1);
    }
}

#[test]
fn an_old_copy_of_manifest_is_not_believed_when_the_store_went_on() {
    // A finished segment that it does not list.
    let (store, log) = Store::with_frames(SMALL, 2, true);
    let old = fs::read(store.path("MANIFEST")).unwrap();
    let mut opened = store.opens_with(&log);
    append(&mut opened.appender, 4);
    opened.appender.close(portplex::ident::BootMs(1)).unwrap();
    fs::write(store.path("MANIFEST"), &old).unwrap();
    edit(&store.path("MANIFEST.bak"), |bytes| bytes[90] ^= 1);
    let error = store.is_refused(Lsn::ZERO);
    assert!(matches!(error, StoreError::ManifestCorrupt { why: ManifestFault::Stale { .. }, .. }), "{error}");
    // A finished checkpoint that it does not list.
    let (store, _) = Store::with_frames(SMALL, 2, true);
    fs::create_dir(store.path("ckpt/1")).unwrap();
    edit(&store.path("MANIFEST"), |bytes| bytes[90] ^= 1);
    let error = store.is_refused(Lsn::ZERO);
    assert!(matches!(error, StoreError::ManifestCorrupt { why: ManifestFault::Stale { .. }, .. }), "{error}");
}

#[test]
fn a_manifest_older_than_watermark_or_the_log_is_refused() {
    for by_watermark in [true, false] {
        let (store, log) = Store::with_frames(LARGE, 2, true);
        let old = fs::read(store.path("MANIFEST")).unwrap();
        let mut opened = store.opens_with(&log);
        append(&mut opened.appender, 1);
        drop(opened);
        for name in ["MANIFEST", "MANIFEST.bak"] {
            fs::write(store.path(name), &old).unwrap();
        }
        if !by_watermark {
            store.forget_watermark();
        }
        let error = store.is_refused(Lsn::ZERO);
        let StoreError::ManifestCorrupt { why: ManifestFault::Epoch { name, known: 1, found: 2 }, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(name == "WATERMARK", by_watermark);
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (store, _) = Store::with_frames(LARGE, 1, true);
    edit(&store.path("MANIFEST"), |bytes| {
        let size = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) as usize;
        let content = size - 32;
        bytes[8] = 9;
        let digest = *blake3::hash(&bytes[..content]).as_bytes();
        bytes[content..size].copy_from_slice(&digest);
    });
    let error = store.is_refused(Lsn::ZERO);
    assert!(matches!(error, StoreError::FormatTooNew { found: 9, .. }), "{error}");
}

#[test]
fn watermark_is_only_a_hint() {
    let (store, log) = Store::with_frames(LARGE, 3, true);
    fs::remove_file(store.path("WATERMARK")).unwrap();
    drop(store.opens_with(&log));
    edit(&store.path("WATERMARK"), |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x20));
    drop(store.opens_with(&log));
    edit(&store.path("WATERMARK"), |bytes| bytes.truncate(5_000));
    drop(store.opens_with(&log));
    let (other, _) = Store::with_frames(LARGE, 9, true);
    // Same uuid, so of this store: it proves more than the log has.
    fs::copy(other.path("WATERMARK"), store.path("WATERMARK")).unwrap();
    assert!(matches!(store.is_refused(Lsn::ZERO), StoreError::CorruptLog { .. }));
}

#[test]
fn a_copied_store_is_read_but_not_written_until_adopted() {
    let (store, log) = Store::with_frames(LARGE, 3, true);
    let lock = store.path("LOCK");
    fs::copy(&lock, store.path("LOCK.new")).unwrap();
    fs::rename(store.path("LOCK.new"), &lock).unwrap();
    let error = store.is_refused(Lsn::ZERO);
    assert!(matches!(error, StoreError::StoreCopied { .. }), "{error}");
    assert!(error.to_string().contains("portplex store adopt"), "{error}");
    let survey = wal::survey(&RealDisk, &store.dir).unwrap();
    let read = wal::verify(&RealDisk, &store.dir, &survey, &mut |_, _| Ok(())).unwrap();
    assert_eq!(read.frames, 3);
    wal::adopt(Arc::new(RealDisk), &store.dir, wal::Adoption::Moved).unwrap();
    drop(store.opens_with(&log));
}

#[test]
fn a_lock_replaced_while_held_stops_the_writer() {
    let (store, log) = Store::with_frames(SMALL, 1, true);
    let mut opened = store.opens_with(&log);
    fs::copy(store.path("LOCK"), store.path("LOCK.new")).unwrap();
    fs::rename(store.path("LOCK.new"), store.path("LOCK")).unwrap();
    append(&mut opened.appender, 2);
    let error = opened.appender.rotate().unwrap_err();
    assert!(matches!(error, StoreError::LockLost { .. }), "{error}");
    assert!(matches!(opened.appender.rotate().unwrap_err(), StoreError::Poisoned { .. }));
}

#[test]
fn a_store_is_locked_by_every_path() {
    let (store, _) = Store::with_frames(SMALL, 1, true);
    let link = store.dir.with_file_name("link");
    std::os::unix::fs::symlink(&store.dir, &link).unwrap();
    let held = wal::lock(&RealDisk, &store.dir, LockMode::Exclusive).unwrap();
    for mode in [LockMode::Exclusive, LockMode::Shared] {
        assert!(matches!(wal::lock(&RealDisk, &link, mode).unwrap_err(), StoreError::Locked { .. }));
    }
    drop(held);
    let _reader = wal::lock(&RealDisk, &link, LockMode::Shared).unwrap();
    assert!(matches!(store.is_refused(Lsn::ZERO), StoreError::Locked { .. }));
}

#[test]
fn what_is_no_store_is_named_so() {
    let temporary = tempfile::tempdir().unwrap();
    let empty = temporary.path();
    for dir in [empty.to_owned(), empty.join("missing")] {
        let error = wal::lock(&RealDisk, &dir, LockMode::Shared).unwrap_err();
        assert!(matches!(error, StoreError::NotAStore { why: NotAStore::NoLock, .. }), "{error}");
    }
    let creation = Creation { structure: StructureName::default(), segment_size: SMALL };
    let seeds = Seeds { uuid: StoreUuid(1), receipt_key: [2; 32] };
    fs::write(empty.join("LOCK"), b"").unwrap();
    let error = wal::survey(&RealDisk, empty).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { why: NotAStore::InitUnfinished, .. }), "{error}");
    fs::write(empty.join("letter.txt"), b"dear reader").unwrap();
    let error = wal::init(&RealDisk, empty, &creation, &seeds).unwrap_err();
    assert!(matches!(&error, StoreError::NotEmpty { name, .. } if name == "letter.txt"), "{error}");
    fs::remove_file(empty.join("letter.txt")).unwrap();
    wal::init(&RealDisk, empty, &creation, &seeds).unwrap();
    let error = wal::init(&RealDisk, empty, &creation, &seeds).unwrap_err();
    assert!(matches!(error, StoreError::AlreadyAStore { .. }), "{error}");
    for segment_size in [0, 4_096, SMALL - 1, SMALL + 1, (1 << 30) + 4_096] {
        let creation = Creation { segment_size, ..creation };
        let error = wal::init(&RealDisk, &empty.join("sized"), &creation, &seeds).unwrap_err();
        assert!(matches!(error, StoreError::SegmentSize { .. }), "{error}");
    }
}

#[test]
fn zeros_behind_the_content_of_manifest_do_not_matter() {
    let (store, log) = Store::with_frames(LARGE, 3, true);
    for size in [16_384, 20_000, 700] {
        edit(&store.path("MANIFEST"), |bytes| bytes.resize(size, 0));
        assert_eq!(store.opens_with(&log).replayed.warnings, Vec::<String>::new(), "{size}");
    }
}

#[test]
fn what_is_kept_to_be_exchanged_is_never_read_and_made_anew() {
    for damage in 0..4 {
        let (store, mut log) = Store::with_frames(SMALL, 2, true);
        for name in ["MANIFEST", "MANIFEST.bak"] {
            let kept = store.path(&format!("{name}.tmp"));
            match damage {
                0 => fs::remove_file(&kept).unwrap(),
                1 => edit(&kept, |bytes| bytes.truncate(10)),
                2 => edit(&kept, |bytes| bytes.fill(0xff)),
                // As a power cut may leave an exchange: both names mean one file.
                _ => {
                    fs::remove_file(&kept).unwrap();
                    fs::hard_link(store.path(name), &kept).unwrap();
                }
            }
        }
        let mut opened = store.opens_with(&log);
        log.extend(append(&mut opened.appender, 4));
        drop(opened);
        drop(store.opens_with(&log));
        let inode = |name: &str| std::os::unix::fs::MetadataExt::ino(&fs::metadata(store.path(name)).unwrap());
        let mut inodes = ["MANIFEST", "MANIFEST.bak", "MANIFEST.tmp", "MANIFEST.bak.tmp"].map(inode).to_vec();
        inodes.sort_unstable();
        inodes.dedup();
        assert_eq!(inodes.len(), 4, "each name has a file of its own");
    }
}

#[test]
fn an_adoption_as_a_copy_that_was_cut_short_is_finished_by_the_next_open() {
    let (store, log) = Store::with_frames(SMALL, 2, true);
    let old = store.manifest();
    let stamp = wal::OpenStamp {
        history: portplex::ident::HistoryId(5),
        boot: portplex::ident::BootId(3),
        boot_ms: portplex::ident::BootMs(1),
        wall: portplex::ident::WallMs(1),
        wait_after_power_loss: false,
    };
    let seeds = Seeds { uuid: StoreUuid(8), receipt_key: [3; 32] };
    let frames = vec![wal::Frame { payload: vec![4; 50], count: 3 }];
    let copy = wal::Adoption::Copy(wal::NewStore { seeds, stamp, frames });
    wal::adopt(Arc::new(RealDisk), &store.dir, copy).unwrap();
    for behind in ["MANIFEST", "MANIFEST.bak"] {
        let (new, is_strange) = (fs::read(store.path("MANIFEST.bak")).unwrap(), behind == "MANIFEST");
        for name in ["MANIFEST", "MANIFEST.bak"] {
            fs::write(store.path(name), &new).unwrap();
        }
        // One that says it comes from elsewhere is no follower.
        let mut stranger = old.clone();
        stranger.uuid = StoreUuid(77);
        fs::write(store.path(behind), if is_strange { stranger.encode() } else { old.encode() }).unwrap();
        if is_strange {
            let error = store.is_refused(Lsn::ZERO);
            let is_named = matches!(error, StoreError::ManifestCorrupt { why: ManifestFault::Contradiction, .. });
            assert!(is_named, "{error}");
            fs::write(store.path(behind), old.encode()).unwrap();
        }
        let survey = wal::survey(&RealDisk, &store.dir).unwrap();
        assert_eq!((survey.manifest.uuid, survey.to_mend), (StoreUuid(8), Some(behind)));
    }
    let copied = vec![(Lsn(1 << 20), vec![4; 50])];
    drop(store.opens_with(&copied));
    assert_ne!(copied, log);
    assert!(!store.segment(1).exists(), "nothing lists what the copy came with");
}

#[test]
fn a_backup_is_read_at_once_and_written_once_it_was_adopted() {
    let (store, mut log) = Store::with_frames(SMALL, 7, true);
    let mut opened = store.opens_with(&log);
    log.extend(append(&mut opened.appender, 1));
    let manifest = opened.appender.keeper().manifest();
    let to = store.dir.with_file_name("backup");
    let durable = opened.appender.durable();
    assert_eq!(wal::copy_store(&RealDisk, &store.dir, &to, &manifest, durable).unwrap(), durable);
    drop(opened);
    let store = store.at(to);
    assert!(matches!(store.is_refused(Lsn::ZERO), StoreError::StoreCopied { noted: 0, .. }));
    wal::adopt(Arc::new(RealDisk), &store.dir, wal::Adoption::Restored).unwrap();
    let mut opened = store.opens_with(&log);
    assert_eq!(opened.appender.stop(), wal::StopMark::Restored);
    log.extend(append(&mut opened.appender, 3));
    drop(opened);
    drop(store.opens_with(&log));
}

#[test]
fn a_checkpoint_that_is_not_what_manifest_says_gets_into_no_backup() {
    let (store, _) = Store::with_frames(SMALL, 2, true);
    fs::create_dir_all(store.path("ckpt/1/deep")).unwrap();
    fs::write(store.path("ckpt/1/deep/file"), b"content").unwrap();
    let digest = *blake3::hash(b"content").as_bytes();
    let file = wal::FileEntry { path: "deep/file".to_owned(), size: 7, digest };
    let lsn = Lsn((1 << 20) + 1);
    let wall = portplex::ident::WallMs(1);
    let entry = wal::CheckpointEntry { generation: 1, lsn, count: 0, digest: [0; 32], wall, files: vec![file] };
    store.set_manifest(|manifest| manifest.checkpoints.push(entry.clone()));
    let (manifest, to) = (store.manifest(), store.dir.with_file_name("backup"));
    let durable = manifest.durable();
    wal::copy_store(&RealDisk, &store.dir, &to, &manifest, durable).unwrap();
    assert_eq!(fs::read(to.join("ckpt/1/deep/file")).unwrap(), b"content");
    fs::write(store.path("ckpt/1/deep/file"), b"contend").unwrap();
    let to = store.dir.with_file_name("another");
    let error = wal::copy_store(&RealDisk, &store.dir, &to, &manifest, durable).unwrap_err();
    assert!(matches!(error, StoreError::CheckpointFile { .. }), "{error}");
    assert!(!to.join("MANIFEST").exists() && !to.join("MANIFEST.bak").exists());
}
