//! A full disk: want of room is never final before something relies on it, an open needs none, and
//! everything goes on by itself once there is room.
#![forbid(unsafe_code)]

use super::*;
use crate::disk::Shortage;

const NO_SPACE: i32 = 28;
const RESERVE: &str = "/store/wal/reserve";
const SPARE: &str = "/store/wal/spare";

fn used(disk: &SimDisk) -> u64 {
    disk.image().values().map(|bytes| bytes.len() as u64).sum()
}

/// Nothing can grow any more.
fn fill_up(disk: &SimDisk) {
    disk.set_capacity(Some(used(disk)));
}

/// A store of a few frames, as a kill leaves it, with more or less of its last frame.
fn left_by_a_kill(keep: Option<usize>) -> (SimDisk, Log) {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, _) = open(&disk).unwrap();
    let (mut log, _) = work(&mut appender, 0, 5);
    let position = appender.position();
    let last = appender.append(&[7; 100], 1, WallMs(10), BootMs(11)).unwrap();
    drop(appender);
    let path = segment::path(dir(), position.segment);
    if let Some(keep) = keep {
        let mut bytes = disk.bytes(&path).unwrap().as_ref().clone();
        bytes[position.offset as usize + keep..].fill(0);
        disk.set_bytes(&path, bytes).unwrap();
        disk.set_bytes(&dir().join("WATERMARK"), vec![0; 8_192]).unwrap();
    }
    if keep.is_none_or(|keep| keep >= 164) {
        log.push((last, vec![7; 100]));
    }
    disk.settle();
    (disk, log)
}

/// A clean end, a torn tail, a whole frame above what is proven.
fn ends() -> [(SimDisk, Log); 3] {
    [left_by_a_kill(None), left_by_a_kill(Some(90)), left_by_a_kill(Some(4_096))]
}

#[test]
fn an_open_needs_no_room_whatever_the_log_ends_with() {
    for (number, (disk, log)) in ends().into_iter().enumerate() {
        fill_up(&disk);
        let (appender, found) = open(&disk).unwrap_or_else(|error| panic!("end {number}: {error}"));
        assert_eq!(found, log, "end {number}");
        drop(appender);
        // Again, and again: what the first one made is sealed or goes on.
        for _ in 0..3 {
            fill_up(&disk);
            assert_eq!(open(&disk).unwrap().1, log, "end {number}");
        }
    }
}

#[test]
fn an_open_on_a_full_disk_may_be_cut_anywhere_and_the_next_one_needs_no_room_either() {
    for (number, (disk, log)) in ends().into_iter().enumerate() {
        let capacity = used(&disk);
        let mut states = 0;
        for change in 0.. {
            let cut = disk.fork();
            cut.set_capacity(Some(capacity));
            cut.cut_at(change);
            let is_done = open(&cut).is_ok();
            let losses = losses(cut.unsynced(), change);
            let images = losses.iter().map(|loss| (format!("{loss:?}"), cut.after_power_cut(loss)));
            for (loss, image) in images.chain([("killed".to_owned(), cut.after_kill())]) {
                let what = format!("end {number}, change {change}, {loss}");
                image.set_capacity(Some(capacity.max(used(&image))));
                let (appender, found) = open(&image).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(found, log, "{what}");
                drop(appender);
                assert_eq!(open(&image).unwrap().1, log, "{what}, again");
                states += 1;
            }
            if is_done {
                break;
            }
        }
        assert!(states > 40, "{states}");
    }
}

#[test]
fn nothing_is_appended_unless_the_next_open_needs_no_room() {
    let (disk, mut log) = left_by_a_kill(Some(90));
    fill_up(&disk);
    let (mut appender, _) = open(&disk).unwrap();
    assert!(appender.keeper().is_ready());
    let used_up = disk.bytes(Path::new(RESERVE)).is_none();
    // The old tail was cut to its end, so there may be room for another reserve by now.
    fill_up(&disk);
    if used_up {
        assert_eq!(appender.room(), 0);
        let error = appender.append(&[1], 1, WallMs(1), BootMs(1)).unwrap_err();
        assert!(error.is_full(), "{error}");
        disk.set_capacity(None);
    }
    let first = appender.append(&[1], 1, WallMs(1), BootMs(1)).unwrap();
    log.push((first, vec![1]));
    assert!(disk.bytes(Path::new(RESERVE)).is_some() || disk.bytes(Path::new(SPARE)).is_some());
    drop(appender);
    assert_eq!(open(&disk).unwrap().1, log);
}

#[test]
fn what_fits_the_room_is_never_refused_and_the_rest_waits_for_room() {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, _) = open(&disk).unwrap();
    fill_up(&disk);
    let mut log = Log::new();
    assert_eq!(appender.room(), 3 * 4_096 - 64, "what the tail has left, without a spare");
    while appender.room() > 0 {
        let payload = vec![9; appender.room().min(3_000)];
        log.push((appender.append(&payload, 1, WallMs(1), BootMs(1)).unwrap(), payload));
    }
    assert_eq!(log.len(), 3);
    let before = (appender.position(), appender.next_lsn(), disk.bytes(&dir().join("MANIFEST")));
    for _ in 0..3 {
        let error = appender.append(&[1], 1, WallMs(1), BootMs(1)).unwrap_err();
        assert!(matches!(error, StoreError::Full { shortage: Shortage::Space, .. }), "{error}");
        assert!(appender.rotate().unwrap_err().is_full());
        assert!(appender.prepare().unwrap_err().is_full());
        assert!(appender.spare().full().is_some_and(|why| why.contains("no space is left")));
        assert!(disk.bytes(Path::new(SPARE)).is_none(), "its room goes to others");
    }
    assert_eq!((appender.position(), appender.next_lsn(), disk.bytes(&dir().join("MANIFEST"))), before);
    disk.set_capacity(None);
    appender.prepare().unwrap();
    assert_eq!((appender.room(), appender.spare().full()), (appender.payload_max(), None));
    // With spare and reserve a whole frame fits, and a rotation needs no room.
    fill_up(&disk);
    let payload = vec![8; appender.room()];
    log.push((appender.append(&payload, 1, WallMs(1), BootMs(1)).unwrap(), payload));
    drop(appender);
    assert_eq!(open(&disk).unwrap().1, log);
}

#[test]
fn a_store_without_its_reserve_opens_and_gets_one() {
    for bytes in [None, Some(vec![1; 16_384]), Some(vec![0; 100]), Some(Vec::new())] {
        let (disk, log) = left_by_a_kill(Some(90));
        disk.remove_file(Path::new(RESERVE)).unwrap();
        if let Some(bytes) = bytes {
            disk.set_bytes(Path::new(RESERVE), bytes).unwrap();
        }
        let (appender, found) = open(&disk).unwrap();
        assert_eq!(found, log);
        assert!(appender.spare().has_reserve());
        assert_eq!(*disk.bytes(Path::new(RESERVE)).unwrap(), vec![0; 16_384]);
    }
}

#[test]
fn init_that_meets_a_full_disk_is_begun_again() {
    let calm = SimDisk::new();
    make(&calm).unwrap();
    let mut full = 0;
    for call in 0..calm.calls() {
        let disk = SimDisk::new();
        disk.fail_at(call, Fault::Errno(NO_SPACE));
        match make(&disk) {
            Ok(()) => {}
            Err(error) => {
                assert!(error.is_full(), "call {call}: {error}");
                full += 1;
                assert!(matches!(make(&disk), Ok(()) | Err(StoreError::AlreadyAStore { .. })), "call {call}");
            }
        }
        assert_eq!(open(&disk).unwrap().1, []);
    }
    assert!(full > 30, "{full}");
    for capacity in (0..used(&calm)).step_by(4_000) {
        let disk = SimDisk::new();
        disk.set_capacity(Some(capacity));
        assert!(make(&disk).unwrap_err().is_full());
        disk.set_capacity(None);
        make(&disk).unwrap_or_else(|error| panic!("after {capacity} bytes: {error}"));
        assert_eq!(open(&disk).unwrap().1, []);
    }
}

#[test]
fn an_open_of_which_any_call_wants_room_loses_nothing() {
    for (number, (disk, log)) in ends().into_iter().enumerate() {
        let calm = disk.fork();
        drop(open(&calm).unwrap());
        for call in 0..calm.calls() {
            let failing = disk.fork();
            failing.fail_at(call, Fault::Errno(NO_SPACE));
            drop(open(&failing));
            check(&failing.after_kill(), &log, &format!("end {number}, call {call}"));
            for loss in [Loss::Everything, Loss::Random(call)] {
                check(&failing.after_power_cut(&loss), &log, &format!("end {number}, call {call}, {loss:?}"));
            }
        }
    }
}

/// Lets every call of a change fail for want of room: `Full` changes nothing and the same change works
/// at once; any other failure is final. What was acknowledged survives either way.
fn every_call(change: impl Fn(&mut Appender) -> Result<(), StoreError>) -> (u32, u32) {
    let start = || {
        let disk = SimDisk::new();
        make(&disk).unwrap();
        let (mut appender, _) = open(&disk).unwrap();
        let (log, _) = work(&mut appender, 0, 2);
        (disk, appender, log)
    };
    let (calm, mut appender, _) = start();
    let from = calm.calls();
    change(&mut appender).unwrap();
    let (mut full, mut finals) = (0, 0);
    for call in from..calm.calls() {
        let (disk, mut appender, log) = start();
        disk.fail_at(call, Fault::Errno(NO_SPACE));
        let before = (appender.position(), appender.next_lsn(), appender.epoch(), appender.keeper().manifest());
        match change(&mut appender) {
            Ok(()) => {}
            Err(error) if error.is_full() => {
                full += 1;
                let after = (appender.position(), appender.next_lsn(), appender.epoch(), appender.keeper().manifest());
                assert_eq!(after, before, "call {call}");
                change(&mut appender).unwrap_or_else(|error| panic!("call {call}, tried again: {error}"));
            }
            Err(_) => {
                finals += 1;
                assert!(matches!(change(&mut appender).unwrap_err(), StoreError::Poisoned { .. }), "call {call}");
            }
        }
        drop(appender);
        for image in [disk.after_kill(), disk.after_power_cut(&Loss::Everything)] {
            let (_, found) = open(&image).unwrap_or_else(|error| panic!("call {call}: {error}"));
            assert!(contains(&found, &log), "call {call}");
        }
    }
    (full, finals)
}

#[test]
fn a_rotation_that_wants_room_changes_nothing_until_manifest_is_exchanged() {
    let (full, finals) = every_call(Appender::rotate);
    assert!(full >= 10 && finals >= 5, "{full} full, {finals} final");
}

#[test]
fn a_history_that_wants_room_is_begun_later() {
    let (full, finals) =
        every_call(|appender| appender.begin_history(HistoryId(5), Lsn(9 << 20), BootMs(1), WallMs(2)));
    assert!(full >= 4 && finals >= 5, "{full} full, {finals} final");
}

#[test]
fn an_append_that_wants_room_for_its_rotation_is_made_later() {
    let payload = vec![3; 9_000];
    let (full, finals) = every_call(move |appender| appender.append(&payload, 1, WallMs(1), BootMs(1)).map(drop));
    assert!(full >= 10 && finals >= 7, "{full} full, {finals} final");
}

#[test]
fn manifest_grows_before_it_must() {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, _) = open(&disk).unwrap();
    for _ in 0..600 {
        appender.append(&[1], 1, WallMs(1), BootMs(1)).unwrap();
        appender.rotate().unwrap();
        assert!(appender.keeper().is_ready());
    }
    for name in ["MANIFEST", "MANIFEST.bak", "MANIFEST.tmp", "MANIFEST.bak.tmp"] {
        let size = disk.bytes(&dir().join(name)).unwrap().len();
        assert!(size.is_multiple_of(16 * 1_024) && size > 600 * 56 + 1_024, "{name}: {size}");
    }
    drop(appender);
    fill_up(&disk);
    assert_eq!(open(&disk).unwrap().1.len(), 600);
}

#[test]
fn any_other_failure_of_a_file_to_be_exchanged_is_final() {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (appender, _) = open(&disk).unwrap();
    let keeper = appender.keeper();
    let from = disk.calls();
    disk.fail_at(from + 2, Fault::Errno(5));
    let error = keeper.change(|_| {}).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(matches!(keeper.change(|_| {}).unwrap_err(), StoreError::Poisoned { .. }));
}

#[test]
fn a_read_only_file_system_is_named_and_nothing_is_tried() {
    let (disk, _) = left_by_a_kill(Some(90));
    let before = disk.image();
    // The first call that asks to write is the one on MANIFEST.
    let calm = disk.fork();
    let calls = calm.calls();
    drop(open(&calm).unwrap());
    let mut named = 0;
    for call in calls..calm.calls() {
        let read_only = disk.fork();
        read_only.fail_at(call, Fault::Errno(30));
        if let Err(error) = open(&read_only)
            && matches!(error, StoreError::ReadOnly { .. })
        {
            assert!(error.to_string().contains("EROFS"), "{error}");
            assert_eq!(read_only.image(), before);
            assert_eq!(read_only.changes(), 0);
            named += 1;
        }
    }
    assert_eq!(named, 1);
}
