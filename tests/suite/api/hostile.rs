//! Clients that mean harm, one by one: the service stays within its memory, says no, and serves the others.

use super::access::{loopback, serve};
use super::pki::{NOW, Pki};
use super::raw::{self, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RESET, frame};
use super::served::Served;
use super::{SOON, Service, eventually, introduction, joined, list, name, structure};
use crate::api::Kind;
use portplex::api::access::Access;
use portplex::api::v1::structures_client::StructuresClient;
use portplex::api::v1::{self, request};
use portplex::api::{Door, Limits, RemoteFacility, RemoteOptions};
use portplex::facility::{CallError, Connection, Facility};
use portplex::ident::{PortSet, Transport};
use portplex::structure::{Body, Request};
use prost::Message as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// What HTTP/2 says to a peer that does too much of something (ENHANCE_YOUR_CALM).
const TOO_MUCH: u32 = 11;

fn address(door: &Door) -> SocketAddr {
    match door {
        Door::Tcp(address) | Door::Tls(address) => *address,
        other => panic!("{other}"),
    }
}

fn served(dir: &std::path::Path) -> Served {
    Served::begin(Command::new(env!("CARGO_BIN_EXE_portplex")), dir, &["--init", "--listen", "127.0.0.1:0"])
}

/// Resident memory of a service that is a process.
fn resident(served: &Served) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1_024
}

/// Whether a stack can still do what stacks do.
fn serves(served: &Served, stack: &str) {
    let (connection, member) = joined(&served.remote(), introduction(stack, 1));
    connection.acquire(member, 1, 1).expect("granted");
}

#[test]
fn heads_that_come_byte_by_byte_and_half_handshakes_are_cut_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let short = Duration::from_millis(300);
    let limits = Limits { head_max: short, handshake_max: short, silence_max: short, ..Limits::default() };
    let service = serve(dir.path(), &loopback(), Access::default(), limits);
    // A head without end: a byte now and then does not help.
    for begin in [&b"GET /page HTTP/1.1\r\nx: "[..], b"PRI * HTTP/2.0\r", b"P"] {
        let mut stream = TcpStream::connect(address(&service.door)).expect("connects");
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("set");
        stream.write_all(begin).expect("written");
        eventually("a slow head is cut off", || {
            let is_preface = begin[0] == b'P';
            // One byte more each time, but the preface must not become whole.
            let written = if is_preface { Ok(()) } else { stream.write_all(b"x") };
            written.is_err() || matches!(stream.read(&mut [0; 512]), Ok(0)) || is_reset(&mut stream)
        });
    }
    assert!(service.running.connections().silent >= 2);

    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new(dir.path().join("pki"));
    let tls = Access { tls: Some(pki.service(NOW)), ..Access::default() };
    let service = serve(dir.path(), &Door::Tls("127.0.0.1:0".parse().expect("an address")), tls, limits);
    // The first bytes of a ClientHello that says it has 512.
    let mut half = TcpStream::connect(address(&service.door)).expect("connects");
    half.set_read_timeout(Some(SOON)).expect("set");
    half.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).expect("written");
    let mut silent = TcpStream::connect(address(&service.door)).expect("connects");
    silent.set_read_timeout(Some(SOON)).expect("set");
    assert!(raw::ends(&mut half) && raw::ends(&mut silent));
    eventually("both are counted", || service.running.connections().handshakes_failed == 2);
    assert_eq!(service.running.connections().open, 0);
}

fn is_reset(stream: &mut TcpStream) -> bool {
    stream.take_error().is_ok_and(|error| error.is_some())
}

#[test]
fn beyond_the_caps_nobody_gets_in_and_within_them_everybody_is_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new(dir.path().join("pki"));
    let access = Access { tls: Some(pki.service(NOW)), ..Access::default() };
    let long = Duration::from_secs(60);
    let limits = Limits { connections_per_peer_max: 5, handshake_max: long, ..Limits::default() };
    let service = serve(dir.path(), &Door::Tls("127.0.0.1:0".parse().expect("an address")), access, limits);
    let idle: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(address(&service.door)).expect("connects")).collect();
    eventually("three of them are closed", || service.running.connections().no_room_for_peer == 3);
    let is_open = |mut stream: &TcpStream| {
        stream.set_nonblocking(true).expect("set");
        matches!(stream.read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    eventually("five of them stay", || idle.iter().filter(|stream| is_open(stream)).count() == 5);
    drop(idle);
    let tls = Some(pki.client("portplex://stack/A", NOW));
    let options = RemoteOptions { tls, patience: SOON, ..RemoteOptions::default() };
    RemoteFacility::connect(&service.door, structure(), options).expect("there is room again");
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_take_nothing_from_who_works() {
    let (soft, hard) = descriptors();
    // Each needs one descriptor here and one there; some are for the tests beside this one.
    let count = usize::try_from(soft.saturating_sub(2_000)).unwrap_or(usize::MAX).min(10_000);
    if count < 10_000 {
        crate::requirements::say(&format!("{count} idle connections only: descriptors {soft} of {hard}"));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let served = served(dir.path());
    serves(&served, "BEFORE");
    let before = resident(&served);
    let to = address(&served.door);
    let idle: Vec<TcpStream> = (0..count).map(|_| raw::connect(to)).collect();
    serves(&served, "BESIDE");
    let each = resident(&served).saturating_sub(before) / count as u64;
    assert!(each < 64 << 10, "{each} bytes for each idle connection");
    drop(idle);
    serves(&served, "AFTER");
    served.signal("-TERM");
    assert_eq!(served.ended().0.code(), Some(0));
}

/// The limit of file descriptors, raised as far as may be.
fn descriptors() -> (u64, u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // What cannot be raised is said by the number below.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let of = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    (of(getrlimit(Resource::Nofile).current), of(maximum))
}

#[test]
fn messages_are_taken_up_to_their_limit_and_the_longest_legal_one_is_within() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Tcp);
    // Every other port: no set of ports is longer.
    let mut ports = PortSet::empty();
    (1..=65_535_u16).step_by(2).for_each(|port| ports.insert_range(port, port));
    let (connection, _) = joined(&service.remote(), introduction("A", 1));
    connection.set_allowable(Transport::Tcp, ports.clone()).expect("legal");
    let body = Body::SetAllowable { transport: Transport::Tcp, ports };
    let request = Request::Stack { actor: connection.actor(), number: u32::MAX, lowest: u32::MAX, body };
    let request = v1::Request::try_from(&request).expect("it can be sent");
    let longest = v1::StackCall { call: u64::MAX, what: Some(v1::stack_call::What::Submit(request)) }.encoded_len();
    let limit = Limits::default().stream_call_bytes_max;
    assert!(longest <= limit && limit - longest < 32 << 10, "{longest} of {limit}");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let status = runtime.block_on(async {
        let endpoint = tonic::transport::Endpoint::from_shared(service.door.to_string()).expect("a door");
        let mut client = StructuresClient::new(endpoint.connect().await.expect("connects"));
        let structure = "A".repeat(Limits::default().call_bytes_max + 1);
        client.query(v1::QueryRequest { structure, query: None }).await.expect_err("too long")
    });
    assert_eq!(status.code(), tonic::Code::OutOfRange, "{status}");
    // A length that is a lie reserves nothing and is answered at once.
    let mut stream = raw::connect(address(&service.door));
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &raw::call("/portplex.v1.Structures/Submit", &[]))).expect("sent");
    stream.write_all(&frame(DATA, 0, 1, &[0, 0xff, 0xff, 0xff, 0xff])).expect("sent");
    assert!(status_of(&mut stream, 1).contains("grpc-status"), "it says no before the rest comes");
}

/// What a stream is answered, header names and values as they are in the block.
fn status_of(stream: &mut TcpStream, number: u32) -> String {
    let mut told = String::new();
    while let Some(found) = raw::next(stream) {
        if found.stream == number && found.kind == HEADERS {
            told.push_str(&String::from_utf8_lossy(&found.payload));
            if found.flags & END_STREAM != 0 {
                // Values may be Huffman coded: a literal name is enough to look for.
                return if told.is_empty() { told } else { format!("grpc-status {told}") };
            }
        }
        if found.stream == number && found.kind == RESET {
            return "reset".to_owned();
        }
    }
    told
}

/// Reads until the other side ends: the code of its GOAWAY, if one came.
fn goodbye(stream: &mut TcpStream) -> Option<u32> {
    let mut told = None;
    while let Some(found) = raw::next(stream) {
        if found.kind == GOAWAY {
            told = found.payload.get(4..8).map(|code| u32::from_be_bytes(code.try_into().expect("four bytes")));
        }
    }
    told
}

#[test]
fn a_flood_of_resets_harms_nobody_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = served(dir.path());
    serves(&served, "BEFORE");
    let before = resident(&served);
    let (mut ended, mut told) = (0, Vec::new());
    for _ in 0..4 {
        let mut stream = raw::connect(address(&served.door));
        let mut reader = stream.try_clone().expect("cloned");
        let reading = std::thread::spawn(move || goodbye(&mut reader));
        let call = raw::call("/portplex.v1.Structures/Submit", &[]);
        for number in (1..100_000).step_by(2) {
            let mut bytes = frame(HEADERS, END_HEADERS, number, &call);
            bytes.extend(frame(RESET, 0, number, &8_u32.to_be_bytes()));
            if stream.write_all(&bytes).is_err() {
                ended += 1;
                break;
            }
        }
        let _ = stream.shutdown(std::net::Shutdown::Both);
        told.push(reading.join().expect("read"));
    }
    assert_eq!(ended, 4, "each was cut off");
    // The last word may be lost where much was under way; it is this one.
    assert!(told.contains(&Some(TOO_MUCH)), "{told:?}");
    assert!(told.iter().all(|code| code.is_none_or(|code| code == TOO_MUCH)), "{told:?}");
    let grown = resident(&served).saturating_sub(before);
    assert!(grown < 64 * MIB, "{} MiB after 200,000 resets ({ended} connections were ended)", grown / MIB);
    serves(&served, "AFTER");
    served.signal("-TERM");
    served.ended();
}

#[test]
fn headers_without_end_are_cut_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = served(dir.path());
    let before = resident(&served);
    let mut stream = raw::connect(address(&served.door));
    stream.write_all(&frame(HEADERS, 0, 1, &raw::call("/portplex.v1.Structures/Submit", &[]))).expect("sent");
    let piece = raw::block(&[("x", "y"); 1_000]);
    let mut sent = 0_u64;
    while stream.write_all(&frame(CONTINUATION, 0, 1, &piece)).is_ok() {
        sent += piece.len() as u64;
        assert!(sent < 256 * MIB, "it takes headers for ever");
    }
    // Its last word may be lost with what it did not read any more.
    let told = goodbye(&mut stream);
    assert!([None, Some(TOO_MUCH)].contains(&told), "{told:?}");
    let grown = resident(&served).saturating_sub(before);
    assert!(grown < 32 * MIB, "{} MiB", grown / MIB);
    serves(&served, "AFTER");
    served.signal("-TERM");
    served.ended();
}

#[test]
fn a_flood_of_empty_data_harms_nobody_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = served(dir.path());
    serves(&served, "BEFORE");
    let before = resident(&served);
    let mut stream = raw::connect(address(&served.door));
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &raw::call("/portplex.v1.Structures/Submit", &[]))).expect("sent");
    let many = frame(DATA, 0, 1, &[]).repeat(1_000);
    let mut sent = 0;
    while sent < 2_000 && stream.write_all(&many).is_ok() {
        sent += 1;
    }
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    assert!(sent < 2_000 && raw::ends(&mut stream), "it is cut off, after {} frames", sent * 1_000);
    serves(&served, "BESIDE");
    let grown = resident(&served).saturating_sub(before);
    assert!(grown < 64 * MIB, "{} MiB after {} empty frames", grown / MIB, sent * 1_000);
    served.signal("-TERM");
    served.ended();
}

#[test]
fn what_is_compressed_is_not_unpacked() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Tcp);
    let mut stream = raw::connect(address(&service.door));
    let headers = raw::call("/portplex.v1.Structures/ListStructures", &[("grpc-encoding", "gzip")]);
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &headers)).expect("sent");
    stream.write_all(&frame(DATA, END_STREAM, 1, &[1, 0, 0, 0, 4, 0x1f, 0x8b, 8, 0])).expect("sent");
    let mut kinds = Vec::new();
    while let Some(found) = raw::next(&mut stream) {
        if found.stream == 1 {
            kinds.push(found.kind);
            if found.flags & END_STREAM != 0 {
                break;
            }
        }
    }
    assert_eq!(kinds, [HEADERS], "refused without an answer in it");
    assert!(service.remote().status().is_ok());
}

#[test]
fn a_storm_of_calls_is_told_to_wait_and_nobody_else_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { in_flight_max: 64, ..Limits::default() };
    let service = Service::limited(dir.path(), Kind::Tcp, limits);
    let storm = service.remote();
    let (connection, member) = joined(&service.remote(), introduction("CALM", 1));
    let (mut refused, mut answered) = (0, 0);
    for port in 0..50 {
        let tickets: Vec<_> = (0..500).map(|_| storm.query(portplex::facility::Query::Status)).collect();
        connection.claim(member, 2_000 + port).expect("the calm one is served");
        for ticket in tickets {
            match ticket.wait() {
                Ok(_) => answered += 1,
                Err(error) => {
                    assert_eq!(error, CallError::Refused(portplex::structure::Refusal::Overloaded));
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 0 && answered > 0, "{refused} refused, {answered} answered");
}

#[test]
fn a_single_call_that_is_given_up_is_done_all_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Tcp);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let target = v1::Target { dvipa: "10.1.1.1".to_owned(), transport: v1::Transport::Tcp as i32 };
    let define = v1::Request { what: Some(request::What::Define(target)) };
    let sent = v1::SubmitRequest { structure: structure().to_string(), request: Some(define) }.encode_to_vec();
    drop(runtime);
    // The call goes out, and with it the reset that gives it up.
    let mut stream = raw::connect(address(&service.door));
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &raw::call("/portplex.v1.Structures/Submit", &[]));
    let length = u32::try_from(sent.len()).expect("short").to_be_bytes();
    bytes.extend(frame(DATA, END_STREAM, 1, &[&[0][..], &length, &sent].concat()));
    stream.write_all(&bytes).expect("sent");
    // Given up once it was taken: a call that is reset before may never have been seen.
    eventually("it was done", || service.facility().owner(list(), 1).is_ok());
    let _ = stream.write_all(&frame(RESET, 0, 1, &8_u32.to_be_bytes()));
    drop(stream);
    assert!(service.remote().define(list()).is_ok(), "and can be asked for again");
}

#[test]
fn without_file_descriptors_it_waits_and_does_not_spin() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_portplex")]);
    let served = Served::begin(command, dir.path(), &["--init", "--listen", "127.0.0.1:0"]);
    let many: Vec<TcpStream> = (0..200).map(|_| raw::connect(address(&served.door))).collect();
    let open = || std::fs::read_dir(format!("/proc/{}/fd", served.child.id())).expect("it runs").count();
    eventually("all its descriptors are in use", || open() >= 63);
    let before = ticks(&served);
    std::thread::sleep(Duration::from_secs(2));
    let used = ticks(&served) - before;
    assert!(used < 100, "{used} of 200 ticks of a processor in 2 s");
    drop(many);
    // A store that could open no file meanwhile takes it for a full one, and tries again every second.
    let remote = served.remote();
    let facility = || Arc::clone(&remote) as Arc<dyn Facility>;
    eventually("it serves again", || Connection::connect(facility(), introduction("AFTER", 1)).is_ok());
    served.signal("-TERM");
    assert_eq!(served.ended().0.code(), Some(0));
}

/// Processor time of a service that is a process, in hundredths of a second.
fn ticks(served: &Served) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", served.child.id())).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum()
}

#[test]
fn who_takes_nothing_of_what_was_asked_for_is_cut_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { write_max: Duration::from_millis(200), ..Limits::default() };
    let options = portplex::facility::Options { create: true, structure: Some(structure()), ..Default::default() };
    let facility = portplex::facility::LocalFacility::open(dir.path().join("store"), &options).expect("opens");
    let facility = std::sync::Arc::new(facility);
    let big = axum::Router::new().route("/big", axum::routing::get(|| async { vec![0_u8; 64 << 20] }));
    let server = portplex::api::Server::new(limits).host_local(structure(), &facility).http(big);
    let running = server.start(&[loopback()]).expect("serves");
    let mut stream = TcpStream::connect(address(&running.doors()[0])).expect("connects");
    stream.write_all(b"GET /big HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").expect("sent");
    eventually("it is cut off", || running.connections().slow_readers == 1 && running.connections().open == 0);
}

#[test]
fn an_aged_connection_ends_in_order_and_its_stack_goes_on_without_noticing() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { connection_age_max: Duration::from_millis(300), ..Limits::default() };
    let service = serve(dir.path(), &loopback(), Access::default(), limits);
    let options = RemoteOptions { patience: SOON, ..RemoteOptions::default() };
    let remote = RemoteFacility::connect(&service.door, structure(), options).expect("connects");
    let remote = std::sync::Arc::new(remote);
    let (connection, member) = joined(&remote, introduction("A", 1));
    let mut granted = 0;
    eventually("it aged three times", || {
        granted += u32::from(connection.acquire(member, 1, 1).is_ok());
        service.running.connections().aged >= 3
    });
    assert!(granted > 0);
    eventually("what was unanswered is settled by its number", || {
        let open: Vec<u32> = connection.unanswered().into_iter().map(|(number, _)| number).collect();
        open.iter().all(|number| connection.resend(*number).is_some_and(|pending| pending.wait().is_ok()))
    });
    let view = service.facility.connector(&name("A")).expect("answered").expect("there");
    assert_eq!(view.actor.incarnation, connection.actor().incarnation, "the same life all the time");
    assert!(u64::from(view.held_ports) >= u64::from(granted) * 64);
}

#[test]
fn bytes_that_are_no_message_are_answered_and_nothing_else_happens() {
    let seed = crate::requirements::seed("bytes_that_are_no_message");
    let mut state = seed;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Tcp);
    let before = service.facility().status().expect("answered").records;
    let mut stream = raw::connect(address(&service.door));
    let paths =
        ["Structures/Submit", "Structures/Query", "Structures/Watch", "Structures/ListStructures", "Stacks/Calls"];
    for turn in 0..500_u32 {
        let number = 1 + turn * 2;
        let path = format!("/portplex.v1.{}", paths[random() as usize % paths.len()]);
        let length = random() % 200;
        let body: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        stream.write_all(&frame(HEADERS, END_HEADERS, number, &raw::call(&path, &[]))).expect("sent");
        let message = [&[0][..], &length.to_be_bytes(), &body].concat();
        stream.write_all(&frame(DATA, END_STREAM, number, &message)).expect("sent");
        assert!(!status_of(&mut stream, number).is_empty(), "{path}: {body:?}");
    }
    assert_eq!(service.facility().status().expect("answered").records, before, "nothing came of it");
}
