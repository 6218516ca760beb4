//! One stack of the run, in a thread of its own: takes ports, opens and closes real connections,
//! gives groups back, and attaches again whenever the facility was started again.
//!
//! The number of open connections swings like a tide, each stack at its own time, so that groups
//! are taken on the way up and given back on the way down. Now and then all stacks claim ports of
//! one small range by number, so that they want the same ports at the same time.

use super::checker::StackIndex;
use super::connection::{OpenError, Pair};
use super::error::DevError;
use super::settings::StackPlan;
use super::shared::{Phase, Shared};
use super::tap::{Ear, Tapped};
use super::tide::Tide;
use crate::api::Door;
use crate::api::RemoteFacility;
use crate::api::RemoteOptions;
use crate::cli::kernel::{self, Blocker};
use crate::facility::Facility;
use crate::ident::Dvipa;
use crate::ident::Identity;
use crate::ident::PortSet;
use crate::ident::StructureName;
use crate::stack::Adopted;
use crate::stack::BoundPort;
use crate::stack::Local;
use crate::stack::Options;
use crate::stack::Refill;
use crate::stack::Stack;
use crate::stack::StackError;
use crate::structure::Grant;
use crate::structure::Refusal;
use crate::structure::StopCause;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Free ports that a stack keeps in hand when it gives groups back.
const KEEP_PORTS: u32 = 64;

/// Fewer free ports in hand than this: the next group is fetched.
const PREFETCH_BELOW: u32 = 32;

/// One connection in so many is from a port claimed by number.
const CLAIM_ONE_IN: u64 = 24;

/// How long a refusal of every port is put up with, µs.
const REFUSED_US_MAX: u64 = 15_000_000;

/// How long an answer of a facility that was just started may take, µs.
const ATTACH_US_MAX: u64 = 30_000_000;

/// One stack's connection to the service.
type Link = Tapped<RemoteFacility>;

/// What a thread needs to be one stack.
pub(super) struct Worker {
    pub(super) index: StackIndex,
    pub(super) plan: StackPlan,
    pub(super) identity: Identity,
    pub(super) structure: StructureName,
    /// Each DVIPA with its stand-in and 64 ports (or fewer) that are claimed by number.
    pub(super) targets: Vec<Place>,
    pub(super) tide: Tide,
    pub(super) seed: u64,
    pub(super) shared: Arc<Shared>,
}

/// Where a stack takes ports.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) dvipa: Dvipa,
    pub(super) address: IpAddr,
    pub(super) claimed: Vec<u16>,
}

/// What one stack did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) connections: u64,
    pub(super) while_down: u64,
    pub(super) adopted_groups: u64,
    pub(super) adopted_given_back: u64,
    pub(super) given_back: u64,
    pub(super) claims: u64,
    pub(super) claims_refused: u64,
    pub(super) foreign_met: u64,
}

struct Running {
    worker: Worker,
    stack: Stack,
    link: Arc<Link>,
    start: u64,
    listener: TcpListener,
    open: VecDeque<Open>,
    /// Ports that a socket of somebody else has, or that an earlier run left in use.
    set_aside: Vec<BoundPort>,
    random: u64,
    tally: Tally,
    refused_since_us: Option<u64>,
    looked_us: u64,
}

struct Open {
    pair: Pair,
    port: BoundPort,
    address: IpAddr,
}

impl Worker {
    /// Runs until the phase says so. A failure ends the whole run.
    pub(super) fn run(self) -> Tally {
        let shared = Arc::clone(&self.shared);
        let done = Running::begin(self).and_then(|mut running| {
            let worked = running.work();
            running.close_all();
            worked.map(|()| running.tally)
        });
        done.unwrap_or_else(|error| {
            shared.fail(error);
            Tally::default()
        })
    }

    fn network(&self, what: &'static str, source: io::Error) -> DevError {
        DevError::Network { name: self.plan.name.to_string(), what, source }
    }

    fn stack_error(&self, source: StackError) -> DevError {
        DevError::Stack { name: self.plan.name.to_string(), source }
    }

    fn link(&self, path: &std::path::Path) -> Result<Arc<Link>, DevError> {
        let ear = Ear { stack: self.index, witness: Arc::clone(&self.shared.witness) };
        let facility = RemoteFacility::connect(&Door::Unix(path.to_owned()), self.structure, RemoteOptions::default())?;
        Ok(Arc::new(Tapped::new(facility, ear)))
    }
}

impl Running {
    fn begin(worker: Worker) -> Result<Self, DevError> {
        let listener = super::connection::listen().map_err(|error| worker.network("no listener on loopback", error))?;
        let door = worker.shared.door();
        let link = worker.link(&door.path)?;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&worker.seed.to_le_bytes());
        // No agent's lock: whoever attaches here came through this run's own socket.
        let refill = Refill { low_ports: PREFETCH_BELOW, ..Refill::default() };
        let options = Options { seed, refill, ..Options::default() };
        let facility: Arc<dyn Facility> = Arc::clone(&link) as Arc<dyn Facility>;
        let (name, profile) = (worker.plan.name.clone(), worker.plan.profile.clone());
        let started = Stack::start(facility, name, profile, worker.identity, options);
        let (stack, adopted) = started.map_err(|error| worker.stack_error(error))?;
        let mut running = Self {
            random: worker.seed,
            worker,
            stack,
            link,
            start: door.start,
            listener,
            open: VecDeque::new(),
            set_aside: Vec::new(),
            tally: Tally::default(),
            refused_since_us: None,
            looked_us: 0,
        };
        running.adopt(&adopted)?;
        running.show(running.start);
        Ok(running)
    }

    fn work(&mut self) -> Result<(), DevError> {
        loop {
            let phase = self.worker.shared.phase();
            if phase == Phase::Close {
                return Ok(());
            }
            if self.worker.shared.door().start != self.start {
                self.reattach()?;
            }
            if phase == Phase::Hold {
                self.show(self.start);
                thread::sleep(Duration::from_millis(2));
                continue;
            }
            self.step()?;
        }
    }

    /// Opens one connection if one is due, closes what the tide leaves dry.
    fn step(&mut self) -> Result<(), DevError> {
        let now_us = self.worker.shared.clock.now_us();
        if self.tally.connections < self.worker.tide.due(now_us) {
            self.open_one(now_us)?;
        } else {
            thread::sleep(Duration::from_micros(500));
        }
        let (level, falling) = self.worker.tide.level(now_us);
        while self.open.len() > level {
            self.close_oldest();
        }
        if now_us.saturating_sub(self.looked_us) > 20_000 {
            self.looked_us = now_us;
            if falling {
                self.tally.given_back += u64::from(self.stack.give_back(KEEP_PORTS));
            }
            self.show(self.start);
        }
        Ok(())
    }

    fn open_one(&mut self, now_us: u64) -> Result<(), DevError> {
        let Some(place) = self.next_place() else { return Ok(()) };
        let claim = match place.claimed.len() {
            0 => 0,
            count if self.random_below(CLAIM_ONE_IN) == 0 => place.claimed[self.random_below(count as u64) as usize],
            _ => 0,
        };
        self.tally.claims += u64::from(claim != 0);
        let port = match self.stack.bind(place.dvipa, claim) {
            Ok(port) => port,
            // Another stack has it, or had it a moment ago: what a claim may well hear.
            Err(
                StackError::InUse { .. }
                | StackError::HeldBy { .. }
                | StackError::Excluded { .. }
                | StackError::Refused(_),
            ) if claim != 0 => {
                self.tally.claims_refused += 1;
                return Ok(());
            }
            // It goes on by itself.
            Err(StackError::Refused(Refusal::GrantsStopped { cause: StopCause::PowerLoss })) => {
                return self.wait_for_a_port(now_us, None);
            }
            // Only an operator's word helps, and this run has none.
            Err(error @ StackError::Refused(Refusal::GrantsStopped { .. })) => {
                return Err(self.worker.stack_error(error));
            }
            Err(error @ (StackError::Refused(_) | StackError::NoPort { .. })) => {
                return self.wait_for_a_port(now_us, Some(error));
            }
            Err(StackError::Unreachable { .. }) => return self.wait_for_a_port(now_us, None),
            Err(error) => return Err(self.worker.stack_error(error)),
        };
        self.refused_since_us = None;
        self.connect(&place, port)
    }

    /// No port can be had right now: the oldest connection gives its own back.
    fn wait_for_a_port(&mut self, now_us: u64, refused: Option<StackError>) -> Result<(), DevError> {
        self.close_oldest();
        thread::sleep(Duration::from_millis(1));
        let since_us = *self.refused_since_us.get_or_insert(now_us);
        match refused {
            Some(error) if now_us - since_us > REFUSED_US_MAX => Err(self.worker.stack_error(error)),
            Some(_) => Ok(()),
            None => {
                self.refused_since_us = None;
                Ok(())
            }
        }
    }

    fn connect(&mut self, place: &Place, port: BoundPort) -> Result<(), DevError> {
        let (witness, index) = (Arc::clone(&self.worker.shared.witness), self.worker.index);
        let (address, dvipa, number) = (place.address, place.dvipa.address(), port.port);
        witness.tell(|checker, at_us| checker.binding(at_us, index, dvipa, number));
        let mut tries = 0;
        let opened = loop {
            match Pair::open(address, number, &self.listener) {
                Err(OpenError::InUse) => match self.judge(address, dvipa, number, tries)? {
                    true => tries += 1,
                    false => break Ok(None),
                },
                Ok(pair) => break Ok(Some(pair)),
                Err(OpenError::Failed(what, error)) => break Err(self.worker.network(what, error)),
            }
        };
        match opened {
            Ok(Some(pair)) => {
                self.open.push_back(Open { pair, port, address: dvipa });
                self.tally.connections += 1;
                let shared = &self.worker.shared;
                self.tally.while_down += u64::from(shared.down.load(Ordering::Relaxed));
                shared.gauges[index].opened.store(self.tally.connections, Ordering::Relaxed);
                Ok(())
            }
            Ok(None) => {
                witness.tell(|checker, _| checker.closed(index, dvipa, number));
                self.set_aside.push(port);
                Ok(())
            }
            Err(error) => {
                witness.tell(|checker, _| checker.closed(index, dvipa, number));
                self.stack.release(port);
                Err(error)
            }
        }
    }

    /// A bind met a socket: whose? True if it is worth another try.
    fn judge(&mut self, address: IpAddr, dvipa: IpAddr, port: u16, tries: u32) -> Result<bool, DevError> {
        let (witness, index) = (&self.worker.shared.witness, self.worker.index);
        let blocker = kernel::blocker(address, port).map_err(DevError::Tables)?;
        let ours_before = witness.tell(|checker, _| checker.was_used_before(dvipa, port));
        match blocker {
            Blocker::Nobody if tries < TRIES_MAX => return Ok(true),
            // The last acknowledgement of our own close may still be on its way.
            Blocker::Closing if ours_before && tries < TRIES_MAX => {
                thread::sleep(Duration::from_millis(5));
                return Ok(true);
            }
            Blocker::Ours => witness.tell(|checker, _| checker.met_own_socket(index, dvipa, port)),
            Blocker::Closing if ours_before => witness.tell(|checker, _| checker.met_own_socket(index, dvipa, port)),
            Blocker::Closing | Blocker::Foreign | Blocker::Nobody => self.tally.foreign_met += 1,
        }
        Ok(false)
    }

    fn close_oldest(&mut self) {
        let Some(Open { pair, port, address }) = self.open.pop_front() else { return };
        pair.close();
        let (index, number) = (self.worker.index, port.port);
        self.worker.shared.witness.tell(|checker, _| checker.closed(index, address, number));
        self.stack.release(port);
    }

    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.close_oldest();
        }
        for port in self.set_aside.drain(..) {
            self.stack.release(port);
        }
    }

    /// Attaches to the facility that was started again, however often it is started meanwhile.
    fn reattach(&mut self) -> Result<(), DevError> {
        let began_us = self.worker.shared.clock.now_us();
        loop {
            let door = self.worker.shared.door();
            // From here on the checker hears nothing more of the old connection.
            self.link.close();
            let attached = self.worker.link(&door.path).and_then(|link| {
                self.link = link;
                let facility: Arc<dyn Facility> = Arc::clone(&self.link) as Arc<dyn Facility>;
                self.stack.reattach(facility).map_err(|error| self.worker.stack_error(error))
            });
            match attached {
                Ok(adopted) => {
                    self.start = door.start;
                    self.stop(&adopted.stopped);
                    self.adopt(&adopted)?;
                    self.show(door.start);
                    return Ok(());
                }
                // It was killed again before it answered.
                Err(DevError::Service(_) | DevError::Stack { source: StackError::Unreachable { .. }, .. })
                    if self.worker.shared.clock.now_us() - began_us < ATTACH_US_MAX => {}
                Err(error) => return Err(error),
            }
            if self.worker.shared.phase() == Phase::Close {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Reads the kernel's sockets of the stand-ins and gives back adopted groups without any.
    fn adopt(&mut self, adopted: &Adopted) -> Result<(), DevError> {
        if adopted.grants.is_empty() {
            return Ok(());
        }
        let sockets = kernel::sockets().map_err(DevError::Tables)?;
        for Place { dvipa, address, .. } in self.worker.targets.clone() {
            let mut in_use = PortSet::empty();
            for port in kernel::ports_in_use(&sockets, address) {
                in_use.insert_range(port, port);
            }
            let of_dvipa = |grant: &&Grant| grant.target.dvipa_text() == dvipa.to_string();
            let idle = |grant: &&Grant| in_use.mask(grant.group).and(grant.mask).is_empty();
            let grants: Vec<&Grant> = adopted.grants.iter().filter(of_dvipa).collect();
            self.tally.adopted_groups += grants.len() as u64;
            self.tally.adopted_given_back += grants.iter().filter(|grant| idle(grant)).count() as u64;
            let kept =
                self.stack.adopt(Local::Address(dvipa), &in_use).map_err(|error| self.worker.stack_error(error))?;
            self.set_aside.extend(kept);
        }
        Ok(())
    }

    /// Closes the sockets of ports that the facility says are not this stack's any more.
    fn stop(&mut self, stopped: &[(Local, u16)]) {
        let (gone, kept) = self.open.drain(..).partition(|open| stopped.contains(&(open.port.local, open.port.port)));
        self.open = kept;
        for Open { pair, port, address } in Vec::from(gone) {
            pair.close();
            let index = self.worker.index;
            self.worker.shared.witness.tell(|checker, _| checker.closed(index, address, port.port));
        }
    }

    fn next_place(&mut self) -> Option<Place> {
        let count = self.worker.targets.len();
        let place = self.worker.targets.get((self.tally.connections % count.max(1) as u64) as usize)?;
        Some(place.clone())
    }

    fn show(&self, start: u64) {
        let gauge = &self.worker.shared.gauges[self.worker.index];
        gauge.open.store(self.open.len() as u32, Ordering::Relaxed);
        gauge.groups.store(self.stack.usage().iter().map(|usage| usage.grants).sum(), Ordering::Relaxed);
        gauge.attached.store(start, Ordering::SeqCst);
    }

    fn random_below(&mut self, limit: u64) -> u64 {
        super::random::next(&mut self.random) % limit.max(1)
    }
}

/// Binds of one port before its blocker is believed to stay.
const TRIES_MAX: u32 = 40;
