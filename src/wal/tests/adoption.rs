//! Stores that were moved, restored or copied, and backups.
#![forbid(unsafe_code)]

use super::*;

const BACKUP: &str = "/backup";

fn with_frames() -> (SimDisk, Log) {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, _) = open(&disk).unwrap();
    let (log, _) = work(&mut appender, 0, 9);
    drop(appender);
    (disk, log)
}

fn new_store() -> NewStore {
    let (boot_ms, wall) = (BootMs(5), WallMs(6));
    let stamp = OpenStamp { history: HistoryId(77), boot: BootId(1), boot_ms, wall, wait_after_power_loss: false };
    let frames = [(vec![1; 300], 2), (vec![2; 9_000], 1), (vec![3; 5], 5)];
    let frames = frames.map(|(payload, count)| Frame { payload, count }).to_vec();
    NewStore { seeds: Seeds { uuid: StoreUuid(99), receipt_key: [4; 32] }, stamp, frames }
}

fn copied_log() -> Log {
    let first = 1 << 20;
    vec![(Lsn(first), vec![1; 300]), (Lsn(first + 2), vec![2; 9_000]), (Lsn(first + 3), vec![3; 5])]
}

fn adopt_as(disk: &SimDisk, adoption: Adoption) -> Result<(), StoreError> {
    adopt(Arc::new(disk.clone()), dir(), adoption)
}

#[test]
fn another_lock_is_refused_until_the_store_is_adopted() {
    for is_restored in [false, true] {
        let (disk, log) = with_frames();
        assert!(disk.change_inode(&dir().join("LOCK")));
        let error = open(&disk).unwrap_err();
        assert!(matches!(error, StoreError::StoreCopied { .. }), "{error}");
        for word in ["--moved", "--restored", "--copy"] {
            assert!(error.to_string().contains(word), "{error}");
        }
        adopt_as(&disk, if is_restored { Adoption::Restored } else { Adoption::Moved }).unwrap();
        let (appender, found) = open(&disk).unwrap();
        assert_eq!((found, appender.stop() == StopMark::Restored), (log, is_restored));
    }
}

#[test]
fn a_copy_becomes_another_store_that_starts_with_what_it_was_given() {
    let (disk, _) = with_frames();
    let before = survey(&disk, dir()).unwrap().manifest;
    disk.change_inode(&dir().join("LOCK"));
    adopt_as(&disk, Adoption::Copy(new_store())).unwrap();
    let manifest = survey(&disk, dir()).unwrap().manifest;
    assert_eq!((manifest.uuid, manifest.receipt_key, manifest.copied_from), (StoreUuid(99), [4; 32], before.uuid));
    assert_eq!((manifest.retired, manifest.checkpoints.len(), manifest.segments.len()), (ChainEnd::default(), 0, 1));
    assert_eq!(manifest.tail().number, before.next_segment);
    let (mut appender, found) = open(&disk).unwrap();
    assert_eq!(found, copied_log());
    let names: Vec<_> = disk.list(&dir().join("wal")).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, [format!("{:012}.seg", before.next_segment), "reserve".into()], "the old ones are gone");
    let first = appender.append(&[5], 1, WallMs(1), BootMs(1)).unwrap();
    assert_eq!(first, Lsn(2 << 20));
    drop(appender);
    assert_eq!(open(&disk).unwrap().1.len(), 4);
}

#[test]
fn a_copy_that_was_given_nothing_is_empty() {
    let (disk, _) = with_frames();
    adopt_as(&disk, Adoption::Copy(NewStore { frames: Vec::new(), ..new_store() })).unwrap();
    let (appender, found) = open(&disk).unwrap();
    assert_eq!((found, appender.epoch(), appender.next_lsn()), (Log::new(), 1, Lsn(1 << 20)));
    let too_large = Frame { payload: vec![1; 13_000], count: 1 };
    drop(appender);
    let error = adopt_as(&disk, Adoption::Copy(NewStore { frames: vec![too_large], ..new_store() })).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
}

#[test]
fn an_adoption_cut_anywhere_leaves_the_old_store_or_the_new_one() {
    let (disk, old) = with_frames();
    let adoptions: [fn() -> Adoption; 2] = [|| Adoption::Restored, || Adoption::Copy(new_store())];
    for (number, adoption) in adoptions.into_iter().enumerate() {
        let new = if number == 0 { old.clone() } else { copied_log() };
        for change in 0.. {
            let cut = disk.fork();
            cut.cut_at(change);
            let is_done = adopt_as(&cut, adoption()).is_ok();
            for loss in losses(cut.unsynced(), change) {
                let what = format!("adoption {number}, change {change}, {loss:?}");
                let image = cut.after_power_cut(&loss);
                let found = open(&image.fork()).unwrap_or_else(|error| panic!("{what}: {error}")).1;
                assert!(found == new || (found == old && !is_done), "{what}");
                adopt_as(&image, adoption()).unwrap_or_else(|error| panic!("{what}, again: {error}"));
                assert_eq!(open(&image).unwrap().1, new, "{what}, again");
            }
            if is_done {
                break;
            }
        }
    }
}

#[test]
fn an_adoption_that_wants_room_is_made_later() {
    let (disk, old) = with_frames();
    let calm = disk.fork();
    adopt_as(&calm, Adoption::Copy(new_store())).unwrap();
    let mut full = 0;
    for call in 0..calm.calls() {
        let failing = disk.fork();
        failing.fail_at(call, Fault::Errno(28));
        match adopt_as(&failing, Adoption::Copy(new_store())) {
            Err(error) if error.is_full() => {
                full += 1;
                assert_eq!(open(&failing.fork()).unwrap().1, old, "call {call}");
            }
            _ => {}
        }
        adopt_as(&failing.after_kill(), Adoption::Copy(new_store())).unwrap();
        assert_eq!(open(&calm.fork()).unwrap().1, copied_log());
    }
    assert!(full > 5, "{full}");
}

#[test]
fn a_backup_has_everything_durable_and_is_adopted_before_it_is_written() {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, _) = open(&disk).unwrap();
    let mut log = Log::new();
    for round in 0..5 {
        log.extend(work(&mut appender, round * 3, 3).0);
        let backup = format!("{BACKUP}{round}");
        let to = Path::new(&backup);
        let (manifest, durable) = (appender.keeper().manifest(), appender.durable());
        // The writer goes on, perhaps into the next segment.
        let (more, _) = work(&mut appender, round * 3 + 50, 2);
        assert_eq!(copy_store(&disk, dir(), to, &manifest, durable).unwrap(), durable);
        let found = survey(&disk, to).unwrap();
        assert_eq!((found.manifest.stop, found.manifest.lock_inode), (StopMark::Restored, 0));
        assert!(found.was_closed());
        let mut read = Log::new();
        let replayed = replay(&disk, to, &found, Lsn::ZERO, &mut |info, payload| {
            read.push((info.first, payload.to_vec()));
            Ok(())
        });
        assert!(replayed.unwrap().above.is_none(), "all of it is proven");
        assert_eq!(read, log);
        assert!(verify(&disk, to, &found, &mut |_, _| Ok(())).is_ok());
        let error = copy_store(&disk, dir(), to, &manifest, durable).unwrap_err();
        assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");
        log.extend(more);
    }
}

#[test]
fn an_unfinished_backup_is_no_store_and_a_finished_one_survives_a_power_cut() {
    let (disk, log) = with_frames();
    let to = Path::new(BACKUP);
    let survey_of = |disk: &SimDisk| survey(disk, dir()).unwrap();
    let durable = survey_of(&disk).durable();
    for change in 0.. {
        let cut = disk.fork();
        cut.cut_at(change);
        let is_done = copy_store(&cut, dir(), to, &survey_of(&disk).manifest, durable).is_ok();
        for loss in losses(cut.unsynced(), change) {
            let what = format!("change {change}, {loss:?}");
            let image = cut.after_power_cut(&loss);
            match survey(&image, to) {
                Ok(found) => {
                    let replayed = replay(&image, to, &found, Lsn::ZERO, &mut |_, _| Ok(())).expect(&what);
                    assert_eq!(replayed.frames as usize, log.len(), "{what}");
                }
                Err(error) => {
                    assert!(!is_done, "{what}: {error}");
                    let is_none = matches!(error, StoreError::NotAStore { .. } | StoreError::ManifestCorrupt { .. });
                    assert!(is_none, "{what}: {error}");
                }
            }
        }
        if is_done {
            break;
        }
    }
}
