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
use portplex::wal::ManifestFault;
use portplex::wal::NotAStore;
use portplex::wal::Seeds;
use portplex::wal::StoreError;
use std::fs;
use std::sync::Arc;

#[test]
fn one_bad_copy_of_manifest_is_mended_from_the_other() {
    for name in ["MANIFEST", "MANIFEST.bak"] {
        for damage in 0..4 {
            let (store, log) = Store::with_frames(LARGE, 3, true);
            match damage {
                0 => edit(&store.path(name), |bytes| bytes[200] ^= 1),
                1 => edit(&store.path(name), |bytes| bytes.truncate(100)),
                2 => edit(&store.path(name), Vec::clear),
                _ => fs::remove_file(store.path(name)).unwrap(),
            }
            let opened = store.opens_with(&log);
            assert_eq!(opened.replayed.warnings.len(), 1, "{name}");
            drop(opened);
            assert_eq!(fs::read(store.path("MANIFEST")).unwrap(), fs::read(store.path("MANIFEST.bak")).unwrap());
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
        let content = bytes.len() - 32;
        bytes[8] = 9;
        let digest = *blake3::hash(&bytes[..content]).as_bytes();
        bytes[content..].copy_from_slice(&digest);
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
