//! Histories that begin and end, and what MANIFEST notes about granting.
#![forbid(unsafe_code)]

use super::*;

fn with_frames() -> (SimDisk, Appender, Log) {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, _) = open(&disk).unwrap();
    let (log, _) = work(&mut appender, 0, 3);
    (disk, appender, log)
}

fn ends(manifest: &Manifest) -> Vec<(u64, u64, u64)> {
    manifest.histories.iter().map(|history| (history.first.0, history.end.0, history.epoch)).collect()
}

#[test]
fn a_history_ends_where_the_next_one_begins() {
    let (disk, mut appender, mut log) = with_frames();
    let end = appender.durable();
    drop(appender);
    (appender, _) = open(&disk).unwrap();
    assert_eq!(ends(&appender.keeper().manifest()), [(1 << 20, end.0, 1), (2 << 20, 0, 2)]);
    // One that kept no record is replaced, and its first lsn is not given up.
    appender.begin_history(HistoryId(50), Lsn(7 << 20), BootMs(1), WallMs(1)).unwrap();
    assert_eq!(ends(&appender.keeper().manifest()), [(1 << 20, end.0, 1), (8 << 20, 0, 3)]);
    assert_eq!((appender.next_lsn(), appender.history(), appender.epoch()), (Lsn(8 << 20), HistoryId(50), 3));
    drop(appender);
    (appender, _) = open(&disk).unwrap();
    assert_eq!(ends(&appender.keeper().manifest()), [(1 << 20, end.0, 1), (8 << 20, 0, 4)]);
    log.extend(work(&mut appender, 3, 2).0);
    let second = appender.durable();
    appender.begin_history(HistoryId(51), Lsn(3), BootMs(1), WallMs(1)).unwrap();
    assert_eq!(ends(&appender.keeper().manifest())[1..], [(8 << 20, second.0, 4), (9 << 20, 0, 5)]);
    log.extend(work(&mut appender, 5, 4).0);
    assert_eq!(log[5].0, Lsn(9 << 20), "a gap where the history starts");
    appender.close(BootMs(3)).unwrap();
    assert!(survey(&disk, dir()).unwrap().was_closed());
    assert_eq!(open(&disk).unwrap().1, log);
    let survey = survey(&disk, dir()).unwrap();
    assert!(verify(&disk, dir(), &survey, &mut |_, _| Ok(())).is_ok());
}

#[test]
fn an_end_that_cannot_be_is_not_decoded() {
    let (_, mut appender, _) = with_frames();
    appender.begin_history(HistoryId(50), Lsn(0), BootMs(1), WallMs(1)).unwrap();
    let good = appender.keeper().manifest();
    assert_eq!(Manifest::decode(&good.encode()).as_ref(), Ok(&good));
    for (place, end) in [(0, 0), (0, 2 << 20), (0, u64::MAX), (1, 5)] {
        let mut bad = good.clone();
        bad.histories[place].end = Lsn(end);
        assert!(Manifest::decode(&bad.encode()).is_err(), "history {place} ends at {end}");
    }
    let mut padded = good.encode();
    padded.resize(20_000, 0);
    assert_eq!(Manifest::decode(&padded).as_ref(), Ok(&good));
    padded[19_999] = 1;
    assert_eq!(Manifest::decode(&padded), Err(ManifestFault::Padding.into()));
}

#[test]
fn a_history_begun_survives_a_power_cut_at_every_change_or_never_was() {
    let (calm, mut appender, _) = with_frames();
    let from = calm.changes();
    appender.begin_history(HistoryId(50), Lsn(7 << 20), BootMs(1), WallMs(1)).unwrap();
    for change in from..calm.changes() {
        let (disk, mut appender, log) = with_frames();
        disk.cut_at(change);
        let is_begun = appender.begin_history(HistoryId(50), Lsn(7 << 20), BootMs(1), WallMs(1)).is_ok();
        for loss in losses(disk.unsynced(), change) {
            let what = format!("change {change}, {loss:?}");
            let image = disk.after_power_cut(&loss);
            let found = check(&image, &log, &what);
            assert_eq!(found, log, "{what}");
            let manifest = survey(&image, dir()).unwrap().manifest;
            assert!(!is_begun || manifest.histories[1].first == Lsn(8 << 20), "{what}");
        }
    }
}

/// A store whose last frame is torn.
fn torn() -> (SimDisk, Log) {
    let (disk, mut appender, log) = with_frames();
    let position = appender.position();
    appender.append(&[7; 100], 1, WallMs(1), BootMs(1)).unwrap();
    drop(appender);
    let path = segment::path(dir(), position.segment);
    let mut bytes = disk.bytes(&path).unwrap().as_ref().clone();
    bytes[position.offset as usize + 90..].fill(0);
    disk.set_bytes(&path, bytes).unwrap();
    disk.set_bytes(&dir().join("WATERMARK"), vec![0; 8_192]).unwrap();
    (disk, log)
}

#[test]
fn a_machine_that_went_down_with_an_open_end_is_noted() {
    for (boot, wait, stop) in [(2, true, StopMark::PowerLoss), (2, false, StopMark::None), (1, true, StopMark::None)] {
        let (disk, log) = torn();
        let (mut appender, found) = open_under(&disk, BootId(boot), wait).unwrap();
        assert_eq!((found, appender.stop()), (log, stop), "boot {boot}, wait {wait}");
        drop(appender);
        // It stays until it is cleared, whatever the next open finds.
        (appender, _) = open_under(&disk, BootId(boot), false).unwrap();
        assert_eq!(appender.stop(), stop);
        appender.clear_stop().unwrap();
        drop(appender);
        assert_eq!(open(&disk).unwrap().0.stop(), StopMark::None);
    }
}

#[test]
fn a_clean_end_or_a_close_is_no_power_loss() {
    let (disk, appender, _) = with_frames();
    drop(appender);
    assert_eq!(open_under(&disk, BootId(2), true).unwrap().0.stop(), StopMark::None);
    let (disk, appender, _) = with_frames();
    appender.close(BootMs(9)).unwrap();
    assert_eq!(open_under(&disk, BootId(2), true).unwrap().0.stop(), StopMark::None);
}

#[test]
fn a_restored_store_stays_one_over_a_power_loss_until_a_history_begins() {
    let (disk, _) = torn();
    adopt(Arc::new(disk.clone()), dir(), Adoption::Restored).unwrap();
    let (mut appender, _) = open_under(&disk, BootId(2), true).unwrap();
    assert_eq!(appender.stop(), StopMark::Restored);
    appender.begin_history(HistoryId(9), Lsn(0), BootMs(1), WallMs(1)).unwrap();
    assert_eq!(appender.stop(), StopMark::None);
    drop(appender);
    assert_eq!(survey(&disk, dir()).unwrap().manifest.stop, StopMark::None);
}
