//! The property that binds `explain` to the structure: of every port of a small random store it says
//! what the lists show.
#![forbid(unsafe_code)]

use super::ask;
use super::moments::Moments;
use super::port;
use super::port::Asked;
use super::world::Now;
use super::world::Stored;
use super::world::World;
use crate::cli::state::DvipaFilter;
use crate::cli::state::List;
use crate::facility;
use crate::facility::Connection;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Machine;
use crate::facility::Options;
use crate::facility::RandomStream;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Identity;
use crate::ident::MachineId;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;
use crate::ident::WallMs;
use crate::structure::Grant;
use crate::structure::Introduction;
use crate::structure::Member;
use crate::structure::Policy;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const STACKS: usize = 3;
const STEPS: usize = 60;

struct Joined {
    connection: Connection,
    member: Member,
    grants: Vec<Grant>,
}

fn join(facility: &Arc<LocalFacility>, number: u16, target: Target) -> Joined {
    let identity = Identity { machine: MachineId(u128::from(number)), boot: BootId(1), ..Identity::default() };
    let name = ConnectorName::new(&format!("SYS{number}")).expect("valid");
    let connection =
        facility.connect(Introduction { name, identity, promise_ms: 0, enforced: false }).expect("connects");
    let mut ports = PortSet::empty();
    ports.insert_range(5_000 + 100 * number, 6_000);
    connection.set_allowable(target.transport(), ports).expect("sets");
    let member = connection.join(target).expect("joins").value.member;
    Joined { connection, member, grants: Vec::new() }
}

/// A store of three stacks after some acquires, claims, releases, a leave and a failure.
fn random_store(dir: &Path, target: Target, random: &mut RandomStream) {
    let options = Options { create: true, segment_size: 64 << 10, quarantine_timer: false, ..Options::default() };
    let facility = Arc::new(LocalFacility::open(dir, &options).expect("opens"));
    let mut stacks: Vec<Joined> = (0..3).map(|number| join(&facility, number, target)).collect();
    let below = |random: &mut RandomStream, end: usize| usize::try_from(random.next_u64()).unwrap_or(0) % end;
    for _ in 0..STEPS {
        let Joined { connection, member, grants } = &mut stacks[below(random, STACKS)];
        match below(random, 8) {
            0 => grants.extend(connection.acquire(*member, 1, 1).map(|answer| answer.value).unwrap_or_default()),
            1..=4 => {
                let port = 5_000 + u16::try_from(below(random, 1_200)).expect("a port");
                grants.extend(connection.claim(*member, port).map(|answer| answer.value));
            }
            _ if grants.is_empty() => {}
            _ => {
                let Grant { member, group, lsn, mask, .. } = grants.swap_remove(below(random, grants.len()));
                connection.release(member, group, lsn, mask).expect("released");
            }
        }
    }
    stacks[0].connection.leave(stacks[0].member).expect("left");
    let actor = stacks[1].connection.actor();
    let by = ConnectorName::new("TEST").expect("valid");
    facility.mark_failed(&ConnectorName::new("SYS1").expect("valid"), actor.incarnation, &by).expect("marked");
    let policy = Policy { quota: 100_000, reserve: 1, ..Policy::default() };
    facility.set_policy(target, policy).expect("set");
    drop(stacks);
    Arc::into_inner(facility).expect("nobody else has it").close().expect("closes");
}

/// What the list shows of a port, as the answer's begin must say it.
fn shown(list: &List, port: u16) -> String {
    let (group, mask) = (GroupNumber::of_port(port), PortMask::of_port(port));
    for member in &list.members {
        if member.grants.iter().any(|held| held.group == group && held.mask.contains(mask)) {
            return format!("is held by {} since", member.connector);
        }
    }
    let rests = list.quarantine.iter().any(|resting| resting.group == group && resting.mask.contains(mask));
    if rests { "is in quarantine: ".to_owned() } else { "is free".to_owned() }
}

#[test]
fn of_every_port_explain_says_what_the_list_shows() {
    let seed = std::env::var("PORTPLEX_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(17);
    println!("PORTPLEX_SEED={seed}");
    let dir = TempDir::new().expect("a directory");
    let store = dir.path().join("store");
    let dvipa = "10.1.1.1".parse().expect("valid");
    let target = Target::List(dvipa, Transport::Tcp);
    random_store(&store, target, &mut RandomStream::new(Some(seed)));
    let inspected = facility::inspect(&Machine::real(), &store).expect("readable");
    let stored = Stored::inspected(inspected, BootId(0), Vec::new());
    let list = stored.state.lists[0].clone();
    let views: Vec<_> = stored.members(target).collect();
    assert_eq!(views.len(), STACKS - 1, "one has left");
    for view in &views {
        let counts = ask::counts(&stored, view, target).expect("it has given its ports");
        assert_eq!((counts.held, counts.quarantined), (list.held(), list.quarantined()));
        let ports = stored.allowable(view.actor.slot, Transport::Tcp).expect("given");
        let free = (0..=u16::MAX).filter(|port| shown(&list, *port) == "is free");
        let (allowed, other): (Vec<u16>, Vec<u16>) = free.partition(|port| ports.contains(*port));
        let expected = (allowed.len(), other.len());
        assert_eq!((counts.free as usize, counts.excluded as usize), expected, "{}", view.name);
    }
    let now = Now { wall: WallMs(0), boot_ms: BootMs(0) };
    let world = World { dir: &store, stored: Some(stored), profiles: Vec::new(), quarantine_ms: 120_000, now };
    let mut seen = [0_u32; 3];
    for port in 0..=u16::MAX {
        let asked = Asked { of: DvipaFilter::One(dvipa), port, transport: Transport::Tcp };
        let explanation = port::explain(&world, asked, &Moments::default());
        let expected = shown(&list, port);
        let begin = format!("10.1.1.1:{port} {expected}");
        assert!(explanation.answer.starts_with(&begin), "{begin:?}: {}", explanation.answer);
        seen[["is held", "is in quarantine", "is free"]
            .iter()
            .position(|begin| expected.starts_with(begin))
            .expect("one of them")] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}
