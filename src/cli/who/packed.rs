//! What packed history tells of a port is what the log told that was packed: every port, at many times.
#![forbid(unsafe_code)]

use super::find;
use super::tests::PORTS;
use super::tests::Stack;
use super::tests::below;
use super::tests::targets;
use crate::api::WhoAsked;
use crate::cli::log;
use crate::cli::log::Log;
use crate::disk::LatchDisk;
use crate::disk::LockMode;
use crate::facility;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Machine;
use crate::facility::Options;
use crate::facility::RandomStream;
use crate::facility::SetClock;
use crate::facility::past::Roster;
use crate::ident::BootId;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::structure::Request;
use crate::wal;
use crate::wal::CheckpointEntry;
use crate::wal::ManifestKeeper;
use crate::wal::pack;
use crate::wal::pack::PackFile;
use crate::wal::pack::PackRun;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

const LIVES: u64 = 5;
const STEPS: usize = 140;
/// Times at which each port is asked for.
const TIMES: usize = 4;

/// Several opens of one store, under three kernel boots.
fn fill(dir: &Path, random: &mut RandomStream) {
    let mut stacks = ["A", "B", "C", "D"].map(Stack::new);
    let mut known = [false; 4];
    for life in 0..LIVES {
        let clock = Arc::new(SetClock::new(BootId(u128::from(life / 2)), 50_000 + 100_000 * life));
        let machine = Machine { clock: Arc::clone(&clock) as _, ..Machine::real() };
        let options = Options {
            create: true,
            segment_size: 16 << 10,
            quarantine_timer: false,
            quarantine: std::time::Duration::from_millis(40),
            checkpoint_interval: std::time::Duration::MAX,
            checkpoint_at_close: false,
            pack_log_bytes: u64::MAX,
            seed: Some(random.next_u64()),
            ..Options::default()
        };
        let facility = Arc::new(LocalFacility::open_on(&machine, dir, &options).expect("opens"));
        for (stack, known) in stacks.iter_mut().zip(known) {
            if known {
                stack.attach(&facility, u128::from(random.next_u64() % 2));
            }
        }
        for _ in 0..STEPS {
            clock.advance(random.next_u64() % 20);
            if below(random, 8) == 0 {
                let list = u32::try_from(below(random, 2)).expect("small");
                let _ = facility.call(Request::EndQuarantine { list });
            }
            stacks[below(random, 4)].step(&facility, random);
        }
        for (stack, known) in stacks.iter_mut().zip(&mut known) {
            *known = stack.connection.take().is_some();
        }
        Arc::into_inner(facility).expect("nobody else has it").close().expect("closes");
    }
}

/// Packs all that may be packed of a copy, in small packs of small blocks, and puts them together if it
/// should. Returns how many there are.
fn pack_all(dir: &Path, merges: bool, random: &mut RandomStream) -> usize {
    let disk = Machine::real().disk;
    let lock = wal::lock(&*disk, dir, LockMode::Exclusive).expect("free");
    let mut manifest = wal::survey(&*disk, dir).expect("a store").manifest;
    manifest.lock_inode = lock.inode();
    let keeper = ManifestKeeper::open(LatchDisk::new(Arc::clone(&disk)), dir, manifest).expect("writable");
    // Two checkpoints that nobody reads: a log that begins with the first record needs none.
    let checkpoint = |generation| CheckpointEntry {
        generation,
        lsn: Lsn(1 << 40),
        count: 0,
        digest: [0; 32],
        wall: WallMs(0),
        files: Vec::new(),
    };
    keeper.change(|manifest| manifest.checkpoints = vec![checkpoint(1), checkpoint(2)]).expect("changed");
    loop {
        let manifest = keeper.manifest();
        let bytes = 40_000 + random.next_u64() % 200_000;
        let next = PackRun::next(&manifest, bytes);
        let Some(run) = next.filter(|run| merges || run.first_pack(&manifest).is_none()) else { break };
        let run = run.with_blocks_of(100 + below(random, 900));
        let open = |entry| PackFile::open(&*disk, dir, manifest.uuid, entry).expect("readable");
        let mut roster = match (run.first_pack(&manifest), run.pack_before(&manifest)) {
            (Some(first), _) => Roster::before(&open(first)).expect("readable"),
            (None, Some(before)) => Roster::after(&open(before)).expect("readable"),
            (None, None) => Roster::new(true),
        };
        let made = pack::make(&*disk, dir, &manifest, &run, &mut roster, &mut |_| true).expect("packed");
        pack::list(&*disk, dir, &keeper, &made).expect("listed").expect("nothing went meanwhile");
    }
    keeper.change(|manifest| manifest.checkpoints.clear()).expect("changed");
    keeper.look(|manifest| manifest.packs.len())
}

fn asked(dir: &Path, target: usize, port: u16, at: Option<WallMs>, limit: u32) -> (PathBuf, WhoAsked) {
    (dir.to_owned(), WhoAsked { target: targets()[target], port, at, limit })
}

fn told((dir, asked): &(PathBuf, WhoAsked)) -> String {
    let found = Log::open(dir).and_then(|log| find(&log, asked, &mut |_| {}));
    match found {
        Ok(found) => format!("{:#}\n{}", found.json(), found.text()),
        Err(failure) => failure.to_string().replace(dir.to_str().expect("text"), ""),
    }
}

#[test]
fn packed_history_tells_of_every_port_at_every_time_what_the_log_told() {
    let seed = std::env::var("PORTPLEX_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    println!("PORTPLEX_SEED={seed}");
    let mut random = RandomStream::new(Some(seed));
    let place = TempDir::new().expect("a directory");
    let [plain, packed, merged] = ["plain", "packed", "merged"].map(|name| place.path().join(name));
    fill(&plain, &mut random);
    copy(&plain, &packed);
    copy(&plain, &merged);
    let packs = [pack_all(&packed, false, &mut random), pack_all(&merged, true, &mut random)];
    assert!(packs[0] > 5 && packs[1] > 0 && packs[1] < packs[0], "{packs:?} packs");
    let mut walls = BTreeSet::new();
    let mut records = 0;
    log::walk(&plain, &mut |placed| {
        walls.insert(placed.frame.wall.0);
        records += 1;
        Ok(())
    })
    .expect("whole");
    for dir in [&packed, &merged] {
        let mut again = 0;
        log::walk(dir, &mut |_| {
            again += 1;
            Ok(())
        })
        .expect("whole");
        assert_eq!(again, records);
    }
    let walls: Vec<u64> = walls.into_iter().collect();
    let mut asks = 0;
    for target in 0..targets().len() {
        for port in PORTS.step_by(3) {
            let mut times = vec![(None, 100), (None, 1), (None, 3)];
            for _ in 0..TIMES {
                let wall = walls[below(&mut random, walls.len())];
                times.push((Some(WallMs(wall + random.next_u64() % 3 - 1)), 100));
            }
            times.extend([walls[0] - 1, walls[walls.len() - 1] + 9].map(|wall| (Some(WallMs(wall)), 100)));
            for (at, limit) in times {
                let from_log = told(&asked(&plain, target, port, at, limit));
                for dir in [&packed, &merged] {
                    let from_packs = told(&asked(dir, target, port, at, limit));
                    let what = format!("{port} at {at:?}, limit {limit}, {}", dir.display());
                    assert!(from_log == from_packs, "{what}:\n{from_log}\nand packed\n{from_packs}");
                }
                asks += 1;
            }
        }
    }
    println!("{asks} asked, {records} records in {packs:?} packs");
}

fn copy(from: &Path, to: &Path) {
    facility::backup_closed(&Machine::real(), from, to).expect("copied");
}
