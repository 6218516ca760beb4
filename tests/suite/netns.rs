//! Two stacks in two network namespaces, the facility in a third, mutual TLS between them: links are cut,
//! slowed down and healed while programs in both namespaces take and give back ports with real sockets.
//! A checker of its own compares by time what both had.

mod lab;
mod program;

use super::agent::{Process, eventually, portplex, text};
use super::requirements::{self, Requirement};
use lab::{Lab, PORT_OF_RELAY, PORT_OF_SERVICE};
use portplex::api::{RemoteFacility, RemoteOptions};
use portplex::facility::Facility;
use portplex::ident::StructureName;
use portplex::structure::Item;
use program::{Hold, Program};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

const DVIPA: &str = "10.77.1.1";
const QUARANTINE_MS: u64 = 1_000;
const PROMISE_MS: &str = "3000";
const STACKS: [&str; 2] = ["SYS1.TCPIP", "SYS2.TCPIP"];

/// The flags of the service, and of a stack with the certificate of `holder`; `None`: with none.
struct Certificates {
    dir: std::path::PathBuf,
}

impl Certificates {
    fn make(dir: &Path) -> Self {
        let dir = dir.join("pki");
        std::fs::create_dir_all(&dir).expect("made");
        let cert = |arguments: &[&str]| {
            let output = portplex(&["cert"]).args(arguments).arg("--dir").arg(&dir).output().expect("runs");
            assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        };
        cert(&["ca"]);
        cert(&["service", "facility", lab::ADDRESS_OF_SERVICE]);
        STACKS.iter().for_each(|stack| cert(&["stack", stack]));
        Self { dir }
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn service(&self) -> Vec<String> {
        let files = [self.file("facility.pem"), self.file("facility.key"), self.file("ca.pem")];
        ["--tls-cert", "--tls-key", "--tls-client-ca"]
            .into_iter()
            .map(str::to_owned)
            .zip(files)
            .flat_map(<[_; 2]>::from)
            .collect()
    }

    fn stack(&self, holder: &str) -> Vec<String> {
        let files = [self.file("ca.pem"), self.file(&format!("{holder}.pem")), self.file(&format!("{holder}.key"))];
        ["--tls-ca", "--tls-cert", "--tls-key"]
            .into_iter()
            .map(str::to_owned)
            .zip(files)
            .flat_map(<[_; 2]>::from)
            .collect()
    }
}

fn serve(lab: &Lab, certificates: &Certificates) -> Process {
    let mut command = lab.within(0, env!("CARGO_BIN_EXE_portplex"));
    command.args(["serve", "--json", "--init", "--quarantine-ms", &QUARANTINE_MS.to_string(), "--listen"]);
    command.arg(format!("{}:{PORT_OF_SERVICE}", lab::ADDRESS_OF_SERVICE)).args(certificates.service());
    command.arg("--data").arg(lab.path("store")).arg("--uds").arg(lab.path("service.sock"));
    let mut child = command.stdout(Stdio::piped()).stderr(lab.file("service.err")).spawn().expect("starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("read");
    let said = std::fs::read_to_string(lab.path("service.err")).unwrap_or_default();
    assert!(line.contains("doors"), "{line}{said}");
    Process(child)
}

fn agent_command(lab: &Lab, place: usize, name: &str, tls: &[String]) -> Command {
    let profile = lab.path("sys.profile");
    let text = format!(
        "TCPCONFIG TIMEWAITINTERVAL 0 EPHEMERALPORTS 20000 23999\nVIPADYNAMIC\n  VIPADEFINE 255.255.255.0 {DVIPA}\n  \
         VIPADISTRIBUTE SYSPLEXPORTS {DVIPA} PORT 4035 DESTIP ALL\nENDVIPADYNAMIC\n"
    );
    std::fs::write(&profile, text).expect("written");
    let mut command = lab.within(place, env!("CARGO_BIN_EXE_portplex"));
    command.args(["stack", "run", "--json", "--promise-ms", PROMISE_MS, "--idle-ms", "300", "--name", name]);
    // The first stack's link can be slow.
    let port = if place == 1 { PORT_OF_RELAY } else { PORT_OF_SERVICE };
    command.arg("--facility").arg(format!("https://{}:{port}", lab::ADDRESS_OF_SERVICE)).args(tls);
    command.arg("--profile").arg(profile).arg("--state").arg(lab.path("state"));
    command.arg("--socket").arg(lab.path(&format!("{name}.sock"))).stdin(Stdio::null());
    command
}

fn status(lab: &Lab, name: &str) -> Option<Value> {
    let mut stream = UnixStream::connect(lab.path(&format!("{name}.sock"))).ok()?;
    stream.write_all(b"{\"verb\":\"status\"}\n").ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

fn is_in_state(lab: &Lab, name: &str, state: &str) {
    eventually(&format!("{name} is {state}"), || status(lab, name).filter(|status| status["state"] == state).map(drop));
}

#[test]
fn two_stacks_over_mutual_tls_never_have_one_port_whatever_happens_to_their_links() {
    if !requirements::has(Requirement::Netns, "stacks in network namespaces") {
        return;
    }
    let lab = Lab::new();
    STACKS.iter().enumerate().for_each(|(place, _)| lab.give_address(place + 1, DVIPA));
    let certificates = Certificates::make(lab.dir());
    let _service = serve(&lab, &certificates);
    let _relay = lab.relay();

    let mut agents = Vec::new();
    for (place, name) in STACKS.into_iter().enumerate() {
        let mut command = agent_command(&lab, place + 1, name, &certificates.stack(name));
        let child = command.stdout(lab.file(&format!("{name}.out"))).stderr(lab.file(&format!("{name}.err"))).spawn();
        agents.push(Process(child.expect("starts")));
        is_in_state(&lab, name, "active");
    }
    refused_by_name(&lab, &certificates);

    let programs: Vec<Program> =
        STACKS.iter().enumerate().map(|(place, name)| Program::start(&lab, place + 1, name, DVIPA)).collect();
    let both_go_on = |what: &str| programs.iter().for_each(|program| program.goes_on(what));
    both_go_on("at the beginning");

    // Cut: the stack that is cut off stops at its deadline, the other one goes on.
    for (place, name) in STACKS.into_iter().enumerate() {
        lab.cut(place + 1);
        is_in_state(&lab, name, "expired");
        programs[1 - place].goes_on("while the other one is cut off");
        lab.heal(place + 1);
        is_in_state(&lab, name, "active");
        both_go_on("after the link was healed");
    }

    // Slow and uneven: answers come late, and renewals as well.
    lab.delay("150 350");
    both_go_on("on a slow link");
    both_go_on("on a link that stays slow");
    lab.delay("0 0");
    // Flapping: both links come and go, faster than anybody's patience.
    for _ in 0..20 {
        for place in [1, 2] {
            lab.cut(place);
            std::thread::sleep(std::time::Duration::from_millis(60));
            lab.heal(place);
            std::thread::sleep(std::time::Duration::from_millis(60));
        }
    }
    STACKS.into_iter().for_each(|name| is_in_state(&lab, name, "active"));
    both_go_on("at the end");

    let holds: Vec<Vec<Hold>> = programs.into_iter().map(Program::end).collect();
    check(&holds);
    same_view(&lab);
    for agent in &mut agents {
        assert_eq!(agent.end().code(), Some(0));
    }
}

/// A stack with another one's certificate, and one without any, is told so by name.
fn refused_by_name(lab: &Lab, certificates: &Certificates) {
    let output = agent_command(lab, 1, "SYS3.TCPIP", &certificates.stack("SYS1.TCPIP")).output().expect("runs");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("SYS3.TCPIP") && said.contains("SYS1.TCPIP"), "whose, and for whom: {said}");
    let output = agent_command(lab, 1, "SYS4.TCPIP", &[]).output().expect("runs");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("certificate"), "it has none: {said}");

    // One from a CA that the service does not know.
    let stranger = Certificates::make(&lab.path("stranger"));
    let mut tls = stranger.stack("SYS1.TCPIP");
    tls[1] = certificates.file("ca.pem");
    let output = agent_command(lab, 1, "SYS5.TCPIP", &tls).output().expect("runs");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("does not know the CA of this client's certificate"), "{said}");
}

/// No port in two hands at once, and none within the quarantine of the other stack.
fn check(holds: &[Vec<Hold>]) {
    let mut by_port: BTreeMap<u16, Vec<(u64, u64, usize)>> = BTreeMap::new();
    for (stack, holds) in holds.iter().enumerate() {
        for Hold { port, from_ns, until_ns } in holds {
            by_port.entry(*port).or_default().push((*from_ns, *until_ns, stack));
        }
    }
    let mut moved = 0;
    for (port, mut times) in by_port {
        times.sort_unstable();
        for pair in times.windows(2) {
            let ((_, until_ns, first), (from_ns, _, second)) = (pair[0], pair[1]);
            assert!(until_ns <= from_ns, "port {port}: stacks {first} and {second} had it at once: {pair:?}");
            if first != second {
                moved += 1;
                let apart_ms = (from_ns - until_ns) / 1_000_000;
                assert!(apart_ms + 1 >= QUARANTINE_MS, "port {port}: {apart_ms} ms after stack {first} had it");
            }
        }
    }
    let counts: Vec<usize> = holds.iter().map(Vec::len).collect();
    requirements::say(&format!("network namespaces: {counts:?} holds, {moved} times a port went to the other stack"));
    assert!(moved > 0, "no port ever went from one stack to the other: {counts:?} holds");
}

/// What the facility has as a stack's is what the stack says, grant by grant.
fn same_view(lab: &Lab) {
    let door = format!("unix:{}", lab.path("service.sock").display()).parse().expect("a door");
    let facility =
        RemoteFacility::connect(&door, StructureName::default(), RemoteOptions::default()).expect("connects");
    eventually("both views are the same", || {
        let items = facility.list().expect("read");
        let mut connectors = BTreeMap::new();
        let mut members = BTreeMap::new();
        let mut grants: BTreeMap<String, Vec<Value>> =
            STACKS.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
        for item in items {
            match item {
                Item::Connector { connector, name, .. } => {
                    connectors.insert(connector, name.to_string());
                }
                Item::Member { member, connector, .. } => {
                    members.insert(member, connectors.get(&connector).cloned().expect("known before"));
                }
                Item::Grant { lsn, member, group, mask, .. } => {
                    let of = grants.get_mut(&members[&member]).expect("one of the two");
                    of.push(json!([group.number(), mask.to_string(), lsn.0]));
                }
                _ => {}
            }
        }
        let is_same = STACKS.iter().all(|name| {
            let status = status(lab, name).expect("answered");
            let groups = status["lists"][0]["groups"].as_array().expect("groups").iter();
            let mut own: Vec<Value> = groups.map(|g| json!([g["group"], g["mask"], g["lsn"]])).collect();
            let mut of = grants[*name].clone();
            own.sort_by_key(Value::to_string);
            of.sort_by_key(Value::to_string);
            own == of && status["releases_outstanding"] == 0
        });
        is_same.then_some(())
    });
}
