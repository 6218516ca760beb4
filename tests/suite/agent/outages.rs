//! Agents whose service is away, whose lease ends, that are killed and started again.

use super::{Site, eventually, port_of, portplex, text};
use portplex::facility::Facility;
use serde_json::{Value, json};
use std::net::TcpListener;

#[test]
fn a_service_that_is_not_there_yet_is_named_and_found_once_it_is() {
    let site = Site::new("127.66.32.1");
    let _agent = site.agent("SYS1.TCPIP", &[]);
    eventually("it says so", || site.told("SYS1.TCPIP").into_iter().find(|event| event["event"] == "unreachable"));
    let mut program = site.program("SYS1.TCPIP");
    let refused = program.ask(&json!({"verb": "bind", "dvipa": site.dvipa}));
    assert_eq!((&refused["ok"], &refused["cause"]), (&json!(false), &json!("unreachable")), "{refused}");
    let status = program.status();
    assert_eq!((&status["state"], &status["facility"]["reachable"]), (&json!("starting"), &json!(false)));
    assert!(status["facility"]["last_error"].as_str().expect("text").contains("service.sock"), "{status}");
    let _service = site.serve();
    site.attached("SYS1.TCPIP");
    program.bind(&site.dvipa);
}

#[test]
fn ports_in_hand_serve_while_the_service_is_away_and_stop_at_the_deadline() {
    let site = Site::new("127.66.32.2");
    let mut service = site.serve();
    let _agent = site.agent("SYS1.TCPIP", &["--promise-ms", "3000"]);
    site.attached("SYS1.TCPIP");
    let mut program = site.program("SYS1.TCPIP");
    let first = program.bind(&site.dvipa);
    service.kill();
    let second = program.ask(&json!({"verb": "bind", "dvipa": site.dvipa}));
    assert_ne!(port_of(&second), first, "from the group in hand");
    let refused = eventually("the deadline passes", || {
        Some(program.ask(&json!({"verb": "bind", "dvipa": site.dvipa}))).filter(|answer| answer["ok"] == false)
    });
    assert!(["lease-over", "unreachable"].contains(&refused["cause"].as_str().expect("a cause")), "{refused}");
    eventually("it says so", || site.told("SYS1.TCPIP").into_iter().find(|event| event["event"] == "lease-over"));
    assert_eq!(program.status()["state"], "expired");
    let _service = site.serve();
    let status = site.attached("SYS1.TCPIP");
    assert_eq!(status["lists"][0]["unadopted"], 0, "{status}");
    let third = program.bind(&site.dvipa);
    assert!(third != first && third != port_of(&second), "both are in use still");
}

/// Grants by group, as the agent says.
fn groups(status: &Value) -> Vec<u64> {
    let groups = status["lists"][0]["groups"].as_array().expect("groups");
    groups.iter().map(|group| group["group"].as_u64().expect("a number")).collect()
}

#[test]
fn a_killed_agent_takes_up_what_it_left_and_hands_out_no_port_that_has_a_socket() {
    let site = Site::new("127.66.32.3");
    let _service = site.serve();
    let mut agent = site.agent("SYS1.TCPIP", &[]);
    let before = site.attached("SYS1.TCPIP");
    let mut program = site.program("SYS1.TCPIP");
    // Two groups at least, one socket in the first.
    let ports: Vec<u16> = (0..70).map(|_| program.bind(&site.dvipa)).collect();
    let socket = TcpListener::bind((site.dvipa.as_str(), ports[0])).expect("nobody has it");
    // Bound, and in no table of the kernel.
    let quiet = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let at: std::net::SocketAddr = format!("{}:{}", site.dvipa, ports[1]).parse().expect("an address");
    quiet.bind(&at.into()).expect("nobody has it");
    assert!(groups(&program.status()).len() >= 2);
    agent.kill();

    let _agent = site.agent("SYS1.TCPIP", &[]);
    let after = site.attached("SYS1.TCPIP");
    assert!(after["incarnation"].as_u64() > before["incarnation"].as_u64(), "{after}");
    let told = site.told("SYS1.TCPIP").into_iter().find(|event| event["event"] == "attached").expect("said");
    assert_eq!(told["kept_ports"], 2, "{told}");
    assert_eq!((&after["lists"][0]["in_use"], &after["lists"][0]["unadopted"]), (&json!(2), &json!(0)), "{after}");
    let mut program = site.program("SYS1.TCPIP");
    let taken: Vec<u16> = (0..200).map(|_| program.bind(&site.dvipa)).collect();
    assert!(!taken.contains(&ports[0]) && !taken.contains(&ports[1]), "their sockets are there");
    drop((socket, quiet));
    eventually("both are back", || (program.status()["waiting"] == 0).then_some(()));
}

#[test]
fn a_second_agent_of_one_stack_is_refused_and_a_structure_that_is_not_hosted_is_named() {
    let site = Site::new("127.66.32.4");
    let (_service, _agent) = (site.serve(), site.agent("SYS1.TCPIP", &[]));
    site.attached("SYS1.TCPIP");
    let socket = site.path("other.sock").display().to_string();
    let second = site.agent_command("SYS1.TCPIP", &["--socket", &socket]).output();
    // A flag that is given twice is a mistake: the second agent gets its own command line.
    assert_eq!(second.expect("runs").status.code(), Some(2));
    let mut command = portplex(&["stack", "run", "--name", "SYS1.TCPIP", "--facility", &site.url()]);
    command.arg("--profile").arg(site.path("sys.profile")).arg("--state").arg(site.path("state"));
    let second = command.arg("--socket").arg(&socket).output().expect("runs");
    assert_eq!(second.status.code(), Some(1), "{}", text(&second));
    assert!(text(&second).contains("another agent of this stack runs here"), "{}", text(&second));

    let refused = site.agent_command("SYS3.TCPIP", &["--vtam-group", "11"]).output().expect("runs");
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("structure EZBEPORT11 is not hosted there"), "{}", text(&refused));
    let taken = site.agent_command("SYS4.TCPIP", &[]).arg("--profile").arg(site.path("none.profile")).output();
    assert_eq!(taken.expect("runs").status.code(), Some(74), "a profile that is not there");
}

#[test]
fn an_agent_that_is_told_to_disconnect_does_so_only_if_no_socket_is_left() {
    let site = Site::new("127.66.32.5");
    let _service = site.serve();
    let mut agent = site.agent("SYS1.TCPIP", &["--disconnect"]);
    site.attached("SYS1.TCPIP");
    let mut program = site.program("SYS1.TCPIP");
    let port = program.bind(&site.dvipa);
    let socket = TcpListener::bind((site.dvipa.as_str(), port)).expect("nobody has it");
    assert_eq!(agent.end().code(), Some(1), "a socket is left");
    let mut agent = site.agent("SYS1.TCPIP", &["--disconnect"]);
    let status = site.attached("SYS1.TCPIP");
    assert_eq!(status["lists"][0]["in_use"], 1, "kept: {status}");
    drop(socket);
    assert_eq!(agent.end().code(), Some(0));
    assert!(!site.socket("SYS1.TCPIP").exists(), "the socket went with it");
    let facility = portplex::api::RemoteFacility::connect(
        &site.url().parse().expect("a door"),
        portplex::ident::StructureName::default(),
        portplex::api::RemoteOptions::default(),
    );
    let facility = facility.expect("connects");
    assert_eq!(facility.status().expect("answered").connectors, 0, "it is forgotten");
    let items = facility.list().expect("read");
    assert!(!items.iter().any(|item| matches!(item, portplex::structure::Item::Grant { .. })), "{items:?}");
}

#[test]
fn an_agent_that_ends_keeps_its_groups_for_its_next_start() {
    let site = Site::new("127.66.32.6");
    let _service = site.serve();
    let mut agent = site.agent("SYS1.TCPIP", &[]);
    site.attached("SYS1.TCPIP");
    let mut program = site.program("SYS1.TCPIP");
    let port = program.bind(&site.dvipa);
    let _socket = TcpListener::bind((site.dvipa.as_str(), port)).expect("nobody has it");
    let before = groups(&program.status());
    assert_eq!(agent.end().code(), Some(0));
    let _agent = site.agent("SYS1.TCPIP", &[]);
    let after = site.attached("SYS1.TCPIP");
    assert_eq!(groups(&after), before, "{after}");
}

#[test]
fn the_lease_is_what_the_service_asks_for_unless_one_is_typed() {
    let site = Site::new("127.66.32.77");
    let _service = site.serve_configured("lease = \"7s\"\n");
    let _asked = site.agent("SYS1.TCPIP", &[]);
    let promised = |name: &str| site.attached(name)["lease"]["promise_ms"].as_u64();
    assert_eq!(promised("SYS1.TCPIP"), Some(7_000));
    let _typed = site.agent("SYS2.TCPIP", &["--promise-ms", "9000"]);
    assert_eq!(promised("SYS2.TCPIP"), Some(9_000));
    let _none = site.agent("SYS3.TCPIP", &["--promise-ms", "0", "--socket-mode", "0660"]);
    assert_eq!(promised("SYS3.TCPIP"), Some(0));
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(site.socket(name)).expect("there").permissions().mode() & 0o777
    };
    assert_eq!((mode("SYS1.TCPIP"), mode("SYS3.TCPIP")), (0o600, 0o660), "who may connect");
}

#[test]
fn a_stack_notices_by_itself_that_its_service_was_started_anew() {
    let site = Site::new("127.66.32.78");
    let mut service = site.serve();
    let _agent = site.agent("SYS1.TCPIP", &["--promise-ms", "0"]);
    let before = site.attached("SYS1.TCPIP")["incarnation"].as_u64();
    service.kill();
    let _service = site.serve();
    // Without a lease nothing is renewed, and no program asks for anything.
    eventually("it has attached to the new life of the service", || {
        let now = site.program("SYS1.TCPIP").status()["incarnation"].as_u64();
        (now > before).then_some(())
    });
}

#[test]
fn an_agent_takes_no_ports_from_another_store_than_its_last_life_unless_it_is_told_to() {
    let site = Site::new("127.66.32.79");
    let mut service = site.serve();
    let mut agent = site.agent("SYS1.TCPIP", &[]);
    site.attached("SYS1.TCPIP");
    agent.end();
    service.end();
    std::fs::rename(site.path("store"), site.path("store.away")).expect("moved");
    let _service = site.serve();
    let refused = site.agent_command("SYS1.TCPIP", &[]).output().expect("the binary runs");
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("the facility is on store"), "{}", text(&refused));
    let _agent = site.agent("SYS1.TCPIP", &["--anew"]);
    site.attached("SYS1.TCPIP");
}
