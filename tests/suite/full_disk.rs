//! A file system that runs full under load: nothing acknowledged is lost, no open is refused, and
//! when there is room again everything goes on by itself.

use crate::images::image::{Image, Mounted, command, text};
use crate::kills::{Told, Victim, run, run_well};
use crate::random::Random;
use crate::requirements::{Requirement, count, has, say, seed};
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::time::Duration;

/// Small enough to be full after seconds.
const IMAGE_SIZE: u64 = 3 << 20;
const BALLAST_SIZE: usize = 1 << 20;
const KILLS: u64 = 50;
/// On the tmpfs.
const KILLS_ELSEWHERE: u64 = 8;
/// What the store and the ballast have on the tmpfs.
const ROOM: u64 = 3 << 20;
/// How far a run gets at most before it is killed, in bytes of what it tells.
const TOLD_BYTES_MAX: u64 = 60_000;
/// On the tmpfs.
const TOLD_BYTES_MAX_ELSEWHERE: u64 = 20_000;
/// What a run tells of a request that was turned down for want of room.
const FULL: &str = "\"storage-full\"";

/// What it tells of one that got something.
const GRANTED: &str = "\"grants\"";

/// A small file system with ballast that can be thrown out.
struct Small {
    mounted: Mounted,
    ballast: PathBuf,
    // The last to go: what is mounted in it goes first.
    scratch: tempfile::TempDir,
}

impl Small {
    fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let image = Image::make(scratch.path().join("image"), IMAGE_SIZE);
        let mounted = image.mount(&scratch.path().join("mounted"));
        Self::with_ballast(scratch, mounted)
    }

    fn tmpfs() -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let mounted = Mounted::in_memory(&scratch.path().join("mounted"), ROOM);
        Self::with_ballast(scratch, mounted)
    }

    fn with_ballast(scratch: tempfile::TempDir, mounted: Mounted) -> Self {
        let ballast = mounted.path().join("ballast");
        fs::write(&ballast, vec![1; BALLAST_SIZE]).expect("room for the ballast");
        OpenOptions::new().write(true).open(&ballast).and_then(|file| file.sync_all()).expect("synced");
        Self { mounted, ballast, scratch }
    }

    fn store(&self) -> Told {
        let store = Told::new(self.mounted.path().join("store"));
        store.init("64KiB");
        store
    }

    /// ext4 gives blocks out again after the removal is in its journal.
    fn make_room(&self) {
        fs::remove_file(&self.ballast).expect("the ballast goes");
        command("sync", &["--file-system", text(self.mounted.path())]);
    }

    fn start(&self, store: &Told, seed: u64, ops: &str) -> Victim {
        let seed = seed.to_string();
        let words = ["store", "exercise", store.path(), "--seed", &seed, "--ops", ops, "--callers", "4"];
        Victim::start(
            self.scratch.path(),
            &[&words[..], &["--quarantine", "20", "--checkpoint-bytes", "128KiB"]].concat(),
        )
    }
}

#[test]
fn a_file_system_that_runs_full_under_kills_loses_nothing_and_recovers_by_itself() {
    if has(Requirement::Loop, "a small file system that runs full") {
        run_full_under_kills(&Small::new(), "ext4", KILLS, TOLD_BYTES_MAX);
    }
}

#[test]
fn a_tmpfs_that_runs_full_under_kills_loses_nothing_and_recovers_by_itself() {
    if has(Requirement::Loop, "a small tmpfs that runs full") {
        run_full_under_kills(&Small::tmpfs(), "tmpfs", KILLS_ELSEWHERE, TOLD_BYTES_MAX_ELSEWHERE);
    }
}

fn run_full_under_kills(small: &Small, name: &str, kills: u64, told_max: u64) {
    let seed = seed(&format!("a full {name}"));
    let mut random = Random::new(seed);
    let mut store = small.store();
    let mut full = 0;
    for round in 0..kills {
        let mut victim = small.start(&store, random.next() >> 1, "10000000");
        let bytes = random.below(told_max);
        let got_there = victim.wait_until(|victim| victim.has_told(bytes));
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        let ended = victim.kill();
        let context = format!("PORTPLEX_SEED={seed} round {round}");
        assert!(got_there && ended.was_killed(), "{context}: ended by itself with {}: {}", ended.status, ended.err);
        full += u64::from(ended.out.contains(FULL));
        store.check(&ended).unwrap_or_else(|fault| panic!("{context}: {fault}"));
    }
    let grants = store.model.counts.grants;
    count("kills_on_full_file_systems", kills);
    say(&format!("a full {name}: {full} of {kills} killed runs met it; {grants} grants meanwhile"));
    assert!(full * 4 >= kills, "it was full for a good part of the time: {full} of {kills}");
    small.make_room();
    let ended = small.start(&store, seed >> 1, "2000").end();
    assert_eq!(ended.code(), Some(0), "PORTPLEX_SEED={seed} with room again: {}", ended.err);
    store.check(&ended).unwrap_or_else(|fault| panic!("PORTPLEX_SEED={seed} with room again: {fault}"));
    assert!(store.model.counts.grants > grants, "PORTPLEX_SEED={seed}: grants resume: {:?}", store.model.counts);
    run_well(&["store", "verify", store.path()]).expect("a whole store");
}

#[test]
fn a_running_store_goes_on_by_itself_when_there_is_room_again() {
    if !has(Requirement::Loop, "room that comes back under a running store") {
        return;
    }
    let seed = seed("room again");
    let small = Small::new();
    let mut store = small.store();
    let mut victim = small.start(&store, seed >> 1, "10000000");
    let told = small.scratch.path().join("told");
    let lines = || fs::read_to_string(&told).unwrap_or_default();
    let pause = || std::thread::sleep(Duration::from_millis(20));
    let ran_full = victim.wait_until(|_| {
        pause();
        lines().contains(FULL)
    });
    assert!(ran_full, "PORTPLEX_SEED={seed}: it never ran full");
    small.make_room();
    let before = lines().len();
    let resumed = victim.wait_until(|_| {
        pause();
        lines().get(before..).is_some_and(|text| text.matches(GRANTED).count() > 50)
    });
    let ended = victim.kill();
    assert!(resumed, "PORTPLEX_SEED={seed}: it ended instead of going on: {}", ended.err);
    store.check(&ended).unwrap_or_else(|fault| panic!("PORTPLEX_SEED={seed}: {fault}"));
}

#[test]
fn a_file_system_that_may_not_be_written_is_named_and_nothing_changes() {
    if !has(Requirement::Loop, "a file system mounted read-only") {
        return;
    }
    let small = Small::new();
    let store = small.store();
    assert_eq!(small.start(&store, 1, "200").end().code(), Some(0));
    let before = run_well(&["store", "dump", store.path()]).expect("a dump");
    command("mount", &["-o", "remount,ro", text(small.mounted.path())]);
    let ended = run(&["store", "exercise", store.path(), "--seed", "1", "--ops", "10"]);
    assert_eq!(ended.code(), Some(74), "{}", ended.err);
    assert!(ended.err.contains("read-only"), "the cause is not named: {}", ended.err);
    assert_eq!(run_well(&["store", "dump", store.path()]).expect("a dump"), before, "reading verbs work");
    command("mount", &["-o", "remount,rw", text(small.mounted.path())]);
    assert_eq!(small.start(&store, 2, "50").end().code(), Some(0), "and it opens again");
}

#[test]
fn inodes_that_run_out_are_named_as_such() {
    if !has(Requirement::Loop, "a file system without inodes") {
        return;
    }
    let scratch = tempfile::tempdir().expect("a directory");
    let image = Image::make_with(scratch.path().join("image"), 8 << 20, &["-N", "64"]);
    let mounted = image.mount(&scratch.path().join("mounted"));
    let store = Told::new(mounted.path().join("store"));
    store.init("64KiB");
    let mut files = 0;
    while fs::write(mounted.path().join(format!("file{files}")), b"").is_ok() {
        files += 1;
    }
    assert!(files > 5, "the file system had inodes");
    let fill = |ops: &str| run(&["store", "exercise", store.path(), "--seed", "3", "--ops", ops, "--json"]);
    let ended = fill("3000");
    assert_eq!(ended.code(), Some(0), "it goes on without granting: {}", ended.err);
    assert!(ended.out.contains(FULL), "grants are refused when no further segment can be made");
    for file in 0..files {
        fs::remove_file(mounted.path().join(format!("file{file}"))).expect("gone");
    }
    let ended = fill("3000");
    assert_eq!(ended.code(), Some(0), "{}", ended.err);
    run_well(&["store", "verify", store.path()]).expect("a whole store");
}
