//! The property that binds `who` to the structure: whatever part of the log is left, what it tells of
//! a port at any record is what the structure had then, or that it is not known.
#![forbid(unsafe_code)]

use super::hold::Hold;
use super::hold::Moment;
use super::hold::Way;
use super::kept::Kept;
use super::start::Base;
use super::track::Tracker;
use crate::cli::log;
use crate::cli::log::Placed;
use crate::facility::Belief;
use crate::facility::Connection;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Machine;
use crate::facility::Options;
use crate::facility::RandomStream;
use crate::facility::SetClock;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::HistoryId;
use crate::ident::Identity;
use crate::ident::Lsn;
use crate::ident::MachineId;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::StructureName;
use crate::ident::Target;
use crate::ident::Transport;
use crate::ident::WallMs;
use crate::structure::Change;
use crate::structure::Event;
use crate::structure::Grant;
use crate::structure::Introduction;
use crate::structure::Item;
use crate::structure::Member;
use crate::structure::PortOwner;
use crate::structure::Request;
use crate::structure::Stamp;
use crate::structure::Structure;
use crate::wal::FrameInfo;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const RUNS: usize = 4;
const STEPS: usize = 400;
pub(super) const PORTS: std::ops::Range<u16> = 5_056..5_074;
/// How many pairs of a beginning and a checkpoint are tried, beside those at one place.
const CUTS: usize = 60;

struct Record {
    frame: FrameInfo,
    lsn: Lsn,
    event: Event,
}

/// One random run: the records, and the state after each.
struct Run {
    records: Vec<Record>,
    states: Vec<Vec<Item>>,
    /// By record, target and port.
    owners: Vec<Vec<Vec<PortOwner>>>,
}

pub(super) fn targets() -> [Target; 2] {
    ["10.1.1.1", "10.1.1.2"].map(|text| Target::List(text.parse().expect("valid"), Transport::Tcp))
}

pub(super) fn below(random: &mut RandomStream, end: usize) -> usize {
    usize::try_from(random.next_u64() >> 1).expect("63 bits") % end
}

/// One stack, which comes and goes.
pub(super) struct Stack {
    pub(super) name: ConnectorName,
    pub(super) boot: u128,
    pub(super) connection: Option<Connection>,
    members: Vec<Member>,
    grants: Vec<Grant>,
}

impl Stack {
    pub(super) fn new(name: &str) -> Self {
        let name = ConnectorName::new(name).expect("valid");
        Self { name, boot: 1, connection: None, members: Vec::new(), grants: Vec::new() }
    }

    fn introduction(&self) -> Introduction {
        let machine = MachineId(u128::from(self.name.as_str().as_bytes()[0]));
        let identity = Identity { machine, boot: BootId(self.boot), ..Identity::default() };
        Introduction { name: self.name.clone(), identity, promise_ms: 0, enforced: false }
    }

    pub(super) fn step(&mut self, facility: &Arc<LocalFacility>, random: &mut RandomStream) {
        let by = ConnectorName::new("TEST").expect("valid");
        let Some(connection) = &self.connection else {
            self.grants.clear();
            self.members.clear();
            let connection = facility.connect(self.introduction()).expect("connects");
            let mut ports = PortSet::empty();
            ports.insert_range(PORTS.start, PORTS.end - 1);
            connection.set_allowable(Transport::Tcp, ports).expect("sets");
            self.connection = Some(connection);
            return;
        };
        match below(random, 32) {
            0 => {
                connection.disconnect().expect("disconnects");
                self.connection = None;
            }
            1 => {
                let incarnation = connection.actor().incarnation;
                facility.mark_failed(&self.name, incarnation, &by).expect("marked");
                if below(random, 2) == 0 {
                    facility.clean_up(&self.name, incarnation, &by, true).expect("cleaned up");
                    self.connection = None;
                } else {
                    self.attach(facility, 0);
                }
            }
            2 => self.attach(facility, 1),
            3 => self.attach(facility, 0),
            4..=7 => {
                let target = targets()[below(random, 2)];
                if let Ok(joined) = connection.join(target) {
                    self.members.push(joined.value.member);
                }
            }
            8 if !self.members.is_empty() => {
                let member = self.members.swap_remove(below(random, self.members.len()));
                let _ = connection.leave(member);
            }
            9..=22 if !self.members.is_empty() => {
                let member = self.members[below(random, self.members.len())];
                let port = PORTS.start + u16::try_from(below(random, PORTS.len())).expect("a port");
                if let Ok(claimed) = connection.claim(member, port) {
                    self.grants.push(claimed.value);
                }
            }
            23 if !self.members.is_empty() => {
                let member = self.members[below(random, self.members.len())];
                self.grants.extend(connection.acquire(member, 1, 1).map(|got| got.value).unwrap_or_default());
            }
            _ if !self.grants.is_empty() => {
                let Grant { member, group, lsn, mask, .. } = self.grants.swap_remove(below(random, self.grants.len()));
                let _ = connection.release(member, group, lsn, mask);
            }
            _ => {}
        }
    }

    /// Attaches, under the next boot if `boots` is 1.
    pub(super) fn attach(&mut self, facility: &Arc<LocalFacility>, boots: u128) {
        let position = self.connection.take().map(|connection| connection.position());
        self.boot += boots;
        let belief = Belief { position, grants: Vec::new() };
        let door = Arc::clone(facility) as Arc<dyn Facility>;
        let (connection, _) = Connection::attach(door, self.introduction(), &belief).expect("attaches");
        self.connection = Some(connection);
        if boots > 0 {
            self.members.clear();
            self.grants.clear();
        }
    }
}

fn fill(dir: &Path, random: &mut RandomStream) {
    let clock = Arc::new(SetClock::new(BootId(1), 50_000));
    let machine = Machine { clock: Arc::clone(&clock) as _, ..Machine::real() };
    let options = Options {
        create: true,
        segment_size: 1 << 20,
        quarantine_timer: false,
        quarantine: std::time::Duration::from_millis(40),
        checkpoint_at_close: false,
        ..Options::default()
    };
    let facility = Arc::new(LocalFacility::open_on(&machine, dir, &options).expect("opens"));
    let mut stacks = ["A", "B", "C", "D"].map(Stack::new);
    for _ in 0..STEPS {
        clock.advance(random.next_u64() % 20);
        if below(random, 8) == 0 {
            let list = u32::try_from(below(random, 2)).expect("small");
            let _ = facility.call(Request::EndQuarantine { list });
        }
        stacks[below(random, 4)].step(&facility, random);
    }
    drop(stacks);
    Arc::into_inner(facility).expect("nobody else has it").close().expect("closes");
}

impl Run {
    fn new(random: &mut RandomStream) -> Self {
        let dir = TempDir::new().expect("a directory");
        fill(dir.path(), random);
        let mut records = Vec::new();
        log::walk(dir.path(), &mut |placed| {
            records.push(Record { frame: placed.frame.clone(), lsn: placed.lsn, event: placed.event.clone() });
            Ok(())
        })
        .expect("the log is whole");
        let mut structure = Structure::new(StructureName::default());
        let (mut states, mut owners) = (Vec::new(), Vec::new());
        for Record { frame, lsn, event } in &records {
            structure.apply(*lsn, frame.boot, event);
            states.push(structure.items().collect());
            let of = |target| PORTS.map(|port| structure.owner(target, port)).collect();
            owners.push(targets().map(of).to_vec());
        }
        Self { records, states, owners }
    }

    /// What is told by the records above the one at `begin`, with a checkpoint as of the one at `base`.
    fn tracker(&self, target: Target, port: u16, begin: usize, base: usize) -> Tracker {
        let begin_lsn = self.records[begin].lsn;
        let base =
            Base::of_items(|| self.states[base].iter().cloned(), self.records[base].lsn, begin_lsn, target, port);
        let tracker = Tracker::new(target, port, begin_lsn, Some(base), Kept::new(None, usize::MAX));
        self.feed(tracker, begin + 1)
    }

    fn feed(&self, mut tracker: Tracker, from: usize) -> Tracker {
        for Record { frame, lsn, event } in &self.records[from..] {
            tracker.see(&Placed { frame, lsn: *lsn, event });
        }
        tracker.finish();
        tracker
    }

    /// Compares at every record; how many were not known.
    fn check(&self, tracker: &Tracker, target: usize, port: u16, begin: Option<usize>, what: &str) -> usize {
        let mut unknown = 0;
        for (record, owners) in self.records.iter().zip(&self.owners).skip(begin.unwrap_or(0)) {
            let owner = &owners[target][usize::from(port - PORTS.start)];
            let lsn = record.lsn;
            let has_begun = |from: Option<Moment>| from.is_none_or(|from| from.lsn <= lsn);
            let is = |hold: &&Hold| {
                has_begun(hold.from) && hold.until.as_ref().is_none_or(|end| end.at.lsn > lsn) && hold.grant.is_some()
            };
            let held: Vec<&Hold> = tracker.kept.holds.iter().filter(is).collect();
            assert!(held.len() < 2, "{what}: two hold {port} at {lsn}");
            let is_unknown = tracker.unknown.iter().any(|stretch| has_begun(stretch.from) && stretch.until.lsn >= lsn);
            match (held.first(), owner) {
                (Some(hold), PortOwner::Held { connector, grant, incarnation, .. }) => {
                    assert_eq!(hold.grant, Some(*grant), "{what}: {port} at {lsn}");
                    if let Some(name) = &hold.holder.name {
                        assert_eq!(name, connector, "{what}: {port} at {lsn}");
                    }
                    assert!(hold.newest.is_none_or(|newest| newest.0 >= incarnation.0), "{what}: {port} at {lsn}");
                    assert!(begin.is_some() || hold.holder.name.is_some(), "all names are known from the first record");
                }
                (None, PortOwner::Held { .. }) if is_unknown => unknown += 1,
                (None, PortOwner::Quarantined { since, connector }) if !is_unknown => {
                    let after = tracker
                        .kept
                        .holds
                        .iter()
                        .rev()
                        .find(|hold| hold.until.as_ref().is_some_and(|end| end.at.lsn <= lsn));
                    if let Some(hold) = after.filter(|hold| !tracker.is_unsure_after(hold)) {
                        assert_eq!(hold.until.as_ref().map(|end| end.at.lsn), Some(*since), "{what}: {port} at {lsn}");
                        assert!(hold.ready.is_none_or(|ready| ready.lsn > lsn), "{what}: {port} rests at {lsn}");
                        assert!(hold.holder.name.as_ref().is_none_or(|name| name == connector), "{what}");
                    }
                }
                (None, PortOwner::Free) if !is_unknown && begin.is_none() => {
                    let rests = tracker.kept.holds.iter().any(|hold| {
                        let ended = hold.until.as_ref().is_some_and(|end| end.at.lsn <= lsn);
                        ended && hold.ready.is_none_or(|ready| ready.lsn > lsn)
                    });
                    assert!(!rests, "{what}: {port} is free at {lsn}");
                }
                (None, PortOwner::Free | PortOwner::Quarantined { .. } | PortOwner::NoList) => {
                    unknown += usize::from(is_unknown);
                }
                (held, owner) => panic!("{what}: {port} at {lsn}: told {held:#?}, was {owner:?}"),
            }
        }
        unknown
    }
}

#[test]
fn whatever_is_left_of_the_log_no_holder_is_told_wrongly() {
    let seed = std::env::var("PORTPLEX_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(41);
    println!("PORTPLEX_SEED={seed}");
    let mut random = RandomStream::new(Some(seed));
    let holds: u64 = (0..RUNS).map(|_| check_run(&Run::new(&mut random), &mut random)).sum();
    assert!(holds > 150, "only {holds} holds");
}

/// Compares what the whole log and many parts of it tell; how many holds there were.
fn check_run(run: &Run, random: &mut RandomStream) -> u64 {
    let count = run.records.len();
    assert!(count > STEPS / 3, "{count} records");
    let mut holds = 0;
    for (place, target) in targets().into_iter().enumerate() {
        for port in PORTS {
            let whole = Tracker::new(target, port, Lsn::ZERO, None, Kept::new(None, usize::MAX));
            let whole = run.feed(whole, 0);
            assert_eq!(run.check(&whole, place, port, None, "the whole log"), 0);
            holds += whole.kept.holds.len() as u64;
            for _ in 0..CUTS {
                let begin = below(random, count - 1);
                let base = begin + below(random, count - begin);
                let what = format!("begins at {}, checkpoint at {}", run.records[begin].lsn, run.records[base].lsn);
                let part = run.tracker(target, port, begin, base);
                run.check(&part, place, port, Some(begin), &what);
                let latest = part.unknown.iter().map(|stretch| stretch.until.lsn).max();
                assert!(
                    latest.is_none_or(|latest| latest <= run.records[base].lsn),
                    "{what}: known from the checkpoint on"
                );
                let exact = run.tracker(target, port, begin, begin);
                assert_eq!(run.check(&exact, place, port, Some(begin), "a checkpoint at the beginning"), 0);
            }
        }
    }
    holds
}

#[test]
fn who_may_have_had_a_port_while_nobody_is_known_to_is_not_ruled_out() {
    let [target, _] = targets();
    let (group, mask) = (GroupNumber::of_port(5_056), PortMask::of_port(5_056));
    let joined = Change::Joined { connector: 1, list: 0, member: 5, target };
    let identity = Identity::default();
    let changes = [
        joined.clone(),
        Change::Granted { member: 5, group, mask },
        // Its boot before, and who has membership 7, was told by records that are gone.
        Change::Attached { connector: 1, identity, promise_ms: 0, enforced: false },
        Change::Granted { member: 7, group, mask },
        Change::Left { member: 7 },
        // So the attach was under another boot.
        joined,
        Change::Granted { member: 5, group, mask },
    ];
    let told = |changes: &[Change]| {
        let mut tracker = Tracker::new(target, 5_056, Lsn(10), None, Kept::new(None, 10));
        for (lsn, change) in (11..).map(Lsn).zip(changes) {
            let frame = frame_at(lsn);
            let event = Event { stamp: Stamp::None, change: change.clone() };
            tracker.see(&Placed { frame: &frame, lsn, event: &event });
        }
        tracker.finish();
        let ends: Vec<_> =
            tracker.kept.holds.iter().map(|hold| hold.until.clone().map(|end| (end.at.lsn, end.way))).collect();
        let unknown: Vec<_> = tracker.unknown.iter().map(|of| (of.from.map(|from| from.lsn), of.until.lsn)).collect();
        (ends, unknown)
    };
    let unsure = Some((Lsn(13), Way::Unsure));
    assert_eq!(told(&changes), (vec![unsure.clone(), None], vec![(Some(Lsn(13)), Lsn(15))]));
    assert_eq!(told(&changes[..5]), (vec![unsure], vec![(Some(Lsn(13)), Lsn(15))]));
    // Without a stranger it is known when it ended.
    let alone = [&changes[..3], &changes[5..]].concat();
    assert_eq!(told(&alone), (vec![Some((Lsn(13), Way::BootChanged)), None], vec![]));
}

fn frame_at(lsn: Lsn) -> FrameInfo {
    FrameInfo {
        first: lsn,
        count: 1,
        durable: Lsn(lsn.0 - 1),
        epoch: 1,
        history: HistoryId(1),
        wall: WallMs(lsn.0),
        boot: BootMs(lsn.0),
        path: std::path::PathBuf::new(),
        segment: 1,
        offset: 0,
    }
}
