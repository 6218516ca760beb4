//! Power cuts on a real file system: the image under a mounted ext4 is copied, and what the copy
//! has is what a disk would have had.
//!
//! sled does its own I/O, which no simulated disk sees: this is the test of the checkpoint's syncs.
//! The same test on sled alone fails, which shows that it can.

use crate::kills::{Random, Told, Victim, run_well};
use crate::requirements::{Requirement, has, say, seed};
use portplex::facility::{Facility as _, LocalFacility, Machine, Options, inspect};
use portplex::ident::{ConnectorName, Identity, Lsn, PortSet, Target, Transport};
use portplex::structure::{Grant, Introduction, Item};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const IMAGE_SIZE: u64 = 24 << 20;
const IMAGES: usize = 20;
/// Images of one file system: it lives for less than the kernel's own write-back takes.
const IMAGES_PER_SYSTEM: usize = 4;
/// How often an image is read until two readings agree.
const READINGS_MAX: usize = 5;

/// A file with an ext4 in it.
struct Image(PathBuf);

impl Image {
    fn make(path: PathBuf, size: u64) -> Self {
        File::create(&path).and_then(|file| file.set_len(size)).expect("a file for the image");
        command("mkfs.ext4", &["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", text(&path)]);
        Self(path)
    }

    /// The power goes: what is in the file now is what the disk has; nothing is synced. Read until
    /// two readings agree, so that it is the image of one moment.
    fn cut(&self, copy: PathBuf) -> Self {
        let mut bytes = fs::read(&self.0).expect("the image");
        for _ in 1..READINGS_MAX {
            let again = fs::read(&self.0).expect("the image");
            if again == bytes {
                break;
            }
            bytes = again;
        }
        fs::write(&copy, &bytes).expect("room for a copy");
        Self(copy)
    }

    fn mount(&self, dir: &Path) -> Mounted {
        fs::create_dir_all(dir).expect("a mount point");
        command("mount", &["-o", "loop,noatime", text(&self.0), text(dir)]);
        Mounted(dir.to_owned())
    }
}

/// A mounted image; the loop device goes with the mount.
struct Mounted(PathBuf);

impl Mounted {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for arguments in [vec!["-n"], vec!["-n"], vec!["-n", "-l"]] {
            if Command::new("umount").args(arguments).arg(&self.0).output().is_ok_and(|output| output.status.success())
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        say(&format!("{} is still mounted", self.0.display()));
    }
}

fn command(name: &str, arguments: &[&str]) {
    let output = Command::new(name).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn every_image_copied_after_a_checkpoint_was_published_opens_with_it() {
    if !has(Requirement::Loop, "checkpoints on crash images of ext4") {
        return;
    }
    let seed = seed("crash images");
    let mut random = Random::new(seed);
    let scratch = tempfile::tempdir().expect("a directory");
    let mut published = 0;
    for _ in 0..IMAGES.div_ceil(IMAGES_PER_SYSTEM) {
        let image = Image::make(scratch.path().join("image"), IMAGE_SIZE);
        let mounted = image.mount(&scratch.path().join("mounted"));
        let mut store = Busy::new(&mounted.path().join("store"));
        for _ in 0..IMAGES_PER_SYSTEM {
            let lsn = store.work(&mut random);
            let copy = image.cut(scratch.path().join("copy"));
            let state = store.facility.list().expect("answered");
            judge(&copy, &scratch.path().join("copy-mounted"), lsn, &state)
                .unwrap_or_else(|fault| panic!("PORTPLEX_SEED={seed} image {published}: {fault}"));
            published += 1;
        }
        drop(store);
    }
    assert_eq!(published, IMAGES);
}

/// Mounts a copy, which replays the file system's own log, and opens the store in it.
fn judge(copy: &Image, dir: &Path, lsn: Lsn, state: &[Item]) -> Result<(), String> {
    let mounted = copy.mount(dir);
    let store = mounted.path().join("store");
    let found = inspect(&Machine::real(), &store).map_err(|error| error.to_string())?;
    if found.report.checkpoint_lsn != lsn || !found.report.warnings.is_empty() {
        return Err(format!("the checkpoint at lsn {lsn} is not believed: {:?}", found.report));
    }
    if !found.structure.items().eq(state.iter().cloned()) {
        return Err(format!("another state: {:?}", found.report));
    }
    let facility = LocalFacility::open(&store, &options()).map_err(|error| error.to_string())?;
    let listed = facility.list().map_err(|error| error.to_string())?;
    if listed == state { Ok(()) } else { Err("another state after an open for writing".into()) }
}

fn options() -> Options {
    Options { segment_size: 64 << 10, create: true, checkpoint_at_close: false, ..Options::default() }
}

/// A store at work, with one stack.
struct Busy {
    facility: Arc<LocalFacility>,
    connection: portplex::facility::Connection,
    member: portplex::structure::Member,
    grants: Vec<Grant>,
}

impl Busy {
    fn new(dir: &Path) -> Self {
        let facility = Arc::new(LocalFacility::open(dir, &options()).expect("a new store"));
        let name = ConnectorName::new("SYS1.TCPIP").expect("a name");
        let stack = Introduction { name, identity: Identity::default(), promise_ms: 0, enforced: false };
        let connection = facility.connect(stack).expect("connects");
        let mut ports = PortSet::empty();
        ports.insert_range(1_024, 65_535);
        connection.set_allowable(Transport::Tcp, ports).expect("sets");
        let list = Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp);
        let member = connection.join(list).expect("joins").value.member;
        Self { facility, connection, member, grants: Vec::new() }
    }

    /// Grants and releases, some of them with the checkpoint's own segments, then a checkpoint.
    fn work(&mut self, random: &mut Random) -> Lsn {
        for _ in 0..20 + random.below(20) {
            if self.grants.len() > 100 || self.grants.len() > 10 && random.below(3) == 0 {
                let place = usize::try_from(random.below(self.grants.len() as u64)).expect("an index");
                let grant = self.grants.swap_remove(place);
                self.connection.release(self.member, grant.group, grant.lsn, grant.mask).expect("released");
            } else {
                self.grants.extend(self.connection.acquire(self.member, 1, 4).expect("granted").value);
            }
        }
        self.facility.checkpoint_now().expect("a checkpoint")
    }
}

#[test]
fn sled_alone_loses_what_it_flushed_on_some_crash_image() {
    if !has(Requirement::Loop, "sled alone on crash images of ext4") {
        return;
    }
    const TRIES: u64 = 10;
    let scratch = tempfile::tempdir().expect("a directory");
    let mut lost = 0;
    for round in 0..TRIES {
        let image = Image::make(scratch.path().join("image"), IMAGE_SIZE);
        let mounted = image.mount(&scratch.path().join("mounted"));
        let rows = 4_000 + round * 200;
        let db = write_with_sled_alone(mounted.path(), rows);
        let copy = image.cut(scratch.path().join("copy"));
        drop(db);
        let mounted = copy.mount(&scratch.path().join("copy-mounted"));
        lost += u64::from(!has_rows(&mounted.path().join("1"), rows));
    }
    say(&format!("crash images: sled alone lost what it had flushed in {lost} of {TRIES}"));
    assert!(lost >= 1, "this test could not fail: sled alone lost nothing in {TRIES} images");
}

/// What is durable and empty, and then rows that sled says it flushed. It stays open until the power
/// is cut: closing syncs its file, `flush` does not.
fn write_with_sled_alone(dir: &Path, rows: u64) -> sled::Db {
    let config = sled::Config::new().path(dir.join("1")).flush_every_ms(None);
    let db = config.open().expect("a new one");
    db.flush().expect("flushed");
    command("sync", &["--file-system", text(dir)]);
    for row in 0..rows {
        db.insert(row.to_be_bytes(), &[7; 32]).expect("inserted");
    }
    db.flush().expect("flushed");
    db
}

fn has_rows(dir: &Path, rows: u64) -> bool {
    // An open of what is not there would make it.
    let opened = dir.is_dir().then(|| sled::Config::new().path(dir).flush_every_ms(None).open());
    let Some(Ok(db)) = opened else { return false };
    let found = (0..rows).all(|row| db.get(row.to_be_bytes()).is_ok_and(|value| value.is_some_and(|v| v == [7; 32])));
    found && db.len() as u64 == rows
}

#[test]
fn a_full_file_system_is_named_and_loses_nothing_acknowledged() {
    if !has(Requirement::Loop, "a small file system that runs full") {
        return;
    }
    let seed = seed("a full file system");
    let scratch = tempfile::tempdir().expect("a directory");
    let image = Image::make(scratch.path().join("image"), 3 << 20);
    let mounted = image.mount(&scratch.path().join("mounted"));
    let ballast = mounted.path().join("ballast");
    fs::write(&ballast, vec![1; 1 << 20]).expect("room for the ballast");
    OpenOptions::new().write(true).open(&ballast).and_then(|file| file.sync_all()).expect("synced");
    let mut store = Told::new(mounted.path().join("store"));
    store.init("64KiB");
    let run = |store: &Told, ops: &str| {
        let seed = seed.to_string();
        let words = ["store", "exercise", store.path(), "--seed", &seed, "--ops", ops, "--callers", "4"];
        Victim::start(scratch.path(), &[&words[..], &["--quarantine", "20", "--checkpoint-bytes", "128KiB"]].concat())
            .end()
    };
    let mut fills = 0;
    while fills < 3 {
        let ended = run(&store, "1000000");
        let context = format!("PORTPLEX_SEED={seed} fill {fills}: {}", ended.err);
        assert!(matches!(ended.code(), Some(73 | 74)), "{:?}: {context}", ended.code());
        let names_it = ["no space is left", "no room"].iter().any(|words| ended.err.contains(words));
        assert!(names_it, "the cause is not named: {context}");
        store.check(&ended).unwrap_or_else(|fault| panic!("{fault}: {context}"));
        fills += 1;
    }
    fs::remove_file(&ballast).expect("made room");
    let ended = run(&store, "60");
    assert_eq!(ended.code(), Some(0), "PORTPLEX_SEED={seed} with room again: {}", ended.err);
    store.check(&ended).unwrap_or_else(|fault| panic!("PORTPLEX_SEED={seed} with room again: {fault}"));
    run_well(&["store", "verify", store.path()]).expect("a whole store");
    assert!(store.model.counts.grants > 5, "{:?}", store.model.counts);
}
