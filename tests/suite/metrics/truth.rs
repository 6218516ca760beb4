//! The numbers are true: against the facility's own list, its status, and what a caller counted.

use super::exposition::Exposition;
use super::{Service, eventually, introduction, joined, list, name};
use crate::random::Random;
use crate::requirements::seed;
use portplex::facility::{CallError, Connection, Facility};
use portplex::ident::{ConnectorName, Target, Transport};
use portplex::structure::{Grant, Item, Member, PortRange, Refusal};
use std::collections::BTreeMap;

/// What a caller counts.
#[derive(Default)]
struct Counted {
    grants: u64,
    ports: u64,
    releases: u64,
    ports_back: u64,
    requests: BTreeMap<&'static str, u64>,
    refusals: BTreeMap<&'static str, u64>,
}

impl Counted {
    fn note<T>(&mut self, kind: &'static str, answer: Result<T, CallError>) -> Option<T> {
        *self.requests.entry(kind).or_default() += 1;
        match answer {
            Ok(value) => Some(value),
            Err(CallError::Refused(refusal)) => {
                *self.refusals.entry(refusal.name()).or_default() += 1;
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A stack of the workload.
struct Stack {
    connection: Connection,
    members: Vec<(Target, Member)>,
    grants: Vec<Grant>,
}

/// Held and quarantined ports of every list, and who is in it, from the items one by one.
fn from_items(items: &[Item]) -> BTreeMap<Target, [u64; 3]> {
    let mut lists = BTreeMap::new();
    let mut members = BTreeMap::new();
    for item in items {
        if let Item::List { list, target, .. } = item {
            lists.insert(*list, (*target, [0; 3]));
        }
    }
    for item in items {
        let (list, place, count) = match item {
            Item::Member { member, list, .. } => {
                members.insert(*member, *list);
                (*list, 2, 1)
            }
            Item::Grant { member, mask, .. } => (members[member], 0, u64::from(mask.count())),
            Item::Quarantine { list, mask, .. } => (*list, 1, u64::from(mask.count())),
            _ => continue,
        };
        lists.get_mut(&list).expect("a list").1[place] += count;
    }
    lists.into_values().collect()
}

fn check_lists(scrape: &Exposition, items: &[Item], what: &str) {
    let expected = from_items(items);
    let told = &scrape.families["portplex_list_members"].samples;
    assert_eq!(told.len(), expected.len(), "{what}: every list is there");
    let mut sums = [0.0; 4];
    for (target, [held, quarantined, members]) in expected {
        let (dvipa, transport) = (target.dvipa_text(), target.transport().to_string());
        let labels = [("dvipa", dvipa.as_str()), ("transport", transport.as_str())];
        let ports = ["held", "quarantined", "free", "excluded"]
            .map(|state| scrape.of_structure("portplex_list_ports", &[labels[0], labels[1], ("state", state)]));
        assert_eq!(ports[..2], [held as f64, quarantined as f64], "{what}: {target}");
        assert_eq!(ports.iter().sum::<f64>(), 65_536.0, "{what}: {target}");
        assert_eq!(scrape.of_structure("portplex_list_members", &labels), members as f64, "{what}: {target}");
        sums.iter_mut().zip(ports).for_each(|(sum, ports)| *sum += ports);
    }
    for (state, sum) in ["held", "quarantined", "free", "excluded"].into_iter().zip(sums) {
        assert_eq!(scrape.of_structure("portplex_ports", &[("state", state)]), sum, "{what}: {state}");
    }
}

#[test]
fn after_a_random_workload_every_number_is_what_was_counted() {
    let seed = seed("metrics after a random workload");
    let mut random = Random::new(seed);
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path());
    let remote = service.remote();
    let range = Some(PortRange { first: 50_000, count: 1_000 });
    remote.set_range(Transport::Tcp, range).expect("set");
    let mut counted = Counted::default();
    let mut stacks: Vec<Stack> = (1..=4)
        .map(|number| {
            let who = introduction(&format!("S{number}"), number, if number == 1 { 0 } else { 3_600_000 });
            let (connection, member) = joined(&remote, who, list(1));
            let mut members = vec![(list(1), member)];
            for target in [list(2), list(3), Target::Pool(Transport::Tcp)] {
                members.push((target, connection.join(target).expect("joined").value.member));
            }
            Stack { connection, members, grants: Vec::new() }
        })
        .collect();
    for _ in 0..600 {
        let place = random.index(stacks.len());
        let Stack { connection, members, grants } = &mut stacks[place];
        let (_, member) = *random.pick(members);
        match random.below(10) {
            0..=2 => {
                let most = random.below(40) as u16;
                if let Some(made) = counted.note("acquire", connection.acquire(member, most.min(1 + most / 2), most)) {
                    counted.grants += made.value.len() as u64;
                    counted.ports += made.value.iter().map(|grant| u64::from(grant.mask.count())).sum::<u64>();
                    grants.extend(made.value);
                }
            }
            3..=5 => {
                let port = 49_990 + random.below(30) as u16;
                if let Some(made) = counted.note("claim", connection.claim(member, port)) {
                    counted.grants += 1;
                    counted.ports += 1;
                    grants.push(made.value);
                }
            }
            6..=8 if !grants.is_empty() => {
                let at = random.index(grants.len());
                let grant = if random.below(4) == 0 { grants[at] } else { grants.swap_remove(at) };
                let released = connection.release(grant.member, grant.group, grant.lsn, grant.mask);
                if counted.note("release", released).is_some() {
                    counted.releases += 1;
                    counted.ports_back += u64::from(grant.mask.count());
                    grants.retain(|kept| kept.lsn != grant.lsn);
                }
            }
            _ => {
                let released = connection.release(
                    member,
                    portplex::ident::GroupNumber::of_port(9),
                    portplex::ident::Lsn(3),
                    portplex::ident::PortMask(1),
                );
                assert!(counted.note("release", released).is_none(), "no such grant");
            }
        }
    }
    let context = format!("PORTPLEX_SEED={seed}");
    let status = service.facility.status().expect("told");
    let scrape = service.scrape();
    let items = service.facility.list().expect("listed");
    check_lists(&scrape, &items, &context);
    let of = |name: &str| scrape.of_structure(name, &[]);
    assert_eq!(of("portplex_grants_total"), counted.grants as f64, "{context}");
    assert_eq!(of("portplex_granted_ports_total"), counted.ports as f64, "{context}");
    assert_eq!(of("portplex_releases_total"), counted.releases as f64, "{context}");
    assert_eq!(of("portplex_released_ports_total"), counted.ports_back as f64, "{context}");
    assert!(counted.grants > 50 && counted.refusals.len() >= 4, "{context}: {:?}", counted.refusals);
    for cause in Refusal::NAMES {
        let expected = counted.refusals.get(cause).copied().unwrap_or(0);
        let told = scrape.of_structure("portplex_refusals_total", &[("cause", cause)]);
        assert_eq!(told, expected as f64, "{context}: {cause}");
    }
    for (kind, count) in &counted.requests {
        let told = scrape.of_structure("portplex_requests_total", &[("kind", kind)]);
        assert_eq!(told, *count as f64, "{context}: {kind}");
    }
    assert_eq!(of("portplex_grants_total"), status.grants as f64);
    assert_eq!(of("portplex_records_total"), status.records as f64);
    assert_eq!(of("portplex_frames_total"), status.frames as f64);
    assert_eq!(of("portplex_frame_records_count"), status.frames as f64);
    assert_eq!(of("portplex_frame_records_sum"), status.records as f64);
    assert_eq!(of("portplex_sync_seconds_count"), status.frames as f64);
    assert_eq!(of("portplex_frame_size_bytes_sum"), of("portplex_log_appended_bytes_total"));
    assert_eq!(of("portplex_epoch"), status.epoch as f64);
    assert_eq!(scrape.of_structure("portplex_connectors", &[("state", "active")]), 4.0);
    assert_eq!(scrape.of_structure("portplex_leases", &[("state", "running")]), 3.0);
    assert_eq!(scrape.of_structure("portplex_leases", &[("state", "none")]), 1.0);
    let held = stacks.iter().flat_map(|stack| &stack.grants).map(|grant| f64::from(grant.mask.count())).sum::<f64>();
    assert_eq!(scrape.of_structure("portplex_connector_ports", &[("state", "active")]), held, "{context}");
    let least = ["10.1.1.1", "10.1.1.2", "10.1.1.3"].map(|dvipa| {
        scrape.of_structure("portplex_list_ports", &[("dvipa", dvipa), ("transport", "tcp"), ("state", "free")])
    });
    let least = least.into_iter().fold(f64::INFINITY, f64::min);
    assert_eq!(scrape.of_structure("portplex_least_free_ports", &[("transport", "tcp")]), least);
}

#[test]
fn connectors_and_what_they_hold_are_counted_by_their_state() {
    let dir = tempfile::tempdir().expect("a directory");
    let operator: ConnectorName = name("ALICE");
    let count = |scrape: &Exposition| {
        ["active", "waiting", "failed_persistent"].map(|state| {
            let labels = [("state", state)];
            let connectors = scrape.of_structure("portplex_connectors", &labels);
            (connectors, scrape.of_structure("portplex_connector_ports", &labels))
        })
    };
    {
        let service = Service::start(dir.path());
        let (one, member) = joined(&service.facility, introduction("A", 1, 1), list(1));
        one.acquire(member, 2, 2).expect("granted");
        let (two, member) = joined(&service.facility, introduction("B", 2, 0), list(1));
        two.acquire(member, 1, 1).expect("granted");
        eventually("the lease of 1 ms runs out", || count(&service.scrape())[2] == (1.0, 128.0));
        let scrape = service.scrape();
        assert_eq!(count(&scrape)[..2], [(1.0, 64.0), (0.0, 0.0)]);
        assert_eq!(scrape.of_structure("portplex_leases", &[("state", "over")]), 1.0);
        assert_eq!(scrape.of_structure("portplex_events_total", &[("kind", "failed")]), 1.0);
    }
    // As after a crash: nobody has attached to what opens now.
    let mut service = None;
    eventually("the lock of the life before is gone", || {
        let opened = std::panic::catch_unwind(|| Service::start(dir.path()));
        service = opened.ok();
        service.is_some()
    });
    let service = service.expect("open");
    assert_eq!(count(&service.scrape()), [(0.0, 0.0), (1.0, 64.0), (1.0, 128.0)]);
    let status = service.facility.connector(&name("A")).expect("told").expect("there");
    service.facility.clean_up(&name("A"), status.actor.incarnation, &operator, true).expect("cleaned up");
    let scrape = service.scrape();
    assert_eq!(count(&scrape)[2], (0.0, 0.0));
    assert_eq!(scrape.of_structure("portplex_events_total", &[("kind", "cleaned-up")]), 1.0);
    assert_eq!(scrape.of_structure("portplex_requests_total", &[("kind", "clean-up")]), 1.0);
    let recovery = service.facility.recovery();
    assert_eq!(scrape.of_structure("portplex_recovery_records", &[]), recovery.records as f64);
    assert!(recovery.records > 5);
}

#[test]
fn lists_beyond_the_limit_are_counted_but_have_no_series_of_their_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path());
    let target = |number: u32| {
        Target::List(format!("10.2.{}.{}", number / 256, number % 256).parse().expect("a DVIPA"), Transport::Tcp)
    };
    let tickets: Vec<_> = (0..1_100)
        .map(|number| service.facility.submit(portplex::structure::Request::Define { target: target(number) }))
        .collect();
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().expect("defined")));
    // The fullest list is one that is left out.
    let (stack, member) = joined(&service.facility, introduction("A", 1, 0), target(1_099));
    stack.acquire(member, 500, 500).expect("granted");
    let scrape = service.scrape();
    assert_eq!(scrape.judged(), Vec::<String>::new());
    assert_eq!(scrape.families["portplex_list_members"].samples.len(), 1_024);
    assert_eq!(scrape.of_structure("portplex_lists", &[]), 1_100.0);
    assert_eq!(scrape.of_structure("portplex_lists_left_out", &[]), 76.0);
    assert_eq!(scrape.of_structure("portplex_ports", &[("state", "held")]), 32_000.0);
    let least = scrape.of_structure("portplex_least_free_ports", &[("transport", "tcp")]);
    assert_eq!(least, f64::from(65_536 - 32_000 - 1), "port 0 is excluded");
}

#[test]
fn connections_streams_and_calls_are_counted_while_they_last_and_after() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path());
    let remote = service.remote();
    let (stack, member) = joined(&remote, introduction("A", 1, 0), list(1));
    stack.acquire(member, 1, 1).expect("granted");
    let watch = remote.watch(None).expect("watches");
    let scrape = service.scrape();
    let of = |scrape: &Exposition, name: &str, labels: &[(&str, &str)]| scrape.value(name, labels).unwrap_or(0.0);
    assert_eq!(of(&scrape, "portplex_streams", &[]), 1.0);
    assert_eq!(of(&scrape, "portplex_stream_calls_in_flight", &[]), 0.0);
    assert_eq!(of(&scrape, "portplex_watch_streams", &[]), 1.0);
    let calls = [("method", "portplex.v1.Stacks/Calls")];
    assert_eq!(of(&scrape, "portplex_calls_in_flight", &calls), 1.0);
    assert!(of(&scrape, "portplex_connections", &[("door", "tcp")]) >= 2.0, "the scrape's own is one");
    assert_eq!(of(&scrape, "portplex_connections", &[("door", "unix")]), 0.0);
    service.get("/healthz", "");
    drop((watch, stack, remote));
    eventually("streams and calls are over", || {
        let scrape = service.scrape();
        let open = ["portplex_streams", "portplex_watch_streams"].map(|name| of(&scrape, name, &[]));
        open == [0.0; 2] && of(&scrape, "portplex_calls_in_flight", &calls) == 0.0
    });
    let scrape = service.scrape();
    let ended: f64 = scrape.families["portplex_calls_total"]
        .samples
        .iter()
        .filter(|(_, labels, _)| labels["method"] == "portplex.v1.Stacks/Calls")
        .map(|(.., value)| *value)
        .sum();
    assert_eq!(ended, 1.0, "one stream is one call");
    assert_eq!(of(&scrape, "portplex_http_requests_total", &[("path", "/healthz"), ("code", "200")]), 1.0);
    assert!(of(&scrape, "portplex_http_requests_total", &[("path", "/metrics"), ("code", "200")]) >= 2.0);
    assert_eq!(of(&scrape, "portplex_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    let resident = of(&scrape, "process_resident_memory_bytes", &[]);
    assert!((1e6..1e11).contains(&resident), "{resident} bytes");
    assert!(of(&scrape, "process_open_fds", &[]) > 5.0);
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec as f64;
    let started = of(&scrape, "process_start_time_seconds", &[]);
    assert!((now - 86_400.0..=now + 1.0).contains(&started), "started at {started}, now it is {now}");
}

#[test]
fn checkpoints_and_what_they_lack_are_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path());
    service.facility.define(list(1)).expect("defined");
    let scrape = service.scrape();
    let of = |scrape: &Exposition, name: &str| scrape.of_structure(name, &[]);
    let made = |scrape: &Exposition| scrape.of_structure("portplex_checkpoints_total", &[("result", "made")]);
    assert_eq!((made(&scrape), of(&scrape, "portplex_checkpoint_lsn")), (0.0, 0.0));
    assert!(of(&scrape, "portplex_checkpoint_behind_bytes") >= 4_096.0);
    assert_eq!(scrape.value("portplex_checkpoint_timestamp_seconds", &[("structure", "EZBEPORT")]), None);
    let lsn = service.facility.checkpoint_now().expect("made");
    service.facility.checkpoint_now().expect("nothing new");
    let scrape = service.scrape();
    assert_eq!((made(&scrape), of(&scrape, "portplex_checkpoint_lsn")), (1.0, lsn.0 as f64));
    assert_eq!(of(&scrape, "portplex_durable_lsn"), lsn.0 as f64);
    assert_eq!(of(&scrape, "portplex_checkpoint_behind_bytes"), 0.0);
    assert_eq!(of(&scrape, "portplex_checkpoint_behind_seconds"), 0.0);
    assert!(of(&scrape, "portplex_checkpoint_size_bytes") > 0.0);
    assert!(of(&scrape, "portplex_checkpoint_duration_seconds") > 0.0);
    assert_eq!(of(&scrape, "portplex_segments"), 1.0);
    assert_eq!(of(&scrape, "portplex_log_size_bytes"), f64::from(16 << 20));
}
