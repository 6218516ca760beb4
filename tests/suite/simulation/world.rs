//! Several machines with the real stack, one facility, and everything that may happen to them.
//!
//! All runs on one thread. A call of a stack that waits turns the world while it waits
//! (`facility::pump`), so that messages arrive, the facility crashes and other stacks go on: calls
//! nest, and every interleaving comes out of the seed alone. A stack that is inside a call is left
//! alone by what nests in it.

mod calm;

use super::Plan;
use super::clock::{BootClock, Time};
use super::counters::{Counters, Watch};
use super::host::{Host, QUARANTINE_MS};
use super::kernels::{Kernel, Kernels};
use super::net::Net;
use crate::random::Random;
use parking_lot::Mutex;
use portplex::facility::Clock;
use portplex::facility::pump::Pumping;
use portplex::ident::{BootId, ConnectorName, Dvipa, Identity, MachineId, PortSet, ProcessId, Target, Transport};
use portplex::profile::{Profile, parse};
use portplex::stack::{BoundPort, Local, Observer, Options, Refill, Stack, StackError, State};
use portplex::structure::{ConnectorState, Item, PortOwner, Request};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

const DVIPA: &str = "10.1.1.1";
const FIRST: u16 = 1_024;
/// How long the stacks promise to be heard of, ms.
const PROMISE_MS: u64 = 3_000;
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
    /// Sockets of this kernel whose agent died.
    orphans: Vec<u16>,
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
        (counters.binds, counters.duplicates, counters.early) = (kernels.binds, kernels.duplicates, kernels.early);
    }
    world.net.with(|inner| {
        counters.posts = inner.posts;
        (counters.facility_crashes, counters.power_losses) = (inner.host.crashes, inner.host.power_losses);
        counters.trace = inner.trace;
    });
    (counters, done)
}

fn dvipa() -> Dvipa {
    DVIPA.parse().expect("a DVIPA")
}

fn target() -> Target {
    Target::List(dvipa(), Transport::Tcp)
}

fn name(index: usize) -> ConnectorName {
    ConnectorName::new(&format!("SYS{index}")).expect("a name")
}

/// Three groups; every second stack may not use the first 16 ports.
fn profile(index: usize) -> Profile {
    let first = FIRST + if index % 2 == 1 { 16 } else { 0 };
    let text = format!(
        "TCPCONFIG TIMEWAITINTERVAL 0 EPHEMERALPORTS {first} {}
         VIPADYNAMIC VIPADEFINE 255.255.255.0 {DVIPA}
         VIPADISTRIBUTE SYSPLEXPORTS {DVIPA} PORT 4035 DESTIP ALL ENDVIPADYNAMIC",
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
            20..58 => self.bind(slot, 0),
            58..63 => self.bind(slot, FIRST + self.below(192) as u16),
            63..85 => self.close_one(slot),
            85..88 => {
                for _ in 0..slot.sockets.len() {
                    self.close_one(slot);
                }
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

    fn introduce(&self, slot: &Slot) -> (Identity, Options) {
        let identity = Identity {
            machine: MachineId(slot.kernel.machine),
            boot: BootId(slot.kernel.boot),
            process: ProcessId(slot.process),
        };
        let refill = Refill { low_ports: 4, at_once_max: 1, idle_ms: 800, share: false, ..Refill::default() };
        let seed = [self.below(256) as u8; 32];
        let clock = Arc::clone(&slot.clock) as Arc<dyn Clock>;
        let observer = Some(Arc::clone(&self.watch) as Arc<dyn Observer>);
        (identity, Options { seed, promise_ms: PROMISE_MS, refill, clock, observer, ..Options::default() })
    }

    /// An agent starts, and takes over the sockets that its kernel has.
    fn start(&self, slot: &mut Slot) {
        slot.process += 1;
        let (identity, options) = self.introduce(slot);
        let started = Stack::start(self.net.door(slot.index), name(slot.index), profile(slot.index), identity, options);
        match started {
            Ok((stack, _)) => {
                slot.stack = Some(stack);
                self.adopt(slot);
            }
            Err(error) => self.refused(&error),
        }
    }

    fn adopt(&self, slot: &mut Slot) {
        let Some(stack) = &slot.stack else { return };
        let mut in_use = PortSet::empty();
        for port in slot.orphans.iter().copied().chain(slot.sockets.iter().map(|bound| bound.port)) {
            in_use.insert_range(port, port);
        }
        match stack.adopt(Local::Address(dvipa()), &in_use) {
            Ok(bound) => {
                slot.orphans.retain(|port| !bound.iter().any(|bound| bound.port == *port));
                if !slot.orphans.is_empty() {
                    let (kernel, lost) = (slot.kernel, &slot.orphans);
                    self.violated(format!("P2, I4: {kernel:?} has sockets that no grant covers any more: {lost:?}"));
                }
                slot.sockets.extend(bound);
            }
            Err(StackError::NotSysplexPorts { .. }) if slot.orphans.is_empty() => {}
            Err(error) if slot.orphans.is_empty() => self.refused(&error),
            Err(error) => {
                self.refused(&error);
                // Its agent tries again with the next life.
                slot.stack = None;
                slot.orphans.extend(slot.sockets.drain(..).map(|bound| bound.port));
            }
        }
    }

    fn reattach(&self, slot: &mut Slot) {
        let Some(stack) = &slot.stack else { return };
        match stack.reattach(self.net.door(slot.index)) {
            Ok(adopted) => {
                if !adopted.stopped.is_empty() {
                    self.violated(format!("P2, I4: {:?} is told to stop {:?}", slot.kernel, adopted.stopped));
                }
                self.adopt(slot);
            }
            Err(error) => self.refused(&error),
        }
    }

    fn refused(&self, error: &StackError) {
        self.counters.lock().refusals += 1;
        if error.to_string().is_empty() {
            self.violated(format!("I22: a refusal without a cause: {error:?}"));
        }
    }

    fn bind(&self, slot: &mut Slot, port: u16) {
        let Some(stack) = &slot.stack else { return };
        match stack.bind(dvipa(), port) {
            Ok(bound) => {
                let token = bound.grant.map_or(0, |lsn| lsn.0);
                self.kernels.lock().bind(slot.kernel, slot.index, bound.port, token, self.time.now());
                let what = u64::from(bound.port) << 8 | slot.index as u64;
                self.net.with(|inner| inner.note(what));
                slot.sockets.push(bound);
            }
            Err(error) => self.refused(&error),
        }
    }

    fn close_one(&self, slot: &mut Slot) {
        if slot.sockets.is_empty() {
            return;
        }
        let at = self.dice.lock().index(slot.sockets.len());
        let bound = slot.sockets.swap_remove(at);
        self.kernels.lock().close(slot.kernel, bound.port, self.time.now());
        if let Some(stack) = &slot.stack {
            stack.release(bound);
        }
    }

    /// The agent dies; its kernel goes on, with the sockets or without.
    fn crash(&self, slot: &mut Slot, sockets_live: bool) {
        if slot.stack.take().is_none() {
            return;
        }
        self.counters.lock().process_crashes += 1;
        slot.orphans.extend(slot.sockets.drain(..).map(|bound| bound.port));
        if !sockets_live {
            self.close_all(slot);
        }
    }

    fn close_all(&self, slot: &mut Slot) {
        let (mut kernels, now) = (self.kernels.lock(), self.time.now());
        slot.orphans.drain(..).for_each(|port| kernels.close(slot.kernel, port, now));
        slot.sockets.drain(..).for_each(|bound| kernels.close(slot.kernel, bound.port, now));
    }

    /// The machine goes down, and comes back as another boot.
    fn reboot(&self, slot: &mut Slot) {
        slot.stack = None;
        self.close_all(slot);
        slot.kernel.boot += 1;
        slot.is_on = false;
        slot.paused_until = 0;
        slot.clock = clock(&self.time, slot.kernel, self.dice.lock().next());
        self.counters.lock().reboots += 1;
    }

    /// An operator says what is true when it is said: that a boot is dead, or nothing. Without the word a
    /// clean-up must be refused, for nobody here enforces what the stacks promise.
    fn operate(&self, index: usize) {
        let Some(slot) = self.slots[index].try_lock() else { return };
        let wanted = name(index);
        let found = self.net.with(|inner| {
            let mut items = inner.host.structure()?.items();
            items.find_map(|item| match item {
                Item::Connector { name, incarnation, state, identity, .. } if name == wanted => {
                    Some((incarnation, state, identity))
                }
                _ => None,
            })
        });
        let Some((incarnation, state, identity)) = found else { return };
        let kernel = Kernel { machine: identity.machine.0, boot: identity.boot.0 };
        let is_dead = kernel != slot.kernel;
        drop(slot);
        let by = ConnectorName::new("OPERATOR").expect("a name");
        let door = self.net.door(usize::MAX);
        let name = name(index);
        if state != ConnectorState::FailedPersistent && self.below(2) == 0 {
            drop(door.submit(Request::MarkFailed { name: name.clone(), incarnation, by: Some(by.clone()) }));
        }
        drop(door.submit(Request::CleanUp { name, incarnation, by, boot_is_dead: is_dead }));
    }

    /// Another machine comes up under the same name. If it is let in it uses one port, and goes.
    fn intrude(&self, index: usize) {
        let Some(slot) = self.slots[index].try_lock() else { return };
        let kernel = Kernel { machine: 100 + slot.kernel.machine, boot: self.time.now().into() };
        let identity =
            Identity { machine: MachineId(kernel.machine), boot: BootId(kernel.boot), process: ProcessId(1) };
        let (_, options) = self.introduce(&slot);
        let started = Stack::start(self.net.door(index), name(index), profile(index), identity, options);
        drop(slot);
        let Ok((stack, _)) = started else { return };
        if let Ok(bound) = stack.bind(dvipa(), 0) {
            let token = bound.grant.map_or(0, |lsn| lsn.0);
            self.kernels.lock().bind(kernel, usize::MAX, bound.port, token, self.time.now());
            self.kernels.lock().close(kernel, bound.port, self.time.now());
            stack.release(bound);
        }
        let _ = stack.disconnect();
    }

    /// Every socket is covered by what the facility has (P2, I1), and nothing was violated.
    fn check(&self) -> Result<(), String> {
        let mut kernels = self.kernels.lock();
        let fault = self.net.with(|inner| {
            let Some(structure) = inner.host.structure() else { return inner.host.fault.take() };
            for (port, socket) in kernels.open() {
                let owner = structure.owner(target(), port);
                let is_right = matches!(&owner, PortOwner::Held { connector, .. } if *connector == name(socket.slot));
                if !is_right {
                    return Some(format!("P1, P2: port {port} is in use, {socket:?}, the facility has {owner:?}"));
                }
            }
            inner.host.fault.take()
        });
        kernels.faults.extend(fault);
        if kernels.faults.is_empty() { Ok(()) } else { Err(kernels.faults.join("\n")) }
    }
}

fn clock(time: &Time, kernel: Kernel, dice: u64) -> Arc<BootClock> {
    let boot = kernel.boot;
    Arc::new(BootClock { time: time.clone(), boot, booted: time.now(), speed: dice % 1_001 })
}
