//! Durable grants a second, beside what the disk itself can do in the same run.
//!
//! The floor writes one block of 4 KiB and syncs it, over and over, to a file that was filled with
//! zeros before, as a segment is. Then stacks take groups from an empty structure: callers that wait
//! for each answer, and one thread with many requests on their way. No group may be given twice; at
//! the end the facility is dropped without a close, the store is read again and must hold every grant
//! that was answered. Last, callers take and give back while a checkpoint of many grants is made.
//!
//! `cargo bench --bench commit` prints two tables; with `-- --test` it makes one short pass.

mod embedded;
mod figures;
mod rules;

use embedded::{Asker, GROUPS, Marks, check, options};
use figures::{Table, is_smoke, now, quantile, rate, since, whole};
use portplex::disk::{Disk, RealDisk};
use portplex::facility::LocalFacility;
use portplex::structure::Grant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const BLOCK: usize = 4_096;
const SEGMENT: u64 = 16 << 20;

/// How much is done.
struct Plan {
    floor: Duration,
    /// Callers, and how many grants each takes.
    callers: &'static [(u32, u64)],
    /// Requests on their way, and how many grants in all.
    pipelined: &'static [(usize, u64)],
    lists: u32,
    /// Grants in the checkpoint, and how long callers are watched with and without it.
    checkpoint: (u64, Duration),
}

const WHOLE: Plan = Plan {
    floor: Duration::from_secs(5),
    callers: &[(1, 20_000), (4, 20_000), (16, 10_000), (64, 10_000), (256, 4_000)],
    pipelined: &[(64, 200_000), (1_024, 1_000_000), (8_192, 1_000_000)],
    lists: 1_024,
    checkpoint: (1_000_000, Duration::from_secs(5)),
};

const SMOKE: Plan = Plan {
    floor: Duration::from_millis(50),
    callers: &[(1, 30), (16, 30)],
    pipelined: &[(64, 2_000), (1_024, 4_000)],
    lists: 8,
    checkpoint: (5_000, Duration::from_millis(200)),
};

/// What the disk does alone.
struct Floor {
    per_second: f64,
    p99_us: f64,
}

fn main() {
    let plan = if is_smoke() { SMOKE } else { WHOLE };
    let columns: &[_] =
        &["work", "durable/s", "of floor", "p50 µs", "p99 µs", "p99 of floor's", "grants/sync", "bytes/grant"];
    let mut table = Table::new("commit", columns);
    let floor = floor(&mut table, plan.floor);
    for &(callers, each) in plan.callers {
        by_callers(&mut table, &floor, callers, each);
    }
    for &(in_flight, grants) in plan.pipelined {
        pipelined(&mut table, &floor, in_flight, grants, plan.lists);
    }
    table.finish();
    beside_checkpoint(plan.checkpoint.0, plan.checkpoint.1);
}

fn floor(table: &mut Table, length: Duration) -> Floor {
    let dir = tempfile::tempdir().expect("a directory");
    let file = RealDisk.create(&dir.path().join("floor")).expect("a file");
    let zeros = vec![0; SEGMENT as usize];
    file.write_at(&zeros, 0).expect("room");
    file.sync_all().expect("synced");
    let mut times = Vec::new();
    let begun = now();
    let mut offset = 0;
    while begun.elapsed() < length {
        let started = now();
        file.write_at(&[0xa5; BLOCK], offset).expect("written");
        file.sync_data().expect("synced");
        times.push(since(started));
        offset = (offset + BLOCK as u64) % SEGMENT;
    }
    let per_second = rate(times.len() as u64, begun.elapsed());
    let (p50, p99) = (quantile(&mut times, 500), quantile(&mut times, 990));
    let one = || "1".to_owned();
    table.row(vec![
        "floor: write + sync".into(),
        whole(per_second),
        one(),
        p50,
        p99.clone(),
        one(),
        one(),
        "4,096".into(),
    ]);
    Floor { per_second, p99_us: p99.parse().expect("a number") }
}

/// Callers that each wait for each answer.
fn by_callers(table: &mut Table, floor: &Floor, callers: u32, each: u64) {
    let lists = u32::try_from(each.div_ceil(GROUPS)).expect("few");
    let name = if callers == 1 { "1 caller".to_owned() } else { format!("{callers} callers") };
    run(table, floor, &name, callers, lists, |asker, taken| asker.take(each, 1, taken));
}

/// One thread with many requests on their way.
fn pipelined(table: &mut Table, floor: &Floor, in_flight: usize, grants: u64, lists: u32) {
    run(table, floor, &format!("{} in flight", whole(in_flight as f64)), 1, lists, |asker, taken| {
        asker.take(grants, in_flight, taken);
    });
}

fn run(
    table: &mut Table,
    floor: &Floor,
    name: &str,
    callers: u32,
    lists: u32,
    work: impl Fn(&Asker, &mut dyn FnMut(u32, Grant, u64)) + Sync,
) {
    let dir = tempfile::tempdir().expect("a directory");
    let facility = Arc::new(LocalFacility::open(dir.path(), &options()).expect("an empty store"));
    let askers: Vec<Asker> =
        (0..callers).map(|number| Asker::start(&facility, number, number * lists, lists)).collect();
    let before = facility.readings();
    let begun = now();
    let results: Vec<Vec<(u32, Grant, u64)>> = thread::scope(|scope| {
        let work = &work;
        let one = |asker| {
            scope.spawn(move || {
                let mut results = Vec::new();
                work(asker, &mut |list, grant, ns| results.push((list, grant, ns)));
                results
            })
        };
        let threads: Vec<_> = askers.iter().map(one).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let took = begun.elapsed();
    let after = facility.readings();
    let mut marks = Marks::new(callers * lists);
    results.iter().flatten().for_each(|(list, grant, _)| marks.mark(*list, grant));
    let mut times: Vec<u64> = results.iter().flatten().map(|(_, _, ns)| *ns).collect();
    let grants = times.len() as u64;
    assert_eq!(after.records - before.records, grants, "one record for each grant");
    drop(askers);
    drop(facility);
    check(dir.path(), grants);
    let per_second = rate(grants, took);
    let (p50, p99) = (quantile(&mut times, 500), quantile(&mut times, 990));
    let p99_of_floor = p99.parse::<f64>().expect("a number") / floor.p99_us;
    table.row(vec![
        name.into(),
        whole(per_second),
        format!("{:.2}", per_second / floor.per_second),
        p50,
        p99,
        format!("{p99_of_floor:.1}"),
        format!("{:.1}", grants as f64 / (after.frames - before.frames) as f64),
        format!("{:.1}", (after.appended_bytes - before.appended_bytes) as f64 / grants as f64),
    ]);
}

/// What callers feel of a checkpoint.
fn beside_checkpoint(grants: u64, length: Duration) {
    const CALLERS: u32 = 16;
    const LISTS: u32 = 8;
    let dir = tempfile::tempdir().expect("a directory");
    let facility = Arc::new(LocalFacility::open(dir.path(), &options()).expect("an empty store"));
    let lists = u32::try_from(grants.div_ceil(GROUPS)).expect("few");
    Asker::start(&facility, CALLERS, CALLERS * LISTS, lists).take(grants, 8_192, |_, _, _| {});
    facility.checkpoint_now().expect("a checkpoint");
    let askers: Vec<Asker> =
        (0..CALLERS).map(|number| Asker::start(&facility, number, number * LISTS, LISTS)).collect();
    let mut table =
        Table::new("checkpoint", &["16 callers, take and give back", "grants/s", "p50 µs", "p99 µs", "p99 of alone"]);
    let mut alone_us = 0.0;
    for checkpoints in [false, true] {
        let stop = AtomicBool::new(false);
        let begun = now();
        let (mut times, made): (Vec<u64>, u64) = thread::scope(|scope| {
            let threads: Vec<_> = askers.iter().map(|asker| scope.spawn(|| turns(asker, &stop))).collect();
            let mut made = 0;
            while begun.elapsed() < length || (checkpoints && made == 0) {
                if checkpoints {
                    facility.checkpoint_now().expect("a checkpoint");
                    made += 1;
                } else {
                    thread::sleep(length);
                }
            }
            stop.store(true, Ordering::SeqCst);
            (threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect(), made)
        });
        let per_second = rate(times.len() as u64, begun.elapsed());
        let (p50, p99) = (quantile(&mut times, 500), quantile(&mut times, 990));
        let p99_us: f64 = p99.parse().expect("a number");
        let name = if checkpoints {
            format!("beside {made} checkpoints of {} grants", whole(grants as f64))
        } else {
            alone_us = p99_us;
            "alone".into()
        };
        table.row(vec![name, whole(per_second), p50, p99, format!("{:.1}", p99_us / alone_us)]);
    }
    table.finish();
    drop(askers);
    drop(facility);
    check(dir.path(), grants);
}

/// Takes and gives back until told; the ns of each acquire.
fn turns(asker: &Asker, stop: &AtomicBool) -> Vec<u64> {
    let mut times = Vec::new();
    for member in asker.members.iter().cycle() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let asked = now();
        let grant = asker.connection.acquire(*member, 1, 1).expect("granted").value[0];
        times.push(since(asked));
        asker.connection.release(*member, grant.group, grant.lsn, grant.mask).expect("released");
    }
    times
}
