//! The power of a file system goes while a store works on it: ext4 and xfs have a call that drops
//! everything at once, as a test of their own journals. What is mounted afterwards is judged by what the
//! program had told.

use super::image::{FileSystem, Image, text};
use super::images;
use crate::kills::{Told, Victim};
use crate::random::Random;
use crate::requirements::{count, has, say, seed};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Cuts of each file system, unless `PORTPLEX_IMAGES` says how many.
const CUTS: u64 = 40;
/// Then a store is made anew.
const CUTS_PER_STORE: u64 = 20;
/// How far a run gets at most before the cut, in bytes of what it tells.
const TOLD_BYTES_MAX: u64 = 15_000;
/// What the file system does first: sync all it has, sync its journal, or nothing.
const WAYS: [(&str, u32); 3] = [("all synced", 0), ("journal synced", 1), ("nothing synced", 2)];

/// `EXT4_IOC_SHUTDOWN` and `XFS_IOC_GOINGDOWN` are one number. In Python, so that nothing here is unsafe.
const SCRIPT: &str = "
import fcntl, os, struct, sys
for line in sys.stdin:
    way, path = line.rstrip('\\n').split(' ', 1)
    dir = os.open(path, os.O_RDONLY)
    fcntl.ioctl(dir, 0x8004587D, struct.pack('I', int(way)))
    os.close(dir)
    print('cut', flush=True)
";

/// What cuts, ready at once.
struct Cutter {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Cutter {
    fn start() -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 runs");
        let (to, from) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Self { child, to, from: BufReader::new(from) }
    }

    fn cut(&mut self, mounted: &Path, way: u32) {
        writeln!(self.to, "{way} {}", text(mounted)).expect("it listens");
        let mut line = String::new();
        self.from.read_line(&mut line).expect("it answers");
        assert_eq!(line, "cut\n", "the file system was not cut off");
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        // It has ended already, then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_was_acknowledged_survives_when_the_power_of_an_ext4_goes() {
    cut_again_and_again(FileSystem::Ext4);
}

#[test]
fn what_was_acknowledged_survives_when_the_power_of_an_xfs_goes() {
    cut_again_and_again(FileSystem::Xfs);
}

fn cut_again_and_again(file_system: FileSystem) {
    if !has(file_system.requirement(), &format!("power cuts of {file_system:?}")) {
        return;
    }
    let (cuts, seed) = (images(CUTS), seed(&format!("power cuts of {file_system:?}")));
    let mut random = Random::new(seed);
    let mut cutter = Cutter::start();
    let scratch = tempfile::tempdir().expect("a directory");
    let (mut acknowledged, mut failed, mut checkpoints) = (0, 0, 0);
    let mut done = 0;
    while done < cuts {
        let image = Image::of(file_system, scratch.path().join("image"));
        let dir = scratch.path().join("mounted");
        let mut mounted = image.mount(&dir);
        let mut store = Told::new(dir.join("store"));
        store.init("64KiB");
        // An init counts when its directory is durable in its parent, which is the file system's root here.
        for _ in 0..CUTS_PER_STORE.min(cuts - done) {
            let (name, way) = *random.pick(&WAYS);
            let context = format!("PORTPLEX_SEED={seed} cut {done} of {file_system:?}, {name}");
            let mut victim = start(&store, scratch.path(), &mut random);
            let bytes = random.below(TOLD_BYTES_MAX);
            let got_there = victim.wait_until(|victim| victim.has_told(bytes));
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            cutter.cut(&dir, way);
            let ended = victim.end();
            assert!(got_there, "{context}: it ended before the cut: {}", ended.err);
            // A cut in a spare or a checkpoint is noticed at the next commit.
            assert_eq!(ended.code(), Some(74), "{context}: {}", ended.err);
            failed += u64::from(ended.out.contains("\"unknown\""));
            drop(mounted);
            mounted = image.mount(&dir);
            checkpoints += u64::from(has_checkpoint(&store.dir));
            let checked = store.check(&ended).and_then(|()| store.verify());
            checked.unwrap_or_else(|fault| panic!("{context}: {fault}"));
            done += 1;
        }
        let last = store.path().to_owned();
        let words = ["store", "exercise", &last, "--seed", "1", "--ops", "50", "--quarantine", "20"];
        let ended = Victim::start(scratch.path(), &words).end();
        assert_eq!(ended.code(), Some(0), "PORTPLEX_SEED={seed} after cut {done}: {}", ended.err);
        store.check(&ended).unwrap_or_else(|fault| panic!("PORTPLEX_SEED={seed} after cut {done}: {fault}"));
        acknowledged += store.model.counts.ok;
        drop(mounted);
    }
    say(&format!(
        "power cuts of {file_system:?}: {done}, of them {failed} with an outcome unknown, {checkpoints} with a \
         checkpoint; {acknowledged} answers"
    ));
    count(&format!("power_cuts_{file_system:?}").to_lowercase(), done);
    assert!(failed * 2 > done, "requests wait when the power goes: {failed} of {done}");
    assert!(checkpoints * 2 > done, "there are checkpoints in sled: {checkpoints} of {done}");
}

/// An exercise that lasts until the power goes.
fn start(store: &Told, scratch: &Path, random: &mut Random) -> Victim {
    let (seed, callers) = ((random.next() >> 1).to_string(), ["1", "4", "16"][random.index(3)]);
    let words = ["store", "exercise", store.path(), "--seed", &seed, "--ops", "10000000", "--callers", callers];
    Victim::start(scratch, &[&words[..], &["--quarantine", "20", "--checkpoint-bytes", "64KiB"]].concat())
}

/// Whether a checkpoint is in place.
fn has_checkpoint(store: &Path) -> bool {
    let mut entries = std::fs::read_dir(store.join("ckpt")).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u64>().is_ok()))
}
