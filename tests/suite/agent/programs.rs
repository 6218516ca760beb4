//! What a program gets on the local socket, and what becomes of its ports when it goes.

use super::{Site, eventually, port_of, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::TcpListener;

fn in_use(status: &Value) -> u64 {
    status["lists"][0]["in_use"].as_u64().expect("a list")
}

#[test]
fn a_port_is_bound_used_and_given_back_only_when_its_socket_is_gone() {
    let site = Site::new("127.66.31.1");
    let (_service, _agent) = (site.serve(), site.agent("SYS1.TCPIP", &[]));
    site.attached("SYS1.TCPIP");
    let mut program = site.program("SYS1.TCPIP");
    let port = program.bind(&site.dvipa);
    let socket = TcpListener::bind((site.dvipa.as_str(), port)).expect("nobody has it");
    let release = json!({"verb": "release", "dvipa": site.dvipa, "port": port, "id": 7});
    let answer = program.ask(&release);
    assert_eq!((&answer["waits_for_socket"], &answer["id"]), (&json!(true), &json!(7)), "{answer}");
    assert_eq!(in_use(&program.status()), 1, "its socket is there");
    drop(socket);
    eventually("the port is back", || (in_use(&program.status()) == 0).then_some(()));
    let port = program.bind(&site.dvipa);
    let answer = program.ask(&json!({"verb": "release", "dvipa": site.dvipa, "port": port}));
    assert_eq!(answer["waits_for_socket"], false, "{answer}");
    let answer = program.ask(&json!({"verb": "release", "dvipa": site.dvipa, "port": port}));
    assert_eq!(answer["cause"], "not-held", "{answer}");
    // The agent looks for itself, too, and the two looks must not take each other for a socket.
    for turn in 0..500 {
        let port = program.bind(&site.dvipa);
        let answer = program.ask(&json!({"verb": "release", "dvipa": site.dvipa, "port": port}));
        assert_eq!(answer["waits_for_socket"], false, "turn {turn}: {answer}");
    }
}

#[test]
fn what_a_program_had_comes_back_after_its_end_when_its_sockets_are_gone() {
    let site = Site::new("127.66.31.2");
    let (_service, _agent) = (site.serve(), site.agent("SYS1.TCPIP", &[]));
    site.attached("SYS1.TCPIP");
    let mut program = site.program("SYS1.TCPIP");
    let ports = [program.bind(&site.dvipa), program.bind(&site.dvipa), program.bind(&site.dvipa)];
    let socket = TcpListener::bind((site.dvipa.as_str(), ports[0])).expect("nobody has it");
    let mut other = site.program("SYS1.TCPIP");
    let answer = other.ask(&json!({"verb": "release", "dvipa": site.dvipa, "port": ports[1]}));
    assert_eq!(answer["cause"], "not-held", "it is another program's: {answer}");
    drop(program);
    eventually("two of the three are back", || (in_use(&other.status()) == 1).then_some(()));
    let taken: BTreeSet<u16> = (0..63).map(|_| other.bind(&site.dvipa)).collect();
    assert!(!taken.contains(&ports[0]), "a socket is on it");
    drop(socket);
    eventually("the third is back", || (other.status()["waiting"] == 0).then_some(()));
}

#[test]
fn two_stacks_never_give_one_port_to_their_programs() {
    let site = Site::new("127.66.31.3");
    let (_service, _one, _two) = (site.serve(), site.agent("SYS1.TCPIP", &[]), site.agent("SYS2.TCPIP", &[]));
    site.attached("SYS1.TCPIP");
    site.attached("SYS2.TCPIP");
    let (mut one, mut two) = (site.program("SYS1.TCPIP"), site.program("SYS2.TCPIP"));
    let mut taken = BTreeSet::new();
    for _ in 0..200 {
        assert!(taken.insert(one.bind(&site.dvipa)) && taken.insert(two.bind(&site.dvipa)), "{taken:?}");
    }
    let named = *taken.first().expect("some");
    let refused: Vec<Value> = [&mut one, &mut two]
        .map(|program| program.ask(&json!({"verb": "bind", "dvipa": site.dvipa, "port": named})))
        .into();
    assert!(refused.iter().all(|answer| answer["cause"] == "in-use"), "{refused:?}");
    assert!(refused.iter().any(|answer| answer["message"].as_str().expect("text").contains("is held by SYS")));
}

#[test]
fn connections_distributed_ports_and_reserved_ones_are_answered_as_the_profile_says() {
    let site = Site::new("127.66.31.4");
    let (_service, _agent) = (site.serve(), site.agent("SYS1.TCPIP", &["--deny-nonzero-port"]));
    site.attached("SYS1.TCPIP");
    let mut program = site.program("SYS1.TCPIP");
    let far = TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound").to_string();
    let connection = program.ask(&json!({"verb": "connect", "dvipa": site.dvipa, "destination": far}));
    assert_eq!((&connection["source"], &connection["destination"]), (&json!(site.dvipa), &json!(far)), "{connection}");
    let from = json!({"verb": "connect", "dvipa": site.dvipa, "port": 1, "destination": far});
    assert_eq!(program.ask(&from)["cause"], "not-held");
    let port = program.bind(&site.dvipa);
    let from = json!({"verb": "connect", "dvipa": site.dvipa, "port": port, "destination": far});
    assert_eq!(port_of(&program.ask(&from)), port);
    assert_eq!(program.ask(&from)["cause"], "in-use", "one 4-tuple is one connection");
    let kernels = program.ask(&json!({"verb": "connect", "destination": far}));
    assert_eq!((&kernels["ok"], &kernels["port"]), (&json!(true), &Value::Null), "no SRCIP: the kernel chooses");

    let listen = |port: u16, job: &str| json!({"verb": "listen", "dvipa": site.dvipa, "port": port, "job": job});
    assert_eq!(program.ask(&listen(4_035, ""))["grant"], Value::Null, "distributed: no claim");
    assert_eq!(program.ask(&listen(8_080, "WEBSRV"))["grant"], Value::Null, "reserved for the job");
    assert_eq!(program.ask(&listen(8_080, "OTHER"))["cause"], "excluded");
    assert_eq!(program.ask(&listen(30_000, ""))["cause"], "excluded", "claims are denied");
    let release = json!({"verb": "release", "dvipa": site.dvipa, "port": port_of(&connection), "destination": far});
    assert_eq!(program.ask(&release)["ok"], true);
}

#[test]
fn what_is_no_request_is_answered_and_what_is_too_much_ends_there() {
    let site = Site::new("127.66.31.5");
    let (_service, agent) = (site.serve(), site.agent("SYS1.TCPIP", &[]));
    site.attached("SYS1.TCPIP");
    let mut program = site.program("SYS1.TCPIP");
    program.send(b"{\"verb\":\"bind\"}\nnonsense\n{\"verb\":\"status\",\"id\":\"x\"}\n");
    assert_eq!(program.hear()["cause"], "bad-request");
    assert_eq!(program.hear()["cause"], "bad-request");
    assert_eq!(program.hear()["id"], "x", "answers come in order");
    program.send(&[b' '; 64 << 10]);
    assert_eq!(program.hear()["cause"], "line-too-long");

    let mut programs: Vec<_> = (0..1_024).map(|_| site.program("SYS1.TCPIP")).collect();
    // The last one that is let in is answered: the others before it are in, too.
    let mut refused = 0;
    for program in programs.iter_mut().rev().take(8) {
        refused += u32::from(program.hear_first() == "too-many");
    }
    assert!(refused < 8, "a thousand programs are served");
    programs.push(site.program("SYS1.TCPIP"));
    programs.push(site.program("SYS1.TCPIP"));
    let last = programs.last_mut().expect("some");
    assert_eq!(last.hear()["cause"], "too-many");
    programs.clear();
    eventually("there is room again", || (site.program("SYS1.TCPIP").hear_first() != "too-many").then_some(()));
    drop(agent);
}

impl super::Program {
    /// What it is told first: a refusal, or its status.
    fn hear_first(&mut self) -> String {
        use std::io::Write as _;
        // Refused, its end may be closed already.
        let _ = self.from.get_mut().write_all(b"{\"verb\":\"status\"}\n");
        let answer = self.hear();
        answer["cause"].as_str().unwrap_or("served").to_owned()
    }
}

#[test]
fn a_data_set_is_obeyed_by_verb_and_by_signal_and_says_what_it_did() {
    let site = Site::new("127.66.31.6");
    let (_service, agent) = (site.serve(), site.agent("SYS1.TCPIP", &[]));
    site.attached("SYS1.TCPIP");
    let second = "127.66.31.7";
    let set = format!(
        "VIPADYNAMIC\n  VIPADEFINE 255.255.255.0 {second}\n  VIPADISTRIBUTE SYSPLEXPORTS {second} PORT 4036 DESTIP ALL\n\
         ENDVIPADYNAMIC\n"
    );
    let file = site.write("more.obey", &set).display().to_string();
    let obeyed = site.ask("SYS1.TCPIP", "obeyfile", &[&file]);
    assert!(obeyed.status.success() && text(&obeyed).contains(&format!("joined: {second}")), "{}", text(&obeyed));
    let mut program = site.program("SYS1.TCPIP");
    program.bind(second);
    let bad = site.write("bad.obey", "VIPADYNAMIC\n  NONSENSE\nENDVIPADYNAMIC\n").display().to_string();
    let obeyed = site.ask("SYS1.TCPIP", "obeyfile", &[&bad, "--json"]);
    assert_eq!(obeyed.status.code(), Some(1), "{}", text(&obeyed));
    let answer: Value = serde_json::from_slice(&obeyed.stdout).expect("JSON");
    assert_eq!(
        (&answer["diagnostics"][0]["line"], &answer["diagnostics"][0]["severity"]),
        (&json!(2), &json!("error"))
    );

    let third = "127.66.31.8";
    let text = std::fs::read_to_string(site.path("sys.profile")).expect("read");
    site.write("sys.profile", &format!("{text}{}", set.replace(second, third).replace("4036", "4037")));
    agent.signal(rustix::process::Signal::HUP);
    eventually("the profile was read again", || {
        let told = site.told("SYS1.TCPIP");
        told.into_iter().find(|event| event["event"] == "obeyed" && event["joined"] == json!([third]))
    });
    program.bind(third);
}

#[test]
fn the_verbs_take_a_port_for_a_time_and_say_it_plainly() {
    let site = Site::new("127.66.31.9");
    let (_service, _agent) = (site.serve(), site.agent("SYS1.TCPIP", &[]));
    site.attached("SYS1.TCPIP");
    let bound = site.ask("SYS1.TCPIP", "bind", &[&site.dvipa]);
    let port: u16 = String::from_utf8_lossy(&bound.stdout).trim().parse().expect("a port and nothing else");
    let mut program = site.program("SYS1.TCPIP");
    assert_eq!(in_use(&program.status()), 1, "the verb has ended, the port is kept");
    let released = site.ask("SYS1.TCPIP", "release", &[&site.dvipa, &port.to_string()]);
    assert_eq!(text(&released), format!("{port} is back\n"));
    let kept = site.ask("SYS1.TCPIP", "bind", &[&site.dvipa, "--keep", "1"]);
    assert!(kept.status.success(), "{}", text(&kept));
    eventually("its time is over", || (in_use(&program.status()) == 0).then_some(()));
    let again = site.ask("SYS1.TCPIP", "release", &[&site.dvipa, &port.to_string()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("(not-held)"), "{}", text(&again));
    let nobody = site.ask("SYS9.TCPIP", "status", &[]);
    assert_eq!(nobody.status.code(), Some(74));
    assert!(text(&nobody).contains("no agent answers there"), "{}", text(&nobody));
    let status = site.ask("SYS1.TCPIP", "status", &[]);
    assert!(text(&status).starts_with("stack SYS1.TCPIP of EZBEPORT: active, incarnation "), "{}", text(&status));
}
