//! The real binary as a child: started, watched, killed, and asked what it left.

use super::model::{Model, Run};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The binary under test.
pub(crate) const PORTPLEX: &str = env!("CARGO_BIN_EXE_portplex");
/// A child that runs longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a directory.
const LOOK: Duration = Duration::from_micros(30);
const SIGKILL: i32 = 9;

/// How a child ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn was_killed(&self) -> bool {
        self.status.signal() == Some(SIGKILL)
    }
}

/// Runs a verb to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    let output = Command::new(PORTPLEX).args(arguments).stdin(Stdio::null()).output().expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { status: output.status, out: text(&output.stdout), err: text(&output.stderr) }
}

/// Runs a verb that has to succeed; its standard output.
pub(crate) fn run_well(arguments: &[&str]) -> Result<String, String> {
    let Ended { status, out, err } = run(arguments);
    if status.success() { Ok(out) } else { Err(format!("portplex {arguments:?} ended with {status}: {}", err.trim())) }
}

/// A child whose output goes to files, so that nothing of it is lost when it dies.
pub(crate) struct Victim {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Victim {
    /// Starts the binary; `scratch` is a directory for its output.
    pub(crate) fn start(scratch: &Path, arguments: &[&str]) -> Self {
        Self::start_command(scratch, Command::new(PORTPLEX).args(arguments))
    }

    /// Starts any command.
    pub(crate) fn start_command(scratch: &Path, command: &mut Command) -> Self {
        let (out, err) = (scratch.join("told"), scratch.join("complaints"));
        let to = |path: &Path| File::create(path).expect("a file for output");
        let child = command.stdin(Stdio::null()).stdout(to(&out)).stderr(to(&err)).spawn().expect("the binary starts");
        Self { child, out, err }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it printed more than so many bytes.
    pub(crate) fn has_told(&self, bytes: u64) -> bool {
        fs::metadata(&self.out).is_ok_and(|metadata| metadata.len() > bytes)
    }

    /// Whether it holds a lock that keeps all others out.
    pub(crate) fn has_locked(&self) -> bool {
        let id = self.id().to_string();
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|words| {
            words.get(1) == Some(&"FLOCK") && words.get(3) == Some(&"WRITE") && words.get(4) == Some(&id.as_str())
        })
    }

    /// Looks again and again until `condition` holds. `false`: the child ended first.
    pub(crate) fn wait_until(&mut self, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let start = Instant::now();
        while !condition(self) {
            if self.has_ended() {
                return false;
            }
            assert!(start.elapsed() < PATIENCE, "the child neither gets there nor ends");
            std::thread::sleep(LOOK);
        }
        true
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Kills it at once and reads what it said.
    pub(crate) fn kill(mut self) -> Ended {
        // It may have ended a moment ago: then this has no effect, and the status says so.
        let _ = self.child.kill();
        self.reap()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() >= PATIENCE {
                let Ended { err, .. } = self.kill();
                panic!("the child hangs; it said: {err}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.reap()
    }

    fn reap(&mut self) -> Ended {
        let status = self.child.wait().expect("a child can be waited for");
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        Ended { status, out: text(&self.out), err: text(&self.err) }
    }
}

impl Drop for Victim {
    /// A test that fails leaves no child behind.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A store and all that was ever told about it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) dir: PathBuf,
    pub(crate) model: Model,
}

impl Told {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, model: Model::default() }
    }

    pub(crate) fn path(&self) -> &str {
        self.dir.to_str().expect("a path in UTF-8")
    }

    /// Makes the store.
    pub(crate) fn init(&self, segment_size: &str) {
        run_well(&["store", "init", self.path(), "--segment-size", segment_size]).expect("an empty store");
    }

    /// Learns from the output of a run and compares with what is on the disk.
    pub(crate) fn check(&mut self, ended: &Ended) -> Result<(), String> {
        let run = self.model.learn(&ended.out)?;
        self.compare(&run)
    }

    pub(crate) fn compare(&mut self, run: &Run) -> Result<(), String> {
        let dump = run_well(&["store", "dump", self.path()])?;
        self.model.compare(run, &dump).map_err(|faults| faults.join("\n"))
    }

    pub(crate) fn verify(&self) -> Result<(), String> {
        run_well(&["store", "verify", self.path()]).map(drop)
    }
}
