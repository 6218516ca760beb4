//! Too much, malformed, or beyond this machine: named, bounded, and nobody else is the worse for it.

use super::{Kind, SOON, Service, introduction, joined, structure};
use portplex::api::v1::stack_answer::What as Told;
use portplex::api::v1::stack_call::What;
use portplex::api::v1::stacks_client::StacksClient;
use portplex::api::v1::structures_client::StructuresClient;
use portplex::api::v1::{self, call_error};
use portplex::api::{Door, Drained, Failure, Limits, RemoteFacility, RemoteOptions, ServeError, Server};
use portplex::facility::{CallError, Facility};
use portplex::structure::Refusal;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt as _;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn channel(door: &Door) -> Channel {
    Endpoint::from_shared(door.to_string()).expect("a door").connect().await.expect("connects")
}

fn call(call: u64, what: What) -> v1::StackCall {
    v1::StackCall { call, what: Some(what) }
}

fn hello() -> v1::StackCall {
    call(0, What::Hello(v1::Hello { structure: structure().to_string(), release: String::new() }))
}

/// Sends these calls on one stream, then no more; what came back.
async fn converse(door: &Door, calls: Vec<v1::StackCall>) -> Result<Vec<v1::StackAnswer>, Status> {
    let mut client = StacksClient::new(channel(door).await);
    let answers = client.calls(tokio_stream::iter(calls)).await?.into_inner();
    answers.collect::<Result<Vec<_>, Status>>().await
}

fn status_query() -> What {
    What::Query(v1::Query { what: Some(v1::query::What::Status(v1::Nothing {})) })
}

#[test]
fn more_calls_than_the_stream_takes_are_refused_at_once_with_when_to_try_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { in_flight_max: 4, ..Limits::default() };
    let service = Service::limited(dir.path(), Kind::Unix, limits);
    let calls: Vec<_> = std::iter::once(hello()).chain((1..=200).map(|number| call(number, status_query()))).collect();
    let answers = runtime().block_on(converse(&service.door, calls)).expect("answered");
    assert_eq!(answers.len(), 201, "each call has one answer");
    assert!(matches!(&answers[0].what, Some(Told::Welcome(welcome)) if welcome.in_flight_max == 4));
    let mut refused = 0;
    for answer in &answers[1..] {
        match &answer.what {
            Some(Told::Page(_)) => {}
            Some(Told::Error(error)) => {
                assert!(error.retry_after_ms > 0);
                let Some(call_error::Why::Refused(refusal)) = &error.why else { panic!("{error:?}") };
                assert_eq!(refusal.code(), v1::RefusalCode::Overloaded);
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 0, "200 calls at once, 4 at a time");
    // A client keeps to what it was told, and says so itself.
    let remote = service.remote();
    let tickets: Vec<_> = (0..50).map(|_| remote.query(portplex::facility::Query::Status)).collect();
    let overloaded = CallError::Refused(Refusal::Overloaded);
    assert!(tickets.into_iter().map(|ticket| ticket.wait()).any(|page| page == Err(overloaded.clone())));
}

#[test]
fn what_is_malformed_is_named_and_the_stream_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Tcp);
    let connect = v1::ConnectCall { introduction: None, presence: 0 };
    let join = v1::StackRequest {
        actor: Some(v1::Actor::default()),
        body: Some(v1::stack_request::Body::Join(v1::Target { dvipa: "10.1.1.1".to_owned(), transport: 77 })),
        ..v1::StackRequest::default()
    };
    let join = v1::Request { what: Some(v1::request::What::Stack(join)) };
    let calls = vec![
        hello(),
        v1::StackCall { call: 1, what: None },
        call(2, What::Connect(connect)),
        call(3, What::Submit(join)),
        call(4, What::Challenge(v1::ChallengeCall { name: "not a name".to_owned() })),
        call(5, status_query()),
    ];
    let answers = runtime().block_on(converse(&service.door, calls)).expect("answered");
    let fields: Vec<String> = answers
        .iter()
        .filter_map(|answer| match &answer.what {
            Some(Told::Error(v1::CallError { why: Some(call_error::Why::Malformed(malformed)), .. })) => {
                Some(format!("{} {}", answer.call, malformed.field))
            }
            _ => None,
        })
        .collect();
    assert_eq!(fields, ["1 call.what", "2 connect.introduction", "3 transport", "4 challenge.name"]);
    assert!(answers.iter().any(|answer| answer.call == 5 && matches!(answer.what, Some(Told::Page(_)))));

    let status = runtime().block_on(converse(&service.door, vec![call(1, status_query())])).expect_err("no hello");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[test]
fn a_message_beyond_the_limit_ends_its_own_stream_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Unix);
    let remote = service.remote();
    let (connection, member) = joined(&remote, introduction("A", 1));
    let name = "A".repeat(portplex::api::MESSAGE_BYTES_MAX + 1);
    let calls = vec![hello(), call(1, What::Challenge(v1::ChallengeCall { name }))];
    let status = runtime().block_on(converse(&service.door, calls)).expect_err("too long");
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    connection.acquire(member, 1, 1).expect("the other one goes on");
}

#[test]
fn a_single_call_is_refused_with_a_code_and_the_typed_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Tcp);
    runtime().block_on(async {
        let mut client = StructuresClient::new(channel(&service.door).await);
        let hosted = client.list_structures(v1::ListStructuresRequest {}).await.expect("answered").into_inner();
        assert_eq!(hosted.structures, [structure().to_string()]);
        let target = v1::Target { dvipa: "10.9.9.9".to_owned(), transport: v1::Transport::Tcp as i32 };
        let delete = |structure: &str| v1::SubmitRequest {
            structure: structure.to_owned(),
            request: Some(v1::Request { what: Some(v1::request::What::Delete(target.clone())) }),
        };
        let status = client.submit(delete("EZBEPORT")).await.expect_err("no such list");
        assert_eq!(status.code(), Code::NotFound);
        let told = format!("{:?}", String::from_utf8_lossy(status.details()));
        assert!(told.contains("portplex.v1.CallError") && told.contains("10.9.9.9"), "{told}");
        let status = client.submit(delete("EZBEPORT11")).await.expect_err("not hosted");
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains("structure EZBEPORT11 is not hosted"), "{status}");
        let define = v1::Request { what: Some(v1::request::What::Define(target)) };
        let define = v1::SubmitRequest { structure: structure().to_string(), request: Some(define) };
        client.submit(define.clone()).await.expect("defined");
        client.submit(define).await.expect("repeated without harm");
    });
    assert_eq!(Failure::from(CallError::Gone).to_string(), CallError::Gone.to_string());
}

#[test]
fn streams_and_connections_have_a_limit_and_room_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { streams_max: 2, ..Limits::default() };
    let service = Service::limited(dir.path(), Kind::Unix, limits);
    let (one, _two) = (service.remote(), service.remote());
    let options = RemoteOptions { patience: Duration::from_secs(3), ..RemoteOptions::default() };
    let error = RemoteFacility::connect(&service.door, structure(), options).expect_err("no room");
    assert!(error.to_string().contains("too many requests at once"), "{error}");
    drop(one);
    let options = RemoteOptions { patience: SOON, ..RemoteOptions::default() };
    RemoteFacility::connect(&service.door, structure(), options).expect("there is room again");

    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { connections_max: 1, ..Limits::default() };
    let service = Service::limited(dir.path(), Kind::Tcp, limits);
    let one = service.remote();
    let options = RemoteOptions { patience: Duration::from_millis(300), ..RemoteOptions::default() };
    assert!(RemoteFacility::connect(&service.door, structure(), options).is_err());
    assert!(one.status().is_ok());
}

#[test]
fn who_says_nothing_takes_no_room_from_those_who_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { connections_max: 3, silence_max: Duration::from_millis(100), ..Limits::default() };
    let service = Service::limited(dir.path(), Kind::Tcp, limits);
    let Door::Tcp(address) = &service.door else { panic!("TCP") };
    let mut silent: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).expect("connects")).collect();
    // Some of the preface is not all of it.
    silent[0].write_all(b"PRI * HTTP/2").expect("written");
    for stream in &mut silent {
        stream.set_read_timeout(Some(SOON)).expect("set");
        let mut told = Vec::new();
        // Closed by the other side: in order, or with a reset.
        let ended = stream.read_to_end(&mut told);
        assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{ended:?}");
    }
    let remote = service.remote();
    std::thread::sleep(Duration::from_millis(300));
    assert!(remote.status().is_ok(), "who has spoken may be silent");
    assert!(remote.is_connected());
}

#[test]
fn a_peer_that_reads_nothing_keeps_neither_the_others_nor_the_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut service = Service::start(dir.path(), Kind::Unix);
    let paused = runtime();
    let answers = paused.block_on(async {
        let calls = std::iter::once(hello()).chain((1..=20_000).map(|number| call(number, status_query())));
        let calls = tokio_stream::iter(calls.collect::<Vec<_>>()).chain(tokio_stream::pending());
        let answers = StacksClient::new(channel(&service.door).await).calls(calls).await.expect("it begins");
        tokio::time::sleep(Duration::from_millis(200)).await;
        answers
    });
    // From here on nothing of it runs: it reads no answer, and no sign of life comes from it.
    let (connection, member) = joined(&service.remote(), introduction("A", 1));
    connection.acquire(member, 1, 1).expect("the others go on");
    let begun = std::time::Instant::now();
    let running = service.running.take().expect("running");
    assert_eq!(running.stop(Duration::from_millis(300)), Drained::Cut);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(service.facility().status().expect("it goes on").grants, 1);
    drop((answers, paused));
}

#[test]
fn tcp_beyond_loopback_is_refused_and_a_socket_in_use_is_not_taken() {
    let beyond = Door::Tcp("0.0.0.0:0".parse().expect("an address"));
    let error = Server::new(Limits::default()).start(&[beyond]).expect_err("refused");
    assert!(matches!(error, ServeError::NotLoopback { .. }), "{error}");
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Unix);
    let error = Server::new(Limits::default()).start(std::slice::from_ref(&service.door)).expect_err("in use");
    assert!(matches!(error, ServeError::SocketInUse { .. }), "{error}");
    assert!(service.remote().status().is_ok());
}

#[test]
fn limits_can_change_while_it_serves_and_count_for_who_comes_next() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::limited(dir.path(), Kind::Tcp, Limits::default());
    let running = service.running.as_ref().expect("it serves");
    let standing = service.remote();
    let ask = |bytes: usize| {
        runtime().block_on(async {
            let mut client = StructuresClient::new(channel(&service.door).await);
            client
                .query(v1::QueryRequest { structure: "A".repeat(bytes), query: None })
                .await
                .expect_err("none is hosted")
                .code()
        })
    };
    let welcome = || match &runtime().block_on(converse(&service.door, vec![hello()])).expect("answered")[0].what {
        Some(Told::Welcome(welcome)) => (welcome.in_flight_max, welcome.lease_ms),
        other => panic!("{other:?}"),
    };
    assert_eq!(welcome().0, Limits::default().in_flight_max);
    assert_ne!(ask(5_000), Code::OutOfRange);
    let limits =
        Limits { in_flight_max: 7, call_bytes_max: 4_096, watchers_max: 0, streams_max: 2, ..Limits::default() };
    running.limit(limits, Duration::from_secs(9));
    assert_eq!(welcome(), (7, 9_000));
    assert_eq!(ask(5_000), Code::OutOfRange);
    let watched = runtime().block_on(async {
        let mut client = StructuresClient::new(channel(&service.door).await);
        client.watch(v1::WatchRequest { structure: structure().to_string(), after: None }).await.err()
    });
    assert_eq!(watched.expect("no room for a watcher").code(), Code::ResourceExhausted);
    running.limit(Limits { connections_max: 1, ..limits }, Duration::ZERO);
    let options = RemoteOptions { patience: Duration::from_millis(300), ..RemoteOptions::default() };
    assert!(RemoteFacility::connect(&service.door, structure(), options).is_err(), "one is there already");
    assert!(standing.status().is_ok() && standing.is_connected(), "who is in stays in");
    running.limit(Limits::default(), Duration::ZERO);
    assert_ne!(ask(5_000), Code::OutOfRange);
    assert_eq!(welcome(), (Limits::default().in_flight_max, 0));
    service.remote().status().expect("there is room again");
}
