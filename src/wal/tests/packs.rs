//! Packing on the simulated disk: a crash, a full disk or a damaged byte anywhere never costs history
//! that nobody is told of.
#![forbid(unsafe_code)]

use super::*;
use crate::wal::pack::Pack;
use crate::wal::pack::PackFile;
use crate::wal::pack::PackReport;
use crate::wal::pack::PackRun;
use crate::wal::pack::Side;
use crate::wal::pack::Stood;
use crate::wal::pack::Summary;
use std::path::PathBuf;

/// Names every frame by its first lsn.
#[derive(Default)]
struct Plain;

impl Summary for Plain {
    fn start(&mut self) -> Vec<u8> {
        b"begin".to_vec()
    }

    fn frame(
        &mut self,
        frame: &FrameInfo,
        _: Stood,
        payload: &[u8],
        keys: &mut Vec<u64>,
        aside: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        keys.push(frame.first.0);
        aside.push(payload[0]);
        Ok(())
    }
}

fn checkpoint(generation: u64, lsn: Lsn) -> CheckpointEntry {
    CheckpointEntry { generation, lsn, count: 0, digest: [0; 32], wall: WallMs(0), files: Vec::new() }
}

/// Two checkpoints of everything sealed, so that all of it may be packed.
fn list_checkpoints(keeper: &ManifestKeeper) -> Result<(), StoreError> {
    let sealed = keeper.look(|manifest| manifest.durable());
    keeper.change(|manifest| manifest.checkpoints = vec![checkpoint(1, sealed), checkpoint(2, sealed)])
}

fn make_next(disk: &SimDisk, keeper: &ManifestKeeper, bytes: u64) -> Result<Option<Pack>, StoreError> {
    let manifest = keeper.manifest();
    let Some(run) = PackRun::next(&manifest, bytes) else { return Ok(None) };
    pack::make(disk, dir(), &manifest, &run, &mut Plain, &mut |_| true).map(Some)
}

/// Packs until nothing is due.
fn pack_all(disk: &SimDisk, keeper: &ManifestKeeper, bytes: u64) -> Result<Vec<PackReport>, StoreError> {
    let mut reports = Vec::new();
    while let Some(made) = make_next(disk, keeper, bytes)? {
        reports.push(pack::list(disk, dir(), keeper, &made)?.expect("still listed"));
    }
    Ok(reports)
}

fn names(disk: &SimDisk) -> Vec<String> {
    let entries = disk.list(&dir().join("wal")).unwrap();
    entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".pack")).collect()
}

/// Frames over some segments of which all but the last are packed, one by one, then put together.
fn run_packed(disk: &SimDisk) -> Log {
    let mut acknowledged = Log::new();
    if make(disk).is_err() {
        return acknowledged;
    }
    for round in 0..2 {
        let Ok((mut appender, log)) = open(disk) else { return acknowledged };
        assert_eq!(log, acknowledged);
        let (more, failed) = work(&mut appender, round * 14, 14);
        acknowledged.extend(more);
        let keeper = appender.keeper();
        if failed.is_some() || list_checkpoints(&keeper).is_err() || pack_all(disk, &keeper, 1).is_err() {
            return acknowledged;
        }
        let (more, failed) = work(&mut appender, round * 14 + 7, 2);
        acknowledged.extend(more);
        if failed.is_some() || appender.close(BootMs(30)).is_err() {
            return acknowledged;
        }
    }
    acknowledged
}

/// A store with packs, and its log.
fn packed() -> (SimDisk, Log) {
    let disk = SimDisk::new();
    let log = run_packed(&disk);
    disk.settle();
    let manifest = survey(&disk, dir()).unwrap().manifest;
    assert!(manifest.packs.len() >= 2, "{} packs", manifest.packs.len());
    let is_merged = |pack: &PackEntry| pack.last_segment > pack.first_segment;
    assert!(manifest.packs.iter().any(is_merged), "some are put together");
    (disk, log)
}

fn verified(disk: &SimDisk) -> Result<(Log, Vec<FrameInfo>), StoreError> {
    let survey = survey(disk, dir())?;
    let (mut log, mut frames) = (Log::new(), Vec::new());
    verify(disk, dir(), &survey, &mut |info, payload| {
        log.push((info.first, payload.to_vec()));
        frames.push(info.clone());
        Ok(())
    })?;
    Ok((log, frames))
}

#[test]
fn a_packed_log_reads_as_it_did_before_frame_by_frame() {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, _) = open(&disk).unwrap();
    let (log, _) = work(&mut appender, 0, 40);
    let keeper = appender.keeper();
    let place = |(log, frames): (Log, Vec<FrameInfo>)| {
        let frames: Vec<FrameInfo> =
            frames.into_iter().map(|frame| FrameInfo { path: dir().to_owned(), ..frame }).collect();
        (log, frames)
    };
    let before = place(verified(&disk).unwrap());
    assert_eq!(before.0, log);
    list_checkpoints(&keeper).unwrap();
    for bytes in [1, 30_000, 100_000] {
        let fork = disk.fork();
        let manifest = keeper.manifest();
        let lock = lock(&fork, dir(), LockMode::Exclusive);
        drop(lock);
        let keeper =
            ManifestKeeper::open(crate::disk::LatchDisk::new(Arc::new(fork.clone())), dir(), manifest).unwrap();
        let reports = pack_all(&fork, &keeper, bytes).unwrap();
        assert!(!reports.is_empty());
        assert_eq!(place(verified(&fork).unwrap()), before, "{bytes}");
        let manifest = keeper.manifest();
        for from in 0..log.len() {
            for to in (from..log.len()).step_by(9) {
                let after = Lsn(log[from].0.0 - 1);
                let upto = log.get(to + 1).map_or(manifest.durable(), |next| Lsn(next.0.0 - 1));
                let mut found = Log::new();
                read_durable(&fork, dir(), &manifest, after, upto, &mut |info, payload| {
                    found.push((info.first, payload.to_vec()));
                    Ok(())
                })
                .unwrap();
                assert!(log[from..=to].starts_with(&found) || found == log[from..=to], "{bytes}: {from} to {to}");
            }
        }
    }
}

/// A closed store of which all but the tail may be packed, and its log.
fn prepared(frames: u32) -> (SimDisk, Log) {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, _) = open(&disk).unwrap();
    let (log, _) = work(&mut appender, 0, frames);
    list_checkpoints(&appender.keeper()).unwrap();
    appender.close(BootMs(30)).unwrap();
    disk.settle();
    (disk.after_kill(), log)
}

/// MANIFEST of a store that nobody has open.
fn keeper(disk: &SimDisk) -> Result<ManifestKeeper, StoreError> {
    let manifest = survey(disk, dir())?.manifest;
    ManifestKeeper::open(crate::disk::LatchDisk::new(Arc::new(disk.clone())), dir(), manifest)
}

#[test]
fn a_power_cut_at_any_point_of_packing_loses_no_frame() {
    let (image, log) = prepared(15);
    let mut states = 0;
    for change in 0.. {
        let disk = image.fork();
        disk.cut_at(change);
        // Each segment by itself, then all packs together.
        let is_done = keeper(&disk).and_then(|keeper| pack_all(&disk, &keeper, 1)).is_ok();
        let losses =
            [Loss::Everything, Loss::Nothing, Loss::Random(change), Loss::Random(!change), Loss::Shorn(change)];
        let images = losses.into_iter().map(|loss| (format!("{loss:?}"), disk.after_power_cut(&loss)));
        for (what, image) in images.chain([("killed".to_owned(), disk.after_kill())]) {
            let what = format!("change {change}, {what}");
            check(&image, &log, &what);
            let manifest = survey(&image, dir()).unwrap().manifest;
            let listed: Vec<PathBuf> = manifest.packs.iter().map(|entry| pack::path(dir(), entry)).collect();
            let found: Vec<PathBuf> = names(&image).into_iter().map(|name| dir().join("wal").join(name)).collect();
            assert_eq!(found, listed, "{what}: an open removes what nothing lists");
            verified(&image).unwrap_or_else(|error| panic!("{what}: {error}"));
            states += 1;
        }
        if is_done {
            let packs = survey(&disk.after_kill(), dir()).unwrap().manifest.packs;
            assert_eq!(packs.len(), 1, "they were put together");
            break;
        }
    }
    println!("{states} states");
    assert!(states > 500);
}

#[test]
fn packing_that_fails_at_any_call_loses_nothing_and_is_done_later() {
    let (image, log) = prepared(15);
    let (mut full, mut failed) = (0, 0);
    for call in 0.. {
        let mut was_reached = false;
        for errno in [28, 5] {
            let disk = image.fork();
            disk.fail_at(call, Fault::Errno(errno));
            let Ok(kept) = keeper(&disk) else {
                was_reached = true;
                continue;
            };
            let outcome = pack_all(&disk, &kept, 20_000);
            match &outcome {
                Err(error) if error.is_full() => full += 1,
                Err(_) => failed += 1,
                // A file that could not be removed, or a cache that was not dropped.
                Ok(_) => {}
            }
            was_reached |= disk.calls() > call;
            if outcome.is_err() && kept.prepare().is_ok() {
                assert_eq!(verified(&disk).unwrap().0, log, "call {call}, errno {errno}");
                pack_all(&disk, &kept, 20_000).unwrap();
            }
            drop(kept);
            // Without the fault, if nothing met it.
            let disk = disk.after_kill();
            assert_eq!(open(&disk).unwrap().1, log, "call {call}, errno {errno}");
            let listed = survey(&disk, dir()).unwrap().manifest.packs.len();
            assert_eq!(names(&disk).len(), listed, "call {call}, errno {errno}: leftovers");
        }
        if !was_reached {
            break;
        }
    }
    println!("{full} times full, {failed} times failed");
    assert!(full > 0 && failed > 0);
}

#[test]
fn every_damaged_byte_of_a_pack_is_named_by_verify_and_stops_no_open() {
    let (disk, log) = packed();
    let manifest = survey(&disk, dir()).unwrap().manifest;
    let base = manifest.packed().lsn;
    let smallest = manifest.packs.iter().min_by_key(|pack| pack.size).unwrap();
    let path = pack::path(dir(), smallest);
    for place in 0..smallest.size {
        let flipped = disk.fork();
        assert!(flipped.flip(&path, place * 8 + place % 8));
        let before = flipped.image();
        let error = verified(&flipped).unwrap_err();
        assert!(matches!(error, StoreError::CorruptPack { .. }), "byte {place}: {error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        // What no base needs is no reason to refuse an open; what one needs is.
        let survey = survey(&flipped, dir()).unwrap();
        let mut above = Log::new();
        replay(&flipped, dir(), &survey, base, &mut |info, payload| {
            above.push((info.first, payload.to_vec()));
            Ok(())
        })
        .unwrap();
        assert_eq!(above[..], log[log.len() - above.len()..]);
        let needed = replay(&flipped, dir(), &survey, Lsn::ZERO, &mut |_, _| Ok(()));
        assert!(needed.is_err() || is_beside(&flipped, smallest), "byte {place} is needed");
        assert_eq!(flipped.image(), before);
    }
}

/// Whether all blocks of a pack can be read: the damage is beside them.
fn is_beside(disk: &SimDisk, entry: &PackEntry) -> bool {
    let survey = survey(disk, dir()).unwrap();
    let pack = PackFile::open(disk, dir(), survey.manifest.uuid, entry).unwrap();
    [Side::Start, Side::Aside, Side::Keys].into_iter().any(|side| pack.read_side(side, &mut |_| Ok(())).is_err())
}

#[test]
fn a_pack_that_is_cut_missing_or_another_is_named() {
    let (disk, _) = packed();
    let manifest = survey(&disk, dir()).unwrap().manifest;
    let [one, other] = [manifest.packs[0], *manifest.packs.last().unwrap()].map(|entry| pack::path(dir(), &entry));
    let bytes = disk.bytes(&one).unwrap();
    let mut cases: Vec<(&str, Option<Vec<u8>>)> =
        (0..bytes.len()).map(|size| ("cut", Some(bytes[..size].to_vec()))).collect();
    cases.push(("longer", Some([&bytes[..], &[0]].concat())));
    cases.push(("another", Some(disk.bytes(&other).unwrap().to_vec())));
    cases.push(("missing", None));
    for (what, content) in cases {
        let changed = disk.fork();
        changed.remove_file(&one).unwrap();
        if let Some(content) = content {
            changed.set_bytes(&one, content).unwrap();
        }
        let error = verified(&changed).unwrap_err();
        assert!(matches!(error, StoreError::CorruptPack { .. }), "{what}: {error}");
        let survey = survey(&changed, dir()).unwrap();
        let replayed = replay(&changed, dir(), &survey, manifest.packed().lsn, &mut |_, _| Ok(())).unwrap();
        assert_eq!(replayed.warnings.len(), 1, "{what}: an open warns");
        assert!(replayed.warnings[0].contains("history only"), "{}", replayed.warnings[0]);
        let copy = Path::new("/copy");
        copy_store(&changed, dir(), copy, &manifest, manifest.durable())
            .unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn retention_takes_the_oldest_packs_first_and_then_segments() {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, _) = open(&disk).unwrap();
    let (log, _) = work(&mut appender, 0, 60);
    let keeper = appender.keeper();
    let third = keeper.manifest().segments[2].sealed.unwrap().end.lsn;
    keeper.change(|manifest| manifest.checkpoints = vec![checkpoint(1, third), checkpoint(2, third)]).unwrap();
    pack_all(&disk, &keeper, 1).unwrap();
    list_checkpoints(&keeper).unwrap();
    let before = keeper.manifest();
    assert_eq!(before.packs.len(), 3);
    let sum = |manifest: &Manifest| {
        let segments = manifest.segments.iter().map(|entry| entry.sealed.map_or(entry.size, |seal| seal.offset));
        manifest.packs.iter().map(|pack| pack.size).chain(segments).sum::<u64>()
    };
    for less in 1..=4_u64 {
        let fork = disk.fork();
        let keeper =
            ManifestKeeper::open(crate::disk::LatchDisk::new(Arc::new(fork.clone())), dir(), before.clone()).unwrap();
        // So that one more must go each time.
        let taken: u64 = before.packs.iter().take(less as usize).map(|pack| pack.size).sum();
        let taken = if less == 4 { taken + 1 } else { taken };
        let limits = Retention { age_max_ms: u64::MAX, size_max: sum(&before) - taken };
        let retired = retire(&fork, dir(), &keeper, &limits, WallMs(9_999)).unwrap();
        assert_eq!((retired.packs, retired.segments), (less.min(3), u64::from(less == 4)));
        let manifest = keeper.manifest();
        assert!(sum(&manifest) <= limits.size_max);
        let (left, _) = verified(&fork).unwrap();
        assert_eq!(left[..], log[log.len() - left.len()..], "what is left is the end of it");
        assert_eq!(left.first().map(|frame| frame.0), Some(manifest.retired.lsn.next()));
        assert_eq!(names(&fork).len(), manifest.packs.len());
    }
    let nothing = Retention { age_max_ms: 0, size_max: 0 };
    let retired = retire(&disk, dir(), &keeper, &nothing, WallMs(9_999)).unwrap();
    assert_eq!(retired.packs, 3);
    assert_eq!(keeper.manifest().segments.len(), 1, "the tail stays");
}

#[test]
fn a_copy_of_a_packed_store_has_its_packs() {
    let (disk, log) = packed();
    let manifest = survey(&disk, dir()).unwrap().manifest;
    let copy = Path::new("/copy");
    copy_store(&disk, dir(), copy, &manifest, survey(&disk, dir()).unwrap().durable()).unwrap();
    let copied = survey(&disk, copy).unwrap();
    assert_eq!(copied.manifest.packs, manifest.packs);
    let mut found = Log::new();
    verify(&disk, copy, &copied, &mut |info, payload| {
        found.push((info.first, payload.to_vec()));
        Ok(())
    })
    .unwrap();
    assert_eq!(found, log);
}

#[test]
fn packing_stops_when_it_is_told_to_and_leaves_nothing() {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (mut appender, _) = open(&disk).unwrap();
    work(&mut appender, 0, 30);
    let keeper = appender.keeper();
    list_checkpoints(&keeper).unwrap();
    let manifest = keeper.manifest();
    let run = PackRun::next(&manifest, 40_000).unwrap();
    for writes in 0.. {
        let mut left = writes;
        let mut pace = |_| {
            left -= 1;
            left >= 0
        };
        match pack::make(&disk, dir(), &manifest, &run, &mut Plain, &mut pace) {
            Err(StoreError::Stopped { .. }) => assert_eq!(names(&disk), Vec::<String>::new(), "after {writes}"),
            Err(error) => panic!("{error}"),
            Ok(_) => {
                assert!(writes > 3);
                break;
            }
        }
    }
}
