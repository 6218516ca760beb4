//! Which source address a connection gets, and where the port of an unspecified bind comes from.

use super::memory::{Memory, Mode};
use super::{dvipa, identity, name, options, target};
use portplex::ident::{Target, Transport};
use portplex::profile::{Profile, parse};
use portplex::stack::{Local, Stack, StackError};
use portplex::structure::{PortRange, Request};
use std::net::SocketAddr;

const POOL: Target = Target::Pool(Transport::Tcp);

fn profile(more: &str) -> Profile {
    let text = format!(
        "IPCONFIG SYSPLEXROUTING DYNAMICXCF 192.168.1.1 255.255.255.0 1 SOURCEVIPA TCPSTACKSOURCEVIPA 10.1.1.1
         TCPCONFIG TIMEWAITINTERVAL 0
         VIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.1 10.1.1.2
         VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 4035 DESTIP ALL ENDVIPADYNAMIC
         PORT 2100 TCP JOBA
         {more}"
    );
    let (profile, diagnostics) = parse(text.as_bytes());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    profile
}

fn start(memory: &Memory, number: u8, profile: Profile) -> Stack {
    let who = identity(u128::from(number), 1, 1);
    let started = Stack::start(memory.door(), name(&format!("SYS{number}")), profile, who, options(memory, 0));
    started.expect("it starts").0
}

fn far(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn srcip_then_tcpstacksourcevipa_choose_the_source() {
    let memory = Memory::new(1);
    let srcip = "SRCIP JOBNAME PAY* 10.1.1.2 DESTINATION 198.51.100.0/24 10.9.9.9 ENDSRCIP";
    let stack = start(&memory, 1, profile(srcip));
    memory.seen();
    let open = |job: &str, to: &str| stack.connect_any(job, far(to)).expect("a port").map(|tuple| tuple.source_address);
    assert_eq!(open("PAYROLL", "203.0.113.7:443"), Some("10.1.1.2".parse().expect("an address")), "JOBNAME");
    assert_eq!(open("WEB", "198.51.100.9:443"), Some("10.9.9.9".parse().expect("an address")), "DESTINATION");
    assert_eq!(memory.seen(), [], "neither has SYSPLEXPORTS");
    let shared = stack.connect_any("WEB", far("203.0.113.7:443")).expect("a port").expect("TCPSTACKSOURCEVIPA");
    assert_eq!((shared.local, shared.source_address), (Local::Address(dvipa()), dvipa().address()));
    assert_eq!(memory.owner(target(), shared.port), Some(name("SYS1")), "its port is from the list");

    let v6 = stack.connect_any("WEB", far("[2001:db8::7]:443"));
    assert_eq!(v6, Ok(None), "nothing is said for IPv6: the kernel's own selection");
}

#[test]
fn an_unspecified_bind_takes_from_the_pool_when_one_is_configured() {
    let memory = Memory::new(2);
    let pool = "GLOBALCONFIG EXPLICITBINDPORTRANGE 6000 128";
    let (one, two) = (start(&memory, 1, profile(pool)), start(&memory, 2, profile(pool)));
    let (a, b) = (one.bind_unspecified().expect("a port"), two.bind_unspecified().expect("a port"));
    assert_eq!((a.local, memory.owner(POOL, a.port)), (Local::Any, Some(name("SYS1"))));
    assert_eq!(memory.owner(POOL, b.port), Some(name("SYS2")));
    assert!((6000..6128).contains(&a.port) && (6000..6128).contains(&b.port) && a.port != b.port);
    // Its port is unique in the sysplex, so SRCIP may choose the DVIPA.
    let tuple = one.connect_from(&a, "WEB", far("203.0.113.7:443")).expect("unique").expect("TCPSTACKSOURCEVIPA");
    assert_eq!((tuple.source_address, tuple.port), (dvipa().address(), a.port));
    assert!(matches!(
        one.connect_from(&a, "WEB", far("203.0.113.7:443")),
        Err(StackError::TupleInUse { port, .. }) if port == a.port
    ));
    one.close(tuple);
    let port = a.port;
    one.release(a);
    assert_eq!(one.give_back(0), 1);
    one.tick();
    assert_eq!(memory.owner(POOL, port), None);
}

#[test]
fn an_unspecified_bind_without_a_pool_takes_the_stacks_own_ports() {
    let memory = Memory::new(3);
    let stack = start(&memory, 1, profile(""));
    memory.seen();
    let own = stack.bind_unspecified().expect("its own");
    assert_eq!((own.local, own.grant, memory.seen()), (Local::Any, None, Vec::new()));
    // Such a port is unique on this stack only.
    let error = stack.connect_from(&own, "WEB", far("203.0.113.7:443")).expect_err("the source would be the DVIPA");
    assert_eq!(error, StackError::NotUnique { source_address: dvipa().address(), port: own.port });
    // One below 1,024 or reserved for the job is, by the administrator's word.
    let reserved = stack.bind_as("JOBA", dvipa(), 2100).expect("reserved");
    let unspecified = portplex::stack::BoundPort { local: Local::Any, ..reserved };
    assert!(stack.connect_from(&unspecified, "JOBA", far("203.0.113.7:443")).expect("reserved").is_some());
    let low = portplex::stack::BoundPort { local: Local::Any, port: 1023, grant: None };
    assert!(stack.connect_from(&low, "WEB", far("203.0.113.7:443")).expect("below 1,024").is_some());
}

#[test]
fn the_range_processed_last_is_the_active_one() {
    let memory = Memory::new(4);
    let one = start(&memory, 1, profile("GLOBALCONFIG EXPLICITBINDPORTRANGE 6000 128"));
    assert_eq!(memory.range(), Some(PortRange { first: 6000, count: 128 }));
    let two = start(&memory, 2, profile("GLOBALCONFIG EXPLICITBINDPORTRANGE 7000 64"));
    assert_eq!(memory.range(), Some(PortRange { first: 7000, count: 64 }));
    let bound = one.bind_unspecified().expect("a port");
    assert!((7000..7064).contains(&bound.port), "its own statement was processed earlier: {}", bound.port);
    // A facility that comes back is no profile that is processed.
    memory.reopen();
    one.reattach(memory.door()).expect("it is back");
    assert_eq!(memory.range(), Some(PortRange { first: 7000, count: 64 }));
    two.reattach(memory.door()).expect("it is back");
    let obeyed = one.obey(b"GLOBALCONFIG EXPLICITBINDPORTRANGE 6000 128");
    assert_eq!((obeyed.diagnostics.len(), &obeyed.waiting), (0, &None));
    assert_eq!(memory.range(), Some(PortRange { first: 6000, count: 128 }), "the same statement, processed last");
    let again = two.bind_unspecified().expect("a port");
    assert!((6000..6128).contains(&again.port));
    // A data set without the statement changes nothing of it.
    memory
        .operate(&Request::SetRange { transport: Transport::Tcp, range: Some(PortRange { first: 8000, count: 64 }) })
        .expect("an operator may");
    one.obey(b"TCPCONFIG TIMEWAITINTERVAL 1");
    assert_eq!(memory.range(), Some(PortRange { first: 8000, count: 64 }));
}

#[test]
fn a_range_that_could_not_be_set_is_set_later() {
    let memory = Memory::new(5);
    let stack = start(&memory, 1, profile(""));
    memory.set(Mode::Lost);
    let obeyed = stack.obey(b"GLOBALCONFIG EXPLICITBINDPORTRANGE 6000 128");
    assert!(matches!(obeyed.waiting, Some(StackError::Unreachable { .. })), "{obeyed:?}");
    assert!(stack.bind_unspecified().is_err(), "the pool is configured, and not to be had");
    memory.reopen();
    stack.reattach(memory.door()).expect("it is back");
    assert_eq!(memory.range(), Some(PortRange { first: 6000, count: 128 }));
    assert!((6000..6128).contains(&stack.bind_unspecified().expect("a port").port));
}
