//! What one decision costs in memory: decide, apply and answer, without storage.
//!
//! `acquire`, `release` and `claim` are one request each. `turn` is three: it takes a group, gives it
//! back, and ends the quarantine; `claim turn` the same with one named port. The last parameter is
//! the number of lists. Numbers must not grow with it, nor with how full a list is.

mod rules;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion};
use portplex::ident::{GroupNumber, Target};
use portplex::structure::PortOwner;
use rules::{GROUPS, Scene, target};
use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

/// Requests of one kind in a row, between the untimed ones that undo them.
const IN_A_ROW: u64 = 8;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("decide");
    for lists in [1, 1_000, 100_000] {
        for percent in [0, 50, 90, 99] {
            by_fill(&mut group, lists, percent);
        }
        full(&mut group, lists);
        random_lists(&mut group, lists);
        owners(&mut group, lists);
    }
    choices(&mut group);
    claims(&mut group);
    for stacks in [1, 100, 10_000] {
        let mut scene = Scene::crowded(stacks);
        group.bench_function(BenchmarkId::new("turn/stacks", stacks), |b| b.iter(|| scene.turn()));
        scene.audited();
    }
    group.finish();
    criterion.final_summary();
}

/// On a list that others have filled to some degree.
fn by_fill(group: &mut BenchmarkGroup<'_, WallTime>, lists: u32, percent: u32) {
    let filled = u16::try_from(u32::from(GROUPS) * percent / 100).expect("at most 1,008");
    let mut scene = Scene::filled(lists, filled);
    let id = BenchmarkId::new(format!("turn/{percent}% full"), lists);
    group.bench_function(id, |bencher| bencher.iter(|| scene.turn()));
    let scene = RefCell::new(scene);
    // Eight are given back, untimed; then eight are taken: the list stays as full as it says.
    let id = BenchmarkId::new(format!("acquire/{percent}% full"), lists);
    in_a_row(group, id, &scene, give_all_back, |scene| {
        let grant = scene.acquire();
        scene.held.push(grant);
    });
    give_all_back(&mut scene.borrow_mut());
    let id = BenchmarkId::new(format!("release/{percent}% full"), lists);
    in_a_row(group, id, &scene, take_all_again, |scene| {
        let grant = scene.held.pop().expect("taken before");
        scene.release(grant);
    });
    give_all_back(&mut scene.borrow_mut());
    scene.into_inner().audited();
}

fn in_a_row(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    scene: &RefCell<Scene>,
    prepare: impl Fn(&mut Scene),
    ask: impl Fn(&mut Scene),
) {
    group.bench_function(id, |bencher| {
        let prepare = || prepare(&mut scene.borrow_mut());
        let ask = |()| ask(&mut scene.borrow_mut());
        bencher.iter_batched(prepare, ask, BatchSize::NumIterations(IN_A_ROW));
    });
}

fn give_all_back(scene: &mut Scene) {
    while let Some(grant) = scene.held.pop() {
        scene.release(grant);
    }
    scene.end_quarantine(0);
}

/// Criterion prepares as often as it asks: eight in hand are enough for each.
fn take_all_again(scene: &mut Scene) {
    scene.end_quarantine(0);
    if scene.held.len() < IN_A_ROW as usize {
        let grant = scene.acquire();
        scene.held.push(grant);
    }
}

/// What it costs to hear that there is nothing.
fn full(group: &mut BenchmarkGroup<'_, WallTime>, lists: u32) {
    let mut scene = Scene::filled(lists, GROUPS);
    let before = scene.structure.lsn();
    group.bench_function(BenchmarkId::new("refused/100% full", lists), |b| b.iter(|| scene.refused()));
    assert_eq!(scene.structure.lsn(), before, "a refusal changes nothing");
    scene.audited();
}

/// Every turn in another list: what the cache does not have.
fn random_lists(group: &mut BenchmarkGroup<'_, WallTime>, lists: u32) {
    let mut scene = Scene::joined(lists);
    group.bench_function(BenchmarkId::new("turn/random lists", lists), |bencher| {
        bencher.iter(|| {
            let list = scene.draw(lists as usize);
            scene.turn_in(list)
        });
    });
    scene.audited();
}

/// Who has a port: one that is held, of one list.
fn owners(group: &mut BenchmarkGroup<'_, WallTime>, lists: u32) {
    let scene = Scene::filled(lists, GROUPS);
    let held: Target = target(0);
    let mut port = 1_024_u16;
    group.bench_function(BenchmarkId::new("owner", lists), |bencher| {
        bencher.iter(|| {
            port = port.checked_add(97).unwrap_or(1_024);
            let owner = scene.structure.owner(black_box(held), port);
            assert!(matches!(owner, PortOwner::Held { .. }), "port {port}");
        });
    });
}

/// The three ways to choose a group: beside the last one, at random, and what is left of one.
fn choices(group: &mut BenchmarkGroup<'_, WallTime>) {
    let beside = |one: GroupNumber, other: GroupNumber| one.number().abs_diff(other.number()) == 1;
    let mut scene = Scene::new(1);
    let mut last = scene.turn().group;
    group.bench_function("choose/beside the last", |bencher| {
        bencher.iter(|| {
            let group = scene.turn().group;
            assert!(beside(group, last), "{group:?} after {last:?}");
            last = group;
        });
    });
    scene.audited();
    let mut scene = Scene::scattered();
    let mut last = scene.turn().group;
    group.bench_function("choose/at random", |bencher| {
        bencher.iter(|| {
            let group = scene.turn().group;
            assert!(!beside(group, last), "{group:?} after {last:?}");
            last = group;
        });
    });
    scene.audited();
    let mut scene = Scene::nibbled();
    group.bench_function("choose/part of a group", |bencher| {
        bencher.iter(|| assert_eq!(scene.turn_in(0).mask.count(), 63));
    });
    scene.audited();
}

fn claims(group: &mut BenchmarkGroup<'_, WallTime>) {
    let scene = RefCell::new(Scene::filled(1, GROUPS / 2));
    let free = {
        let scene = &mut *scene.borrow_mut();
        let free = |port: &u16| matches!(scene.structure.owner(target(0), *port), PortOwner::Free);
        (1_024..=u16::MAX).find(free).expect("half of them")
    };
    let id = BenchmarkId::new("claim", 1);
    in_a_row(group, id, &scene, give_all_back, |scene| {
        let grant = scene.claim(free + u16::try_from(scene.held.len()).expect("eight"));
        scene.held.push(grant);
    });
    give_all_back(&mut scene.borrow_mut());
    let mut scene = scene.into_inner();
    group.bench_function(BenchmarkId::new("claim turn", 1), |b| b.iter(|| scene.claim_turn(free)));
    scene.audited();
}
