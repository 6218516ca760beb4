//! What is wrong in the segments.
#![allow(clippy::disallowed_methods, reason = "damages real files")]

use super::store::BLOCK;
use super::store::LARGE;
use super::store::SMALL;
use super::store::Store;
use super::store::append;
use super::store::edit;
use portplex::facility::{LocalFacility, OpenError, Options};
use portplex::ident::{BootMs, Lsn, WallMs};
use portplex::record;
use portplex::structure::{Change, Event, Stamp};
use portplex::wal::CheckpointEntry;
use portplex::wal::LogFault;
use portplex::wal::StoreError;
use portplex::wal::frame::FrameFault;
use portplex::wal::frame::FrameHeader;
use std::fs;

const FIRST: u64 = 1 << 20;

fn checkpoint(generation: u64, lsn: Lsn) -> CheckpointEntry {
    CheckpointEntry { generation, lsn, count: 0, digest: [0; 32], wall: WallMs(0), files: Vec::new() }
}

fn fault_of(error: StoreError) -> (u64, u64, Lsn, LogFault) {
    match error {
        StoreError::CorruptLog { segment, offset, lsn, fault, .. } => (segment, offset, lsn, fault),
        other => panic!("{other}"),
    }
}

#[test]
fn a_listed_segment_that_is_missing_is_refused() {
    for number in [1, 2, 3] {
        let (store, _) = Store::with_frames(SMALL, 8, true);
        fs::remove_file(store.segment(number)).unwrap();
        let error = store.is_refused(Lsn::ZERO);
        assert!(matches!(error, StoreError::SegmentMissing { segment, .. } if segment == number), "{error}");
        // Below the base too: what MANIFEST lists must be there.
        let error = store.is_refused(Lsn(FIRST + 11));
        assert!(matches!(error, StoreError::SegmentMissing { segment, .. } if segment == number), "{error}");
    }
}

#[test]
fn a_listed_segment_of_another_size_is_refused() {
    for number in [1, 2, 3] {
        for size in [0, 100, BLOCK, 2 * BLOCK, SMALL - 1, SMALL + BLOCK] {
            let (store, _) = Store::with_frames(SMALL, 8, true);
            edit(&store.segment(number), |bytes| bytes.resize(size as usize, 0));
            let (segment, offset, _, fault) = fault_of(store.is_refused(Lsn::ZERO));
            assert_eq!((segment, offset), (number, 0));
            assert!(matches!(fault, LogFault::FileSize { found, .. } if found == size), "{fault}");
        }
    }
}

#[test]
fn a_listed_segment_with_a_bad_header_is_refused() {
    for number in [1, 2, 3] {
        for place in [0, 8, 12, 16, 40, 48, 60, 4_095] {
            let (store, _) = Store::with_frames(SMALL, 8, true);
            edit(&store.segment(number), |bytes| bytes[place] ^= 1);
            let (segment, offset, _, fault) = fault_of(store.is_refused(Lsn(FIRST + 11)));
            assert_eq!((segment, offset), (number, 0));
            assert!(matches!(fault, LogFault::Header(_)), "{fault}");
        }
        let (store, _) = Store::with_frames(SMALL, 8, true);
        let other = 1 + number % 3;
        fs::copy(store.segment(other), store.segment(number)).unwrap();
        let (segment, _, _, fault) = fault_of(store.is_refused(Lsn::ZERO));
        assert_eq!(segment, number);
        assert!(matches!(fault, LogFault::Header(_)), "the header of another segment: {fault}");
    }
}

#[test]
fn a_misfit_below_the_base_is_named_and_the_store_opens() {
    for place in [BLOCK, BLOCK + 70, 2 * BLOCK + 4_000, 3 * BLOCK] {
        let (store, log) = Store::with_frames(SMALL, 8, true);
        edit(&store.segment(1), |bytes| bytes[place as usize] ^= 1);
        let base = Lsn(FIRST + 5);
        let opened = store.open(base).unwrap();
        assert_eq!(opened.log, log[3..]);
        let [warning] = &opened.replayed.warnings[..] else { panic!("{:?}", opened.replayed.warnings) };
        assert!(warning.contains("000000000001.seg") && warning.contains("is damaged at offset"), "{warning}");
        drop(opened);
        assert!(matches!(store.is_refused(Lsn::ZERO), StoreError::CorruptLog { segment: 1, .. }));
    }
}

#[test]
fn a_misfit_in_a_sealed_segment_above_the_base_is_refused() {
    for (place, frame) in [(BLOCK, 0), (BLOCK + 16, 0), (BLOCK + 70, 0), (2 * BLOCK + 4_000, 1), (3 * BLOCK + 63, 2)] {
        let (store, log) = Store::with_frames(SMALL, 8, true);
        edit(&store.segment(1), |bytes| bytes[place as usize] ^= 1);
        let (segment, offset, lsn, _) = fault_of(store.is_refused(Lsn::ZERO));
        assert_eq!((segment, offset, lsn.max(Lsn(FIRST))), (1, (frame + 1) * BLOCK, log[frame as usize].0));
        // A base inside the segment needs the rest of it.
        assert!(matches!(store.is_refused(Lsn(FIRST + 3)), StoreError::CorruptLog { segment: 1, .. }));
    }
    let (store, _) = Store::with_frames(SMALL, 8, true);
    edit(&store.segment(1), |bytes| bytes[3 * BLOCK as usize..].fill(0));
    assert!(matches!(store.is_refused(Lsn::ZERO), StoreError::CorruptLog { segment: 1, .. }), "zeros are no end");
}

#[test]
fn a_sealed_segment_ends_exactly_as_manifest_says() {
    let (store, _) = Store::with_frames(SMALL, 8, true);
    let header = store.frame_header(1, 3 * BLOCK);
    store.put_frame(1, 3 * BLOCK, &header, b"another good frame");
    let (_, _, _, fault) = fault_of(store.is_refused(Lsn::ZERO));
    assert!(matches!(fault, LogFault::SealedCrc { .. }), "{fault}");
    store.put_frame(1, 3 * BLOCK, &FrameHeader { count: 1, ..header }, b"one record less");
    let (_, _, _, fault) = fault_of(store.is_refused(Lsn::ZERO));
    assert!(matches!(fault, LogFault::SealedEnd { .. }), "{fault}");
}

#[test]
fn bytes_behind_a_sealed_end_are_never_looked_at() {
    let (store, log) = Store::with_frames(SMALL, 2, false);
    store.forget_watermark();
    drop(store.opens_with(&log));
    assert_eq!(fs::metadata(store.segment(1)).unwrap().len(), 2 * BLOCK, "cut to its sealed end");
    edit(&store.segment(1), |bytes| bytes.resize(SMALL as usize, 0xff));
    drop(store.opens_with(&log));
}

/// Damage, or zeros, where lsn n was durable; each test names the proof.
fn is_refused_as_durable(store: &Store, frame: u64, proven: u64) {
    for is_zeroed in [true, false] {
        edit(&store.segment(1), |bytes| {
            let start = ((frame + 1) * BLOCK) as usize;
            if is_zeroed { bytes[start..].fill(0) } else { bytes[start + 80] = 0x55 }
        });
        let (segment, offset, _, fault) = fault_of(store.is_refused(Lsn::ZERO));
        assert_eq!((segment, offset), (1, (frame + 1) * BLOCK));
        assert!(matches!(fault, LogFault::DurableMissing { proven: found, .. } if found == Lsn(proven)), "{fault}");
    }
}

#[test]
fn the_tail_must_have_what_watermark_proves() {
    let (store, _) = Store::with_frames(LARGE, 3, false);
    is_refused_as_durable(&store, 2, FIRST + 5);
}

#[test]
fn the_tail_must_have_what_manifest_proves() {
    let (store, log) = Store::with_frames(LARGE, 3, false);
    drop(store.opens_with(&log));
    store.forget_watermark();
    is_refused_as_durable(&store, 2, FIRST + 5);
}

#[test]
fn the_tail_must_have_what_a_checkpoint_proves() {
    let (store, _) = Store::with_frames(LARGE, 3, false);
    store.forget_watermark();
    store.set_manifest(|manifest| manifest.checkpoints.push(checkpoint(1, Lsn(FIRST + 5))));
    is_refused_as_durable(&store, 2, FIRST + 5);
}

#[test]
fn the_tail_must_have_what_a_later_frame_proves() {
    for damaged in [0, 1] {
        let (store, _) = Store::with_frames(LARGE, 3, false);
        store.forget_watermark();
        edit(&store.segment(1), |bytes| bytes[((damaged + 1) * BLOCK) as usize + 80] ^= 1);
        let (segment, offset, _, fault) = fault_of(store.is_refused(Lsn::ZERO));
        assert_eq!((segment, offset), (1, (damaged + 1) * BLOCK));
        assert!(matches!(fault, LogFault::DurableMissing { proven, .. } if proven == Lsn(FIRST + 3)), "{fault}");
    }
}

#[test]
fn zeros_behind_the_last_proven_frame_are_a_clean_end() {
    for clean in [true, false] {
        let (store, log) = Store::with_frames(LARGE, 3, clean);
        let opened = store.opens_with(&log);
        assert_eq!((opened.replayed.above, opened.replayed.torn_bytes), (None, 0));
        assert_eq!(opened.appender.position().segment, 1, "the same segment goes on");
        assert_eq!(opened.appender.position().offset, 4 * BLOCK);
        assert_eq!(store.manifest().segments.len(), 1);
    }
}

#[test]
fn a_full_tail_is_a_clean_end() {
    let (store, mut log) = Store::with_frames(SMALL, 3, true);
    let mut opened = store.opens_with(&log);
    log.extend(append(&mut opened.appender, 1));
    assert_eq!(opened.appender.position().segment, 2);
    drop(opened);
    drop(store.opens_with(&log));
}

#[test]
fn part_of_a_frame_above_what_is_proven_is_left_out() {
    for keep in [1, 4, 63, 64, 100, 163] {
        let (store, log) = Store::with_frames(LARGE, 3, false);
        store.forget_watermark();
        edit(&store.segment(1), |bytes| bytes[3 * BLOCK as usize + keep..].fill(0));
        let mut opened = store.opens_with(&log[..2].to_vec());
        assert!(opened.replayed.torn_bytes > 0 && opened.replayed.torn_bytes <= keep as u64);
        assert_eq!(opened.replayed.warnings.len(), 1);
        assert_eq!(opened.appender.next_lsn(), Lsn(2 * FIRST), "the next history");
        let mut expected = log[..2].to_vec();
        expected.extend(append(&mut opened.appender, 2));
        drop(opened);
        let manifest = store.manifest();
        assert_eq!(manifest.segments.len(), 2, "torn bytes are not written over");
        drop(store.opens_with(&expected));
    }
}

#[test]
fn the_frame_above_what_is_proven_is_encoded_anew_in_a_new_segment() {
    let (store, mut log) = Store::with_frames(LARGE, 3, false);
    store.forget_watermark();
    let before = store.frame_header(1, 3 * BLOCK);
    let mut opened = store.opens_with(&log);
    let above = opened.replayed.above.clone().expect("one frame above");
    assert_eq!((above.first, above.offset), (log[2].0, 3 * BLOCK));
    log.extend(append(&mut opened.appender, 1));
    drop(opened);
    let manifest = store.manifest();
    let seal = manifest.segments[0].sealed.expect("the old tail is sealed");
    assert_eq!((seal.end.lsn, seal.offset), (Lsn(FIRST + 3), 3 * BLOCK), "at what is proven");
    let number = manifest.tail().number;
    assert_eq!(store.frame_header(number, BLOCK), FrameHeader { previous: seal.end.crc, ..before });
    assert_ne!(store.salt(number), store.salt(1));
    drop(store.opens_with(&log));
}

#[test]
fn damage_in_the_frame_above_what_is_proven_gives_exactly_the_state_without_it() {
    for place in (0..4_096).step_by(97) {
        let (store, log) = Store::with_frames(LARGE, 3, false);
        store.forget_watermark();
        edit(&store.segment(1), |bytes| bytes[3 * BLOCK as usize + place] ^= 4);
        drop(store.opens_with(&log[..2].to_vec()));
    }
}

#[test]
fn a_length_that_no_frame_can_have_is_damage_like_any_other() {
    for length in [0, 512 * 1_024 + 1, LARGE as u32, u32::MAX] {
        let (store, log) = Store::with_frames(LARGE, 3, false);
        store.forget_watermark();
        edit(&store.segment(1), |bytes| {
            bytes[3 * BLOCK as usize + 8..][..4].copy_from_slice(&length.to_le_bytes());
        });
        drop(store.opens_with(&log[..2].to_vec()));
    }
}

#[test]
fn bytes_further_out_than_one_largest_frame_are_refused() {
    let largest = 528_384;
    for (clean, out) in [(true, largest), (false, largest + 1), (false, LARGE - 4 * BLOCK - 1)] {
        let (store, log) = Store::with_frames(LARGE, 3, clean);
        edit(&store.segment(1), |bytes| bytes[(4 * BLOCK + out) as usize] = 1);
        let error = store.is_refused(Lsn::ZERO);
        let found = 4 * BLOCK + out;
        assert!(matches!(error, StoreError::TailUnexpected { found: at, .. } if at == found), "{error}");
        edit(&store.segment(1), |bytes| {
            bytes[found as usize] = 0;
            bytes[(4 * BLOCK) as usize + largest as usize - 1] = 1;
        });
        assert_eq!(store.opens_with(&log).replayed.torn_bytes, largest, "one byte less is torn");
    }
}

#[test]
fn a_good_frame_that_does_not_continue_the_log_is_refused() {
    let (store, log) = Store::with_frames(LARGE, 3, true);
    let previous = store.frame_crc(1, 3 * BLOCK);
    let good = store.frame_header(1, 3 * BLOCK);
    let next = FrameHeader { first: Lsn(FIRST + 6), durable: Lsn(FIRST + 5), previous, ..good };
    let wrong = [
        FrameHeader { first: Lsn(FIRST + 7), ..next },
        FrameHeader { first: Lsn(FIRST + 5), ..next },
        FrameHeader { first: Lsn(FIRST), ..next },
        FrameHeader { first: Lsn(2 * FIRST), ..next },
        FrameHeader { first: Lsn(1), ..next },
        FrameHeader { previous: previous ^ 1, ..next },
        FrameHeader { epoch: 0, ..next },
        FrameHeader { durable: Lsn(FIRST + 4), ..next },
        FrameHeader { durable: Lsn(FIRST + 3), ..next },
    ];
    for header in wrong {
        store.put_frame(1, 4 * BLOCK, &header, b"payload");
        let (segment, offset, lsn, fault) = fault_of(store.is_refused(Lsn::ZERO));
        assert_eq!((segment, offset, lsn), (1, 4 * BLOCK, Lsn(FIRST + 6)));
        assert!(matches!(fault, LogFault::Frame(fault) if fault.is_good_frame()), "{header:?}");
    }
    store.put_frame(1, 4 * BLOCK, &FrameHeader { epoch: 2, ..next }, b"payload");
    let error = store.is_refused(Lsn::ZERO);
    assert!(matches!(error, StoreError::ManifestCorrupt { .. }), "a younger epoch than MANIFEST knows: {error}");
    // Where it belongs it is the frame above what is proven; one block further it is misdirected.
    store.put_frame(1, 4 * BLOCK, &next, b"payload");
    edit(&store.segment(1), |bytes| bytes.copy_within(4 * BLOCK as usize..5 * BLOCK as usize, 5 * BLOCK as usize));
    edit(&store.segment(1), |bytes| bytes[4 * BLOCK as usize..5 * BLOCK as usize].fill(0));
    let (_, offset, _, fault) = fault_of(store.is_refused(Lsn::ZERO));
    assert!(matches!(fault, LogFault::Frame(FrameFault::Zeros)), "{fault}");
    assert_eq!(offset, 4 * BLOCK);
    store.put_frame(1, 4 * BLOCK, &next, b"payload");
    edit(&store.segment(1), |bytes| bytes[5 * BLOCK as usize..6 * BLOCK as usize].fill(0));
    let mut log = log;
    log.push((Lsn(FIRST + 6), b"payload".to_vec()));
    drop(store.opens_with(&log));
}

#[test]
fn a_gap_is_legal_only_where_a_listed_history_starts() {
    let (store, mut log) = Store::with_frames(LARGE, 2, true);
    let mut opened = store.opens_with(&log);
    log.extend(append(&mut opened.appender, 2));
    opened.appender.close(portplex::ident::BootMs(9)).unwrap();
    assert_eq!(log[2].0, Lsn(2 * FIRST));
    let image = store.image();
    store.set_manifest(|manifest| manifest.histories[1].first = Lsn(2 * FIRST + 1));
    assert!(matches!(store.is_refused(Lsn::ZERO), StoreError::CorruptLog { .. }));
    for (path, bytes) in &image {
        fs::write(path, bytes).unwrap();
    }
    drop(store.opens_with(&log));
}

#[test]
fn a_base_that_ends_inside_a_frame_is_refused() {
    let (store, _) = Store::with_frames(LARGE, 2, true);
    let (_, offset, _, fault) = fault_of(store.is_refused(Lsn(FIRST + 2)));
    assert!(matches!(fault, LogFault::Payload(_)), "{fault}");
    assert_eq!(offset, 2 * BLOCK);
}

#[test]
fn a_base_older_than_the_oldest_segment_is_refused() {
    let (store, _) = Store::with_frames(SMALL, 8, true);
    store.set_manifest(|manifest| {
        manifest.retired = manifest.segments[0].sealed.unwrap().end;
        manifest.segments.remove(0);
    });
    let error = store.is_refused(Lsn(FIRST));
    assert!(matches!(error, StoreError::BaseTooOld { .. }), "{error}");
    assert_eq!(store.open(Lsn(FIRST + 5)).unwrap().log.len(), 5);
    assert!(!store.segment(1).exists(), "nothing lists it: removed after the open counted");
}

#[test]
fn an_impossible_event_in_a_good_frame_is_refused() {
    let (store, _) = Store::with_frames(SMALL, 0, true);
    let mut appender = store.open(Lsn::ZERO).expect("opened").appender;
    let mut payload = Vec::new();
    record::encode(&Event { stamp: Stamp::None, change: Change::Deleted { list: 7 } }, &mut payload);
    let lsn = appender.append(&payload, 1, WallMs(8), BootMs(8)).expect("appended");
    appender.close(BootMs(9)).expect("closed");
    let before = store.image();
    let Err(OpenError::Store(error)) = LocalFacility::open(&store.dir, &Options::default()) else { panic!("opened") };
    let (_, _, at, fault) = fault_of(error);
    assert!(matches!(fault, LogFault::Payload(_)), "{fault}");
    assert_eq!(at, lsn);
    assert!(store.image() == before, "a refused open changed the directory");
}
