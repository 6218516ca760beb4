//! The spare, rotation, reading beside the writer, retention, a full disk.
#![forbid(unsafe_code)]

use super::*;
use crate::disk::Access;
use crate::wal::constants::BLOCK_SIZE;
use crate::wal::constants::LOG_DIR;
use crate::wal::constants::SPARE_SLICE_SIZE;
use std::collections::BTreeSet;

fn new_store() -> (SimDisk, Appender) {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (appender, _) = open(&disk).unwrap();
    (disk, appender)
}

fn read(disk: &SimDisk, manifest: &Manifest, after: Lsn, upto: Lsn) -> Log {
    let mut log = Log::new();
    read_durable(disk, dir(), manifest, after, upto, &mut |info, payload| {
        log.push((info.first, payload.to_vec()));
        Ok(())
    })
    .unwrap();
    log
}

#[test]
fn a_reader_beside_the_writer_sees_exactly_what_it_asked_for() {
    let (disk, mut appender) = new_store();
    let early = appender.keeper().manifest();
    let (log, _) = work(&mut appender, 0, 12);
    let manifest = appender.keeper().manifest();
    for from in 0..log.len() {
        for to in from..log.len() {
            let after = log[from].0;
            let after = Lsn(after.0 - 1);
            let upto = log.get(to + 1).map_or(appender.durable(), |next| Lsn(next.0.0 - 1));
            assert_eq!(read(&disk, &manifest, after, upto), log[from..=to]);
        }
    }
    assert_eq!(read(&disk, &manifest, appender.durable(), appender.durable()), []);
    // A MANIFEST from before the rotation: its tail has been sealed and cut since.
    let first_seal = manifest.segments[0].sealed.unwrap().end.lsn;
    assert!(!read(&disk, &early, Lsn::ZERO, first_seal).is_empty());
}

#[test]
fn a_spare_filled_ahead_is_taken_into_use() {
    let (disk, mut appender) = new_store();
    let spare = appender.spare();
    assert!(!spare.is_ready());
    while spare.step().unwrap() {}
    assert!(spare.is_ready());
    assert_eq!(*disk.bytes(&segment::spare_path(dir())).unwrap(), vec![0; 16 * 1_024]);
    assert_eq!(disk.unsynced(), 1, "a slot of WATERMARK");
    work(&mut appender, 0, 1);
    appender.rotate().unwrap();
    assert!(!spare.is_ready());
    assert!(disk.bytes(&segment::spare_path(dir())).is_none());
    appender.rotate().unwrap();
    assert_eq!(appender.position().segment, 2, "an empty tail is not sealed");
}

#[test]
fn a_spare_that_is_not_all_zero_or_of_another_size_is_made_anew() {
    for bytes in [vec![0; 100], vec![0; 16 * 1_024 + 1], [vec![0; 16_383], vec![1]].concat(), vec![0; 16 * 1_024]] {
        let (disk, mut appender) = new_store();
        disk.set_bytes(&segment::spare_path(dir()), bytes).unwrap();
        let (mut log, _) = work(&mut appender, 0, 1);
        appender.rotate().unwrap();
        log.extend(work(&mut appender, 1, 1).0);
        drop(appender);
        assert_eq!(open(&disk).unwrap().1, log);
    }
}

#[test]
fn a_spare_with_something_in_any_slice_is_filled_with_zeros() {
    const SIZE: usize = 3 * SPARE_SLICE_SIZE;
    for place in [BLOCK_SIZE as usize, SPARE_SLICE_SIZE - 1, SPARE_SLICE_SIZE, 2 * SPARE_SLICE_SIZE - 1, SIZE - 1] {
        let disk = SimDisk::new();
        let creation = Creation { structure: StructureName::default(), segment_size: SIZE as u64 };
        init(&disk, dir(), &creation, &Seeds { uuid: StoreUuid(7), receipt_key: [9; 32] }).unwrap();
        let (mut appender, _) = open(&disk).unwrap();
        let mut bytes = vec![0; SIZE];
        bytes[place] = 1;
        disk.set_bytes(&segment::spare_path(dir()), bytes).unwrap();
        let (log, _) = work(&mut appender, 0, 1);
        appender.rotate().unwrap();
        drop(appender);
        let taken = disk.bytes(&segment::path(dir(), 2)).unwrap();
        assert!(taken[BLOCK_SIZE as usize..].iter().all(|byte| *byte == 0), "place {place}");
        assert_eq!(open(&disk).unwrap().1, log, "place {place}");
    }
}

/// A process is killed while it fills the spare, any sync of the next one fails, and a third one finds
/// a file that the kernel shows whole and takes for written.
#[test]
fn a_spare_whose_sync_failed_under_an_earlier_process_is_durable_before_it_is_used() {
    let (disk, mut appender) = new_store();
    let (log, _) = work(&mut appender, 0, 1);
    drop(appender);
    disk.create(&segment::spare_path(dir())).unwrap().write_at(&[0; 16 * 1_024], 0).unwrap();
    disk.sync_dir(&dir().join(LOG_DIR)).unwrap();
    let calls = {
        let second = disk.fork();
        open(&second).unwrap();
        second.calls()
    };
    for call in 0..calls {
        let second = disk.fork();
        second.fail_at(call, Fault::SyncMarkedClean { errno: 5 });
        drop(open(&second));
        let third = second.after_kill();
        let (mut appender, _) = open(&third).unwrap();
        let (more, _) = work(&mut appender, 1, 1);
        drop(appender);
        let (_, found) = open(&third.after_power_cut(&Loss::Everything)).unwrap();
        assert_eq!(found, [log.clone(), more].concat(), "call {call}");
    }
}

#[test]
fn what_no_frame_can_hold_is_refused_and_changes_nothing() {
    let (_disk, mut appender) = new_store();
    let before = appender.position();
    let max = appender.payload_max();
    for (size, count) in [(0, 1), (1, 0), (max + 1, 1)] {
        let error = appender.append(&vec![1; size], count, WallMs(1), BootMs(1)).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    }
    assert_eq!(appender.position(), before);
    appender.append(&vec![1; max], 1, WallMs(1), BootMs(1)).unwrap();
}

fn checkpoint(generation: u64, lsn: Lsn) -> CheckpointEntry {
    CheckpointEntry { generation, lsn, count: 0, digest: [0; 32], wall: WallMs(0), files: Vec::new() }
}

#[test]
fn no_segment_goes_that_the_older_of_two_checkpoints_needs() {
    let (disk, mut appender) = new_store();
    let (log, _) = work(&mut appender, 0, 16);
    let keeper = appender.keeper();
    let all = keeper.manifest().segments.len();
    assert!(all > 5);
    let nothing_kept = Retention { age_max_ms: 0, size_max: 0 };
    let run = || retire(&disk, dir(), &keeper, &nothing_kept, WallMs(1_000)).unwrap();
    assert_eq!(run(), Retired::default(), "without a checkpoint");
    let third = keeper.manifest().segments[2].sealed.unwrap().end.lsn;
    keeper.change(|manifest| manifest.checkpoints.push(checkpoint(1, third))).unwrap();
    assert_eq!(run(), Retired::default(), "with one");
    keeper.change(|manifest| manifest.checkpoints.push(checkpoint(2, appender.durable()))).unwrap();
    let kept = Retention::default();
    assert_eq!(retire(&disk, dir(), &keeper, &kept, WallMs(1_000)).unwrap(), Retired::default(), "kept as history");
    assert_eq!(run().segments, 3);
    let manifest = keeper.manifest();
    assert_eq!((manifest.segments.len(), manifest.retired.lsn), (all - 3, third));
    let present: BTreeSet<u64> =
        disk.list(&dir().join("wal")).unwrap().iter().filter_map(|entry| segment::number_of(&entry.name)).collect();
    assert_eq!(present, manifest.segments.iter().map(|segment| segment.number).collect());
    drop(appender);
    let survey = survey(&disk, dir()).unwrap();
    let mut found = Log::new();
    replay(&disk, dir(), &survey, third, &mut |info, payload| {
        found.push((info.first, payload.to_vec()));
        Ok(())
    })
    .unwrap();
    let kept: Log = log.into_iter().filter(|(first, _)| *first > third).collect();
    assert_eq!(found, kept);
    assert!(matches!(open(&disk).unwrap_err(), StoreError::BaseTooOld { .. }));
}

#[test]
fn histories_below_the_oldest_segment_leave_manifest() {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    for round in 0..4 {
        let (mut appender, _) = open(&disk).unwrap();
        if round != 1 {
            work(&mut appender, round, 1);
            appender.rotate().unwrap();
        }
        appender.close(BootMs(1)).unwrap();
    }
    let (appender, log) = open(&disk).unwrap();
    let keeper = appender.keeper();
    let firsts =
        |manifest: &Manifest| manifest.histories.iter().map(|history| history.first.0 >> 20).collect::<Vec<_>>();
    assert_eq!(firsts(&keeper.manifest()), [1, 2, 3, 4], "the second open wrote nothing");
    let older = log[1].0;
    keeper
        .change(|manifest| {
            manifest.checkpoints.extend([checkpoint(1, Lsn(older.0 + 2)), checkpoint(2, appender.durable())]);
        })
        .unwrap();
    let retention = Retention { age_max_ms: u64::MAX, size_max: 0 };
    retire(&disk, dir(), &keeper, &retention, WallMs(0)).unwrap();
    assert_eq!(firsts(&keeper.manifest()), [2, 3, 4], "the one that the retired lsn belongs to stays");
    drop(appender);
    let survey = survey(&disk, dir()).unwrap();
    let base = survey.manifest.retired.lsn;
    assert_eq!(replay(&disk, dir(), &survey, base, &mut |_, _| Ok(())).unwrap().frames, 1);
    assert_eq!(verify(&disk, dir(), &survey, &mut |_, _| Ok(())).unwrap().frames, 1);
}

#[test]
fn a_sink_that_refuses_stops_the_walk_with_file_offset_and_lsn() {
    let (disk, mut appender) = new_store();
    let (log, _) = work(&mut appender, 0, 5);
    drop(appender);
    let survey = survey(&disk, dir()).unwrap();
    let before = disk.image();
    let error = replay(&disk, dir(), &survey, Lsn::ZERO, &mut |info, _| {
        if info.first == log[3].0 { Err(info.corrupt(info.first, "an impossible record")) } else { Ok(()) }
    })
    .unwrap_err();
    let StoreError::CorruptLog { lsn, ref fault, .. } = error else { panic!("{error}") };
    assert_eq!(lsn, log[3].0);
    assert!(matches!(fault, LogFault::Payload(_)));
    assert!(error.to_string().contains("an impossible record") && error.to_string().contains(".seg"), "{error}");
    assert_eq!(disk.image(), before);
}

#[test]
fn a_read_error_in_the_log_is_named_as_such() {
    let (disk, mut appender) = new_store();
    work(&mut appender, 0, 5);
    drop(appender);
    let calm = disk.fork();
    drop(open(&calm).unwrap());
    let mut io_errors = 0;
    for call in 0..calm.calls() {
        let failing = disk.fork();
        failing.fail_at(call, Fault::Errno(5));
        if let Err(error) = open(&failing) {
            assert!(matches!(error, StoreError::Io { .. }), "call {call}: {error}");
            io_errors += 1;
        }
    }
    assert!(io_errors > 20, "{io_errors}");
    let file = disk.open(&segment::path(dir(), 1), Access::Read).unwrap();
    assert!(file.len().unwrap() > 0);
}

#[test]
fn a_new_segment_is_numbered_above_every_file_that_is_there() {
    let (disk, mut appender) = new_store();
    let (log, _) = work(&mut appender, 0, 1);
    let position = appender.position();
    drop(appender);
    let path = segment::path(dir(), position.segment);
    let mut bytes = disk.bytes(&path).unwrap().as_ref().clone();
    bytes[position.offset as usize + 9] = 1;
    disk.set_bytes(&path, bytes).unwrap();
    disk.set_bytes(&segment::path(dir(), 40), vec![1; 5_000]).unwrap();
    let (appender, found) = open(&disk).unwrap();
    assert_eq!((found, appender.position().segment), (log, 41));
    assert!(disk.bytes(&segment::path(dir(), 40)).is_none(), "nothing lists it");
    assert_eq!(appender.keeper().manifest().next_segment, 42);
}

#[test]
fn the_last_slice_of_a_spare_that_is_found_is_written_again() {
    let (disk, mut appender) = new_store();
    appender.prepare().unwrap();
    drop(appender);
    let (appender, _) = open(&disk).unwrap();
    let before = disk.changes();
    while appender.spare().step().unwrap() {}
    assert_eq!(
        disk.changes() - before,
        4,
        "its size changed, a write and a sync, because its size and its bytes may be there one without the other; its name"
    );
}
