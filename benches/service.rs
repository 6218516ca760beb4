//! The service under load: stacks that take and give back without pause, each waiting for each answer,
//! alone and beside 10,000 idle connections.
//!
//! `portplex serve` runs as a process of its own, on embedded storage; every stack has a connection
//! of its own. All stacks take turns on the same DVIPAs: many of them, because what is given back
//! waits in quarantine, for a second here. A table with a word for each group hears of every grant
//! before its release is sent: a group in two hands ends the run. At the end nothing is held, and the
//! service has counted as many grants as the stacks were given.
//!
//! `cargo bench --bench service` prints one line for each number of stacks and each door; with
//! `-- --test` it makes one short pass.

use portplex::api::{Door, RemoteFacility, RemoteOptions};
use portplex::facility::{Connection, Facility};
use portplex::ident::{
    BootId, ConnectorName, Identity, MachineId, PortSet, ProcessId, StructureName, Target, Transport,
};
use portplex::structure::{Introduction, Item, Member, Policy};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

/// DVIPAs: each serves about 1,000 groups a second.
const LISTS: u8 = 64;
/// Groups of a DVIPA.
const GROUPS: usize = 1_024;
/// The shortest quarantine that a list may have.
const QUARANTINE_MS: u32 = 1_000;
/// How long a service may need until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much is done.
struct Plan {
    stacks: &'static [u64],
    turn: Duration,
    idle: usize,
}

const WHOLE: Plan = Plan { stacks: &[1, 16, 64], turn: Duration::from_secs(5), idle: 10_000 };
const SMOKE: Plan = Plan { stacks: &[4], turn: Duration::from_millis(300), idle: 100 };

fn main() {
    let plan = if std::env::args().any(|arg| arg == "--test") { SMOKE } else { WHOLE };
    println!("64 DVIPAs; acquire 1 group, release it, each waiting for its answer; {:?} a line\n", plan.turn);
    println!(
        "{:<10} {:>6} {:>7} {:>10} {:>9} {:>9} {:>11} {:>8}",
        "door", "stacks", "idle", "grants/s", "p50 µs", "p99 µs", "grants/sync", "RSS MiB"
    );
    for door in ["loopback", "unix"] {
        for &stacks in plan.stacks {
            measure(door, stacks, 0, plan.turn);
        }
    }
    let most = plan.stacks.last().copied().unwrap_or(1);
    for door in ["loopback", "unix"] {
        measure(door, most, plan.idle, plan.turn);
    }
}

/// One line of the table.
fn measure(door: &str, stacks: u64, idle: usize, turn: Duration) {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path());
    let door_of = if door == "unix" { &service.unix } else { &service.tcp };
    let runtime = Runtime::new().expect("a runtime");
    let in_hand: Vec<AtomicU32> = (0..GROUPS * usize::from(LISTS)).map(|_| AtomicU32::new(0)).collect();
    let stop = AtomicBool::new(false);
    let watcher = service.remote(door_of, &runtime);
    let idlers = Idlers::open(&runtime, service.address, idle);
    for target in lists() {
        watcher.define(target).expect("defined");
        let policy = Policy { quarantine_ms: QUARANTINE_MS, ..Policy::default() };
        watcher.set_policy(target, policy).expect("a policy");
    }
    let before = watcher.status().expect("a status");
    let begun = now();
    let latencies: Vec<u32> = thread::scope(|scope| {
        let work = |number| {
            let (service, runtime, in_hand, stop) = (&service, &runtime, &in_hand, &stop);
            move || Worker::start(&service.remote(door_of, runtime), number).work(in_hand, stop)
        };
        let workers: Vec<_> = (1..=stacks).map(|number| scope.spawn(work(number))).collect();
        thread::sleep(turn);
        stop.store(true, Ordering::SeqCst);
        workers.into_iter().flat_map(|worker| worker.join().expect("no breach")).collect()
    });
    let took = begun.elapsed();
    let after = watcher.status().expect("a status");
    let grants = latencies.len() as u64;
    assert_eq!(after.grants - before.grants, grants, "the service counts other grants than its stacks");
    let held = watcher.list().expect("the state").into_iter().filter(|item| matches!(item, Item::Grant { .. })).count();
    assert_eq!(held, 0, "everything was given back");
    assert_eq!(idlers.alive(&runtime), idle, "an idle connection was lost");
    let (p50, p99) = percentiles(latencies);
    println!(
        "{door:<10} {stacks:>6} {idle:>7} {:>10.0} {p50:>9} {p99:>9} {:>11.1} {:>8}",
        grants as f64 / took.as_secs_f64(),
        grants as f64 / (after.frames - before.frames).max(1) as f64,
        service.resident_mib(),
    );
}

fn percentiles(mut latencies: Vec<u32>) -> (u32, u32) {
    latencies.sort_unstable();
    let at = |hundredth: usize| latencies.get(latencies.len() * hundredth / 100).copied().unwrap_or(0);
    (at(50), at(99))
}

/// One stack.
struct Worker {
    connection: Connection,
    members: Vec<Member>,
    number: u32,
}

impl Worker {
    fn start(remote: &Arc<RemoteFacility>, number: u64) -> Self {
        let identity = Identity { machine: MachineId(number.into()), boot: BootId(1), process: ProcessId(number) };
        let name = ConnectorName::new(&format!("SYS{number}")).expect("a name");
        let introduction = Introduction { name, identity, promise_ms: 0, enforced: false };
        let facility = Arc::clone(remote) as Arc<dyn Facility>;
        let connection = Connection::connect(facility, introduction).expect("connected");
        let mut ports = PortSet::empty();
        ports.insert_range(1_024, 65_535);
        connection.set_allowable(Transport::Tcp, ports).expect("set");
        let members = lists().map(|target| connection.join(target).expect("joined").value.member).collect();
        Self { connection, members, number: u32::try_from(number).expect("few stacks") }
    }

    /// Takes and gives back until told; how long each acquire took, µs.
    fn work(&self, in_hand: &[AtomicU32], stop: &AtomicBool) -> Vec<u32> {
        let mut latencies = Vec::new();
        let mut turns = (0..self.members.len()).cycle().skip(self.number as usize);
        while !stop.load(Ordering::SeqCst) {
            let Some(list) = turns.next() else { break };
            let member = self.members[list];
            let asked = now();
            let granted = self.connection.acquire(member, 1, 1).expect("more groups than are in quarantine");
            latencies.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
            let grant = &granted.value[0];
            let word = &in_hand[list * GROUPS + grant.group.index()];
            assert_eq!(word.swap(self.number, Ordering::SeqCst), 0, "group {} in two hands", grant.group.number());
            // Before the release is sent: from then on it may be another's.
            assert_eq!(word.swap(0, Ordering::SeqCst), self.number, "group {} changed hands", grant.group.number());
            self.connection.release(member, grant.group, grant.lsn, grant.mask).expect("released");
        }
        latencies
    }
}

fn lists() -> impl Iterator<Item = Target> {
    (1..=LISTS).map(|host| Target::List(format!("10.1.1.{host}").parse().expect("an address"), Transport::Tcp))
}

/// Connections over which nothing is asked.
struct Idlers(Vec<Channel>);

impl Idlers {
    fn open(runtime: &Runtime, address: SocketAddr, count: usize) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
        let mut channels = Vec::with_capacity(count);
        runtime.block_on(async {
            while channels.len() < count {
                // The listener's backlog is short.
                let some = (count - channels.len()).min(100);
                let opening: Vec<_> = (0..some)
                    .map(|_| endpoint.clone())
                    .map(|endpoint| tokio::spawn(async move { endpoint.connect().await }))
                    .collect();
                for opened in opening {
                    channels.push(opened.await.expect("no panic").expect("room for it"));
                }
            }
        });
        Self(channels)
    }

    /// How many of them still carry a call.
    fn alive(&self, runtime: &Runtime) -> usize {
        use tonic_health::pb::HealthCheckRequest;
        use tonic_health::pb::health_client::HealthClient;
        let check = |channel: &Channel| {
            let mut client = HealthClient::new(channel.clone());
            async move { client.check(HealthCheckRequest::default()).await.is_ok() }
        };
        runtime.block_on(async {
            let mut alive = 0;
            for channel in &self.0 {
                alive += usize::from(check(channel).await);
            }
            alive
        })
    }
}

/// `portplex serve` on a store of its own.
struct Service {
    child: Child,
    address: SocketAddr,
    tcp: Door,
    unix: Door,
}

impl Service {
    fn start(dir: &Path) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let socket = dir.join("s");
        let mut command = Command::new(env!("CARGO_BIN_EXE_portplex"));
        command.args(["serve", "--init", "--data"]).arg(dir.join("store"));
        command.args(["--listen", &address.to_string(), "--uds"]).arg(&socket);
        let child = command.stdout(Stdio::null()).spawn().expect("the service starts");
        Self { child, address, tcp: Door::Tcp(address), unix: Door::Unix(socket) }
    }

    fn remote(&self, door: &Door, runtime: &Runtime) -> Arc<RemoteFacility> {
        let mut options = RemoteOptions::default();
        (options.patience, options.runtime) = (PATIENCE, Some(runtime.handle().clone()));
        Arc::new(RemoteFacility::connect(door, StructureName::default(), options).expect("it answers"))
    }

    /// Memory of its process that is resident, MiB.
    #[allow(clippy::disallowed_methods, reason = "no file of a store")]
    fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib: u64 = line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
        kib / 1_024
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
