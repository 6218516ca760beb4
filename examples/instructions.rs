//! Does one kind of work many times, so that its instructions can be counted: `instructions WORK`.
//!
//! Run under callgrind, which counts what happens inside `counted_part` and nothing else. What was set up
//! before, and the checks after, are not in it. `.ci/instructions` compares the counts.

#[path = "../benches/host.rs"]
mod host;
#[path = "../benches/rules.rs"]
mod rules;

use host::{ADDRESS, Host};
use portplex::facility::SetClock;
use portplex::ident::{BootId, BootMs, Dvipa, Lsn, StructureName, WallMs};
use portplex::record::Records;
use portplex::structure::Structure;
use portplex::wal::frame::{FrameHeader, decode, encode};
use rules::{GROUPS, Scene};
use std::hint::black_box;
use std::sync::Arc;

/// How often the work is done; every count is of so many.
const TURNS: u32 = 1_000;
/// Records of a frame.
const RECORDS: u32 = 128;
/// Bytes of a grant's record.
const RECORD_SIZE: usize = 21;

const WORKS: &[(&str, fn())] = &[
    ("decide-empty", || turns(Scene::filled(1, 0))),
    ("decide-50-percent", || turns(Scene::filled(1, GROUPS / 2))),
    ("decide-99-percent", || turns(Scene::filled(1, 997))),
    ("decide-1000-lists", || turns(Scene::filled(1_000, 0))),
    ("decide-100000-lists", || turns(Scene::filled(100_000, 0))),
    ("decide-100-stacks", || turns(Scene::crowded(100))),
    ("decide-10000-stacks", || turns(Scene::crowded(10_000))),
    ("frame-encode", frame_encode),
    ("frame-decode", frame_decode),
    ("replay", replay),
    ("stack-bind", stack_bind),
];

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    match WORKS.iter().find(|(name, _)| *name == wanted) {
        Some((_, work)) => work(),
        None => {
            WORKS.iter().for_each(|(name, _)| println!("{name}"));
            std::process::exit(if wanted == "list" { 0 } else { 2 });
        }
    }
}

/// Callgrind collects inside this function.
#[inline(never)]
fn counted_part<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Acquire, release, end of quarantine.
fn turns(mut scene: Scene) {
    // What memory is reserved once is no cost of a turn.
    for _ in 0..TURNS {
        scene.turn();
    }
    counted_part(|| {
        for _ in 0..TURNS {
            black_box(scene.turn());
        }
    });
    scene.audited();
}

fn header() -> FrameHeader {
    FrameHeader {
        first: Lsn(1),
        count: RECORDS,
        durable: Lsn(0),
        epoch: 1,
        wall: WallMs(1),
        boot: BootMs(1),
        previous: 1,
    }
}

fn frame_encode() {
    let payload = vec![0xa5; RECORD_SIZE * RECORDS as usize];
    let mut bytes = Vec::with_capacity(1 << 16);
    let crc = counted_part(|| {
        let mut crc = 0;
        for salt in 0..TURNS {
            bytes.clear();
            crc = encode(&header(), black_box(&payload), salt, &mut bytes);
        }
        crc
    });
    assert_eq!(decode(&bytes, TURNS - 1).expect("a good frame").crc, crc);
}

fn frame_decode() {
    let payload = vec![0xa5; RECORD_SIZE * RECORDS as usize];
    let mut bytes = Vec::new();
    encode(&header(), &payload, 7, &mut bytes);
    let size =
        counted_part(|| (0..TURNS).map(|_| decode(black_box(&bytes), 7).expect("good").payload.len()).sum::<usize>());
    assert_eq!(size, payload.len() * TURNS as usize);
}

/// Three records for each turn, read and applied.
fn replay() {
    let mut scene = Scene::recorded(1);
    for _ in 0..TURNS {
        scene.turn();
    }
    let (payload, count) = scene.log();
    let mut structure = Structure::new(StructureName::default());
    counted_part(|| {
        let mut lsn = Lsn(0);
        for event in Records::new(black_box(payload), count) {
            lsn = lsn.next();
            structure.apply(lsn, BootMs(u64::from(count) * 1_000), &event.expect("a good record"));
        }
    });
    assert_eq!((structure.audit(), structure.lsn()), (Ok(()), scene.structure.lsn()));
}

/// A port of a group in hand, and back.
fn stack_bind() {
    let dvipa: Dvipa = ADDRESS.parse().expect("an address");
    // The machine's clock is read in a way that callgrind does not know.
    let host = Host::start(0, Arc::new(SetClock::new(BootId(1), 1)));
    let turn = || host.stack.release(black_box(host.stack.bind(dvipa, 0).expect("in hand")));
    (0..TURNS).for_each(|_| turn());
    counted_part(|| (0..TURNS).for_each(|_| turn()));
    assert_eq!(host.stack.usage()[0].in_use, 0);
}
