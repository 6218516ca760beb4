//! The log on the simulated disk: what is acknowledged survives, and a crash never leads to a
//! refused open.
#![forbid(unsafe_code)]

mod adoption;
mod full;
mod histories;
mod impossible;
mod packs;
mod upkeep;

use super::*;
use crate::disk::Disk;
use crate::disk::LockMode;
use crate::disk::sim::Fault;
use crate::disk::sim::Loss;
use crate::disk::sim::SimDisk;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::ident::StructureName;
use crate::ident::WallMs;
use std::path::Path;
use std::sync::Arc;

pub(super) const DIR: &str = "/store";

pub(super) fn dir() -> &'static Path {
    Path::new(DIR)
}

pub(super) fn make(disk: &SimDisk) -> Result<(), StoreError> {
    let creation = Creation { structure: StructureName::default(), segment_size: 16 * 1_024 };
    init(disk, dir(), &creation, &Seeds { uuid: StoreUuid(7), receipt_key: [9; 32] })
}

/// What a log says: each frame's first lsn and payload.
type Log = Vec<(Lsn, Vec<u8>)>;

pub(super) fn open(disk: &SimDisk) -> Result<(Appender, Log), StoreError> {
    open_under(disk, BootId(1), false)
}

pub(super) fn open_under(disk: &SimDisk, boot: BootId, wait: bool) -> Result<(Appender, Log), StoreError> {
    let lock = lock(disk, dir(), LockMode::Exclusive)?;
    let survey = survey(disk, dir())?;
    let mut log = Vec::new();
    let replayed = replay(disk, dir(), &survey, Lsn::ZERO, &mut |info, payload| {
        log.push((info.first, payload.to_vec()));
        Ok(())
    })?;
    let stamp = OpenStamp {
        history: HistoryId(1_000 + survey.manifest.epoch),
        boot,
        boot_ms: BootMs(5),
        wall: WallMs(6),
        wait_after_power_loss: wait,
    };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Ok((Appender::begin(disk, dir(), survey, replayed, stamp, lock)?, log))
}

/// Appends `count` frames of differing sizes; stops at the first failure. Returns what was
/// acknowledged, and what was in flight.
fn work(appender: &mut Appender, from: u32, count: u32) -> (Log, Option<Vec<u8>>) {
    let mut log = Vec::new();
    for number in from..from + count {
        let payload = payload(number);
        match appender.append(&payload, 1 + number % 3, WallMs(10), BootMs(11)) {
            Ok(first) => log.push((first, payload)),
            Err(_) => return (log, Some(payload)),
        }
    }
    (log, None)
}

fn payload(number: u32) -> Vec<u8> {
    let size = [40, 5_000, 200, 9_000][number as usize % 4];
    (0..size).map(|place: u32| (place.wrapping_mul(31) ^ number.wrapping_mul(0x9e37)) as u8 | 1).collect()
}

fn contains(log: &Log, acknowledged: &Log) -> bool {
    log.len() >= acknowledged.len() && log[..acknowledged.len()] == acknowledged[..]
}

#[test]
fn what_was_appended_is_read_back_in_order() {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, log) = open(&disk).unwrap();
    assert!(log.is_empty());
    assert_eq!(appender.next_lsn(), Lsn(1 << 20));
    let (mut acknowledged, failed) = work(&mut appender, 0, 12);
    assert_eq!(failed, None);
    appender.close(BootMs(20)).unwrap();
    for round in 1..4 {
        let (mut appender, log) = open(&disk).unwrap();
        assert_eq!(log, acknowledged);
        assert_eq!(appender.next_lsn(), Lsn((1 + round) << 20));
        let (more, _) = work(&mut appender, 12 * round as u32, 5);
        acknowledged.extend(more);
    }
}

#[test]
fn two_openers_meet_at_the_lock() {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (_appender, _) = open(&disk).unwrap();
    assert!(matches!(open(&disk).unwrap_err(), StoreError::Locked { .. }));
    assert!(matches!(make(&disk).unwrap_err(), StoreError::AlreadyAStore { .. }));
}

/// A workload over two opens with rotations: returns what was acknowledged when the disk died.
fn run(disk: &SimDisk) -> Log {
    let mut acknowledged = Log::new();
    if make(disk).is_err() {
        return acknowledged;
    }
    for round in 0..2 {
        let Ok((mut appender, log)) = open(disk) else { return acknowledged };
        assert_eq!(log, acknowledged);
        let (more, failed) = work(&mut appender, round * 7, 7);
        acknowledged.extend(more);
        if failed.is_some() || (round == 0 && appender.close(BootMs(30)).is_err()) {
            return acknowledged;
        }
    }
    acknowledged
}

/// Opens an image that a crash left and checks it; returns the log.
fn check(disk: &SimDisk, acknowledged: &Log, what: &str) -> Log {
    let sequence =
        |name| disk.bytes(&dir().join(name)).and_then(|bytes| Manifest::decode(&bytes).ok()).map(|m| m.sequence);
    if let (Some(one), Some(other)) = (sequence("MANIFEST"), sequence("MANIFEST.bak")) {
        assert!(one.abs_diff(other) <= 1, "{what}: a MANIFEST is two changes behind");
    }
    for name in ["MANIFEST", "MANIFEST.bak"] {
        let is_whole = disk.bytes(&dir().join(name)).is_none_or(|bytes| Manifest::decode(&bytes).is_ok());
        assert!(is_whole, "{what}: {name} was written where it is");
    }
    match open(disk) {
        Ok((mut appender, log)) => {
            assert!(contains(&log, acknowledged), "{what}: lost an acknowledged frame");
            assert!(log.len() <= acknowledged.len() + 1, "{what}: invented a frame");
            let copies = ["MANIFEST", "MANIFEST.bak"].map(sequence);
            assert!(copies[0].is_some() && copies[0] == copies[1], "{what}: one MANIFEST is behind");
            let first = appender.append(&[1, 2, 3], 2, WallMs(1), BootMs(1)).unwrap();
            assert!(log.last().is_none_or(|last| last.0 < first), "{what}: an lsn was used twice");
            drop(appender);
            let (_again, more) = open(disk).unwrap();
            let mut expected = log.clone();
            expected.push((first, vec![1, 2, 3]));
            assert_eq!(more, expected, "{what}: opening twice differs");
            log
        }
        Err(StoreError::NotAStore { .. }) => {
            assert!(acknowledged.is_empty(), "{what}: the store is gone");
            make(disk).unwrap();
            open(disk).unwrap().1
        }
        Err(error) => panic!("{what}: refused: {error}"),
    }
}

fn losses(unsynced: usize, seed: u64) -> Vec<Loss> {
    let mut losses = vec![Loss::Everything, Loss::Nothing];
    if unsynced <= 6 {
        losses.extend((1..(1 << unsynced) - 1).map(Loss::Except));
    } else {
        losses.extend((0..24).map(|round| Loss::Random(seed.wrapping_mul(1_000) + round)));
        losses.extend((0..4).map(|round| Loss::Shorn(seed.wrapping_mul(2_000) + round)));
    }
    losses
}

#[test]
fn an_acknowledged_frame_survives_a_power_cut_anywhere() {
    survives_power_cuts(true, 1);
}

#[test]
fn an_acknowledged_frame_survives_a_power_cut_where_names_cannot_be_exchanged() {
    survives_power_cuts(false, 3);
}

fn survives_power_cuts(can_exchange: bool, step: usize) {
    let new_disk = || {
        let disk = SimDisk::new();
        disk.set_exchanging(can_exchange);
        disk.create_dir(Path::new("/other")).unwrap();
        disk
    };
    let calm = new_disk();
    run(&calm);
    let mut states = 0;
    for change in (0..calm.changes()).step_by(step) {
        let disk = new_disk();
        disk.cut_at(change);
        let acknowledged = run(&disk);
        for loss in losses(disk.unsynced(), change) {
            check(&disk.after_power_cut(&loss), &acknowledged, &format!("change {change}, {loss:?}"));
            states += 1;
        }
        check(&disk.after_kill(), &acknowledged, &format!("change {change}, killed"));
    }
    println!("{states} states over {} changes", calm.changes());
}

#[test]
fn a_power_cut_during_recovery_loses_nothing_either() {
    let calm = SimDisk::new();
    run(&calm);
    for change in (60..calm.changes()).step_by(3) {
        let disk = SimDisk::new();
        disk.cut_at(change);
        let acknowledged = run(&disk);
        for loss in [Loss::Everything, Loss::Nothing, Loss::Random(change)] {
            let image = disk.after_power_cut(&loss);
            let calm = image.fork();
            let _ = open(&calm);
            for second in 0..calm.changes() {
                let disk = image.fork();
                disk.cut_at(second);
                let _ = open(&disk);
                for again in [Loss::Everything, Loss::Nothing, Loss::Random(second), Loss::Shorn(second)] {
                    let what = format!("change {change}, {loss:?}, then {second}, {again:?}");
                    check(&disk.after_power_cut(&again), &acknowledged, &what);
                }
                check(&disk.after_kill(), &acknowledged, &format!("change {change}, {loss:?}, then {second}, killed"));
            }
        }
    }
}

/// What a killed process wrote is visible and not durable: its next open must not rely on it.
#[test]
fn a_power_cut_during_the_recovery_from_a_kill_loses_nothing() {
    let calm = SimDisk::new();
    run(&calm);
    for change in 30..calm.changes() {
        let disk = SimDisk::new();
        disk.cut_at(change);
        let acknowledged = run(&disk);
        let killed = disk.after_kill();
        for second in 0.. {
            let disk = killed.fork();
            disk.cut_at(second);
            let is_done = open(&disk).is_ok();
            let mut losses = vec![Loss::Everything, Loss::Nothing];
            losses.extend((0..6).map(|round| Loss::Random(change * 1_000 + second * 10 + round)));
            for loss in losses {
                let what = format!("killed at {change}, then {second}, {loss:?}");
                check(&disk.after_power_cut(&loss), &acknowledged, &what);
            }
            if is_done || !disk.is_dead() {
                break;
            }
        }
    }
}

#[test]
fn nothing_is_acknowledged_after_any_call_failed() {
    let calm = SimDisk::new();
    run(&calm);
    for call in 0..calm.calls() {
        for fault in [
            Fault::Errno(5),
            Fault::Errno(28),
            Fault::ShortWrite { kept: 700, errno: 5 },
            Fault::SyncMarkedClean { errno: 5 },
        ] {
            let disk = SimDisk::new();
            disk.fail_at(call, fault);
            let acknowledged = run(&disk);
            let what = format!("call {call}, {fault:?}");
            check(&disk.after_kill(), &acknowledged, &format!("{what}, killed"));
            for loss in [Loss::Everything, Loss::Nothing, Loss::Random(call)] {
                check(&disk.after_power_cut(&loss), &acknowledged, &format!("{what}, {loss:?}"));
            }
        }
    }
}

#[test]
fn after_a_failed_sync_the_log_is_given_up_and_the_disk_is_asked_nothing_more() {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, _) = open(&disk).unwrap();
    let _ = work(&mut appender, 0, 1);
    // The write, then the sync.
    disk.fail_at(disk.calls() + 1, Fault::Errno(5));
    let error = appender.append(&[1], 1, WallMs(1), BootMs(1)).unwrap_err();
    assert!(!matches!(error, StoreError::Poisoned { .. }), "{error}");
    let calls = disk.calls();
    assert!(appender.is_given_up());
    assert_eq!(appender.room(), 0);
    let error = appender.append(&[1], 1, WallMs(1), BootMs(1)).unwrap_err();
    assert!(matches!(error, StoreError::Poisoned { .. }), "{error}");
    let error = appender.close(BootMs(2)).unwrap_err();
    assert!(matches!(error, StoreError::Poisoned { .. }), "{error}");
    assert_eq!(disk.calls(), calls);
}

/// The state of a flipped store: what it reads as, or a refusal that changed nothing.
fn read_flipped(disk: &SimDisk) -> Result<Log, StoreError> {
    let before = disk.image();
    let result = open(disk);
    if result.is_err() {
        assert_eq!(disk.image(), before, "a refused open changed something");
    }
    result.map(|(_, log)| log)
}

#[test]
fn a_bit_flipped_in_any_byte_is_named_or_harmless() {
    for is_closed in [true, false] {
        let disk = SimDisk::new();
        make(&disk).unwrap();
        let (mut appender, _) = open(&disk).unwrap();
        let (full, _) = work(&mut appender, 0, 6);
        if is_closed {
            appender.close(BootMs(9)).unwrap();
        }
        disk.settle();
        let (mut exact, mut less, mut refused) = (0, 0, 0);
        for (path, bytes) in disk.image() {
            // One bit of every byte: the crc and the digests see any of them.
            for bit in (0..bytes.len() as u64).map(|place| place * 8 + place % 8) {
                let flipped = disk.fork();
                assert!(flipped.flip(&path, bit));
                match read_flipped(&flipped) {
                    Ok(log) if log == full => exact += 1,
                    Ok(log) if log[..] == full[..full.len() - 1] => less += 1,
                    Ok(log) => panic!("{}, bit {bit}: {} frames of {}", path.display(), log.len(), full.len()),
                    Err(_) => refused += 1,
                }
            }
        }
        println!("closed {is_closed}: {exact} exact, {less} without the last frame, {refused} refused");
        assert_eq!(less, 0, "WATERMARK proves the last frame in both");
    }
}
