//! The same work on Portplex and on stores that people would use instead, side by side in one run.
//!
//! The work: durably take the next free group of a DVIPA for a stack, then give it back; 64 DVIPAs of
//! 1,008 groups; 1, 16 and 64 callers that each wait for each answer. Every peer is used as a careful
//! user would: prepared statements, indices, and where a store has one writer, a thread in front of it
//! that puts all that waits into one transaction. A table with a word for each group hears of every
//! grant before it is given back: a group in two hands ends the run. At the end each peer is asked
//! what it still holds: nothing.
//!
//! Servers are started on loopback in a temporary directory and stopped again; one that is not
//! installed is named in the table. `benches/peers/run` prints the table; with `--test` it makes one
//! short pass. Names as further arguments choose peers.

mod batched;
mod embedded;
mod etcd;
#[path = "../../figures.rs"]
mod figures;
mod fjall_store;
mod free;
mod portplex_peer;
mod postgres_peer;
mod redb_store;
mod redis_peer;
mod server;
mod sled_store;
mod sqlite_store;
mod work;

use figures::{Table, now, quantile, rate, since, whole};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;
use work::{Measured, Peer, measure};

/// How a peer is started in an empty directory; the error says what is missing.
type Start = fn(&Path) -> Result<Box<dyn Peer>, String>;

const PORTPLEX: [&str; 2] = ["Portplex, embedded", "Portplex, service"];

const PEERS: &[(&str, Start)] = &[
    (PORTPLEX[0], embedded::start),
    ("SQLite, WAL, FULL", |dir| batched::start(sqlite_store::Sqlite::open(dir))),
    ("redb", |dir| batched::start(redb_store::Redb::open(dir))),
    ("fjall, SyncAll", |dir| batched::start(fjall_store::Fjall::open(dir))),
    ("sled, flush + fsync", |dir| batched::start(sled_store::Sled::open(dir))),
    (PORTPLEX[1], portplex_peer::start),
    ("etcd, Txn", etcd::start),
    ("PostgreSQL, SKIP LOCKED", |dir| postgres_peer::start(dir, postgres_peer::Way::SkipLocked)),
    ("PostgreSQL, EXCLUDE", |dir| postgres_peer::start(dir, postgres_peer::Way::Exclude)),
    ("Redis, Lua, AOF always", redis_peer::start),
];

const CALLERS: [u32; 3] = [1, 16, 64];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = arguments.iter().any(|argument| argument == "--test");
    let length = if smoke { Duration::from_millis(300) } else { Duration::from_secs(5) };
    let wanted: Vec<String> =
        arguments.iter().filter(|argument| !argument.starts_with("--")).map(|name| name.to_lowercase()).collect();
    let columns: &[_] = &[
        "peer",
        "1 caller/s",
        "of floor",
        "16 callers/s",
        "64 callers/s",
        "p50 µs at 64",
        "p99 µs at 64",
        "embedded / it",
        "service / it",
    ];
    let mut table = Table::new("peers", columns);
    let floor = floor(&mut table, length);
    let mut results: Vec<(&str, Result<Vec<Measured>, String>)> = Vec::new();
    for (name, start) in PEERS {
        if wanted.is_empty() || wanted.iter().any(|part| name.to_lowercase().contains(part)) {
            results.push((name, run(*start, length)));
            eprintln!(
                "{name}: {}",
                if results.last().is_some_and(|(_, result)| result.is_ok()) { "done" } else { "missing" }
            );
        }
    }
    let at_64 = |wanted: &str| {
        let found = results.iter().find(|(name, _)| *name == wanted)?;
        found.1.as_ref().ok().map(|measured| measured[2].per_second)
    };
    let portplex = PORTPLEX.map(at_64);
    for (name, result) in &results {
        let none = || "-".to_owned();
        table.row(match result {
            Ok(measured) => {
                let last = &measured[2];
                let ratio = |of: Option<f64>| of.map_or_else(none, |of| format!("{:.1}", of / last.per_second));
                vec![
                    (*name).to_owned(),
                    whole(measured[0].per_second),
                    // Two durable steps for each grant: it is taken and given back.
                    format!("{:.2}", 2.0 * measured[0].per_second / floor),
                    whole(measured[1].per_second),
                    whole(last.per_second),
                    last.p50.clone(),
                    last.p99.clone(),
                    ratio(portplex[0]),
                    ratio(portplex[1]),
                ]
            }
            Err(missing) => {
                let mut row = vec![format!("{name}: {missing}")];
                row.extend((1..columns.len()).map(|_| none()));
                row
            }
        });
    }
    table.finish();
}

fn run(start: Start, length: Duration) -> Result<Vec<Measured>, String> {
    let dir = work::directory()?;
    let peer = start(dir.path())?;
    Ok(CALLERS.map(|callers| measure(&*peer, callers, length)).into_iter().collect())
}

/// One block written and synced, over and over, to a file full of zeros: what the disk can do. Returns
/// how often a second.
fn floor(table: &mut Table, length: Duration) -> f64 {
    const SIZE: u64 = 16 << 20;
    let file: File = tempfile::tempfile().expect("a file");
    file.write_all_at(&vec![0; SIZE as usize], 0).expect("room");
    file.sync_all().expect("synced");
    let (mut times, mut offset, begun) = (Vec::new(), 0, now());
    while begun.elapsed() < length {
        let started = now();
        file.write_all_at(&[0xa5; 4_096], offset).expect("written");
        file.sync_data().expect("synced");
        times.push(since(started));
        offset = (offset + 4_096) % SIZE;
    }
    let per_second = rate(times.len() as u64, begun.elapsed());
    let none = || "-".to_owned();
    let (p50, p99) = (quantile(&mut times, 500), quantile(&mut times, 990));
    let name = "floor: one write + sync".to_owned();
    table.row(vec![name, whole(per_second), "1".into(), none(), none(), p50, p99, none(), none()]);
    per_second
}
