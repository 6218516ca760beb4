//! How fast profiles are read: the sample sysplex' own, and a large one with many addresses.

use criterion::{BenchmarkId, Criterion, Throughput};
use portplex::profile::{Profile, parse, sample};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("profile");
    for (name, text) in sample() {
        let (profile, diagnostics) = parse(text.as_bytes());
        assert_ne!(profile, Profile::default(), "{name} says something");
        let found = diagnostics.len();
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("sample", name), |bencher| {
            bencher.iter(|| assert_eq!(parse(black_box(text.as_bytes())).1.len(), found));
        });
    }
    // A profile may define 1,024.
    for addresses in [10, 100, 1_000] {
        let text = large(addresses);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("dynamic addresses", addresses), |bencher| {
            bencher.iter(|| {
                let (profile, _) = parse(black_box(text.as_bytes()));
                assert_eq!(profile.dvipas.len(), addresses);
            });
        });
    }
    group.finish();
    criterion.final_summary();
}

/// One that defines and distributes so many addresses, with remarks, as they grow in years.
fn large(addresses: usize) -> String {
    let mut text = String::from("IPCONFIG SYSPLEXROUTING DYNAMICXCF 10.200.0.1 255.255.255.0 1\nVIPADYNAMIC\n");
    for number in 0..addresses {
        let (high, low) = (number / 250, number % 250 + 1);
        let address = format!("10.{}.{}.{low}", 1 + high / 250, high % 250);
        writeln!(text, "  ; service {number} of the web farm, moved in the autumn").expect("memory");
        writeln!(text, "  VIPADEFINE MOVEABLE IMMEDIATE 255.255.255.0 {address}").expect("memory");
        writeln!(text, "  VIPADISTRIBUTE DEFINE SYSPLEXPORTS {address} PORT 443 DESTIP ALL").expect("memory");
    }
    text.push_str("ENDVIPADYNAMIC\n");
    text
}
