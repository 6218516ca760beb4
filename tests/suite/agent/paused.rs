//! An agent that is stopped past its deadline and goes on: it attaches before it hands out anything, and
//! nobody got its ports meanwhile.

use super::{Site, eventually, port_of};
use portplex::api::{RemoteFacility, RemoteOptions};
use portplex::facility::Facility;
use portplex::ident::StructureName;
use portplex::structure::{ConnectorState, Item};
use rustix::process::Signal;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::TcpListener;

const NAME: &str = "SYS1.TCPIP";
const OTHER: &str = "SYS2.TCPIP";

fn items(site: &Site) -> Vec<Item> {
    let door = site.url().parse().expect("a door");
    let facility = RemoteFacility::connect(&door, StructureName::default(), RemoteOptions::default());
    facility.expect("connects").list().expect("read")
}

/// State and incarnation of the stack that is paused.
fn connector(site: &Site) -> (ConnectorState, u64) {
    let found = items(site).into_iter().find_map(|item| match item {
        Item::Connector { name, state, incarnation, .. } if name.as_str() == NAME => Some((state, incarnation.0)),
        _ => None,
    });
    found.expect("it is known")
}

/// Every port that a grant of anybody has; panics if two have one.
fn granted(site: &Site) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for item in items(site) {
        if let Item::Grant { group, mask, .. } = item {
            mask.ports(group).for_each(|port| assert!(ports.insert(port), "port {port} is held twice"));
        }
    }
    ports
}

#[test]
fn an_agent_stopped_past_its_deadline_attaches_before_it_hands_out_a_port_and_nobody_has_its_own() {
    let site = Site::new("127.66.32.9");
    let _service = site.serve();
    let agent = site.agent(NAME, &["--promise-ms", "2000"]);
    let _other = site.agent(OTHER, &["--promise-ms", "2000"]);
    site.attached(NAME);
    site.attached(OTHER);
    let mut program = site.program(NAME);
    let mine: BTreeSet<u16> = (0..100).map(|_| program.bind(&site.dvipa)).collect();
    let sockets: Vec<TcpListener> =
        mine.iter().map(|port| TcpListener::bind((site.dvipa.as_str(), *port)).expect("nobody has it")).collect();
    let mut other = site.program(OTHER);
    let mut others: BTreeSet<u16> = (0..10).map(|_| other.bind(&site.dvipa)).collect();

    for round in 0..2 {
        let (_, before) = connector(&site);
        agent.signal(Signal::STOP);
        eventually("its lease runs out at the facility", || {
            (connector(&site).0 == ConnectorState::FailedPersistent).then_some(())
        });
        // Its groups are kept for it: another one gets others.
        others.extend((0..150).map(|_| other.bind(&site.dvipa)));
        assert!(mine.is_disjoint(&others), "round {round}: a port of the stopped stack was given to another");
        assert!(mine.is_subset(&granted(&site)), "round {round}: its grants are kept");
        // It waits in the socket until the agent goes on.
        program.send(format!("{}\n", json!({"verb": "bind", "dvipa": site.dvipa})).as_bytes());
        agent.signal(Signal::CONT);
        let answer = program.hear();
        if answer["ok"] == true {
            let (state, incarnation) = connector(&site);
            assert!(
                state == ConnectorState::Active && incarnation > before,
                "it handed a port out and had not attached"
            );
            let port = port_of(&answer);
            assert!(!mine.contains(&port) && !others.contains(&port), "round {round}: port {port} is in use");
        } else {
            let cause = answer["cause"].as_str().expect("a cause");
            assert!(["lease-over", "unreachable"].contains(&cause), "round {round}: {answer}");
        }
        eventually("it attaches", || {
            let (state, incarnation) = connector(&site);
            (state == ConnectorState::Active && incarnation > before).then_some(())
        });
        let more: BTreeSet<u16> = eventually("it hands out again", || {
            let status = site.attached(NAME);
            (status["lists"][0]["unadopted"] == 0).then(|| (0..50).map(|_| program.bind(&site.dvipa)).collect())
        });
        assert!(more.is_disjoint(&mine) && more.is_disjoint(&others), "round {round}: a port is in two hands");
        assert!(more.is_subset(&granted(&site)), "round {round}: it hands out what it was granted");
    }
    drop(sockets);
}
