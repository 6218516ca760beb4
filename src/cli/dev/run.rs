//! One run from beginning to end: start the facility and the stacks, kill the one under the load
//! of the others, take the picture, close in order.

use super::DevArgs;
use super::clock::Clock;
use super::error::DevError;
use super::outcome::{Outcome, Recovery};
use super::process::{FacilityProcess, Recipe};
use super::progress::Progress;
use super::random;
use super::settings::{QUARANTINE, Settings};
use super::shared::{Phase, Shared};
use super::tap::Witness;
use super::tide::Tide;
use super::worker::{Place, Tally, Worker};
use crate::api::Door;
use crate::api::RemoteFacility;
use crate::api::RemoteOptions;
use crate::cli::identity;
use crate::cli::kernel;
use crate::cli::notice;
use crate::cli::state::State;
use crate::facility::CallError;
use crate::facility::Facility;
use crate::facility::Query;
use crate::facility::Rows;
use crate::facility::Status;
use crate::ident::GroupNumber;
use crate::ident::PortSet;
use crate::ident::StructureName;
use crate::ident::Transport;
use crate::profile::PortOptions;
use crate::profile::Reservation;
use crate::profile::User;
use crate::structure::Item;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The load begins this long before the first crash may come, and goes on as long after the last.
const MARGIN_US: u64 = 600_000;

/// From one high tide to the next.
const TIDE_US: u64 = 1_200_000;

/// Open connections of one stack at high tide.
const HIGH_TIDE: usize = 400;

/// How far the quarantine is short of the mark before it counts as early: the facility's clock
/// counts whole milliseconds.
const CLOCK_STEP_US: u64 = 1_000;

/// How long stacks may take to attach after a start, or to reach a phase.
const SETTLE_US_MAX: u64 = 60_000_000;

/// Runs a sysplex until it is done or `stop` is set. `begin` hears what there is to say before the
/// load starts.
pub(super) fn run(
    args: &DevArgs,
    mut settings: Settings,
    stop: &AtomicBool,
    begin: impl FnOnce(&Settings, &Opening<'_>),
) -> Result<Outcome, DevError> {
    let seed = args.seed()?;
    let foreign = reserve_foreign_ports(&mut settings)?;
    let high = tide_for_descriptors(settings.stacks.len());
    let sockets = tempfile::Builder::new().prefix("portplex-").tempdir();
    let sockets = sockets.map_err(|source| DevError::System { what: "no directory for the socket", source })?;
    let program = std::env::current_exe();
    let program = program.map_err(|source| DevError::System { what: "this program cannot be found", source })?;
    let recipe = Recipe {
        program,
        data: settings.data.clone(),
        structure: settings.structure,
        quarantine: QUARANTINE,
        allow_network_fs: args.allow_network_fs,
        json: args.json,
    };
    let found = settings.data.join("MANIFEST").exists();
    let first = sockets.path().join("1");
    let facility = FacilityProcess::start(&recipe, &first, None)?;
    let status = reach(&first, settings.structure)?.status().map_err(DevError::State)?;
    begin(&settings, &Opening { foreign: &foreign, found, page: facility.page() });
    notice::tell(&settings.data, &status, args.json);

    let clock = Clock::start();
    let quarantine_us = u64::try_from(QUARANTINE.as_micros()).unwrap_or(u64::MAX) - CLOCK_STEP_US;
    let witness = Arc::new(Witness::new(clock, quarantine_us));
    let shared = Arc::new(Shared::new(clock, witness, settings.stacks.len(), first));
    let mut conductor = Conductor {
        recipe,
        facility,
        sockets: sockets.path(),
        shared: Arc::clone(&shared),
        stop,
        progress: Progress::new(settings.connections, args.json),
        random: seed,
        recoveries: Vec::new(),
    };
    let threads = spawn(&settings, &shared, high, seed)?;
    let conducted = conductor.conduct(&settings);
    let picture = conducted.and_then(|seconds| Ok((seconds, conductor.picture()?)));
    shared.advance(Phase::Close);
    let tallies: Vec<Tally> = threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect();
    conductor.progress.end();
    let Conductor { facility, recoveries, .. } = conductor;
    if let Some(error) = shared.take_failure() {
        return Err(error);
    }
    let (seconds, Picture { items, status }) = picture?;
    facility.end()?;
    let (findings, looked_at) = shared.witness.tell(|checker, _| (checker.findings().clone(), checker.looked_at()));
    let interrupted = stop.load(Ordering::SeqCst);
    let stacks = settings.stacks.iter().map(|stack| stack.name.clone()).zip(tallies).collect();
    let state = State::new(items);
    Ok(Outcome {
        settings,
        foreign,
        found,
        seed,
        seconds,
        stacks,
        state,
        status,
        recoveries,
        findings,
        looked_at,
        interrupted,
    })
}

/// What there is to say before the load starts.
pub(super) struct Opening<'a> {
    /// Ports that other programs have.
    pub(super) foreign: &'a [u16],
    /// Whether the store was there before.
    pub(super) found: bool,
    /// Where the service's page is.
    pub(super) page: Option<String>,
}

/// A connection for looking from outside.
fn reach(socket: &Path, structure: StructureName) -> Result<RemoteFacility, DevError> {
    Ok(RemoteFacility::connect(&Door::Unix(socket.to_owned()), structure, RemoteOptions::default())?)
}

/// Ports that somebody else's sockets have, on a stand-in or on every address, are reserved in
/// every stack's profile.
fn reserve_foreign_ports(settings: &mut Settings) -> Result<Vec<u16>, DevError> {
    let sockets = kernel::sockets().map_err(DevError::Tables)?;
    let ports: BTreeSet<u16> =
        settings.stand_ins.values().flat_map(|address| kernel::ports_in_use(&sockets, *address)).collect();
    for stack in &mut settings.stacks {
        stack.profile.reservations.extend(ports.iter().map(|port| Reservation {
            first: *port,
            last: *port,
            transport: Transport::Tcp,
            user: User::Nobody,
            bind: None,
            shared: false,
            from_range: false,
            options: PortOptions::default(),
            data_set: 0,
            line: 0,
        }));
    }
    Ok(ports.into_iter().collect())
}

/// How high the tide may rise: each open connection takes two descriptors of this process.
fn tide_for_descriptors(stacks: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        limit = raised;
    }
    let descriptors = limit.current.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    (descriptors.saturating_sub(200) / 2 / stacks.max(1)).clamp(1, HIGH_TIDE)
}

fn spawn(
    settings: &Settings,
    shared: &Arc<Shared>,
    high: usize,
    seed: u64,
) -> Result<Vec<JoinHandle<Tally>>, DevError> {
    let count = settings.stacks.len();
    let mut random = seed;
    let claimed = claimed_ports(settings, &mut random);
    let planned_us = u64::try_from(settings.duration.as_micros()).unwrap_or(u64::MAX);
    let mut threads = Vec::with_capacity(count);
    for (index, plan) in settings.stacks.iter().cloned().enumerate() {
        let targets = plan.profile.sysplexports().filter_map(|definition| {
            let dvipa = definition.dvipa;
            let address = *settings.stand_ins.get(&dvipa)?;
            Some(Place { dvipa, address, claimed: claimed.clone() })
        });
        let tide = Tide {
            connections: settings.connections.div_ceil(count.max(1) as u64),
            planned_us,
            high,
            period_us: TIDE_US,
            shift_us: TIDE_US * index as u64 / count.max(1) as u64,
            began_us: shared.clock.now_us(),
        };
        let worker = Worker {
            index,
            identity: identity::here()?,
            structure: settings.structure,
            targets: targets.collect(),
            plan,
            tide,
            seed: random::next(&mut random),
            shared: Arc::clone(shared),
        };
        let name = format!("stack-{}", worker.plan.name);
        let thread = thread::Builder::new().name(name).spawn(move || worker.run());
        threads.push(thread.map_err(|source| DevError::System { what: "no thread for a stack", source })?);
    }
    Ok(threads)
}

/// The ports of one random group that every stack allows and nobody distributes: those that the
/// stacks claim by number, against each other.
fn claimed_ports(settings: &Settings, random: &mut u64) -> Vec<u16> {
    let sets: Vec<PortSet> = settings.stacks.iter().map(|stack| stack.profile.allowable(Transport::Tcp)).collect();
    let distributed = |port: u16| {
        let mut definitions = settings.stacks.iter().flat_map(|stack| &stack.profile.dvipas);
        definitions.any(|definition| definition.distributes(port))
    };
    let whole = |group: &GroupNumber| {
        sets.iter().all(|set| set.mask(*group).count() == 64)
            && !(group.port_first()..=group.port_last()).any(distributed)
    };
    let groups: Vec<GroupNumber> = GroupNumber::all().filter(whole).collect();
    if groups.is_empty() {
        return Vec::new();
    }
    let group = groups[(random::next(random) % groups.len() as u64) as usize];
    (group.port_first()..=group.port_last()).collect()
}

struct Conductor<'a> {
    recipe: Recipe,
    facility: FacilityProcess,
    sockets: &'a Path,
    shared: Arc<Shared>,
    stop: &'a AtomicBool,
    progress: Progress,
    random: u64,
    recoveries: Vec<Recovery>,
}

impl Conductor<'_> {
    /// Lets the load run and kills the facility at its moments. Returns how long the load took, s.
    fn conduct(&mut self, settings: &Settings) -> Result<f64, DevError> {
        self.wait_for(|shared| shared.all_attached(1))?;
        let began_us = self.shared.clock.now_us();
        let planned_us = u64::try_from(settings.duration.as_micros()).unwrap_or(u64::MAX);
        let last_us = planned_us.saturating_sub(MARGIN_US).max(MARGIN_US);
        let mut moments =
            random::moments(&mut self.random, settings.crashes, MARGIN_US, last_us).into_iter().peekable();
        loop {
            let now_us = self.shared.clock.now_us() - began_us;
            let enough = now_us >= planned_us && self.shared.opened() >= settings.connections;
            if self.over() || (enough && moments.peek().is_none()) {
                return Ok(now_us as f64 / 1e6);
            }
            if moments.next_if(|moment| *moment <= now_us).is_some() {
                self.crash(began_us)?;
            }
            if let Some(ended) = self.facility.ended() {
                return Err(ended);
            }
            self.progress.show(&self.shared);
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the facility, starts it again, and waits until every stack has attached.
    fn crash(&mut self, began_us: u64) -> Result<(), DevError> {
        let clock = self.shared.clock;
        let killed_us = clock.now_us();
        self.shared.down.store(true, Ordering::SeqCst);
        self.facility.kill()?;
        self.progress.show(&self.shared);
        let path = self.sockets.join((self.recoveries.len() + 2).to_string());
        let spawned_us = clock.now_us();
        // At the same port as before, for whoever watches the page; should somebody have it, at another.
        let at = self.facility.address();
        let again = FacilityProcess::start(&self.recipe, &path, at);
        self.facility = match again {
            Err(DevError::Facility { .. }) if at.is_some() => FacilityProcess::start(&self.recipe, &path, None)?,
            again => again?,
        };
        let serving_us = clock.now_us();
        self.shared.down.store(false, Ordering::SeqCst);
        let start = self.shared.reopen(path);
        self.wait_for(|shared| shared.all_attached(start))?;
        let attached_us = clock.now_us();
        let recovery = Recovery {
            at_ms: (killed_us - began_us) / 1_000,
            ms: (serving_us - spawned_us) as f64 / 1e3,
            attached_ms: (attached_us - killed_us) as f64 / 1e3,
        };
        self.progress.say(&format!("  {recovery}"));
        self.recoveries.push(recovery);
        Ok(())
    }

    fn wait_for(&self, reached: impl Fn(&Shared) -> bool) -> Result<(), DevError> {
        let since_us = self.shared.clock.now_us();
        while !reached(&self.shared) && !self.over() {
            if self.shared.clock.now_us() - since_us > SETTLE_US_MAX {
                return Err(DevError::State(CallError::Gone));
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    fn over(&self) -> bool {
        self.stop.load(Ordering::SeqCst) || self.shared.phase() == Phase::Close
    }

    /// Everything the facility knows, while every stack holds still with its connections open.
    fn picture(&self) -> Result<Picture, DevError> {
        self.shared.advance(Phase::Hold);
        if self.shared.phase() == Phase::Close {
            return Ok(Picture::default());
        }
        // Each stack notices within one connection's time; what it sent before is answered first.
        thread::sleep(Duration::from_millis(50));
        let facility = reach(&self.shared.door().path, self.recipe.structure)?;
        let status = Some(facility.status().map_err(DevError::State)?);
        let (mut items, mut from) = (Vec::new(), 0);
        loop {
            let page = facility.query(Query::Items { from }).wait().map_err(DevError::State)?;
            let Rows::Items { items: more, next } = page.rows else {
                return Err(DevError::State(CallError::WrongAnswer));
            };
            items.extend(more);
            match next {
                Some(next) if next > from => from = next,
                _ => return Ok(Picture { items, status }),
            }
        }
    }
}

/// What the facility says of itself, and everything it knows.
#[derive(Default)]
struct Picture {
    items: Vec<Item>,
    /// `None` where the run was ended before.
    status: Option<Status>,
}
