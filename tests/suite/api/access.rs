//! Who may do what: every call by every role, at every kind of door.

use super::pki::log;
use super::{SOON, eventually, introduction, joined, list, name, structure};
use portplex::api::access::{Access, Act, How, Peer, Role, UidMap};
use portplex::api::v1::stack_answer::What as Told;
use portplex::api::v1::stack_call::What;
use portplex::api::v1::stacks_client::StacksClient;
use portplex::api::v1::structures_client::StructuresClient;
use portplex::api::v1::{self, request};
use portplex::api::{Door, Limits, RemoteError, RemoteFacility, RemoteOptions, Running, Server};
use portplex::facility::{CallError, Connection, Facility, LocalFacility, Options};
use portplex::structure::Refusal;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

pub(super) struct Guarded {
    pub(super) running: Running,
    pub(super) facility: Arc<LocalFacility>,
    pub(super) door: Door,
}

/// A store and a service with these rules.
pub(super) fn serve(dir: &Path, door: &Door, access: Access, limits: Limits) -> Guarded {
    let options = Options { create: true, seed: Some(7), structure: Some(structure()), ..Options::default() };
    let facility = Arc::new(LocalFacility::open(dir.join("store"), &options).expect("opens"));
    let page =
        axum::Router::new().route("/page", axum::routing::get(|| async { "a page" }).post(|| async { "changed" }));
    let server = Server::new(limits).access(access).host_local(structure(), &facility).http(page);
    let running = server.start(std::slice::from_ref(door)).expect("serves");
    let door = running.doors()[0].clone();
    Guarded { running, facility, door }
}

pub(super) fn loopback() -> Door {
    Door::Tcp("127.0.0.1:0".parse().expect("an address"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn channel(door: &Door) -> Channel {
    Endpoint::from_shared(door.to_string()).expect("a door").connect().await.expect("connects")
}

fn target() -> v1::Target {
    v1::Target { dvipa: "10.1.1.1".to_owned(), transport: v1::Transport::Tcp as i32 }
}

/// One request of each kind that an operator has; none of them with an effect.
fn operators() -> Vec<(Act, request::What)> {
    let (name, by) = ("NOBODY".to_owned(), "ALICE".to_owned());
    vec![
        (Act::Define, request::What::Define(target())),
        (Act::Delete, request::What::Delete(target())),
        (
            Act::SetPolicy,
            request::What::SetPolicy(v1::SetPolicy { target: Some(target()), policy: Some(v1::Policy::default()) }),
        ),
        (Act::SetRange, request::What::SetRange(v1::SetRange { transport: v1::Transport::Udp as i32, range: None })),
        (
            Act::MarkFailed,
            request::What::MarkFailed(v1::MarkFailed { name: name.clone(), incarnation: 1, by: by.clone() }),
        ),
        (
            Act::CleanUp,
            request::What::CleanUp(v1::CleanUp { name, incarnation: 1, by: by.clone(), boot_is_dead: true }),
        ),
        (Act::ResumeGrants, request::What::ResumeGrants(v1::ResumeGrants { by, adopt_reported: false })),
    ]
}

fn submitted(what: request::What) -> v1::SubmitRequest {
    v1::SubmitRequest { structure: structure().to_string(), request: Some(v1::Request { what: Some(what) }) }
}

fn call(call: u64, what: What) -> v1::StackCall {
    v1::StackCall { call, what: Some(what) }
}

fn hello() -> v1::StackCall {
    call(0, What::Hello(v1::Hello { structure: structure().to_string(), release: String::new() }))
}

/// What one call on a stream of its own comes to.
async fn on_stream(door: &Door, what: What) -> Result<Told, Status> {
    let mut client = StacksClient::new(channel(door).await);
    let mut answers = client.calls(tokio_stream::iter([hello(), call(1, what)])).await?.into_inner();
    answers.message().await?.expect("welcome");
    Ok(answers.message().await?.expect("an answer").what.expect("what"))
}

/// Everything that a stack says on its stream, all for the stack A.
fn stacks() -> Vec<What> {
    let introduction: v1::Introduction = v1::Introduction {
        name: "A".to_owned(),
        identity: Some(v1::Identity { machine: vec![1; 16], boot: vec![1; 16], process: 1 }),
        promise_ms: 0,
        enforced: false,
    };
    let standing = Some(v1::Standing { count: 0, digest: vec![0; 16] });
    let attach = v1::AttachCall { introduction: Some(introduction.clone()), standing, ..v1::AttachCall::default() };
    let resume =
        v1::ResumeCall { name: "A".to_owned(), incarnation: 1, identity: introduction.identity.clone(), presence: 1 };
    let join = v1::StackRequest {
        actor: Some(v1::Actor { slot: 0, incarnation: 1 }),
        number: 1,
        lowest: 1,
        body: Some(v1::stack_request::Body::Join(target())),
    };
    vec![
        What::Challenge(v1::ChallengeCall { name: "A".to_owned() }),
        What::Report(v1::ReportCall { name: "A".to_owned(), challenge: 1, grants: Vec::new() }),
        What::Attach(attach),
        What::Connect(v1::ConnectCall { introduction: Some(introduction), presence: 1 }),
        What::Resume(resume),
        What::Renew(v1::RenewCall { actor: Some(v1::Actor { slot: 0, incarnation: 1 }), number: 1 }),
        What::Submit(v1::Request { what: Some(request::What::Stack(join)) }),
    ]
}

/// The table of docs/operations.md, by hand: stack, operator, read-only.
const TABLE: [(Act, [bool; 3]); 14] = [
    (Act::Probe, [true, true, true]),
    (Act::Read, [true, true, true]),
    (Act::Watch, [false, true, true]),
    (Act::ActAsStack, [true, true, false]),
    (Act::Define, [false, true, false]),
    (Act::Delete, [false, true, false]),
    (Act::SetPolicy, [false, true, false]),
    (Act::SetRange, [false, true, false]),
    (Act::MarkFailed, [false, true, false]),
    (Act::CleanUp, [false, true, false]),
    (Act::ResumeGrants, [false, true, false]),
    (Act::Operate, [false, true, false]),
    (Act::Page, [true, true, true]),
    (Act::Change, [false, true, false]),
];

fn is_denied<T>(answer: &Result<T, Status>) -> bool {
    answer.as_ref().is_err_and(|status| status.code() == Code::PermissionDenied)
}

#[test]
fn every_call_is_for_the_roles_of_the_table_and_for_no_other() {
    for (place, role) in Role::ALL.into_iter().enumerate() {
        let dir = tempfile::tempdir().expect("a directory");
        let access = Access { loopback: role, ..Access::default() };
        let service = serve(dir.path(), &loopback(), access, Limits::default());
        let may = |act: Act| TABLE.iter().any(|(row, may)| *row == act && may[place]);
        runtime().block_on(async {
            let mut seen = Vec::new();
            let mut check = |act: Act, denied: bool, what: &str| {
                assert_eq!(denied, !may(act), "{role}: {act:?}: {what}");
                seen.push(act);
            };
            let mut client = StructuresClient::new(channel(&service.door).await);
            let listed = client.list_structures(v1::ListStructuresRequest {}).await;
            check(Act::Read, is_denied(&listed), "list structures");
            let query = v1::Query { what: Some(v1::query::What::Status(v1::Nothing {})) };
            let asked = v1::QueryRequest { structure: structure().to_string(), query: Some(query.clone()) };
            check(Act::Read, is_denied(&client.query(asked).await), "query");
            check(Act::Read, is_denied(&on_stream(&service.door, What::Query(query)).await), "query on a stream");
            let watched = client.watch(v1::WatchRequest { structure: structure().to_string(), after: None }).await;
            check(Act::Watch, is_denied(&watched), "watch");
            for (act, what) in operators() {
                let answer = on_stream(&service.door, What::Submit(v1::Request { what: Some(what.clone()) })).await;
                check(act, is_denied(&answer), "on a stream");
                check(act, is_denied(&client.submit(submitted(what)).await), "single call");
            }
            for what in stacks() {
                let answer = on_stream(&service.door, what.clone()).await;
                check(Act::ActAsStack, is_denied(&answer), &format!("{what:?}"));
            }
            let mut health = tonic_health::pb::health_client::HealthClient::new(channel(&service.door).await);
            let asked = tonic_health::pb::HealthCheckRequest { service: String::new() };
            check(Act::Probe, is_denied(&health.check(asked).await), "health");
            check(Act::Page, http(&service.door, "GET", "/page", "").starts_with("HTTP/1.1 403"), "a page");
            check(Act::Change, http(&service.door, "POST", "/page", "").starts_with("HTTP/1.1 403"), "a change");
            // A service that a later release adds is the operators' until the table says otherwise.
            let other =
                http(&service.door, "POST", "/portplex.v1.Operations/Drain", "content-type: application/grpc\r\n");
            check(Act::Operate, other.contains("grpc-status: 7"), &other);
            seen.sort();
            seen.dedup();
            assert_eq!(seen, Act::ALL, "every row was tried");
        });
        let denied = service.running.connections().denied;
        assert_eq!(denied > 0, role != Role::Operator, "{role}: {denied}");
    }
}

/// One request by hand; all of the answer.
fn http(door: &Door, method: &str, path: &str, more: &str) -> String {
    let Door::Tcp(address) = door else { panic!("plain TCP") };
    let mut stream = std::net::TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(SOON)).expect("set");
    let host = if more.to_lowercase().contains("host:") { String::new() } else { format!("host: {address}\r\n") };
    let head = format!("{method} {path} HTTP/1.1\r\n{host}{more}content-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("written");
    let mut told = String::new();
    stream.read_to_string(&mut told).expect("text");
    told
}

#[test]
fn a_page_of_another_site_reaches_nothing_through_a_browser_on_this_machine() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = serve(dir.path(), &loopback(), Access::default(), Limits::default());
    let status = |method: &str, more: &str| http(&service.door, method, "/page", more)[9..12].to_owned();
    assert_eq!(status("POST", ""), "200");
    assert_eq!(status("POST", "sec-fetch-site: same-origin\r\n"), "200");
    assert_eq!(status("POST", "sec-fetch-site: cross-site\r\n"), "403");
    assert_eq!(status("POST", "host: 127.0.0.1:1\r\norigin: http://127.0.0.1:1\r\n"), "200");
    assert_eq!(status("POST", "host: 127.0.0.1:1\r\norigin: http://attacker.example\r\n"), "403");
    // Nor through gRPC, whose calls are POSTs of bytes that any page can send.
    let call = http(&service.door, "POST", "/portplex.v1.Structures/Submit", "sec-fetch-site: cross-site\r\n");
    assert!(call.contains("grpc-status: 7"), "{call}");
    assert_eq!(status("GET", "host: localhost:1\r\n"), "200");
    assert_eq!(status("GET", "host: attacker.example\r\n"), "403", "a name that points here");
}

#[test]
fn what_a_role_may_not_is_said_with_who_what_and_which_role_would_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let access = Access { loopback: Role::ReadOnly, ..Access::default() };
    let service = serve(dir.path(), &loopback(), access, Limits::default());
    let status = runtime().block_on(async {
        let mut client = StructuresClient::new(channel(&service.door).await);
        client.submit(submitted(request::What::Delete(target()))).await.expect_err("denied")
    });
    assert_eq!(status.code(), Code::PermissionDenied);
    let told = status.message();
    assert!(told.starts_with("read-only (plain TCP from 127.0.0.1:"), "{told}");
    assert!(told.ends_with(") may not delete a DVIPA: that needs the role operator"), "{told}");
}

#[test]
fn a_uid_without_a_role_is_refused_by_name_and_one_with_a_name_acts_for_it_only() {
    let log = log();
    let dir = tempfile::tempdir().expect("a directory");
    let own = rustix::process::geteuid().as_raw();
    let door = Door::Unix(dir.path().join("s"));
    let access = Access { uids: UidMap::none(), ..Access::default() };
    let service = serve(dir.path(), &door, access, Limits::default());
    let error = RemoteFacility::connect(&door, structure(), RemoteOptions::default()).expect_err("no role");
    let refused = format!("uid {own} may not use this socket: no role is given to it");
    assert!(matches!(&error, RemoteError::Denied { reason, .. } if reason.starts_with(&refused)), "{error}");
    drop(service);

    let dir = tempfile::tempdir().expect("a directory");
    let door = Door::Unix(dir.path().join("s"));
    let uids = UidMap::none().allow(own, Role::Stack, Some(name("SYS1")));
    let service = serve(dir.path(), &door, Access { uids, ..Access::default() }, Limits::default());
    let remote = Arc::new(RemoteFacility::connect(&door, structure(), RemoteOptions::default()).expect("connects"));
    let (connection, member) = joined(&remote, introduction("SYS1", 1));
    connection.acquire(member, 1, 1).expect("its own");
    let other = Connection::connect(Arc::clone(&remote) as Arc<dyn Facility>, introduction("SYS2", 1));
    assert_eq!(other.expect_err("not its own"), CallError::Gone, "its stream ends");
    let told = remote.last_fault().expect("told").to_string();
    let expected = format!(
        "stack SYS1 (unix socket, uid {own}) may not act as stack SYS2: a stack acts for itself only; that needs a certificate or a uid of that stack, or the role operator"
    );
    assert!(told.ends_with(&expected), "{told}");
    remote.wait_connected(SOON).expect("the stream is made again");
    assert!(service.facility.connector(&name("SYS2")).expect("answered").is_none(), "nothing was done");
    eventually("both have their line", || {
        !log.audited(&[&refused]).is_empty() && !log.audited(&["may not act as stack SYS2"]).is_empty()
    });
}

#[test]
fn a_stack_acts_for_itself_only_and_an_operator_for_everybody() {
    let from = "10.0.0.1:1".parse().expect("an address");
    let peer = |role, own: Option<&str>| Peer { role, name: own.map(name), how: How::Certificate(from) };
    assert!(peer(Role::Stack, Some("A")).may_act_as(&name("A")).is_ok());
    assert!(peer(Role::Stack, Some("A")).may_act_as(&name("B")).is_err());
    assert!(peer(Role::Stack, None).may_act_as(&name("B")).is_ok(), "a door of this machine without names");
    assert!(peer(Role::Operator, Some("ALICE")).may_act_as(&name("B")).is_ok());
    assert!(peer(Role::ReadOnly, Some("B")).may_act_as(&name("B")).is_err());
}

#[test]
fn an_operator_with_a_name_vouches_by_that_name_and_every_act_has_its_line() {
    let log = log();
    let dir = tempfile::tempdir().expect("a directory");
    let own = rustix::process::geteuid().as_raw();
    let door = Door::Unix(dir.path().join("s"));
    let uids = UidMap::none().allow(own, Role::Operator, Some(name("CAROL")));
    let service = serve(dir.path(), &door, Access { uids, ..Access::default() }, Limits::default());
    let remote = Arc::new(RemoteFacility::connect(&door, structure(), RemoteOptions::default()).expect("connects"));
    let (connection, _) = joined(&remote, introduction("AUDITED1", 1));
    let incarnation = connection.actor().incarnation;
    runtime().block_on(async {
        let mut client = StructuresClient::new(channel(&door).await);
        let mark = |by: &str| {
            let (name, by) = ("AUDITED1".to_owned(), by.to_owned());
            submitted(request::What::MarkFailed(v1::MarkFailed { name, incarnation: incarnation.0, by }))
        };
        let status = client.submit(mark("MALLORY")).await.expect_err("another's word");
        assert_eq!(status.code(), Code::PermissionDenied);
        assert!(status.message().contains("may not vouch as \"MALLORY\""), "{status}");
        client.submit(mark("")).await.expect("by its own word");
    });
    // On a stream too.
    let early = remote.clean_up(&name("AUDITED1"), incarnation, &name("CAROL"), false);
    assert_eq!(early.expect_err("too early"), CallError::Refused(Refusal::BootMayBeAlive));
    remote.clean_up(&name("AUDITED1"), incarnation, &name("CAROL"), true).expect("cleaned up");
    eventually("every act has its line", || {
        let who = format!("operator CAROL (unix socket, uid {own})");
        let has = |parts: &[&str]| log.audited(&[&[who.as_str(), "AUDITED1"], parts].concat()).len() == 1;
        has(&["mark a connector failed", "by the word of CAROL", "answer=\"done\""])
            && has(&["clean up", "boot is dead: false", "state that this boot of its machine is dead"])
            && has(&["clean up", "boot is dead: true", "answer=\"done\""])
    });
    assert_eq!(log.audited(&["MALLORY"]).len(), 1, "and who was turned away has one");
    drop(service);
}

#[test]
fn a_stack_that_asks_too_fast_is_told_when_and_is_granted_then() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { groups_per_second: 1_000, ..Limits::default() };
    let service = serve(dir.path(), &loopback(), Access::default(), limits);
    let remote =
        Arc::new(RemoteFacility::connect(&service.door, structure(), RemoteOptions::default()).expect("connects"));
    let (connection, member) = joined(&remote, introduction("A", 1));
    assert!(remote.retry_after().is_zero());
    connection.acquire(member, 1, 1_000).expect("a burst");
    let refused = connection.acquire(member, 1, 1_000).expect_err("too fast");
    assert_eq!(refused, CallError::Refused(Refusal::Overloaded));
    assert!(!remote.retry_after().is_zero(), "it was told when");
    // Who asks again at once is refused without a call; what gives back or keeps is not held back.
    for _ in 0..50 {
        assert_eq!(connection.claim(member, 60_000).expect_err("too early"), refused);
    }
    assert_eq!(service.running.connections().too_fast, 1, "the service heard of one");
    connection.renew(portplex::ident::BootMs(0)).expect("renewed");
    assert!(service.facility.status().is_ok() && remote.status().is_ok());
    eventually("it is granted", || {
        std::thread::sleep(remote.retry_after());
        connection.claim(member, 60_000).is_ok() || service.facility.owner(list(), 60_000).is_ok()
    });
    assert!(service.running.connections().too_fast > 0);

    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { attaches_per_minute: 2, ..Limits::default() };
    let service = serve(dir.path(), &loopback(), Access::default(), limits);
    let remote =
        Arc::new(RemoteFacility::connect(&service.door, structure(), RemoteOptions::default()).expect("connects"));
    let connect =
        |stack: &str| Connection::connect(Arc::clone(&remote) as Arc<dyn Facility>, introduction(stack, 1)).map(|_| ());
    connect("B").expect("the first");
    assert!(matches!(connect("B"), Err(CallError::Refused(Refusal::ConnectorExists { .. }))));
    assert_eq!(connect("B"), Err(CallError::Refused(Refusal::Overloaded)));
    connect("C").expect("each has its own rate");
}
