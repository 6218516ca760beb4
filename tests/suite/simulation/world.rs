//! Several machines with the real stack, one facility, and everything that may happen to them.
//!
//! All runs on one thread. A call of a stack that waits turns the world while it waits
//! (`facility::pump`), so that messages arrive, the facility crashes and other stacks go on: calls
//! nest, and every interleaving comes out of the seed alone. A stack that is inside a call is left
//! alone by what nests in it.

mod calm;
mod life;
mod strangers;

use super::Plan;
use super::clock::{BootClock, Time};
use super::counters::{Counters, Watch};
use super::host::{Host, QUARANTINE_MS};
use super::kernels::{Kernel, Kernels, POOL, Place};
use super::net::Net;
use crate::random::Random;
use parking_lot::Mutex;
use portplex::facility::pump::Pumping;
use portplex::ident::{ConnectorName, Dvipa, Lsn, Target, Transport};
use portplex::profile::{Profile, parse};
use portplex::stack::{BoundPort, Local, Stack, StackError, State, Tuple};
use portplex::structure::{PortOwner, Structure};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

const DVIPAS: [&str; POOL] = ["10.1.1.1", "10.1.1.2"];
const FIRST: u16 = 1_024;
/// The explicit-bind pool: one group.
const POOL_FIRST: u16 = 1_216;
/// How long the stacks promise to be heard of, ms.
const PROMISE_MS: u64 = 3_000;
/// What two clocks may drift apart in that time, and a millisecond for rounding.
const DRIFT_MS: u64 = 5;
/// How deep calls may nest.
const DEPTH_MAX: u32 = 3;

struct Slot {
    index: usize,
    kernel: Kernel,
    is_on: bool,
    process: u64,
    clock: Arc<BootClock>,
    stack: Option<Stack>,
    sockets: Vec<BoundPort>,
    /// Connections that were opened without a bound socket.
    connections: Vec<(Tuple, u64)>,
    /// Sockets of this kernel whose agent died.
    orphans: Vec<Place>,
    paused_until: u64,
}

pub(crate) struct World {
    plan: Plan,
    time: Time,
    net: Net,
    dice: Mutex<Random>,
    slots: Vec<Mutex<Slot>>,
    kernels: Mutex<Kernels>,
    counters: Mutex<Counters>,
    watch: Arc<Watch>,
    depth: Cell<u32>,
    is_over: Cell<bool>,
}

/// Runs a plan; what it did, and what must never be, if it was.
pub(crate) fn run(plan: Plan) -> (Counters, Result<(), String>) {
    let world = Rc::new(World::new(plan));
    let pumped = Rc::clone(&world);
    let pumping = Pumping::set(move || pumped.pump());
    let done = world.live();
    drop(pumping);
    let mut counters = *world.counters.lock();
    (counters.seeds, counters.steps, counters.simulated_ms) = (1, u64::from(plan.steps), world.time.now());
    (counters.grants, counters.releases) = world.watch.counts();
    {
        let kernels = world.kernels.lock();
        (counters.binds, counters.connections) = (kernels.binds, kernels.connections);
        (counters.duplicates, counters.early) = (kernels.duplicates, kernels.early);
    }
    world.net.with(|inner| {
        counters.posts = inner.posts;
        (counters.facility_crashes, counters.power_losses) = (inner.host.crashes, inner.host.power_losses);
        counters.restores = inner.host.restores;
        counters.trace = inner.trace;
    });
    (counters, done)
}

fn dvipa(of: usize) -> Dvipa {
    DVIPAS[of].parse().expect("a DVIPA")
}

fn target(of: usize) -> Target {
    if of == POOL { Target::Pool(Transport::Tcp) } else { Target::List(dvipa(of), Transport::Tcp) }
}

fn local(of: usize) -> Local {
    if of == POOL { Local::Any } else { Local::Address(dvipa(of)) }
}

fn place(at: Local, port: u16) -> Place {
    ((0..POOL).find(|of| local(*of) == at).unwrap_or(POOL), port)
}

fn token(grant: Option<Lsn>) -> u64 {
    grant.map_or(0, |lsn| lsn.0)
}

fn name(index: usize) -> ConnectorName {
    ConnectorName::new(&format!("SYS{index}")).expect("a name")
}

/// Two DVIPAs with three groups each, and a pool; every second stack may not use the first 16 ports,
/// and every third one has no pool.
fn profile(index: usize) -> Profile {
    let first = FIRST + if index % 2 == 1 { 16 } else { 0 };
    let pool =
        if index % 3 == 2 { String::new() } else { format!("GLOBALCONFIG EXPLICITBINDPORTRANGE {POOL_FIRST} 64") };
    let [one, two] = DVIPAS;
    let text = format!(
        "TCPCONFIG TIMEWAITINTERVAL 0 EPHEMERALPORTS {first} {}
         {pool}
         VIPADYNAMIC VIPADEFINE 255.255.255.0 {one} {two}
         VIPADISTRIBUTE SYSPLEXPORTS {one} PORT 4035 DESTIP ALL
         VIPADISTRIBUTE SYSPLEXPORTS {two} PORT 4035 DESTIP ALL ENDVIPADYNAMIC",
        FIRST + 191
    );
    parse(text.as_bytes()).0
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut dice = Random::new(plan.seed);
        let time = Time::default();
        time.set(1_000);
        let host = Host::new(&time, dice.next());
        let net = Net::new(time.clone(), dice.next(), host);
        let slots = (0..2 + dice.index(5)).map(|index| {
            let kernel = Kernel { machine: index as u128 + 1, boot: 1 };
            let clock = clock(&time, kernel, dice.next());
            Mutex::new(Slot {
                index,
                kernel,
                is_on: true,
                process: 0,
                clock,
                stack: None,
                sockets: Vec::new(),
                connections: Vec::new(),
                orphans: Vec::new(),
                paused_until: 0,
            })
        });
        let slots = slots.collect();
        Self {
            plan,
            time,
            net,
            slots,
            dice: Mutex::new(dice),
            kernels: Mutex::new(Kernels::new(QUARANTINE_MS)),
            counters: Mutex::default(),
            watch: Arc::default(),
            depth: Cell::new(0),
            is_over: Cell::new(false),
        }
    }

    fn below(&self, end: u64) -> u64 {
        self.dice.lock().below(end)
    }

    fn has(&self, fault: u32) -> bool {
        self.plan.faults >> fault & 1 == 1 && !self.is_over.get()
    }

    fn violated(&self, what: String) {
        self.kernels.lock().faults.push(what);
    }

    fn live(&self) -> Result<(), String> {
        for _ in 0..self.plan.steps {
            self.act();
            for _ in 0..1 + self.below(4) {
                self.net.step();
            }
            self.check()?;
        }
        self.settle()
    }

    /// What happens while somebody waits.
    fn pump(&self) {
        self.net.step();
        if self.is_over.get() || self.depth.get() >= DEPTH_MAX {
            return;
        }
        match self.below(12) {
            0 => self.act(),
            1 => self.slots.iter().for_each(|slot| {
                if let Some(slot) = slot.try_lock() {
                    self.tick(&slot);
                }
            }),
            _ => {}
        }
    }

    /// One thing happens somewhere.
    fn act(&self) {
        self.depth.set(self.depth.get() + 1);
        let index = self.dice.lock().index(self.slots.len());
        let what = self.below(100);
        match what {
            0..3 if self.has(0) => {
                self.net.with(|inner| {
                    if !inner.cut.remove(&index) {
                        inner.cut.insert(index);
                    }
                });
            }
            3..6 if self.has(1) => self.net.with(|inner| inner.host.strike()),
            6..8 if self.has(4) => self.operate(index),
            8 if self.has(4) => self.intrude(index),
            13 if self.has(5) && self.below(5) == 0 => self.restore(),
            14 if self.has(5) => self.let_grants_go_on(),
            _ => {
                if let Some(mut slot) = self.slots[index].try_lock() {
                    self.act_on(&mut slot, what);
                }
            }
        }
        self.depth.set(self.depth.get() - 1);
    }

    fn act_on(&self, slot: &mut Slot, what: u64) {
        let now = self.time.now();
        if !slot.is_on {
            if self.below(8) == 0 {
                slot.is_on = true;
            }
            return;
        }
        match what {
            9..11 if self.has(2) => return self.crash(slot, self.below(3) > 0),
            11 if self.has(3) => return self.reboot(slot),
            12 if self.has(2) => slot.paused_until = now + self.below(3 * PROMISE_MS),
            _ => {}
        }
        if now < slot.paused_until {
            return;
        }
        let Some(stack) = &slot.stack else { return self.start(slot) };
        match stack.state() {
            State::Fenced => return self.crash(slot, true),
            State::Unreachable | State::Expired => {
                if self.below(3) == 0 {
                    self.reattach(slot);
                }
            }
            State::Active | State::Stopped(_) => {}
        }
        match what {
            20..40 => self.bind(slot, self.below(2) as usize, 0),
            40..44 => self.bind(slot, POOL, 0),
            44..58 => self.connect(slot, self.below(2) as usize),
            58..63 => self.bind(slot, self.below(2) as usize, FIRST + self.below(192) as u16),
            63..75 => self.close_one(slot),
            75..85 => self.disconnect_one(slot),
            85..88 => {
                self.close_all_in_order(slot);
                if let Some(stack) = &slot.stack {
                    stack.give_back(0);
                }
            }
            _ => self.tick(slot),
        }
    }

    fn tick(&self, slot: &Slot) {
        if self.time.now() >= slot.paused_until
            && let Some(stack) = &slot.stack
        {
            stack.tick();
        }
    }

    fn refused(&self, error: &StackError) {
        self.counters.lock().refusals += 1;
        if error.to_string().is_empty() {
            self.violated(format!("I22: a refusal without a cause: {error:?}"));
        }
    }

    fn bind(&self, slot: &mut Slot, of: usize, port: u16) {
        let Some(stack) = &slot.stack else { return };
        let bound = if of == POOL { stack.bind_unspecified() } else { stack.bind(dvipa(of), port) };
        match bound {
            // A stack without a pool takes one of its own: they are no part of this.
            Ok(bound) if of == POOL && bound.grant.is_none() => stack.release(bound),
            Ok(bound) => {
                let (at, now) = (place(bound.local, bound.port), self.time.now());
                self.kernels.lock().bind(slot.kernel, slot.index, at, token(bound.grant), now);
                self.used(slot, at);
                slot.sockets.push(bound);
            }
            Err(error) => self.refused(&error),
        }
    }

    fn connect(&self, slot: &mut Slot, of: usize) {
        let Some(stack) = &slot.stack else { return };
        let far = 1 + self.below(40);
        match stack.connect(dvipa(of), SocketAddr::from(([203, 0, 113, 7], far as u16))) {
            Ok(tuple) => {
                let (at, now) = (place(tuple.local, tuple.port), self.time.now());
                self.kernels.lock().connect(slot.kernel, slot.index, at, far, token(tuple.grant), now);
                self.used(slot, at);
                slot.connections.push((tuple, far));
            }
            Err(error) => self.refused(&error),
        }
    }

    /// A port was taken into use: within the lease, counted from when the call was sent that gave it.
    fn used(&self, slot: &Slot, (of, port): Place) {
        let now = self.time.now();
        let leased = self.net.with(|inner| {
            inner.note(u64::from(port) << 16 | (of as u64) << 8 | slot.index as u64);
            inner.leased.get(&slot.index).copied().unwrap_or(0)
        });
        if now > leased + PROMISE_MS + DRIFT_MS {
            let late = now - leased;
            self.violated(format!("R2, I2: {:?} uses {of}:{port} {late} ms after it asked for its lease", slot.kernel));
        }
    }

    fn close_one(&self, slot: &mut Slot) {
        if slot.sockets.is_empty() {
            return;
        }
        let at = self.dice.lock().index(slot.sockets.len());
        let bound = slot.sockets.swap_remove(at);
        self.kernels.lock().close(slot.kernel, place(bound.local, bound.port), self.time.now());
        if let Some(stack) = &slot.stack {
            stack.release(bound);
        }
    }

    fn disconnect_one(&self, slot: &mut Slot) {
        if slot.connections.is_empty() {
            return;
        }
        let at = self.dice.lock().index(slot.connections.len());
        let (tuple, far) = slot.connections.swap_remove(at);
        self.kernels.lock().disconnect(slot.kernel, place(tuple.local, tuple.port), far, self.time.now());
        if let Some(stack) = &slot.stack {
            stack.close(tuple);
        }
    }

    fn close_all_in_order(&self, slot: &mut Slot) {
        while !slot.sockets.is_empty() {
            self.close_one(slot);
        }
        while !slot.connections.is_empty() {
            self.disconnect_one(slot);
        }
    }

    /// Every socket is covered by what the facility has (P2, I1), and nothing was violated.
    fn check(&self) -> Result<(), String> {
        let mut kernels = self.kernels.lock();
        let fault = self.net.with(|inner| {
            let Some(structure) = inner.host.structure() else { return inner.host.fault.take() };
            let uncovered = uncovered(structure, &kernels);
            // Put back, an older state does not know of all; until granting goes on that is nobody's loss.
            let fault = uncovered.filter(|_| !inner.host.is_in_doubt);
            fault.or_else(|| inner.host.fault.take())
        });
        kernels.faults.extend(fault);
        if kernels.faults.is_empty() { Ok(()) } else { Err(kernels.faults.join("\n")) }
    }
}

/// A socket whose port the facility does not have as its stack's.
fn uncovered(structure: &Structure, kernels: &Kernels) -> Option<String> {
    kernels.open().find_map(|((of, port), socket)| {
        let owner = structure.owner(target(of), port);
        let is_right = matches!(&owner, PortOwner::Held { connector, .. } if *connector == name(socket.slot));
        (!is_right).then(|| format!("P1, P2, I3, I5: {of}:{port} is in use, {socket:?}, the facility has {owner:?}"))
    })
}

fn clock(time: &Time, kernel: Kernel, dice: u64) -> Arc<BootClock> {
    let boot = kernel.boot;
    Arc::new(BootClock { time: time.clone(), boot, booted: time.now(), speed: dice % 1_001 })
}
