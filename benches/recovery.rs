//! How long an open takes, by length of the log and by size of the checkpoint, beside reading the same
//! bytes and checksumming them.
//!
//! Every open is a process of its own, so that its peak memory can be told. The store was dropped
//! without a close before, as a kill leaves it, or closed with a checkpoint. Files are in the page
//! cache for both. Each open must find every grant.
//!
//! `cargo bench --bench recovery` prints one table; with `-- --test` it makes one short pass.

mod embedded;
mod figures;
mod rules;

use embedded::{Asker, GROUPS, log_only, options, records};
use figures::{Table, is_smoke, now, since, whole};
use portplex::disk::{Access, Disk, RealDisk};
use portplex::facility::{Facility, LocalFacility, Options};
use portplex::structure::{Grant, Item};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// How often each store is opened and read: the median counts.
const TIMES: usize = 5;
const LISTS: u32 = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, verb, dir] = &arguments[..] {
        match verb.as_str() {
            "open" => return open(Path::new(dir)),
            "read" => return read(Path::new(dir)),
            _ => {}
        }
    }
    let whole_run: (&[u64], &[u64]) =
        (&[100, 10_000, 100_000, 1_000_000, 10_000_000], &[1_000, 10_000, 100_000, 1_000_000]);
    let (logs, checkpoints) = if is_smoke() { (&[100_u64, 5_000][..], &[1_000_u64][..]) } else { whole_run };
    let columns: &[_] = &[
        "store",
        "grants",
        "MiB",
        "open ms",
        "records/s",
        "read + checksum ms",
        "of its rate",
        "peak MiB",
        "after MiB",
        "bytes/grant",
    ];
    let mut table = Table::new("recovery", columns);
    for &count in logs {
        let dir = tempfile::tempdir().expect("a directory");
        let (stored, held) = long_log(dir.path(), count);
        row(&mut table, &format!("log of {} records", whole(count as f64)), dir.path(), stored, held);
    }
    for &grants in checkpoints {
        let dir = tempfile::tempdir().expect("a directory");
        checkpointed(dir.path(), grants);
        row(&mut table, &format!("checkpoint of {} grants", whole(grants as f64)), dir.path(), 0, grants);
    }
    table.finish();
}

/// A log of about so many records, most of them grants and releases; returns how many there are, and the
/// grants held at its end.
fn long_log(dir: &Path, count: u64) -> (u64, u64) {
    let facility = Arc::new(LocalFacility::open(dir, &log_only()).expect("an empty store"));
    let asker = Asker::start(&facility, 1, 0, LISTS);
    let some = (count / 4).clamp(10, 16_384);
    loop {
        let mut grants: Vec<Grant> = Vec::new();
        asker.take(some, 8_192, |_, grant, _| grants.push(grant));
        let stored = records(&facility);
        if stored + some >= count {
            return (stored, some);
        }
        asker.give(&grants);
    }
}

/// A store that was closed with so many grants.
fn checkpointed(dir: &Path, grants: u64) {
    let facility = Arc::new(LocalFacility::open(dir, &options()).expect("an empty store"));
    let lists = u32::try_from(grants.div_ceil(GROUPS)).expect("few");
    let asker = Asker::start(&facility, 1, 0, lists);
    asker.take(grants, 8_192, |_, _, _| {});
    drop(asker);
    let facility = Arc::into_inner(facility).expect("nobody else has it");
    let closed = facility.close().expect("closed");
    assert!(closed.checkpoint.is_some(), "the close makes a checkpoint");
}

fn row(table: &mut Table, name: &str, dir: &Path, stored: u64, held: u64) {
    let measure = |verb: &str| {
        let mut all: Vec<[u64; 5]> = (0..TIMES).map(|_| child(verb, dir)).collect();
        all.sort_unstable();
        all[TIMES / 2]
    };
    let [read_ns, bytes, ..] = measure("read");
    let first = child("open", dir);
    assert_eq!((first[1], first[2]), (stored, held), "records replayed and grants found");
    let [open_ns, _, found, peak_kib, after_kib] = measure("open");
    assert_eq!(found, held);
    let (open, read) = (open_ns as f64 / 1e6, read_ns as f64 / 1e6);
    // What the process needs anyway would be most of it.
    let per_grant = match held {
        ..100_000 => "-".to_owned(),
        _ => format!("{:.0}", after_kib as f64 * 1_024.0 / held as f64),
    };
    table.row(vec![
        name.into(),
        whole(held as f64),
        format!("{:.1}", bytes as f64 / f64::from(1 << 20)),
        format!("{open:.1}"),
        whole(if stored == 0 { held } else { stored } as f64 / open * 1e3),
        format!("{read:.1}"),
        format!("{:.2}", read / open),
        format!("{:.1}", peak_kib as f64 / 1_024.0),
        format!("{:.1}", after_kib as f64 / 1_024.0),
        per_grant,
    ]);
}

/// Runs this program once more with a verb, and reads the five numbers that it prints.
fn child(verb: &str, dir: &Path) -> [u64; 5] {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).arg(verb).arg(dir).output().expect("it runs");
    assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let numbers: Vec<u64> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    numbers.try_into().expect("five numbers")
}

/// Opens for writing, as `serve` does; ns, records replayed, grants found, peak and present memory, KiB.
fn open(dir: &Path) {
    let options = Options { create: false, ..log_only() };
    let started = now();
    let facility = LocalFacility::open(dir, &options).expect("the store opens");
    let took = since(started);
    let (peak, after) = (memory_kib("VmHWM:"), memory_kib("VmRSS:"));
    let items = facility.list().expect("the state");
    let held = items.iter().filter(|item| matches!(item, Item::Grant { .. })).count();
    println!("{took} {} {held} {peak} {after}", facility.recovery().records);
}

/// Reads every file of log and checkpoints and checksums it; ns, bytes.
fn read(dir: &Path) {
    let started = now();
    let mut bytes = 0;
    for part in ["wal", "ckpt"] {
        read_all(&dir.join(part), &mut vec![0; 1 << 20], &mut bytes);
    }
    println!("{} {bytes} 0 0 0", since(started));
}

fn read_all(dir: &Path, buffer: &mut [u8], total: &mut u64) {
    for entry in RealDisk.list(dir).unwrap_or_default() {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            read_all(&path, buffer, total);
            continue;
        }
        if entry.name == "spare" {
            continue;
        }
        let file = RealDisk.open(&path, Access::Read).expect("it opens");
        let mut hasher = crc32fast::Hasher::new();
        let mut offset = 0;
        loop {
            let count = file.read_at(buffer, offset).expect("it can be read");
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            offset += count as u64;
        }
        std::hint::black_box(hasher.finalize());
        *total += offset;
    }
}

#[allow(clippy::disallowed_methods, reason = "no file of a store")]
fn memory_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0)
}
