//! What handing out a port costs on the host, where nobody is asked.
//!
//! `bind` takes a port of a group in hand and returns it: by one thread, by several that share the
//! stack, with a promised lease (which reads the clock), and beside it what the kernel's own
//! `bind(0)` and `close` cost on the same machine. `connect` opens a connection and closes it, from a
//! fresh port and from one that others share. Every pass is checked: no port twice, and no
//! allocation in `bind`.

#[allow(dead_code, reason = "the suite measures more with it")]
#[path = "../tests/suite/allocations.rs"]
mod allocations;
mod figures;
mod host;

use criterion::{BenchmarkId, Criterion, Throughput};
use figures::now;
use host::{ADDRESS, Host};
use portplex::facility::SystemClock;
use portplex::ident::Dvipa;
use portplex::stack::Tuple;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    binds(&mut criterion);
    connects(&mut criterion);
    criterion.final_summary();
}

fn binds(criterion: &mut Criterion) {
    let dvipa: Dvipa = ADDRESS.parse().expect("an address");
    let mut group = criterion.benchmark_group("bind");
    let host = Host::start(0, Arc::new(SystemClock::new()));
    host.check(dvipa);
    group.bench_function("one thread", |b| {
        b.iter(|| host.stack.release(black_box(host.stack.bind(dvipa, 0).expect("in hand"))));
    });
    let promised = Host::start(30_000_000, Arc::new(SystemClock::new()));
    promised.check(dvipa);
    group.bench_function("one thread, lease promised", |b| {
        b.iter(|| promised.stack.release(black_box(promised.stack.bind(dvipa, 0).expect("in hand"))));
    });
    for threads in [2, 4] {
        group.bench_function(BenchmarkId::new("threads", threads), |b| {
            b.iter_custom(|turns| host.contended(dvipa, threads, turns));
        });
    }
    group.bench_function("kernel, bind(0) and close", |b| {
        let any: socket2::SockAddr = SocketAddr::from(([127, 0, 0, 1], 0)).into();
        b.iter(|| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
            socket.bind(&any).expect("a port");
            black_box(socket)
        });
    });
    group.bench_function("kernel, a socket without a port", |b| {
        b.iter(|| black_box(socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("one")));
    });
    group.finish();
}

fn connects(criterion: &mut Criterion) {
    let dvipa: Dvipa = ADDRESS.parse().expect("an address");
    let mut group = criterion.benchmark_group("connect");
    group.throughput(Throughput::Elements(1));
    let far = |number: u16| SocketAddr::from(([203, 0, 113, 7], 1_024 + number));
    let host = Host::start(0, Arc::new(SystemClock::new()));
    group.bench_function("fresh port", |b| {
        b.iter(|| host.stack.close(host.stack.connect(dvipa, black_box(far(1))).expect("in hand")));
    });

    // Nearly every port has connections to 50 destinations: the 51st shares them.
    let shared = Host::start(0, Arc::new(SystemClock::new()));
    let mut held: Vec<_> = Vec::new();
    while shared.stack.usage()[0].free > 20 {
        held.push(shared.stack.bind(dvipa, 0).expect("in hand"));
        if held.len() == 3_500 {
            break;
        }
    }
    let mut open: Vec<Tuple> = Vec::new();
    for number in 0..50_u16 {
        for _ in 0..500 {
            open.push(shared.stack.connect(dvipa, far(number)).expect("a port"));
        }
    }
    let before = shared.stack.connection_count();
    group.bench_function("shared port", |b| {
        b.iter(|| shared.stack.close(shared.stack.connect(dvipa, black_box(far(51))).expect("shared")));
    });
    assert_eq!(shared.stack.connection_count(), before, "each was closed");
    group.finish();
}

/// What this bench does with a host.
trait Checked {
    fn check(&self, dvipa: Dvipa);
    fn contended(&self, dvipa: Dvipa, threads: u64, turns: u64) -> Duration;
}

impl Checked for Host {
    /// No port twice, none of them lost, and no allocation.
    fn check(&self, dvipa: Dvipa) {
        let mut in_use = vec![false; 1 << 16];
        let mut bound = Vec::with_capacity(1_000);
        let ((), allocations) = allocations::during(|| {
            for _ in 0..1_000 {
                bound.push(self.stack.bind(dvipa, 0).expect("in hand"));
            }
        });
        assert_eq!(allocations, 0, "allocations in 1,000 binds");
        for port in bound {
            assert!(!std::mem::replace(&mut in_use[usize::from(port.port)], true), "port {} twice", port.port);
            self.stack.release(port);
        }
        assert_eq!(self.stack.usage()[0].in_use, 0);
        println!("bind: 0 allocations in 1,000 binds, 1,000 different ports");
    }

    /// Each thread binds and releases so many times; checked first with a mark on every port.
    fn contended(&self, dvipa: Dvipa, threads: u64, turns: u64) -> Duration {
        let in_use: Vec<AtomicBool> = (0..1 << 16).map(|_| AtomicBool::new(false)).collect();
        let run = |turns: u64, marked: bool| {
            let started = now();
            thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        for _ in 0..turns {
                            let bound = self.stack.bind(dvipa, 0).expect("in hand");
                            if marked {
                                let mark = &in_use[usize::from(bound.port)];
                                assert!(!mark.swap(true, Ordering::SeqCst), "port {} twice", bound.port);
                                mark.store(false, Ordering::SeqCst);
                            }
                            self.stack.release(black_box(bound));
                        }
                    });
                }
            });
            started.elapsed()
        };
        run(2_000, true);
        run(turns, false)
    }
}
