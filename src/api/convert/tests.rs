//! What is sent is what arrives, for every kind of everything; what cannot be is named.
#![forbid(unsafe_code)]

use super::*;
use crate::api::failure::Failure;
use crate::facility::CallError;
use crate::facility::Page;
use crate::facility::Query;
use crate::facility::Receipt;
use crate::facility::Reply;
use crate::facility::Rows;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::MachineId;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::ProcessId;
use crate::ident::StoreUuid;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::*;
use prost::Message;
use std::collections::BTreeSet;
use std::fmt::Debug;

/// Through bytes, as over the wire.
fn travel<W: Message + Default>(sent: &W) -> W {
    W::decode(sent.encode_to_vec().as_slice()).unwrap()
}

/// What is sent is what arrives.
fn same<T, W>(sent: &T)
where
    for<'a> W: From<&'a T> + Message + Default,
    T: TryFrom<W, Error = Malformed> + PartialEq + Debug,
{
    assert_eq!(T::try_from(travel(&W::from(sent))).as_ref(), Ok(sent));
}

fn connector() -> ConnectorName {
    ConnectorName::new("SYS1.TCPIP").unwrap()
}

fn list() -> Target {
    Target::List("10.1.1.1".parse().unwrap(), Transport::Tcp)
}

fn identity() -> Identity {
    Identity { machine: MachineId(1 << 100), boot: BootId(u128::MAX), process: ProcessId(u64::MAX) }
}

fn introduction() -> Introduction {
    Introduction { name: connector(), identity: identity(), promise_ms: u64::MAX, enforced: true }
}

fn groups() -> (GroupNumber, GroupNumber) {
    (GroupNumber::of_port(0), GroupNumber::of_port(u16::MAX))
}

fn ports() -> PortSet {
    let mut ports = PortSet::empty();
    ports.insert_range(1, 1);
    ports.insert_range(1_024, 65_535);
    ports.remove_range(8_443, 8_443);
    ports
}

fn refusals() -> Vec<Refusal> {
    let (incarnation, state) = (Incarnation(9), ConnectorState::FailedPersistent);
    let (grant, port) = (Lsn(7), u16::MAX);
    vec![
        Refusal::ConnectorExists { incarnation, state },
        Refusal::UnknownConnector,
        Refusal::OtherMachine { incarnation, state: ConnectorState::Active, held: 3 },
        Refusal::StaleIncarnation { asked: Incarnation(1), current: incarnation },
        Refusal::MustAttach,
        Refusal::NotFailed { state: ConnectorState::Forgotten },
        Refusal::BootMayBeAlive,
        Refusal::RequestIdReused { number: 4 },
        Refusal::AlreadyAnswered { number: 4, lowest: 5 },
        Refusal::Overloaded,
        Refusal::NumbersExhausted,
        Refusal::UnknownList { target: list() },
        Refusal::Closed,
        Refusal::NotJoined,
        Refusal::NoAllowableSet,
        Refusal::Exhausted {
            free: 1,
            held: 2,
            quarantined: 3,
            excluded: 4,
            allowable_held: 5,
            allowable_quarantined: 6,
        },
        Refusal::QuotaExceeded { held: 1, quota: 2 },
        Refusal::Reserved { reserve: 1_024 },
        Refusal::PortHeld { port, grant },
        Refusal::PortQuarantined { port, since: grant },
        Refusal::PortExcluded { port },
        Refusal::NotOwner { grant },
        Refusal::StaleToken { grant },
        Refusal::OutOfRange { what: Operand::Groups },
        Refusal::TooMany { what: Operand::Sets },
        Refusal::TooLarge { needed: 1, limit: 2 },
        Refusal::StorageFull,
        Refusal::ChallengeNeeded,
        Refusal::ReportNeeded,
        Refusal::OtherStore { store: StoreUuid(u128::MAX - 1) },
        Refusal::ReceiptBad,
        Refusal::StillConnected { incarnation },
        Refusal::GrantsStopped { cause: StopCause::Restored },
        Refusal::AdoptedPending { ports: 64 },
        Refusal::TooEarly { left_ms: u64::MAX },
        Refusal::NotAllAttached { name: connector(), count: 2 },
    ]
}

#[test]
fn every_refusal_has_a_code_of_its_own_and_keeps_its_facts() {
    let mut codes = BTreeSet::new();
    for refusal in refusals() {
        same::<Refusal, v1::Refusal>(&refusal);
        codes.insert(v1::Refusal::from(&refusal).code);
        let failure = Failure::from(refusal);
        assert_eq!(Failure::of_status(&failure.to_status()).as_ref(), Some(&failure));
    }
    // No code of the contract is without a refusal.
    let last = i32::try_from(codes.len()).unwrap();
    assert_eq!(codes, (1..=last).collect());
    assert!(v1::RefusalCode::try_from(last + 1).is_err());
    let operands = [
        Operand::Port,
        Operand::Mask,
        Operand::Number,
        Operand::Policy,
        Operand::Range,
        Operand::Connectors,
        Operand::Lists,
        Operand::Members,
        Operand::Lsn,
    ];
    operands.into_iter().for_each(|what| same::<Refusal, v1::Refusal>(&Refusal::OutOfRange { what }));
}

#[test]
fn every_failure_travels_as_a_message_and_in_the_details_of_a_status() {
    for failure in [
        Failure::Call(CallError::Gone),
        Failure::Call(CallError::WrongAnswer),
        Failure::Call(CallError::StorageFailed { reason: "disk".to_owned() }),
        Failure::NotHosted { structure: "EZBEPORT11".to_owned() },
        Failure::NotUnderstood { field: "a.b".to_owned(), reason: "c".to_owned() },
    ] {
        same::<Failure, v1::CallError>(&failure);
        assert_eq!(Failure::of_status(&failure.to_status()), Some(failure));
    }
    let overloaded = v1::CallError::from(&Failure::from(Refusal::Overloaded));
    assert_eq!(overloaded.retry_after_ms, crate::api::failure::OVERLOADED_RETRY_MS);
    assert_eq!(Failure::of_status(&tonic::Status::internal("of another kind")), None);
}

#[test]
fn what_a_newer_release_says_is_named_and_nothing_else_happens() {
    let unknown = v1::Refusal { code: 99, ..v1::Refusal::default() };
    let error = Refusal::try_from(unknown).unwrap_err();
    assert_eq!(error, Malformed { field: "refusal.code", reason: Misform::Unknown { value: 99 } });
    assert!(error.to_string().contains("is the other side newer?"), "{error}");
    let target = v1::Target { dvipa: "10.1.1.1".to_owned(), transport: 3 };
    assert_eq!(Target::try_from(target).unwrap_err().reason, Misform::Unknown { value: 3 });
    // A kind of request that this release does not have: field 99, a varint.
    let sent = v1::Request::decode([0x98, 0x06, 0x01].as_slice()).unwrap();
    assert_eq!(Request::try_from(sent), Err(Malformed::missing("request")));
    assert_eq!(Query::try_from(v1::Query::default()), Err(Malformed::missing("query")));
}

#[test]
fn every_request_of_a_stack_or_an_operator_travels_and_no_internal_one() {
    let (member, name, by) = (Member { slot: u32::MAX, joined: Lsn(u64::MAX) }, connector(), connector());
    let (first, last) = groups();
    let stack = |body| {
        let actor = Actor { slot: 1, incarnation: Incarnation(2) };
        Request::Stack { actor, number: 9, lowest: 8, body }
    };
    let policy = Policy { quota: 1, reserve: 2, quarantine_ms: 3, clean_up_ms: 4 };
    let requests = [
        Request::Define { target: list() },
        Request::Delete { target: Target::Pool(Transport::Udp) },
        Request::SetPolicy { target: list(), policy },
        Request::SetRange { transport: Transport::Udp, range: Some(PortRange { first: 1, count: u16::MAX }) },
        Request::SetRange { transport: Transport::Tcp, range: None },
        Request::MarkFailed { name: name.clone(), incarnation: Incarnation(5), by: Some(by.clone()) },
        Request::CleanUp { name: name.clone(), incarnation: Incarnation(5), by: by.clone(), boot_is_dead: true },
        Request::ResumeGrants { by: Some(by), adopt_reported: true },
        stack(Body::Join { target: Target::List("2001:db8::1".parse().unwrap(), Transport::Udp) }),
        stack(Body::Leave { member }),
        stack(Body::Acquire { member, at_least: u16::MAX, at_most: 0 }),
        stack(Body::Claim { member, port: 0 }),
        stack(Body::Release { member, group: first, grant: Lsn(3), mask: PortMask::ALL }),
        stack(Body::Release { member, group: last, grant: Lsn(3), mask: PortMask::NONE }),
        stack(Body::SetAllowable { transport: Transport::Tcp, ports: ports() }),
        stack(Body::SetAllowable { transport: Transport::Tcp, ports: PortSet::empty() }),
        stack(Body::Disconnect),
    ];
    for request in requests {
        let sent = v1::Request::try_from(&request).unwrap();
        assert_eq!(Request::try_from(travel(&sent)), Ok(request));
    }
    for internal in [
        Request::MarkFailed { name, incarnation: Incarnation(5), by: None },
        Request::EndQuarantine { list: 0 },
        Request::ResumeGrants { by: None, adopt_reported: false },
        Request::Attach(introduction()),
    ] {
        assert!(v1::Request::try_from(&internal).is_err(), "{internal:?}");
    }
}

#[test]
fn every_answer_travels_and_a_long_one_in_parts() {
    let member = Member { slot: 1, joined: Lsn(2) };
    let membership = Membership { member, target: list() };
    let actor = Actor { slot: 3, incarnation: Incarnation(4) };
    let grant = |lsn| {
        let (group, mask) = (GroupNumber::of_port(4_035), PortMask(1 << 63));
        Grant { lsn: Lsn(lsn), member, target: list(), group, mask, number: 7 }
    };
    let reply = |answer| {
        let (store, history) = (StoreUuid(1 << 127), HistoryId(u64::MAX));
        Reply { store, history, lsn: Lsn(5), receipt: Receipt([6; 16]), answer }
    };
    let attached = |count| Answer::Attached {
        actor,
        memberships: vec![membership; 2],
        grants: (0..count).map(grant).collect(),
        stopped: Some(StopCause::DataLost),
    };
    for answer in [
        Answer::Done,
        Answer::Connected(actor),
        attached(2),
        Answer::Attached { actor, memberships: Vec::new(), grants: Vec::new(), stopped: None },
        Answer::Joined(membership),
        Answer::Granted(vec![grant(1), grant(2)]),
        Answer::GrantedAndGone,
    ] {
        same::<Reply, v1::Reply>(&reply(answer));
    }
    let long = reply(attached(50_000));
    let mut rest = long.clone();
    let parts = v1::AttachedPart::split_off(&mut rest);
    assert_eq!(parts.len(), 3);
    let mut sent = v1::Reply::from(&rest);
    let largest = parts.iter().map(Message::encoded_len).chain([sent.encoded_len()]).max().unwrap();
    assert!(largest < crate::api::MESSAGE_BYTES_MAX, "{largest}");
    parts.into_iter().rev().for_each(|part| sent.put_back(part));
    assert_eq!(Reply::try_from(sent), Ok(long));
}

#[test]
fn a_port_set_is_ranges_in_order_that_do_not_touch() {
    let set = |ranges: &[(u32, u32)]| {
        let ranges = ranges.iter().map(|(first, count)| v1::PortRange { first: *first, count: *count });
        PortSet::try_from(v1::PortSet { ranges: ranges.collect() })
    };
    let mut all = PortSet::empty();
    all.insert_range(0, u16::MAX);
    assert_eq!(set(&[(0, 65_536)]), Ok(all.clone()));
    let mut ragged = all.clone();
    for (first, last) in [(0, 0), (63, 64), (200, 255), (320, 320), (65_535, 65_535)] {
        ragged.remove_range(first, last);
    }
    for ports in [PortSet::empty(), all, ragged, ports()] {
        let ranges = |(first, last): (u16, u16)| (u32::from(first), u32::from(last) - u32::from(first) + 1);
        let expected: Vec<_> = ports.ranges().into_iter().map(ranges).collect();
        let sent: Vec<_> = v1::PortSet::from(&ports).ranges.iter().map(|range| (range.first, range.count)).collect();
        assert_eq!(sent, expected);
        same::<PortSet, v1::PortSet>(&ports);
    }
    for bad in [
        &[(10, 0)][..],
        &[(65_536, 1)],
        &[(65_535, 2)],
        &[(10, 5), (15, 1)],
        &[(10, 5), (12, 1)],
        &[(10, 5), (1, 1)],
        &[(u32::MAX, u32::MAX)],
        &[(1, u32::MAX)],
    ] {
        assert!(set(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_page_of_items_is_cut_where_it_grows_too_long_and_says_where_to_go_on() {
    let mut every_other = PortSet::empty();
    (1..=u16::MAX).step_by(2).for_each(|port| every_other.insert_range(port, port));
    let items: Vec<Item> = (0..20).map(|set| Item::Set { set, ports: every_other.clone() }).collect();
    let query = Query::Items { from: 100 };
    let rows = Rows::Items { items: items.clone(), next: None };
    let page = Page { history: HistoryId(1), lsn: Lsn(2), rows };
    let sent = v1::Page::answering(&query, &page);
    assert!(sent.encoded_len() < crate::api::MESSAGE_BYTES_MAX);
    let Rows::Items { items: kept, next } = Page::try_from(travel(&sent)).unwrap().rows else { panic!("items") };
    assert!(!kept.is_empty() && kept.len() < items.len());
    assert_eq!((next, kept.as_slice()), (Some(100 + kept.len() as u64), &items[..kept.len()]));
}

#[test]
fn every_change_travels() {
    let (connector, list_slot, member, set, name) = (1, 2, 3, 4, connector());
    let (group, mask, grant) = (groups().1, PortMask(5), Lsn(6));
    let (transport, target, identity) = (Transport::Udp, list(), identity());
    let (promise_ms, enforced, history) = (7, true, HistoryId(8));
    let range = Some(PortRange { first: 1, count: 2 });
    let changes = [
        Change::Connected { connector, name: name.clone(), identity, promise_ms, enforced },
        Change::Attached { connector, identity, promise_ms, enforced },
        Change::Disconnected { connector },
        Change::Failed { connector, by: None },
        Change::Failed { connector, by: Some(name.clone()) },
        Change::CleanedUp { connector, from: BootMs(9), boot_is_dead: true, by: name.clone() },
        Change::Defined { list: list_slot, target },
        Change::Deleted { list: list_slot },
        Change::Joined { connector, list: list_slot, member, target },
        Change::Left { member },
        Change::Granted { member, group, mask },
        Change::Released { member, group, grant, mask },
        Change::Ready { list: list_slot, up_to: grant },
        Change::SetStored { connector, set, ports: ports() },
        Change::AllowableSet { connector, transport, set },
        Change::PolicySet { list: list_slot, policy: Policy::default() },
        Change::RangeSet { transport, range },
        Change::RangeSet { transport, range: None },
        Change::Stopped { cause: StopCause::PowerLoss, connector: None, history, lsn: grant },
        Change::Stopped { cause: StopCause::DataLost, connector: Some(0), history, lsn: grant },
        Change::Revoked { member, group, grant, mask },
        Change::Adopted { member, group, mask, grant },
        Change::Resumed { by: Some(name) },
        Change::Resumed { by: None },
    ];
    for change in changes {
        for stamp in [Stamp::None, Stamp::First { number: 1, below: 16_383, hash: u64::MAX }, Stamp::Next { number: 0 }]
        {
            let event = Event { stamp, change: change.clone() };
            let sent = travel(&v1::Event::of(Lsn(10), &event));
            assert_eq!(<(Lsn, Event)>::try_from(sent), Ok((Lsn(10), event)));
        }
    }
}
