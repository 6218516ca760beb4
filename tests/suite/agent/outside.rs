//! The outside view is exact: what a service answers over gRPC about owners and about its whole state
//! is what `store dump` says of the same store at the same lsn.

use super::{Site, portplex};
use crate::requirements;
use portplex::api::{RemoteFacility, RemoteOptions};
use portplex::facility::{Connection, Facility};
use portplex::ident::{
    BootId, ConnectorName, GroupNumber, Identity, MachineId, PortMask, PortSet, ProcessId, StructureName, Target,
    Transport,
};
use portplex::record;
use portplex::structure::{Grant, Introduction, Item, Member, PortOwner};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const STACKS: u64 = 4;
const STEPS: u32 = 400;
const ROUNDS: u32 = 3;

fn targets() -> Vec<Target> {
    let dvipas = ["10.1.1.1", "10.1.1.2", "2001:db8::1"];
    dvipas.iter().map(|dvipa| Target::List(dvipa.parse().expect("a DVIPA"), Transport::Tcp)).collect()
}

/// A small random source: the seed is told, so that a run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)) >> 33) as usize % limit.max(1)
    }
}

/// One stack that does as it likes.
struct Caller {
    connection: Connection,
    joined: BTreeMap<Target, Member>,
    held: Vec<Grant>,
}

fn connect(site: &Site) -> Arc<RemoteFacility> {
    let door = site.url().parse().expect("a door");
    Arc::new(RemoteFacility::connect(&door, StructureName::default(), RemoteOptions::default()).expect("connects"))
}

impl Caller {
    fn new(site: &Site, number: u64) -> Self {
        let identity = Identity { machine: MachineId(number.into()), boot: BootId(1), process: ProcessId(number) };
        let name = ConnectorName::new(&format!("SYS{number}.TCPIP")).expect("a name");
        let introduction = Introduction { name, identity, promise_ms: 0, enforced: false };
        let connection = Connection::connect(connect(site), introduction).expect("connected");
        let mut ports = PortSet::empty();
        // Each stack reserves other ports, so that masks differ.
        ports.insert_range(1_024 + number as u16 * 7, 2_047);
        connection.set_allowable(Transport::Tcp, ports).expect("set");
        Self { connection, joined: BTreeMap::new(), held: Vec::new() }
    }

    /// One operation; a refusal is an answer as good as any.
    fn step(&mut self, random: &mut Random) {
        let target = targets()[random.below(3)];
        let Some(member) = self.joined.get(&target).copied() else {
            if let Ok(joined) = self.connection.join(target) {
                self.joined.insert(target, joined.value.member);
            }
            return;
        };
        match random.below(20) {
            0..8 => {
                let most = 1 + random.below(3) as u16;
                if let Ok(granted) = self.connection.acquire(member, 1, most) {
                    self.held.extend(granted.value);
                }
            }
            8..13 => {
                if let Ok(claimed) = self.connection.claim(member, 1_024 + random.below(1_024) as u16) {
                    self.held.push(claimed.value);
                }
            }
            13..19 if !self.held.is_empty() => {
                let at = random.below(self.held.len());
                let grant = self.held.swap_remove(at);
                let part = PortMask(grant.mask.0 & (random.0 | 1));
                let mask = if random.below(2) == 0 || part.is_empty() { grant.mask } else { part };
                let released = self.connection.release(grant.member, grant.group, grant.lsn, mask);
                let rest = grant.mask.without(mask);
                if released.is_ok() && !rest.is_empty() {
                    self.held.push(Grant { mask: rest, ..grant });
                }
            }
            19 => {
                let _ = self.connection.leave(member);
                self.joined.remove(&target);
                self.held.retain(|grant| grant.target != target);
            }
            _ => {}
        }
    }
}

#[test]
fn owner_and_list_over_the_network_equal_the_dump_of_a_copy_at_the_same_lsn() {
    let seed = requirements::seed("outside view");
    let site = Site::new("127.66.33.1");
    let _service = site.serve();
    let outside = connect(&site);
    let mut callers: Vec<Caller> = (1..=STACKS).map(|number| Caller::new(&site, number)).collect();
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            for (place, caller) in callers.iter_mut().enumerate() {
                let mut random = Random(seed ^ (u64::from(round) << 32) ^ place as u64);
                scope.spawn(move || (0..STEPS).for_each(|_| caller.step(&mut random)));
            }
        });
        let target = targets()[round as usize % 3];
        let _ = if round % 2 == 0 { outside.delete(target) } else { outside.define(target) };
        let (items, dump) = same_lsn(&site, &outside);
        compare(&outside, &items, &dump);
    }
}

/// The state over the network and the dump of a copy, both as of one lsn.
fn same_lsn(site: &Site, outside: &RemoteFacility) -> (Vec<Item>, Vec<Value>) {
    super::eventually("no quarantine ends between two looks", || {
        let before = outside.list().expect("read");
        let copy = tempfile::tempdir().expect("a directory");
        let store = copy.path().join("store");
        copy_all(&site.path("store"), &store);
        let output = portplex(&["store", "dump"]).arg(&store).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let dump: Vec<Value> = String::from_utf8(output.stdout)
            .expect("text")
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let after = outside.list().expect("read");
        let is_same = lsn_of(&before) == lsn_of(&after) && dump[0]["lsn"].as_u64() == Some(lsn_of(&before));
        is_same.then_some((before, dump))
    })
}

fn lsn_of(items: &[Item]) -> u64 {
    match items.first() {
        Some(Item::Head { lsn, .. }) => lsn.0,
        other => panic!("{other:?} is no head"),
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("made");
    for entry in std::fs::read_dir(from).expect("listed") {
        let (path, name) = (entry.as_ref().expect("listed").path(), entry.expect("listed").file_name());
        if path.is_dir() {
            copy_all(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).expect("copied");
        }
    }
}

fn compare(outside: &RemoteFacility, items: &[Item], dump: &[Value]) {
    let digest = record::digest(items.iter().cloned()).to_string();
    assert_eq!(dump[0]["digest"].as_str(), Some(digest.as_str()), "every item, to the bit");
    let mut expected: BTreeMap<(String, u16), (String, String, u64)> = BTreeMap::new();
    for row in dump.iter().filter(|row| ["grant", "quarantine"].contains(&row["kind"].as_str().expect("a kind"))) {
        let text = |field: &str| row[field].as_str().expect("text").to_owned();
        let group = GroupNumber::new(row["group"].as_u64().expect("a group") as u16).expect("a group");
        let mask = PortMask(u64::from_str_radix(text("mask").trim_start_matches("0x"), 16).expect("a mask"));
        for port in mask.ports(group) {
            let there = (text("kind"), text("connector"), row["lsn"].as_u64().expect("an lsn"));
            assert_eq!(expected.insert((text("dvipa"), port), there), None, "a port in two rows");
        }
    }
    assert!(expected.len() > 100, "{} ports in use", expected.len());
    let (mut held, mut quarantined, mut free) = (0, 0, 0);
    for target in targets() {
        for port in 960..2_112 {
            let owner = outside.owner(target, port).expect("answered");
            let found = expected.get(&(target.dvipa_text(), port));
            match (&owner, found.map(|(kind, connector, lsn)| (kind.as_str(), connector.as_str(), *lsn))) {
                (PortOwner::Held { connector, grant, group, .. }, Some(("grant", name, lsn))) => {
                    assert_eq!((connector.as_str(), grant.0, *group), (name, lsn, GroupNumber::of_port(port)));
                    held += 1;
                }
                (PortOwner::Quarantined { connector, since }, Some(("quarantine", name, lsn))) => {
                    assert_eq!((connector.as_str(), since.0), (name, lsn));
                    quarantined += 1;
                }
                (PortOwner::Free | PortOwner::NoList, None) => free += 1,
                other => panic!("{target:?} port {port}: {other:?}"),
            }
        }
    }
    assert!(held > 0 && quarantined > 0 && free > 0, "{held} held, {quarantined} in quarantine, {free} free");
}
