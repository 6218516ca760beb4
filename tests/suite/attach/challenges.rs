//! Challenges and identity (protocol.md R4 to R8).

use super::{Host, Rig, list, name, refusal, stack, tokens};
use portplex::facility::{AttachRequest, Belief, Challenge, Connection, Facility, LocalFacility, Options, Presence};
use portplex::ident::{BootId, Lsn, MachineId, ProcessId};
use portplex::structure::{ConnectorState, Introduction, PortOwner, Refusal, Request, Standing, StopCause};

fn request(introduction: Introduction, challenge: Challenge) -> AttachRequest {
    AttachRequest { introduction, challenge, position: None, standing: Standing::default() }
}

#[test]
fn an_attach_without_the_newest_challenge_of_its_name_changes_nothing() {
    let cases: [(&str, fn(&mut Rig) -> Challenge); 5] = [
        ("none was issued", |_| Challenge(0)),
        ("it was used", |rig| {
            let challenge = rig.door.challenge(&name("A")).wait().expect("issued");
            rig.door.attach(request(stack("A"), challenge), Presence::none()).wait().expect("attached");
            challenge
        }),
        ("a newer one was issued", |rig| {
            let older = rig.door.challenge(&name("A")).wait().expect("issued");
            rig.door.challenge(&name("A")).wait().expect("issued");
            older
        }),
        ("it is of an earlier open", |rig| {
            let challenge = rig.door.challenge(&name("A")).wait().expect("issued");
            rig.restart();
            challenge
        }),
        ("it is another stack's", |rig| rig.door.challenge(&name("B")).wait().expect("issued")),
    ];
    for (case, prepare) in cases {
        let mut rig = Rig::new();
        let held = rig.host("A").acquire();
        rig.host("B");
        let challenge = prepare(&mut rig);
        let before = (rig.lsn(), rig.status().records);
        let mut attach = request(stack("A"), challenge);
        attach.introduction.identity.boot = BootId(8);
        assert_eq!(refusal(rig.door.attach(attach, Presence::none()).wait()), Refusal::ChallengeNeeded, "{case}");
        assert_eq!((rig.lsn(), rig.status().records), before, "{case}");
        let owner = rig.door.owner(list(), held.group.port_first()).expect("answered");
        assert!(matches!(owner, PortOwner::Held { grant, .. } if grant == held.lsn), "{case}: {owner:?}");
    }
}

#[test]
fn an_unknown_name_gets_no_challenge() {
    let rig = Rig::new();
    assert_eq!(refusal(rig.door.challenge(&name("A")).wait()), Refusal::UnknownConnector);
    let attach = request(stack("A"), Challenge(0));
    assert_eq!(refusal(rig.door.attach(attach, Presence::none()).wait()), Refusal::UnknownConnector);
}

#[test]
fn what_is_internal_is_refused_at_the_door() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { create: true, segment_size: 64 << 10, ..Options::default() };
    let facility = LocalFacility::open(dir.path(), &options).expect("the store opens");
    facility.call(Request::Connect(stack("A"))).expect("connects");
    let lsn = facility.status().expect("answered").records;
    let stop = Request::Stop { cause: StopCause::DataLost, name: None, history: facility.history(), lsn: Lsn(1 << 40) };
    let adopt = Request::Adopt { name: name("A"), grants: Vec::new() };
    for internal in [Request::Attach(stack("A")), stop, adopt] {
        assert_eq!(refusal(facility.call(internal)), Refusal::ChallengeNeeded);
    }
    assert_eq!(facility.status().expect("answered").records, lsn, "nothing was stored");
}

#[test]
fn the_same_kernel_keeps_its_grants_and_takes_the_next_incarnation() {
    let mut rig = Rig::new();
    let mut host = rig.host("A");
    let grant = host.acquire();
    let first = host.connection.actor();
    let attached = host.attach(&rig).expect("attached");
    assert_eq!(tokens(&attached.grants), [grant.lsn]);
    let second = host.connection.actor();
    assert!(second.incarnation > first.incarnation);
    rig.restart();
    assert_eq!(refusal(host.try_acquire()), Refusal::MustAttach, "attached in an earlier open");
    assert_eq!(tokens(&host.attach(&rig).expect("attached").grants), [grant.lsn]);
    assert!(host.connection.actor().incarnation > second.incarnation);
    host.acquire();
}

#[test]
fn another_boot_of_the_same_machine_sends_the_old_grants_to_quarantine_at_once() {
    let rig = Rig::new();
    let mut host = rig.host("A");
    let port = host.acquire().group.port_first();
    host.connection.give_up();
    let mut again = stack("A");
    (again.identity.boot, again.identity.process) = (BootId(8), ProcessId(2));
    let (_connection, attached) = rig.attach(again, &host.belief()).expect("attached");
    assert_eq!((attached.grants.len(), attached.memberships.len()), (0, 0));
    assert!(matches!(rig.door.owner(list(), port).expect("answered"), PortOwner::Quarantined { .. }));
    assert_eq!(rig.look(|structure| structure.stop()), None);
}

#[test]
fn another_machine_is_refused_while_the_first_is_alive_or_holds_anything() {
    let rig = Rig::new();
    let mut host = rig.host("A");
    host.acquire();
    let mut other = stack("A");
    other.identity.machine = MachineId(99);
    let refused = |state, held| Refusal::OtherMachine { incarnation: host.connection.actor().incarnation, state, held };
    let attach = || rig.attach(other.clone(), &Belief::default());
    assert_eq!(refusal(attach()), refused(ConnectorState::Active, 64));
    let (incarnation, by) = (host.connection.actor().incarnation, name("OPERATOR"));
    rig.door.mark_failed(&name("A"), incarnation, &by).expect("failed");
    assert_eq!(refusal(attach()), refused(ConnectorState::FailedPersistent, 64));
    rig.door.clean_up(&name("A"), incarnation, &by, true).expect("cleaned up");
    assert_eq!(refusal(attach()), Refusal::UnknownConnector);
    Connection::connect(rig.facility(), other).expect("the name is free");
}

#[test]
fn a_clone_of_the_machine_is_refused_until_the_first_ones_connection_is_gone() {
    let give_up: fn(Host) -> Option<Host> = |host| {
        host.connection.give_up();
        Some(host)
    };
    let endings: [(&str, fn(Host) -> Option<Host>); 2] = [("given up", give_up), ("dropped", |_| None)];
    for (case, end) in endings {
        let rig = Rig::new();
        let mut host = rig.host("A");
        let grant = host.acquire();
        let incarnation = host.connection.actor().incarnation;
        for boot in [7, 8] {
            let mut clone = stack("A");
            (clone.identity.boot, clone.identity.process) = (BootId(boot), ProcessId(2));
            let refused = refusal(rig.attach(clone, &Belief::default()));
            assert_eq!(refused, Refusal::StillConnected { incarnation }, "{case}");
        }
        assert_eq!(tokens(&host.attach(&rig).expect("the same process may").grants), [grant.lsn]);
        let _host = end(host);
        let mut next = stack("A");
        next.identity.process = ProcessId(2);
        let (_kept, attached) = rig.attach(next, &Belief::default()).expect("attached");
        assert_eq!(tokens(&attached.grants), [grant.lsn], "{case}");
    }
}

#[test]
fn a_resumed_connection_holds_a_clone_off_again() {
    let rig = Rig::new();
    let host = rig.host("A");
    host.connection.resume(rig.facility()).expect("resumed");
    let mut clone = stack("A");
    clone.identity.process = ProcessId(2);
    assert!(matches!(refusal(rig.attach(clone, &Belief::default())), Refusal::StillConnected { .. }));
}
