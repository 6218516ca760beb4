//! Power cuts on real file systems, ext4 and xfs: the image under a mounted one is copied, and what the
//! copy has is what a disk would have had; or the file system is told to stop at once.
//!
//! `PORTPLEX_IMAGES` says how many there are of each kind on each file system (20 copies, 40 stops).
//!
//! sled does its own I/O, which no simulated disk sees: this is the test of the checkpoint's syncs.
//! The same test on sled alone fails, which shows that it can.

mod cut;
pub(crate) mod image;

use crate::random::Random;
use crate::requirements::{Requirement, count, has, say, seed};
use image::{FileSystem, Image, command, text};
use portplex::facility::{Facility as _, LocalFacility, Machine, Options, inspect};
use portplex::ident::{ConnectorName, Identity, Lsn, PortSet, Target, Transport};
use portplex::structure::{Grant, Introduction, Item};
use std::path::Path;
use std::sync::Arc;

const IMAGE_SIZE: u64 = 24 << 20;
const IMAGES: u64 = 20;
/// Images of one file system: it lives for less than the kernel's own write-back takes.
const IMAGES_PER_SYSTEM: u64 = 4;

/// How many: `PORTPLEX_IMAGES`, or so many.
fn images(default: u64) -> u64 {
    let given = std::env::var("PORTPLEX_IMAGES").ok();
    given.map_or(default, |text| text.parse().expect("PORTPLEX_IMAGES is a number"))
}

#[test]
fn every_ext4_copied_after_a_checkpoint_was_published_opens_with_it() {
    copies_open_with_their_checkpoint(FileSystem::Ext4);
}

#[test]
fn every_xfs_copied_after_a_checkpoint_was_published_opens_with_it() {
    copies_open_with_their_checkpoint(FileSystem::Xfs);
}

fn copies_open_with_their_checkpoint(file_system: FileSystem) {
    if !has(file_system.requirement(), &format!("checkpoints on crash images of {file_system:?}")) {
        return;
    }
    let (images, seed) = (images(IMAGES), seed("crash images"));
    let mut random = Random::new(seed);
    let scratch = tempfile::tempdir().expect("a directory");
    let mut published = 0;
    for _ in 0..images.div_ceil(IMAGES_PER_SYSTEM) {
        let image = Image::of(file_system, scratch.path().join("image"));
        let mounted = image.mount(&scratch.path().join("mounted"));
        let mut store = Busy::new(&mounted.path().join("store"));
        for _ in 0..IMAGES_PER_SYSTEM.min(images - published) {
            let lsn = store.work(&mut random);
            let copy = image.cut(scratch.path().join("copy"));
            let state = store.facility.list().expect("answered");
            judge((&copy, file_system), &scratch.path().join("copy-mounted"), lsn, &state)
                .unwrap_or_else(|fault| panic!("PORTPLEX_SEED={seed} image {published}: {fault}"));
            published += 1;
        }
        drop(store);
    }
    count(&format!("images_{file_system:?}").to_lowercase(), published);
    assert_eq!(published, images);
}

/// Mounts a copy, which replays the file system's own log, and opens the store in it.
fn judge((copy, file_system): (&Image, FileSystem), dir: &Path, lsn: Lsn, state: &[Item]) -> Result<(), String> {
    let mounted = copy.mount_copy(file_system, dir);
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
