//! Packing beside everything else: grants, backups, checkpoints, readers, and what recovery makes of it.

use super::forged::{History, PORT};
use super::gone::{Small, Stack};
use super::{ask_in, is};
use crate::allocations::memory_during;
use crate::cli::{bytes_of, dump, expect};
use portplex::disk::RealDisk;
use portplex::facility::past::{Roster, forge_history};
use portplex::facility::{LocalFacility, Machine, OpenError, Options};
use portplex::ident::{Lsn, PortSet, Transport};
use portplex::wal;
use portplex::wal::pack::PackRun;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

const PACK_LOG: u64 = 64 << 10;
/// How long somebody may wait for what must not wait at all.
const PATIENCE: Duration = Duration::from_secs(120);

/// Claims and releases ports of a few in turn until it is told to stop; the grants of each port, in order.
fn work(stack: &Stack, small: &Small, stop: &AtomicBool) -> Vec<(u16, u64)> {
    let mut grants = Vec::new();
    for turn in 0_u16.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        small.clock.advance(3);
        let port = 5_001 + turn % 7;
        let grant = stack.connection.claim(stack.member, port).expect("claimed").value;
        grants.push((port, grant.lsn.0));
        stack.connection.release(grant.member, grant.group, grant.lsn, grant.mask).expect("released");
    }
    grants
}

/// Stops the others when a test is over, also when it failed.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How many packs are listed.
fn packs(store: &str) -> usize {
    wal::survey(&RealDisk, Path::new(store)).expect("a store").manifest.packs.len()
}

#[test]
fn packing_beside_live_grants_stops_none_and_who_tells_every_one_of_them() {
    let small = Small::packing(8 << 30, PACK_LOG);
    let (sys1, stop) = (small.stack("SYS1"), AtomicBool::new(false));
    let grants = std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        let working = scope.spawn(|| work(&sys1, &small, &stop));
        // Two at once, and the store's own thread beside them.
        let packing = || {
            let (mut made, mut lsn) = (0, Lsn::ZERO);
            while made < 3 {
                let now = small.facility.checkpoint_now().expect("made");
                made += usize::from(small.facility.pack_now().expect("packed").is_some());
                assert!(now >= lsn);
                lsn = now;
            }
        };
        let other = scope.spawn(packing);
        packing();
        other.join().expect("packed");
        stop.store(true, Ordering::Relaxed);
        working.join().expect("worked")
    });
    let store = small.store();
    let dir = small.close([sys1]);
    assert!(packs(&store) > 0);
    expect(0, &["store", "verify", &store]);
    for port in 5_001..5_008 {
        let (_, json) = ask_in(&store, &format!("10.1.1.1:{port}"), &["--limit", "1000000"]);
        let mut told: Vec<u64> = holders(&json).iter().map(|hold| hold["grant"].as_u64().expect("a token")).collect();
        told.reverse();
        let given: Vec<u64> = grants.iter().filter(|(of, _)| *of == port).map(|(_, lsn)| *lsn).collect();
        assert!(given.len() > 5 && told == given, "{port}: {told:?} told, {given:?} given");
    }
    drop(dir);
}

fn holders(json: &Value) -> &[Value] {
    json["holders"].as_array().expect("an array")
}

#[test]
fn a_backup_made_while_history_is_packed_is_whole_and_knows_it() {
    let small = Small::packing(8 << 30, PACK_LOG);
    let (sys1, stop) = (small.stack("SYS1"), AtomicBool::new(false));
    small.churn(&sys1, 5_001);
    let mut copies = Vec::new();
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        let working = scope.spawn(|| work(&sys1, &small, &stop));
        let packing = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                small.facility.checkpoint_now().expect("made");
                small.facility.pack_now().expect("packed");
            }
        });
        for number in 0.. {
            let to = small.dir.path().join(format!("copy-{number}"));
            small.facility.backup(&to).expect("copied and compared");
            copies.push(to.to_str().expect("text").to_owned());
            if number >= 4 && packs(&copies[number]) > 0 {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        working.join().expect("worked");
        packing.join().expect("packed");
    });
    for copy in &copies {
        expect(0, &["store", "verify", copy]);
        let (_, json) = ask_in(copy, "10.1.1.1:5001", &[]);
        assert!(!holders(&json).is_empty() && json["log"]["first"]["lsn"] == 1_048_576, "{json}");
    }
    drop(small.close([sys1]));
}

#[test]
fn checkpoints_packing_and_retirement_wait_for_no_reader_and_take_nothing_from_him() {
    let small = Small::packing(1, PACK_LOG);
    let sys1 = small.stack("SYS1");
    small.churn(&sys1, 9_000);
    small.checkpoint(&sys1);
    let facility = Arc::clone(&small.facility);
    let listed = facility.beside_writer(|dir, manifest, durable| {
        let listed: Vec<_> = manifest.segments.iter().map(|entry| wal::segment::path(dir, entry.number)).collect();
        let generations: Vec<_> =
            manifest.checkpoints.iter().map(|entry| dir.join("ckpt").join(entry.generation.to_string())).collect();
        let (done, is_done) = mpsc::channel();
        let others = Arc::clone(&small.facility);
        for _ in 0..4 {
            let others = Arc::clone(&others);
            small.churn(&sys1, 9_000);
            let done = done.clone();
            std::thread::spawn(move || done.send((others.checkpoint_now().is_ok(), others.pack_now().is_ok())));
            let told = is_done.recv_timeout(PATIENCE).expect("a checkpoint waits for who reads the log");
            assert_eq!(told, (true, true));
        }
        let now = wal::survey(&RealDisk, dir).expect("a store").manifest;
        assert!(now.retired.lsn > manifest.retired.lsn, "history went meanwhile");
        let mut records = 0;
        let from = manifest.retired.lsn;
        wal::read_durable(&RealDisk, dir, manifest, from, durable, &mut |frame, _| {
            records += u64::from(frame.count);
            Ok(())
        })
        .expect("all that was listed can still be read");
        assert!(records > 0);
        assert!(generations.iter().all(|path| path.is_dir()), "{generations:?}");
        [listed, generations].concat()
    });
    let gone = |path: &&std::path::PathBuf| !path.exists();
    assert!(listed.iter().filter(gone).count() > 3, "what is listed no more goes with its reader");
    small.churn(&sys1, 9_000);
    small.facility.checkpoint_now().expect("made");
    let generations = std::fs::read_dir(small.dir.path().join("store/ckpt")).expect("readable").count();
    assert_eq!(generations, 2, "the checkpoints that he kept go with the next one");
    drop(facility);
    drop(small.close([sys1]));
}

#[test]
fn after_packs_were_retired_who_says_from_when_history_is_kept() {
    // Room for two turns of the wheel, not for eight.
    let small = Small::packing(300 << 10, 32 << 10);
    let sys1 = small.stack("SYS1");
    let early = sys1.connection.claim(sys1.member, 5_001).expect("claimed").value;
    sys1.connection.release(early.member, early.group, early.lsn, early.mask).expect("released");
    for _ in 0..2 {
        small.churn(&sys1, 9_000);
        small.facility.checkpoint_now().expect("made");
    }
    let store = small.store();
    while small.facility.pack_now().expect("packed").is_some() {}
    let before = wal::survey(&RealDisk, Path::new(&store)).expect("a store").manifest;
    assert_eq!((before.retired.lsn, before.packs.is_empty()), (Lsn::ZERO, false));
    for _ in 0..6 {
        small.churn(&sys1, 9_000);
    }
    small.checkpoint(&sys1);
    let dir = small.close([sys1]);
    let after = wal::survey(&RealDisk, Path::new(&store)).expect("a store").manifest;
    assert!(after.retired.lsn > early.lsn);
    let (text, json) = ask_in(&store, "10.1.1.1:5001", &[]);
    assert_eq!(json["state"], "quarantined", "the checkpoint knows that much: {json}");
    assert!(text.contains("The oldest record that is kept is of 2023-"), "{text}");
    assert_eq!(json["log"]["first"]["lsn"].as_u64().map(|lsn| lsn > early.lsn.0), Some(true), "{json}");
    let (_, json) = ask_in(&store, "10.1.1.1:5001", &["--at", "1700000050000"]);
    assert_eq!(json["state"], "unknown", "{json}");
    drop(dir);
}

/// Damages every file of every checkpoint.
fn spoil_checkpoints(store: &str) {
    let mut spoiled = 0;
    for (name, mut bytes) in bytes_of(Path::new(store)) {
        if name.contains("ckpt") && !bytes.is_empty() {
            let place = bytes.len() / 2;
            bytes[place] ^= 1;
            std::fs::write(Path::new(store).join(name), bytes).expect("written");
            spoiled += 1;
        }
    }
    assert!(spoiled >= 2, "{spoiled} files");
}

#[test]
fn without_a_checkpoint_that_can_be_believed_the_packs_give_the_whole_state() {
    let small = Small::packing(8 << 30, PACK_LOG);
    let sys1 = small.stack("SYS1");
    let held = sys1.connection.claim(sys1.member, 5_001).expect("claimed").value;
    small.churn(&sys1, 9_000);
    small.checkpoint(&sys1);
    while small.facility.pack_now().expect("packed").is_some() {}
    let store = small.store();
    let dir = small.close([sys1]);
    assert!(packs(&store) > 0, "the grant is in a pack");
    let before = dump(&store);
    spoil_checkpoints(&store);
    assert_eq!(dump(&store), before);
    let facility = LocalFacility::open(&store, &Options::default()).expect("opens");
    facility.close().expect("closes");
    is(&ask_in(&store, "10.1.1.1:5001", &[]).1, "held", &["SYS1"]);
    assert_eq!(ask_in(&store, "10.1.1.1:5001", &[]).1["holders"][0]["grant"], held.lsn.0);
    drop(dir);
}

#[test]
fn without_a_checkpoint_and_without_its_beginning_a_log_is_refused_and_left_as_it_is() {
    let small = Small::packing(1, PACK_LOG);
    let sys1 = small.stack("SYS1");
    small.churn(&sys1, 9_000);
    small.checkpoint(&sys1);
    let store = small.store();
    let dir = small.close([sys1]);
    spoil_checkpoints(&store);
    let before = bytes_of(Path::new(&store));
    let error = LocalFacility::open(&store, &Options::default()).expect_err("the beginning is nowhere");
    assert!(matches!(error, OpenError::NoUsableCheckpoint { .. }), "{error}");
    assert_eq!(bytes_of(Path::new(&store)), before, "a refused open changes nothing");
    drop(dir);
}

/// What packing so many frames of 8 KiB needs at most, in bytes.
fn peak_of_packing(frames: u16) -> usize {
    let small = Small::packing(8 << 30, u64::MAX);
    let sys1 = small.stack("SYS1");
    for port in 0..frames {
        let mut ports = PortSet::empty();
        ports.insert_range(5_000 + port, 60_000);
        sys1.connection.set_allowable(Transport::Tcp, ports).expect("set");
    }
    small.checkpoint(&sys1);
    let store = small.store();
    let kept = small.close([sys1]);
    let dir = Path::new(&store);
    let manifest = wal::survey(&RealDisk, dir).expect("a store").manifest;
    let packed = u64::from(frames) * 8_192;
    let run = PackRun::next(&manifest, packed).expect("there is so much");
    let mut roster = Roster::new(true);
    let (made, memory) = memory_during(|| wal::pack::make(&RealDisk, dir, &manifest, &run, &mut roster, &mut |_| true));
    made.expect("packed and compared");
    drop(kept);
    println!("{packed} bytes of segments: {} bytes at most", memory.peak);
    memory.peak
}

#[test]
fn packing_takes_as_much_memory_as_a_block_needs_however_much_there_is() {
    let [few, many] = [200, 800].map(peak_of_packing);
    assert!(many < few + (2 << 20), "{few} for few, {many} for many");
    assert!(many < 24 << 20, "{many}");
}

/// Frames of 8 KiB and more: 64 MiB, of which `who` reads every block.
const FRAMES: u32 = 8_080;
/// What `who` may have for its data.
const DATA_MAX_KIB: u32 = 32 << 10;

#[test]
fn who_reads_a_history_that_is_larger_than_the_memory_it_may_take() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let store = dir.path().join("store");
    let mut history = History::new(FRAMES);
    let forged = forge_history(&Machine::real(), &store, 1_000, &mut |first, payload| history.next(first, payload));
    forged.expect("made");
    let (port, data) = (format!("10.1.1.1:{PORT}"), store.display());
    let ask = |limit_kib: u32| {
        let who = format!("exec {} who {port} --limit 1000000 --json --data {data}", env!("CARGO_BIN_EXE_portplex"));
        Command::new("sh").args(["-c", &format!("ulimit -d {limit_kib} && {who}")]).output().expect("runs")
    };
    let output = ask(DATA_MAX_KIB);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    // All of it was read: the first hold is among them.
    assert_eq!(holders(&told).len(), usize::try_from(FRAMES / 202).expect("small"), "{}", told["answer"]);
    assert!(!ask(1 << 10).status.success(), "the limit is one");
}
