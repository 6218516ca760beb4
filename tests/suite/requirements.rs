//! What a test needs of the machine, and how it says loudly that it was skipped.
//!
//! A missing tool skips a test on a person's machine. Where `PORTPLEX_CI=1` it fails, unless
//! `PORTPLEX_CI_WITHOUT` names it (comma-separated): then the test is skipped even if it could run.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// Root, loop devices, mkfs.ext4, mount and python3.
    Loop,
    /// The same with mkfs.xfs, and a kernel that has xfs.
    Xfs,
    /// strace, and being allowed to trace one's own children.
    Strace,
    /// Root, `ip` that makes network namespaces, and python3.
    Netns,
    /// systemd-analyze, which knows unit files.
    Systemd,
    /// promtool, of Debian's package prometheus.
    Promtool,
}

impl Requirement {
    const fn name(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::Xfs => "xfs",
            Self::Strace => "strace",
            Self::Netns => "netns",
            Self::Systemd => "systemd",
            Self::Promtool => "promtool",
        }
    }

    /// Why it cannot be used here.
    fn lack(self) -> Option<&'static str> {
        match self {
            Self::Loop | Self::Xfs if !rustix::process::geteuid().is_root() => Some("not root"),
            Self::Loop | Self::Xfs if !Path::new("/dev/loop-control").exists() => Some("no loop devices"),
            Self::Loop if !runs("mkfs.ext4", &["-V"]) => Some("no mkfs.ext4"),
            Self::Xfs if !runs("mkfs.xfs", &["-V"]) => Some("no mkfs.xfs (xfsprogs)"),
            Self::Xfs if !kernel_has("xfs") => Some("the kernel has no xfs"),
            Self::Loop | Self::Xfs if !runs("mount", &["-V"]) || !runs("umount", &["-V"]) => Some("no mount"),
            Self::Loop | Self::Xfs if !runs("python3", &["-V"]) => Some("no python3"),
            Self::Strace if !runs("strace", &["-o", "/dev/null", "true"]) => Some("strace does not run"),
            Self::Netns if !rustix::process::geteuid().is_root() => Some("not root"),
            Self::Netns if !runs("ip", &["-V"]) => Some("no ip (iproute2)"),
            Self::Netns if !runs("python3", &["-V"]) => Some("no python3"),
            Self::Netns if !runs("unshare", &["-n", "true"]) => Some("no network namespaces here"),
            Self::Systemd if !runs("systemd-analyze", &["--version"]) => Some("no systemd-analyze"),
            Self::Promtool if !runs("promtool", &["--version"]) => Some("no promtool"),
            Self::Loop | Self::Xfs | Self::Strace | Self::Netns | Self::Systemd | Self::Promtool => None,
        }
    }
}

/// Whether `test` can run. If not, says so past the test harness, which keeps what passing tests say.
///
/// Panics if it cannot run and has to.
pub(crate) fn has(requirement: Requirement, test: &str) -> bool {
    let name = requirement.name();
    let without = std::env::var("PORTPLEX_CI_WITHOUT").unwrap_or_default();
    let is_excused = without.split(',').any(|word| word.trim() == name);
    let why = if is_excused { Some("PORTPLEX_CI_WITHOUT names it") } else { requirement.lack() };
    let Some(why) = why else { return true };
    let must = std::env::var("PORTPLEX_CI").is_ok_and(|value| value == "1");
    assert!(is_excused || !must, "{test} needs `{name}`: {why}; name it in PORTPLEX_CI_WITHOUT to go without");
    say(&format!("SKIPPED {test}: needs `{name}`: {why}"));
    false
}

/// Says something on standard error even if the test passes.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "\n{line}");
}

/// Notes how much a long run did: one JSON line more in the file that `PORTPLEX_COUNTERS` names.
pub(crate) fn count(what: &str, times: u64) {
    let Ok(path) = std::env::var("PORTPLEX_COUNTERS") else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    let line = format!("{{\"{what}\":{times}}}\n");
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("PORTPLEX_COUNTERS is a file");
}

/// The seed of a test: `PORTPLEX_SEED`, or another one each time; said, so that a run can be repeated.
pub(crate) fn seed(test: &str) -> u64 {
    let given = std::env::var("PORTPLEX_SEED").ok();
    let seed = match given.as_deref().map(str::parse) {
        Some(seed) => seed.expect("PORTPLEX_SEED is a number"),
        None => u64::from(std::process::id()) << 20 ^ clock_ns(),
    };
    eprintln!("{test}: PORTPLEX_SEED={seed}");
    seed
}

fn clock_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec.unsigned_abs().wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec.unsigned_abs())
}

/// Whether the kernel has a file system, or can load it.
fn kernel_has(file_system: &str) -> bool {
    let has = || std::fs::read_to_string("/proc/filesystems").is_ok_and(|text| text.contains(file_system));
    has() || runs("modprobe", &[file_system]) && has()
}

fn runs(command: &str, arguments: &[&str]) -> bool {
    let status = Command::new(command).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
