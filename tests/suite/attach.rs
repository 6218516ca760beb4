//! How stacks come back, what they prove, and what then happens to granting: a facility moved step by
//! step on a simulated disk with a set clock, and stacks that hold real connections to it.

mod challenges;
mod copies;
mod loss;
mod outages;
mod room;
mod standing;

use parking_lot::Mutex;
use portplex::checkpoint::FlatStore;
use portplex::disk::Disk;
use portplex::disk::sim::{Loss, SimDisk};
use portplex::facility::{
    AttachRequest, Attached, Belief, CallError, Challenge, Clock, Command, Completer, Connection, Facility, Machine,
    Options, Page, Presence, Query, Renewal, Reply, SetClock, Status, Stepper, Ticket,
};
use portplex::ident::{BootId, ConnectorName, Identity, Lsn, MachineId, PortSet, ProcessId, Target, Transport};
use portplex::record;
use portplex::structure::{Actor, Change, Grant, Introduction, Member, Refusal, ReportedGrant, Request, Structure};
use portplex::wal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const DIR: &str = "/store";
const PROMISE_MS: u64 = 10_000;
const QUARANTINE_MS: u64 = 2_000;

/// A stepper behind the door, until it is taken away.
struct Door {
    stepper: Mutex<Option<Stepper>>,
    /// Pages of reports that came through.
    pages: AtomicU64,
}

impl Door {
    fn hand_in<T>(&self, command: impl FnOnce(Completer<T>) -> Command) -> Ticket<T> {
        let (ticket, completer) = Ticket::pair();
        match self.stepper.lock().as_mut() {
            // A failed turn answers everybody.
            Some(stepper) => drop(stepper.work([command(completer)])),
            None => completer.complete(Err(CallError::Gone)),
        }
        ticket
    }
}

impl Facility for Door {
    fn submit(&self, request: Request) -> Ticket<Reply> {
        self.hand_in(|completer| Command::Request(request, completer))
    }

    fn challenge(&self, name: &ConnectorName) -> Ticket<Challenge> {
        self.hand_in(|completer| Command::Challenge(name.clone(), completer))
    }

    fn report(&self, name: &ConnectorName, challenge: Challenge, grants: Vec<ReportedGrant>) -> Ticket<()> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.hand_in(|completer| Command::Report(name.clone(), challenge, grants, completer))
    }

    fn attach(&self, attach: AttachRequest, presence: Presence) -> Ticket<Reply> {
        self.hand_in(|completer| Command::Attach(Box::new(attach), presence, completer))
    }

    fn connect(&self, introduction: Introduction, presence: Presence) -> Ticket<Reply> {
        self.hand_in(|completer| Command::Connect(introduction, presence, completer))
    }

    fn resume(&self, resume: Request, presence: Presence) -> Ticket<Reply> {
        self.hand_in(|completer| Command::Resume(resume, presence, completer))
    }

    fn renew(&self, actor: Actor, number: u64) -> Ticket<Renewal> {
        self.hand_in(|completer| Command::Renew(actor, number, completer))
    }

    fn query(&self, query: Query) -> Ticket<Page> {
        self.hand_in(|completer| Command::Query(query, completer))
    }
}

/// A store on a simulated machine.
struct Rig {
    disk: SimDisk,
    clock: Arc<SetClock>,
    boot: u128,
    dir: PathBuf,
    options: Options,
    door: Arc<Door>,
}

impl Rig {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let quarantine = Duration::from_millis(QUARANTINE_MS);
        let options =
            Options { create: true, segment_size: 64 << 10, quarantine, checkpoint_at_close: false, ..options };
        let disk = SimDisk::new();
        let clock = Arc::new(SetClock::new(BootId(1), 100_000));
        let door = Arc::new(Door { stepper: Mutex::new(None), pages: AtomicU64::new(0) });
        let rig = Self { disk, clock, boot: 1, dir: PathBuf::from(DIR), options, door };
        rig.open();
        rig
    }

    fn machine(&self) -> Machine {
        Machine {
            disk: Arc::new(self.disk.clone()) as Arc<dyn Disk>,
            checkpoints: Arc::new(FlatStore),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
        }
    }

    fn open(&self) {
        let stepper = Stepper::open(&self.machine(), &self.dir, &self.options).expect("the store opens");
        *self.door.stepper.lock() = Some(stepper);
    }

    fn close(&self) {
        self.door.stepper.lock().take().expect("open").close().expect("closes");
    }

    /// The process is killed and starts again.
    fn restart(&mut self) {
        self.door.stepper.lock().take();
        self.disk = self.disk.after_kill();
        self.open();
    }

    /// The power fails, what was not synced is lost, and the machine starts again.
    fn lose_power(&mut self) {
        self.door.stepper.lock().take();
        self.disk = self.disk.after_power_cut(&Loss::Everything);
        self.boot += 1;
        self.clock = Arc::new(SetClock::new(BootId(self.boot), 1_000));
        self.open();
    }

    /// The disk is silently put back to what it was.
    fn go_back_to(&mut self, image: &SimDisk) {
        self.door.stepper.lock().take();
        self.disk = image.fork();
        self.open();
    }

    fn image(&self) -> SimDisk {
        self.disk.fork()
    }

    fn facility(&self) -> Arc<dyn Facility> {
        Arc::clone(&self.door) as Arc<dyn Facility>
    }

    /// Lets time pass, and what is due happen.
    fn pass(&self, ms: u64) {
        self.clock.advance(ms);
        self.with_stepper(|stepper| stepper.work([]).expect("written"));
    }

    fn with_stepper<T>(&self, look: impl FnOnce(&mut Stepper) -> T) -> T {
        look(self.door.stepper.lock().as_mut().expect("open"))
    }

    fn look<T>(&self, look: impl FnOnce(&Structure) -> T) -> T {
        self.with_stepper(|stepper| {
            stepper.structure().audit().expect("every invariant holds");
            look(stepper.structure())
        })
    }

    fn lsn(&self) -> Lsn {
        self.look(Structure::lsn)
    }

    fn status(&self) -> Status {
        self.door.status().expect("answered")
    }

    /// Whether an alarm says all of that.
    fn has_alarm(&self, words: &[&str]) -> bool {
        self.status().alarms.iter().any(|alarm| words.iter().all(|word| alarm.text.contains(word)))
    }

    fn attach(&self, introduction: Introduction, belief: &Belief) -> Result<(Connection, Attached), CallError> {
        Connection::attach(self.facility(), introduction, belief)
    }

    /// A stack that connects, may use every port above 1,023, and joins the list.
    fn host(&self, name: &str) -> Host {
        let connection = Connection::connect(self.facility(), stack(name)).expect("connects");
        Host::on(connection)
    }
}

/// A stack's agent: its connection and what it believes to hold.
struct Host {
    connection: Connection,
    member: Member,
    grants: Vec<Grant>,
}

impl Host {
    fn on(connection: Connection) -> Self {
        connection.set_allowable(Transport::Tcp, everything()).expect("sets");
        let member = connection.join(list()).expect("joins").value.member;
        Self { connection, member, grants: Vec::new() }
    }

    fn introduction(&self) -> Introduction {
        self.connection.introduction().clone()
    }

    fn acquire(&mut self) -> Grant {
        self.try_acquire().expect("granted")
    }

    fn try_acquire(&mut self) -> Result<Grant, CallError> {
        let grant = self.connection.acquire(self.member, 1, 1)?.value[0];
        self.grants.push(grant);
        Ok(grant)
    }

    fn claim(&mut self, port: u16) -> Grant {
        let grant = self.connection.claim(self.member, port).expect("claimed").value;
        self.grants.push(grant);
        grant
    }

    fn release(&mut self, grant: Grant) -> Result<(), CallError> {
        self.grants.retain(|held| held.lsn != grant.lsn);
        self.connection.release(grant.member, grant.group, grant.lsn, grant.mask).map(drop)
    }

    fn belief(&self) -> Belief {
        Belief { position: Some(self.connection.position()), grants: self.grants.iter().map(reported).collect() }
    }

    /// Attaches with what it believes, and takes the answer as the truth.
    fn attach(&mut self, rig: &Rig) -> Result<Attached, CallError> {
        let belief = self.belief();
        self.connection.give_up();
        let (connection, attached) = rig.attach(self.introduction(), &belief)?;
        self.connection = connection;
        self.grants = attached.grants.clone();
        if let Some(membership) = attached.memberships.first() {
            self.member = membership.member;
        }
        Ok(attached)
    }
}

fn reported(grant: &Grant) -> ReportedGrant {
    ReportedGrant { lsn: grant.lsn, target: grant.target, group: grant.group, mask: grant.mask }
}

fn list() -> Target {
    Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp)
}

fn second_list() -> Target {
    Target::List("10.1.1.2".parse().expect("an address"), Transport::Tcp)
}

fn everything() -> PortSet {
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 65_535);
    ports
}

fn name(text: &str) -> ConnectorName {
    ConnectorName::new(text).expect("a name")
}

/// A stack on a machine of its own.
fn stack(text: &str) -> Introduction {
    let machine = text.bytes().fold(0, |machine, byte| machine << 8 | u128::from(byte));
    let identity = Identity { machine: MachineId(machine), boot: BootId(7), process: ProcessId(1) };
    Introduction { name: name(text), identity, promise_ms: PROMISE_MS, enforced: false }
}

/// Every change that the log has.
fn changes(rig: &Rig) -> Vec<Change> {
    let (manifest, durable) = rig.with_stepper(|stepper| {
        let appender = stepper.engine().appender();
        (appender.keeper().manifest(), appender.durable())
    });
    let mut changes = Vec::new();
    wal::read_durable(&rig.disk, &rig.dir, &manifest, Lsn::ZERO, durable, &mut |frame, payload| {
        let events = record::decode_all(payload, frame.count).expect("events");
        changes.extend(events.into_iter().map(|event| event.change));
        Ok(())
    })
    .expect("readable");
    changes
}

/// The tokens of grants, in order.
fn tokens(grants: &[Grant]) -> Vec<Lsn> {
    let mut tokens: Vec<Lsn> = grants.iter().map(|grant| grant.lsn).collect();
    tokens.sort_unstable();
    tokens
}

fn refusal<T: std::fmt::Debug>(result: Result<T, CallError>) -> Refusal {
    match result {
        Err(CallError::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}
