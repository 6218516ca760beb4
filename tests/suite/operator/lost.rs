//! A disk that lied and a machine that lost power, on real directories: stacks in this process, the
//! operator through the built binary.

use super::{connectors, copy, expect, refused, states};
use portplex::facility::{
    Belief, CallError, Clock, Connection, Facility, LocalFacility, Machine, Options, Position, SetClock,
};
use portplex::ident::{BootId, ConnectorName, Identity, MachineId, PortSet, ProcessId, Target, Transport};
use portplex::structure::{Grant, Introduction, Member, Refusal, ReportedGrant, StopCause};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// A stack's connection, while the facility is there, and what it believes.
struct Stack {
    introduction: Introduction,
    connection: Option<Connection>,
    position: Position,
    member: Member,
    grants: Vec<Grant>,
}

impl Stack {
    fn connect(facility: &Arc<LocalFacility>, name: &str) -> Self {
        let connection = facility.connect(introduction(name)).expect("connects");
        let mut ports = PortSet::empty();
        ports.insert_range(1_024, 65_535);
        connection.set_allowable(Transport::Tcp, ports).expect("sets");
        let list = Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp);
        let member = connection.join(list).expect("joins").value.member;
        let (introduction, position) = (introduction(name), connection.position());
        Self { introduction, connection: Some(connection), position, member, grants: Vec::new() }
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("connected")
    }

    fn acquire(&mut self) -> Result<(), CallError> {
        let granted = self.connection().acquire(self.member, 1, 1)?.value;
        self.grants.extend(granted);
        Ok(())
    }

    /// The facility is gone; what was seen of it is not forgotten.
    fn lose_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.position = connection.position();
        }
    }

    /// Attaches to what was opened since; whether granting is stopped.
    fn attach(&mut self, facility: &Arc<LocalFacility>) -> Option<StopCause> {
        let reported = |grant: &Grant| {
            let Grant { lsn, target, group, mask, .. } = *grant;
            ReportedGrant { lsn, target, group, mask }
        };
        self.lose_connection();
        let grants = self.grants.iter().map(reported).collect();
        let belief = Belief { position: Some(self.position), grants };
        let door = Arc::clone(facility) as Arc<dyn Facility>;
        let (connection, attached) = Connection::attach(door, self.introduction.clone(), &belief).expect("attached");
        let ports = |grants: &[Grant]| grants.iter().map(|grant| (grant.lsn, grant.mask)).collect::<Vec<_>>();
        assert_eq!(ports(&attached.grants), ports(&self.grants), "exactly what it holds");
        self.connection = Some(connection);
        attached.stopped
    }
}

fn introduction(name: &str) -> Introduction {
    let machine = name.bytes().fold(0, |machine, byte| machine << 8 | u128::from(byte));
    let identity = Identity { machine: MachineId(machine), boot: BootId(7), process: ProcessId(1) };
    Introduction { name: ConnectorName::new(name).expect("a name"), identity, promise_ms: 0, enforced: false }
}

fn options() -> Options {
    Options { create: true, segment_size: 64 << 10, checkpoint_at_close: false, ..Options::default() }
}

fn open(store: &str) -> Arc<LocalFacility> {
    Arc::new(LocalFacility::open(store, &options()).expect("the store opens"))
}

fn close(facility: Arc<LocalFacility>, stacks: [&mut Stack; 2]) {
    stacks.into_iter().for_each(Stack::lose_connection);
    Arc::into_inner(facility).expect("nobody else has it").close().expect("closes");
}

/// Dropped without a close: to the store that is a crash.
fn kill<const COUNT: usize>(facility: Arc<LocalFacility>, stacks: [&mut Stack; COUNT]) {
    stacks.into_iter().for_each(Stack::lose_connection);
    drop(Arc::into_inner(facility).expect("nobody else has it"));
}

/// The disk forgets everything since `image` was taken. LOCK stays the file that it was.
fn forget(store: &str, image: &str) {
    for name in ["MANIFEST", "MANIFEST.bak", "WATERMARK"] {
        let bytes = fs::read(Path::new(image).join(name)).expect("the image");
        fs::write(Path::new(store).join(name), bytes).expect("put back");
    }
    for name in ["wal", "ckpt"] {
        fs::remove_dir_all(Path::new(store).join(name)).expect("gone");
        copy(&format!("{image}/{name}"), &format!("{store}/{name}"));
    }
}

#[test]
fn a_store_that_lost_data_is_found_out_by_its_stacks_and_goes_on_by_word() {
    let dir = TempDir::new().expect("a directory");
    let store = dir.path().join("store").to_str().expect("text").to_owned();
    let image = format!("{store}.before");
    let facility = open(&store);
    let (mut a, mut b) = (Stack::connect(&facility, "SYS1.TCPIP"), Stack::connect(&facility, "SYS2.TCPIP"));
    a.acquire().and_then(|()| b.acquire()).expect("granted");
    close(facility, [&mut a, &mut b]);
    copy(&store, &image);
    let facility = open(&store);
    assert_eq!(a.attach(&facility), None);
    a.acquire().expect("granted, and then lost");
    close(facility, [&mut a, &mut b]);
    forget(&store, &image);

    let facility = open(&store);
    assert_eq!(facility.status().expect("answered").stop, None, "silent so far");
    assert_eq!(a.attach(&facility), Some(StopCause::DataLost));
    let stopped = CallError::Refused(Refusal::GrantsStopped { cause: StopCause::DataLost });
    assert_eq!(a.acquire(), Err(stopped));
    close(facility, [&mut a, &mut b]);

    assert_eq!(states(&store), ["stopped"]);
    let (shown, _) = expect(0, &["display", "connectors", "--data", &store]);
    assert!(shown.contains("GRANTING IS STOPPED (data-lost)") && shown.contains("store resume"), "{shown}");
    let (log, _) = expect(0, &["log", "dump", &store]);
    assert!(log.contains(" stopped ") && log.contains(" adopted "), "both are events of the log: {log}");
    let resume = ["store", "resume", &store, "--by", "ALICE"];
    refused(1, &store, &resume, "64 ports were adopted");
    let adopting = [&resume[..], &["--adopt-reported"]].concat();
    refused(1, &store, &adopting, "SYS2.TCPIP");

    let facility = open(&store);
    assert_eq!(b.attach(&facility), Some(StopCause::DataLost), "B's own grant is untouched");
    assert_eq!(a.attach(&facility), Some(StopCause::DataLost));
    close(facility, [&mut a, &mut b]);
    let before = connectors(&store);
    let (told, _) = expect(0, &adopting);
    assert!(told.contains("ALICE"), "{told}");
    assert_eq!(connectors(&store), before, "nobody was touched");
    assert_eq!(states(&store), Vec::<String>::new());

    let facility = open(&store);
    let lost = a.grants[1].lsn;
    assert_eq!((a.attach(&facility), b.attach(&facility)), (None, None));
    a.acquire().and_then(|()| b.acquire()).expect("granted");
    assert!(a.grants[2].lsn > lost && b.grants[1].lsn > lost, "above everything that was ever given");
    close(facility, [&mut a, &mut b]);
    expect(0, &["store", "verify", &store]);
}

#[test]
fn after_a_power_loss_a_store_waits_for_its_stacks_and_says_so() {
    let dir = TempDir::new().expect("a directory");
    let store = dir.path().join("store").to_str().expect("text").to_owned();
    let at = |boot, ms| {
        let clock = Arc::new(SetClock::new(BootId(boot), ms));
        (Machine { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Machine::real() }, clock)
    };
    let open = |machine: &Machine| {
        Arc::new(LocalFacility::open_on(machine, Path::new(&store), &options()).expect("the store opens"))
    };
    let (machine, _) = at(1, 50_000);
    let facility = open(&machine);
    let (mut a, mut b) = (Stack::connect(&facility, "SYS1.TCPIP"), Stack::connect(&facility, "SYS2.TCPIP"));
    a.acquire().and_then(|()| b.acquire()).expect("granted");
    kill(facility, [&mut a, &mut b]);
    // What the power takes with it: the watermark that proved the last frame.
    fs::write(Path::new(&store).join("WATERMARK"), vec![0; 8_192]).expect("zeros");

    let (machine, clock) = at(2, 1_000);
    let facility = open(&machine);
    assert_eq!(a.attach(&facility), Some(StopCause::PowerLoss));
    let stopped = CallError::Refused(Refusal::GrantsStopped { cause: StopCause::PowerLoss });
    assert_eq!(a.acquire(), Err(stopped));
    let (grant, member) = (a.grants.remove(0), a.member);
    a.connection().release(member, grant.group, grant.lsn, grant.mask).expect("releases go on");
    let waiting = facility.status().expect("answered").stop.expect("it shows");
    assert_eq!(waiting.waiting_for, [ConnectorName::new("SYS2.TCPIP").expect("a name")]);
    // Killed in the middle of it: the next open goes on waiting, and shows it.
    kill(facility, [&mut a, &mut b]);
    assert_eq!(states(&store), ["stopped"]);

    let facility = open(&machine);
    assert_eq!(a.attach(&facility), Some(StopCause::PowerLoss));
    assert_eq!(b.attach(&facility), Some(StopCause::PowerLoss), "all are back, and 5 s are not over");
    clock.advance(5_000);
    let start = std::time::Instant::now();
    while facility.status().expect("answered").stop.is_some() {
        assert!(start.elapsed().as_secs() < 60, "it goes on by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    a.acquire().and_then(|()| b.acquire()).expect("granted, without another attach");
    close(facility, [&mut a, &mut b]);
    assert_eq!(states(&store), Vec::<String>::new());
}

#[test]
fn the_wait_after_a_power_loss_is_ended_only_by_who_types_it() {
    let dir = TempDir::new().expect("a directory");
    let store = dir.path().join("store").to_str().expect("text").to_owned();
    let open = |boot| {
        let machine = Machine { clock: Arc::new(SetClock::new(BootId(boot), 50_000)), ..Machine::real() };
        Arc::new(LocalFacility::open_on(&machine, Path::new(&store), &options()).expect("the store opens"))
    };
    let facility = open(1);
    let mut a = Stack::connect(&facility, "SYS1.TCPIP");
    a.acquire().expect("granted");
    kill(facility, [&mut a]);
    // What the power takes with it: the watermark that proved the last frame.
    fs::write(Path::new(&store).join("WATERMARK"), vec![0; 8_192]).expect("zeros");
    kill(open(2), []);
    assert_eq!(states(&store), ["stopped"]);
    let resume = ["store", "resume", &store, "--by", "ALICE"];
    let told = refused(1, &store, &resume, "--end-wait");
    assert!(told.contains("SYS1.TCPIP did not attach since the power failed"), "{told}");
    let (told, _) = expect(0, &[&resume[..], &["--end-wait"]].concat());
    assert!(told.contains("it was stopped: power-loss"), "{told}");
    assert_eq!(states(&store), Vec::<String>::new());
}
